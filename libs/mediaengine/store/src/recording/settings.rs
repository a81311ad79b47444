//! How to record.

use std::time::Duration;

use super::Beep;
use crate::StoreError;
use crate::part::Tracks;

/// What becomes of the time of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is missing from the recording.
    LeftOut,
    /// It is silent, so that positions stay those of the call.
    Silent,
}

/// How to record; none of it changes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Samples of one channel a second, in and out: 8,000 to 48,000, a multiple of 50.
    pub rate: u32,
    /// One channel, or two.
    pub tracks: Tracks,
    /// Who is heard: 2 of dual tracks (left, right), 1 to 256 of a mix.
    pub sources: usize,
    /// How long a late frame is waited for, at most a second; as much more is lost by a crash.
    pub delay: Duration,
    /// The recording ends when it is so long.
    pub max: Option<Duration>,
    /// The recording ends when nobody was heard for so long.
    pub silence: Option<Duration>,
    /// Root mean square of 20 ms up to which a channel counts as silent.
    pub silence_level: u16,
    /// What becomes of the time of a pause.
    pub paused: Paused,
    /// What tells those who listen that they are recorded.
    pub beep: Option<Beep>,
}

impl Settings {
    /// One channel of one source, without limits.
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            tracks: Tracks::Mixed,
            sources: 1,
            delay: Duration::from_millis(200),
            max: None,
            silence: None,
            silence_level: 100,
            paused: Paused::LeftOut,
            beep: None,
        }
    }

    /// Samples of one channel in 20 ms.
    pub(super) fn block(&self) -> usize {
        self.rate as usize / 50
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if !(8_000..=48_000).contains(&self.rate) || !self.rate.is_multiple_of(50) {
            return Err(StoreError::invalid("a recorder's rate"));
        }
        let is_number = match self.tracks {
            Tracks::Mixed => (1..=256).contains(&self.sources),
            Tracks::Dual => self.sources == 2,
        };
        if !is_number {
            return Err(StoreError::invalid("a recorder's number of sources"));
        }
        if self.delay > Duration::from_secs(1) {
            return Err(StoreError::invalid(
                "a recorder that waits for more than a second",
            ));
        }
        self.beep
            .as_ref()
            .map_or(Ok(()), |beep| beep.check(self.rate))
    }
}
