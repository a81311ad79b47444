"""How long the call managers' side of media control waits for what."""

from msgspec import Struct


class MediaTimes(Struct, frozen=True, kw_only=True):
    """Seconds, and the pace of bad news.

    Attributes:
        command_s: a command may wait so long for its reply.
        gather_s: the end of a session may wait so long for company on its way to the relay: nobody
            hears of it, and each message costs the same whatever it carries.
        connecting_s: a new session waits so long for a relay to be found and connected to when no
            other takes it.
        lost_after_s: a relay whose stream ended, and that neither refuses nor takes a new one, has
            lost its sessions after this time; one that refuses has lost them at once.
        silent_after_s: a relay that promised heartbeats and says nothing for so long is dead.
        first_pause_s: before the second attempt to connect; doubled with each further one.
        longest_pause_s: between attempts to connect.
        forget_after_s: a relay that left discovery, and on which lost sessions may live on, is
            tried for so long; they are closed if it comes back.
        refresh_s: between two readings of the relays' load reports.
        batch: sessions told as lost, or as to be moved, at once.
        batch_pause_s: between two such batches.
    """

    command_s: float = 2.0
    gather_s: float = 0.05
    connecting_s: float = 1.5
    lost_after_s: float = 0.3
    silent_after_s: float = 0.7
    first_pause_s: float = 0.05
    longest_pause_s: float = 1.0
    forget_after_s: float = 600.0
    refresh_s: float = 1.0
    batch: int = 100
    batch_pause_s: float = 0.05


DEFAULT_TIMES = MediaTimes()
