//! One leg's side of one m-line: what comes from its phone, and what its phone hears.
//!
//! A direction that has settled is four addresses: what comes to *this local port* from *the locked
//! source* leaves from *the sink's local port* to *the sink's target*. They change in
//! [`Stream::apply`] (signalling) and [`Stream::receive`] (learning) only: a tc or XDP program can take
//! over a direction as one map entry and leave the rest to this code.

pub mod line;

use std::net::SocketAddr;
use std::sync::Arc;

use wire::rtp::{Header, Kind, Receiver, classify};

use crate::session::plan::{Carry, Planned};
use crate::stats::Counters;
use crate::stream::line::Line;
use crate::transport::gate::{Gate, Heard, Place, ReportGate, Verdict};
use crate::transport::pair::{Pair, Port};
use crate::transport::security::Security;

/// Where the packets of a stream go: one entry for each who hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The sink's place in the shard.
    pub to: usize,
    pub carry: Carry,
}

/// A packet on its way to who hears it.
#[derive(Clone, Copy)]
pub struct Passing {
    port: Port,
    kind: Kind,
    /// Of RTP.
    header: Option<Header>,
    source: u64,
    clock_rate: u32,
}

/// A datagram that is RTP or RTCP.
struct Arrival {
    port: Port,
    kind: Kind,
    source: SocketAddr,
    now_ns: u64,
}

/// A stream, as its shard has it.
pub struct Stream {
    /// Never given twice in a shard, unlike places.
    serial: u64,
    pair: Pair,
    counters: Arc<Counters>,
    gate: Gate,
    report_gate: ReportGate,
    security: Security,
    receiver: Receiver,
    clock_rate: u32,
    route: Vec<Hop>,
    line: Line,
    is_active: bool,
    /// Its silence counted when it was last looked at.
    was_expected: bool,
    heard_ns: u64,
    last_rtp_ns: u64,
    #[cfg(test)]
    pub panics: bool,
}

impl Stream {
    /// A stream of which nothing is known yet.
    pub fn new(serial: u64, pair: Pair, counters: Arc<Counters>) -> Self {
        Self {
            serial,
            gate: Gate::new(pair.lease.former),
            pair,
            counters,
            report_gate: ReportGate::default(),
            security: Security::default(),
            receiver: Receiver::new(8000),
            clock_rate: 8000,
            route: Vec::new(),
            line: Line::default(),
            is_active: false,
            was_expected: false,
            heard_ns: 0,
            last_rtp_ns: 0,
            #[cfg(test)]
            panics: false,
        }
    }

    /// Its sockets.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Takes over what the signalling says, the route apart.
    pub fn apply(&mut self, planned: &Planned, now_ns: u64) {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one stream");
        let believed = &planned.believed;
        let (from, described) = (&believed.learn_from, believed.described);
        if self.gate.update(believed.rtp, from, described, now_ns) {
            self.pair.rtp.target = believed.rtp;
        }
        if self.report_gate.update(believed.rtcp) {
            self.pair.rtcp.target = believed.rtcp;
        }
        self.security.update(believed.sdes.as_ref());
        self.line.set_strict(self.security.is_secured());
        self.clock_rate = planned.clock_rate;
        self.receiver.set_clock_rate(planned.clock_rate);
        self.is_active = planned.is_active;
        self.heard_ns = now_ns;
    }

    /// Says who hears it from now on.
    pub fn set_route(&mut self, route: Vec<Hop>) {
        self.route = route;
    }

    /// Who hears it, one after the other.
    pub fn hop(&self, n: usize) -> Option<Hop> {
        self.route.get(n).copied()
    }

    /// Receives one datagram into `buffer`; its length, if it is to be passed on.
    pub fn receive(
        &mut self,
        port: Port,
        buffer: &mut [u8],
        now_ns: u64,
    ) -> Option<(Passing, usize)> {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one stream");
        // An error: nothing there after all, a bad checksum, or another wake-up took it.
        let (length, source) = self.pair.channel(port).receive(buffer).ok()?;
        let kind = classify(&buffer[..length]);
        let is_out_of_place = port == Port::Rtcp && kind == Kind::Rtp;
        if kind == Kind::Other || is_out_of_place {
            self.counters.rejected.add(1);
            return None;
        }
        let arrival = Arrival {
            port,
            kind,
            source,
            now_ns,
        };
        let (verdict, length) = self.judge(&arrival, &mut buffer[..length])?;
        let packet = &buffer[..length];
        if matches!(verdict, Verdict::Learn | Verdict::Prove) {
            self.pair.channel(port).target = Some(source);
            if port == Port::Rtp {
                self.report_gate.unlock();
            }
        }
        if verdict == Verdict::Probe {
            self.counters.received(packet.len());
            return None;
        }
        self.heard_ns = now_ns;
        self.count(kind, packet, now_ns);
        if verdict == Verdict::Prove {
            return None;
        }
        let passing = Passing {
            port,
            kind,
            header: (kind == Kind::Rtp).then(|| Header::read(packet)),
            source: self.serial,
            clock_rate: self.clock_rate,
        };
        Some((passing, length))
    }

    /// Whether a datagram is believed, and how long it is once it is opened.
    fn judge(&mut self, arrival: &Arrival, packet: &mut [u8]) -> Option<(Verdict, usize)> {
        let Arrival {
            port,
            kind,
            source,
            now_ns,
        } = *arrival;
        if self.security.is_secured() {
            return self.prove(arrival, packet);
        }
        let place = (kind == Kind::Rtp).then(|| Place::of(Header::read(packet)));
        let verdict = match port {
            Port::Rtp => self.gate.check(source, place, self.heard(), now_ns),
            Port::Rtcp => self.report_gate.check(source, self.gate.locked()),
        };
        if verdict == Verdict::Reject {
            self.counters.rejected.add(1);
            return None;
        }
        Some((verdict, packet.len()))
    }

    fn prove(&mut self, arrival: &Arrival, packet: &mut [u8]) -> Option<(Verdict, usize)> {
        let is_rtp = arrival.kind == Kind::Rtp;
        let Ok(opened) = self.security.open(is_rtp, packet) else {
            self.counters.bad_auth.add(1);
            return None;
        };
        let is_newest = opened.is_newest;
        let verdict = match arrival.port {
            // A report on this port says nothing of where its sender wants to hear.
            Port::Rtp => {
                let teaches = is_rtp && is_newest;
                self.gate
                    .check_proven(arrival.source, teaches, arrival.now_ns)
            }
            Port::Rtcp => self.report_gate.check_proven(arrival.source, is_newest),
        };
        Some((verdict, opened.length))
    }

    /// Sends a packet to the phone, on the line that this hears.
    ///
    /// `scratch` is for what is protected, since others may hear the packet, too.
    pub fn send(
        &mut self,
        passing: Passing,
        carry: Carry,
        packet: &mut [u8],
        scratch: &mut [u8],
        now_ns: u64,
    ) {
        if let Some(mut header) = passing.header {
            if carry == Carry::Reflect {
                header.ssrc = !header.ssrc;
            }
            self.line
                .place(header, passing.source, passing.clock_rate, now_ns)
                .write(packet);
        } else if carry == Carry::Reflect || !self.line.is_of(passing.source) {
            return;
        }
        let is_rtp = passing.kind == Kind::Rtp;
        let packet: &[u8] = if self.security.is_secured() {
            scratch[..packet.len()].copy_from_slice(packet);
            // What is refused was sent before.
            let Ok(length) = self.security.protect(is_rtp, scratch, packet.len()) else {
                return;
            };
            &scratch[..length]
        } else {
            packet
        };
        match self.pair.channel(passing.port).send(packet) {
            None => {}
            Some(Err(_)) => self.counters.send_failed.add(1),
            Some(Ok(_)) if is_rtp => self.counters.sent(packet.len()),
            Some(Ok(_)) => {}
        }
    }

    /// Whether it is known where its phone is.
    pub fn has_remote(&self) -> bool {
        self.gate.has_remote()
    }

    /// When it was last heard, if its silence counts: somebody known hears it (`is_heard`).
    ///
    /// It counts from the moment on that it does.
    pub fn expected_since_ns(&mut self, is_heard: bool, now_ns: u64) -> Option<u64> {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one stream");
        let is_expected = self.is_active && is_heard && self.has_remote();
        if is_expected && !self.was_expected {
            self.heard_ns = now_ns;
        }
        self.was_expected = is_expected;
        is_expected.then_some(self.heard_ns)
    }

    fn heard(&self) -> Option<Heard> {
        let (ssrc, sequence) = self.receiver.last()?;
        Some(Heard {
            place: Place { ssrc, sequence },
            at_ns: self.last_rtp_ns,
        })
    }

    fn count(&mut self, kind: Kind, packet: &[u8], now_ns: u64) {
        let counters = &self.counters;
        if kind != Kind::Rtp {
            return counters.rtcp_received.add(1);
        }
        self.last_rtp_ns = now_ns;
        self.receiver.receive(packet, now_ns);
        counters.received(packet.len());
        counters.lost.set(self.receiver.lost());
        counters.jitter_ms.set(self.receiver.jitter_ms().to_bits());
        counters.last_rtp_ns.set(now_ns.max(1));
    }
}

impl Drop for Stream {
    /// The port's next holder is told who spoke here.
    fn drop(&mut self) {
        let ssrc = self.receiver.last().map(|(ssrc, _)| ssrc);
        self.pair.lease.speaker = self.gate.locked().zip(ssrc);
    }
}
