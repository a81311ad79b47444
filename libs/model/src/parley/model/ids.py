"""Ids as types of their own, so that one is never passed where another is meant."""

from typing import NewType

TenantId = NewType("TenantId", str)
CallId = NewType("CallId", str)
"""Our id of a call, never a Call-ID header (that is a `sip_call_id`)."""

InstanceId = NewType("InstanceId", str)
"""One run of a process, `name-incarnation`; never reused."""

ExtensionId = NewType("ExtensionId", str)
SessionId = NewType("SessionId", str)
"""A media session at a relay."""

__all__ = ["CallId", "ExtensionId", "InstanceId", "SessionId", "TenantId"]
