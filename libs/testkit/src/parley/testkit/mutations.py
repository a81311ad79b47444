"""Seeded mutations of SIP messages: cheap, repeatable, many.

Most change little, so that a mutated message gets deep into the receiver before it is noticed; some
splice in what parsers stumble over, or parts of other messages.
"""

import random
from collections.abc import Sequence
from typing import Final

_SEPARATORS: Final = b"\0\t\n\r \"%&'(),/:;<=>?@[\\]{}*"
SPICE: Final = (
    *(bytes([value]) for value in _SEPARATORS),
    *(b"\r\n", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\xff", b"\xc3", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"SIP/2.0", b"SIP/3.0", b"sips:", b"tel:+1", b"Via: ", b"v:", b"l: 0\r\n", b"k: x\r\n"),
    *(b"Content-Length: 7\r\n", b"CSeq: ", b"Require: x\r\n", b"Max-Forwards: 0\r\n"),
    *(b"99999999999", b"-1", b"4294967296", b"0", b"%00", b"%zz", b"\xd9\xa3", b"1e9"),
    *(b";tag=", b";branch=", b";lr", b";rport", b";expires=", b'"<', b">;", b"A" * 300),
)
"""Bytes and words on which SIP parsers stumble."""

_COUNTS: Final = (1, 1, 1, 2, 3, 8)


class Mutator:
    """Makes mutated messages out of samples."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable tests, protects nothing

    def mutate(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """Changes a message in one to eight places.

        Args:
            data: the message.
            others: messages whose parts may be spliced in.
        """
        changed = bytearray(data)
        for _ in range(self.random.choice(_COUNTS)):
            self._change(changed, others)
        return bytes(changed)

    def garbage(self, max_bytes: int = 1500) -> bytes:
        """Random bytes, at least one."""
        return self.random.randbytes(self.random.randint(1, max_bytes))

    def _change(self, changed: bytearray, others: Sequence[bytes]) -> None:
        choose = self.random
        at = choose.randrange(len(changed) + 1)
        to = min(len(changed), at + choose.choice((0, 1, 1, 2, 9, 60)))
        match choose.randrange(7):
            case 0:
                changed[at:to] = choose.choice(SPICE)
            case 1:
                changed[at:at] = choose.choice(SPICE)
            case 2:
                del changed[at:to]
            case 3:
                changed[at:at] = changed[at:to] * choose.choice((1, 2, 30))
            case 4:
                changed[at:to] = choose.randbytes(to - at)
            case 5:
                self._move_line(changed)
            case _ if others:
                other = choose.choice(others)
                start = choose.randrange(len(other))
                changed[at:to] = other[start : start + choose.choice((5, 40, 200))]

    def _move_line(self, changed: bytearray) -> None:
        """Repeats, drops or moves a whole line: duplicates, missing headers, other orders."""
        choose = self.random
        lines = bytes(changed).split(b"\r\n")
        line = choose.choice(lines)
        match choose.randrange(3):
            case 0:
                lines.remove(line)
            case 1:
                lines.insert(choose.randrange(len(lines) + 1), line)
            case _:
                lines.remove(line)
                lines.insert(choose.randrange(len(lines) + 1), line)
        changed[:] = b"\r\n".join(lines)
