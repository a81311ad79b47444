"""Parley beside Kamailio and Sippy: what a REGISTER and a call cost each of them.

    python -m tests.bench.peers [--rounds 5] [--only register|call|rate]

All are measured in one run, in turns, each round on a server started anew: the server on core 0,
the load on core 1, everything on loopback. Kamailio registers in memory and proxies; Sippy is a
B2BUA without media; Parley is the whole platform with media relay, journal, database and CDRs.
Prints tables of medians, with the ratios of Parley's CPU to each peer's. A peer that is not
installed (`tools/install_peers`) is left out. Fails when any operation of any round failed.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.bench.peers.load import UNDER_WAY, LoadError, build
from tests.bench.peers.measure import MEASURES, Measure, Sample, measure
from tests.bench.peers.report import progress, table
from tests.bench.peers.servers import (
    PortTakenError,
    Server,
    check_ports,
    kamailio,
    parley,
    prepare_process,
    sippy,
)

from parley.testkit.phones.process import ChildError


def find_servers() -> list[Server]:
    """Parley, and the peers that are installed."""
    found = {"Kamailio": (kamailio(), kamailio(allocator="fm")), "Sippy": (sippy(),)}
    servers = [parley()]
    for name, variants in found.items():
        if None in variants:
            print(f"{name} is not installed: measured without it.")
        servers += [server for server in variants if server]
    return servers


def run_rounds(
    measures: Sequence[Measure], servers: Sequence[Server], rounds: int
) -> dict[str, dict[str, list[Sample | None]]]:
    """Runs all rounds, the servers in turns; by measure and by server, None where one broke off."""
    found: dict[str, dict[str, list[Sample | None]]] = {what.name: {} for what in measures}
    for number in range(1, rounds + 1):
        for what in measures:
            for server in servers:
                if what.operation in server.commands:
                    sample = _round(number, what, server)
                    found[what.name].setdefault(server.title, []).append(sample)
    return found


def _round(number: int, what: Measure, server: Server) -> Sample | None:
    try:
        sample = measure(what, server)
    except (ChildError, LoadError, PortTakenError) as error:
        print(f"{what.name}: round {number}, {server.title}: {error}", flush=True)
        return None
    print(f"{what.name}: {progress(number, server.title, sample)}", flush=True)
    return sample


def main() -> int:
    """Prints the tables; the exit status says whether every operation of every round succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=[what.name for what in MEASURES])
    arguments = parser.parse_args()
    measures = [what for what in MEASURES if arguments.only in (None, what.name)]
    try:
        build()
        check_ports()
        servers = find_servers()
        prepare_process()
        found = run_rounds(measures, servers, arguments.rounds)
    except (LoadError, PortTakenError) as error:
        print(error, file=sys.stderr)
        return 1
    for what in measures:
        print(f"\n{table(what, found[what.name], UNDER_WAY)}")
    samples = [each for by_name in found.values() for rows in by_name.values() for each in rows]
    failed = sum(1 for sample in samples if sample is None or sample.complaint)
    if failed:
        print(f"\n{failed} of {len(samples)} rounds went wrong; see above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
