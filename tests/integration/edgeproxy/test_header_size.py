"""Headers that fit the edge and, with its own lines, no call manager: nothing breaks."""

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from parley.sip.message import MAX_HEADERS, Request, response_to
from parley.sip.transaction import CancelReceived, RequestReceived, ResponseReceived

if TYPE_CHECKING:
    from tests.integration.edgeproxy.conftest import CallManager, Phone, World

MANY = 242
"""Lines that a parser takes beside those of a request, and not beside an edge's own too."""
LONG = "x" * 50_000


async def joined(world: "World", transport: str = "udp") -> "tuple[CallManager, Phone]":
    """A phone at an edge that reaches its call manager by TCP."""
    manager = await world.call_manager(is_remote=True)
    return manager, await world.phone(await world.edge(is_remote=True), transport=transport)


def with_reasons(request: Request, count: int) -> Request:
    request.extend("reason", ["SIP;cause=487"] * count)
    return request


def is_unbroken(manager: "CallManager") -> bool:
    """Whether what came to the call manager could be read, and its connection is still there."""
    counts = manager.node.counts
    return (counts.malformed, counts.flows_closed) == (0, 0)


@pytest.mark.parametrize("text", ["many", "long"])
async def test_a_cancel_of_nothing_breaks_no_connection(world: "World", text: str) -> None:
    manager, phone = await joined(world)
    cancel = phone.request("CANCEL", "sip:1@demo.test")
    if text == "many":
        with_reasons(cancel, MANY)
    else:
        cancel.add("reason", f'SIP;text="{LONG}"')

    answer = await phone.exchange(cancel)

    assert answer.status == 513
    await phone.call(manager)
    assert is_unbroken(manager)


async def test_folded_lines_count_one_by_one(world: "World") -> None:
    manager, phone = await joined(world)
    cancel = phone.request("CANCEL", "sip:1@demo.test")
    cancel.prepend("via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKfolded;rport")
    cancel.remove("contact")
    cancel.add("reason", "SIP")
    # As many as a parser takes.
    folded = bytes(cancel).replace(b"Content-Length: 0\r\n", b"")
    folds = b"\r\n " * (MAX_HEADERS - folded.count(b"\r\n") + 2)
    folded = folded.replace(b"Reason: SIP", b"Reason: SIP" + folds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.sendto(folded, (phone.edge_hop.host, phone.edge_hop.port))
        async with asyncio.timeout(5):
            heard = await asyncio.get_running_loop().sock_recv(stranger, 65536)

    # A parser's refusal would be a 513, too.
    assert heard.startswith(b"SIP/2.0 513")
    assert phone.edge.node.counts.malformed == 0
    await phone.call(manager)
    assert is_unbroken(manager)


async def test_the_cancel_of_a_call_ends_it_without_its_many_reasons(world: "World") -> None:
    manager, phone = await joined(world)
    invite, transaction = await phone.call(manager)
    [client] = [
        one for one in phone.node.layer._clients.values() if one.request.cseq == invite.cseq
    ]

    phone.node.cancel(client, [("reason", "SIP;cause=487")] * MANY)

    cancelled = await manager.handler.find(CancelReceived)
    assert cancelled.transaction is transaction
    assert not cancelled.request.has("reason")
    assert is_unbroken(manager)


@pytest.mark.parametrize("text", ["many lines", "many routes"])
async def test_an_invite_is_refused_and_the_next_one_is_taken(world: "World", text: str) -> None:
    manager, phone = await joined(world, "tcp")
    invite = phone.request("INVITE", "sip:1002@demo.test")
    large = phone.authorized(invite, await phone.exchange(invite))
    if text == "many lines":
        with_reasons(large, MANY)
    else:
        large.add("record-route", ", ".join(["<sip:a>"] * MANY))

    answer = await phone.exchange(large)

    assert answer.status == 513
    await phone.call(manager)
    assert is_unbroken(manager)


async def test_requests_within_a_dialog_are_refused_and_an_ack_is_dropped(world: "World") -> None:
    manager, phone = await joined(world)
    invite, _, ok = await phone.answered(manager)

    phone.node.send(with_reasons(phone.ack(invite, ok), MANY), phone.edge_hop)
    answer = await phone.exchange(with_reasons(phone.in_dialog("BYE", invite, ok), MANY))

    assert answer.status == 513
    bye = phone.send(phone.in_dialog("BYE", invite, ok))
    received = await manager.handler.next(RequestReceived)
    assert received.request.method == "BYE"
    manager.answer(received.transaction, 200)
    while (await phone.handler.find(ResponseReceived)).transaction is not bye:
        pass
    assert is_unbroken(manager)


@pytest.mark.parametrize("header", ["reason", "record-route"])
@pytest.mark.parametrize("status", [180, 200, 486])
async def test_a_phones_answer_is_dropped_or_becomes_a_502(
    world: "World", status: int, header: str
) -> None:
    manager, phone = await joined(world)
    assert (await phone.register()).status == 200
    [binding] = await world.bindings("1001")
    invite = manager.request("INVITE", binding.contact, list(binding.path))
    inside = phone.edge.addresses.inside
    assert inside is not None
    manager.node.send_request(invite, inside)
    received = await phone.handler.find(RequestReceived)

    answer = response_to(received.request, status, to_tag="b")
    if header == "reason":
        answer.extend(header, ["SIP;cause=487"] * MANY)
    else:
        answer.add(header, ", ".join(["<sip:a>"] * MANY))
    phone.node.respond(received.transaction, answer)
    if status < 200:
        phone.node.respond(received.transaction, response_to(received.request, 486, to_tag="b"))

    assert (await manager.final()).status == (486 if status < 200 else 502)
    assert is_unbroken(manager)
