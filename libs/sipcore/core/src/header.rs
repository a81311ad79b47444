//! The header of a message: lines in order, read by canonical name.
//!
//! One buffer holds the text of all lines, and each line is a span of it; a new line is appended to
//! the buffer. So a copy is two copies of memory, and what nobody touches goes out as it came.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Malformed;
use crate::name::{Key, Known, Name, canonical};
use crate::scan::{Values, first_end, trim_end, unfold};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) name: Name,
    pub(crate) start: usize,
    pub(crate) colon: usize,
    pub(crate) end: usize,
}

/// Ordered header lines; folds are kept.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub(crate) text: Vec<u8>,
    pub(crate) lines: Vec<Line>,
}

impl Header {
    /// Which will have so many lines, spans of `text`.
    pub(crate) fn over(text: Vec<u8>, lines: usize) -> Self {
        let lines = Vec::with_capacity(lines);
        Self { text, lines }
    }

    /// Takes a span of the text as a line.
    pub(crate) fn push_span(&mut self, name: Name, span: Range<usize>, colon: usize) {
        self.lines.push(Line {
            name,
            start: span.start,
            colon,
            end: span.end,
        });
    }

    /// A span of its text.
    pub(crate) fn text_of(&self, span: Range<usize>) -> &[u8] {
        &self.text[span]
    }

    /// The canonical names in order, one a line.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.lines
            .iter()
            .map(|line| canonical(line.name, self.name_text(line)))
    }

    /// The lines in order, as they go out, without line ends.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.line_text(line))
    }

    /// How many lines of that name there are.
    pub fn count(&self, key: Key<'_>) -> usize {
        self.lines
            .iter()
            .filter(|line| self.is_named(line, key))
            .count()
    }

    /// The first common header of these that has more than one line.
    pub(crate) fn find_repeated(&self, singles: &[Known]) -> Option<Known> {
        let mut seen = 0_u128;
        for line in &self.lines {
            if let Name::Known(known) = line.name {
                if seen & known.bit() != 0 && singles.contains(&known) {
                    return Some(known);
                }
                seen |= known.bit();
            }
        }
        None
    }

    /// Whether there is a line of that name.
    pub fn has(&self, key: Key<'_>) -> bool {
        self.position(key).is_some()
    }

    /// The value of the first line of that name, unfolded.
    pub fn get(&self, key: Key<'_>) -> Option<Cow<'_, [u8]>> {
        self.position(key).map(|at| self.value(&self.lines[at]))
    }

    /// The value of each line of that name, unfolded.
    pub fn get_all<'a>(&'a self, key: Key<'a>) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.lines
            .iter()
            .filter(move |line| self.is_named(line, key))
            .map(|line| self.value(line))
    }

    /// Canonical name and unfolded value of every line, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (String, Cow<'_, [u8]>)> {
        self.names()
            .zip(self.lines.iter().map(|line| self.value(line)))
    }

    /// The single values of a list header, over all its lines (RFC 3261 7.3.1).
    ///
    /// # Errors
    /// A quote or angle bracket is not closed.
    pub fn values(&self, key: Key<'_>) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut values = Vec::new();
        for line in self.get_all(key) {
            if key.is_one_value() {
                values.push(line.into_owned());
                continue;
            }
            for value in Values::of(&line) {
                values.push(value?.to_vec());
            }
        }
        Ok(values)
    }

    /// The first value of a list header.
    ///
    /// # Errors
    /// A quote or angle bracket is not closed.
    pub fn first_value(&self, key: Key<'_>) -> Result<Option<Cow<'_, [u8]>>, Malformed> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let end = first_end(&value)?;
        let length = trim_end(&value[..end]).len();
        Ok(Some(match value {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
            Cow::Owned(mut text) => {
                text.truncate(length);
                Cow::Owned(text)
            }
        }))
    }

    /// How many lines there are, folds counted, and their bytes without line ends.
    pub fn size(&self) -> (usize, usize) {
        self.lines().fold((0, 0), |(count, bytes), line| {
            let folds = line.iter().filter(|byte| **byte == b'\n').count();
            (count + 1 + folds, bytes + line.len())
        })
    }

    /// Whether every line is ASCII.
    pub fn is_ascii(&self) -> bool {
        self.lines().all(<[u8]>::is_ascii)
    }

    /// Where the first line of that name is.
    pub(crate) fn position(&self, key: Key<'_>) -> Option<usize> {
        self.lines.iter().position(|line| self.is_named(line, key))
    }

    pub(crate) fn value(&self, line: &Line) -> Cow<'_, [u8]> {
        unfold(&self.text[line.colon + 1..line.end])
    }

    pub(crate) fn line_text(&self, line: &Line) -> &[u8] {
        &self.text[line.start..line.end]
    }

    fn name_text(&self, line: &Line) -> &[u8] {
        &self.text[line.start..line.colon]
    }

    pub(crate) fn is_named(&self, line: &Line, key: Key<'_>) -> bool {
        is_named(&self.text, line, key)
    }
}

pub(crate) fn is_named(text: &[u8], line: &Line, key: Key<'_>) -> bool {
    match (line.name, key) {
        (Name::Known(known), Key::Known(wanted)) => known == wanted,
        (Name::Other, Key::Other(wanted)) => {
            let name = trim_end(&text[line.start..line.colon]);
            let lower = name.iter().map(u8::to_ascii_lowercase);
            name.len() == wanted.len() && lower.eq(wanted.bytes())
        }
        _ => false,
    }
}
