//! A whole description: parsed once, its bytes kept.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::media::{Media, MediaLine};
use super::relay::{Lines, set_value};
use super::section::{Section, Shared, bare};
use super::values::{Connection, Direction, Origin, SdpError, refused};

/// A description is no longer.
pub const MAX_BYTES: usize = 65_536;
/// Nor is one of its lines.
pub const MAX_LINE_CHARACTERS: usize = 4_096;
/// Nor does it have more media sections.
pub const MAX_MEDIA: usize = 64;

/// Session lines and media sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    data: Vec<u8>,
    line_end: &'static [u8],
    lines: Vec<Range<usize>>,
    media: Vec<MediaLine>,
    shared: Shared,
}

impl Description {
    /// Parses a message body of type `application/sdp`.
    pub fn parse(data: &[u8]) -> Result<Self, SdpError> {
        if data.len() > MAX_BYTES {
            return refused(format!(
                "A session description must not exceed {MAX_BYTES} bytes."
            ));
        }
        if memchr::memchr(0, data).is_some() {
            return refused("A session description must not hold a NUL byte.");
        }
        let Some(end) = data.iter().rposition(|byte| !b"\r\n".contains(byte)) else {
            return refused("The session description is empty.");
        };
        let body = &data[..=end];
        let line_end = line_end_of(body);
        let lines = split(body, line_end);
        if bare(&body[lines[0].clone()]) != b"v=0" {
            return refused("A session description must start with the line v=0.");
        }
        let mut media = 0;
        for (place, line) in lines.iter().enumerate() {
            let line = &body[line.clone()];
            check_line(line, place + 1)?;
            media += usize::from(line[0] == b'm');
        }
        if media > MAX_MEDIA {
            return refused(format!(
                "A session description must not exceed {MAX_MEDIA} media lines."
            ));
        }
        let description = Self::read(data.to_vec(), line_end, lines)?;
        description.origin()?;
        Ok(description)
    }

    /// Of lines that are sound.
    pub(super) fn write<L: AsRef<[u8]>>(
        lines: &[L],
        line_end: &'static [u8],
    ) -> Result<Self, SdpError> {
        let mut data = Vec::with_capacity(lines.iter().map(|line| line.as_ref().len() + 2).sum());
        let mut places = Vec::with_capacity(lines.len());
        for line in lines {
            let start = data.len();
            data.extend(line.as_ref());
            places.push(start..data.len());
            data.extend(line_end);
        }
        Self::read(data, line_end, places)
    }

    fn read(
        data: Vec<u8>,
        line_end: &'static [u8],
        lines: Vec<Range<usize>>,
    ) -> Result<Self, SdpError> {
        let mut media: Vec<MediaLine> = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            if data[line.start] == b'm' {
                if let Some(before) = media.last_mut() {
                    before.lines.end = place;
                }
                let value = line.start + 2..line.end;
                media.push(MediaLine::parse(&data, value, place..lines.len())?);
            }
        }
        let first = media.first().map_or(lines.len(), |line| line.lines.start);
        let shared = Shared::of(&data, &lines[..first]);
        Ok(Self {
            data,
            line_end,
            lines,
            media,
            shared,
        })
    }

    /// As it came, or as it leaves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// The session-level lines.
    pub fn session(&self) -> Section<'_> {
        let end = self
            .media
            .first()
            .map_or(self.lines.len(), |media| media.lines.start);
        self.section(0..end)
    }

    /// The media sections in order; offer and answer pair them by place.
    pub fn media(&self) -> impl ExactSizeIterator<Item = Media<'_>> {
        self.media.iter().map(|line| self.media_of(line))
    }

    /// The media section at a place.
    pub fn media_at(&self, place: usize) -> Option<Media<'_>> {
        self.media.get(place).map(|line| self.media_of(line))
    }

    fn media_of<'a>(&'a self, line: &'a MediaLine) -> Media<'a> {
        Media {
            line,
            own: self.section(line.lines.clone()),
            shared: &self.shared,
        }
    }

    fn section(&self, lines: Range<usize>) -> Section<'_> {
        Section {
            data: &self.data,
            places: &self.lines[lines],
        }
    }

    /// The `o=` line.
    pub fn origin(&self) -> Result<Origin, SdpError> {
        Origin::parse(self.session().value(b'o').unwrap_or_default())
    }

    /// The same with another `o=` line.
    pub fn with_origin(&self, origin: &Origin) -> Result<Self, SdpError> {
        let mut lines: Lines<'_> = self.session().raw_lines().map(Cow::Borrowed).collect();
        set_value(&mut lines, b'o', &origin.write());
        lines.extend(
            self.raw_lines()
                .skip(self.session().places.len())
                .map(Cow::Borrowed),
        );
        Self::write(&lines, self.line_end)
    }

    /// The session-level `c=` line.
    pub fn connection(&self) -> Result<Option<Connection<'_>>, SdpError> {
        let place = self.shared.connection.clone();
        place
            .map(|place| Connection::parse(&self.data[place]))
            .transpose()
    }

    /// The session-level direction.
    pub fn direction(&self) -> Direction {
        self.shared.direction.unwrap_or(Direction::SendRecv)
    }

    /// Its lines as they came, but for the line end.
    fn raw_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| &self.data[line.clone()])
    }

    pub(super) fn line_end(&self) -> &'static [u8] {
        self.line_end
    }
}

/// CRLF where all line ends are that, or where there is none.
fn line_end_of(body: &[u8]) -> &'static [u8] {
    let feeds = memchr::memchr_iter(b'\n', body).count();
    let both = memmem::find_iter(body, b"\r\n").count();
    let returns = memchr::memchr_iter(b'\r', body).count();
    match feeds == 0 || (both == feeds && both == returns) {
        true => b"\r\n",
        false => b"\n",
    }
}

fn split(body: &[u8], line_end: &[u8]) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for end in memmem::find_iter(body, line_end) {
        lines.push(start..end);
        start = end + line_end.len();
    }
    lines.push(start..body.len());
    lines
}

fn check_line(line: &[u8], number: usize) -> Result<(), SdpError> {
    if line.len() < 2 || line[1] != b'=' || !line[0].is_ascii_lowercase() {
        return refused(format!(
            "Line {number} must be a small letter, an equals sign and a value."
        ));
    }
    let is_first_of_a_letter = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    if line.len() > MAX_LINE_CHARACTERS
        && line.iter().filter(is_first_of_a_letter).count() > MAX_LINE_CHARACTERS
    {
        return refused(format!(
            "Line {number} must not exceed {MAX_LINE_CHARACTERS} characters."
        ));
    }
    if memchr::memchr(b'\r', &line[..line.len() - 1]).is_some() {
        return refused(format!("Line {number} must not hold a carriage return."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";

    #[test]
    fn what_is_read_leaves_as_it_came() {
        for data in [
            "v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0\r\na=x\r\n",
            "v=0\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP 0\n",
            "v=0\r\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP 0\r\n\n",
            "v=0\r\no=- 1 1 IN IP4 h",
        ] {
            let sdp = Description::parse(data.as_bytes()).unwrap();
            assert_eq!(sdp.as_bytes(), data.as_bytes());
        }
    }

    #[test]
    fn sections_are_cut_at_media_lines() {
        let text = format!("{HEAD}m=audio 1/2 RTP/AVP 0 8\r\na=x:1\r\nm=video 0 RTP/AVP 31\r\n");
        let sdp = Description::parse(text.as_bytes()).unwrap();
        assert_eq!(sdp.session().lines().count(), 2);
        let [audio, video] = sdp.media().collect::<Vec<_>>()[..] else {
            panic!("two sections");
        };
        assert_eq!(
            (audio.kind(), audio.port(), audio.port_count()),
            (&b"audio"[..], 1, 2)
        );
        assert_eq!(audio.formats().collect::<Vec<_>>(), [b"0", b"8"]);
        assert_eq!(audio.own.attribute(b"x"), Some(&b"1"[..]));
        assert!(!video.is_active());
    }

    #[test]
    fn limits_are_kept() {
        let long = format!("{HEAD}a={}\r\n", "x".repeat(MAX_LINE_CHARACTERS - 2));
        assert!(Description::parse(long.as_bytes()).is_ok());
        let long = long.replace("a=", "a=x");
        assert!(Description::parse(long.as_bytes()).is_err());
        let wide = format!("{HEAD}a={}\r\n", "\u{e9}".repeat(MAX_LINE_CHARACTERS - 2));
        assert!(Description::parse(wide.as_bytes()).is_ok());
        let many = HEAD.to_owned() + &"m=audio 1 RTP/AVP 0\r\n".repeat(MAX_MEDIA + 1);
        assert!(Description::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn every_cut_is_read_or_refused() {
        let text = format!("{HEAD}c=IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0 8\r\na=rtcp:2\r\n");
        for end in 0..text.len() {
            let _ = Description::parse(&text.as_bytes()[..end]);
        }
    }
}
