//! The name-addr and addr-spec values of From, To, Contact, Route and their kin (RFC 3261 20.10).

use std::borrow::Cow;

use crate::chars::{BARE_NAME, has_white_space};
use crate::error::{Illegal, Malformed};
use crate::params::{Param, Params, quote, unquote, write_param};
use crate::scan::{cut, find, quoted_end, trim, trim_end, trim_start};

/// A URI with a display name and header parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The URI as written; it is checked when it is used.
    pub uri: &'a [u8],
    /// Without quotes; empty when absent.
    pub display_name: Cow<'a, [u8]>,
    /// In order.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Parses one value; parameters follow the bracket, or the bare URI (20.10).
    ///
    /// # Errors
    /// Malformed.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let start = match text {
            [b'"', ..] => quoted_end(text, 0)?,
            _ => 0,
        };
        let Some(closing) = find(&text[start..], b'>').map(|at| start + at) else {
            return Self::parse_bare(text);
        };
        let (display_name, uri) = named_uri(&text[..closing], start)?;
        let params = match trim_start(&text[closing + 1..]) {
            [b';', rest @ ..] => Params::parse(rest)?,
            [] if closing + 1 == text.len() => Params::default(),
            _ => return Err(Malformed::new("text after the angle bracket")),
        };
        Ok(Self {
            uri,
            display_name,
            params,
        })
    }

    fn parse_bare(text: &'a [u8]) -> Result<Self, Malformed> {
        let (uri, rest) = cut(text, b';');
        let uri = trim_end(uri);
        // A comma or question mark needs the brackets (RFC 3261 20): without them it is ambiguous.
        let is_ambiguous = uri.iter().any(|byte| matches!(byte, b',' | b'?'));
        if uri.is_empty() || is_ambiguous || !is_bracketable(uri) {
            return Err(Malformed::new("address is malformed"));
        }
        let params = rest.map_or_else(|| Ok(Params::default()), Params::parse)?;
        Ok(Self {
            uri,
            display_name: Cow::Borrowed(b""),
            params,
        })
    }
}

/// Reads display name and URI of a text without its closing bracket; a quoted name ends at `start`.
fn named_uri(text: &[u8], start: usize) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    let Some(opening) = find(&text[start..], b'<').map(|at| start + at) else {
        return Err(Malformed::new("URI in angle brackets is malformed"));
    };
    let uri = &text[opening + 1..];
    if uri.is_empty() || !is_bracketable(uri) {
        return Err(Malformed::new("URI in angle brackets is malformed"));
    }
    let between = trim(&text[start..opening]);
    if start > 0 {
        let name = unquote(&text[..start]);
        return if between.is_empty() {
            Ok((name, uri))
        } else {
            Err(bad_name())
        };
    }
    let is_forbidden = |byte: &u8| matches!(byte, b'"' | b',' | b';' | b'>' | b'@' | b'\\');
    if between.iter().any(is_forbidden) {
        return Err(bad_name());
    }
    Ok((Cow::Borrowed(between), uri))
}

fn bad_name() -> Malformed {
    Malformed::new("display name is malformed")
}

/// Whether a URI can stand between angle brackets.
fn is_bracketable(uri: &[u8]) -> bool {
    !uri.iter().any(|byte| matches!(byte, b'<' | b'>' | b'"')) && !has_white_space(uri)
}

/// Writes a value.
///
/// # Errors
/// A part holds what must not go out.
pub fn write_name_addr<'a>(
    display_name: &[u8],
    uri: &[u8],
    params: impl Iterator<Item = Param<'a>>,
) -> Result<Vec<u8>, Illegal> {
    let is_unsafe = display_name
        .iter()
        .any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if is_unsafe || !is_bracketable(uri) {
        return Err(Illegal::new(
            "name-addr holds characters that must not go out",
        ));
    }
    let mut out = Vec::with_capacity(display_name.len() + uri.len() + 32);
    if !display_name.is_empty() {
        // Blanks around a bare name belong to nobody.
        let has_edges = trim(display_name).len() < display_name.len();
        if BARE_NAME.has_all(display_name) && !has_edges {
            out.extend_from_slice(display_name);
        } else {
            out.extend(quote(display_name));
        }
        out.push(b' ');
    }
    out.push(b'<');
    out.extend_from_slice(uri);
    out.push(b'>');
    for param in params {
        write_param(&mut out, param)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String, usize)> {
        let value = NameAddr::parse(text.as_bytes()).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((
            text(&value.display_name),
            text(value.uri),
            value.params.iter().count(),
        ))
    }

    fn some(name: &str, uri: &str, params: usize) -> Option<(String, String, usize)> {
        Some((name.to_owned(), uri.to_owned(), params))
    }

    #[test]
    fn names_come_with_and_without_quotes() {
        assert_eq!(
            read(r#""A \"B\" <x>" <sip:a@b;c>;tag=1"#),
            some(r#"A "B" <x>"#, "sip:a@b;c", 1)
        );
        assert_eq!(
            read("Ann Bee <sip:a@b> ;tag=1;x"),
            some("Ann Bee", "sip:a@b", 2)
        );
        assert_eq!(read("<sip:a@b>"), some("", "sip:a@b", 0));
        assert_eq!(read("sip:a@b ;tag=1"), some("", "sip:a@b", 1));
    }

    #[test]
    fn what_is_ambiguous_or_open_is_malformed() {
        for text in [
            "",
            "<>",
            "<sip:a",
            "sip:a>",
            "a, b <sip:a>",
            "<sip:a>x",
            "<sip:a> ",
            "<sip:a b>",
            r#""a" b <sip:a>"#,
            r#""a <sip:a>"#,
            "sip:a?b=c",
            "sip:a,b",
            r#""a" sip:b"#,
            "<sip:a\u{a0}b>",
            "<sip:a>;",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let none = || std::iter::empty();
        assert_eq!(
            write_name_addr(b"A B", b"sip:a", none()).as_deref(),
            Ok(&b"A B <sip:a>"[..])
        );
        assert_eq!(
            write_name_addr(b"A,\"", b"sip:a", none()).as_deref(),
            Ok(&br#""A,\"" <sip:a>"#[..])
        );
        assert_eq!(
            write_name_addr(b"A ", b"sip:a", none()).as_deref(),
            Ok(&br#""A " <sip:a>"#[..])
        );
        assert!(write_name_addr(b"a\n", b"sip:a", none()).is_err());
        assert!(write_name_addr(b"", b"sip:a>", none()).is_err());
    }
}
