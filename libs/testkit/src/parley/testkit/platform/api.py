"""The REST API as a test uses it."""

import asyncio
from collections import Counter
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx2

from parley.testkit.phones.line import Line
from parley.testkit.phones.ports import serial
from parley.testkit.platform.running import Demo

_POLL_S = 0.05
_PAGE = "1000"
_FIRST_NUMBER = 2000


class ApiClient:
    """A client of one platform for the demo tenant; an asynchronous context manager."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        headers = {"Authorization": f"Bearer {demo.api_token}"}
        self._http = httpx2.AsyncClient(base_url=demo.api_url, headers=headers, timeout=5.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    @property
    def tenant_path(self) -> str:
        """Path of the demo tenant."""
        return f"/v1/tenants/{self._demo.tenant_id}"

    async def get(self, path: str, **parameters: str) -> Any:
        """Reads a resource."""
        response = await self._http.get(path, params=parameters)
        return _checked(response)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Creates a resource."""
        return _checked(await self._http.post(path, json=body))

    async def items(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        """Reads a whole collection, page by page."""
        found: list[dict[str, Any]] = []
        parameters = {"limit": _PAGE, **parameters}
        while True:
            page = await self.get(path, **parameters)
            found += page["items"]
            if page["next"] is None:
                return found
            parameters["after"] = page["next"]

    async def new_line(self, ring_timeout_s: float | None = None) -> Line:
        """Adds an extension of its own for one test."""
        number = str(_FIRST_NUMBER + serial())
        body: dict[str, Any] = {"number": number, "password": f"secret-{number}"}
        if ring_timeout_s is not None:
            body["ring_timeout_s"] = ring_timeout_s
        await self.post(f"{self.tenant_path}/extensions", body)
        return Line(number, body["password"], self._demo.domain)

    async def live_calls(self) -> list[dict[str, Any]]:
        """Calls that go on now."""
        return await self.items(f"{self.tenant_path}/calls")

    async def contacts_of(self, line: Line) -> list[dict[str, Any]]:
        """Contacts that a line has registered now."""
        found = await self.items(f"{self.tenant_path}/registrations")
        return [one for one in found if one["aor"] == f"sip:{line.number}@{line.domain}"]

    async def wait_for_contacts(self, line: Line, count: int, timeout_s: float = 5.0) -> None:
        """Waits until a line has that many contacts."""
        async with asyncio.timeout(timeout_s):
            while len(await self.contacts_of(line)) != count:  # noqa: ASYNC110 - REST has no push
                await asyncio.sleep(_POLL_S)

    async def cdrs_of(self, caller: Line) -> list[dict[str, Any]]:
        """CDRs of the calls that a line made."""
        cdrs = await self.items(f"{self.tenant_path}/cdrs", party=caller.number)
        return [cdr for cdr in cdrs if cdr["caller"] == caller.number]

    async def wait_for_cdr(self, caller: Line, timeout_s: float = 5.0) -> dict[str, Any]:
        """Waits for the CDR of the one call that a line made; more than one is an error."""
        async with asyncio.timeout(timeout_s):
            while not (found := await self.cdrs_of(caller)):  # noqa: ASYNC110 - REST has no push
                await asyncio.sleep(_POLL_S)
        assert len(found) == 1, f"one call of {caller.number} left {len(found)} CDRs: {found}"
        return found[0]


def check_one_cdr_each(demo: Demo) -> None:
    """Every line that called did so once: a second CDR of it, however late, is an error."""
    headers = {"Authorization": f"Bearer {demo.api_token}"}
    callers: Counter[str] = Counter()
    with httpx2.Client(base_url=demo.api_url, headers=headers, timeout=5.0) as http:
        parameters = {"limit": "500"}
        while True:
            page = _checked(http.get(f"/v1/tenants/{demo.tenant_id}/cdrs", params=parameters))
            callers.update(cdr["caller"] for cdr in page["items"])
            if not page["next"]:
                break
            parameters["after"] = page["next"]
    twice = {caller: count for caller, count in callers.items() if count > 1}
    assert not twice, f"calls left more than one CDR, by caller: {twice}"


def moment(text: str | None) -> datetime:
    """Reads a time of a resource; it must be there."""
    assert text is not None, "the time is missing"
    return datetime.fromisoformat(text)


def _checked(response: httpx2.Response) -> Any:
    assert response.is_success, f"{response.request.url}: {response.status_code} {response.text}"
    return response.json() if response.content else None
