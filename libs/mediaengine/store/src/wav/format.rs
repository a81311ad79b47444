//! The `fmt ` chunk.

use std::time::Duration;

use super::Encoding;
use crate::StoreError;
use crate::bytes::{slice, u16_le, u32_le};
use crate::playing_time;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

/// What follows the two bytes of the format in a sub-format that is one of the above.
const SUBFORMAT_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;

/// What the samples of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How one sample is written.
    pub encoding: Encoding,
    /// Samples of one channel in a second, 1,000 to 384,000.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
}

impl Format {
    /// Reads the body of the chunk.
    ///
    /// # Errors
    /// What is missing, contradictory, or not read here: other encodings, more than two channels.
    pub fn parse(body: &[u8]) -> Result<Self, StoreError> {
        let too_short = |_| StoreError::malformed("the fmt chunk is too short");
        let channels = u16_le(body, 2).map_err(too_short)?;
        let rate = u32_le(body, 4).map_err(too_short)?;
        let frame = usize::from(u16_le(body, 12).map_err(too_short)?);
        let bits = u16_le(body, 14).map_err(too_short)?;
        let tag = match u16_le(body, 0).map_err(too_short)? {
            EXTENSIBLE => subformat(slice(body, 24, 16).map_err(too_short)?)?,
            tag => tag,
        };
        let encoding = encoding(tag, bits)?;
        if !(1..=2).contains(&channels) {
            let what = format!("{channels} channels, where 1 and 2 are read");
            return Err(StoreError::unsupported(what));
        }
        if !RATES.contains(&rate) {
            let what = format!("{rate} samples a second");
            return Err(StoreError::unsupported(what));
        }
        if frame != encoding.bytes() * usize::from(channels) {
            let what = format!("{frame} bytes do not hold {channels} samples of {bits} bits");
            return Err(StoreError::malformed(what));
        }
        Ok(Self {
            encoding,
            rate,
            channels,
        })
    }

    /// Bytes of one sample of each channel.
    pub fn frame_bytes(&self) -> usize {
        self.encoding.bytes() * usize::from(self.channels)
    }

    /// How long so many bytes of samples play.
    pub fn duration(&self, data_bytes: u64) -> Duration {
        playing_time::duration(data_bytes / self.frame_bytes() as u64, self.rate)
    }
}

fn subformat(guid: &[u8]) -> Result<u16, StoreError> {
    if guid[2..] != SUBFORMAT_TAIL {
        return Err(StoreError::unsupported("an unknown WAV sub-format"));
    }
    u16_le(guid, 0)
}

/// Fewer bits than a container has are written at its upper end, and need no care.
fn encoding(tag: u16, bits: u16) -> Result<Encoding, StoreError> {
    match (tag, bits.div_ceil(8)) {
        (PCM, 1) => Ok(Encoding::Pcm8),
        (PCM, 2) => Ok(Encoding::Pcm16),
        (PCM, 3) => Ok(Encoding::Pcm24),
        (PCM, 4) => Ok(Encoding::Pcm32),
        (FLOAT, 4) => Ok(Encoding::Float32),
        (A_LAW, 1) => Ok(Encoding::ALaw),
        (MU_LAW, 1) => Ok(Encoding::MuLaw),
        _ => {
            let what = format!("WAV format {tag} with {bits} bits");
            Err(StoreError::unsupported(what))
        }
    }
}
