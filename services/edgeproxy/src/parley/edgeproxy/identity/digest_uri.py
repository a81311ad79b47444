"""Whether credentials were made for the request that carries them (RFC 7616 3.4.6, RFC 3261 22.4).

The digest proves a method and a URI. Whoever overhears the credentials of a call to one number
must not be able to call another one by them, so the user part, which decides where a call goes, is
the same in both, unescaped. What clients write differently in practice and what decides nothing is
let pass: escapes, case of the host, port, parameters; and one name of ours for another, our address
for the tenant's domain, say, for many a phone names its server there. A REGISTER is for the
registrar, whose realm the digest holds anyway, so its user part does not count.
"""

from parley.edgeproxy.identity.tenants import Tenants
from parley.model.tenant import TenantSnapshot
from parley.sip.errors import RemoteProtocolError
from parley.sip.message import Request
from parley.sip.uri import SipUri, TelUri, parse_uri


def is_for(digest_uri: str, request: Request, tenant: TenantSnapshot, tenants: Tenants) -> bool:
    """Says whether a digest URI names the same resource as the Request-URI.

    Args:
        digest_uri: `uri` of the credentials.
        request: what carries them.
        tenant: whose realm they are of.
        tenants: knows by which names we go.

    Raises:
        RemoteProtocolError: the Request-URI is malformed or its scheme unknown.
    """
    if digest_uri == request.uri_text:
        return True
    actual = request.uri
    try:
        claimed = parse_uri(digest_uri)
    except RemoteProtocolError:
        return False
    if isinstance(claimed, TelUri) or isinstance(actual, TelUri):
        return claimed.matches(actual)
    if request.method != "REGISTER" and claimed.user != actual.user:
        return False
    return _is_same_host(claimed, actual, tenant, tenants)


def _is_same_host(one: SipUri, two: SipUri, tenant: TenantSnapshot, tenants: Tenants) -> bool:
    if one.host == two.host:
        return True
    return tenants.is_named_by(tenant, one) and tenants.is_named_by(tenant, two)
