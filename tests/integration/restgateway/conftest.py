"""The API on an embedded backing, asked without a socket."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest

from parley.backing.db.provisioning import NewTenant, provision_tenant
from parley.backing.db.tokens import TokenRepository
from parley.backing.factory import Backing, Port
from parley.model.ids import TenantId
from parley.restgateway.app import create_api
from parley.restgateway.settings import RestGatewaySettings
from parley.restgateway.store import Store
from parley.service.clock import SystemClock
from parley.service.metrics import Registry
from parley.testkit.backing import in_memory


@dataclass
class Api:
    """The API with a platform token and tokens of two tenants."""

    client: httpx2.AsyncClient
    backing: Backing
    registry: Registry
    platform: dict[str, str]
    acme: dict[str, str]
    other: dict[str, str]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    clock = SystemClock()
    async with in_memory(Port.DATABASE | Port.STATE, clock) as backing:
        tokens = TokenRepository(backing.db)
        headers = []
        for tenant in ("", "acme", "other"):
            if tenant:
                new = NewTenant(name=tenant, domains=[f"{tenant}.example"], id=TenantId(tenant))
                await provision_tenant(backing.db, new)
            secret, _ = await tokens.create("test", TenantId(tenant) if tenant else None)
            headers.append({"Authorization": f"Bearer {secret}"})
        registry = Registry()
        settings = RestGatewaySettings.load(cors_origins=("https://console.example",))
        app = create_api(Store(backing, clock), settings, clock, registry)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as client:
            yield Api(client, backing, registry, *headers)
