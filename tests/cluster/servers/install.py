"""Fetches what the servers need ahead of their first start; `make servers` runs it."""

import sys
from collections.abc import Iterator

from tests.cluster.servers.base import program
from tests.cluster.servers.errors import ServerAbsent
from tests.cluster.servers.java import ensure_jars
from tests.cluster.servers.postgresql import binaries

JARS = ("kafka", "s3proxy")


def missing_servers() -> Iterator[str]:
    """Fetches what can be fetched; yields a sentence for each thing that cannot be had."""
    steps = (
        lambda: program("redis-server", "redis-server"),
        lambda: program("java", "default-jre-headless"),
        binaries,
        *(lambda name=name: ensure_jars(name) for name in JARS),
    )
    for step in steps:
        try:
            step()
        except ServerAbsent as absent:
            yield str(absent)


def main() -> int:
    """Says what is missing; the exit status is 1 then."""
    complaints = list(missing_servers())
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
