//! One `m=` section; what it does not say itself it takes from the session level.

use std::ops::Range;

use super::codec::{Codec, codecs};
use super::section::{Section, Shared};
use super::values::{Connection, Direction, SdpError, port, refused, trimmed, words};
use crate::scan::cut;

const PORT_SENTENCE: &str = "A media line's port must be a number up to 65535.";
const RTCP_SENTENCE: &str = "An rtcp attribute's port must be a number up to 65535.";

/// What an `m=` line says, as places in the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaLine {
    /// The lines of its section, this one first.
    pub(super) lines: Range<usize>,
    words: Vec<Range<usize>>,
    port: u16,
    port_count: u16,
}

impl MediaLine {
    pub(super) fn parse(
        data: &[u8],
        value: Range<usize>,
        lines: Range<usize>,
    ) -> Result<Self, SdpError> {
        let place = |word: &[u8]| {
            let start = word.as_ptr().addr() - data.as_ptr().addr();
            start..start + word.len()
        };
        let words: Vec<Range<usize>> = words(&data[value]).map(place).collect();
        if words.len() < 4 {
            return refused("A media line must have a kind, a port, a protocol and a format.");
        }
        let (first, count) = cut(&data[words[1].clone()], b'/');
        Ok(Self {
            lines,
            port: port(first, PORT_SENTENCE)?,
            port_count: count.map_or(Ok(1), |count| port(count, PORT_SENTENCE))?,
            words,
        })
    }
}

/// A media section.
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    pub(super) line: &'a MediaLine,
    /// Its own lines.
    pub own: Section<'a>,
    pub(super) shared: &'a Shared,
}

impl<'a> Media<'a> {
    fn word(&self, place: usize) -> &'a [u8] {
        &self.own.data[self.line.words[place].clone()]
    }

    /// `audio`, `video`, `image`, ...
    pub fn kind(&self) -> &'a [u8] {
        self.word(0)
    }

    /// 0 means refused or ended (RFC 3264 5.1, 8.2).
    pub fn port(&self) -> u16 {
        self.line.port
    }

    /// Consecutive port pairs (`49170/2`), almost always 1.
    pub fn port_count(&self) -> u16 {
        self.line.port_count
    }

    /// Transport profile as written, such as `RTP/AVP`.
    pub fn proto(&self) -> &'a [u8] {
        self.word(2)
    }

    /// Payload types or format names as written.
    pub fn formats(&self) -> impl Iterator<Item = &'a [u8]> {
        let Self { line, own, .. } = *self;
        line.words[3..]
            .iter()
            .map(move |place| &own.data[place.clone()])
    }

    /// The `m=` line with another port, one pair.
    pub(super) fn line_with_port(&self, port: u16) -> Vec<u8> {
        let port = port.to_string();
        let mut line = b"m=".to_vec();
        line.extend([self.kind(), port.as_bytes(), self.proto()].join(&b' '));
        for format in self.formats() {
            line.push(b' ');
            line.extend(format);
        }
        line
    }

    /// Neither refused nor ended.
    pub fn is_active(&self) -> bool {
        self.port() != 0
    }

    /// RTP in a profile without keys.
    pub fn is_plain(&self) -> bool {
        let proto = self.proto();
        proto.eq_ignore_ascii_case(b"RTP/AVP") || proto.eq_ignore_ascii_case(b"RTP/AVPF")
    }

    fn is_secure(&self) -> bool {
        let proto = self.proto();
        proto.eq_ignore_ascii_case(b"RTP/SAVP") || proto.eq_ignore_ascii_case(b"RTP/SAVPF")
    }

    /// Keys of SRTP stand in the description: SDES (RFC 4568) or MIKEY (RFC 4567).
    pub fn has_keys(&self) -> bool {
        self.own.has_attribute(b"crypto")
            || self.own.has_attribute(b"key-mgmt")
            || self.shared.has_key_management
    }

    /// The stream is RTP that a relay can forward unseen, RTCP on a port of its own.
    ///
    /// Of SRTP that with its keys in the description: such a relay drops DTLS, and T.38 as well.
    pub(super) fn is_relayable(&self) -> bool {
        (self.is_plain() || (self.is_secure() && self.has_keys()))
            && !self.own.has_attribute(b"rtcp-mux-only")
    }

    /// The section's own `c=` or the session's.
    pub fn connection(&self) -> Result<Option<Connection<'a>>, SdpError> {
        let shared = self.shared.connection.clone();
        let value = self.own.value(b'c');
        let value = value.or_else(|| shared.map(|place| &self.own.data[place]));
        value.map(Connection::parse).transpose()
    }

    /// The section's own direction, the session's, or `sendrecv` (RFC 8866 6.7).
    pub fn direction(&self) -> Direction {
        let written = self.own.direction().or(self.shared.direction);
        written.unwrap_or(Direction::SendRecv)
    }

    /// ICE is offered: the addresses in `c=` and `m=` are not where hold is told.
    pub(super) fn uses_ice(&self) -> bool {
        self.own.has_attribute(b"ice-ufrag") || self.shared.uses_ice
    }

    /// The direction with RFC 2543's hold (`c=0.0.0.0`) put in today's words.
    pub(super) fn direction_at(&self, connection: Option<Connection<'_>>) -> Direction {
        let is_null = connection.is_some_and(|connection| connection.is_null());
        match is_null && !self.uses_ice() {
            true => self.direction().without_receiving(),
            false => self.direction(),
        }
    }

    /// The writer wants no media: sendonly, inactive or a null address (RFC 3264 8.4).
    pub fn is_held(&self) -> Result<bool, SdpError> {
        Ok(self.is_active() && !self.direction_at(self.connection()?).receives())
    }

    /// Port of RTCP: `a=rtcp` (RFC 3605) or the next one above RTP; 0 without RTP.
    pub fn rtcp_port(&self) -> Result<u16, SdpError> {
        match self.own.attribute(b"rtcp") {
            Some(text) if !text.is_empty() => {
                port(words(text).next().unwrap_or_default(), RTCP_SENTENCE)
            }
            _ if self.is_active() => Ok(self.port().saturating_add(1)),
            _ => Ok(0),
        }
    }

    /// Address of RTCP when `a=rtcp` has one; otherwise RTCP goes where RTP goes.
    pub fn rtcp_connection(&self) -> Result<Option<Connection<'a>>, SdpError> {
        let text = self.own.attribute(b"rtcp").unwrap_or_default();
        match cut(trimmed(text), b' ').1 {
            Some(address) if !address.is_empty() => Connection::parse(address).map(Some),
            _ => Ok(None),
        }
    }

    /// The formats as codecs, in order of preference; what nothing describes is left out.
    pub fn codecs(&self) -> Result<Vec<Codec<'a>>, SdpError> {
        codecs(self)
    }
}
