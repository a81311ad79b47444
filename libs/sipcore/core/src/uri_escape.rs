//! Percent escapes of URIs (RFC 3261 19.1.2).

use std::borrow::Cow;

/// A component of a URI, by which characters it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// User.
    User,
    /// Password.
    Password,
    /// Name or value of a parameter.
    Param,
    /// Name or value of a header.
    Header,
}

/// Escapes what must not stand plainly in a component (RFC 3261 25.1).
pub fn escape(text: &[u8], component: Component, out: &mut Vec<u8>) {
    let more: &[u8] = match component {
        Component::User => b"&=+$,;?/",
        Component::Password => b"&=+$,",
        Component::Param => b"[]/:&+$",
        Component::Header => b"[]/?:+$",
    };
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte) || more.contains(byte) {
            out.push(*byte);
        } else {
            let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Resolves percent escapes; what is none stays.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let escaped = match (byte, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                plain.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(plain)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_and_go() {
        let mut out = Vec::new();
        escape("a@b/\u{e4}%".as_bytes(), Component::User, &mut out);
        assert_eq!(out, b"a%40b/%C3%A4%25");
        assert_eq!(unescape(&out).as_ref(), "a@b/\u{e4}%".as_bytes());
        assert_eq!(unescape(b"%4").as_ref(), b"%4");
    }
}
