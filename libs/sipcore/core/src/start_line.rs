//! Request lines and status lines (RFC 3261 7.1, 7.2).

use crate::chars::is_token;
use crate::error::Malformed;
use crate::scan::{cut, number};

const MAX_URI_BYTES: usize = 4096;

/// The first line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// Of a request: method and Request-URI, as written.
    Request(&'a [u8], &'a [u8]),
    /// Of a response: status, 100 to 699, and reason phrase.
    Response(u16, &'a [u8]),
}

impl<'a> StartLine<'a> {
    /// Parses it.
    ///
    /// # Errors
    /// 505 for a SIP version other than 2.0, 414 for a long URI, else 400.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let (method, rest) = cut(line, b' ');
        if !is_token(method) {
            return Self::parse_status_line(line);
        }
        let (uri, version) = cut(rest.unwrap_or_default(), b' ');
        check_version(version.unwrap_or_default())?;
        if uri.is_empty() {
            return Err(Malformed::new("request line is malformed"));
        }
        if uri.len() > MAX_URI_BYTES {
            return Err(Malformed::with_status(414, "Request-URI is too long"));
        }
        Ok(Self::Request(method, uri))
    }

    fn parse_status_line(line: &'a [u8]) -> Result<Self, Malformed> {
        let (version, rest) = cut(line, b' ');
        check_version(version)?;
        let (code, reason) = cut(rest.unwrap_or_default(), b' ');
        let reason = reason.unwrap_or_default();
        let status = number(code, 699, "status")?;
        // A line end in it is that of a fold.
        if status < 100 || code.len() != 3 || reason.contains(&b'\n') {
            return Err(Malformed::new("status line is malformed"));
        }
        let status = u16::try_from(status).expect("at most 699");
        Ok(Self::Response(status, reason))
    }
}

fn check_version(version: &[u8]) -> Result<(), Malformed> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    if is_other_version(version) {
        return Err(Malformed::with_status(505, "SIP version is not 2.0"));
    }
    Err(Malformed::new("start line is malformed"))
}

fn is_other_version(version: &[u8]) -> bool {
    let (protocol, numbers) = cut(version, b'/');
    let (major, minor) = cut(numbers.unwrap_or_default(), b'.');
    let is_number =
        |text: &[u8]| (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    protocol.eq_ignore_ascii_case(b"SIP") && is_number(major) && minor.is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: &str) -> Option<u16> {
        StartLine::parse(line.as_bytes())
            .err()
            .map(|error| error.status)
    }

    #[test]
    fn both_kinds_are_told_apart() {
        let line = StartLine::parse(b"INVITE sip:a sip/2.0");
        assert_eq!(line, Ok(StartLine::Request(b"INVITE", b"sip:a")));
        let line = StartLine::parse(b"SIP/2.0 180 Ringing now");
        assert_eq!(line, Ok(StartLine::Response(180, b"Ringing now")));
        assert_eq!(
            StartLine::parse(b"SIP/2.0 200"),
            Ok(StartLine::Response(200, b""))
        );
    }

    #[test]
    fn each_fault_has_its_status() {
        for line in [
            "",
            "INVITE",
            "INVITE sip:a",
            "INVITE  SIP/2.0",
            "INVITE sip:a  SIP/2.0",
            "INVITE sip:a SIP/2.0 ",
            "INVITE sip:a HTTP/1.1",
            "SIP/2.0",
            "SIP/2.0 99 x",
            "SIP/2.0 0200 x",
            "SIP/2.0 700 x",
            "SIP/2.0 2x0",
            "IN(V sip:a SIP/2.0",
            "SIP/2.0 200 a\r\n b",
        ] {
            assert_eq!(status(line), Some(400), "{line}");
        }
        assert_eq!(status("INVITE sip:a SIP/7.0"), Some(505));
        assert_eq!(status("SIP/1.0 200 OK"), Some(505));
        assert_eq!(
            status(&format!("INVITE sip:{} SIP/2.0", "a".repeat(5000))),
            Some(414)
        );
    }
}
