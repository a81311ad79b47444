"""Well-formed requests of somebody who has no business with the call that they are about."""

from collections.abc import Callable

from parley.testkit.phones.raw_phone import RawPhone

_SILENCE_S = 0.25


def test_the_route_of_one_call_opens_no_other(make_phone: Callable[[str], RawPhone]) -> None:
    ann, bob, eve, dan = (make_phone(number) for number in ("1001", "1002", "1003", "1004"))
    bob.register()
    dan.register()
    dialog, _ = ann.call(bob)
    own, _ = eve.call(dan)

    for method in ("BYE", "INFO", "INVITE"):
        request = dialog.new_request(method)
        request.remove("route")
        request.extend("route", own.route_set)
        assert eve.transact(eve.in_dialog(request)).status == 481
    assert bob.hear(_SILENCE_S) is None

    for caller, callee, mine in ((ann, bob, dialog), (eve, dan, own)):
        caller.send(caller.in_dialog(mine.new_request("BYE")))
        callee.respond(callee.expect("BYE"), 200)
