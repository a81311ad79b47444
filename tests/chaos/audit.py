"""Do the CDRs tell of every call, once, and rightly?"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from parley.testkit.farm.load import Attempt
from parley.testkit.platform.api import ApiClient

_PAGE: Final = 500
_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        lost: calls that were answered and have no CDR.
        doubled: calls with more than one.
        worst_duration_error_s: greatest difference to what the phones saw.
    """

    lost: int
    doubled: int
    worst_duration_error_s: float


async def cdrs(api: ApiClient) -> list[dict[str, Any]]:
    """All CDRs of the tenant."""
    found: list[dict[str, Any]] = []
    parameters = {"limit": str(_PAGE)}
    while True:
        page = await api.get(f"{api.tenant_path}/cdrs", **parameters)
        found += page["items"]
        if not page["next"]:
            return found
        parameters["after"] = page["next"]


async def audit(api: ApiClient, calls: Sequence[Attempt], timeout_s: float = 20.0) -> Audit:
    """Compares the CDRs with the answered calls of the phones; waits until none is missing."""
    wanted = {one.sip_call_id: one for one in calls if one.talked_s is not None}
    until = time.perf_counter() + timeout_s
    while True:
        found = await cdrs(api)
        by_call = by_caller_leg(found)
        lost = [call for call in wanted if call not in by_call]
        if not lost or time.perf_counter() > until:
            break
        await asyncio.sleep(_POLL_S)
    counts = Counter({call: len(by_call.get(call, ())) for call in wanted})
    errors = [
        duration_error_s(by_call[call][0]["duration_s"], attempt)
        for call, attempt in wanted.items()
        if call in by_call
    ]
    doubled = sum(count > 1 for count in counts.values())
    return Audit(len(lost), doubled, round(max(errors, default=0.0), 3))


def duration_error_s(duration_s: float, attempt: Attempt) -> float:
    """How far a duration lies outside of what the phones saw.

    A call is answered when the callee picks up, as everywhere in telephony, and not when the caller
    hears of it: while the answer waits to be written, or the 200 for a successor, there is up to a
    second in between. The end is taken the same way: when the BYE came, not when all knew of it.
    """
    shortest = attempt.talked_s or 0.0
    longest = attempt.answering_s + shortest + attempt.parting_s
    return max(shortest - duration_s, duration_s - longest, 0.0)


def by_caller_leg(records: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """CDRs by the SIP Call-ID of their caller's leg."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        for leg in record["legs"]:
            if leg["leg"] == "a":
                found.setdefault(leg["sip_call_id"], []).append(record)
    return found
