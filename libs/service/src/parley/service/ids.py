"""Random ids for production; implements `parley.sip.ids.Ids`.

`os.urandom` is a system call of about a microsecond; a SIP message needs two or three tokens, so
the bytes are drawn in blocks. A block must not outlive a fork: make one source per process.
"""

import os

from parley.model.ids import InstanceId

_BLOCK_BYTES = 4096


class RandomIds:
    """Unguessable tokens from the operating system's generator."""

    __slots__ = ("_block", "_offset")

    def __init__(self) -> None:
        self._block = b""
        self._offset = 0

    def token(self, n_bytes: int = 8) -> str:
        """Returns `n_bytes` of randomness as lower-case hex, safe in URLs and SIP tokens."""
        start = self._offset
        end = start + n_bytes
        if end > len(self._block):
            self._block = os.urandom(max(_BLOCK_BYTES, n_bytes))
            start, end = 0, n_bytes
        self._offset = end
        return self._block[start:end].hex()

    def instance(self, name: str) -> InstanceId:
        """Names this run of a process: `name-incarnation`, never reused."""
        return InstanceId(f"{name}-{self.token(5)}")
