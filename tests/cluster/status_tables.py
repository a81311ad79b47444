"""The state of a cluster as tables for a terminal."""

from collections.abc import Iterable, Iterator

from rich.table import Table
from tests.cluster.status import ClusterStatus


def tables(status: ClusterStatus) -> Iterator[Table]:
    """Renders servers, processes, instances, call managers and media relays."""
    yield _table(
        "Servers",
        ("name", "address", "pid", "state"),
        (
            (each.name, each.url, each.pid or "", "runs" if each.is_running else "DOWN")
            for each in status.servers
        ),
    )
    yield _table(
        "Processes",
        ("name", "pid", "health port", "state"),
        (
            (each.name, each.pid or "", each.health, "ready" if each.is_ready else "NOT READY")
            for each in status.processes
        ),
    )
    yield _table(
        "Discovery",
        ("service", "instance", "address", "zone", "version", "state"),
        (
            (each.service, each.id, each.address, each.zone, each.version, each.state)
            for each in status.instances
        ),
    )
    yield _table(
        "Call managers",
        ("instance", "lease", "calls owned", "calls", "cpu", "report's age", "state"),
        (
            (
                each.instance,
                "held" if each.has_lease else "NONE",
                each.owned,
                "" if each.calls is None else each.calls,
                "" if each.cpu is None else f"{each.cpu:.0%}",
                "" if each.age_s is None else f"{each.age_s:g} s",
                "draining" if each.is_draining else "",
            )
            for each in status.callmanagers
        ),
    )
    yield _table(
        "Media relays",
        ("instance", "address", "zone", "sessions", "capacity", "report's age", "state"),
        (
            (
                each.instance,
                each.address,
                each.zone,
                each.sessions,
                each.capacity,
                f"{each.age_s:g} s",
                "draining" if each.is_draining else "",
            )
            for each in status.relays
        ),
    )


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    return table
