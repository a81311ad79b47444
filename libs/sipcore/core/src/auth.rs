//! Challenges and credentials: a scheme and its comma-separated parameters (RFC 3261 25.1).

use std::borrow::Cow;

use crate::chars::{has_white_space, is_blank, is_token};
use crate::error::Malformed;
use crate::params::unquote;
use crate::scan::{cut, quoted_end, trim, trim_start};
use crate::twins::has_twins;

/// One WWW-Authenticate, Authorization or similar value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthParams<'a> {
    /// As written, `Digest` mostly.
    pub scheme: &'a [u8],
    /// Names as written, values without quotes.
    pub params: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

impl<'a> AuthParams<'a> {
    /// Parses one value.
    ///
    /// # Errors
    /// Malformed, or a parameter occurs twice.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let end = text
            .iter()
            .position(|byte| is_blank(*byte))
            .unwrap_or(text.len());
        let (scheme, mut rest) = (&text[..end], trim_start(&text[end..]));
        if !is_token(scheme) || end == text.len() {
            return Err(Malformed::new("authentication scheme is missing"));
        }
        let mut read = Self {
            scheme,
            params: Vec::new(),
        };
        while !rest.is_empty() {
            rest = read.take(rest)?;
        }
        if read.params.is_empty() {
            return Err(Malformed::new("authentication parameters are missing"));
        }
        if has_twins(read.params.iter().map(|(name, _)| Cow::Borrowed(*name))) {
            return Err(Malformed::new("authentication parameter occurs twice"));
        }
        Ok(read)
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let mut params = self.params.iter();
        let found = params.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// Reads the parameter at the beginning; returns what comes behind its comma.
    fn take(&mut self, text: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let malformed = || Malformed::new("authentication parameter is malformed");
        let (name, rest) = cut(text, b'=');
        let (name, rest) = (trim(name), trim_start(rest.ok_or_else(malformed)?));
        let end = match rest {
            [b'"', ..] => quoted_end(rest, 0).map_err(|_| malformed())?,
            _ => rest
                .iter()
                .position(|byte| is_blank(*byte) || *byte == b',')
                .unwrap_or(rest.len()),
        };
        let value = &rest[..end];
        let is_bare = !value.starts_with(b"\"");
        let is_legal = !(is_bare && (value.contains(&b'"') || has_white_space(value)));
        if !is_token(name) || value.is_empty() || !is_legal {
            return Err(malformed());
        }
        self.params.push((name, unquote(value)));
        match trim_start(&rest[end..]) {
            [] => Ok(b""),
            [b',', behind @ ..] => Ok(trim_start(behind)),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_lose_their_quotes() {
        let text = br#"Digest realm="a \"b\", c",nonce = "" , qop=auth,	URI="sip:x,y""#;
        let read = AuthParams::parse(text).expect("legal");
        assert_eq!(read.scheme, b"Digest");
        assert_eq!(read.get(b"realm"), Some(&br#"a "b", c"#[..]));
        assert_eq!(read.get(b"nonce"), Some(&b""[..]));
        assert_eq!(read.get(b"uri"), Some(&b"sip:x,y"[..]));
        assert_eq!(read.get(b"QOP"), Some(&b"auth"[..]));
        assert_eq!(read.get(b"nc"), None);
    }

    #[test]
    fn what_is_no_list_of_parameters_is_malformed() {
        for text in [
            "",
            "Digest",
            "Digest ",
            "Dig(est a=b",
            "Digest a",
            "Digest a=",
            "Digest a=b c=d",
            "Digest a=b,A=c",
            r#"Digest a="b"#,
            r#"Digest a=b"c"#,
            "Digest =b",
            "Digest a=b,,c=d",
            "Digest a=b\u{a0}c",
        ] {
            assert!(AuthParams::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
