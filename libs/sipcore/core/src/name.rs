//! Header names: the canonical form that a header is read and written by.
//!
//! Canonical is the long name in lower case. Compact forms, capitals and blanks before the colon
//! all lead to it, so that a header cannot be smuggled past a check by its spelling.

use std::sync::LazyLock;

use crate::chars::is_token;
use crate::error::{Illegal, Malformed};
use crate::scan::trim_end;

/// A header that is common: its place in the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u8);

struct Entry {
    /// As it is written.
    wire: &'static str,
    /// Its compact form (IANA registry "Header Fields"); 0 without one.
    compact: u8,
    /// Commas belong to its text or separate its parameters: a line is one value.
    is_one_value: bool,
}

const fn header(wire: &'static str) -> Entry {
    Entry {
        wire,
        compact: 0,
        is_one_value: false,
    }
}

const fn short(wire: &'static str, compact: u8) -> Entry {
    Entry {
        wire,
        compact,
        is_one_value: false,
    }
}

const fn one(wire: &'static str, compact: u8) -> Entry {
    Entry {
        wire,
        compact,
        is_one_value: true,
    }
}

static ENTRIES: [Entry; 79] = [
    short("Via", b'v'),
    one("From", b'f'),
    one("To", b't'),
    short("Call-ID", b'i'),
    header("CSeq"),
    header("Max-Forwards"),
    short("Content-Length", b'l'),
    short("Contact", b'm'),
    header("Route"),
    header("Record-Route"),
    header("Path"),
    header("Expires"),
    short("Content-Type", b'c'),
    one("Authorization", 0),
    one("Proxy-Authorization", 0),
    one("WWW-Authenticate", 0),
    one("Proxy-Authenticate", 0),
    one("Authentication-Info", 0),
    one("Proxy-Authentication-Info", 0),
    header("Accept"),
    short("Accept-Contact", b'a'),
    header("Accept-Encoding"),
    header("Accept-Language"),
    header("Alert-Info"),
    header("Allow"),
    short("Allow-Events", b'u'),
    header("Call-Info"),
    header("Content-Disposition"),
    short("Content-Encoding", b'e'),
    one("Date", 0),
    header("Diversion"),
    short("Event", b'o'),
    header("History-Info"),
    short("Identity", b'y'),
    short("Identity-Info", b'n'),
    header("MIME-Version"),
    header("Min-Expires"),
    header("Min-SE"),
    one("Organization", 0),
    header("P-Asserted-Identity"),
    header("P-Preferred-Identity"),
    header("Privacy"),
    header("Proxy-Require"),
    header("RAck"),
    header("Reason"),
    short("Refer-To", b'r'),
    short("Referred-By", b'b'),
    short("Reject-Contact", b'j'),
    header("Replaces"),
    short("Request-Disposition", b'd'),
    header("Require"),
    header("Retry-After"),
    header("RSeq"),
    one("Server", 0),
    header("Service-Route"),
    short("Session-Expires", b'x'),
    header("Session-ID"),
    header("SIP-ETag"),
    header("SIP-If-Match"),
    one("Subject", b's'),
    header("Subscription-State"),
    short("Supported", b'k'),
    header("Timestamp"),
    header("Unsupported"),
    one("User-Agent", 0),
    header("Warning"),
    header("X-Parley-Call"),
    header("X-Parley-Source"),
    header("X-Parley-Tenant"),
    header("Answer-Mode"),
    header("Priv-Answer-Mode"),
    header("Priority"),
    header("Error-Info"),
    header("In-Reply-To"),
    header("Reply-To"),
    header("Content-ID"),
    header("Geolocation"),
    header("Flow-Timer"),
    header("Max-Breadth"),
];

impl Known {
    /// Via.
    pub const VIA: Self = Self(0);
    /// From.
    pub const FROM: Self = Self(1);
    /// To.
    pub const TO: Self = Self(2);
    /// Call-ID.
    pub const CALL_ID: Self = Self(3);
    /// CSeq.
    pub const CSEQ: Self = Self(4);
    /// Max-Forwards.
    pub const MAX_FORWARDS: Self = Self(5);
    /// Content-Length.
    pub const CONTENT_LENGTH: Self = Self(6);

    /// The name as it is written.
    pub fn wire(self) -> &'static str {
        ENTRIES[usize::from(self.0)].wire
    }

    /// Whether a line is one value, commas or not.
    pub fn is_one_value(self) -> bool {
        ENTRIES[usize::from(self.0)].is_one_value
    }

    /// One bit for each, in a set.
    pub(crate) fn bit(self) -> u128 {
        1 << self.0
    }

    fn find(name: &[u8]) -> Option<Self> {
        if let [letter] = name {
            return COMPACT[usize::from(letter.to_ascii_lowercase())];
        }
        let mut slot = hash(name);
        loop {
            let known = SLOTS.0[slot]?;
            if known.wire().as_bytes().eq_ignore_ascii_case(name) {
                return Some(known);
            }
            slot = (slot + 1) % SLOT_COUNT;
        }
    }
}

const SLOT_COUNT: usize = 512;
struct Slots([Option<Known>; SLOT_COUNT]);

static SLOTS: LazyLock<Slots> = LazyLock::new(|| {
    let mut slots = [None; SLOT_COUNT];
    for (index, entry) in ENTRIES.iter().enumerate() {
        let mut slot = hash(entry.wire.as_bytes());
        while slots[slot].is_some() {
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = u8::try_from(index).ok().map(Known);
    }
    Slots(slots)
});

static COMPACT: LazyLock<[Option<Known>; 256]> = LazyLock::new(|| {
    let mut letters = [None; 256];
    for (index, entry) in ENTRIES
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.compact != 0)
    {
        letters[usize::from(entry.compact)] = u8::try_from(index).ok().map(Known);
    }
    letters
});

/// Length and the letters of both ends tell the common names apart well enough.
fn hash(name: &[u8]) -> usize {
    let letter = |at: usize| name.get(at).map_or(0, |byte| usize::from(byte | 0x20));
    let last = name.len().wrapping_sub(1);
    (name.len() * 31 + letter(0) * 7 + letter(last) * 13 + letter(name.len() / 2) * 3) % SLOT_COUNT
}

/// The name of a header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A common one.
    Known(Known),
    /// Any other: read it from its line.
    Other,
}

impl Name {
    /// Reads what stands before the colon of a line.
    ///
    /// # Errors
    /// It is not a token.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Malformed> {
        if let Some(known) = Known::find(text) {
            return Ok(Self::Known(known));
        }
        let name = trim_end(text);
        if !is_token(name) {
            return Err(Malformed::new("header name is not a token"));
        }
        Ok(Known::find(name).map_or(Self::Other, Self::Known))
    }
}

/// What a header is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A common name.
    Known(Known),
    /// Any other, in lower case.
    Other(&'a str),
}

impl<'a> Key<'a> {
    /// The key of a canonical name; what is not canonical is found nowhere.
    pub fn of(name: &'a str) -> Self {
        match Known::find(name.as_bytes()) {
            Some(known) if name.len() > 1 && !has_capitals(name) => Self::Known(known),
            _ => Self::Other(name),
        }
    }

    /// The key of a name that is to be written.
    ///
    /// # Errors
    /// The name is not canonical, or not a token.
    pub fn to_write(name: &'a str) -> Result<Self, Illegal> {
        let key = Self::of(name);
        let is_compact = name.len() == 1 && Known::find(name.as_bytes()).is_some();
        if matches!(key, Self::Known(_)) {
            return Ok(key);
        }
        if has_capitals(name) || is_compact || !is_token(name.as_bytes()) {
            let shown: String = name.chars().take(64).collect();
            return Err(Illegal::new(format!(
                "not a canonical header name: {shown:?}"
            )));
        }
        Ok(key)
    }

    /// Whether a line is one value, commas or not.
    pub(crate) fn is_one_value(self) -> bool {
        matches!(self, Self::Known(known) if known.is_one_value())
    }

    /// The name as it is written: each part of a strange one with a capital.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Known(known) => out.extend_from_slice(known.wire().as_bytes()),
            Self::Other(name) => {
                let mut is_first = true;
                for byte in name.bytes() {
                    out.push(if is_first {
                        byte.to_ascii_uppercase()
                    } else {
                        byte
                    });
                    is_first = byte == b'-';
                }
            }
        }
    }
}

fn has_capitals(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// The canonical form of a name as a line has it.
pub(crate) fn canonical(name: Name, text: &[u8]) -> String {
    let written = match name {
        Name::Known(known) => known.wire().as_bytes(),
        Name::Other => trim_end(text),
    };
    String::from_utf8_lossy(written).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_the_canonical_name() {
        for text in ["Via", "VIA", "via", "v", "V", "Via \t"] {
            assert_eq!(
                Name::read(text.as_bytes()),
                Ok(Name::Known(Known::VIA)),
                "{text:?}"
            );
        }
        for entry in &ENTRIES {
            let found = Known::find(entry.wire.to_ascii_uppercase().as_bytes());
            assert_eq!(found.map(Known::wire), Some(entry.wire));
        }
        assert_eq!(Name::read(b"X-Strange"), Ok(Name::Other));
        assert_eq!(canonical(Name::Other, b"X-Strange "), "x-strange");
    }

    #[test]
    fn what_is_not_a_token_is_no_name() {
        for text in [
            &b""[..],
            b" ",
            b"a b",
            b"a\xc3\xa4",
            b"\xe2\x84\xaa",
            b"a(b)",
        ] {
            assert!(Name::read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_canonical_names_are_written() {
        let written = |name| {
            let mut out = Vec::new();
            Key::to_write(name)
                .map(|key| key.write_to(&mut out))
                .map(|()| out)
        };
        assert_eq!(written("call-id").as_deref(), Ok(&b"Call-ID"[..]));
        assert_eq!(written("x-some-thing").as_deref(), Ok(&b"X-Some-Thing"[..]));
        for name in ["", "Via", "v", "X-a", "a b", "a:b"] {
            assert!(written(name).is_err(), "{name:?}");
        }
        assert_eq!(Key::of("v"), Key::Other("v"));
    }
}
