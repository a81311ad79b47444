"""How an edge goes: phones are moved to the other edges without a storm.

An edge with an address of its own refuses new calls and waits for what is under way; its phones
find another edge when it is gone, as they would after its death. One that shares its address goes
on serving for a moment, since calls and registrations are not bound to an edge: it accepts no
more connections and finishes the requests under way, for `NOTICE_S` at least, in which call
managers learn that it leaves, and `SHARED_UDP_S` at most. Then it closes its UDP socket, so that
the kernel gives its phones to the other edges. What is under way longer, an INVITE that rings, goes
on there: responses of phones pass as strays (`strays.py`), and call managers repeat what had no
answer.

Connections of phones are closed a few at a time, so that their registrations elsewhere come a few
at a time; those on which a transaction lives come last.
"""

from asyncio import sleep, timeout
from math import ceil
from typing import Final
from zlib import crc32

from parley.edgeproxy.proxy.proxy import Proxy
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.sip.hop import Hop
from parley.siptransport.node import SipNode

SHARED_UDP_S: Final = 2.0
NOTICE_S: Final = 0.5
"""Within that everybody has heard from discovery that this edge leaves, and who stays."""
STEP_S: Final = 0.05
PACED_SHARE: Final = 0.7
"""Of the time that is left, for closing connections; the rest is for what still runs there."""


class Drain:
    """Ends the outside of one edge.

    Args:
        rate: connections closed a second; more, if the time does not suffice.
    """

    def __init__(self, node: SipNode, addresses: EdgeAddresses, proxy: Proxy, rate: float) -> None:
        self._node = node
        self._addresses = addresses
        self._proxy = proxy
        self._rate = rate

    async def leave_shared_address(self) -> None:
        """Gives listeners up, UDP after what is under way."""
        for transport, listener in self._addresses.outside.items():
            if transport != "udp":
                self._node.transports[transport].stop_listening(listener)
        try:
            async with timeout(SHARED_UDP_S):
                await sleep(NOTICE_S)
                await self._proxy.wait_idle()
        except TimeoutError:
            pass  # goes on at another edge
        udp = self._addresses.outside.get("udp")
        if udp is not None:
            self._addresses.close_outside("udp")
            self._node.transports["udp"].stop_listening(udp)

    async def close_connections(self, time_s: float) -> None:
        """Closes the connections of phones, spread over some time.

        Args:
            time_s: how long it may take at most.
        """
        flows = self._flows()
        if not flows:
            return
        steps = ceil(min(len(flows) / self._rate, time_s * PACED_SHARE) / STEP_S) or 1
        per_step = ceil(len(flows) / steps)
        while flows:
            for flow in flows[:per_step]:
                self._node.transports[flow.transport].close_flow(flow)
            del flows[:per_step]
            await sleep(STEP_S)

    def _flows(self) -> list[Hop]:
        flows = [
            flow
            for transport, listener in self._addresses.outside.items()
            for flow in self._node.transports[transport].flows(listener)
            if not self._node.layer.is_in_use(flow)
        ]
        # Neighbours in time are often neighbours in place: a whole office should not go at once.
        return sorted(flows, key=lambda flow: crc32(str(flow.flow).encode()))
