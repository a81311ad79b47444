//! The tone that says that a call is recorded.

use std::time::Duration;

use crate::{StoreError, playing_time};

/// A sound that is mixed into all channels, at once and then each period of what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beep {
    /// The sound, at the recorder's rate.
    pub samples: Vec<i16>,
    /// From the start of one to the start of the next; not shorter than the sound.
    pub period: Duration,
}

impl Beep {
    pub(super) fn check(&self, rate: u32) -> Result<(), StoreError> {
        if playing_time::samples(self.period, rate) < self.samples.len().max(1) as u64 {
            return Err(StoreError::invalid("a beep that is longer than its period"));
        }
        Ok(())
    }

    /// Mixes into interleaved samples, the first of which is at `position`.
    pub(super) fn mix(&self, rate: u32, position: u64, channels: usize, out: &mut [i16]) {
        let period = playing_time::samples(self.period, rate);
        for (frame, at) in out.chunks_exact_mut(channels).zip(position..) {
            let within = usize::try_from(at % period).unwrap_or(usize::MAX);
            if let Some(beep) = self.samples.get(within) {
                frame
                    .iter_mut()
                    .for_each(|it| *it = it.saturating_add(*beep));
            }
        }
    }
}
