"""A phone whose address changes in mid-call is followed (RFC 3261 12.2)."""

from parley.sip.dialog import Dialog
from parley.sip.message import Request
from parley.testkit.phones.raw_phone import RawPhone
from parley.testkit.platform.desk import Desk, ending


def refresh(dialog: Dialog, phone: RawPhone) -> Request:
    """A re-INVITE by which a phone says where it is."""
    dialog.local_contact = f"<sip:{phone.line.number}@{phone.address}>"
    request = phone.in_dialog(dialog.new_request("INVITE"))
    request.add("content-type", "application/sdp")
    request.body = phone.description().replace(b"o=- 1 1", b"o=- 1 2")
    return request


async def test_the_other_side_s_bye_reaches_the_new_address(desk: Desk) -> None:
    a_line, b_line = await desk.lines(2)
    server = desk.platform.demo.sip
    with RawPhone(a_line, server) as old, RawPhone(b_line, server) as callee:
        callee.register()
        mine, theirs = old.call(callee)
        with RawPhone(a_line, server) as new:
            request = refresh(mine, new)
            new.send(request)
            passed = callee.expect("INVITE")
            callee.respond(passed, 200, callee.description())
            assert new.transact(request).status == 200
            new.send(new.in_dialog(mine.new_ack(request.cseq.number)))
            callee.expect("ACK")
            bye = callee.in_dialog(theirs.new_request("BYE"))
            callee.send(bye)
            new.respond(new.expect("BYE"), 200)
            assert callee.transact(bye).status == 200
    assert ending(await desk.cdr(a_line)) == ("answered", 200, "callee")
