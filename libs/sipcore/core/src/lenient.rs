//! Reading what cannot be used, to answer it.

use std::ops::Range;

use memchr::{memchr, memchr3_iter, memmem};

use crate::chars::is_token;
use crate::head::{MAX_HEADER_BYTES, push_line};
use crate::header::Header;
use crate::message::{HEADER_END, Message, Start, without_line_ends};
use crate::name::{Key, Known, Name};
use crate::response::REPEATED;
use crate::scan::cut;

/// Reads of a message that cannot be used what an answer repeats: Via, From, To, Call-ID, CSeq.
///
/// What is there may be malformed, the Via too, and goes out as it came: the answer can go to the
/// source of the message alone.
///
/// # Arguments
/// `data` is with or without the body; where the header breaks off, its last line is left out.
///
/// # Returns
/// The request; none for what has no answer: responses, ACK, requests without any Via, and what
/// is no SIP.
pub fn salvage(data: &[u8]) -> Option<Message> {
    let data = without_line_ends(&data[..data.len().min(MAX_HEADER_BYTES)]);
    let end = memmem::find(data, HEADER_END).or_else(|| memmem::rfind(data, b"\r\n"));
    let (span, header) = split_leniently(&data[..end.unwrap_or(0)]);
    let (method, rest) = cut(header.text_of(span), b' ');
    let rest = without_spaces(rest.unwrap_or_default());
    let uri_end = rest.iter().rposition(|byte| *byte == b' ');
    let version = &rest[uri_end.map_or(0, |at| at + 1)..];
    let is_sip = version
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    if !is_token(method) || !is_sip || method == b"ACK" || !header.has(Key::Known(Known::VIA)) {
        return None;
    }
    let method = String::from_utf8_lossy(method).into();
    let uri = rest[..uri_end.unwrap_or(0)].to_vec();
    Some(Message {
        start: Start::Request { method, uri },
        header,
        body: Vec::new(),
    })
}

fn without_spaces(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte != b' ';
    match (
        text.iter().position(is_text),
        text.iter().rposition(is_text),
    ) {
        (Some(first), Some(last)) => &text[first..=last],
        _ => b"",
    }
}

/// Reads of a broken header its first line and what an answer repeats; what cannot be read is left
/// out.
fn split_leniently(text: &[u8]) -> (Range<usize>, Header) {
    let mut lines = Vec::new();
    let mut start = 0;
    for at in memchr::memmem::find_iter(text, b"\r\n") {
        push_line(&mut lines, text, start..at);
        start = at + 2;
    }
    push_line(&mut lines, text, start..text.len());
    let mut spans = lines.into_iter();
    let first = spans.next().expect("a text has a line, be it empty");
    let mut header = Header::over(text.to_vec(), spans.len());
    for span in spans {
        let line = &text[span.clone()];
        let Some(length) = memchr(b':', line) else {
            continue;
        };
        if let Ok(name @ Name::Known(known)) = Name::read(&line[..length])
            && REPEATED.contains(&known)
            && !has_stray(&line[length..])
        {
            header.push_span(name, span.clone(), span.start + length);
        }
    }
    (first, header)
}

/// Whether a text holds CR, LF or NUL that is no line end.
fn has_stray(text: &[u8]) -> bool {
    let mut behind = 0;
    memchr3_iter(b'\r', b'\n', 0, text).any(|at| {
        let is_break = text[at..].starts_with(b"\r\n");
        let is_stray = at >= behind && !is_break;
        if is_break {
            behind = at + 2;
        }
        is_stray
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::OPTIONS;

    #[test]
    fn broken_requests_are_salvaged_and_nothing_else() {
        let broken = OPTIONS
            .replace("Call-ID: x", "Call-ID")
            .replace("sip:b@c SIP", "<sip:b> SIP");
        let request = salvage(format!("{broken}Max-Forw").as_bytes()).expect("a request");
        assert_eq!(request.header.lines().count(), 4);
        let Start::Request { method, uri } = request.start else {
            panic!("a response")
        };
        assert_eq!((&*method, uri.as_slice()), ("OPTIONS", &b"<sip:b>"[..]));
        for text in [
            "",
            "nonsense",
            "SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
            "ACK sip:a SIP/2.0\r\nVia: x\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nTo: x\r\n\r\n",
            "BYE sip:a HTTP/1.1\r\nVia: x\r\n\r\n",
        ] {
            assert!(salvage(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn an_answer_to_something_broken_repeats_what_can_be_read() {
        let text =
            b"A\r\nVia: x\r\n y\r\nnothing\r\nTo: a\nb\r\nX-A: b\r\nf: c\0\r\nCSeq 1: 2\r\ni: d";
        let (_, header) = split_leniently(text);
        let lines: Vec<_> = header.lines().map(String::from_utf8_lossy).collect();
        assert_eq!(lines, ["Via: x\r\n y", "i: d"]);
    }
}
