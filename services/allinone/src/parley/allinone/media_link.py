"""The way to the media relays, as a service: in this process or, by gRPC, in others."""

import asyncio

from parley.backing.media.base import MediaControl
from parley.backing.media.direct import DirectMediaControl
from parley.backing.media.grpc import GrpcMediaControl
from parley.mediarelay.app import RelayService
from parley.service.errors import StartError
from parley.service.inside import Inside

_FIRST_CONTACT_S = 10.0


class InnerRelay:
    """A relay of this process, called directly.

    Attributes:
        control: for the call manager.
    """

    def __init__(self, relay: RelayService) -> None:
        self.name = relay.name
        self.control: MediaControl = DirectMediaControl(relay.relay)
        self.start = relay.start
        self.drain = relay.drain
        self.aclose = relay.aclose
        self.is_ready = relay.is_ready


class OuterRelays:
    """Relays that run as processes of their own.

    Attributes:
        control: for the call manager.
    """

    name = "media relays"

    def __init__(self, addresses: tuple[str, ...], instance_id: str, inside: Inside) -> None:
        self._grpc = GrpcMediaControl(addresses, instance_id, inside=inside)
        self._addresses = addresses
        self.control: MediaControl = self._grpc

    async def start(self) -> None:
        """Connects and waits for the first relay.

        Raises:
            StartError: none answers.
        """
        await self._grpc.start()
        try:
            async with asyncio.timeout(_FIRST_CONTACT_S):
                await self._grpc.wait_ready()
        except TimeoutError as error:
            places = ", ".join(self._addresses)
            raise StartError(f"No media relay answers at {places}.") from error

    async def drain(self, timeout_s: float) -> None:
        """Does nothing: calls need their relays to their end."""

    async def aclose(self) -> None:
        """Ends the streams."""
        await self._grpc.aclose()

    def is_ready(self) -> bool:
        """Says whether a relay takes new sessions."""
        return self._grpc.is_ready
