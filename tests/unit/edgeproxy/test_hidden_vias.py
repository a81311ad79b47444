"""What phones are shown of a call manager's Vias, and what comes back of it."""

import pytest

from parley.edgeproxy.routing.hidden_vias import HiddenVias
from parley.sip.message import Request, response_to
from parley.testkit.sip_messages import make_request

SECRET = b"secret of all edges"
OURS = "SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKours"
VIAS = [
    "SIP/2.0/TCP callmanager.parley.internal;branch=z9hG4bK-call-1-7;parley-host=10.0.0.5",
    "SIP/2.0/TCP other;branch=z9hG4bKx, SIP/2.0/UDP more;branch=z9hG4bKy",
]


def _shown(vias: list[str]) -> Request:
    request = make_request("INVITE")
    request.remove("via")
    request.extend("via", vias)
    HiddenVias(SECRET).hide(request)
    request.prepend("via", OURS)
    return request


@pytest.mark.parametrize("vias", [VIAS[:1], VIAS])
def test_any_edge_reveals_what_one_hid(vias: list[str]) -> None:
    request = _shown(vias)
    assert "internal" not in str(request.values("via"))
    assert len(request.values("via")) == 2
    response = response_to(request, 200, to_tag="b")

    HiddenVias(SECRET).reveal(response)

    assert response.values("via") == [OURS, *", ".join(vias).split(", ")]


def test_vias_that_nobody_hid_stay_as_they_are() -> None:
    request = _shown(VIAS)
    for secret, change in ((b"another secret", ""), (SECRET, "A")):
        response = response_to(request, 200, to_tag="b")
        top, hidden = response.values("via")
        response.set("via", f"{top}, {hidden}{change}")
        before = response.values("via")
        HiddenVias(secret).reveal(response)
        assert response.values("via") == before
