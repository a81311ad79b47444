"""What the phones and the records say of a call whose owner died at a point."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tests.chaos.audit import by_caller_leg, cdrs
from tests.chaos.points.case import SETTLE_S, Case, becomes

from parley.testkit.farm.call import CallFailed, FarmCall
from parley.testkit.platform.api import ApiClient

_AUDIBLE_S: Final = 3.0
_PACKETS: Final = 10
_TIME_ERROR_S: Final = 1.0
_RECORDS_S: Final = 15.0
_POLL_S: Final = 0.25


async def judge(case: Case) -> None:
    """Notes everything that is not as it must be; the call is over afterwards."""
    await case.answers()
    if not case.callee.incoming:
        case.trouble.append("the callee never heard of the call")
    elif case.lives:
        await _check_call(case)
    elif not await becomes(lambda: _is_over(case), SETTLE_S):
        case.trouble.append(f"half open: {_who_is_in(case)} still in the call")
    if len(case.callee.incoming) > 1:
        case.trouble.append(f"{len(case.callee.incoming)} dialogs at the callee")
    for call in (*case.caller.outgoing, *case.callee.incoming):
        case.trouble += call.anomalies


async def check_records(api: ApiClient, cases: Sequence[Case]) -> None:
    """Every call has one CDR, with the result and the times that the phones saw."""
    wanted = {case.out.sip_call_id: case for case in cases if case.caller.outgoing}
    until = time.perf_counter() + _RECORDS_S
    while True:
        found = by_caller_leg(await cdrs(api))
        if wanted.keys() <= found.keys() or time.perf_counter() > until:
            break
        await asyncio.sleep(_POLL_S)
    for sip_call_id, case in wanted.items():
        records = found.get(sip_call_id, [])
        if len(records) == 1:
            _check_record(case, records[0])
        else:
            case.trouble.append(f"{len(records)} CDRs")


async def _check_call(case: Case) -> None:
    out, into = case.out, case.into
    if not await becomes(
        lambda: out.is_confirmed.is_set() and into.is_confirmed.is_set(), SETTLE_S
    ) or _is_any_over(case):
        case.trouble.append(f"half open: {_who_is_in(case)} in the call")
        return
    for name, call in (("caller", out), ("callee", into)):
        if not await _hears(call):
            case.trouble.append(f"the {name} hears nothing")
    for name, call in (("caller's", out), ("callee's", into)):
        try:
            await call.re_invite(SETTLE_S)
        except CallFailed as error:
            case.trouble.append(f"the {name} {error}")
    ender = into if case.point % 2 else out
    try:
        await ender.hang_up(SETTLE_S)
    except CallFailed as error:
        case.trouble.append(str(error))
    if not await becomes(lambda: _is_over(case), SETTLE_S):
        case.trouble.append("the other side never heard of the BYE")


async def _hears(call: FarmCall) -> bool:
    stream = call.stream
    assert stream is not None, "calls at points have audio"
    count = stream.received + _PACKETS
    return await becomes(lambda: stream.received >= count, _AUDIBLE_S)


def _is_over(case: Case) -> bool:
    return case.out.ended is not None and case.into.ended is not None


def _is_any_over(case: Case) -> bool:
    return case.out.ended is not None or case.into.ended is not None


def _who_is_in(case: Case) -> str:
    names = []
    if case.out.is_confirmed.is_set() and case.out.ended is None:
        names.append("caller")
    if case.into.ended is None:
        names.append("callee")
    return " and ".join(names) or "nobody"


def _check_record(case: Case, record: dict[str, Any]) -> None:
    result = record["termination"]["result"]
    if result != case.result:
        case.trouble.append(f"CDR says {result}, not {case.result}")
        return
    out, into = case.out, case.into
    ends = [call.ended for call in (out, into) if call.ended is not None]
    if out.answered is not None and ends:
        seen = {
            "answered": out.answered - out.started,
            "ended": min(ends) - out.started,
        }
        for name, at_s in seen.items():
            told_s = _seconds(record, name)
            if told_s is None or abs(told_s - at_s) > _TIME_ERROR_S:
                case.trouble.append(f"CDR says {name} at {told_s} s, not {at_s:.2f} s")


def _seconds(record: dict[str, Any], name: str) -> float | None:
    at, started = record[f"{name}_at"], record["started_at"]
    if at is None:
        return None
    return (datetime.fromisoformat(at) - datetime.fromisoformat(started)).total_seconds()
