"""`parley migrate`: the one place where a server's schema is changed."""

import sys

from parley.backing.factory import create_database
from parley.backing.settings import BackingSettings
from parley.service.clock import SystemClock
from parley.service.lifecycle import Exit


async def migrate(settings: BackingSettings) -> int:
    """Brings the database to this version's schema and says what was done.

    Raises:
        StartError: it cannot be opened or migrated.
    """
    database = create_database(settings, SystemClock(), migrates=True)
    await database.start()
    await database.aclose()
    before, after = database.migrated
    if before == after:
        said = f"The schema is revision {after}; there is nothing to do."
    elif before is None:
        said = f"The schema was made: revision {after}."
    else:
        said = f"The schema was migrated from revision {before} to {after}."
    sys.stdout.write(f"{said}\n")
    return Exit.OK
