//! SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966).
//!
//! A view holds the components as written, escapes included; [`unescape`] leads to their text.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use memchr::memmem;

use crate::chars::{
    Class, HOST, IPV6, URI_HEADER, URI_PARAM, URI_PASSWORD, URI_USER, has_white_space,
};
use crate::error::{Illegal, Malformed};
use crate::params::Param;
use crate::scan::{cut, find};
use crate::twins::has_twins;
use crate::uri_escape::unescape;

/// A URI of one of our schemes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
}

/// A sip or sips URI; everything as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether its scheme is `sips`.
    pub is_secure: bool,
    /// None without userinfo.
    pub user: Option<&'a [u8]>,
    /// None when not written; may be empty.
    pub password: Option<&'a [u8]>,
    /// IPv6 without brackets, and without the third colon that RFC 3261 allows.
    pub host: Cow<'a, [u8]>,
    /// None when not written.
    pub port: Option<u16>,
    /// Names and values; a flag such as `lr` has none.
    pub params: Vec<Param<'a>>,
    /// What stands behind the question mark.
    pub headers: Vec<UriHeader<'a>>,
}

/// Name and value of a URI's header.
pub type UriHeader<'a> = (&'a [u8], &'a [u8]);

/// A telephone number with its visual separators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// The number.
    pub number: &'a [u8],
    /// Names and values; a flag has none.
    pub params: Vec<Param<'a>>,
}

impl<'a> Uri<'a> {
    /// Parses a URI that stands alone, without angle brackets.
    ///
    /// # Errors
    /// 416 for a scheme that is not ours, 400 when malformed.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let (scheme, rest) = cut(text, b':');
        let rest = rest.ok_or_else(malformed)?;
        if scheme.eq_ignore_ascii_case(b"sip") {
            return SipUri::parse(rest, false).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case(b"sips") {
            return SipUri::parse(rest, true).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            return TelUri::parse(rest).map(Self::Tel);
        }
        let is_letter_first = scheme.first().is_some_and(u8::is_ascii_alphabetic);
        let is_uri = !rest.is_empty() && is_visible(rest);
        if is_letter_first && SCHEME.has_all(scheme) && is_uri {
            return Err(Malformed::with_status(416, "URI scheme is not supported"));
        }
        Err(malformed())
    }

    /// The same for the URI of a header: what 416 says is about the Request-URI (21.4.14).
    ///
    /// # Errors
    /// 400.
    pub fn parse_in_header(text: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse(text).map_err(|error| Malformed::new(error.what))
    }
}

static SCHEME: Class = Class::alphanumeric_and(b"+.-");
static LOCAL_DIGITS: Class = Class::only(b"0123456789abcdefABCDEF*#");
static SEPARATORS: Class = Class::only(b"().-");

fn malformed() -> Malformed {
    Malformed::new("URI is malformed")
}

fn is_visible(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'<' | b'>' | b'"')) && !has_white_space(text)
}

impl<'a> SipUri<'a> {
    fn parse(text: &'a [u8], is_secure: bool) -> Result<Self, Malformed> {
        let (userinfo, rest) = match cut(text, b'@') {
            (userinfo, Some(rest)) => (Some(userinfo), rest),
            (all, None) => (None, all),
        };
        let (user, password) = match userinfo.map(|text| cut(text, b':')) {
            Some((user, password)) => (Some(user), password),
            None => (None, None),
        };
        let is_user = user.is_none_or(|user| !user.is_empty() && URI_USER.has_all_escaped(user));
        if !is_user || !password.is_none_or(|text| URI_PASSWORD.has_all_escaped(text)) {
            return Err(malformed());
        }
        let (host, rest) = host(rest)?;
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b';' | b'?'))
            .unwrap_or(rest.len());
        let port = match &rest[..end] {
            [] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return Err(malformed()),
        };
        let (params, headers) = cut(&rest[end..], b'?');
        let params = match params {
            [] => Vec::new(),
            [_, params @ ..] => uri_params(params)?,
        };
        let headers = headers.map_or_else(|| Ok(Vec::new()), uri_headers)?;
        Ok(Self {
            is_secure,
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }
}

/// Reads the host at the beginning of a text.
fn host(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    if let [b'[', inside @ ..] = text {
        let end = find(inside, b']').ok_or_else(malformed)?;
        let address = ipv6(&inside[..end]);
        let address = address.ok_or_else(|| Malformed::new("IPv6 address is malformed"))?;
        return Ok((address, &inside[end + 1..]));
    }
    let end = text
        .iter()
        .position(|byte| !HOST.has(*byte))
        .unwrap_or(text.len());
    if end == 0 {
        Err(malformed())
    } else {
        Ok((Cow::Borrowed(&text[..end]), &text[end..]))
    }
}

/// Checks an IPv6 address.
///
/// The grammar of RFC 3261 writes three colons before an IPv4 part, which must be tolerated
/// (RFC 5118 4.10).
fn ipv6(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if is_address::<Ipv6Addr>(text) {
        return Some(Cow::Borrowed(text));
    }
    let at = memmem::find(text, b":::")?;
    let mended = [&text[..at], &text[at + 1..]].concat();
    let is_allowed = is_address::<Ipv4Addr>(&text[at + 3..]) && is_address::<Ipv6Addr>(&mended);
    is_allowed.then_some(Cow::Owned(mended))
}

fn is_address<A: FromStr>(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<A>().is_ok())
}

fn port(digits: &[u8]) -> Result<u16, Malformed> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let port = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Malformed::new("port is out of range")),
    }
}

fn uri_params(text: &[u8]) -> Result<Vec<Param<'_>>, Malformed> {
    let mut params: Vec<Param<'_>> = Vec::new();
    for item in text.split(|byte| *byte == b';') {
        let (name, value) = cut(item, b'=');
        let is_part = |part: &[u8]| !part.is_empty() && URI_PARAM.has_all_escaped(part);
        if !is_part(name) || !value.is_none_or(is_part) {
            return Err(Malformed::new("URI parameter is malformed"));
        }
        params.push((name, value));
    }
    if has_twins(params.iter().map(|(name, _)| unescape(name))) {
        return Err(Malformed::new("URI parameter occurs twice"));
    }
    Ok(params)
}

fn uri_headers(text: &[u8]) -> Result<Vec<UriHeader<'_>>, Malformed> {
    let read = |item| match cut(item, b'=') {
        (name, Some(value))
            if !name.is_empty()
                && URI_HEADER.has_all_escaped(name)
                && URI_HEADER.has_all_escaped(value) =>
        {
            Ok((name, value))
        }
        _ => Err(Malformed::new("URI header is malformed")),
    };
    text.split(|byte| *byte == b'&').map(read).collect()
}

impl<'a> TelUri<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let (number, params) = cut(text, b';');
        if !is_telephone_number(number) {
            return Err(malformed());
        }
        let params = params.map_or_else(|| Ok(Vec::new()), uri_params)?;
        Ok(Self { number, params })
    }
}

/// Whether a text is a global or local number (RFC 3966 3).
pub fn is_telephone_number(text: &[u8]) -> bool {
    let (text, is_digit): (_, fn(u8) -> bool) = match text {
        [b'+', rest @ ..] => (rest, |byte| byte.is_ascii_digit()),
        _ => (text, |byte| LOCAL_DIGITS.has(byte)),
    };
    text.iter().any(|byte| is_digit(*byte))
        && text
            .iter()
            .all(|byte| is_digit(*byte) || SEPARATORS.has(*byte))
}

/// Whether a text may stand as the host of a URI or Via; IPv6 with its brackets.
pub fn is_host(text: &[u8]) -> bool {
    match text {
        [b'[', inside @ .., b']'] => !inside.is_empty() && IPV6.has_all(inside),
        _ => !text.is_empty() && HOST.has_all(text),
    }
}

/// Checks the host of a URI or Via that is to be written.
///
/// # Errors
/// It is none.
pub fn check_host(text: &[u8]) -> Result<(), Illegal> {
    if is_host(text) {
        Ok(())
    } else {
        Err(Illegal::new("host is illegal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip(text: &str) -> SipUri<'_> {
        match Uri::parse(text.as_bytes()) {
            Ok(Uri::Sip(uri)) => uri,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn status(text: &str) -> Option<u16> {
        Uri::parse(text.as_bytes()).err().map(|error| error.status)
    }

    #[test]
    fn components_are_views_of_the_text() {
        let uri = sip("SIPS:a%40b;c?d/#e:p%3a@Host.X:5061;lr;Transport=tcp?subject=a%20b&x=");
        assert!(uri.is_secure);
        assert_eq!(uri.user, Some(&b"a%40b;c?d/#e"[..]));
        assert_eq!(uri.password, Some(&b"p%3a"[..]));
        assert_eq!((&*uri.host, uri.port), (&b"Host.X"[..], Some(5061)));
        assert_eq!(
            uri.params,
            [(&b"lr"[..], None), (b"Transport", Some(&b"tcp"[..]))]
        );
        assert_eq!(uri.headers, [(&b"subject"[..], &b"a%20b"[..]), (b"x", b"")]);
        let uri = sip("sip:[2001:db8::1]:5060");
        assert_eq!((uri.user, &*uri.host), (None, &b"2001:db8::1"[..]));
        assert_eq!(sip("sip:a:@b").password, Some(&b""[..]));
        assert_eq!(sip("sip:a?b=c").headers.len(), 1);
    }

    #[test]
    fn a_third_colon_stands_before_an_ipv4_part_alone() {
        for text in ["2001:db8:::192.0.2.1", ":::192.0.2.1"] {
            let uri = format!("sip:[{text}]");
            assert_eq!(*sip(&uri).host, *text.replacen(":::", "::", 1).as_bytes());
        }
        for text in [
            "2001:db8:::1",
            "::::192.0.2.1",
            "1::2:::192.0.2.1",
            "1:2:3:4:5:6:::192.0.2.1",
            "1:::192.0.2.256",
        ] {
            assert_eq!(status(&format!("sip:[{text}]")), Some(400), "{text}");
        }
    }

    #[test]
    fn an_unknown_scheme_in_a_header_is_malformed() {
        let error = Uri::parse_in_header(b"http://a").expect_err("no scheme of ours");
        assert_eq!(error.status, 400);
    }

    #[test]
    fn what_is_no_uri_of_ours_says_so() {
        for text in [
            "",
            "sip:",
            "sip:@a",
            "sip:a@",
            "sip:a@b@c",
            "sip:a b@c",
            "sip:a%4@b",
            "sip:a@b:",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:a@b:123456",
            "sip:a@b;",
            "sip:a@b;;c",
            "sip:a@b;c=",
            "sip:a@b;c;C",
            "sip:a@b;%43;c",
            "sip:a@b?",
            "sip:a@b?c",
            "sip:[::1",
            "sip:[1:2]",
            "sip:[]",
            "sip:\u{e4}@b",
            "tel:",
            "tel:+",
            "tel:x",
            "tel:+1a",
            "tel:1;",
            "1:x",
            "http:",
            "http:a b",
            "abc",
            "a\u{e4}:b",
            "http:a\u{a0}",
        ] {
            assert_eq!(status(text), Some(400), "{text}");
        }
        for text in ["http://a", "SERVICE:x", "a+b-c.d:e", "urn:\u{e4}"] {
            assert_eq!(status(text), Some(416), "{text}");
        }
    }

    #[test]
    fn telephone_numbers_are_global_or_local() {
        for text in ["+49(30)12-3", "911", "*#06#", "(a).b"] {
            assert!(
                Uri::parse(format!("tel:{text};phone-context=x").as_bytes()).is_ok(),
                "{text}"
            );
        }
    }
}
