//! The first packet of a stream, `OpusHead` (RFC 7845 5.1).

use crate::StoreError;
use crate::bytes::{array, u16_le, u32_le};

pub(super) const MAGIC: &[u8; 8] = b"OpusHead";

/// What a decoder must know before the first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// 1 or 2.
    pub channels: u8,
    /// Samples at 48 kHz that are decoded and not heard: what the encoder looks ahead.
    pub pre_skip: u16,
    /// Samples a second that the encoder was fed with, 0 when unknown; says nothing about decoding.
    pub input_rate: u32,
    /// Gain to apply after decoding, in 1/256 dB.
    pub gain: i16,
}

impl Head {
    /// Reads the packet.
    ///
    /// # Errors
    /// What is missing, or not read here: a newer major version, more than two channels.
    pub fn parse(packet: &[u8]) -> Result<Self, StoreError> {
        let too_short = |_| StoreError::malformed("OpusHead is too short");
        if array(packet, 0).map_err(too_short)? != *MAGIC {
            return Err(StoreError::malformed("no OpusHead"));
        }
        let [version, channels] = array(packet, 8).map_err(too_short)?;
        let [family] = array(packet, 18).map_err(too_short)?;
        if version >> 4 != 0 {
            return Err(StoreError::unsupported("a later version of Ogg Opus"));
        }
        if channels == 0 {
            return Err(StoreError::malformed("OpusHead without channels"));
        }
        // Mono and stereo of the family for surround are one stream as well (5.1.1.2), if the table says so.
        let is_one_stream = match family {
            0 => true,
            1 => array(packet, 19).map_err(too_short)? == [1, channels.wrapping_sub(1)],
            _ => false,
        };
        if channels > 2 || !is_one_stream {
            let what = format!("Opus with {channels} channels of mapping family {family}");
            return Err(StoreError::unsupported(what));
        }
        Ok(Self {
            channels,
            pre_skip: u16_le(packet, 10).map_err(too_short)?,
            input_rate: u32_le(packet, 12).map_err(too_short)?,
            gain: u16_le(packet, 16).map_err(too_short)? as i16,
        })
    }

    /// The packet.
    pub(super) fn to_bytes(self) -> [u8; 19] {
        let mut out = [0; 19];
        out[..8].copy_from_slice(MAGIC);
        out[8] = 1;
        out[9] = self.channels;
        out[10..12].copy_from_slice(&self.pre_skip.to_le_bytes());
        out[12..16].copy_from_slice(&self.input_rate.to_le_bytes());
        out[16..18].copy_from_slice(&self.gain.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        channels: 2,
        pre_skip: 312,
        input_rate: 16_000,
        gain: -256,
    };

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Head::parse(&HEAD.to_bytes()), Ok(HEAD));
        for length in 0..19 {
            assert!(Head::parse(&HEAD.to_bytes()[..length]).is_err());
        }
    }

    #[test]
    fn only_one_stream_of_one_or_two_channels_is_read() {
        let mut surround = HEAD.to_bytes().to_vec();
        surround[18] = 1;
        surround.extend([1, 1, 0, 1]);
        assert_eq!(Head::parse(&surround), Ok(HEAD));
        surround[19] = 2;
        assert!(Head::parse(&surround).is_err());
        for (at, value) in [(8, 16), (9, 0), (9, 3), (18, 255)] {
            let mut packet = HEAD.to_bytes();
            packet[at] = value;
            assert!(Head::parse(&packet).is_err(), "{at}");
        }
    }
}
