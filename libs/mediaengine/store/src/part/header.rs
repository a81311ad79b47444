//! What a `.part` file says of itself, so that a relay which never knew the call can complete and ship it.
//!
//! The encoding is fixed and our own: numbers are little endian, texts are UTF-8 behind a length of 16 bits.
//! It must be told from a cut one, which takes a length and a checksum; no crate is worth these few fields.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `PARLEYRC` |
//! | 2, 2 | version 1; length of the whole header |
//! | 1, 1 | format (1 WAV, 2 Ogg Opus); tracks (1 mixed, 2 dual) |
//! | 4, 8 | samples a second; start in ms of Unix time |
//! | texts | call, blob, then 2 bytes with the number of legs, and their names |
//! | 4 | CRC-32 of all before it, as Ogg has it |

use crate::StoreError;
use crate::bytes::{array, slice, u16_le, u32_le, u64_le};
use crate::ogg::crc;

const MAGIC: &[u8; 8] = b"PARLEYRC";
const VERSION: u16 = 1;
const FIXED_BYTES: usize = 26;
const CHECKSUM_BYTES: usize = 4;

/// What is recorded, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows the header.
    pub format: Format,
    /// Channels of it.
    pub tracks: Tracks,
    /// Samples a second: of WAV, and that Opus was encoded from.
    pub rate: u32,
    /// When the first sample was said, in ms of Unix time.
    pub start_ms: u64,
    /// The call.
    pub call: String,
    /// Under which name the completed file is kept.
    pub blob: String,
    /// Names of the legs that are heard; of dual tracks first left, then right.
    pub legs: Vec<String>,
}

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 16-bit PCM by [`crate::wav::Writer`].
    Wav,
    /// By [`crate::ogg_opus::Writer`].
    OggOpus,
}

/// What of a call goes to which channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// All legs on one channel.
    Mixed,
    /// One leg left, the other right.
    Dual,
}

impl Tracks {
    /// Channels of the file, 1 or 2.
    pub fn channels(self) -> u16 {
        match self {
            Self::Mixed => 1,
            Self::Dual => 2,
        }
    }
}

impl Header {
    /// The first bytes of the file.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the names need more than 64 KiB, or the rate is none of a WAV file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        if !is_rate(self.rate) {
            return Err(StoreError::invalid("a recording's rate"));
        }
        let names = [&self.call, &self.blob];
        let texts: usize = names
            .into_iter()
            .chain(&self.legs)
            .map(|it| 2 + it.len())
            .sum();
        let length = u16::try_from(FIXED_BYTES + texts + 2 + CHECKSUM_BYTES)
            .map_err(|_| StoreError::invalid("the names of a recording exceed 64 KiB"))?;
        let mut out = Vec::with_capacity(usize::from(length));
        out.extend_from_slice(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.push(match self.format {
            Format::Wav => 1,
            Format::OggOpus => 2,
        });
        out.push(self.tracks.channels() as u8);
        out.extend(self.rate.to_le_bytes());
        out.extend(self.start_ms.to_le_bytes());
        // All lengths fit, because the sum does.
        let put = |out: &mut Vec<u8>, text: &str| {
            out.extend((text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        put(&mut out, &self.call);
        put(&mut out, &self.blob);
        out.extend((self.legs.len() as u16).to_le_bytes());
        self.legs.iter().for_each(|leg| put(&mut out, leg));
        out.extend(crc(0, &out).to_le_bytes());
        Ok(out)
    }

    /// Reads the header; returns its length as well, where the format's bytes begin.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the bytes end within it: then nothing was recorded yet. The rest says that this
    /// is none of our files, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), StoreError> {
        if array(bytes, 0)? != *MAGIC {
            return Err(StoreError::malformed("no recording"));
        }
        if u16_le(bytes, 8)? != VERSION {
            return Err(StoreError::unsupported("a recording of another version"));
        }
        let length = usize::from(u16_le(bytes, 10)?);
        let all = slice(bytes, 0, length)?;
        let damaged = || StoreError::malformed("the header of a recording is damaged");
        let (fields, sum) = all
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(damaged)?;
        if crc(0, fields).to_le_bytes() != *sum {
            return Err(damaged());
        }
        let header = Self::parse_fields(fields).map_err(|_| damaged())?;
        Ok((header, length))
    }

    fn parse_fields(fields: &[u8]) -> Result<Self, StoreError> {
        let unknown = || StoreError::malformed("an unknown value");
        let [format, tracks] = array(fields, 12)?;
        let rate = u32_le(fields, 14)?;
        let mut at = FIXED_BYTES as u64;
        let call = text(fields, &mut at)?;
        let blob = text(fields, &mut at)?;
        let count = u16_le(fields, at)?;
        at += 2;
        let legs = (0..count).map(|_| text(fields, &mut at));
        Ok(Self {
            format: match format {
                1 => Format::Wav,
                2 => Format::OggOpus,
                _ => return Err(unknown()),
            },
            tracks: match tracks {
                1 => Tracks::Mixed,
                2 => Tracks::Dual,
                _ => return Err(unknown()),
            },
            rate: Some(rate)
                .filter(|rate| is_rate(*rate))
                .ok_or_else(unknown)?,
            start_ms: u64_le(fields, 18)?,
            call,
            blob,
            legs: legs.collect::<Result<_, _>>()?,
        })
    }
}

fn text(fields: &[u8], at: &mut u64) -> Result<String, StoreError> {
    let length = u16_le(fields, *at)?;
    let bytes = slice(fields, *at + 2, usize::from(length))?;
    *at += 2 + u64::from(length);
    String::from_utf8(bytes.to_vec()).map_err(|_| StoreError::malformed("a name of no UTF-8"))
}

fn is_rate(rate: u32) -> bool {
    (1..=384_000).contains(&rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            format: Format::OggOpus,
            tracks: Tracks::Dual,
            rate: 16_000,
            start_ms: 1_790_000_000_123,
            call: "call-7".into(),
            blob: "tenant/récordings/7".into(),
            legs: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_cut_one_asks_for_the_rest() {
        let bytes = header().to_bytes().unwrap();
        let mut file = bytes.clone();
        file.extend(b"samples");
        assert_eq!(Header::parse(&file), Ok((header(), bytes.len())));
        for end in 0..bytes.len() {
            let cut = Header::parse(&bytes[..end]);
            assert!(matches!(cut, Err(StoreError::Truncated { needed }) if needed > end as u64));
        }
    }

    #[test]
    fn no_changed_bit_goes_unnoticed() {
        let bytes = header().to_bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Header::parse(&damaged).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let mut long = header();
        long.legs = vec!["x".repeat(1000); 66];
        assert!(matches!(long.to_bytes(), Err(StoreError::Invalid(_))));
        long.legs = vec!["x".repeat(1000); 65];
        assert!(long.to_bytes().is_ok());
    }
}
