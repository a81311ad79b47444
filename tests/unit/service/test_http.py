"""HTTP servers live inside our loop: started, drained and closed like any other service."""

import asyncio
import signal
import socket
from typing import Any

import httpx2
import pytest

from parley.service.errors import PortInUse, StartError
from parley.service.health import HealthApp
from parley.service.http import HttpServer
from parley.service.metrics import Metrics, Registry

_HOST = "127.0.0.1"


class _Part:
    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = False

    def is_ready(self) -> bool:
        return self.ready


async def test_health_answers_liveness_readiness_and_metrics() -> None:
    registry = Registry()
    Metrics(registry, "edge").counter("requests", "Requests.").inc()
    parts = [_Part("edge"), _Part("relay")]
    server = HttpServer(HealthApp(parts, registry), _HOST, 0, name="health")
    await server.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://{_HOST}:{server.port}") as client:
            assert (await client.get("/healthz")).status_code == 200
            parts[0].ready = True
            unready = await client.get("/readyz")
            assert (unready.status_code, unready.json()) == (503, {"edge": True, "relay": False})
            parts[1].ready = True
            assert (await client.get("/readyz")).status_code == 200
            metrics = await client.get("/metrics")
            assert metrics.headers["content-type"].startswith("text/plain; version=")
            assert "parley_edge_requests_total 1.0" in metrics.text
            assert (await client.head("/healthz")).content == b""
            assert (await client.get("/nothing")).status_code == 404
            assert (await client.post("/healthz")).status_code == 405
    finally:
        await server.aclose()


async def test_taken_port_is_one_sentence() -> None:
    with socket.create_server((_HOST, 0)) as other:
        port = other.getsockname()[1]
        server = HttpServer(HealthApp([], Registry()), _HOST, port, name="The health port")

        with pytest.raises(PortInUse) as caught:
            await server.start()

    assert str(caught.value) == (
        f"The health port cannot listen on {_HOST}:{port}: the port is already in use."
    )
    assert not server.is_ready()
    await server.aclose()


async def test_foreign_address_is_one_sentence() -> None:
    server = HttpServer(HealthApp([], Registry()), "192.0.2.1", 8080, name="The health port")

    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:8080: Cannot assign"):
        await server.start()


async def test_closing_frees_the_port_and_server_can_start_again() -> None:
    server = HttpServer(HealthApp([], Registry()), _HOST, 0, name="health")
    await server.start()
    assert server.is_ready()
    await server.aclose()
    assert not server.is_ready()

    await server.start()
    assert server.is_ready()
    await server.aclose()
    await server.aclose()


async def test_signals_stay_ours() -> None:
    before = signal.getsignal(signal.SIGTERM)
    server = HttpServer(HealthApp([], Registry()), _HOST, 0, name="health")

    await server.start()
    assert signal.getsignal(signal.SIGTERM) is before
    await server.aclose()


async def test_drain_lets_a_running_request_end() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        entered.set()
        await leave.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = HttpServer(app, _HOST, 0, name="slow")
    await server.start()
    async with httpx2.AsyncClient() as client:
        request = asyncio.ensure_future(client.get(f"http://{_HOST}:{server.port}/"))
        await entered.wait()
        draining = asyncio.ensure_future(server.drain(5.0))
        await asyncio.sleep(0)
        assert not server.is_ready()
        leave.set()
        assert (await request).status_code == 204
        await draining
    await server.aclose()
