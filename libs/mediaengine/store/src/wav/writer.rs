//! WAV files of 16-bit PCM.

use std::time::Duration;

use super::{Encoding, Format};
use crate::StoreError;

/// Bytes before the samples of a file that is written here.
///
/// 36 of them are a `JUNK` chunk that becomes `ds64` when the file outgrows 4 GiB (EBU Tech 3306): no recording
/// ends because of its size, and no samples are ever moved.
pub const HEADER_BYTES: usize = 80;

const WIDE_BYTES: u32 = 28;
const FORMAT_BYTES: u32 = 16;
const PCM: u16 = 1;
const MAX_DATA_BYTES: u64 = u32::MAX as u64 - HEADER_BYTES as u64;

/// Appends samples, and says at any time what the header is for those appended so far.
#[derive(Clone, Debug)]
pub struct Writer {
    format: Format,
    data_bytes: u64,
}

impl Writer {
    /// `rate` in samples of one channel a second; 1 or 2 `channels`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for other values.
    pub fn new(rate: u32, channels: u16) -> Result<Self, StoreError> {
        if rate == 0 || rate > 384_000 || !(1..=2).contains(&channels) {
            let what = format!("a WAV file of {rate} Hz and {channels} channels");
            return Err(StoreError::invalid(what));
        }
        let format = Format {
            encoding: Encoding::Pcm16,
            rate,
            channels,
        };
        Ok(Self {
            format,
            data_bytes: 0,
        })
    }

    /// The first bytes of the file for what was appended so far: first to be written, and patched each second.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        header(self.format.rate, self.format.channels, self.data_bytes)
    }

    /// Adds the bytes of interleaved samples to `out`; samples that fill no frame at the end are left out.
    pub fn append(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        let whole = samples.len() - samples.len() % usize::from(self.format.channels);
        out.extend(samples[..whole].iter().flat_map(|it| it.to_le_bytes()));
        self.data_bytes += 2 * whole as u64;
    }

    /// How long the samples appended so far play.
    pub fn duration(&self) -> Duration {
        self.format.duration(self.data_bytes)
    }
}

/// The header of 16-bit PCM, of 1 or 2 channels; RF64 where sizes need more than 32 bits.
pub(crate) fn header(rate: u32, channels: u16, data_bytes: u64) -> [u8; HEADER_BYTES] {
    let riff_bytes = data_bytes.saturating_add(HEADER_BYTES as u64 - 8);
    let frame = 2 * channels;
    let is_wide = data_bytes > MAX_DATA_BYTES;
    let narrow = |size: u64| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = [0; HEADER_BYTES];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(if is_wide { b"RF64" } else { b"RIFF" });
    put(&narrow(riff_bytes));
    put(b"WAVE");
    put(if is_wide { b"ds64" } else { b"JUNK" });
    put(&WIDE_BYTES.to_le_bytes());
    for size in [riff_bytes, data_bytes, data_bytes / u64::from(frame)] {
        put(&if is_wide { size } else { 0 }.to_le_bytes());
    }
    put(&[0; 4]);
    put(b"fmt ");
    put(&FORMAT_BYTES.to_le_bytes());
    put(&PCM.to_le_bytes());
    put(&channels.to_le_bytes());
    put(&rate.to_le_bytes());
    put(&rate.saturating_mul(u32::from(frame)).to_le_bytes());
    put(&frame.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&if is_wide {
        [0xff; 4]
    } else {
        narrow(data_bytes)
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::Header;

    #[test]
    fn a_file_beyond_four_gibibytes_becomes_rf64() {
        for (data_bytes, magic) in [
            (MAX_DATA_BYTES, b"RIFF"),
            (MAX_DATA_BYTES + 1, b"RF64"),
            (1 << 40, b"RF64"),
        ] {
            let bytes = header(48_000, 2, data_bytes);
            assert_eq!(&bytes[..4], magic);
            let read = Header::parse(&bytes).unwrap();
            assert_eq!(read.data_bytes, Some(data_bytes));
            assert_eq!(read.data_at as usize, HEADER_BYTES);
        }
    }
}
