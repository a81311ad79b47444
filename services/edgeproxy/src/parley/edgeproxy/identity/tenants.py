"""Which tenant a request belongs to: by domain, or by user name where a phone sends none."""

from parley.backing.directory import TenantDirectory
from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.model.tenant import TenantSnapshot
from parley.sip.uri import SipUri, TelUri


class Tenants:
    """Finds tenants, in memory when they are warm; disabled ones do not count.

    Args:
        default_domain: the tenant of phones that name this edge instead of a domain and whose user
            name is not unique; empty for none.
    """

    __slots__ = ("_addresses", "_default_domain", "_directory")

    def __init__(
        self, directory: TenantDirectory, addresses: EdgeAddresses, default_domain: str
    ) -> None:
        self._directory = directory
        self._addresses = addresses
        self._default_domain = default_domain

    async def find(self, domain: str) -> TenantSnapshot | None:
        """Returns the tenant that owns a domain.

        Raises:
            BackingUnavailable: it is not in memory and cannot be read.
        """
        tenant = self._directory.peek(domain)
        if tenant is None:
            tenant = await self._directory.load(domain)
        return tenant if tenant is not None and tenant.enabled else None

    async def find_for(
        self, identity: SipUri | TelUri, target: SipUri | TelUri
    ) -> TenantSnapshot | None:
        """Returns the tenant that a phone should authenticate to.

        Args:
            identity: From, or To of a REGISTER.
            target: the Request-URI.

        Raises:
            BackingUnavailable: it is not in memory and cannot be read.
        """
        for uri in (identity, target):
            if isinstance(uri, SipUri):
                tenant = self._directory.peek(uri.host) or await self._directory.load(uri.host)
                if tenant is not None and tenant.enabled:
                    return tenant
        if not self.is_without_domain(identity, target):
            return None
        return await self._find_by_name(identity)

    async def look_again(self, tenant: TenantSnapshot, auth_name: str) -> TenantSnapshot | None:
        """Returns the tenant with what the database says now of one user (rationed)."""
        newer = await self._directory.look_again(tenant.id, auth_name)
        return newer if newer is not None and newer.enabled else None

    def is_without_domain(self, identity: SipUri | TelUri, target: SipUri | TelUri) -> bool:
        """Says whether a phone names this edge where its domain should stand."""
        return self._addresses.is_own_host(identity) or self._addresses.is_own_host(target)

    def is_named_by(self, tenant: TenantSnapshot, uri: SipUri) -> bool:
        """Says whether the host of a URI is a domain of the tenant, or this edge."""
        return uri.host in tenant.domains or self._addresses.is_own_host(uri)

    async def _find_by_name(self, identity: SipUri | TelUri) -> TenantSnapshot | None:
        name = identity.user if isinstance(identity, SipUri) else identity.digits
        if name:
            extension = self._directory.peek_by_auth_name(name)
            if extension is None:
                extension = await self._directory.load_by_auth_name(name)
            if extension is not None:
                tenant = await self._directory.load_by_id(extension.tenant_id)
                if tenant is not None and tenant.enabled:
                    return tenant
        return await self.find(self._default_domain) if self._default_domain else None
