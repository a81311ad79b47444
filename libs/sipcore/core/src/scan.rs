//! Scans of header values: quotes, commas, numbers. Each visits a byte once.

use std::borrow::Cow;

use crate::chars::is_blank;
use crate::error::Malformed;

/// Largest CSeq number (RFC 3261 8.1.1.5).
pub const MAX_CSEQ: u64 = (1 << 31) - 1;
/// Largest number of seconds (RFC 3261 25.1, delta-seconds), also of bytes in a Content-Length.
pub const MAX_SECONDS: u64 = (1 << 32) - 1;

/// A text without the blanks at its ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// A text without the blanks at its beginning.
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte));
    &text[start.unwrap_or(text.len())..]
}

/// A text without the blanks at its end.
pub(crate) fn trim_end(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !is_blank(*byte));
    &text[..last.map_or(0, |at| at + 1)]
}

/// Where a byte is.
pub(crate) fn find(text: &[u8], wanted: u8) -> Option<usize> {
    text.iter().position(|byte| *byte == wanted)
}

/// What stands before and behind the first such byte; the whole text and nothing without one.
pub(crate) fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match find(text, separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// A header value on one line: folds (RFC 3261 7.3.1) become a space, blanks at the ends go.
pub(crate) fn unfold(raw: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(raw);
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let mut parts = value.split(|byte| *byte == b'\n');
    let strip = |part: &[u8]| trim(part.strip_suffix(b"\r").unwrap_or(part)).to_vec();
    let mut line = parts.next().map_or_else(Vec::new, strip);
    for part in parts {
        line.push(b' ');
        line.extend(strip(part));
    }
    Cow::Owned(trim(&line).to_vec())
}

/// The index behind the quoted string that opens at `start`.
///
/// # Errors
/// It does not end.
pub fn quoted_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err(Malformed::new("quoted string is not closed"))
}

/// The index of the comma that ends the value at `start`, or the end of the text.
pub(crate) fn value_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b',' => return Ok(at),
            b'"' => at = quoted_end(text, at)?,
            b'<' => match find(&text[at..], b'>') {
                Some(length) => at += length + 1,
                None => return Err(Malformed::new("angle bracket is not closed")),
            },
            _ => at += 1,
        }
    }
    Ok(text.len())
}

/// The index at which the first value of a list ends; a line without a comma is one value.
pub(crate) fn first_end(text: &[u8]) -> Result<usize, Malformed> {
    if text.contains(&b',') {
        value_end(text, 0)
    } else {
        Ok(text.len())
    }
}

/// The values of a comma-separated list (RFC 3261 7.3.1); empty ones are left out.
pub(crate) struct Values<'a> {
    text: &'a [u8],
    start: usize,
}

impl<'a> Values<'a> {
    /// Of an unfolded header value.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self { text, start: 0 }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.start <= self.text.len() {
            let end = match value_end(self.text, self.start) {
                Ok(end) => end,
                Err(error) => {
                    self.start = self.text.len() + 1;
                    return Some(Err(error));
                }
            };
            let value = trim(&self.text[self.start..end]);
            self.start = end + 1;
            if !value.is_empty() {
                return Some(Ok(value));
            }
        }
        None
    }
}

/// Reads 1*DIGIT, ten at most, up to `maximum`.
///
/// # Errors
/// It is something else; `what` names it.
pub fn number(text: &[u8], maximum: u64, what: &str) -> Result<u64, Malformed> {
    if (1..=10).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) {
        let number = text
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if number <= maximum {
            return Ok(number);
        }
    }
    Err(Malformed::new(format!("{what} is not a number in range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<&str>, Malformed> {
        let read = |value: &'static [u8]| std::str::from_utf8(value).expect("ASCII");
        let text: &'static str = text.to_owned().leak();
        Values::of(text.as_bytes())
            .map(|value| value.map(read))
            .collect()
    }

    #[test]
    fn lists_are_split_at_commas_outside_of_quotes_and_brackets() {
        assert_eq!(values("a, b\t,c"), Ok(vec!["a", "b", "c"]));
        assert_eq!(
            values(r#""x, \"y" <sip:a,b@c>;q=1 , d"#),
            Ok(vec![r#""x, \"y" <sip:a,b@c>;q=1"#, "d"])
        );
        assert_eq!(values(" ,, a ,"), Ok(vec!["a"]));
        assert_eq!(values(""), Ok(vec![]));
    }

    #[test]
    fn what_is_not_closed_is_malformed() {
        for text in [r#"a, "b"#, r#""\"#, "a, <b"] {
            assert!(values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folds_become_a_space() {
        assert_eq!(unfold(b" a \r\n\t b\r\n c ").as_ref(), b"a b c");
        assert_eq!(unfold(b"\r\n a").as_ref(), b"a");
        assert!(matches!(unfold(b"  a b "), Cow::Borrowed(b"a b")));
    }

    #[test]
    fn numbers_are_digits_within_their_range() {
        assert_eq!(number(b"007", 10, "x"), Ok(7));
        assert_eq!(number(b"4294967295", MAX_SECONDS, "x"), Ok(MAX_SECONDS));
        for text in [
            &b""[..],
            b"-1",
            b"+1",
            b"1_0",
            b" 1",
            b"12345678901",
            b"4294967296",
        ] {
            assert!(number(text, MAX_SECONDS, "x").is_err());
        }
    }
}
