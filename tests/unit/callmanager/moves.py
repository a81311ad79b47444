"""What the tests of calls that change or move share."""

from typing import Any


def asked(stage: Any, side: str) -> list[Any]:
    """The re-INVITEs to the caller (a) or the phone that answered (b)."""
    return [
        sent
        for sent in stage.requests("INVITE")
        if sent.request.to.tag and (sent.request.call_id == "a-call-id") == (side == "a")
    ]


def statuses(stage: Any, transaction: object) -> list[int]:
    return [response.status for response in stage.responses_to(transaction)]


def re_invite(stage: Any) -> Any:
    return [
        sent
        for sent in stage.requests("INVITE") + stage.requests("UPDATE")
        if sent.request.to.tag is not None
    ][-1]


def version(body: bytes) -> int:
    return int(body.split(b"o=parley ")[1].split()[1])


def answer_both(stage: Any, sdp: Any) -> None:
    stage.answer(asked(stage, "a")[-1], 200, sdp("192.0.2.1", 4000))
    stage.answer(asked(stage, "b")[-1], 200, sdp("192.0.2.2", 5000))


def hang_up(stage: Any) -> None:
    stage.caller_sends("BYE", cseq=90)
    for bye in stage.requests("BYE"):
        stage.answer(bye, 200)
