//! From whom a port accepts media.
//!
//! Until something comes, media goes to the address of the SDP. A phone behind NAT sends from another
//! one: its first valid packet, from one of the IPs it may be learnt from, locks the port to that
//! source. Nothing but a new remote address in the signalling unlocks it (RFC 4961, and the
//! "RTP bleed" advisories on why learning must be once and by known IPs only).

use std::net::{IpAddr, SocketAddr};

/// What to do with a packet from some source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the source the port is locked to.
    Accept,
    /// Accepted, and the port is locked to this source from now on.
    Learn,
    /// Not from there.
    Reject,
}

/// The trust of one port.
#[derive(Default)]
pub struct Gate {
    remote: Option<SocketAddr>,
    learn_from: Vec<IpAddr>,
    locked: Option<SocketAddr>,
}

impl Gate {
    /// Takes over what the signalling says; true if the remote address is a new one.
    pub fn update(&mut self, remote: Option<SocketAddr>, learn_from: Vec<IpAddr>) -> bool {
        self.learn_from = learn_from;
        let is_new = remote != self.remote;
        if is_new {
            self.remote = remote;
            self.locked = None;
        }
        is_new
    }

    /// Judges the source of a packet that is valid in itself.
    ///
    /// `kin` is the IP that the stream's other port is locked to: a stranger's IP is then not learnt.
    pub fn check(&mut self, source: SocketAddr, kin: Option<IpAddr>) -> Verdict {
        if let Some(locked) = self.locked {
            return if locked == source {
                Verdict::Accept
            } else {
                Verdict::Reject
            };
        }
        let is_expected = self.remote == Some(source);
        let is_learnable =
            self.learn_from.contains(&source.ip()) && kin.is_none_or(|known| known == source.ip());
        if !is_expected && !is_learnable {
            return Verdict::Reject;
        }
        self.locked = Some(source);
        Verdict::Learn
    }

    /// Whether it is known where the phone is.
    pub fn has_remote(&self) -> bool {
        self.remote.is_some() || self.locked.is_some()
    }

    /// The IP this port is locked to.
    pub fn locked_ip(&self) -> Option<IpAddr> {
        self.locked.map(|source| source.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn gate(remote: &str, learn_from: &[&str]) -> Gate {
        let mut gate = Gate::default();
        let ips = learn_from.iter().map(|ip| ip.parse().unwrap()).collect();
        gate.update(Some(at(remote)), ips);
        gate
    }

    #[test]
    fn only_the_address_of_the_sdp_is_accepted_without_learning() {
        let mut gate = gate("192.0.2.1:4000", &[]);
        assert_eq!(gate.check(at("192.0.2.1:4002"), None), Verdict::Reject);
        assert_eq!(gate.check(at("192.0.2.1:4000"), None), Verdict::Learn);
        assert_eq!(gate.check(at("192.0.2.1:4000"), None), Verdict::Accept);
    }

    #[test]
    fn a_source_is_learnt_once_from_an_allowed_ip() {
        let mut gate = gate("10.0.0.5:4000", &["10.0.0.5", "203.0.113.9"]);
        assert_eq!(gate.check(at("198.51.100.1:9"), None), Verdict::Reject);
        assert_eq!(gate.check(at("203.0.113.9:61000"), None), Verdict::Learn);
        assert_eq!(gate.check(at("203.0.113.9:61001"), None), Verdict::Reject);
        assert_eq!(gate.check(at("10.0.0.5:4000"), None), Verdict::Reject);
    }

    #[test]
    fn only_a_new_remote_unlocks() {
        let mut gate = gate("10.0.0.5:4000", &["203.0.113.9"]);
        gate.check(at("203.0.113.9:61000"), None);
        assert!(!gate.update(
            Some(at("10.0.0.5:4000")),
            vec!["203.0.113.9".parse().unwrap()]
        ));
        assert_eq!(gate.check(at("203.0.113.9:61001"), None), Verdict::Reject);
        assert!(gate.update(
            Some(at("10.0.0.5:4100")),
            vec!["203.0.113.9".parse().unwrap()]
        ));
        assert_eq!(gate.check(at("203.0.113.9:61001"), None), Verdict::Learn);
    }

    #[test]
    fn the_second_port_learns_only_from_the_ip_of_the_first() {
        let mut gate = gate("10.0.0.5:4001", &["203.0.113.9", "203.0.113.10"]);
        let kin = Some("203.0.113.9".parse().unwrap());
        assert_eq!(gate.check(at("203.0.113.10:7"), kin), Verdict::Reject);
        assert_eq!(gate.check(at("203.0.113.9:7"), kin), Verdict::Learn);
    }

    #[test]
    fn nothing_is_accepted_before_anything_is_known() {
        assert_eq!(
            Gate::default().check(at("192.0.2.1:4000"), None),
            Verdict::Reject
        );
    }
}
