//! One section of a description: its lines in order, read by type and attribute name.
//!
//! Nothing is indexed: a section has some twenty lines and most are never asked for.

use std::ops::Range;

use super::values::Direction;
use crate::scan::cut;

/// The session-level lines, or one media description's.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    pub(super) data: &'a [u8],
    pub(super) places: &'a [Range<usize>],
}

impl<'a> Section<'a> {
    /// Its lines as they came, but for the description's line end.
    pub(super) fn raw_lines(self) -> impl Iterator<Item = &'a [u8]> {
        let Self { data, places } = self;
        places.iter().map(move |place| &data[place.clone()])
    }

    /// Its lines without their line ends.
    pub fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.raw_lines().map(bare)
    }

    /// What follows `<kind>=`, line by line.
    pub fn values(self, kind: u8) -> impl Iterator<Item = &'a [u8]> {
        self.lines()
            .filter(move |line| line[0] == kind)
            .map(|line| &line[2..])
    }

    /// What follows the first `<kind>=`.
    pub fn value(self, kind: u8) -> Option<&'a [u8]> {
        self.values(kind).next()
    }

    /// All attributes with their values; flags have none.
    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.values(b'a').map(|value| cut(value, b':'))
    }

    /// The first attribute of this name: empty for a flag.
    pub fn attribute(self, name: &[u8]) -> Option<&'a [u8]> {
        let mut found = self.attributes().filter(|(written, _)| *written == name);
        found.next().map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether the attribute is there, with or without a value.
    pub fn has_attribute(self, name: &[u8]) -> bool {
        self.attribute(name).is_some()
    }

    /// The values of all attributes of this name; flags are left out.
    pub fn attribute_values(self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.attributes()
            .filter(move |(written, _)| *written == name)
            .filter_map(|(_, value)| value)
    }

    pub(super) fn direction(self) -> Option<Direction> {
        self.lines().find_map(Direction::of_line)
    }
}

/// What media sections take from the session level; found once, for there may be many of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// The place of what the `c=` line says.
    pub(super) connection: Option<Range<usize>>,
    pub(super) direction: Option<Direction>,
    /// Keys are exchanged by MIKEY (RFC 4567).
    pub(super) has_key_management: bool,
    pub(super) uses_ice: bool,
}

impl Shared {
    pub(super) fn of(data: &[u8], places: &[Range<usize>]) -> Self {
        let mut found = Self::default();
        for place in places {
            let line = bare(&data[place.clone()]);
            if line[0] == b'c' && found.connection.is_none() {
                found.connection = Some(place.start + 2..place.start + line.len());
            }
            found.direction = found.direction.or_else(|| Direction::of_line(line));
            let name = line
                .strip_prefix(b"a=")
                .map(|attribute| cut(attribute, b':').0);
            found.has_key_management |= name == Some(b"key-mgmt");
            found.uses_ice |= name == Some(b"ice-ufrag");
        }
        found
    }
}

/// A line without the carriage return of a writer that mixes line ends; none has two.
pub(super) fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
