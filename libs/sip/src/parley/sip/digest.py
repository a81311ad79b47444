"""Digest authentication (RFC 3261 22, RFC 7616, RFC 8760): server and client side.

Server: `challenge_headers` -> `find_credentials` -> `NonceFactory.check` -> `verify` ->
`NonceCounts.accept`. Client: `choose_challenge` -> `authorization`. qop is always asked for:
without it there is no replay protection.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from parley.sip.errors import LocalProtocolError, RemoteProtocolError
from parley.sip.headers import AuthParams, parse_auth_params
from parley.sip.headers import Credentials as Credentials
from parley.sip.headers import ha1 as ha1
from parley.sip.headers import parse_credentials as parse_credentials
from parley.sip.message import Request
from parley.sip.nonce import NonceCounts as NonceCounts
from parley.sip.nonce import NonceFactory as NonceFactory
from parley.sip.nonce import NonceState as NonceState

# Strongest first: a client takes the first that it knows (RFC 8760 2.4).
ALGORITHMS = ("SHA-256", "MD5")
_MAX_COUNT = 0xFFFFFFFF


class Challenge(msgspec.Struct, frozen=True):
    """What a server asks for.

    Attributes:
        algorithm: upper case; "MD5" when not written.
        qop: the choices offered, lower case; empty when none is.
    """

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str = ""
    is_stale: bool = False


def challenge_headers(
    realm: str, nonce: str, stale: bool = False, algorithms: Sequence[str] = ALGORITHMS
) -> list[str]:
    """Returns one WWW-/Proxy-Authenticate value per algorithm, in order of preference."""
    stale_param = {"stale": "true"} if stale else {}
    return [
        str(
            AuthParams(
                "Digest",
                {
                    "realm": realm,
                    "nonce": nonce,
                    **stale_param,
                    "algorithm": algorithm,
                    "qop": "auth",
                },
                is_challenge=True,
            )
        )
        for algorithm in algorithms
    ]


def find_credentials(request: Request, header: str, realm: str) -> Credentials | None:
    """Returns the request's Digest credentials for a realm; None when there are none.

    Args:
        request: may carry credentials for several servers on its way.
        header: "authorization" or "proxy-authorization".
        realm: compared as it is; realms are case-sensitive.

    Raises:
        RemoteProtocolError: Digest credentials are malformed.
    """
    for value in request.get_all(header):
        if value[:7].lower() in ("digest ", "digest\t"):
            credentials = parse_credentials(value)
            if credentials.realm == realm:
                return credentials
    return None


def verify(
    credentials: Credentials,
    method: str,
    ha1_by_algorithm: Mapping[str, str],
) -> bool:
    """Tells whether the credentials prove the password.

    Args:
        credentials: their nonce and count are checked elsewhere.
        method: of the request that carries them.
        ha1_by_algorithm: e.g. {"MD5": "...", "SHA-256": "..."}; only these are accepted, and
            of qop only "auth", which alone is offered.
    """
    secret = ha1_by_algorithm.get(credentials.algorithm)
    if (
        secret is None
        or credentials.algorithm not in ALGORITHMS
        or credentials.qop.lower() != "auth"
        or not credentials.response.isascii()
    ):
        return False
    return hmac.compare_digest(credentials.proof(method, secret), credentials.response)


def parse_challenge(text: str) -> Challenge:
    """Parses a WWW-Authenticate or Proxy-Authenticate value.

    Raises:
        RemoteProtocolError: malformed, not Digest, or without realm or nonce.
    """
    params = _digest_params(text)
    if "realm" not in params or not params.get("nonce"):
        raise RemoteProtocolError("challenge without realm or nonce")
    choices = params.get("qop", "").lower().split(",")
    return Challenge(
        realm=params["realm"],
        nonce=params["nonce"],
        algorithm=params.get("algorithm", "MD5").upper(),
        qop=tuple(choice.strip(" \t") for choice in choices if choice.strip(" \t")),
        opaque=params.get("opaque", ""),
        is_stale=params.get("stale", "").lower() == "true",
    )


def choose_challenge(values: Iterable[str]) -> Challenge | None:
    """Returns the topmost challenge that we can answer (RFC 8760 2.4)."""
    for value in values:
        try:
            challenge = parse_challenge(value)
        except RemoteProtocolError:
            continue
        if challenge.algorithm in ALGORITHMS and (not challenge.qop or "auth" in challenge.qop):
            return challenge
    return None


def authorization(
    challenge: Challenge,
    request: Request,
    username: str,
    password: str,
    cnonce: str,
    count: int = 1,
) -> str:
    """Returns the (Proxy-)Authorization value that answers a challenge.

    Args:
        challenge: from `choose_challenge`.
        request: the one that will carry the value; its method and Request-URI count.
        username: of the account.
        password: of the account.
        cnonce: fresh random text.
        count: 1 for the first use of the nonce, one more for each next.
    """
    if not 1 <= count <= _MAX_COUNT:
        raise LocalProtocolError("nonce count is out of range")
    answer = Credentials(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=request.uri_text,
        response="",
        algorithm=challenge.algorithm,
        qop="auth" if challenge.qop else "",
        cnonce=cnonce,
        nc=f"{count:08x}",
    )
    secret = ha1(username, challenge.realm, password, challenge.algorithm)
    params = {
        "username": username,
        "realm": challenge.realm,
        "nonce": challenge.nonce,
        "uri": answer.uri,
        "response": answer.proof(request.method, secret),
        "algorithm": challenge.algorithm,
    }
    if answer.qop:
        params |= {"cnonce": cnonce, "qop": answer.qop, "nc": answer.nc}
    if challenge.opaque:
        params["opaque"] = challenge.opaque
    return str(AuthParams("Digest", params))


def _digest_params(text: str) -> dict[str, str]:
    auth = parse_auth_params(text)
    if auth.scheme.lower() != "digest":
        raise RemoteProtocolError("authentication scheme is not Digest")
    return auth.params
