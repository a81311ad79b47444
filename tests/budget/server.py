"""The whole platform in a process that counts its own function calls.

    python -m tests.budget.server '{"sip": 5060, ...}'

The ports are those of `Places`, by name.

Prints `ready`, then for each line on stdin one JSON line: the calls since the last, by function.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.bench.whole_platform import Places, serve
from tests.budget.counter import CallCounter

from parley.service.lifecycle import main
from parley.service.log import configure_logging


def _count() -> None:
    counter = CallCounter()

    def report() -> None:
        counter.stop()
        sys.stdin.readline()
        print(json.dumps(counter.take()), flush=True)
        counter.start()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), report)
    counter.start()
    print("ready", flush=True)


if __name__ == "__main__":
    configure_logging("warning", None)
    places = Places(**json.loads(sys.argv[1]))
    with tempfile.TemporaryDirectory(prefix="parley-budget-") as folder:
        status = main(lambda: serve(Path(folder), places, _count))
    sys.exit(status)
