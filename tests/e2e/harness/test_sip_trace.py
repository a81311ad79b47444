"""Messages are read out of the phones' logs."""

from parley.testkit.phones.sip_trace import messages_of, of_baresip, of_sipp

BARESIP = """\
call: connecting
\x1b[36;1m#
UDP 127.0.0.1:5070 -> 127.0.0.1:5060
INVITE sip:1002@demo SIP/2.0
CSeq: 1 INVITE
Content-Length: 12

v=0
o=- 1 1 IN IP4 127.0.0.1
m=audio 4000 RTP/AVP 8

\x1b[;m
stream: something else
\x1b[36;1m#
TLS 127.0.0.1:5060 -> 127.0.0.1:39196
SIP/2.0 486 Busy Here
CSeq: 1 INVITE
Via : a
via: b

\x1b[;m
""".splitlines()

SIPP = """\
----------------------------------------------- 2026-11-24 01:19:44.078638
UDP message sent (293 bytes):

BYE sip:demo SIP/2.0\r
CSeq: 2 BYE\r
\r

----------------------------------------------- 2026-11-24 01:19:44.078952
UDP message received [279] bytes :

SIP/2.0 200 OK\r
CSeq: 2 BYE\r
\r
"""


def test_baresips_log_tells_direction_and_description() -> None:
    sent, received = of_baresip(BARESIP, 5070, ["127.0.0.1:5061"])
    assert (sent.is_received, sent.method, sent.status) == (False, "INVITE", None)
    assert sent.sdp is not None
    assert sent.sdp.media[0].port == 4000
    assert (received.is_received, received.method, received.status) == (True, "INVITE", 486)
    assert received.headers("Via") == ["a", "b"]
    assert received.sdp is None


def test_connection_to_the_server_counts_as_sent() -> None:
    lines = ["TCP 127.0.0.1:39196 -> 127.0.0.1:5061", "ACK sip:x SIP/2.0", "", "\x1b[;m"]
    [message] = of_baresip(lines, 5070, ["127.0.0.1:5061"])
    assert not message.is_received


def test_sipps_file_tells_direction() -> None:
    messages = of_sipp(SIPP)
    assert len(messages_of(messages, "BYE", is_received=False)) == 1
    assert [message.start_line for message in messages_of(messages, "BYE", 200)] == [
        "SIP/2.0 200 OK"
    ]
