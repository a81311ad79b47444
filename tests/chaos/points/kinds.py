"""What happens in a call when its owner dies: one class for each way to come to a point."""

from typing import ClassVar, Final

from tests.chaos.points.case import Case

from parley.testkit.farm.manners import Step
from parley.testkit.farm.phone import FarmPhone

_CALLERS_GLARE_PAUSE_S: Final = 2.1
_CANCELLED: Final = 487


class NewCall(Case):
    """The INVITE reaches the owner and nobody else."""

    def strike(self) -> None:
        """Calls; nobody hears of it."""
        self.ask("INVITE", self.caller.call(self.callee.line.number))


class Unheard(Case):
    """The callee has the INVITE and has said nothing."""

    async def prepare(self) -> None:
        """The phone is silent."""
        self.callee.withheld.add(Step.RING)
        await self.dial()

    def go_on(self) -> None:
        """It rings and answers."""
        self.into.held.go_on(Step.RING)


class Ringing(Case):
    """The caller hears it ring."""

    async def prepare(self) -> None:
        """The phone rings."""
        self.callee.withheld.add(Step.ANSWER)
        await self.dial()
        await self.until(lambda: self.into.held.has(Step.ANSWER) and self.out.rang.is_set())

    def go_on(self) -> None:
        """It is picked up."""
        self.into.held.go_on(Step.ANSWER)


class Answering(Ringing):
    """The callee's 200 reaches the owner and nobody else."""

    def strike(self) -> None:
        """The phone is picked up."""
        super().go_on()

    def go_on(self) -> None:
        """Nothing is left to be done."""


class Unacknowledged(Case):
    """The caller has the 200 and has not acknowledged it."""

    has_offer: ClassVar[bool] = True

    async def prepare(self) -> None:
        """It is answered."""
        self.caller.withheld.add(Step.ACK)
        await self.dial(has_offer=self.has_offer)
        await self.until(lambda: self.out.held.has(Step.ACK))

    def go_on(self) -> None:
        """The ACK goes out."""
        self.out.held.go_on(Step.ACK)


class Acknowledging(Unacknowledged):
    """The ACK reaches the owner and nobody else."""

    def strike(self) -> None:
        """The ACK goes out."""
        super().go_on()

    def go_on(self) -> None:
        """Nothing is left to be done."""


class AnsweringInAck(Acknowledging):
    """The ACK brings the caller's answer, for the INVITE had no offer."""

    has_offer: ClassVar[bool] = False


class Changing(Case):
    """A re-INVITE of one side reaches the owner and nobody else."""

    def __init__(
        self, point: int, caller: FarmPhone, callee: FarmPhone, *, by_caller: bool = True
    ) -> None:
        super().__init__(point, caller, callee)
        self._by_caller = by_caller

    async def prepare(self) -> None:
        """They talk."""
        await self.talk()

    def strike(self) -> None:
        """One side offers anew."""
        side = self.out if self._by_caller else self.into
        self.ask("re-INVITE", side.re_invite())


class Changed(Case):
    """The callee has the caller's re-INVITE and has not answered."""

    async def prepare(self) -> None:
        """The caller has offered anew."""
        await self.talk()
        self.callee.withheld.add(Step.OFFER)
        self.ask("re-INVITE", self.out.re_invite())
        await self.until(lambda: self.into.held.has(Step.OFFER))

    def go_on(self) -> None:
        """The answer goes out."""
        self.into.held.go_on(Step.OFFER)


class AnsweringChange(Changed):
    """The 200 to a re-INVITE reaches the owner and nobody else."""

    def strike(self) -> None:
        """The answer goes out."""
        super().go_on()

    def go_on(self) -> None:
        """Nothing is left to be done."""


class Crossing(Case):
    """Both sides' re-INVITEs reach the owner, which would answer 491."""

    async def prepare(self) -> None:
        """They talk."""
        await self.talk()
        self.out.glare_pause_s = _CALLERS_GLARE_PAUSE_S

    def strike(self) -> None:
        """Both offer anew."""
        self.ask("caller's re-INVITE", self.out.re_invite())
        self.ask("callee's re-INVITE", self.into.re_invite())


class Cancelling(Case):
    """The CANCEL reaches the owner and nobody else."""

    lives: ClassVar[bool] = False
    result: ClassVar[str] = "cancelled"

    async def prepare(self) -> None:
        """The phone rings."""
        self.callee.withheld.add(Step.ANSWER)
        await self.dial(_CANCELLED)
        await self.until(lambda: self.out.rang.is_set())

    def strike(self) -> None:
        """The caller gives up."""
        self.out.cancel()


class Cancelled(Cancelling):
    """The callee has the CANCEL and has not ended its INVITE."""

    async def prepare(self) -> None:
        """The caller has given up."""
        await super().prepare()
        self.callee.withheld.add(Step.CANCEL)
        self.out.cancel()
        await self.until(lambda: self.into.held.has(Step.CANCEL))

    def strike(self) -> None:
        """Nothing comes."""

    def go_on(self) -> None:
        """The 487 goes out."""
        self.into.held.go_on(Step.CANCEL)


class HangingUp(Case):
    """The BYE of one side reaches the owner and nobody else."""

    lives: ClassVar[bool] = False

    def __init__(
        self, point: int, caller: FarmPhone, callee: FarmPhone, *, by_caller: bool = True
    ) -> None:
        super().__init__(point, caller, callee)
        self._by_caller = by_caller

    async def prepare(self) -> None:
        """They talk."""
        await self.talk()

    def strike(self) -> None:
        """One side hangs up."""
        side = self.out if self._by_caller else self.into
        self.ask("BYE", side.hang_up())


class HungUp(Case):
    """The caller has hung up and the callee, who cannot hear for a while, does not know."""

    lives: ClassVar[bool] = False

    async def prepare(self) -> None:
        """The caller has its 200."""
        await self.talk()
        self.callee.withheld.add(Step.BYE)
        await self.out.hang_up()
        await self.until(lambda: self.into.held.has(Step.BYE))

    def go_on(self) -> None:
        """The callee hears again."""
        self.into.held.go_on(Step.BYE)
