//! The chunks of a WAV file, up to its samples.

use super::Format;
use crate::StoreError;
use crate::bytes::{array, slice, u32_le, u64_le};

/// Sizes that writers put where they do not know them yet, or cannot (EBU Tech 3306).
const UNKNOWN: [u32; 2] = [0, u32::MAX];

/// More of a `fmt ` chunk says nothing.
const FORMAT_BYTES: u32 = 40;

/// Where the samples of a file are, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the samples are.
    pub format: Format,
    /// Offset of the first sample in the file.
    pub data_at: u64,
    /// Bytes of samples; `None` says that they go on to the end of the file.
    pub data_bytes: Option<u64>,
}

struct Chunks {
    riff_end: Option<u64>,
    wide_data_bytes: Option<u64>,
    format: Option<Format>,
    data: Option<(u64, Option<u64>)>,
}

impl Header {
    /// Reads the chunks until format and samples are found.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] says how much more of the file's start is needed; the rest is final.
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let magic: [u8; 4] = array(bytes, 0)?;
        if !matches!(&magic, b"RIFF" | b"RF64" | b"BW64") || array(bytes, 8)? != *b"WAVE" {
            return Err(StoreError::malformed("no WAV file"));
        }
        let riff = u32_le(bytes, 4)?;
        let mut chunks = Chunks {
            riff_end: (!UNKNOWN.contains(&riff)).then_some(8 + u64::from(riff)),
            wide_data_bytes: None,
            format: None,
            data: None,
        };
        let mut at = 12;
        loop {
            let (id, size) = (array(bytes, at)?, u32_le(bytes, at + 4)?);
            let length = chunks.take(id, size, bytes, at + 8)?;
            if let (Some(format), Some((data_at, data_bytes))) = (chunks.format, chunks.data) {
                return Ok(Self {
                    format,
                    data_at,
                    data_bytes,
                });
            }
            at = (at + 8).saturating_add(length).saturating_add(length & 1);
        }
    }
}

impl Chunks {
    /// Looks at one chunk whose body is at `at`; returns the length of the body.
    fn take(&mut self, id: [u8; 4], size: u32, bytes: &[u8], at: u64) -> Result<u64, StoreError> {
        let mut length = u64::from(size);
        match &id {
            b"ds64" => self.wide_data_bytes = Some(u64_le(bytes, at + 8)?),
            b"fmt " => {
                let body = slice(bytes, at, size.min(FORMAT_BYTES) as usize)?;
                self.format = Some(Format::parse(body)?);
            }
            b"data" => {
                let known = self.data_bytes(size, at);
                if known.is_none() && self.format.is_none() {
                    return Err(StoreError::malformed("samples of an unknown format"));
                }
                length = known.unwrap_or(length);
                self.data = Some((at, known));
            }
            _ => {}
        }
        Ok(length)
    }

    /// A size of 0 is meant where the file is said to go on behind it; else its writer never came back.
    fn data_bytes(&self, size: u32, at: u64) -> Option<u64> {
        match size {
            0 if self.riff_end.is_some_and(|end| end > at) => Some(0),
            0 => None,
            u32::MAX => self.wide_data_bytes.filter(|bytes| *bytes > 0),
            size => Some(u64::from(size)),
        }
    }
}
