//! What the signalling says of an endpoint.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::EngineError;

/// Where a phone is and what is expected from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Where RTP goes; None while unknown.
    pub remote: Option<SocketAddr>,
    /// Where RTCP goes; None for the port after `remote`'s (RFC 3550 11).
    pub remote_rtcp: Option<SocketAddr>,
    /// IPs that a differing source may be learnt from, once.
    pub learn_from: Vec<IpAddr>,
    /// Silence that is told as a time-out; zero for never.
    pub timeout: Duration,
    /// Clock of the RTP timestamps in Hz.
    pub clock_rate: u32,
}

impl Default for EndpointSpec {
    fn default() -> Self {
        Self {
            remote: None,
            remote_rtcp: None,
            learn_from: Vec::new(),
            timeout: Duration::ZERO,
            clock_rate: 8000,
        }
    }
}

impl EndpointSpec {
    /// Checks the addresses against the engine's own and fills the RTCP one in.
    ///
    /// The unspecified address (`c=0.0.0.0`, the hold of RFC 2543) means that nothing is to be sent.
    pub fn resolved(mut self, local: IpAddr) -> Result<Self, EngineError> {
        self.remote = usable(self.remote, local)?;
        self.remote_rtcp = usable(self.remote_rtcp, local)?;
        if self.remote_rtcp.is_none() {
            self.remote_rtcp = self.remote.and_then(next_port);
        }
        Ok(self)
    }
}

fn next_port(address: SocketAddr) -> Option<SocketAddr> {
    let port = address.port().checked_add(1)?;
    Some(SocketAddr::new(address.ip(), port))
}

fn usable(address: Option<SocketAddr>, local: IpAddr) -> Result<Option<SocketAddr>, EngineError> {
    let Some(address) = address.filter(|address| !address.ip().is_unspecified()) else {
        return Ok(None);
    };
    let is_broadcast = matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast());
    if address.ip().is_multicast() || is_broadcast || address.port() == 0 {
        return Err(EngineError::Invalid(format!(
            "media cannot be sent to {address}"
        )));
    }
    if address.is_ipv4() != local.is_ipv4() {
        return Err(EngineError::Invalid(format!(
            "{address} cannot be reached from {local}: the address families differ"
        )));
    }
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(remote: &str) -> Result<EndpointSpec, EngineError> {
        let spec = EndpointSpec {
            remote: Some(remote.parse().unwrap()),
            ..EndpointSpec::default()
        };
        spec.resolved("127.0.0.1".parse().unwrap())
    }

    #[test]
    fn rtcp_defaults_to_the_next_port() {
        let spec = resolve("192.0.2.1:4000").unwrap();
        assert_eq!(spec.remote_rtcp, Some("192.0.2.1:4001".parse().unwrap()));
        assert_eq!(resolve("192.0.2.1:65535").unwrap().remote_rtcp, None);
    }

    #[test]
    fn the_unspecified_address_is_a_hold() {
        let spec = resolve("0.0.0.0:4000").unwrap();
        assert_eq!((spec.remote, spec.remote_rtcp), (None, None));
    }

    #[test]
    fn addresses_that_cannot_be_a_phone_are_refused() {
        for remote in [
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "192.0.2.1:0",
            "[::1]:4000",
        ] {
            assert!(resolve(remote).is_err(), "{remote}");
        }
    }
}
