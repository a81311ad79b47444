//! From whom a port accepts media.
//!
//! Media goes to the address of the SDP until something comes. A packet from exactly there locks the
//! port to that source. A phone behind NAT sends from another port of an IP that the signalling knows:
//! three packets in a row prove such a source, *provisionally*, for anybody may send from that IP. The
//! exact address still takes the port from it during the first three seconds.
//!
//! A lock is left for another source when the phone describes itself anew, or when the source fell
//! silent and its stream goes on from another port of its IP (a NAT that rebound). "RTP bleed" and
//! RFC 4961 tell why learning must be by known IPs, seldom, and never from whoever comes first.

use std::net::{IpAddr, SocketAddr};

use wire::rtp::Header;

const MS: u64 = 1_000_000;
/// How long the exact address goes before a provisional source, and how long after a description of
/// the phone's own another source may be learnt.
const WINDOW_NS: u64 = 3_000 * MS;
/// A source that was heard so recently is not left because the phone described itself.
const ALIVE_NS: u64 = 100 * MS;
/// Silence after which a stream may go on from another port.
const REBIND_NS: u64 = 1_500 * MS;
/// Packets in sequence that prove a source.
const PROOF: u8 = 3;
/// How far a stream may have gone on unheard: a minute of 20 ms packets.
const FURTHEST: u16 = 3_000;

/// What to do with a packet from some source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the source the port is locked to.
    Accept,
    /// Accepted, and the port is locked to this source from now on.
    Learn,
    /// Of a source that is not proven yet: counted, and not passed on.
    Probe,
    /// The same, and the port is locked to this source from now on.
    Prove,
    /// Not from there.
    Reject,
}

/// Where in which stream a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub ssrc: u32,
    pub sequence: u16,
}

impl Place {
    /// Of a packet with this header.
    pub fn of(header: Header) -> Self {
        Self {
            ssrc: header.ssrc,
            sequence: header.sequence,
        }
    }

    fn is_followed_by(self, next: Self, furthest: u16) -> bool {
        let ahead = next.sequence.wrapping_sub(self.sequence);
        next.ssrc == self.ssrc && (1..=furthest).contains(&ahead)
    }
}

/// The last packet that a gate let through.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub place: Place,
    pub at_ns: u64,
}

/// Who spoke to a port last, and under which SSRC.
pub type Speaker = (SocketAddr, u32);

struct Lock {
    source: SocketAddr,
    since_ns: u64,
    is_exact: bool,
}

struct Candidate {
    source: SocketAddr,
    last: Place,
    packets: u8,
}

/// The trust of an RTP port.
#[derive(Default)]
pub struct Gate {
    remote: Option<SocketAddr>,
    learn_from: Vec<IpAddr>,
    described: u32,
    /// Who spoke to this port in the session before: he did not hear that it ended.
    former: Option<Speaker>,
    lock: Option<Lock>,
    candidate: Option<Candidate>,
    window_end_ns: u64,
}

impl Gate {
    /// A gate that does not believe `former`.
    pub fn new(former: Option<Speaker>) -> Self {
        Self {
            former,
            ..Self::default()
        }
    }

    /// Takes over what the signalling says; true if the remote address is a new one.
    pub fn update(
        &mut self,
        remote: Option<SocketAddr>,
        learn_from: &[IpAddr],
        described: u32,
        now_ns: u64,
    ) -> bool {
        learn_from.clone_into(&mut self.learn_from);
        if described != self.described {
            self.described = described;
            self.window_end_ns = now_ns.saturating_add(WINDOW_NS);
        }
        let is_new = remote != self.remote;
        if is_new {
            self.remote = remote;
            self.lock = None;
            self.candidate = None;
        }
        is_new
    }

    /// Judges a packet that is valid in itself; of RTCP, `place` is None.
    ///
    /// `heard` is the last one of the locked source.
    pub fn check(
        &mut self,
        source: SocketAddr,
        place: Option<Place>,
        heard: Option<Heard>,
        now_ns: u64,
    ) -> Verdict {
        if self.lock.as_ref().is_some_and(|lock| lock.source == source) {
            return Verdict::Accept;
        }
        let Some(place) = place else {
            let is_exact = self.lock.is_none() && self.remote == Some(source);
            return if is_exact {
                Verdict::Accept
            } else {
                Verdict::Reject
            };
        };
        if self.former == Some((source, place.ssrc)) {
            return Verdict::Reject;
        }
        if self.remote == Some(source) {
            return self.check_exact(source, heard, now_ns);
        }
        if !self.learn_from.contains(&source.ip()) || !self.may_move(source, place, heard, now_ns) {
            return Verdict::Reject;
        }
        self.probe(source, place, now_ns)
    }

    /// Judges a packet that its sender's key proves: the newest says where the phone is.
    pub fn check_proven(&mut self, source: SocketAddr, is_newest: bool, now_ns: u64) -> Verdict {
        let is_there = self.lock.as_ref().is_some_and(|lock| lock.source == source);
        if is_there || !is_newest {
            return Verdict::Accept;
        }
        self.lock_to(source, true, now_ns);
        Verdict::Learn
    }

    fn check_exact(&mut self, source: SocketAddr, heard: Option<Heard>, now_ns: u64) -> Verdict {
        let is_due = self
            .lock
            .as_ref()
            .is_none_or(|lock| !lock.is_exact && now_ns.saturating_sub(lock.since_ns) < WINDOW_NS);
        if !is_due && !self.is_window_open(heard, now_ns) {
            return Verdict::Reject;
        }
        self.lock_to(source, true, now_ns);
        Verdict::Learn
    }

    /// Whether a source that is not the SDP's may take the port.
    fn may_move(
        &self,
        source: SocketAddr,
        place: Place,
        heard: Option<Heard>,
        now_ns: u64,
    ) -> bool {
        let Some(lock) = &self.lock else {
            return true;
        };
        let has_rebound = || {
            let is_under_way = self.candidate.as_ref().is_some_and(|candidate| {
                candidate.source == source && candidate.last.is_followed_by(place, 1)
            });
            lock.source.ip() == source.ip()
                && silence_ns(heard, lock.since_ns, now_ns) >= REBIND_NS
                && (is_under_way
                    || heard.is_some_and(|last| last.place.is_followed_by(place, FURTHEST)))
        };
        self.is_window_open(heard, now_ns) || has_rebound()
    }

    fn is_window_open(&self, heard: Option<Heard>, now_ns: u64) -> bool {
        let since_ns = self.lock.as_ref().map_or(0, |lock| lock.since_ns);
        now_ns < self.window_end_ns && silence_ns(heard, since_ns, now_ns) >= ALIVE_NS
    }

    fn probe(&mut self, source: SocketAddr, place: Place, now_ns: u64) -> Verdict {
        let packets = match &self.candidate {
            Some(known) if known.source == source && known.last.is_followed_by(place, 1) => {
                known.packets + 1
            }
            _ => 1,
        };
        if packets >= PROOF {
            self.lock_to(source, false, now_ns);
            return Verdict::Prove;
        }
        self.candidate = Some(Candidate {
            source,
            last: place,
            packets,
        });
        Verdict::Probe
    }

    fn lock_to(&mut self, source: SocketAddr, is_exact: bool, now_ns: u64) {
        self.lock = Some(Lock {
            source,
            since_ns: now_ns,
            is_exact,
        });
        self.candidate = None;
        self.window_end_ns = 0;
    }

    /// Whether it is known where the phone is.
    pub fn has_remote(&self) -> bool {
        self.remote.is_some() || self.lock.is_some()
    }

    /// The source this port is locked to.
    pub fn locked(&self) -> Option<SocketAddr> {
        self.lock.as_ref().map(|lock| lock.source)
    }
}

fn silence_ns(heard: Option<Heard>, since_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(heard.map_or(since_ns, |last| last.at_ns))
}

/// The trust of the RTCP port beside it: it follows where RTP is learnt.
#[derive(Default)]
pub struct ReportGate {
    remote: Option<SocketAddr>,
    lock: Option<SocketAddr>,
}

impl ReportGate {
    /// Takes over what the signalling says; true if the remote address is a new one.
    pub fn update(&mut self, remote: Option<SocketAddr>) -> bool {
        let is_new = remote != self.remote;
        if is_new {
            self.remote = remote;
            self.lock = None;
        }
        is_new
    }

    /// RTP comes from elsewhere now, so reports may, too.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Judges a packet that its sender's key proves.
    pub fn check_proven(&mut self, source: SocketAddr, is_newest: bool) -> Verdict {
        if self.lock == Some(source) || !is_newest {
            return Verdict::Accept;
        }
        self.lock = Some(source);
        Verdict::Learn
    }

    /// Judges the source of a packet; `rtp` is the source that the RTP port is locked to.
    pub fn check(&mut self, source: SocketAddr, rtp: Option<SocketAddr>) -> Verdict {
        if let Some(locked) = self.lock {
            return if locked == source {
                Verdict::Accept
            } else {
                Verdict::Reject
            };
        }
        let is_kin = rtp.is_some_and(|known| known.ip() == source.ip());
        if self.remote != Some(source) && !is_kin {
            return Verdict::Reject;
        }
        self.lock = Some(source);
        Verdict::Learn
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
