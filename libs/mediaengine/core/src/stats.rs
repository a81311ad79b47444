//! Counters that a thread of the engine writes and anyone reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a stream has received and sent; *received* is what its phone sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamStats {
    /// RTP packets accepted, those included that a source was proven by.
    pub packets_received: u64,
    /// Their bytes, headers included (UDP payload).
    pub bytes_received: u64,
    /// RTP packets sent to the phone.
    pub packets_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// RTP packets missing in what was received.
    pub lost: u64,
    /// Interarrival jitter of what was received.
    pub jitter_ms: f64,
    /// RTCP packets accepted.
    pub rtcp_received: u64,
    /// Datagrams dropped: not RTP or RTCP, or from an unknown source.
    pub rejected: u64,
    /// Packets that no key of the phone's proves, or that came before.
    pub bad_auth: u64,
    /// Packets the operating system would not send.
    pub send_failed: u64,
    /// Seconds since the last accepted RTP packet.
    pub last_packet_age_s: Option<f64>,
}

impl StreamStats {
    /// What came before under the same name and what it is now, as one: jitter and age are the latter's.
    pub fn following(self, before: Self) -> Self {
        Self {
            packets_received: before.packets_received + self.packets_received,
            bytes_received: before.bytes_received + self.bytes_received,
            packets_sent: before.packets_sent + self.packets_sent,
            bytes_sent: before.bytes_sent + self.bytes_sent,
            lost: before.lost + self.lost,
            rtcp_received: before.rtcp_received + self.rtcp_received,
            rejected: before.rejected + self.rejected,
            bad_auth: before.bad_auth + self.bad_auth,
            send_failed: before.send_failed + self.send_failed,
            ..self
        }
    }
}

/// A counter with one writer at a time: an add is a plain load and store, not a locked one.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The live counters of a stream, written by the shard that has it.
#[derive(Default)]
pub struct Counters {
    pub packets_received: Counter,
    pub bytes_received: Counter,
    pub packets_sent: Counter,
    pub bytes_sent: Counter,
    pub lost: Counter,
    /// Bits of an f64.
    pub jitter_ms: Counter,
    pub rtcp_received: Counter,
    pub rejected: Counter,
    pub bad_auth: Counter,
    pub send_failed: Counter,
    /// Nanoseconds on the engine's clock, 0 for never.
    pub last_rtp_ns: Counter,
}

impl Counters {
    /// An RTP packet of so many bytes came.
    pub fn received(&self, bytes: usize) {
        self.packets_received.add(1);
        self.bytes_received.add(bytes as u64);
    }

    /// An RTP packet of so many bytes left.
    pub fn sent(&self, bytes: usize) {
        self.packets_sent.add(1);
        self.bytes_sent.add(bytes as u64);
    }

    pub fn read(&self, now_ns: u64) -> StreamStats {
        let last = self.last_rtp_ns.get();
        StreamStats {
            packets_received: self.packets_received.get(),
            bytes_received: self.bytes_received.get(),
            packets_sent: self.packets_sent.get(),
            bytes_sent: self.bytes_sent.get(),
            lost: self.lost.get(),
            jitter_ms: f64::from_bits(self.jitter_ms.get()),
            rtcp_received: self.rtcp_received.get(),
            rejected: self.rejected.get(),
            bad_auth: self.bad_auth.get(),
            send_failed: self.send_failed.get(),
            last_packet_age_s: (last > 0).then(|| now_ns.saturating_sub(last) as f64 / 1e9),
        }
    }
}
