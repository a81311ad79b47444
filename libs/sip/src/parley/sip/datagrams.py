"""Many datagrams of a socket at once, on Linux."""

import sys

if sys.platform == "linux":
    from parley.sipcore._core import DatagramReader as DatagramReader
