"""The words of the command `parley` and what runs for them."""

import argparse
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from parley.backing.errors import BackingError
from parley.backing.settings import BackingSettings
from parley.cli.migrate import migrate
from parley.cli.settings import CliSettings
from parley.cli.tokens import NewToken, create, revoke, show
from parley.model.errors import DomainError
from parley.model.ids import TenantId
from parley.service.lifecycle import Exit
from parley.service.lifecycle import main as run_main
from parley.service.log import configure_logging


def main() -> None:
    """Entry of the console script `parley`."""
    configure_logging("warning", sys.stderr)
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Runs one command and returns the exit status; wrong words end the process with 2."""
    given = _parser().parse_args(words)
    backing = BackingSettings.load_or_exit()
    settings = CliSettings.load_or_exit()
    return run_main(lambda: _told(_work(given, backing, settings)))


def _work(
    given: argparse.Namespace, backing: BackingSettings, settings: CliSettings
) -> Coroutine[Any, Any, int]:
    if given.command == "migrate":
        return migrate(backing)
    tenant_id = None if given.tenant is None else TenantId(given.tenant)
    if given.action == "list":
        return show(backing, tenant_id, given.json)
    if given.action == "revoke":
        return revoke(backing, tenant_id, given.id)
    secret = None if settings.token is None else settings.token.get_secret_value()
    return create(backing, NewToken(given.name, tenant_id, given.days, secret, given.if_none))


async def _told(work: Coroutine[Any, Any, int]) -> int:
    try:
        return await work
    except DomainError as error:
        sys.stderr.write(f"This cannot be done: {error}.\n")
    except BackingError as error:
        sys.stderr.write(f"{str(error).rstrip('.')}.\n")
    return Exit.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parley",
        description="For administrators; PARLEY_BACKING_DATABASE_URL names the database.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("migrate", help="bring the database to this version's schema")
    token = commands.add_parser("token", help="keys to the REST API and the event stream")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    made = actions.add_parser("create", help="make a token and print its secret, once")
    made.add_argument("name", metavar="NAME", help="for people")
    made.add_argument("--days", type=_days, help="how long it works; until revoked unless given")
    made.add_argument(
        "--if-none",
        action="store_true",
        help="do nothing if a working token has this name (and PARLEY_CLI_TOKEN, if set)",
    )
    listed = actions.add_parser("list", help="show tokens without their secrets")
    listed.add_argument("--json", action="store_true", help="as JSON")
    revoked = actions.add_parser("revoke", help="remove a token")
    revoked.add_argument("id", metavar="ID", help="as `parley token list` shows it")
    for action in (made, listed, revoked):
        action.add_argument("--tenant", metavar="ID", help="a tenant's, not the platform's")
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 0 < days <= 36500:
        raise ValueError
    return days
