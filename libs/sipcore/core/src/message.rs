//! Whole messages: parsed, answered, written.

use std::borrow::Cow;

use memchr::memmem;

use crate::chars::{is_blank, is_token};
use crate::error::Malformed;
use crate::head;
use crate::header::Header;
use crate::name::{Key, Known};
use crate::name_addr::NameAddr;
use crate::scan::{MAX_CSEQ, MAX_SECONDS, number, trim_start};
use crate::start_line::StartLine;
use crate::uri::Uri;
use crate::via::Via;

pub(crate) const HEADER_END: &[u8] = b"\r\n\r\n";
const MAX_FORWARDS: u64 = 255;

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request: method and Request-URI as written.
    Request {
        /// Case counts.
        method: Box<str>,
        /// As written.
        uri: Vec<u8>,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// The reason phrase; ISO 8859-1, which some phones write, is read as what it means.
        reason: String,
    },
}

/// A message: what it is, its header and its body.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub start: Start,
    /// The lines.
    pub header: Header,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// A message that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Why, and with which status it is answered if it is a request (see [`salvage`](crate::salvage)).
    pub fault: Malformed,
    /// It, or its header, as received.
    pub data: Vec<u8>,
}

impl Unusable {
    pub(crate) fn new(status: u16, what: &'static str, data: &[u8]) -> Self {
        Self {
            fault: Malformed::with_status(status, what),
            data: data.to_vec(),
        }
    }
}

/// Parses one datagram (RFC 3261 18.3).
///
/// Bytes beyond Content-Length are cut off; without Content-Length the body is the rest.
///
/// # Errors
/// Nothing usable.
pub fn parse_datagram(data: &[u8]) -> Result<Message, Unusable> {
    let data = if data.starts_with(b"\r\n") {
        without_line_ends(data)
    } else {
        data
    };
    let Some(end) = memmem::find(data, HEADER_END) else {
        return Err(Unusable::new(400, "header does not end", data));
    };
    let (mut message, length) = parse_head(&data[..end])?;
    let body = &data[end + HEADER_END.len()..];
    let length = length.map_or(body.len(), |length| {
        usize::try_from(length).unwrap_or(usize::MAX)
    });
    let Some(body) = body.get(..length) else {
        return Err(Unusable::new(
            400,
            "body is shorter than Content-Length",
            data,
        ));
    };
    message.body = body.to_vec();
    Ok(message)
}

pub(crate) fn without_line_ends(data: &[u8]) -> &[u8] {
    let start = data.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &data[start.unwrap_or(data.len())..]
}

/// Parses start line and header, given without the empty line that ends them; returns the
/// Content-Length, too.
pub(crate) fn parse_head(text: &[u8]) -> Result<(Message, Option<u64>), Unusable> {
    read_head(text).map_err(|fault| Unusable {
        fault,
        data: [text, HEADER_END].concat(),
    })
}

fn read_head(text: &[u8]) -> Result<(Message, Option<u64>), Malformed> {
    let (span, header) = head::split(text)?;
    let start = match StartLine::parse(header.text_of(span))? {
        StartLine::Request(method, uri) => Start::Request {
            method: String::from_utf8_lossy(method).into(),
            uri: uri.to_vec(),
        },
        StartLine::Response(status, reason) => Start::Response {
            status,
            reason: as_text(reason),
        },
    };
    let message = Message {
        start,
        header,
        body: Vec::new(),
    };
    let length = message.check()?;
    Ok((message, length))
}

fn as_text(reason: &[u8]) -> String {
    let latin = || reason.iter().map(|byte| char::from(*byte)).collect();
    std::str::from_utf8(reason).map_or_else(|_| latin(), str::to_owned)
}

impl Message {
    /// Without header and body.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            header: Header::default(),
            body: Vec::new(),
        }
    }

    /// Checks what every server needs; returns the Content-Length.
    fn check(&self) -> Result<Option<u64>, Malformed> {
        let singles = [
            Known::FROM,
            Known::TO,
            Known::CALL_ID,
            Known::CSEQ,
            Known::MAX_FORWARDS,
            Known::CONTENT_LENGTH,
        ];
        if let Some(known) = self.header.find_repeated(&singles) {
            return Err(Malformed::new(format!("{} occurs twice", known.wire())));
        }
        Via::parse(&self.first_value(Known::VIA)?)?;
        NameAddr::parse(&self.mandatory(Known::FROM)?)?;
        NameAddr::parse(&self.mandatory(Known::TO)?)?;
        self.call_id()?;
        let (_, cseq_method) = self.cseq()?;
        self.max_forwards()?;
        let length = self.content_length()?;
        if let Start::Request { method, uri } = &self.start {
            if cseq_method.as_bytes() != method.as_bytes() {
                return Err(Malformed::new("CSeq method is not the request's"));
            }
            Uri::parse(uri)?;
        }
        Ok(length)
    }

    /// The value of a header that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn mandatory(&self, known: Known) -> Result<Cow<'_, [u8]>, Malformed> {
        let missing = || Malformed::new(format!("{} is missing", known.wire()));
        self.header.get(Key::Known(known)).ok_or_else(missing)
    }

    /// The first value of a list header that must be there.
    ///
    /// # Errors
    /// It is not, or a quote or angle bracket in it is not closed.
    pub fn first_value(&self, known: Known) -> Result<Cow<'_, [u8]>, Malformed> {
        let missing = || Malformed::new(format!("{} is missing", known.wire()));
        self.header
            .first_value(Key::Known(known))?
            .ok_or_else(missing)
    }

    /// The Call-ID.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn call_id(&self) -> Result<Cow<'_, [u8]>, Malformed> {
        let value = self.mandatory(Known::CALL_ID)?;
        if value.is_empty() || value.iter().any(|byte| is_blank(*byte)) {
            return Err(Malformed::new("Call-ID is malformed"));
        }
        Ok(value)
    }

    /// Number and method of the CSeq; the number is below 2**31 (RFC 3261 8.1.1.5).
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn cseq(&self) -> Result<(u64, String), Malformed> {
        let value = self.mandatory(Known::CSEQ)?;
        let end = value
            .iter()
            .position(|byte| is_blank(*byte))
            .unwrap_or(value.len());
        let number = number(&value[..end], MAX_CSEQ, "CSeq")?;
        let method = trim_start(&value[end..]);
        if !is_token(method) {
            return Err(Malformed::new("CSeq method is malformed"));
        }
        Ok((number, String::from_utf8_lossy(method).into_owned()))
    }

    /// Max-Forwards, 0 to 255.
    ///
    /// # Errors
    /// Malformed.
    pub fn max_forwards(&self) -> Result<Option<u64>, Malformed> {
        self.number(Key::Known(Known::MAX_FORWARDS), MAX_FORWARDS)
    }

    /// Content-Length as received or last written.
    ///
    /// # Errors
    /// Malformed.
    pub fn content_length(&self) -> Result<Option<u64>, Malformed> {
        self.number(Key::Known(Known::CONTENT_LENGTH), MAX_SECONDS)
    }

    /// A header that is a number.
    ///
    /// # Errors
    /// It is none, or larger than `maximum`.
    pub fn number(&self, key: Key<'_>, maximum: u64) -> Result<Option<u64>, Malformed> {
        let what = match key {
            Key::Known(known) => known.wire(),
            Key::Other(name) => name,
        };
        self.header
            .get(key)
            .map(|value| number(&value, maximum, what))
            .transpose()
    }

    /// Writes the message; Content-Length follows the body.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        let length = u64::try_from(self.body.len()).expect("a length");
        if self.content_length() != Ok(Some(length)) {
            let value = length.to_string();
            self.header
                .set("content-length", value.as_bytes())
                .expect("digits are legal");
        }
        let mut wire = Vec::with_capacity(self.header.size().1 + self.body.len() + 256);
        match &self.start {
            Start::Request { method, uri } => {
                wire.extend_from_slice(method.as_bytes());
                wire.push(b' ');
                wire.extend_from_slice(uri);
                wire.extend_from_slice(b" SIP/2.0\r\n");
            }
            Start::Response { status, reason } => {
                wire.extend_from_slice(b"SIP/2.0 ");
                wire.extend_from_slice(status.to_string().as_bytes());
                wire.push(b' ');
                wire.extend_from_slice(reason.as_bytes());
                wire.extend_from_slice(b"\r\n");
            }
        }
        for line in self.header.lines() {
            wire.extend_from_slice(line);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::OPTIONS;

    fn status(text: &str) -> Option<u16> {
        parse_datagram(text.as_bytes())
            .err()
            .map(|error| error.fault.status)
    }

    #[test]
    fn a_message_goes_out_as_it_came() {
        let text = format!("\r\n\r\n{OPTIONS}Content-Length : 2\r\nX-A:\r\n b\r\n\r\nhiyou");
        let mut message = parse_datagram(text.as_bytes()).expect("legal");
        assert_eq!(message.body, b"hi");
        let wire = message.to_bytes();
        assert_eq!(String::from_utf8_lossy(&wire), &text[4..text.len() - 3]);
    }

    #[test]
    fn the_length_follows_the_body() {
        let mut message = parse_datagram(format!("{OPTIONS}\r\nabc").as_bytes()).expect("legal");
        let wire = message.to_bytes();
        assert!(wire.ends_with(b"\r\nContent-Length: 3\r\n\r\nabc"));
        message.body.clear();
        assert!(
            message
                .to_bytes()
                .ends_with(b"\r\nContent-Length: 0\r\n\r\n")
        );
    }

    #[test]
    fn what_every_server_needs_is_checked() {
        let legal = format!("{OPTIONS}\r\n");
        assert_eq!(status(&legal), None);
        for (old, new) in [
            ("Call-ID: x\r\n", ""),
            ("Call-ID: x", "Call-ID: x y"),
            ("CSeq: 7", "CSeq: x"),
            ("CSeq: 7  OPTIONS", "CSeq: 7 INVITE"),
            ("To: <sip:b@c>", "To: <sip:b@c"),
            ("SIP/2.0/UDP a;", "SIP/2.0/UDP ;"),
            ("To:", "From:"),
            ("sip:b@c SIP", "sip: SIP"),
            ("OPTIONS sip", "OPTIONS  sip"),
            ("\r\n\r\n", "\r\nMax-Forwards: 256\r\n\r\n"),
            ("\r\n\r\n", "\r\nl: 1\r\n\r\n"),
            ("\r\n\r\n", "\r\nl: 0\r\nl: 0\r\n\r\n"),
            ("\r\n\r\n", "\r\n"),
        ] {
            assert_eq!(
                status(&legal.replacen(old, new, 1)),
                Some(400),
                "{old} -> {new}"
            );
        }
        assert_eq!(
            status(&legal.replace("sip:b@c SIP", "http:b SIP")),
            Some(416)
        );
    }
}
