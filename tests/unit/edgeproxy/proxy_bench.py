"""A proxy between a fake node and two call managers."""

from typing import cast

from parley.backing.discovery.embedded import EmbeddedDiscovery
from parley.backing.state.embedded import EmbeddedState
from parley.backing.state.loads import callmanager_loads
from parley.edgeproxy.metrics import EdgeMetrics
from parley.edgeproxy.proxy.callmanagers import CallManagers
from parley.edgeproxy.proxy.forwarding import Forwarding
from parley.edgeproxy.proxy.proxy import Proxy
from parley.edgeproxy.proxy.stray_cancels import StrayCancels
from parley.edgeproxy.proxy.strays import Strays
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.routing.derivation import Derivation
from parley.edgeproxy.routing.hidden_vias import HiddenVias
from parley.edgeproxy.routing.routes import Routes
from parley.edgeproxy.routing.token import TokenCodec
from parley.model.ids import InstanceId
from parley.model.load import Load
from parley.service.metrics import Registry
from parley.sip.hop import Hop
from parley.sip.message import Request, Response, response_to
from parley.sip.transaction import ClientTransaction, ServerTransaction
from parley.testkit.clock import FakeClock
from parley.testkit.ids import CountingIds
from parley.testkit.sip_messages import make_request

PHONE = Hop("udp", "192.0.2.1", 5060)
PHONE_TCP = Hop("tcp", "192.0.2.1", 40000, 17)


class FakeTransaction:
    """Either side's transaction, as far as a proxy looks at it."""

    def __init__(self, request: Request, hop: Hop) -> None:
        self.request = request
        self.hop = hop
        self.user: object = None
        self.is_invite = request.method == "INVITE"
        self.is_answered = False
        self.is_terminated = False
        self.is_cancelled = False


class FakeNode:
    """Remembers what a proxy sends."""

    def __init__(self) -> None:
        self.requests: list[FakeTransaction] = []
        self.responses: list[Response] = []
        self.sent: list[tuple[Request | Response, Hop]] = []
        self.cancelled: list[tuple[object, tuple[tuple[str, str], ...]]] = []
        self.abandoned: list[object] = []
        self.branches_in_use: set[str | None] = set()

    def send_request(
        self, request: Request, hop: Hop, user: object = None, *, branch: str | None = None
    ) -> ClientTransaction:
        if branch in self.branches_in_use:
            raise ValueError("in use")
        branch = branch or "z9hG4bKnew"
        request.prepend("via", f"SIP/2.0/{hop.transport} 192.0.2.100:5060;branch={branch}")
        transaction = FakeTransaction(request, hop)
        transaction.user = user
        self.requests.append(transaction)
        return cast("ClientTransaction", transaction)

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        self.responses.append(response)
        if response.status >= 200:
            cast("FakeTransaction", transaction).is_answered = True

    def respond_statelessly(self, transaction: ServerTransaction, response: Response) -> None:
        self.respond(transaction, response)

    def cancel(
        self, transaction: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.cancelled.append((transaction, headers))

    def abandon(self, transaction: ClientTransaction) -> None:
        self.abandoned.append(transaction)

    def send(self, message: Request | Response, hop: Hop, branch: str | None = None) -> None:
        self.sent.append((message, hop))


class Bench:
    """A proxy between a fake node and two call managers."""

    def __init__(self) -> None:
        self.count = 0
        self.node = FakeNode()
        self.clock = FakeClock()
        self.metrics = EdgeMetrics(Registry())
        self.state = EmbeddedState(self.clock, None)
        self.callmanagers = CallManagers(self.state, EmbeddedDiscovery())
        self.derivation = Derivation(b"secret")
        self.addresses = addresses = EdgeAddresses()
        addresses.add_outside(Hop("udp", "192.0.2.100", 5060))
        addresses.set_inside(Hop("local", "edge", 0))
        self.routes = Routes(TokenCodec(b"secret"), addresses)
        self.hidden_vias = HiddenVias(b"secret")
        self.proxy = Proxy(
            sender=self.node,
            routes=self.routes,
            callmanagers=self.callmanagers,
            derivation=self.derivation,
            clock=self.clock,
            ids=CountingIds(),
            metrics=self.metrics,
        )
        self.strays = Strays(
            self.node,
            self.callmanagers,
            self.derivation,
            addresses,
            self.routes,
            self.hidden_vias,
            self.clock,
            self.metrics,
        )
        self.known: set[str] = set()
        self.stray_cancels = StrayCancels(
            knows=self.known.__contains__,
            sender=self.node,
            proxy=self.proxy,
            callmanagers=self.callmanagers,
            derivation=self.derivation,
            routes=self.routes,
            clock=self.clock,
            metrics=self.metrics,
        )

    async def start(self, *names: str) -> None:
        """Lets call managers report, the first idle, the others busy."""
        for number, name in enumerate(names or ("cm1", "cm2")):
            load = Load(
                instance=InstanceId(name),
                address=("local", name, 0),
                calls=10 * number,
                cpu=0.0,
                at=self.clock.wall_s(),
            )
            await callmanager_loads(self.state).publish(load)
        await self.callmanagers.refresh(self.clock.now(), self.clock.wall_s())

    def server(self, method: str = "INVITE") -> ServerTransaction:
        request = make_request(method)
        self.count += 1
        branch = f"z9hG4bKphone{self.count}"
        request.prepend("via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch}")
        return cast("ServerTransaction", FakeTransaction(request, PHONE))

    def call(self, server: ServerTransaction) -> FakeTransaction:
        """Forwards a new call; returns the client transaction."""
        forwarding = Forwarding(server, is_inward=True, call_id="call-1", new_from=PHONE)
        self.proxy.forward_inward(server.request.copy(), forwarding)
        return self.node.requests[-1]

    def ring(self, server: ServerTransaction, hop: Hop) -> FakeTransaction:
        """Forwards a request to a phone."""
        self.proxy.forward_outward(server.request.copy(), hop, server)
        return self.node.requests[-1]

    def fail(self, client: FakeTransaction, cause: str) -> None:
        client.is_terminated = True
        self.proxy.on_failure(cast("ClientTransaction", client), cause)

    def respond(
        self, client: FakeTransaction, status: int, owner: str = "", *, is_unknown: bool = False
    ) -> None:
        response = response_to(client.request, status, to_tag="b1")
        if owner:
            response.add("x-parley-owner", owner)
        if is_unknown:
            response.add("x-parley-unknown", "1")
        self.proxy.on_response(cast("ClientTransaction", client), response)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.node.responses]

    def follow_up(self, owner: str, method: str = "BYE") -> FakeTransaction:
        """Forwards a request within a dialog; returns the client transaction."""
        server = self.server(method)
        forwarding = Forwarding(server, is_inward=True, call_id="call-1", owner=owner)
        self.proxy.forward_inward(server.request.copy(), forwarding)
        return self.node.requests[-1]

    def wait(self, seconds: float) -> None:
        """Lets time pass and the proxy look at its requests."""
        self.clock.advance(seconds)
        self.proxy.check()
