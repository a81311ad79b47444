"""The other call managers: where they are, and health checks of them (seams, section 9)."""

import asyncio
from collections.abc import Sequence
from typing import Final

from parley.backing.discovery.base import Discovery, InstanceState
from parley.callmanager.hops import hop_at
from parley.callmanager.ownership import Answer
from parley.model.rendezvous import choose
from parley.sip.hop import Hop
from parley.sip.ids import Ids
from parley.sip.message import Request, Response
from parley.siptransport.node import SipNode

SERVICE_NAME: Final = "callmanager"
SHARED_HOST: Final = "callmanager.parley.internal"
"""Host of the Via of all call managers: their requests are one service's, whoever repeats them."""

PROBE_HEADER: Final = "x-parley-probe"
STATE_HEADER: Final = "x-parley-state"
PROBE_TIMEOUT_S: Final = 0.3


class ProbeUser:
    """Waits for the answer to one probe; what the node's transaction is given as its user."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def receive(self, response: Response) -> None:
        """Takes a response."""
        if response.status >= 200 and not self.answer.done():
            is_away = response.get(STATE_HEADER) == Answer.AWAY.value
            self.answer.set_result(Answer.AWAY if is_away else Answer.UP)

    def fail(self) -> None:
        """There is no response."""
        if not self.answer.done():
            self.answer.set_result(Answer.SILENT)


class Peers:
    """Knows and asks the other call managers."""

    def __init__(self, discovery: Discovery, node: SipNode, ids: Ids, me: str) -> None:
        self._discovery = discovery
        self._node = node
        self._ids = ids
        self._me = me
        self._probes: dict[str, asyncio.Task[Answer]] = {}

    def hop_of(self, instance: str) -> Hop | None:
        """Where an instance takes SIP; None when discovery does not know it."""
        for each in self._discovery.instances(SERVICE_NAME):
            if each.id == instance:
                return hop_at(each.address)
        return None

    def others(self) -> list[str]:
        """All others that discovery knows."""
        return [each.id for each in self._discovery.instances(SERVICE_NAME) if each.id != self._me]

    def takers(self) -> list[str]:
        """The others that take calls."""
        return [
            each.id
            for each in self._discovery.instances(SERVICE_NAME)
            if each.id != self._me and each.state is InstanceState.READY
        ]

    def successor(self, call_id: str) -> str | None:
        """Who of the others has to take a call that this one gives up."""
        return choose(call_id, self.takers())

    async def ask(self, instance: str) -> Answer:
        """Probes one instance; several askers at a time share one probe."""
        probe = self._probes.get(instance)
        if probe is None:
            probe = asyncio.ensure_future(self._probe(instance))
            self._probes[instance] = probe
            probe.add_done_callback(lambda _: self._probes.pop(instance, None))
        return await asyncio.shield(probe)

    async def ask_all(self) -> Sequence[Answer]:
        """Probes all others at once."""
        return await asyncio.gather(*(self.ask(instance) for instance in self.others()))

    async def aclose(self) -> None:
        """Ends the probes that are under way."""
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def _probe(self, instance: str) -> Answer:
        hop = self.hop_of(instance)
        if hop is None:
            return Answer.SILENT
        user = ProbeUser()
        self._node.send_request(self._request(hop), hop, user)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return await user.answer
        except TimeoutError:
            return Answer.SILENT

    def _request(self, hop: Hop) -> Request:
        ids = self._ids
        request = Request("OPTIONS", f"sip:{SHARED_HOST};transport={hop.transport}")
        request.add("max-forwards", "1")
        request.add("from", f"<sip:{SHARED_HOST}>;tag={ids.token()}")
        request.add("to", f"<sip:{SHARED_HOST}>")
        request.add("call-id", ids.token())
        request.add("cseq", "1 OPTIONS")
        request.add(PROBE_HEADER, "1")
        return request
