"""Passwords of phones: which are refused, and how one is made.

A phone's password is typed in once and guessed for ever, so whoever has none in mind gets a random
one, and what a guesser tries first is refused.
"""

from typing import Final

from parley.model.errors import InvalidValue
from parley.service.ids import RandomIds

MIN_CHARS: Final = 8
MIN_DISTINCT: Final = 5
MIN_DIGITS: Final = 12
"""How long a password of nothing but digits is at least."""
_RANDOM_BYTES: Final = 12


def make_password() -> str:
    """Returns a random password of 96 bits."""
    return RandomIds().token(_RANDOM_BYTES)


def check_password(password: str, *names: str) -> None:
    """Lets a password pass that is not guessed at once.

    Args:
        password: what a phone is to prove.
        names: number and auth name of the extension.

    Raises:
        InvalidValue: it is too short, too plain, or made of a name.
    """
    if len(password) < MIN_CHARS:
        raise _weak(f"a password has at least {MIN_CHARS} characters")
    if len(set(password)) < MIN_DISTINCT:
        raise _weak(f"a password has at least {MIN_DISTINCT} different characters")
    if password.isdecimal() and len(password) < MIN_DIGITS:
        raise _weak(f"a password of digits alone has at least {MIN_DIGITS} of them")
    for name in filter(None, names):
        if not password.replace(name, "").replace(name[::-1], ""):
            raise _weak("a password is not made of the extension's own name")


def _weak(reason: str) -> InvalidValue:
    return InvalidValue(reason, error_id="password-weak")
