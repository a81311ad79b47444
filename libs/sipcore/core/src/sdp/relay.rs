//! Offer and answer through a relay (RFC 3264), seen by the party in the middle.
//!
//! The relay rewrites where media goes: `o=`, `c=`, ports, `a=rtcp`. It drops what would make the
//! phones look past it (ICE and other addresses), what it does not carry (DTLS), port sharing that
//! its port pairs do not do (rtcp-mux, BUNDLE), and what a description tells of its writer besides
//! (`s=`, `i=`, `u=`, `e=`, `p=`). A stream that it cannot carry at all has an `Obstacle` and gets
//! port 0 (RFC 3264 6). Codecs, directions, SDES keys and everything unknown pass through untouched.

use std::borrow::Cow;

use super::description::Description;
use super::media::Media;
use super::obstacle::obstacle_of;
use super::section::bare;
use super::values::{Direction, Origin, SdpError, written_connection};
use crate::scan::cut;

/// RFC 8866 clause 9: the order of lines, `m` leading the media sections, which keep the rest of it.
const LINE_ORDER: &[u8] = b"mvosiuepcbtrzka";
/// Who wrote the description and where to learn more: for nobody that a phone calls (RFC 3323 4.1.2).
const DROPPED_SESSION_LINES: &[u8] = b"iuep";

/// Where the relay listens for one stream of one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalStream {
    /// Place of the media section, from 0.
    pub index: usize,
    /// Address to write into the description.
    pub ip: String,
    /// Port of RTP.
    pub rtp_port: u16,
    /// Port of RTCP.
    pub rtcp_port: u16,
}

pub(super) type Lines<'a> = Vec<Cow<'a, [u8]>>;

/// The description to send on to the other party, its media through the relay.
///
/// `streams` are where the relay listens for the other party; a section without one gets port 0.
/// `origin` is the `o=` line of our side of the other party's dialog.
pub fn relayed(
    sdp: &Description,
    streams: &[LocalStream],
    origin: &Origin,
) -> Result<Description, SdpError> {
    let ip = session_ip(streams, origin);
    let mut lines: Lines<'_> = sdp.session().raw_lines().map(Cow::Borrowed).collect();
    set_value(&mut lines, b'o', &origin.write());
    set_value(&mut lines, b'c', &written_connection(ip));
    set_value(&mut lines, b's', b"-");
    lines.retain(|line| !DROPPED_SESSION_LINES.contains(&line[0]) && !is_dropped(line));
    for (index, media) in sdp.media().enumerate() {
        let local = streams.iter().rfind(|stream| stream.index == index);
        lines.extend(relayed_media(&media, local, ip)?);
    }
    Description::write(&lines, sdp.line_end())
}

pub(super) fn session_ip<'a>(streams: &'a [LocalStream], origin: &'a Origin) -> &'a [u8] {
    streams
        .first()
        .map_or(&origin.ip[..], |stream| stream.ip.as_bytes())
}

fn relayed_media<'a>(
    media: &Media<'a>,
    local: Option<&LocalStream>,
    session_ip: &[u8],
) -> Result<Lines<'a>, SdpError> {
    // Of one that is refused nobody asks where it would be.
    let connection = match media.is_active() {
        true => media.connection()?,
        false => None,
    };
    let is_carried = media.is_active() && obstacle_of(media, connection).is_none();
    let local = local.filter(|_| is_carried);
    let kept = media.own.raw_lines().skip(1);
    let kept = kept.filter(|line| line[0] != b'c' && !is_dropped(line));
    let mut lines = vec![Cow::Owned(
        media.line_with_port(local.map_or(0, |local| local.rtp_port)),
    )];
    lines.extend(kept.map(Cow::Borrowed));
    if let Some(local) = local {
        if local.ip.as_bytes() != session_ip {
            set_value(&mut lines, b'c', &written_connection(local.ip.as_bytes()));
        }
        lines.extend(rtcp_line(local).map(Cow::Owned));
        let direction = media.direction_at(connection);
        if direction != media.direction() {
            lines.retain(|line| Direction::of_line(bare(line)).is_none());
            lines.push(Cow::Owned(direction_line(direction)));
        }
    }
    Ok(lines)
}

/// Says where RTCP is, unless it is where everybody looks for it.
pub(super) fn rtcp_line(local: &LocalStream) -> Option<Vec<u8>> {
    let is_next = u32::from(local.rtcp_port) == u32::from(local.rtp_port) + 1;
    (!is_next).then(|| format!("a=rtcp:{}", local.rtcp_port).into_bytes())
}

pub(super) fn direction_line(direction: Direction) -> Vec<u8> {
    format!("a={}", direction.name()).into_bytes()
}

/// Leaves one line of this type, in the first one's place or where RFC 8866 wants it.
pub(super) fn set_value(lines: &mut Lines<'_>, kind: u8, value: &[u8]) {
    let rank = |line: &[u8]| LINE_ORDER.iter().position(|other| *other == line[0]);
    let own = LINE_ORDER.iter().position(|other| *other == kind);
    let first = lines.iter().position(|line| line[0] == kind);
    let place = first.or_else(|| lines.iter().position(|line| rank(line) > own));
    let place = place.unwrap_or(lines.len());
    // Those that stand before the place are of other types.
    lines.retain(|line| line[0] != kind);
    let line = [&[kind, b'='], value].concat();
    lines.insert(place, Cow::Owned(line));
}

/// Whether a line would lead past the relay, or promises what it does not carry.
fn is_dropped(line: &[u8]) -> bool {
    let Some(attribute) = line.strip_prefix(b"a=") else {
        return false;
    };
    let (name, value) = cut(bare(attribute), b':');
    match name {
        b"candidate" | b"end-of-candidates" | b"remote-candidates" | b"rtcp" | b"rtcp-mux"
        | b"rtcp-mux-only" | b"bundle-only" | b"altc" | b"source-filter" | b"fingerprint"
        | b"setup" | b"tls-id" | b"identity" => true,
        b"group" => value.is_some_and(is_bundle),
        b"tcap" => value.is_some_and(offers_other_transport),
        _ => name.starts_with(b"ice-"),
    }
}

fn is_bundle(semantics: &[u8]) -> bool {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let rest = semantics.strip_prefix(b"BUNDLE");
    rest.is_some_and(|rest| !rest.first().is_some_and(is_of_word))
}

fn offers_other_transport(capabilities: &[u8]) -> bool {
    let others: [&[u8]; 3] = [b"TLS", b"UDPTL", b"TCP"];
    let has = |name: &&[u8]| memchr::memmem::find(capabilities, name).is_some();
    others.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_past_the_relay_is_dropped() {
        for line in [
            "a=candidate:1 1 udp 1 192.0.2.1 4000 typ host",
            "a=ice-lite",
            "a=rtcp",
            "a=rtcp-mux\r",
            "a=group:BUNDLE 0 1",
            "a=group:BUNDLE",
            "a=tcap:1 UDP/TLS/RTP/SAVP",
        ] {
            assert!(is_dropped(line.as_bytes()), "{line}");
        }
        for line in [
            "a=rtcp-fb:* nack",
            "a=candidates",
            "a=group:LS 0 1",
            "a=group:BUNDLES 0",
            "a=tcap:1 RTP/SAVP",
            "b=rtcp",
        ] {
            assert!(!is_dropped(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_line_is_set_once_where_the_grammar_wants_it() {
        let set = |lines: &[&'static str], kind| {
            let mut lines: Lines<'_> = lines
                .iter()
                .map(|line| Cow::Borrowed(line.as_bytes()))
                .collect();
            set_value(&mut lines, kind, b"!");
            String::from_utf8(lines.join(&b' ')).unwrap()
        };
        assert_eq!(set(&["v=0", "s=-", "t=0"], b'c'), "v=0 s=- c=! t=0");
        assert_eq!(set(&["v=0", "c=1", "t=0", "c=2"], b'c'), "v=0 c=! t=0");
        assert_eq!(set(&["v=0"], b'c'), "v=0 c=!");
        assert_eq!(set(&["v=0", "q=?", "t=0"], b'o'), "v=0 q=? o=! t=0");
    }
}
