"""The dialogs of one forked request (RFC 3261 12.1.2, 13.2.2.4)."""

from parley.sip.dialog import Dialog
from parley.sip.message import Request, Response


class DialogSet:
    """The dialogs that one forked request of ours made, by To tag (13.2.2.4).

    Attributes:
        dialogs: by remote tag, in order of their first response.
    """

    __slots__ = ("_request", "dialogs")

    def __init__(self, request: Request) -> None:
        self._request = request
        self.dialogs: dict[str, Dialog] = {}

    def receive_response(self, response: Response) -> Dialog | None:
        """Returns the dialog of a 101 to 299 response, made or confirmed by it.

        Returns:
            None when it makes none: a 100, a failure, a provisional without To tag.
        """
        tag = response.to.tag
        status = response.status
        if status == 100 or status >= 300 or (tag is None and status < 200):
            return None
        dialog = self.dialogs.get(tag or "")
        if dialog is None:
            dialog = self.dialogs[tag or ""] = Dialog.uac(self._request, response)
        elif status >= 200:
            dialog.confirm(response)
        return dialog
