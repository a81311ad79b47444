"""Ways to a master: a fixed address, or the one that Sentinels name at the moment."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from parley.backing.state.redis_link import Link, Refused, ReplyError
from parley.backing.state.redis_url import Address, Login


class Connector(Protocol):
    """Makes connections to a master.

    Attributes:
        check_s: how often `has_moved` is worth asking, in seconds; None for never.
    """

    check_s: float | None

    async def connect(self) -> tuple[Link, str]:
        """Returns a link that is ready, and the server's generation.

        The caller bounds the time; a cancelled attempt leaves nothing open.

        Raises:
            OSError: there is no connection.
            Refused: the server cannot be used (now).
        """
        ...

    async def has_moved(self) -> bool:
        """Says whether the master is elsewhere than at the last connection.

        Raises:
            OSError: nobody could be asked.
            Refused: nobody knows.
        """
        ...


class Direct:
    """Connects to one address."""

    check_s: float | None = None

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login

    async def connect(self) -> tuple[Link, str]:
        """Connects, logs in and checks what is there."""
        link = await Link.open(self._address, self._login)
        try:
            await link.greet(self._login)
            return link, await link.check_master()
        except BaseException:
            link.abort()
            raise

    async def has_moved(self) -> bool:
        """Says no."""
        return False


class BySentinel:
    """Asks Sentinels where the master is, for every connection anew.

    A master that Sentinels have replaced goes on taking writes for up to ten seconds, until they
    make it a replica; all of these are lost. So they are asked now and then in between too.
    """

    check_s: float | None = 1.0

    def __init__(
        self,
        sentinels: Sequence[Address],
        master: str,
        login: Login,
        sentinel_login: Login,
        ask_s: float,
    ) -> None:
        """Takes `ask_s`: how long one Sentinel may take, in seconds."""
        self._sentinels = list(sentinels)
        self._master = master
        self._login = login
        self._sentinel_login = sentinel_login
        self._ask_s = ask_s
        self._current: Address | None = None

    async def connect(self) -> tuple[Link, str]:
        """Connects to the master that the first Sentinel names which answers."""
        self._current = address = await self._locate()
        return await Direct(address, self._login).connect()

    async def has_moved(self) -> bool:
        """Says whether the Sentinels name another master than the one connected to."""
        return await self._locate() != self._current

    async def _locate(self) -> Address:
        trouble: Exception = Refused("no Sentinel is given")
        for sentinel in tuple(self._sentinels):
            try:
                async with asyncio.timeout(self._ask_s):
                    return await self._ask(sentinel)
            except (OSError, Refused) as error:  # a time-out is an OSError
                trouble = Refused(f"Sentinel {sentinel}: {error or 'no answer in time'}")
                self._sentinels.remove(sentinel)
                self._sentinels.append(sentinel)
        raise trouble

    async def _ask(self, sentinel: Address) -> Address:
        link = await Link.open(sentinel, self._sentinel_login)
        try:
            await link.greet(self._sentinel_login)
            question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
            [reply] = await link.ask_all([question])
        finally:
            link.abort()
        if isinstance(reply, ReplyError):
            raise Refused(str(reply))
        if reply is None:
            raise Refused(f"it knows no master {self._master}")
        try:
            host, port = reply
            return Address(host.decode(), int(port))
        except (TypeError, ValueError, AttributeError):
            raise Refused("its answer is not an address") from None
