//! Whatever code writes into a header stays inside of its line.

use std::str::from_utf8;

use sipcore::{Illegal, Key, Message, Start, parse_datagram};

use crate::shown;

const NAMES: [&str; 6] = ["via", "to", "contact", "route", "x-other", "subject"];
const START: &[u8] =
    b"OPTIONS sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx, SIP/2.0/UDP b\r\n\
    From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 7 OPTIONS\r\nX-Other: 1\r\n\r\n";

/// Edits a message as the bytes say: what to do, to which header, length of the value, value.
pub fn edit(data: &[u8]) {
    let mut message = parse_datagram(START).expect("legal");
    let mut rest = data;
    while let [what, name, length, left @ ..] = rest {
        let (value, left) = left.split_at(left.len().min(usize::from(*length)));
        rest = left;
        step(
            &mut message,
            *what,
            NAMES[usize::from(*name) % NAMES.len()],
            value,
        );
        check(&mut message);
    }
}

fn step(message: &mut Message, what: u8, name: &str, value: &[u8]) {
    let header = &mut message.header;
    let key = Key::of(name);
    let (before, of_name) = (header.lines().count(), header.count(key));
    let is_unsafe = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let written = match what % 8 {
        0 => header
            .set(name, value)
            .map(|()| before + 1 - of_name.min(before)),
        1 => header.add(name, value).map(|()| before + 1),
        2 => header.push(name, value).map(|()| before + 1),
        3 => header.prepend(name, value).map(|()| before + 1),
        4 => {
            assert_eq!(header.remove(key), of_name > 0);
            assert_eq!(header.lines().count(), before - of_name);
            return;
        }
        5 => {
            let taken = header.remove_first_value(key);
            assert!(taken.is_err() || header.lines().count() + 1 >= before);
            return;
        }
        6 => {
            let replaced = header.replace_first_value(name, value).is_ok();
            assert!(!replaced || (!is_unsafe && header.lines().count() <= before + 1));
            return;
        }
        // A name that comes from elsewhere.
        _ => return check_name(message, from_utf8(value).unwrap_or("\r")),
    };
    check_written(written, header.lines().count(), is_unsafe);
}

fn check_written(written: Result<usize, Illegal>, lines: usize, is_unsafe: bool) {
    assert_eq!(written.is_err(), is_unsafe);
    if let Ok(expected) = written {
        assert_eq!(lines, expected);
    }
}

fn check_name(message: &mut Message, name: &str) {
    let is_written = message.header.push(name, b"value").is_ok();
    assert!(
        !is_written
            || name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b':')
    );
}

/// What goes out has as many lines as the header, and is read as what it is.
fn check(message: &mut Message) {
    let wire = message.to_bytes();
    let head = &wire[..wire.len() - message.body.len() - 2];
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    assert_eq!(
        lines.len() - 2,
        message.header.lines().count(),
        "{}",
        shown(&wire)
    );
    if let Ok(again) = parse_datagram(&wire) {
        assert!(matches!(again.start, Start::Request { .. }));
        assert!(
            again.header.names().eq(message.header.names()),
            "{}",
            shown(&wire)
        );
        assert!(again.header.lines().eq(message.header.lines()));
    }
}
