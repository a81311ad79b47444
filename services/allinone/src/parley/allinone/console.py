"""What the platform says to the person at the terminal, apart from its log.

On a terminal the log goes into a file of the data folder; elsewhere (a container, a service
manager) it stays on stdout as JSON lines.
"""

import sys
from typing import Final, TextIO

from parley.allinone.demo import DEMO_FILE, Demo, read_demo, table
from parley.allinone.settings import AllInOneSettings

LOG_NAME: Final = "parley.log"
_MAX_OLD_LOG_BYTES: Final = 10 * 1024 * 1024


def open_log(settings: AllInOneSettings) -> TextIO | None:
    """Opens the log of a process that runs at a terminal; None: its log belongs on stdout.

    What earlier runs wrote stays until it is large.
    """
    if not sys.stdout.isatty():
        return None
    path = settings.data / LOG_NAME
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        is_large = path.exists() and path.stat().st_size > _MAX_OLD_LOG_BYTES
        return path.open("w" if is_large else "a", buffering=1)
    except OSError:
        # The start will say why the folder cannot be used.
        return None


def welcome(settings: AllInOneSettings) -> None:
    """Says where everything is, and what to try first."""
    demo = read_demo(settings.data / DEMO_FILE)
    assert demo is not None  # written by the last service to start
    log = f"\nLog: {settings.data / LOG_NAME}" if sys.stdout.isatty() else ""
    text = f"\n{table(demo)}\n{next_steps(demo)}{log}\nCtrl-C drains and stops.\n"
    sys.stdout.write(f"{text}\nParley is ready\n")
    sys.stdout.flush()


def farewell(timeout_s: float) -> None:
    """Says that the stop takes a while, and how it takes none."""
    sys.stdout.write(
        f"\nDraining: within {timeout_s:g} s calls that are left are hung up and all is closed."
        " Ctrl-C again stops at once.\n"
    )
    sys.stdout.flush()


def next_steps(demo: Demo) -> str:
    """What a newcomer tries, ready to be copied."""
    first, second = demo.extensions[:2]
    phones = f"{demo.api.url}/v1/tenants/{demo.tenant_id}/registrations"
    return "\n".join(
        (
            "Try this next",
            f"  1. A softphone: account {first.number}@{demo.sip}, password {first.password}.",
            f"     (One that asks for a domain: {demo.domain}, with outbound proxy {demo.sip}.)",
            f"  2. Call {demo.echo}: you hear yourself. Then call a second phone, {second.number}.",
            "  3. Who is registered:",
            f'     curl -H "Authorization: Bearer {demo.api.token}" {phones}',
            f"  4. The API, in a browser: {demo.api.url}/docs",
            "",
        )
    )
