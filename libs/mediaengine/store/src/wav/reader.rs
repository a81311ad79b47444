//! Samples of a WAV file, block by block.

use std::time::Duration;

use super::{Format, Header};
use crate::{StoreError, playing_time};

/// What one call decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes that were used up.
    pub bytes: usize,
    /// Samples that were written, of all channels together.
    pub samples: usize,
}

/// Turns the bytes of a WAV file into samples, from any position.
#[derive(Clone, Debug)]
pub struct Reader {
    header: Header,
    /// Bytes of samples before the current position.
    position: u64,
}

impl Reader {
    /// `bytes` are the first of the file; its samples begin at [`Header::data_at`].
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn new(bytes: &[u8]) -> Result<Self, StoreError> {
        Ok(Self {
            header: Header::parse(bytes)?,
            position: 0,
        })
    }

    /// Where the samples are, and what they are.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the samples are.
    pub fn format(&self) -> Format {
        self.header.format
    }

    /// Offset in the file of the bytes that [`Self::decode`] wants next.
    pub fn offset(&self) -> u64 {
        self.header.data_at.saturating_add(self.position)
    }

    /// Whether all samples that the header promised were read.
    pub fn is_finished(&self) -> bool {
        self.left() < self.header.format.frame_bytes() as u64
    }

    /// Decodes whole frames into interleaved samples; bytes that were not used up come again.
    ///
    /// `bytes` are those at [`Self::offset`]. Nothing is decoded when they hold no whole frame, when `out` has no
    /// room for one, and at the end. A file that ends early just ends.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [i16]) -> Decoded {
        let format = self.header.format;
        let (frame, channels) = (format.frame_bytes(), usize::from(format.channels));
        let left = usize::try_from(self.left() / frame as u64).unwrap_or(usize::MAX);
        let frames = (bytes.len() / frame).min(out.len() / channels).min(left);
        let done = Decoded {
            bytes: frames * frame,
            samples: frames * channels,
        };
        format
            .encoding
            .decode(&bytes[..done.bytes], &mut out[..done.samples]);
        self.position += done.bytes as u64;
        done
    }

    /// Goes to a position, or to the end when it is behind that; returns [`Self::offset`].
    pub fn seek(&mut self, to: Duration) -> u64 {
        let format = self.header.format;
        let frames = playing_time::samples(to, format.rate);
        let bytes = frames.saturating_mul(format.frame_bytes() as u64);
        let end = self.header.data_bytes.unwrap_or(u64::MAX);
        let whole_frames = end - end % format.frame_bytes() as u64;
        self.position = bytes.min(whole_frames);
        self.offset()
    }

    fn left(&self) -> u64 {
        let end = self.header.data_bytes.unwrap_or(u64::MAX);
        end.saturating_sub(self.position)
    }
}
