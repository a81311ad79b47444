//! Decoded samples.

use std::time::Duration;

use crate::{StoreError, playing_time};

/// The samples of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Samples of one channel a second, not 0.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// Interleaved.
    pub samples: Vec<i16>,
}

/// Brings samples to another rate.
pub trait Resampler {
    /// `samples` are of one channel at the rate `from`.
    ///
    /// # Errors
    /// Rates that it cannot convert.
    fn resample(&self, samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, StoreError>;
}

impl Pcm {
    /// How long it plays.
    pub fn duration(&self) -> Duration {
        let frames = self.samples.len() / usize::from(self.channels.max(1));
        playing_time::duration(frames as u64, self.rate.max(1))
    }

    /// The mean of both channels.
    pub fn into_mono(self) -> Self {
        if self.channels < 2 {
            return self;
        }
        let mean = |pair: &[i16; 2]| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
        Self {
            rate: self.rate,
            channels: 1,
            samples: self.samples.as_chunks().0.iter().map(mean).collect(),
        }
    }

    /// One channel at a rate, as players need it.
    ///
    /// # Errors
    /// As the resampler's, which is asked only when the rates differ.
    pub fn into_rate(self, rate: u32, resampler: &dyn Resampler) -> Result<Self, StoreError> {
        let mono = self.into_mono();
        if mono.rate == rate {
            return Ok(mono);
        }
        let samples = resampler.resample(&mono.samples, mono.rate, rate)?;
        Ok(Self {
            rate,
            channels: 1,
            samples,
        })
    }
}
