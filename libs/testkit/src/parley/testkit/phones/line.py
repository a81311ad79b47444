"""An extension, as a phone knows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """An extension that a phone can register.

    Attributes:
        number: extension number and authentication name.
    """

    number: str
    password: str
    domain: str
