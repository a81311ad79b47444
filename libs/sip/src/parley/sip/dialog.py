"""Dialogs (RFC 3261 12): the state that two user agents share beyond one transaction.

A dialog is a plain value machine without timers: it makes in-dialog requests, checks the order of
those received and knows where to send. Addresses are kept as text, the way they came, so that a
peer that compares them finds its own spelling again. `to_record` and `from_record` carry a dialog
to another process; records hold only text, numbers, booleans and lists.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Self

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.headers import NameAddr, parse_name_addr
from parley.sip.message import Message, Request, Response
from parley.sip.uri import SipUri, parse_uri

_MAX_FORWARDS = "70"
# Methods whose Contact replaces the remote target (RFC 3261 12.2, 3311, 6665, 3515).
_TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
# They belong to an INVITE and carry its number (12.2.2 counts neither).
_UNNUMBERED = frozenset(("ACK", "CANCEL"))
# 19.1.1 table 1: what a strict router's URI must lose in a Request-URI.
_NOT_IN_REQUEST_URI = frozenset(("method",))


class DialogId(NamedTuple):
    """What a dialog is found by (12)."""

    call_id: str
    local_tag: str
    remote_tag: str


class DialogState(Enum):
    """How far a dialog got."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Dialog:
    """One dialog, seen from one side.

    Attributes:
        id: Call-ID and both tags; a peer of RFC 2543 has the empty tag.
        is_uac: whether we sent the request that made it.
        state: early, confirmed, terminated; set by `confirm` and `terminate`.
        is_secure: the dialog was made over sips (12.1.1).
        local_party, remote_party: From and To values without tag.
        local_cseq: number of our last request; None before the first.
        remote_cseq: number of the peer's last request; None before the first.
        local_contact: our Contact value.
        remote_target: URI text that in-dialog requests go to.
        route_set: Route values, nearest first.
    """

    __slots__ = (
        "id",
        "is_secure",
        "is_uac",
        "local_contact",
        "local_cseq",
        "local_party",
        "remote_cseq",
        "remote_party",
        "remote_target",
        "route_set",
        "state",
    )

    def __init__(self, dialog_id: DialogId, *, is_uac: bool) -> None:
        """Makes an empty dialog; `uac`, `uas` and `from_record` fill it."""
        self.id = dialog_id
        self.is_uac = is_uac
        self.state = DialogState.EARLY
        self.is_secure = False
        self.local_party = ""
        self.remote_party = ""
        self.local_cseq: int | None = None
        self.remote_cseq: int | None = None
        self.local_contact = ""
        self.remote_target = ""
        self.route_set: list[str] = []

    # --- making ----------------------------------------------------------------------------

    @classmethod
    def uas(cls, request: Request, local_tag: str, contact: str) -> Self:
        """Makes the UAS side of a dialog, early (12.1.1).

        Args:
            request: the INVITE (or SUBSCRIBE, REFER).
            local_tag: the tag that our responses carry in To.
            contact: our Contact value.

        Raises:
            RemoteProtocolError: 400, Contact is missing or unusable.
        """
        remote = request.from_
        dialog = cls(DialogId(request.call_id, local_tag, remote.tag or ""), is_uac=False)
        dialog.is_secure = request.uri_text[:5].lower() == "sips:"
        dialog.local_party = _without_tag(request.to)
        dialog.remote_party = _without_tag(remote)
        dialog.remote_cseq = request.cseq.number
        dialog.local_contact = contact
        dialog.remote_target = _contact_uri(request)
        dialog.route_set = request.values("record-route")
        dialog._check_routes()
        return dialog

    @classmethod
    def uac(cls, request: Request, response: Response) -> Self:
        """Makes the UAC side from a response with a To tag (12.1.2): early, or confirmed by 2xx.

        Each To tag that answers a forked request is a dialog of its own (13.2.2.4).

        Raises:
            RemoteProtocolError: 400, the response's Contact or Record-Route is unusable.
        """
        local = request.from_
        tags = local.tag or "", response.to.tag or ""
        dialog = cls(DialogId(request.call_id, *tags), is_uac=True)
        dialog.is_secure = request.uri_text[:5].lower() == "sips:"
        dialog.local_party = _without_tag(local)
        dialog.remote_party = _without_tag(request.to)
        dialog.local_cseq = request.cseq.number
        dialog.local_contact = request.get("contact") or ""
        dialog._read_response(response, request.uri_text)
        return dialog

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Makes a dialog from what `to_record` returned."""
        dialog_id = DialogId(record["call_id"], record["local_tag"], record["remote_tag"])
        dialog = cls(dialog_id, is_uac=record["is_uac"])
        dialog.state = DialogState(record["state"])
        dialog.is_secure = record["is_secure"]
        dialog.local_party = record["local_party"]
        dialog.remote_party = record["remote_party"]
        dialog.local_cseq = record["local_cseq"]
        dialog.remote_cseq = record["remote_cseq"]
        dialog.local_contact = record["local_contact"]
        dialog.remote_target = record["remote_target"]
        dialog.route_set = list(record["route_set"])
        return dialog

    def to_record(self) -> dict[str, Any]:
        """Returns the whole state as JSON-like values."""
        return {
            "call_id": self.id.call_id,
            "local_tag": self.id.local_tag,
            "remote_tag": self.id.remote_tag,
            "is_uac": self.is_uac,
            "state": self.state.value,
            "is_secure": self.is_secure,
            "local_party": self.local_party,
            "remote_party": self.remote_party,
            "local_cseq": self.local_cseq,
            "remote_cseq": self.remote_cseq,
            "local_contact": self.local_contact,
            "remote_target": self.remote_target,
            "route_set": list(self.route_set),
        }

    # --- life ------------------------------------------------------------------------------

    def confirm(self, response: Response | None = None) -> None:
        """Moves on to confirmed.

        Args:
            response: for a UAC the 2xx, whose Record-Route and Contact replace those of the
                provisional (13.2.2.4); None for a UAS.
        """
        if response is not None and self.is_uac and self.state is DialogState.EARLY:
            self._read_response(response, self.remote_target)
        self.state = DialogState.CONFIRMED

    def terminate(self) -> None:
        """Marks the end; requests can still be made (an ACK, a late BYE)."""
        self.state = DialogState.TERMINATED

    def receive_request(self, request: Request) -> int | None:
        """Checks the order of an in-dialog request (12.2.2).

        Returns:
            None if it may be processed, else the status that refuses it: 500 for a number lower
            than one seen before. An equal number passes: after a takeover a retransmission has
            no transaction here any more.
        """
        if request.method in _UNNUMBERED:
            return None
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            return 500
        self.remote_cseq = number
        return None

    def refresh_target(self, message: Message) -> None:
        """Takes a new remote target from a target refresh request or its 2xx (12.2.1.2, 12.2.2).

        To be called when the request is accepted; messages of other methods change nothing.

        Raises:
            RemoteProtocolError: 400, the Contact is unusable.
        """
        if message.cseq.method in _TARGET_REFRESH and message.has("contact"):
            self.remote_target = _contact_uri(message)

    def replace_first_route(self, route: str) -> None:
        """Takes what the nearest router says of itself: it reaches the peer by another way now.

        The route set of a dialog is fixed (12.2) but for a router that is the same party as we.

        Raises:
            RemoteProtocolError: 400, it is not a SIP URI; nothing was changed.
        """
        if not isinstance(parse_name_addr(route).uri, SipUri):
            raise RemoteProtocolError("a route is not a SIP URI")
        self.route_set = [route, *self.route_set[1:]]

    # --- requests --------------------------------------------------------------------------

    def new_request(self, method: str) -> Request:
        """Makes the next in-dialog request (12.2.1.1), without Via."""
        if method in _UNNUMBERED:
            raise LocalProtocolError(f"{method} belongs to an INVITE and has its number")
        self.local_cseq = (self.local_cseq or 0) + 1
        request = self._request(method, self.local_cseq)
        if method in _TARGET_REFRESH and self.local_contact:
            request.add("contact", self.local_contact)
        return request

    def new_ack(self, invite_cseq: int) -> Request:
        """Makes the ACK to a 2xx (13.2.2.4), without Via; retransmitted 2xx get the same."""
        return self._request("ACK", invite_cseq)

    @property
    def next_hop_uri(self) -> SipUri:
        """Where in-dialog requests are sent: the first route, else the remote target (8.1.2).

        Raises:
            RemoteProtocolError: 416, the peer gave a URI that cannot be routed to.
        """
        uri = parse_name_addr(self.route_set[0]).uri if self.route_set else None
        if uri is None:
            uri = parse_uri(self.remote_target)
        if not isinstance(uri, SipUri):
            raise RemoteProtocolError("remote target is not a SIP URI", 416)
        return uri

    # --- inside ----------------------------------------------------------------------------

    def _request(self, method: str, number: int) -> Request:
        target, routes = self._target_and_routes()
        request = Request(method, target)
        if routes:
            request.extend("route", routes)
        request.add("max-forwards", _MAX_FORWARDS)
        request.add("from", _with_tag(self.local_party, self.id.local_tag))
        request.add("to", _with_tag(self.remote_party, self.id.remote_tag))
        request.add("call-id", self.id.call_id)
        request.add("cseq", f"{number} {method}")
        return request

    def _target_and_routes(self) -> tuple[str, list[str]]:
        if not self.route_set:
            return self.remote_target, []
        first = parse_name_addr(self.route_set[0]).uri
        if not isinstance(first, SipUri) or first.is_loose_router:
            return self.remote_target, self.route_set
        # A strict router of RFC 2543 expects itself in the Request-URI (12.2.1.1).
        params = {
            name: value for name, value in first.params.items() if name not in _NOT_IN_REQUEST_URI
        }
        plain = SipUri(first.scheme, first.user, first.host, first.port, params)
        return str(plain), [*self.route_set[1:], f"<{self.remote_target}>"]

    def _read_response(self, response: Response, default_target: str) -> None:
        self.route_set = response.values("record-route")[::-1]
        self._check_routes()
        # A 1xx need not bring a Contact, and some 2xx forget it: what reached the peer once
        # reaches it again.
        has_contact = response.has("contact")
        self.remote_target = _contact_uri(response) if has_contact else default_target
        if response.status >= 200:
            self.state = DialogState.CONFIRMED

    def _check_routes(self) -> None:
        for route in self.route_set:
            if not isinstance(parse_name_addr(route).uri, SipUri):
                raise RemoteProtocolError("Record-Route is not a SIP URI")


def _without_tag(party: NameAddr) -> str:
    return str(party.with_params({k: v for k, v in party.params.items() if k != "tag"}))


def _with_tag(party: str, tag: str) -> str:
    return f"{party};tag={tag}" if tag else party


def _contact_uri(message: Message) -> str:
    contacts = message.contacts
    if not contacts or contacts[0].is_wildcard:
        raise RemoteProtocolError("Contact is missing")
    uri = contacts[0].uri
    if not isinstance(uri, SipUri):
        raise RemoteProtocolError("Contact is not a SIP URI")
    return contacts[0].uri_text
