//! Changes of a header, by canonical name. Values are checked for line breaks, so nothing that a
//! peer put into one can become a header of ours.

use crate::error::{Fault, Illegal, Malformed};
use crate::header::{Header, Line, is_named};
use crate::name::{Key, Name};
use crate::scan::{first_end, trim_end};

impl Header {
    /// Replaces all lines of that name, in the place of the first, or appends one.
    ///
    /// # Errors
    /// The name is not canonical, or the value holds a line break or NUL. This goes for all
    /// methods that write.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Illegal> {
        let (key, line) = self.write(name, value)?;
        let Some(at) = self.position(key) else {
            self.lines.push(line);
            return Ok(());
        };
        self.lines[at] = line;
        let mut place = 0;
        let text = &self.text;
        self.lines.retain(|line| {
            place += 1;
            place - 1 <= at || !is_named(text, line, key)
        });
        Ok(())
    }

    /// Appends a line after the last of that name, else at the end.
    ///
    /// # Errors
    /// As `set`.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Illegal> {
        let (key, line) = self.write(name, value)?;
        let last = self.lines.iter().rposition(|line| self.is_named(line, key));
        self.lines
            .insert(last.map_or(self.lines.len(), |at| at + 1), line);
        Ok(())
    }

    /// Appends a line at the end.
    ///
    /// # Errors
    /// As `set`.
    pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), Illegal> {
        let (_, line) = self.write(name, value)?;
        self.lines.push(line);
        Ok(())
    }

    /// Puts a line before the first of that name, else at the top.
    ///
    /// # Errors
    /// As `set`.
    pub fn prepend(&mut self, name: &str, value: &[u8]) -> Result<(), Illegal> {
        let (key, line) = self.write(name, value)?;
        self.lines.insert(self.position(key).unwrap_or(0), line);
        Ok(())
    }

    /// Removes all lines of that name; says whether there was one.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        let before = self.lines.len();
        let text = &self.text;
        self.lines.retain(|line| !is_named(text, line, key));
        self.lines.len() != before
    }

    /// Takes the topmost value of a list header (Via, Route) away and returns it.
    ///
    /// # Errors
    /// A quote or angle bracket is not closed.
    pub fn remove_first_value(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>, Malformed> {
        let Some(at) = self.position(key) else {
            return Ok(None);
        };
        let line = self.value(&self.lines[at]).into_owned();
        let end = first_end(&line)?;
        let value = trim_end(&line[..end]).to_vec();
        let rest = rest_behind(&line, end);
        if rest.is_empty() {
            self.lines.remove(at);
        } else {
            self.lines[at] = self.written(key, &[rest]);
        }
        Ok(Some(value))
    }

    /// Replaces the topmost value of a list header, or appends a line when there is none.
    ///
    /// # Errors
    /// As `set`; or a quote or angle bracket is not closed.
    pub fn replace_first_value(&mut self, name: &str, value: &[u8]) -> Result<(), Fault> {
        let (key, line) = self.write(name, value)?;
        let Some(at) = self.position(key) else {
            self.lines.push(line);
            return Ok(());
        };
        let old = self.value(&self.lines[at]).into_owned();
        let rest = rest_behind(&old, first_end(&old)?);
        self.lines[at] = match rest {
            b"" => line,
            _ => self.written(key, &[value, b", ", rest]),
        };
        Ok(())
    }

    /// Appends the lines of that name from another header byte for byte.
    pub fn copy_lines(&mut self, key: Key<'_>, source: &Self) {
        let wanted = source.lines.iter();
        for line in wanted.filter(|line| source.is_named(line, key)) {
            self.copy_line(source, line);
        }
    }

    /// Appends the first line of that name from another header byte for byte.
    pub fn copy_first(&mut self, key: Key<'_>, source: &Self) {
        if let Some(at) = source.position(key) {
            self.copy_line(source, &source.lines[at]);
        }
    }

    fn copy_line(&mut self, source: &Self, line: &Line) {
        let start = self.text.len();
        self.text.extend_from_slice(source.line_text(line));
        let moved = |at: usize| at - line.start + start;
        let (colon, end) = (moved(line.colon), moved(line.end));
        self.lines.push(Line {
            name: line.name,
            start,
            colon,
            end,
        });
    }

    fn write<'k>(&mut self, name: &'k str, value: &[u8]) -> Result<(Key<'k>, Line), Illegal> {
        let key = Key::to_write(name)?;
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Illegal::new(format!(
                "line break or NUL in a value for {name}"
            )));
        }
        Ok((key, self.written(key, &[value])))
    }

    fn written(&mut self, key: Key<'_>, parts: &[&[u8]]) -> Line {
        let name = match key {
            Key::Known(known) => Name::Known(known),
            Key::Other(_) => Name::Other,
        };
        let start = self.text.len();
        key.write_to(&mut self.text);
        let colon = self.text.len();
        self.text.extend_from_slice(b": ");
        for part in parts {
            self.text.extend_from_slice(part);
        }
        Line {
            name,
            start,
            colon,
            end: self.text.len(),
        }
    }
}

/// What stands behind the first value, which ends at `end`.
fn rest_behind(line: &[u8], end: usize) -> &[u8] {
    let rest = line.get(end + 1..).unwrap_or_default();
    let start = rest
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b','));
    &rest[start.unwrap_or(rest.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Known;

    fn header(lines: &[(&str, &str)]) -> Header {
        let mut header = Header::default();
        for (name, value) in lines {
            let (_, line) = header.write(name, value.as_bytes()).expect("legal");
            header.lines.push(line);
        }
        header
    }

    fn text(header: &Header) -> String {
        let lines: Vec<_> = header.lines().map(String::from_utf8_lossy).collect();
        lines.join("|")
    }

    const VIA: Key<'static> = Key::Known(Known::VIA);

    #[test]
    fn a_line_is_set_in_the_place_of_the_first() {
        let mut header = header(&[("to", "a"), ("via", "1"), ("x-a", "y"), ("via", "2")]);
        header.set("via", b"3").expect("legal");
        header.set("x-b", b"z").expect("legal");
        assert_eq!(text(&header), "To: a|Via: 3|X-A: y|X-B: z");
    }

    #[test]
    fn lines_are_added_behind_and_put_before_their_kind() {
        let mut header = header(&[("via", "1"), ("to", "a")]);
        header.add("via", b"2").expect("legal");
        header.add("route", b"r").expect("legal");
        header.prepend("route", b"q").expect("legal");
        header.prepend("path", b"p").expect("legal");
        assert_eq!(
            text(&header),
            "Path: p|Via: 1|Via: 2|To: a|Route: q|Route: r"
        );
    }

    #[test]
    fn the_first_value_is_taken_away_and_replaced() {
        let mut header = header(&[("via", "1, \"2,\"\t, ,3"), ("via", "4")]);
        assert_eq!(header.remove_first_value(VIA), Ok(Some(b"1".to_vec())));
        header.replace_first_value("via", b"5").expect("legal");
        assert_eq!(text(&header), "Via: 5, 3|Via: 4");
        assert_eq!(header.remove_first_value(VIA), Ok(Some(b"5".to_vec())));
        assert_eq!(header.remove_first_value(VIA), Ok(Some(b"3".to_vec())));
        assert_eq!(header.remove_first_value(VIA), Ok(Some(b"4".to_vec())));
        assert_eq!(header.remove_first_value(VIA), Ok(None));
    }

    #[test]
    fn nothing_in_a_value_becomes_a_header() {
        let mut header = Header::default();
        for value in [&b"a\r\nRoute: b"[..], b"a\n", b"\r", b"\0"] {
            assert!(header.set("to", value).is_err());
            assert!(header.add("to", value).is_err());
            assert!(header.prepend("to", value).is_err());
            assert!(header.replace_first_value("to", value).is_err());
        }
        assert_eq!(header.lines().count(), 0);
    }

    #[test]
    fn strange_names_are_found_by_their_canonical_form() {
        let mut header = header(&[("x-one", "1"), ("x-two", "2"), ("x-one", "3")]);
        let key = Key::of("x-one");
        assert_eq!(header.get_all(key).count(), 2);
        assert!(!header.has(Key::of("X-One")));
        assert!(header.remove(key) && !header.remove(key));
        assert_eq!(text(&header), "X-Two: 2");
    }
}
