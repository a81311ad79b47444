//! Opus packets into pages.

use std::time::Duration;

use super::toc::filler;
use super::{Head, RATE, packet_samples};
use crate::{StoreError, ogg, playing_time};

/// A page holds at most so many samples: half a second is all that a file loses where it is cut.
const PAGE_SAMPLES: u32 = 24_000;

const MAX_SEGMENTS: usize = 255;
const FULL_SEGMENT: usize = 255;
const VENDOR: &str = "Parley";

/// CELT, full band, 20 ms: for a gap before the first packet.
const DEFAULT_TOC: u8 = 31 << 3;

/// Writes one logical stream whose packets never span pages, so that it plays wherever a page ends.
#[derive(Clone, Debug)]
pub struct Writer {
    serial: u32,
    sequence: u32,
    pre_skip: u16,
    /// Samples at 48 kHz in all packets so far.
    granule: u64,
    lacing: Vec<u8>,
    body: Vec<u8>,
    page_samples: u32,
    toc: u8,
    /// Samples of gaps that were too short for a packet.
    owed: u32,
}

impl Writer {
    /// Adds the two header pages to `out`. `serial` is any number; `tags` are names and values of the comment header.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for other than 1 or 2 channels, a tag that has no name or one with `=`, and tags of more
    /// than a page.
    pub fn new(
        head: Head,
        tags: &[(&str, &str)],
        serial: u32,
        out: &mut Vec<u8>,
    ) -> Result<Self, StoreError> {
        if !(1..=2).contains(&head.channels) {
            return Err(StoreError::invalid("Ogg Opus has 1 or 2 channels here"));
        }
        let mut writer = Self {
            serial,
            sequence: 0,
            pre_skip: head.pre_skip,
            granule: 0,
            lacing: Vec::with_capacity(MAX_SEGMENTS),
            body: Vec::new(),
            page_samples: 0,
            toc: DEFAULT_TOC | u8::from(head.channels == 2) << 2,
            owed: 0,
        };
        let comments = comments(tags)?;
        if segments(&comments) > MAX_SEGMENTS {
            return Err(StoreError::invalid("the tags fill more than a page"));
        }
        writer.hold(&head.to_bytes());
        writer.write_page(ogg::FIRST, out);
        writer.hold(&comments);
        writer.write_page(0, out);
        Ok(writer)
    }

    /// Adds a packet; `out` gets the page before it when that is full.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it is no Opus packet.
    pub fn append(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), StoreError> {
        let samples = packet_samples(packet)
            .filter(|_| segments(packet) <= MAX_SEGMENTS)
            .ok_or(StoreError::malformed("no Opus packet"))?;
        self.take(packet, samples, out);
        Ok(())
    }

    /// Tells of samples at 48 kHz that never came, by packets that ask the decoder to conceal them.
    ///
    /// A leap of the granule position would be shorter, but is forbidden (RFC 7845 4.1), and most players pass over it.
    /// What is shorter than 2.5 ms waits for the next gap. Long silence is better encoded.
    pub fn gap(&mut self, samples: u32, out: &mut Vec<u8>) {
        self.owed = self.owed.saturating_add(samples);
        while let Some((toc, samples)) = filler(self.toc, self.owed) {
            self.owed -= samples;
            self.take(&[toc], samples, out);
        }
    }

    /// Adds the page begun, if any, to `out`; to be called each second when packets are rare.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.lacing.is_empty() {
            self.write_page(0, out);
        }
    }

    /// Adds the last page to `out`; it is empty when no packet is left for it.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.write_page(ogg::LAST, out);
    }

    /// How long the packets so far play.
    pub fn duration(&self) -> Duration {
        let heard = self.granule.saturating_sub(u64::from(self.pre_skip));
        playing_time::duration(heard, RATE)
    }

    fn take(&mut self, packet: &[u8], samples: u32, out: &mut Vec<u8>) {
        let is_long = self.page_samples + samples > PAGE_SAMPLES;
        if is_long || self.lacing.len() + segments(packet) > MAX_SEGMENTS {
            self.flush(out);
        }
        self.hold(packet);
        self.page_samples += samples;
        self.granule += u64::from(samples);
        self.toc = packet.first().copied().unwrap_or(self.toc);
    }

    fn hold(&mut self, packet: &[u8]) {
        let full = packet.len() / FULL_SEGMENT;
        self.lacing.extend(std::iter::repeat_n(u8::MAX, full));
        self.lacing.push((packet.len() % FULL_SEGMENT) as u8);
        self.body.extend_from_slice(packet);
    }

    fn write_page(&mut self, flags: u8, out: &mut Vec<u8>) {
        ogg::write(
            (flags, self.granule),
            (self.serial, self.sequence),
            &self.lacing,
            &self.body,
            out,
        );
        self.sequence = self.sequence.wrapping_add(1);
        self.lacing.clear();
        self.body.clear();
        self.page_samples = 0;
    }
}

fn segments(packet: &[u8]) -> usize {
    packet.len() / FULL_SEGMENT + 1
}

/// The second packet, `OpusTags` (RFC 7845 5.2).
fn comments(tags: &[(&str, &str)]) -> Result<Vec<u8>, StoreError> {
    let mut out = b"OpusTags".to_vec();
    let put = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    put(&mut out, VENDOR);
    out.extend((tags.len() as u32).to_le_bytes());
    for (name, value) in tags {
        let is_name = |byte: u8| (0x20..=0x7d).contains(&byte) && byte != b'=';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(StoreError::invalid("a tag needs a name of ASCII"));
        }
        put(&mut out, &format!("{name}={value}"));
    }
    Ok(out)
}
