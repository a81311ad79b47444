"""Prints what one operation costs in function calls: `python -m tests.budget register|call`."""

import argparse

from tests.budget.counted import CountedPlatform, calls_each
from tests.budget.operations import OPERATIONS


def main() -> None:
    """Prints the total and the functions called most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=sorted(OPERATIONS))
    parser.add_argument("--lines", type=int, default=60)
    arguments = parser.parse_args()
    with CountedPlatform() as platform, OPERATIONS[arguments.operation](platform) as operate:
        each = calls_each(platform, operate)
    print(f"{sum(each.values()):8.1f} calls")
    for name, number in sorted(each.items(), key=lambda item: -item[1])[: arguments.lines]:
        print(f"{number:8.2f} {name}")


if __name__ == "__main__":
    main()
