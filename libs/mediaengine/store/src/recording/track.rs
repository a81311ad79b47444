//! One source's samples, in their places.

use super::line::Line;

/// So many late frames in a row mean that their sender's count went back.
const LATE_RUN: u32 = 10;
/// A frame that is later by so much means the same at once.
const LATE_MS: i64 = 2_000;
/// A hole of so many samples comes from a slip, and is no silence.
const SLIP: i64 = 2;

/// Samples that arrived together.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When, in ns of the recorder's clock.
    pub arrived_ns: u64,
    /// The first sample in the sender's count, which may start anywhere: the RTP timestamp, unwrapped and brought to the
    /// recorder's rate.
    pub at: u64,
    /// Of one channel, a second at most.
    pub samples: &'a [i16],
}

/// What became of one source's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackStats {
    /// Frames that came after their block had gone.
    pub late: u64,
    /// Times that nothing came when something should have, and silence took its place.
    pub gaps: u64,
    /// Samples of that silence.
    pub missing: u64,
}

/// A ring from the position that is taken next on.
#[derive(Clone, Debug)]
pub(super) struct Track {
    line: Line,
    rate: i64,
    ring: Vec<i16>,
    is_filled: Vec<bool>,
    start: i64,
    /// Behind the last sample that was put in.
    end: i64,
    late_run: u32,
    was_gap: bool,
    has_begun: bool,
    stats: TrackStats,
}

impl Track {
    /// Holds `room` samples at least.
    pub(super) fn new(rate: u32, room: usize) -> Self {
        let capacity = room.next_power_of_two();
        Self {
            line: Line::new(rate),
            rate: i64::from(rate),
            ring: vec![0; capacity],
            is_filled: vec![false; capacity],
            start: 0,
            end: 0,
            late_run: 0,
            was_gap: false,
            has_begun: false,
            stats: TrackStats::default(),
        }
    }

    pub(super) fn stats(&self) -> TrackStats {
        self.stats
    }

    /// Puts samples in their place; `arrived` is the position of now.
    pub(super) fn put(&mut self, arrived: i64, at: i64, samples: &[i16]) {
        let length = samples.len() as i64;
        let mut place = self.line.place(arrived, at);
        if place > arrived + self.rate {
            // A count beyond half of all numbers.
            place = self.line.restart(arrived, at);
        }
        if place.saturating_add(length) <= self.start {
            self.late_run += 1;
            let late_ms = arrived.saturating_sub(place).saturating_mul(1000) / self.rate;
            if self.late_run < LATE_RUN && late_ms < LATE_MS {
                self.stats.late += 1;
                return;
            }
            place = self.line.restart(arrived, at);
        }
        self.late_run = 0;
        self.has_begun = true;
        let hole = place - self.end;
        if (1..=SLIP).contains(&hole) && self.end > self.start {
            let last = self.ring[self.index(self.end - 1)];
            self.set(self.end, &[last; SLIP as usize][..hole as usize]);
        }
        self.set(place, samples);
        self.end = self.end.max(place + length);
    }

    /// Takes out a block that begins at the present start; what is missing is silent.
    pub(super) fn take(&mut self, length: usize, mut each: impl FnMut(usize, i16)) {
        let mut missing = 0;
        for n in 0..length {
            let index = self.index(self.start + n as i64);
            each(n, std::mem::take(&mut self.ring[index]));
            missing += u64::from(!std::mem::take(&mut self.is_filled[index]));
        }
        self.start += length as i64;
        let is_gap = self.has_begun && missing * 1000 > self.rate as u64;
        if is_gap {
            self.stats.missing += missing;
            self.stats.gaps += u64::from(!self.was_gap);
        }
        self.was_gap = is_gap;
    }

    /// Positions that were taken, or for which there is no room yet, are passed over.
    fn set(&mut self, position: i64, samples: &[i16]) {
        let gone = (self.start - position).clamp(0, samples.len() as i64);
        let first = position + gone;
        let room = (self.start + self.ring.len() as i64 - first).max(0) as usize;
        let samples = &samples[gone as usize..];
        let (mut rest, mut at) = (&samples[..samples.len().min(room)], self.index(first));
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.ring.len() - at));
            self.ring[at..at + now.len()].copy_from_slice(now);
            self.is_filled[at..at + now.len()].fill(true);
            (rest, at) = (later, 0);
        }
    }

    fn index(&self, position: i64) -> usize {
        position as usize & (self.ring.len() - 1)
    }
}
