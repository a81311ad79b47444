"""Why a server does not run."""


class ServerAbsent(Exception):
    """A server cannot be had on this machine; the text is one plain sentence that says why."""


class ServerFailed(Exception):
    """A server did not start or did not answer; the text ends with the last lines of its log."""
