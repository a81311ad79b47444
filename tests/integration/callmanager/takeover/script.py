"""What phones and edges do in the tests of takeover, and wait for."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from parley.sip.hop import Hop
from parley.sip.message import Request, Response
from parley.sip.transaction import (
    CancelReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    TransactionFailed,
)

from .members import Member

E = TypeVar("E")
PATIENCE_S = 5.0

SDP_OF_BOB = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 5000 RTP/AVP 0 8\r\na=sendrecv\r\n"
)


async def expect(phone: Any, kind: type[E], is_it: Callable[[E], bool] = lambda event: True) -> E:
    """Waits for an event; others before it (lost connections, repetitions) are skipped."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event = await phone.handler.events.get()
            if isinstance(event, kind) and is_it(event):
                return event
            if isinstance(event, TransactionFailed):
                phone.failed.append(event.transaction)
            elif isinstance(event, ResponseReceived) and phone.dialog is not None:
                acknowledge(phone, event.response)


def acknowledge(phone: Any, response: Response) -> None:
    """Every repetition of a 2xx gets its ACK (RFC 3261 13.2.2.4)."""
    if response.cseq.method == "INVITE" and response.status == 200:
        phone.ack(cseq=response.cseq.number)


async def request(phone: Any, method: str) -> Any:
    """Waits for a request and makes it the one that the phone answers."""
    event = await expect(phone, RequestReceived, lambda event: event.request.method == method)
    phone.transaction = event.transaction
    return event.request


async def response(phone: Any, status: int) -> Any:
    """Waits for a response; a 2xx to the first INVITE makes the dialog."""
    event = await expect(phone, ResponseReceived, lambda event: event.response.status == status)
    found = event.response
    if status == 200 and found.cseq.method == "INVITE" and phone.dialog is None:
        phone.dialog = phone.dialog_of(found)
    return found


async def moved(phone: Any, hop: Hop) -> None:
    """Waits until the way back of the request that the phone answers is another one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if phone.transaction.hop != hop:
                return
            await asyncio.sleep(0.01)


def accept(phone: Any) -> None:
    """Answers 200 and repeats it until the ACK, as phones do."""
    keep, phone.node.respond = phone.node.respond, phone.node.respond_until_ack
    phone.respond(200, SDP_OF_BOB)
    phone.node.respond = keep


async def cancelled(phone: Any) -> Any:
    return (await expect(phone, CancelReceived)).request


async def again(phone: Any, sent: ClientTransaction, to: Member) -> ClientTransaction:
    """What an edge does with a request without answer when its call manager is gone."""
    if sent not in phone.failed:
        await expect(phone, TransactionFailed, lambda event: event.transaction is sent)
    phone.to = to.hop
    phone.failed.clear()
    branch = sent.request.via.branch
    made: ClientTransaction = phone.node.send_request(unsent(sent.request), to.hop, branch=branch)
    return made


def unsent(request: Request) -> Request:
    """A request that was sent, to be sent by another way: a transaction of its own."""
    copy = request.copy()
    copy.remove_first_value("via")
    return copy


async def refused(phone: Any, owner: Member) -> None:
    """Waits for the 503 that names the owner of a call."""
    assert (await response(phone, 503)).get("x-parley-owner") == owner.manager.instance


async def hang_up(by: Any, other: Any, to: Member) -> None:
    """Ends a call through a manager."""
    by.to = to.hop
    by.ask("BYE")
    await request(other, "BYE")
    other.respond(200)
    await response(by, 200)
