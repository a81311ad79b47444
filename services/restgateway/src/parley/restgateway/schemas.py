"""Bodies of requests and responses; the OpenAPI document is made of them."""

from datetime import datetime
from typing import Annotated, Generic, Self, TypeVar

from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from parley.backing.db.extensions import ExtensionChange, NewExtension
from parley.backing.db.tenants import Tenant
from parley.model.call import CallResult, EndedBy
from parley.model.live_call import LiveCall
from parley.model.registration import Binding
from parley.model.tenant import Extension, TenantSettings
from parley.restgateway.passwords import MIN_CHARS

T = TypeVar("T")

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
DisplayName = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Number = Annotated[str, Field(pattern=r"^[0-9A-Za-z*#+._-]{1,64}$")]
AuthName = Annotated[str, Field(pattern=r"^[!#-9;-\[\]-~]{1,255}$")]
NewPassword = Annotated[str, Field(min_length=MIN_CHARS, max_length=255)]
RingTimeout = Annotated[float, Field(ge=1, le=3600, description="Seconds.")]
MediaTimeout = Annotated[
    float, Field(ge=5, le=3600, description="Seconds of silence that end a call.")
]
EchoNumber = Annotated[
    str, Field(pattern=r"^[0-9*#]{1,32}$", description="Service number of the echo test.")
]
MaxBindings = Annotated[int, Field(ge=1, le=100, description="Contacts of one extension.")]


class Body(BaseModel):
    """A request body; unknown fields are refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """One page of a collection; `next` goes into `?after=` for the following one."""

    items: list[T]
    next: str | None = None


class PlatformView(BaseModel):
    """What is where."""

    name: str = "Parley"
    version: str
    api: str = "/v1"
    documentation: str = "/docs"
    openapi: str = "/openapi.json"
    events: str | None = Field(description="URL of the event stream (WebSocket), if it is known.")
    health: str | None = Field(description="URL of the health port, if it is known.")


class TenantSettingsBody(Body):
    """What a tenant may tune; what is absent stays, or is the default in a new tenant."""

    ring_timeout_s: RingTimeout | None = None
    echo_number: EchoNumber | None = None
    media_timeout_s: MediaTimeout | None = None
    max_bindings: MaxBindings | None = None

    def record(self, old: TenantSettings) -> TenantSettings:
        """Returns the settings with what is given in place of the old."""
        return structs.replace(old, **self.model_dump(exclude_none=True))


class TenantSettingsView(BaseModel):
    """What a tenant may tune, as it is."""

    model_config = ConfigDict(from_attributes=True)

    ring_timeout_s: float
    echo_number: str
    media_timeout_s: float
    max_bindings: int


class TenantCreate(Body):
    """A tenant to create."""

    name: Name
    domain: Name = Field(description="Primary SIP domain; the realm of all passwords.")
    further_domains: list[Name] = Field(default_factory=list, max_length=50)
    settings: TenantSettingsBody = Field(default_factory=TenantSettingsBody)


class TenantUpdate(Body):
    """What to change of a tenant; what is absent stays."""

    name: Name | None = None
    further_domains: list[Name] | None = Field(default=None, max_length=50)
    settings: TenantSettingsBody | None = None
    enabled: bool | None = None


class TenantView(BaseModel):
    """A tenant."""

    id: str
    name: str
    domain: str
    further_domains: list[str]
    settings: TenantSettingsView
    enabled: bool

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Shows a tenant."""
        return cls(
            id=tenant.id,
            name=tenant.name,
            domain=tenant.domains[0],
            further_domains=list(tenant.domains[1:]),
            settings=TenantSettingsView.model_validate(tenant.settings),
            enabled=tenant.enabled,
        )


class ExtensionCreate(Body):
    """An extension to create; `auth_name` is the number unless given."""

    number: Number
    password: NewPassword | None = Field(
        None, description="Kept only as the digest that phones prove; made unless given."
    )
    auth_name: AuthName | None = None
    display_name: DisplayName = ""
    ring_timeout_s: RingTimeout | None = None
    enabled: bool = True

    def record(self, made_password: str | None) -> NewExtension:
        """Returns what the repository takes, with a password made for it or the body's own."""
        return NewExtension(**(self.model_dump() | {"password": made_password or self.password}))


class ExtensionUpdate(Body):
    """What to change of an extension; `ring_timeout_s: null` returns to the tenant's."""

    number: Number | None = None
    password: NewPassword | None = None
    auth_name: AuthName | None = None
    display_name: DisplayName | None = None
    ring_timeout_s: RingTimeout | None = None
    enabled: bool | None = None

    def record(self) -> ExtensionChange:
        """Returns what the repository takes."""
        clears = "ring_timeout_s" in self.model_fields_set and self.ring_timeout_s is None
        return ExtensionChange(**self.model_dump(), clears_ring_timeout=clears)


class ExtensionView(BaseModel):
    """An extension; its password cannot be read."""

    id: str
    number: str
    auth_name: str
    display_name: str
    ring_timeout_s: float | None
    enabled: bool

    @classmethod
    def of(cls, extension: Extension) -> Self:
        """Shows an extension."""
        return cls(
            id=extension.id,
            number=extension.number,
            auth_name=extension.auth_name,
            display_name=extension.display_name,
            ring_timeout_s=extension.ring_timeout_s,
            enabled=extension.enabled,
        )


class ExtensionCreated(ExtensionView):
    """A new extension."""

    password: str | None = Field(
        None, description="The password that was made for it; it cannot be had again."
    )

    @classmethod
    def with_password(cls, extension: Extension, made: str | None) -> Self:
        """Shows an extension and the password that was made for it."""
        return cls(**ExtensionView.of(extension).model_dump(), password=made)


class RegistrationView(BaseModel):
    """A registered contact."""

    aor: str
    contact: str
    expires_at: datetime
    user_agent: str
    source: str
    edge: str

    @classmethod
    def of(cls, binding: Binding, expires_at: datetime) -> Self:
        """Shows a binding."""
        return cls(
            aor=binding.aor,
            contact=binding.contact,
            expires_at=expires_at,
            user_agent=binding.user_agent,
            source=binding.source,
            edge=binding.edge,
        )


class CallView(BaseModel):
    """A call that goes on."""

    call_id: str
    state: str
    caller: str
    callee: str
    dialled: str
    started_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    is_held: bool
    owner: str

    @classmethod
    def of(cls, call: LiveCall) -> Self:
        """Shows a call."""
        progress = call.progress
        return cls(
            call_id=progress.call_id,
            state=call.state,
            caller=progress.caller,
            callee=progress.callee,
            dialled=progress.dialled,
            started_at=progress.started_at,
            ringing_at=progress.ringing_at,
            answered_at=progress.answered_at,
            is_held=progress.is_held,
            owner=progress.owner,
        )


class TerminationView(BaseModel):
    """How a call ended."""

    model_config = ConfigDict(from_attributes=True)

    result: CallResult
    reason: str
    sip_status: int
    by: EndedBy


class LegView(BaseModel):
    """One leg of an ended call: `a` is the caller's, `b1`, `b2`, ... those of the phones rung."""

    model_config = ConfigDict(from_attributes=True)

    leg: str
    party: str
    sip_call_id: str
    contact: str
    edge: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    sip_status: int | None


class MediaView(BaseModel):
    """What one stream of a side carried: `a` the caller's, `b` that of the phone that answered.

    Received means from the phone.
    """

    model_config = ConfigDict(from_attributes=True)

    leg: str
    index: int
    packets_received: int
    packets_sent: int
    bytes_received: int
    bytes_sent: int
    packets_lost: int
    jitter_ms: float


class CdrView(BaseModel):
    """A call detail record."""

    model_config = ConfigDict(from_attributes=True)

    call_id: str
    tenant_id: str
    caller: str
    callee: str
    dialled: str
    started_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime
    duration_s: float = Field(description="From answer to end; 0 for a call without answer.")
    termination: TerminationView
    legs: list[LegView]
    media: list[MediaView]
