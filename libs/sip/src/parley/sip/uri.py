"""SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966)."""

from parley.sipcore import SipUri, TelUri, parse_uri

Uri = SipUri | TelUri

__all__ = ["SipUri", "TelUri", "Uri", "parse_uri"]
