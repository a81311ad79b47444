//! Payload types with what describes them (`a=rtpmap`, `a=fmtp`).

use std::collections::HashMap;

use super::media::Media;
use super::values::{SdpError, number, port, trimmed};
use crate::scan::cut;

const RTPMAP_SENTENCE: &str =
    "An rtpmap attribute must have a codec name, a clock rate and channels as numbers.";

/// What an RTP clock ticks at unless something else is known, in Hz.
const TELEPHONE_RATE: u64 = 8_000;

/// One RTP payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec<'a> {
    /// 0 to 999, as written in the `m=` line.
    pub payload_type: u16,
    /// As written.
    pub name: &'a [u8],
    /// Of the RTP timestamps, in Hz.
    pub clock_rate: u64,
    /// Of audio.
    pub channels: u64,
    /// Its parameters as written.
    pub fmtp: &'a [u8],
}

/// RFC 3551 tables 4 and 5: payload types that need no rtpmap.
fn static_codec(payload_type: u16) -> Option<(&'static [u8], u64, u64)> {
    Some(match payload_type {
        0 => (b"PCMU", 8_000, 1),
        3 => (b"GSM", 8_000, 1),
        4 => (b"G723", 8_000, 1),
        5 => (b"DVI4", 8_000, 1),
        6 => (b"DVI4", 16_000, 1),
        7 => (b"LPC", 8_000, 1),
        8 => (b"PCMA", 8_000, 1),
        9 => (b"G722", 8_000, 1),
        10 => (b"L16", 44_100, 2),
        11 => (b"L16", 44_100, 1),
        12 => (b"QCELP", 8_000, 1),
        13 => (b"CN", 8_000, 1),
        14 => (b"MPA", 90_000, 1),
        15 => (b"G728", 8_000, 1),
        16 => (b"DVI4", 11_025, 1),
        17 => (b"DVI4", 22_050, 1),
        18 => (b"G729", 8_000, 1),
        25 => (b"CelB", 90_000, 1),
        26 => (b"JPEG", 90_000, 1),
        28 => (b"nv", 90_000, 1),
        31 => (b"H261", 90_000, 1),
        32 => (b"MPV", 90_000, 1),
        33 => (b"MP2T", 90_000, 1),
        34 => (b"H263", 90_000, 1),
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

/// The clock of the first format, as far as it can be read.
pub(super) fn clock_rate(media: &Media<'_>) -> u64 {
    let first = media.formats().next().unwrap_or_default();
    let rtpmap =
        described(media, b"rtpmap").find_map(|(format, text)| (format == first).then_some(text));
    let codec = codec(first, rtpmap, b"").ok().flatten();
    codec.map_or(TELEPHONE_RATE, |codec| codec.clock_rate)
}

fn codec<'a>(
    format: &[u8],
    rtpmap: Option<&'a [u8]>,
    fmtp: &'a [u8],
) -> Result<Option<Codec<'a>>, SdpError> {
    if !is_payload_type(format) {
        return Ok(None);
    }
    let payload_type = port(format, "A payload type must be a number.")?;
    let Some(rtpmap) = rtpmap else {
        return Ok(
            static_codec(payload_type).map(|(name, clock_rate, channels)| Codec {
                payload_type,
                name,
                clock_rate,
                channels,
                fmtp,
            }),
        );
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
    matches!(format.len(), 1..=3) && format.iter().all(u8::is_ascii_digit)
}

/// What the attributes of this name say of each format: the first one counts.
fn by_format<'a>(media: &Media<'a>, name: &'static [u8]) -> HashMap<&'a [u8], &'a [u8]> {
    let mut found = HashMap::new();
    for (format, text) in described(media, name) {
        found.entry(format).or_insert(text);
    }
    found
}

/// What the attributes of this name say, each with the format that it says it of.
fn described<'a>(
    media: &Media<'a>,
    name: &'static [u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    media.own.attribute_values(name).map(|value| {
        let (format, rest) = cut(value, b' ');
        (format, trimmed(rest.unwrap_or_default()))
    })
}
