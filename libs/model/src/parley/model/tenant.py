"""Tenants as the call path sees them: one immutable snapshot per tenant, replaced on change.

A snapshot shares every untouched `Extension` with its predecessor, so a change costs two dictionary
copies and a reader that holds an old snapshot keeps a consistent view.
"""

from collections.abc import Iterable
from typing import Self

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from parley.model.ids import ExtensionId, TenantId

DIGEST_ALGORITHMS = ("MD5", "SHA-256")
"""Names of digest algorithms as SIP writes them (RFC 8760); the keys of `Extension.ha1`."""


class Extension(Struct, frozen=True, kw_only=True):
    """An internal number of a tenant and the secret its phones prove.

    Attributes:
        auth_name: digest user name; unique in the tenant, and where it is unique on the platform
            also the way to find phones that cannot send their domain.
        ha1: H(auth_name:domain:password) in hex by algorithm name; the password itself is not kept.
        ring_timeout_s: seconds to ring before the call counts as not answered; None: the tenant's.
        version: grows with each change.
    """

    id: ExtensionId
    tenant_id: TenantId
    number: str
    auth_name: str
    display_name: str = ""
    ha1: dict[str, str] = field(default_factory=dict)
    ring_timeout_s: float | None = None
    enabled: bool = True
    version: int = 1


class TenantSettings(Struct, frozen=True, kw_only=True):
    """What a tenant's administrator may tune; every default is runnable.

    Attributes:
        ring_timeout_s: for extensions that set none of their own.
        echo_number: service number of the echo test.
        media_timeout_s: silence on both directions after which a call is ended. It rests while a
            party is on hold; the phone of one that is silent alone is asked whether it is there.
        max_bindings: contacts that one AOR may have registered at a time.
    """

    ring_timeout_s: float = 60.0
    echo_number: str = "999"
    media_timeout_s: float = 60.0
    max_bindings: int = 10

    @property
    def service_numbers(self) -> frozenset[str]:
        """Numbers that the platform answers itself; no extension can have one."""
        return frozenset((self.echo_number,))


class TenantSnapshot(Struct, frozen=True, kw_only=True):
    """Everything the call path needs of a tenant.

    Attributes:
        domain: the primary domain, which is also the digest realm of all its phones.
        domains: all domains, the primary one first.
        extensions: by number.
        auth_names: number by digest user name; derived from `extensions` when not given.
        version: grows with each change of anything of this tenant.
    """

    id: TenantId
    name: str
    domain: str
    extensions: dict[str, Extension] = field(default_factory=dict)
    settings: TenantSettings = field(default_factory=TenantSettings)
    domains: tuple[str, ...] = ()
    auth_names: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    version: int = 1

    def __post_init__(self) -> None:
        if not self.domains:
            force_setattr(self, "domains", (self.domain,))
        if not self.auth_names and self.extensions:
            names = {entry.auth_name: number for number, entry in self.extensions.items()}
            force_setattr(self, "auth_names", names)

    def find_auth_name(self, auth_name: str) -> Extension | None:
        """Finds the extension whose phones authenticate with this user name."""
        number = self.auth_names.get(auth_name)
        return None if number is None else self.extensions.get(number)

    def ring_timeout_s(self, extension: Extension) -> float:
        """Says how long this extension rings before the call counts as not answered."""
        own = extension.ring_timeout_s
        return self.settings.ring_timeout_s if own is None else own

    def with_extensions(
        self,
        changed: Iterable[Extension],
        removed: Iterable[ExtensionId] = (),
        version: int | None = None,
    ) -> Self:
        """Returns a snapshot with these extensions replaced, added or removed (by id).

        Args:
            changed: new states; an extension may have another number or auth name than before.
            removed: ids of those that are gone.
            version: of the new snapshot; the old one's unless given.
        """
        added = {entry.id: entry for entry in changed}
        extensions, names = dict(self.extensions), dict(self.auth_names)

        def take_out(number: str) -> None:
            old = extensions.pop(number, None)
            if old is not None and names.get(old.auth_name) == number:
                del names[old.auth_name]

        elsewhere = set(removed)
        for entry in added.values():
            known = self.extensions.get(entry.number)
            if known is not None and known.id == entry.id:
                take_out(entry.number)
            else:
                elsewhere.add(entry.id)
        if elsewhere:
            for number, entry in self.extensions.items():
                if entry.id in elsewhere:
                    take_out(number)
        for entry in added.values():
            # Who had the number before has another one by now, of which we shall hear.
            take_out(entry.number)
            extensions[entry.number] = entry
            names[entry.auth_name] = entry.number
        return replace(
            self,
            extensions=extensions,
            auth_names=names,
            version=self.version if version is None else version,
        )
