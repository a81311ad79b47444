//! Payload types with what describes them (`a=rtpmap`, `a=fmtp`).

use std::collections::HashMap;

use super::media::Media;
use super::values::{SdpError, cut, number, trimmed};

const RTPMAP_SENTENCE: &str =
    "An rtpmap attribute must have a codec name, a clock rate and channels as numbers.";

/// What an RTP clock ticks at unless something else is known, in Hz.
const TELEPHONE_RATE: u128 = 8_000;

/// One RTP payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec<'a> {
    /// 0 to 999, as written in the `m=` line.
    pub payload_type: u16,
    /// As written.
    pub name: &'a [u8],
    /// Of the RTP timestamps, in Hz.
    pub clock_rate: u128,
    /// Of audio.
    pub channels: u128,
    /// Its parameters as written.
    pub fmtp: &'a [u8],
}

/// RFC 3551 tables 4 and 5: payload types that need no rtpmap.
fn static_codec(payload_type: u16) -> Option<(&'static [u8], u128)> {
    Some(match payload_type {
        0 => (b"PCMU", 8_000),
        3 => (b"GSM", 8_000),
        4 => (b"G723", 8_000),
        8 => (b"PCMA", 8_000),
        9 => (b"G722", 8_000),
        13 => (b"CN", 8_000),
        15 => (b"G728", 8_000),
        18 => (b"G729", 8_000),
        26 => (b"JPEG", 90_000),
        31 => (b"H261", 90_000),
        34 => (b"H263", 90_000),
        _ => return None,
    })
}

pub(super) fn codecs<'a>(media: &Media<'a>) -> Result<Vec<Codec<'a>>, SdpError> {
    let (rtpmaps, fmtps) = (by_format(media, b"rtpmap"), by_format(media, b"fmtp"));
    let mut found = Vec::new();
    for format in media.formats() {
        let fmtp = fmtps.get(format).copied().unwrap_or_default();
        found.extend(codec(format, rtpmaps.get(format).copied(), fmtp)?);
    }
    Ok(found)
}

/// The clock of the first format that is described, as far as it can be read.
pub(super) fn clock_rate(media: &Media<'_>) -> u128 {
    if media.formats().next().is_some_and(is_narrow_band) {
        return TELEPHONE_RATE;
    }
    let codecs = codecs(media).unwrap_or_default();
    codecs
        .first()
        .map_or(TELEPHONE_RATE, |codec| codec.clock_rate)
}

/// Static payload types that tick at 8 kHz: no need to read their rtpmap.
fn is_narrow_band(format: &[u8]) -> bool {
    matches!(format, b"0" | b"3" | b"4" | b"8" | b"9" | b"18")
}

fn codec<'a>(
    format: &[u8],
    rtpmap: Option<&'a [u8]>,
    fmtp: &'a [u8],
) -> Result<Option<Codec<'a>>, SdpError> {
    if !is_payload_type(format) {
        return Ok(None);
    }
    let add = |sum: u16, digit: &u8| sum * 10 + u16::from(digit - b'0');
    let payload_type = format.iter().fold(0, add);
    let Some(rtpmap) = rtpmap else {
        return Ok(static_codec(payload_type).map(|(name, clock_rate)| Codec {
            payload_type,
            name,
            clock_rate,
            channels: 1,
            fmtp,
        }));
    };
    let (name, rest) = cut(rtpmap, b'/');
    let (rate, channels) = cut(rest.unwrap_or_default(), b'/');
    let channels = channels.filter(|channels| !channels.is_empty());
    Ok(Some(Codec {
        payload_type,
        name,
        clock_rate: number(rate, RTPMAP_SENTENCE)?,
        channels: number(channels.unwrap_or(b"1"), RTPMAP_SENTENCE)?,
        fmtp,
    }))
}

fn is_payload_type(format: &[u8]) -> bool {
    format.len() <= 3 && format.iter().all(u8::is_ascii_digit)
}

/// What the attributes of this name say of each format: the first one counts.
fn by_format<'a>(media: &Media<'a>, name: &[u8]) -> HashMap<&'a [u8], &'a [u8]> {
    let mut found = HashMap::new();
    for value in media.own.attribute_values(name) {
        let (format, rest) = cut(value, b' ');
        found
            .entry(format)
            .or_insert_with(|| trimmed(rest.unwrap_or_default()));
    }
    found
}
