"""The command line: `python -m tests.cluster up`, `down`, `status` and `restart`."""

import asyncio
import http.client
import os
import signal
import sys
from pathlib import Path
from time import sleep
from typing import Annotated, NoReturn
from urllib.parse import quote, urlsplit

import msgspec
import typer
from rich.console import Console
from tests.cluster.control import Control, read_control
from tests.cluster.guard import birth
from tests.cluster.settings import ClusterSettings
from tests.cluster.status import gather
from tests.cluster.status_tables import tables
from tests.cluster.supervisor import Cluster

from parley.service.clock import SystemClock
from parley.service.errors import StartError
from parley.service.lifecycle import Exit, run
from parley.service.lifecycle import main as run_main
from parley.service.log import configure_logging

_STOP_MARGIN_S = 20.0
_RESTART_S = 180.0
_POLL_S = 0.05

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A local cluster: processes on real servers.",
)
Data = Annotated[
    Path | None, typer.Option(help="The cluster's data folder; PARLEY_CLUSTER_DATA otherwise.")
]


@commands.command()
def up(data: Data = None) -> None:
    """Start the cluster and stay; Ctrl-C or SIGTERM stops all of it."""
    settings = _settings(data)
    configure_logging(settings.log_level, sys.stderr)
    raise typer.Exit(run_main(lambda: _serve(settings)))


@commands.command()
def down(data: Data = None) -> None:
    """Stop a cluster that runs elsewhere and wait until it is down."""
    settings = _settings(data)
    pid = _control(settings).pid
    born = birth(pid)
    os.kill(pid, signal.SIGTERM)
    clock = SystemClock()
    until = clock.now() + settings.drain_s + 2 * _STOP_MARGIN_S
    while birth(pid) == born:
        if clock.now() > until:
            _fail(f"The cluster's supervisor {pid} still runs.")
        sleep(_POLL_S)


@commands.command()
def status(
    data: Data = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """Show instances, loads, leases, servers and processes."""
    settings = _settings(data)
    configure_logging("error", sys.stderr)
    control = _control(settings)
    found = asyncio.run(gather(control))
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(found)).decode()
        sys.stdout.write(f"{text}\n")
        return
    console = Console()
    for table in tables(found):
        console.print(table)
    for problem in found.problems:
        console.print(problem, style="red", markup=False)


@commands.command()
def restart(
    name: Annotated[str, typer.Argument(help="A process or server, such as edgeproxy-1 or redis.")],
    data: Data = None,
) -> None:
    """Stop one process or server, if it runs, and start it again."""
    control = _control(_settings(data))
    place = urlsplit(control.url)
    peer = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_RESTART_S)
    try:
        headers = {"Authorization": f"Bearer {control.token}"}
        peer.request("POST", f"/restart/{quote(name, safe='')}", headers=headers)
        answer = peer.getresponse()
        text = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        _fail(f"The cluster's supervisor does not answer: {error}.")
    finally:
        peer.close()
    if answer.status != http.client.OK:
        _fail(text)


async def _serve(settings: ClusterSettings) -> int:
    try:
        cluster = Cluster(settings, SystemClock())
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.FAILED

    def announce() -> None:
        sys.stdout.write(cluster.announcement())
        sys.stdout.flush()

    services = cluster.services()
    drain_s = settings.drain_s + _STOP_MARGIN_S
    return await run(services, drain_timeout_s=drain_s, on_ready=announce)


def _settings(data: Path | None) -> ClusterSettings:
    if data is not None:
        os.environ["PARLEY_CLUSTER_DATA"] = str(data)
    return ClusterSettings.load_or_exit()


def _control(settings: ClusterSettings) -> Control:
    control = read_control(settings.data)
    if control is None or not birth(control.pid):
        _fail(f"No cluster runs with the data folder {settings.data}.")
    return control


def _fail(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    raise typer.Exit(Exit.FAILED)
