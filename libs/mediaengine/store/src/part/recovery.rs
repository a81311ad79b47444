//! What a crash left becomes a file.

use std::time::Duration;

use super::{Format, Header};
use crate::StoreError;
use crate::ogg::{self, Page, Pages};
use crate::ogg_opus::{Head, RATE};
use crate::playing_time::duration;
use crate::wav::{self, HEADER_BYTES};

/// Completes a `.part` file that nobody writes any more, however it was cut.
///
/// Completing what was complete changes nothing.
#[derive(Clone, Debug)]
pub struct Recovery {
    header: Header,
    offset: u64,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Wav {
        frames: u64,
        left: u64,
    },
    OggOpus {
        pages: Pages,
        stream: Option<Stream>,
    },
}

#[derive(Clone, Debug)]
struct Stream {
    serial: u32,
    sequence: u32,
    pre_skip: u16,
    granule: u64,
    is_ended: bool,
}

impl Recovery {
    /// `start` are the first bytes of the file, `length` is that of all of it; the completed file begins in `out`.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn new(start: &[u8], length: u64, out: &mut Vec<u8>) -> Result<Self, StoreError> {
        let (header, header_bytes) = Header::parse(start)?;
        let body_at = header_bytes as u64;
        let (offset, body) = match header.format {
            Format::Wav => {
                let offset = body_at + HEADER_BYTES as u64;
                let channels = header.tracks.channels();
                let frame = 2 * u64::from(channels);
                let frames = length.saturating_sub(offset) / frame;
                let left = frames * frame;
                out.extend(wav::header(header.rate, channels, left));
                (offset, Body::Wav { frames, left })
            }
            Format::OggOpus => {
                let (pages, stream) = (Pages::default(), None);
                (body_at, Body::OggOpus { pages, stream })
            }
        };
        Ok(Self {
            header,
            offset,
            body,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where in the file the bytes for [`Self::push`] begin.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next bytes of the file, in blocks of any size; adds what the completed file has of them to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.body {
            Body::Wav { left, .. } => {
                let taken = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                out.extend_from_slice(&bytes[..taken]);
            }
            Body::OggOpus { pages, stream } => {
                pages.push(bytes);
                copy(pages, stream, out);
            }
        }
    }

    /// Adds what the completed file ends with to `out`, after the last byte; returns how long it plays.
    ///
    /// 0 says that nothing was recorded, and that `out` may be no whole file.
    pub fn finish(self, out: &mut Vec<u8>) -> Duration {
        match self.body {
            Body::Wav { frames, .. } => duration(frames, self.header.rate),
            Body::OggOpus {
                mut pages,
                mut stream,
            } => {
                pages.finish();
                copy(&mut pages, &mut stream, out);
                stream.map_or(Duration::ZERO, |stream| stream.finish(out))
            }
        }
    }
}

/// Copies the whole pages of the first stream.
fn copy(pages: &mut Pages, stream: &mut Option<Stream>, out: &mut Vec<u8>) {
    while let Some(page) = pages.next_page() {
        match stream {
            None => *stream = Stream::begin(&page),
            Some(stream) if stream.is_ended || stream.serial != page.serial => continue,
            Some(stream) => stream.take(&page),
        }
        if stream.is_some() {
            out.extend_from_slice(page.raw);
        }
    }
}

impl Stream {
    fn begin(page: &Page<'_>) -> Option<Self> {
        let head = Head::parse(page.body).ok().filter(|_| page.is_first())?;
        Some(Self {
            serial: page.serial,
            sequence: page.sequence,
            pre_skip: head.pre_skip,
            granule: 0,
            is_ended: false,
        })
    }

    fn take(&mut self, page: &Page<'_>) {
        self.sequence = page.sequence;
        self.granule = page.granule.unwrap_or(self.granule);
        self.is_ended = page.is_last();
    }

    /// Adds an empty page that ends the stream. It repeats the last position instead of having none, for those who look
    /// for the length at the end.
    fn finish(self, out: &mut Vec<u8>) -> Duration {
        if !self.is_ended {
            let sequence = self.sequence.wrapping_add(1);
            let place = (self.serial, sequence);
            ogg::write((ogg::LAST, self.granule), place, &[], &[], out);
        }
        duration(self.granule.saturating_sub(u64::from(self.pre_skip)), RATE)
    }
}
