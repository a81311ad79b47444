//! The line of sequence numbers and timestamps that a phone hears.
//!
//! Whoever is heard, the phone sees one stream: what comes from another source continues where the
//! last one stopped (RFC 3550 5.1). Otherwise a transfer or music clicks, or is dropped as a replay.

use wire::rtp::Header;

/// A pause between two sources counts for no more than an hour.
const LONGEST_PAUSE_NS: u64 = 3_600_000_000_000;

/// A source that is further ahead or behind has started anew (RFC 3550 A.1).
const FURTHEST_AHEAD: u16 = 3_000;
const FURTHEST_BEHIND: u16 = u16::MAX - 100;

struct Shift {
    source: u64,
    source_ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Shift {
    fn is_of(&self, source: u64, header: Header) -> bool {
        self.source == source && self.source_ssrc == header.ssrc
    }
}

/// What was sent to a phone last, and how the current source is moved to continue it.
#[derive(Default)]
pub struct Line {
    shift: Option<Shift>,
    /// No packet takes the place of another one, whatever the source does.
    is_strict: bool,
    /// More than one source was heard, so that what the sources say of themselves is no longer true.
    is_own: bool,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    sent_ns: u64,
}

impl Line {
    /// Moves a packet's header onto the line.
    ///
    /// Of the first source everything is kept, a change of its SSRC included. `clock_rate` in Hz.
    pub fn place(
        &mut self,
        mut header: Header,
        source: u64,
        clock_rate: u32,
        now_ns: u64,
    ) -> Header {
        let shift = match self.shift.take() {
            None => self.follow(header, source),
            Some(shift) if shift.is_of(source, header) && !self.is_leap(&shift, header) => shift,
            Some(shift) if shift.source == source && !self.is_own && !self.is_strict => {
                self.follow(header, source)
            }
            Some(_) => {
                header.has_marker = true;
                self.resume(header, source, clock_rate, now_ns)
            }
        };
        header.ssrc = self.ssrc;
        header.sequence = header.sequence.wrapping_add(shift.sequence);
        header.timestamp = header.timestamp.wrapping_add(shift.timestamp);
        self.shift = Some(shift);
        self.note(header, now_ns);
        header
    }

    /// Says that the phone's packets are protected, so that no sequence number may come again: a
    /// source that starts anew goes on where it was, too (RFC 3711 9.1).
    pub fn set_strict(&mut self, is_strict: bool) {
        self.is_strict = is_strict;
    }

    /// Whether a source has started anew.
    fn is_leap(&self, shift: &Shift, header: Header) -> bool {
        let ahead = header
            .sequence
            .wrapping_add(shift.sequence)
            .wrapping_sub(self.sequence);
        self.is_strict && (FURTHEST_AHEAD..=FURTHEST_BEHIND).contains(&ahead)
    }

    /// Whether RTCP of the source fits what the phone sees.
    pub fn is_of(&self, source: u64) -> bool {
        !self.is_own
            && self
                .shift
                .as_ref()
                .is_none_or(|shift| shift.source == source)
    }

    fn follow(&mut self, header: Header, source: u64) -> Shift {
        self.ssrc = header.ssrc;
        self.sequence = header.sequence;
        self.timestamp = header.timestamp;
        Shift {
            source,
            source_ssrc: header.ssrc,
            sequence: 0,
            timestamp: 0,
        }
    }

    fn resume(&mut self, header: Header, source: u64, clock_rate: u32, now_ns: u64) -> Shift {
        self.is_own = true;
        let pause_ns = now_ns.saturating_sub(self.sent_ns).min(LONGEST_PAUSE_NS);
        let pause = pause_ns * u64::from(clock_rate) / 1_000_000_000;
        let timestamp = self.timestamp.wrapping_add((pause as u32).max(1));
        Shift {
            source,
            source_ssrc: header.ssrc,
            sequence: self.sequence.wrapping_add(1).wrapping_sub(header.sequence),
            timestamp: timestamp.wrapping_sub(header.timestamp),
        }
    }

    /// A late packet does not set the line back.
    fn note(&mut self, sent: Header, now_ns: u64) {
        if sent.sequence.wrapping_sub(self.sequence) < 1 << 15 {
            self.sequence = sent.sequence;
            self.timestamp = sent.timestamp;
            self.sent_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;
    const FRAME_NS: u64 = 20_000_000;

    fn header(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        Header {
            ssrc,
            sequence,
            timestamp,
            has_marker: false,
        }
    }

    fn places(line: &mut Line, source: u64, first: Header, from: u64, packets: u16) -> Vec<Header> {
        (0..packets)
            .map(|n| {
                let sent = Header {
                    sequence: first.sequence.wrapping_add(n),
                    timestamp: first.timestamp.wrapping_add(160 * u32::from(n)),
                    ..first
                };
                line.place(sent, source, RATE, (from + u64::from(n)) * FRAME_NS)
            })
            .collect()
    }

    #[test]
    fn the_first_source_is_passed_as_it_is_also_when_it_begins_a_new_stream() {
        let mut line = Line::default();
        for ssrc in [7, 9] {
            let first = header(ssrc, 65_000, 4_000_000_000);
            let sent = places(&mut line, 1, first, 0, 3);
            assert_eq!(sent[0], first);
            assert_eq!(sent[2], header(ssrc, 65_002, 4_000_000_320));
        }
        assert!(line.is_of(1) && !line.is_of(2));
    }

    #[test]
    fn any_number_of_sources_makes_one_line_without_gap_or_step_back() {
        let mut line = Line::default();
        let sources = [
            (1, header(11, 65_530, u32::MAX - 200)),
            (2, header(22, 5, 1_000_000)),
            (1, header(11, 65_500, 77)),
            (1, header(33, 9, 9)),
            (3, header(44, 40_000, 3_000_000_000)),
        ];
        let mut heard = Vec::new();
        for (n, (source, first)) in sources.into_iter().enumerate() {
            heard.extend(places(&mut line, source, first, 10 * n as u64, 10));
        }
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
            assert_eq!(pair[1].ssrc, 11);
        }
        let marked: Vec<usize> = (0..50).filter(|&n| heard[n].has_marker).collect();
        assert_eq!(marked, [10, 20, 30, 40], "a new source begins a talk spurt");
        assert!(!line.is_of(3), "what it reports of itself fits no more");
    }

    #[test]
    fn a_strict_line_takes_no_step_back_when_its_source_starts_anew() {
        let mut line = Line::default();
        line.set_strict(true);
        let starts = [
            header(1, 1_000, 5_000),
            header(1, 500, 9_000_000),
            header(1, 40_000, 7),
            header(2, 1_005, 5_000),
        ];
        let mut heard = Vec::new();
        for (n, first) in starts.into_iter().enumerate() {
            heard.extend(places(&mut line, 1, first, 10 * n as u64, 10));
        }
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].ssrc, 1);
        }
        let late = line.place(header(2, 1_010, 5_800), 1, RATE, 40 * FRAME_NS);
        assert_eq!(late.sequence, heard[35].sequence, "a late one is none");
    }

    #[test]
    fn a_pause_between_sources_is_a_pause_for_the_phone() {
        let mut line = Line::default();
        places(&mut line, 1, header(1, 100, 1600), 0, 1);
        let later = places(&mut line, 2, header(2, 7, 7), 50, 1);
        assert_eq!(later[0].timestamp, 1600 + 50 * 160);
        assert_eq!(later[0].sequence, 101);
    }

    #[test]
    fn a_late_packet_keeps_its_place_and_sets_nothing_back() {
        let mut line = Line::default();
        places(&mut line, 1, header(1, 10, 1600), 0, 5);
        let late = line.place(header(1, 12, 1920), 1, RATE, 6 * FRAME_NS);
        assert_eq!(late, header(1, 12, 1920));
        let next = places(&mut line, 2, header(2, 0, 0), 5, 1);
        assert_eq!((next[0].sequence, next[0].timestamp), (15, 1600 + 5 * 160));
    }
}
