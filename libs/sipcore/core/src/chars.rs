//! Character classes of RFC 3261 25.1 as tables: one look-up a byte.

/// A set of bytes.
pub(crate) struct Class([bool; 256]);

impl Class {
    /// Letters, digits and `others`.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut members = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            members[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            members[others[at] as usize] = true;
            at += 1;
        }
        Self(members)
    }

    /// These alone.
    pub(crate) const fn only(bytes: &[u8]) -> Self {
        let mut members = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            members[bytes[at] as usize] = true;
            at += 1;
        }
        Self(members)
    }

    /// Whether it holds a byte.
    pub(crate) const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Whether a text holds its bytes and percent escapes only (RFC 3261 25.1, escaped).
    pub(crate) fn has_all_escaped(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while at < text.len() {
            at += match text[at..] {
                [byte, ..] if self.has(byte) => 1,
                [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
                _ => return false,
            };
        }
        true
    }

    /// Whether it holds every byte of a text.
    pub(crate) fn has_all(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.has(*byte))
    }
}

/// `token`.
pub(crate) static TOKEN: Class = Class::alphanumeric_and(b".!%*_+`'~-");

/// What a host name may hold; underscores are not legal and common.
pub(crate) static HOST: Class = Class::alphanumeric_and(b"_.-");
/// What an IPv6 reference may hold between its brackets.
pub(crate) static IPV6: Class = Class::only(b"0123456789abcdefABCDEF:.");
/// What a value of a header parameter may hold without quotes: `token`, `host` and a little more.
pub(crate) static PARAM_VALUE: Class = Class::alphanumeric_and(b".!%*_+`'~-:[]/@?&$=");
/// What a display name may hold without quotes, when we write it.
pub(crate) static BARE_NAME: Class = Class::alphanumeric_and(b".!%*_+`'~-\t ");
/// `user` without escapes, and `#`, which phones leave as it is.
pub(crate) static URI_USER: Class = Class::alphanumeric_and(b"_.!~*'()&=+$,;?/#-");
/// `password` without escapes.
pub(crate) static URI_PASSWORD: Class = Class::alphanumeric_and(b"_.!~*'()&=+$,-");
/// `paramchar` without escapes.
pub(crate) static URI_PARAM: Class = Class::alphanumeric_and(b"_.!~*'()[]/:&+$-");
/// `hvalue` without escapes, and what is written there all the same.
pub(crate) static URI_HEADER: Class = Class::alphanumeric_and(b"_.!~*'()[]/:?+$,;-");

/// Whether a text is a token: not empty.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && TOKEN.has_all(text)
}

/// Space or tab: what may stand around values and inside them.
pub(crate) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether a text holds white space of any script, as a reader with Unicode would see it.
pub(crate) fn has_white_space(text: &[u8]) -> bool {
    let is_space = |letter: char| letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter);
    if text.is_ascii() {
        return text.iter().any(|byte| is_space(char::from(*byte)));
    }
    text.utf8_chunks()
        .any(|chunk| chunk.valid().chars().any(is_space))
}
