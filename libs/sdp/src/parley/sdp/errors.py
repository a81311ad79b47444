"""The one error of this package and the limits that raise it."""

MAX_BYTES = 65_536
MAX_LINE_CHARACTERS = 4_096
MAX_MEDIA = 64


class SdpError(ValueError):
    """A session description that cannot be used; the text is one full sentence."""
