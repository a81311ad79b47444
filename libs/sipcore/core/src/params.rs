//! Generic header parameters (`;name=value`, RFC 3261 25.1) and quoted strings.
//!
//! Values stay as written, quotes included, so that they go out as they came in; [`unquote`] gives
//! the text of one.

use std::borrow::Cow;

use crate::chars::{PARAM_VALUE, is_token};
use crate::error::{Illegal, Malformed};
use crate::scan::{cut, quoted_end, trim};
use crate::twins::has_twins;

/// A name as written and its value; none for a flag such as `lr`.
pub type Param<'a> = (&'a [u8], Option<&'a [u8]>);

/// Parameters in order; names are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(Vec<Param<'a>>);

impl<'a> Params<'a> {
    /// Parses what follows the first semicolon.
    ///
    /// # Errors
    /// Malformed, or a name occurs twice (RFC 3261 7.3.1).
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let mut params = Self::default();
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            match text[at] {
                b';' => {
                    params.take(&text[start..at])?;
                    at += 1;
                    start = at;
                }
                b'"' => at = quoted_end(text, at)?,
                _ => at += 1,
            }
        }
        params.take(&text[start..])?;
        if has_twins(params.0.iter().map(|(name, _)| Cow::Borrowed(*name))) {
            return Err(Malformed::new("parameter occurs twice"));
        }
        Ok(params)
    }

    fn take(&mut self, item: &'a [u8]) -> Result<(), Malformed> {
        let (name, value) = cut(item, b'=');
        let (name, value) = (trim(name), value.map(trim));
        if !is_token(name) {
            return Err(Malformed::new("parameter name is malformed"));
        }
        if value.is_some_and(|value| !is_value(value)) {
            return Err(Malformed::new("parameter value is malformed"));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// A parameter; its value as written is none for a flag.
    pub fn get(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Param<'a>> {
        self.0.iter().copied()
    }
}

/// Whether a value may be written as it is: plain, or in quotes.
fn is_value(value: &[u8]) -> bool {
    match value {
        [] => false,
        [b'"', ..] => quoted_end(value, 0) == Ok(value.len()),
        _ => PARAM_VALUE.has_all(value),
    }
}

/// Writes `;name=value`, or `;name` for a flag.
///
/// # Errors
/// The name is no token; the value is neither plain nor in quotes.
pub fn write_param(out: &mut Vec<u8>, (name, value): Param<'_>) -> Result<(), Illegal> {
    if !is_token(name) {
        return Err(Illegal::new("parameter name is not a token"));
    }
    out.push(b';');
    out.extend_from_slice(name);
    if let Some(value) = value {
        if !is_value(value) {
            let name = String::from_utf8_lossy(name);
            return Err(Illegal::new(format!(
                "value of parameter {name} needs quotes"
            )));
        }
        out.push(b'=');
        out.extend_from_slice(value);
    }
    Ok(())
}

/// A text as a quoted string.
pub fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

/// The text of a quoted string; anything else comes back as it is.
pub fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = text else {
        return Cow::Borrowed(text);
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let escaped = if *byte == b'\\' { bytes.next() } else { None };
        plain.push(*escaped.unwrap_or(byte));
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_written_and_names_have_no_case() {
        let params = Params::parse(br#"lr;Branch = z9 ; a="x;\"y" "#).expect("legal");
        assert_eq!(params.get(b"LR"), Some(None));
        assert_eq!(params.get(b"branch"), Some(Some(&b"z9"[..])));
        assert_eq!(params.get(b"a"), Some(Some(&br#""x;\"y""#[..])));
        assert_eq!(params.get(b"b"), None);
    }

    #[test]
    fn what_is_not_a_parameter_is_malformed() {
        for text in [
            "",
            "a;",
            "a=",
            "a;A",
            "=x",
            "a b",
            "a=b c",
            r#"a="b" c"#,
            r#"a="b"#,
            r#""a""#,
        ] {
            assert!(Params::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_come_and_go() {
        assert_eq!(quote(br#"a"b\"#), br#""a\"b\\""#);
        assert_eq!(unquote(&quote(br#"a"b\"#)).as_ref(), br#"a"b\"#);
        assert_eq!(unquote(b"plain").as_ref(), b"plain");
        assert_eq!(unquote(b"\"").as_ref(), b"\"");
    }

    #[test]
    fn only_legal_parameters_are_written() {
        let written = |name: &str, value: Option<&str>| {
            let mut out = Vec::new();
            write_param(&mut out, (name.as_bytes(), value.map(str::as_bytes))).map(|()| out)
        };
        assert_eq!(written("lr", None).as_deref(), Ok(&b";lr"[..]));
        assert_eq!(written("q", Some("0.5")).as_deref(), Ok(&b";q=0.5"[..]));
        assert!(written("a", Some("b;c")).is_err() && written("a", Some("")).is_err());
        assert!(written("a;b", None).is_err() && written("a", Some("\"b\";\"c\"")).is_err());
    }
}
