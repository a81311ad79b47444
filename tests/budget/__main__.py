"""Prints what one operation costs in function calls: `python -m tests.budget register|call`.

Beside them stand the system calls of our own code, how often the loop's thread had to be woken and
what was written to state and bus; one operation after the other, nothing shares a wake-up.
"""

import argparse
from collections.abc import Mapping
from typing import Final

from tests.budget.counted import calls_each, counted_platform
from tests.budget.operations import OPERATIONS

_KERNEL: Final = (" > DatagramReader.read", " > socket.sendto", " > write")
_APPENDED: Final = "backing/journal.py:Journal.append"


def kernel_calls(each: Mapping[str, float]) -> dict[str, float]:
    """Sums the built-in functions that are system calls."""
    return {
        end.removeprefix(" > "): sum(n for name, n in each.items() if name.endswith(end))
        for end in _KERNEL
    }


def main() -> None:
    """Prints the total and the functions called most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=sorted(OPERATIONS))
    parser.add_argument("--lines", type=int, default=60)
    arguments = parser.parse_args()
    with counted_platform() as platform, OPERATIONS[arguments.operation](platform) as operate:
        each = calls_each(platform, operate)
        wake_ups = platform.wake_ups_each(operate)
    print(f"{sum(each.values()):8.1f} calls")
    print(f"{wake_ups:8.1f} wake-ups")
    print(f"{each.get(_APPENDED, 0.0):8.1f} records written to state and bus")
    for name, number in kernel_calls(each).items():
        print(f"{number:8.1f} system calls: {name}")
    for name, number in sorted(each.items(), key=lambda item: -item[1])[: arguments.lines]:
        print(f"{number:8.2f} {name}")


if __name__ == "__main__":
    main()
