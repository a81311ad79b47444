//! What an RTP relay reads of RTP and RTCP (RFC 3550): is it one, what is lost, how it jitters.
//!
//! Only what SRTP leaves in the clear is looked at, so that encrypted media passes as well.

/// What a datagram is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An RTP packet whose header fits.
    Rtp,
    /// An RTCP packet whose first header fits.
    Rtcp,
    /// Neither.
    Other,
}

const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;

/// Tells RTP and RTCP apart on one port as RFC 5761 4 does, and checks version and lengths.
pub fn classify(packet: &[u8]) -> Kind {
    if packet.len() < RTCP_HEADER || packet[0] >> 6 != 2 {
        return Kind::Other;
    }
    if (192..=223).contains(&packet[1]) {
        return classify_rtcp(packet);
    }
    classify_rtp(packet)
}

fn classify_rtcp(packet: &[u8]) -> Kind {
    let words = usize::from(u16::from_be_bytes([packet[2], packet[3]])) + 1;
    if words >= 2 && words * 4 <= packet.len() {
        Kind::Rtcp
    } else {
        Kind::Other
    }
}

fn classify_rtp(packet: &[u8]) -> Kind {
    if header_length(packet).is_some() {
        Kind::Rtp
    } else {
        Kind::Other
    }
}

/// Bytes of an RTP packet's header, contributors and extension included; None if it does not fit.
pub fn header_length(packet: &[u8]) -> Option<usize> {
    if packet.len() < RTP_HEADER || packet[0] >> 6 != 2 {
        return None;
    }
    let mut length = RTP_HEADER + 4 * usize::from(packet[0] & 0x0f);
    if packet[0] & 0x10 != 0 {
        let extension = packet.get(length..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    (length <= packet.len()).then_some(length)
}

/// What places a packet in a stream (RFC 3550 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Synchronization source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// In units of the clock.
    pub timestamp: u32,
    /// Begins a talk spurt, or ends a frame.
    pub has_marker: bool,
}

impl Header {
    /// Of a packet that [`classify`] found to be RTP.
    pub fn read(packet: &[u8]) -> Self {
        Self {
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            timestamp: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
            has_marker: packet[1] & 0x80 != 0,
        }
    }

    /// Puts the packet there.
    pub fn write(self, packet: &mut [u8]) {
        packet[1] = packet[1] & 0x7f | u8::from(self.has_marker) << 7;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

const SEQUENCES: u32 = 1 << 16;
const MAX_DROPOUT: u32 = 3000;
const MAX_MISORDER: u32 = 100;

/// Loss and jitter of what comes from one source; a new SSRC or a leap starts a new count.
pub struct Receiver {
    clock_rate: u32,
    ssrc: Option<u32>,
    base: u32,
    highest: u32,
    received: u32,
    /// Which of the last 128 came: bit `n` stands for the sequence number `n` below the highest.
    recent: u128,
    leapt_to: Option<u16>,
    lost_before: u64,
    payload_type: u8,
    timestamp: u32,
    transit: Option<u32>,
    jitter: f64,
}

impl Receiver {
    /// `clock_rate` in Hz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            ssrc: None,
            base: 0,
            highest: 0,
            received: 0,
            recent: 0,
            leapt_to: None,
            lost_before: 0,
            payload_type: 0,
            timestamp: 0,
            transit: None,
            jitter: 0.0,
        }
    }

    /// Changes the clock rate, after which jitter is counted anew.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate.max(1) {
            self.clock_rate = clock_rate.max(1);
            self.transit = None;
            self.jitter = 0.0;
        }
    }

    /// Counts a packet that [`classify`] found to be RTP; `now_ns` on any monotonic clock.
    pub fn receive(&mut self, packet: &[u8], now_ns: u64) {
        let header = Header::read(packet);
        if self.ssrc == Some(header.ssrc) {
            self.count(header.sequence);
        } else {
            self.ssrc = Some(header.ssrc);
            self.start(header.sequence);
        }
        self.measure(packet[1] & 0x7f, header.timestamp, now_ns);
    }

    /// SSRC and highest sequence number so far.
    pub fn last(&self) -> Option<(u32, u16)> {
        self.ssrc.map(|ssrc| (ssrc, self.highest as u16))
    }

    /// Packets that never came (RFC 3550 A.3), but a packet that came twice makes up for none.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.lost_now()
    }

    /// Interarrival jitter in milliseconds (6.4.1).
    pub fn jitter_ms(&self) -> f64 {
        self.jitter * 1000.0 / f64::from(self.clock_rate)
    }

    fn lost_now(&self) -> u64 {
        if self.received == 0 {
            return 0;
        }
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        u64::from(expected.saturating_sub(self.received))
    }

    fn start(&mut self, sequence: u16) {
        self.lost_before += self.lost_now();
        self.base = u32::from(sequence);
        self.highest = self.base;
        self.received = 1;
        self.recent = 1;
        self.leapt_to = None;
        self.transit = None;
    }

    /// RFC 3550 A.1, without probation: the gate has vouched for the source.
    fn count(&mut self, sequence: u16) {
        let ahead = u32::from(sequence.wrapping_sub(self.highest as u16));
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(ahead);
            self.recent = self.recent.checked_shl(ahead).unwrap_or(0);
            self.note(0);
        } else if ahead <= SEQUENCES - MAX_MISORDER {
            // Two in a row after a leap: the sender started again.
            if self.leapt_to == Some(sequence) {
                self.start(sequence);
            } else {
                self.leapt_to = Some(sequence.wrapping_add(1));
            }
        } else {
            self.note(SEQUENCES - ahead);
        }
    }

    /// Counts a packet so far below the highest, unless it came before.
    fn note(&mut self, below: u32) {
        let bit = 1u128 << below;
        if self.recent & bit == 0 {
            self.recent |= bit;
            self.received = self.received.wrapping_add(1);
        }
    }

    /// Packets of one frame or one telephone event share a timestamp and say nothing of jitter; a leap
    /// of more than a second is a clock that was set anew.
    fn measure(&mut self, payload_type: u8, timestamp: u32, now_ns: u64) {
        let rate = u64::from(self.clock_rate);
        let arrival = now_ns / 1_000_000_000 * rate + now_ns % 1_000_000_000 * rate / 1_000_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        let is_comparable = payload_type == self.payload_type && timestamp != self.timestamp;
        if let (Some(before), true) = (self.transit, is_comparable) {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            if difference <= self.clock_rate {
                self.jitter += (f64::from(difference) - self.jitter) / 16.0;
            }
        }
        self.payload_type = payload_type;
        self.timestamp = timestamp;
        self.transit = Some(transit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0; 160]);
        packet
    }

    fn receive_all(receiver: &mut Receiver, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            receiver.receive(&packet(sequence, 0, 7), 0);
        }
    }

    #[test]
    fn rtp_and_rtcp_are_told_apart_and_truncated_ones_refused() {
        let rtp = packet(1, 2, 3);
        assert_eq!(classify(&rtp), Kind::Rtp);
        for length in 0..12 {
            assert_eq!(classify(&rtp[..length]), Kind::Other, "{length} bytes");
        }
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        assert_eq!(classify(&report), Kind::Rtcp);
        assert_eq!(classify(&report[..7]), Kind::Other);
        assert_eq!(classify(&[0x80, 201, 0, 9, 0, 0, 0, 1]), Kind::Other);
        assert_eq!(classify(&[0x40; 40]), Kind::Other);
        assert_eq!(
            classify(b"\x00\x01\x00\x00\x21\x12\xa4\x42stun"),
            Kind::Other
        );
    }

    #[test]
    fn contributors_and_extension_must_fit() {
        let mut rtp = packet(1, 2, 3);
        rtp[0] = 0x80 | 15;
        assert_eq!(classify(&rtp[..12 + 60]), Kind::Rtp);
        assert_eq!(classify(&rtp[..12 + 59]), Kind::Other);
        let mut extended = packet(1, 2, 3);
        extended[0] = 0x90;
        extended[14..16].copy_from_slice(&39u16.to_be_bytes());
        assert_eq!(classify(&extended), Kind::Rtp);
        extended[14..16].copy_from_slice(&40u16.to_be_bytes());
        assert_eq!(classify(&extended), Kind::Other);
        assert_eq!(classify(&extended[..13]), Kind::Other);
    }

    #[test]
    fn loss_is_counted_across_the_wrap_of_sequence_numbers() {
        let mut receiver = Receiver::new(8000);
        receive_all(&mut receiver, [65533, 65534, 65535, 0, 3, 4]);
        assert_eq!(receiver.lost(), 2);
    }

    #[test]
    fn late_and_double_packets_do_not_make_loss_negative() {
        let mut receiver = Receiver::new(8000);
        receive_all(&mut receiver, [10, 12, 11, 13, 13, 13]);
        assert_eq!(receiver.lost(), 0);
    }

    #[test]
    fn a_packet_that_came_twice_hides_no_loss() {
        let mut receiver = Receiver::new(8000);
        receive_all(&mut receiver, (0..20).filter(|n| n % 2 == 0));
        receive_all(&mut receiver, (0..20).filter(|n| n % 2 == 0));
        assert_eq!(receiver.lost(), 9);
        receive_all(&mut receiver, [1, 1, 200, 101]);
        assert_eq!(receiver.lost(), 201 - 13);
    }

    #[test]
    fn a_leap_of_the_timestamp_is_no_jitter() {
        let mut receiver = Receiver::new(8000);
        for i in 0..40u32 {
            let leap = if i < 20 { 0 } else { 3_000_000_000 };
            let timestamp = (160 * i).wrapping_add(leap);
            let arrival_ns = u64::from(i) * 20_000_000;
            receiver.receive(&packet(i as u16, timestamp, 7), arrival_ns);
        }
        assert!(receiver.jitter_ms() < 0.1, "{}", receiver.jitter_ms());
    }

    #[test]
    fn a_restarted_sender_keeps_the_loss_so_far() {
        let mut receiver = Receiver::new(8000);
        receive_all(&mut receiver, [1, 3, 30000, 30001, 30002]);
        assert_eq!(receiver.lost(), 1);
        receiver.receive(&packet(500, 0, 8), 0);
        receiver.receive(&packet(502, 0, 8), 0);
        assert_eq!(receiver.lost(), 2);
    }

    #[test]
    fn jitter_follows_the_formula_of_the_rfc() {
        let mut receiver = Receiver::new(8000);
        let arrivals_ms = [0u64, 20, 48, 60];
        for (i, arrival) in arrivals_ms.into_iter().enumerate() {
            receiver.receive(&packet(i as u16, 160 * i as u32, 7), arrival * 1_000_000);
        }
        // D: 0, 64, 64 clock units.
        let expected = {
            let after_second = 64.0 / 16.0;
            after_second + (64.0 - after_second) / 16.0
        };
        assert!((receiver.jitter_ms() - expected / 8.0).abs() < 1e-9);
    }

    #[test]
    fn steady_packets_have_no_jitter_even_after_days() {
        let mut receiver = Receiver::new(48000);
        let start = 30 * 24 * 3600 * 1_000_000_000u64;
        for i in 0..1000u64 {
            receiver.receive(
                &packet(i as u16, (960 * i) as u32, 7),
                start + i * 20_000_000,
            );
        }
        assert!(receiver.jitter_ms() < 0.1, "{}", receiver.jitter_ms());
    }

    #[test]
    fn one_timestamp_for_many_packets_is_no_jitter() {
        let mut receiver = Receiver::new(8000);
        for i in 0..50u16 {
            receiver.receive(&packet(i, 4000, 7), u64::from(i) * 50_000_000);
        }
        assert_eq!(receiver.jitter_ms(), 0.0);
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let mut original = packet(1, 2, 0x0102_0304);
        original[1] = 0x80 | 111;
        let mut written = vec![0x80, 111];
        written.extend([0xff; 170]);
        written[12..].copy_from_slice(&original[12..]);
        Header::read(&original).write(&mut written);
        assert_eq!(original, written);
    }
}
