//! Answers: what matches an offer, what holds, and what the echo says.

use super::description::Description;
use super::media::Media;
use super::obstacle::obstacle_of;
use super::relay::{LocalStream, direction_line, rtcp_line, session_ip};
use super::values::{Origin, SdpError, written_connection};

const ECHOED: [&[u8]; 5] = [b"rtpmap", b"fmtp", b"ptime", b"maxptime", b"mid"];

/// Same number and order of sections, none revived that was offered with port 0 (RFC 3264 6).
pub fn answer_matches_offer(offer: &Description, answer: &Description) -> Result<bool, SdpError> {
    if offer.media().len() != answer.media().len() {
        return Ok(false);
    }
    for (asked, said) in offer.media().zip(answer.media()) {
        if asked.kind() != said.kind() || (said.is_active() && !is_carried(&asked)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The writer wants no media at all: every live stream is held.
pub fn is_held(sdp: &Description) -> Result<bool, SdpError> {
    let mut has_live = false;
    for media in sdp.media().filter(Media::is_active) {
        if !media.is_held()? {
            return Ok(false);
        }
        has_live = true;
    }
    Ok(has_live)
}

/// The echo can return this stream: live audio in a profile without keys, for it holds none.
pub fn is_echoable(media: &Media<'_>) -> Result<bool, SdpError> {
    Ok(media.kind() == b"audio" && media.is_plain() && is_carried(media)?)
}

fn is_carried(media: &Media<'_>) -> Result<bool, SdpError> {
    Ok(media.is_active() && obstacle_of(media, media.connection()?).is_none())
}

/// Answers an offer as the echo does: plain audio with all its formats, nothing else.
///
/// Sections without a stream in `streams`, or that the echo cannot return, get port 0; an answer
/// without active media means 488.
pub fn echo_answer(
    offer: &Description,
    streams: &[LocalStream],
    origin: &Origin,
) -> Result<Description, SdpError> {
    let ip = session_ip(streams, origin);
    // RFC 3264 6: the answer's time line equals the offer's.
    let time = offer.session().value(b't').filter(|time| !time.is_empty());
    let mut lines = vec![
        b"v=0".to_vec(),
        [b"o=", &origin.write()[..]].concat(),
        b"s=-".to_vec(),
        [b"c=", &written_connection(ip)[..]].concat(),
        [b"t=", time.unwrap_or(b"0 0")].concat(),
    ];
    for (index, media) in offer.media().enumerate() {
        let local = streams.iter().rfind(|stream| stream.index == index);
        echo_media(&media, local, ip, &mut lines)?;
    }
    Description::write(&lines, b"\r\n")
}

fn echo_media(
    media: &Media<'_>,
    local: Option<&LocalStream>,
    session_ip: &[u8],
    lines: &mut Vec<Vec<u8>>,
) -> Result<(), SdpError> {
    let is_echoable = is_echoable(media)?;
    let local = local.filter(|_| is_echoable);
    lines.push(media.line_with_port(local.map_or(0, |local| local.rtp_port)));
    let other = local.map(|local| local.ip.as_bytes());
    if let Some(ip) = other.filter(|ip| *ip != session_ip) {
        lines.push([b"c=", &written_connection(ip)[..]].concat());
    }
    let echoed = |(name, value): (&[u8], Option<&[u8]>)| {
        let value = value.map(|value| [b":", value].concat());
        let line = [b"a=", name, &value.unwrap_or_default()].concat();
        ECHOED.contains(&name).then_some(line)
    };
    lines.extend(media.own.attributes().filter_map(echoed));
    if let Some(local) = local {
        lines.extend(rtcp_line(local));
        let direction = media.direction_at(media.connection()?);
        lines.push(direction_line(direction.mirrored()));
    }
    Ok(())
}
