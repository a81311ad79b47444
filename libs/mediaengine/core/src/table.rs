//! The forwarding table of one thread, and what happens to a packet.
//!
//! Each entry is a direction: what comes to *this local port* from *the locked source* leaves from
//! *the peer's local port* to *the peer's target*. Those four addresses are the whole decision, and
//! they change only in [`Entry::update`], [`Entry::receive`] (learning) and [`Table::route`]: a tc or
//! XDP program can take over a settled direction as one map entry and leave the rest to this code.

use std::collections::HashMap;
use std::sync::Arc;

use crate::gate::{Gate, Verdict};
use crate::pair::{Channel, Pair};
use crate::rtp::{Kind, Receiver, classify, flip_ssrc};
use crate::spec::EndpointSpec;

/// Where an endpoint's media goes.
pub enum Out {
    /// It is counted and dropped.
    Nowhere,
    /// Back to where it came from.
    Echo,
    /// On to the peer's phone, from the peer's ports.
    Peer(Arc<Pair>),
}

/// Which of an endpoint's two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Rtp,
    Rtcp,
}

/// One endpoint, as its thread sees it.
pub struct Entry {
    pub id: u64,
    pub pair: Arc<Pair>,
    out: Out,
    rtp_gate: Gate,
    rtcp_gate: Gate,
    receiver: Receiver,
    timeout_ns: u64,
    heard_ns: u64,
    is_timed_out: bool,
    #[cfg(test)]
    pub panics: bool,
}

impl Entry {
    pub fn new(id: u64, pair: Arc<Pair>, spec: EndpointSpec, now_ns: u64) -> Self {
        let mut entry = Self {
            id,
            pair,
            out: Out::Nowhere,
            rtp_gate: Gate::default(),
            rtcp_gate: Gate::default(),
            receiver: Receiver::new(spec.clock_rate),
            timeout_ns: 0,
            heard_ns: now_ns,
            is_timed_out: false,
            #[cfg(test)]
            panics: false,
        };
        entry.update(spec, now_ns);
        entry
    }

    /// Takes over what the signalling says; silence counts from now.
    pub fn update(&mut self, spec: EndpointSpec, now_ns: u64) {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one endpoint");
        if self.rtp_gate.update(spec.remote, spec.learn_from.clone()) {
            self.pair.rtp.set_target(spec.remote);
        }
        if self.rtcp_gate.update(spec.remote_rtcp, spec.learn_from) {
            self.pair.rtcp.set_target(spec.remote_rtcp);
        }
        self.receiver.set_clock_rate(spec.clock_rate);
        self.timeout_ns = u64::try_from(spec.timeout.as_nanos()).unwrap_or(u64::MAX);
        self.heard_ns = now_ns;
        self.is_timed_out = false;
    }

    /// Receives one datagram and passes it on or drops it.
    pub fn receive(&mut self, port: Port, buffer: &mut [u8], now_ns: u64) {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one endpoint");
        let Ok((length, source)) = self.channel(port).receive(buffer) else {
            return; // Nothing there after all: a bad checksum, or another wake-up took it.
        };
        let packet = &mut buffer[..length];
        let kind = classify(packet);
        let is_out_of_place = port == Port::Rtcp && kind == Kind::Rtp;
        if kind == Kind::Other || is_out_of_place {
            self.pair.counters.rejected.add(1);
            return;
        }
        let verdict = match port {
            Port::Rtp => self.rtp_gate.check(source, None),
            Port::Rtcp => self.rtcp_gate.check(source, self.rtp_gate.locked_ip()),
        };
        match verdict {
            Verdict::Reject => return self.pair.counters.rejected.add(1),
            Verdict::Learn => self.channel(port).set_target(Some(source)),
            Verdict::Accept => {}
        }
        self.heard_ns = now_ns;
        self.count(kind, packet, now_ns);
        self.forward(port, kind, packet);
    }

    /// True when the silence has just become too long; once, until something is heard again.
    pub fn check_timeout(&mut self, now_ns: u64) -> bool {
        #[cfg(test)]
        assert!(!self.panics, "a bug in one endpoint");
        let is_silent = self.timeout_ns > 0
            && self.rtp_gate.has_remote()
            && now_ns.saturating_sub(self.heard_ns) >= self.timeout_ns;
        let has_begun = is_silent && !self.is_timed_out;
        self.is_timed_out = is_silent;
        has_begun
    }

    fn channel(&self, port: Port) -> &Channel {
        channel(&self.pair, port)
    }

    fn count(&mut self, kind: Kind, packet: &[u8], now_ns: u64) {
        let counters = &self.pair.counters;
        if kind != Kind::Rtp {
            return counters.rtcp_received.add(1);
        }
        self.receiver.receive(packet, now_ns);
        counters.packets_received.add(1);
        counters.bytes_received.add(packet.len() as u64);
        counters.lost.set(self.receiver.lost());
        counters.jitter_ms.set(self.receiver.jitter_ms().to_bits());
        counters.last_rtp_ns.set(now_ns.max(1));
    }

    fn forward(&self, port: Port, kind: Kind, packet: &mut [u8]) {
        let to = match &self.out {
            Out::Nowhere => return,
            Out::Peer(peer) => peer,
            Out::Echo if kind == Kind::Rtp => {
                flip_ssrc(packet);
                &self.pair
            }
            // A phone's own reports would tell it nonsense about what it hears.
            Out::Echo => return,
        };
        match channel(to, port).send(packet) {
            None => {}
            Some(Err(_)) => to.counters.send_failed.add(1),
            Some(Ok(_)) if kind == Kind::Rtp => {
                to.counters.packets_sent.add(1);
                to.counters.bytes_sent.add(packet.len() as u64);
            }
            Some(Ok(_)) => {}
        }
    }
}

fn channel(pair: &Pair, port: Port) -> &Channel {
    match port {
        Port::Rtp => &pair.rtp,
        Port::Rtcp => &pair.rtcp,
    }
}

/// The entries of a thread: by slot for packets, by endpoint for commands.
#[derive(Default)]
pub struct Table {
    slots: Vec<Option<Entry>>,
    vacant: Vec<usize>,
    by_id: HashMap<u64, usize>,
}

impl Table {
    /// Adds an entry and returns its slot.
    pub fn insert(&mut self, entry: Entry) -> usize {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_id.insert(entry.id, slot);
        self.slots[slot] = Some(entry);
        slot
    }

    pub fn remove(&mut self, id: u64) -> Option<Entry> {
        let slot = self.by_id.remove(&id)?;
        self.vacant.push(slot);
        self.slots[slot].take()
    }

    pub fn at(&mut self, slot: usize) -> Option<&mut Entry> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub fn get(&mut self, id: u64) -> Option<&mut Entry> {
        let slot = *self.by_id.get(&id)?;
        self.at(slot)
    }

    /// Sends an endpoint's media somewhere else.
    pub fn route(&mut self, id: u64, out: Out) {
        if let Some(entry) = self.get(id) {
            entry.out = out;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn entries(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.slots.iter_mut().flatten()
    }
}
