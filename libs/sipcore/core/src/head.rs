//! Cutting a header into start line and lines (RFC 3261 7.3.1).

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::chars::is_blank;
use crate::error::Malformed;
use crate::header::Header;
use crate::name::Name;

/// How long a header may be, its last line end not counted.
pub const MAX_HEADER_BYTES: usize = 65_536;
/// How many lines a header may have, folds counted.
pub const MAX_HEADERS: usize = 256;

/// Cuts a header, given without the empty line that ends it.
///
/// # Errors
/// 513 when it is too large; stray CR, LF or NUL, or a line without a name.
pub(crate) fn split(head: &[u8]) -> Result<(Range<usize>, Header), Malformed> {
    if head.len() > MAX_HEADER_BYTES {
        return Err(Malformed::with_status(513, "header is too large"));
    }
    let text = without_quoted_nul(head);
    let mut spans = logical_lines(&text)?.into_iter();
    let start = spans.next().expect("a text has a line, be it empty");
    let mut header = Header::over(text.into_owned(), spans.len());
    for span in spans {
        let line = header.text_of(span.clone());
        let length =
            memchr(b':', line).ok_or_else(|| Malformed::new("header line without a colon"))?;
        let name = Name::read(&line[..length])?;
        header.push_span(name, span.clone(), span.start + length);
    }
    Ok((start, header))
}

/// The lines of a text, folded ones joined to what they continue.
fn logical_lines(text: &[u8]) -> Result<Vec<Range<usize>>, Malformed> {
    let mut lines: Vec<Range<usize>> = Vec::with_capacity(24);
    let (mut start, mut breaks) = (0, 0);
    for at in memchr_iter(b'\r', text) {
        // A lone CR or LF would be a line end to some parsers and not to others.
        if text.get(at + 1) != Some(&b'\n') {
            return Err(stray());
        }
        push_line(&mut lines, text, start..at);
        breaks += 1;
        start = at + 2;
    }
    push_line(&mut lines, text, start..text.len());
    if memchr_iter(b'\n', text).count() != breaks || memchr(0, text).is_some() {
        return Err(stray());
    }
    if breaks > MAX_HEADERS {
        return Err(Malformed::with_status(513, "too many header lines"));
    }
    Ok(lines)
}

fn stray() -> Malformed {
    Malformed::new("stray CR, LF or NUL in the header")
}

pub(crate) fn push_line(lines: &mut Vec<Range<usize>>, text: &[u8], line: Range<usize>) {
    match lines.last_mut() {
        Some(last)
            if text[line.clone()]
                .first()
                .is_some_and(|byte| is_blank(*byte)) =>
        {
            last.end = line.end;
        }
        _ => lines.push(line),
    }
}

/// Replaces NUL behind a backslash in quoted strings, where it is legal (25.1 quoted-pair).
///
/// Nothing behind the parser, a database least of all, has to know text with NUL; the substitute
/// is what a reader would show for it.
fn without_quoted_nul(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(0, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut clean = Vec::with_capacity(text.len());
    let mut is_quoted = false;
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        match (byte, tail) {
            (b'\\', [0, behind @ ..]) if is_quoted => {
                clean.extend_from_slice("\u{fffd}".as_bytes());
                rest = behind;
                continue;
            }
            (b'\\', [escaped, behind @ ..]) if is_quoted => {
                clean.extend([b'\\', *escaped]);
                rest = behind;
                continue;
            }
            (b'"', _) => is_quoted = !is_quoted,
            _ => {}
        }
        clean.push(*byte);
        rest = tail;
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, u16> {
        let (start, header) = split(text.as_bytes()).map_err(|error| error.status)?;
        let start = String::from_utf8_lossy(header.text_of(start)).into_owned();
        let rest = header
            .lines()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        Ok([start].into_iter().chain(rest).collect())
    }

    #[test]
    fn folds_stay_in_the_line_that_they_continue() {
        let split = lines("A\r\nTo: b\r\n c\r\n\t: d\r\nv:e");
        assert_eq!(
            split,
            Ok(vec![
                "A".into(),
                "To: b\r\n c\r\n\t: d".into(),
                "v:e".into()
            ])
        );
    }

    #[test]
    fn stray_line_ends_and_nul_are_refused() {
        for text in [
            "A\nTo: b",
            "A\rTo: b",
            "A\r\nTo: b\0",
            "A\r\n\nTo: b",
            "A\r\r\nTo: b",
            "A\r\nTo: \"\0\"",
        ] {
            assert_eq!(lines(text), Err(400), "{text:?}");
        }
        assert_eq!(
            lines("A\r\nTo: \"\\\0\\\"\""),
            Ok(vec!["A".into(), "To: \"\u{fffd}\\\"\"".into()])
        );
    }

    #[test]
    fn a_line_has_a_name() {
        for text in ["A\r\nTo", "A\r\n: b", "A\r\nT o: b", "A\r\n\r\nTo: b"] {
            assert_eq!(lines(text), Err(400), "{text:?}");
        }
    }

    #[test]
    fn size_is_bounded() {
        assert_eq!(lines(&format!("A{}", "\r\nTo: b".repeat(257))), Err(513));
        assert_eq!(lines(&format!("A{}", "\r\n b".repeat(257))), Err(513));
        assert!(lines(&format!("A{}", "\r\nTo: b".repeat(256))).is_ok());
        assert_eq!(lines(&"A".repeat(65_537)), Err(513));
    }
}
