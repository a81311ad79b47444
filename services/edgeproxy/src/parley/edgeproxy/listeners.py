"""Opens an edge's sockets.

Outside listeners first: what comes on a connection that we open counts as come to the first
listener of its transport, and must not pass for the inside. The Via of what we send there names
the inside all the same (`is_home`), for call managers answer there when the connection is gone.
"""

import errno
import ssl
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

from parley.edgeproxy.routing.addresses import EdgeAddresses
from parley.edgeproxy.settings import EdgeSettings
from parley.service.errors import PortInUse, StartError
from parley.service.inside import Inside
from parley.service.tls import TlsFiles, server_context
from parley.sip.hop import Hop
from parley.siptransport.limits import DEFAULT_LIMITS, TransportLimits
from parley.siptransport.node import SipNode
from parley.siptransport.transport import ListenOptions


async def open_listeners(
    node: SipNode, settings: EdgeSettings, addresses: EdgeAddresses, inside: Inside | None
) -> None:
    """Listens outside on UDP, TCP and TLS, then inside, and notes the addresses.

    Args:
        node: where.
        settings: ports and hosts.
        addresses: filled in.
        inside: how call managers prove themselves; None: they are in this process, and the inside
            is the local network.

    Raises:
        StartError: an address is taken or not ours, or the certificate cannot be used.
    """
    advertised = settings.advertised_host or None
    tls = _tls_context(settings)
    outside: list[tuple[Hop, ssl.SSLContext | None]] = [
        (Hop("udp", settings.host, settings.udp_port), None),
        (Hop("tcp", settings.host, settings.tcp_port), None),
    ]
    if tls is not None:
        outside.append((Hop("tls", settings.host, settings.tls_port), tls))
    for hop, context in outside:
        options = ListenOptions(
            tls=context, advertised=advertised, is_shared=settings.shared_address, is_public=True
        )
        addresses.add_outside(await _listen(node, hop, options))
    if inside is None:
        hop = Hop("local", settings.name.lower(), 0)
        options = ListenOptions(is_home=True, is_inside=True)
    else:
        inside.check_hosts("The edge proxy", settings.inside_host, settings.inside_advertised_host)
        hop = Hop(inside.transport, settings.inside_host, settings.inside_port)
        options = ListenOptions(
            tls=inside.server,
            advertised=settings.inside_advertised_host or None,
            is_home=True,
            is_inside=True,
        )
    addresses.set_inside(await _listen(node, hop, options))


async def _listen(node: SipNode, hop: Hop, options: ListenOptions) -> Hop:
    what = f"The edge proxy ({hop.transport.upper()})"
    try:
        return await node.listen(hop, options)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(hop.host, hop.port, what) from error
        reason = error.strerror or str(error)
        raise StartError(f"{what} cannot listen on {hop.host}:{hop.port}: {reason}.") from error


def transport_limits(settings: EdgeSettings) -> TransportLimits:
    """Lifts the limit of open files, and returns the bounds of connections.

    They are those of the settings within what the system gives us: TCP and TLS together get half
    of our descriptors, strangers at most half of that, and the inside a sixteenth, of which half
    is kept for those that have proved to be services.
    """
    _, descriptors = getrlimit(RLIMIT_NOFILE)
    connections, services = settings.max_connections, DEFAULT_LIMITS.services
    if descriptors != RLIM_INFINITY:
        setrlimit(RLIMIT_NOFILE, (descriptors, descriptors))
        connections = max(2, min(connections, descriptors // 4))
        services = max(2, min(services, descriptors // 16))
    return TransportLimits(
        connections=connections,
        connections_per_source=settings.max_source_connections,
        strangers=min(settings.max_strangers, connections // 2),
        strangers_per_source=settings.max_source_strangers,
        services=services,
        unproved_services=min(DEFAULT_LIMITS.unproved_services, services // 2),
        accept_timeout_s=settings.stranger_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
    )


def _tls_context(settings: EdgeSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return server_context(TlsFiles(settings.tls_certificate, settings.tls_key))
