//! Pages into Opus packets with their positions.

use std::time::Duration;

use super::held::Held;
use super::{Head, RATE, packet_samples};
use crate::ogg::{Page, Pages};
use crate::{StoreError, playing_time};

/// A decoder is right again after so many samples (RFC 7845 4.6).
const PRE_ROLL: u64 = 3_840;

/// One packet, and which of its samples are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the decoder gets.
    pub data: &'a [u8],
    /// Samples at 48 kHz that it decodes to.
    pub samples: u32,
    /// Of them, those at the start that are not heard: pre-skip, or before the position that was sought.
    pub drop_first: u32,
    /// Of them, those at the end that are not heard (RFC 7845 4.4). Both together are at most `samples`.
    pub drop_last: u32,
    /// Position of the first sample that is heard, in samples at 48 kHz from the start of the file.
    pub at: u64,
}

/// What a file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A stream begins, and wants a new decoder; chained files have several.
    Head(Head),
    /// A packet of that stream.
    Packet(Packet<'a>),
}

/// Reads the first Opus stream of a file, and those chained behind it.
///
/// Pages with a wrong checksum, packets that miss a part, and streams multiplexed with it are passed over. Where a page is
/// missing, positions leap.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    pages: Pages,
    link: Option<Link>,
    page: Held,
    /// Samples of the streams before this one.
    origin: u64,
    sought: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Comments,
    FirstPage,
    Audio,
    Ended,
}

#[derive(Clone, Debug)]
struct Link {
    serial: u32,
    phase: Phase,
    next_sequence: u32,
    /// Granule position before the first sample.
    base: u64,
    pre_skip: u32,
    /// Of it, what was not decoded yet.
    to_skip: u32,
    /// Granule position of the next packet.
    granule: u64,
    /// Granule position behind which nothing is heard.
    end: u64,
}

impl Reader {
    /// A reader that has no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pages.push(bytes);
    }

    /// Says that no more bytes come, so that nothing is waited for.
    pub fn finish(&mut self) {
        self.pages.finish();
    }

    /// Passes over all that is before a position; to go back, the file is read anew.
    ///
    /// The packets of the 80 ms before it come with all their samples dropped: the decoder needs them.
    pub fn seek(&mut self, to: Duration) {
        self.sought = playing_time::samples(to, RATE);
    }

    /// The next item; `None` when more bytes are needed, or at the end.
    ///
    /// # Errors
    /// A stream that cannot be read here, or whose first page breaks RFC 7845 4.5. All after that is undefined.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        loop {
            while let Some(link) = &mut self.link
                && self.page.next_packet()
            {
                if let Some(packet) = link.place(self.page.packet(), self.origin, self.sought) {
                    let data = self.page.packet();
                    return Ok(Some(Item::Packet(Packet { data, ..packet })));
                }
            }
            let Some(page) = self.pages.next_page() else {
                return Ok(None);
            };
            if page.is_first() {
                if let Some((link, head)) = Link::begin(&page, self.link.as_ref())? {
                    let before = self.link.replace(link);
                    let before = before.map_or(0, |link| link.heard());
                    self.origin = self.origin.saturating_add(before);
                    self.page = Held::default();
                    return Ok(Some(Item::Head(head)));
                }
            } else if let Some(link) = &mut self.link {
                link.take(&page, &mut self.page)?;
            }
        }
    }
}

impl Link {
    /// A new stream, unless the page begins one that is not Opus or is multiplexed with the present one.
    fn begin(page: &Page<'_>, before: Option<&Link>) -> Result<Option<(Self, Head)>, StoreError> {
        let is_beside =
            before.is_some_and(|link| matches!(link.phase, Phase::Comments | Phase::FirstPage));
        if is_beside || !page.body.starts_with(super::head::MAGIC) {
            return Ok(None);
        }
        let head = Head::parse(page.body)?;
        let link = Self {
            serial: page.serial,
            phase: Phase::Comments,
            next_sequence: page.sequence.wrapping_add(1),
            base: 0,
            pre_skip: u32::from(head.pre_skip),
            to_skip: u32::from(head.pre_skip),
            granule: 0,
            end: u64::MAX,
        };
        Ok(Some((link, head)))
    }

    /// Samples from its first one to the last one that is heard.
    fn heard(&self) -> u64 {
        let before = self.base.saturating_add(u64::from(self.pre_skip));
        self.granule.min(self.end).saturating_sub(before)
    }

    fn take(&mut self, page: &Page<'_>, held: &mut Held) -> Result<(), StoreError> {
        if page.serial != self.serial || self.phase == Phase::Ended {
            return Ok(());
        }
        let is_next = page.sequence == self.next_sequence;
        self.next_sequence = page.sequence.wrapping_add(1);
        if self.phase == Phase::Comments {
            let is_comment = page.is_continued() || page.body.starts_with(b"OpusTags");
            let is_end = page.lacing.iter().any(|size| *size < u8::MAX);
            if is_end || !is_comment {
                self.phase = Phase::FirstPage;
            }
            if is_comment {
                return Ok(());
            }
        }
        held.take(page, is_next);
        self.set_position(page, held)?;
        if page.is_last() {
            self.phase = Phase::Ended;
        }
        Ok(())
    }

    /// Works backwards from the granule position, which is that of the last packet to end on the page (RFC 7845 4).
    fn set_position(&mut self, page: &Page<'_>, held: &Held) -> Result<(), StoreError> {
        let samples = held.samples();
        if self.phase == Phase::FirstPage && samples > 0 {
            if page.granule.is_some_and(|it| it < samples) && !page.is_last() {
                let what = "the first page has a position before 0";
                return Err(StoreError::malformed(what));
            }
            self.base = page.granule.unwrap_or(0).saturating_sub(samples);
            self.phase = Phase::Audio;
        }
        if let Some(granule) = page.granule {
            self.granule = self.granule.max(granule.saturating_sub(samples));
            if page.is_last() {
                // Pages before it are heard whole.
                self.end = granule.max(self.granule);
            }
        }
        Ok(())
    }

    /// Where a packet stands, without its data; `None` when it is passed over.
    fn place(&mut self, data: &[u8], origin: u64, sought: u64) -> Option<Packet<'static>> {
        let samples = packet_samples(data)?;
        let start = self.granule;
        self.granule = start.saturating_add(u64::from(samples));
        let past_end = self.granule.saturating_sub(self.end);
        let drop_last = past_end.min(u64::from(samples)) as u32;
        let skipped = self.to_skip.min(samples - drop_last);
        self.to_skip -= skipped;
        let silent = self.base.saturating_add(u64::from(self.pre_skip));
        let heard = |granule: u64| origin.saturating_add(granule.saturating_sub(silent));
        let first = heard(start.saturating_add(u64::from(skipped)));
        let before = sought.saturating_sub(first).min(u64::from(samples));
        let drop_first = (skipped + before as u32).min(samples - drop_last);
        if heard(self.granule).saturating_add(PRE_ROLL) <= sought {
            return None;
        }
        Some(Packet {
            data: &[],
            samples,
            drop_first,
            drop_last,
            at: first.saturating_add(u64::from(drop_first - skipped)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ogg;
    use crate::ogg_opus::Writer;

    const CONTINUED: u8 = 1;

    fn page(flags: u8, granule: u64, sequence: u32, lacing: &[u8], byte: u8) -> Vec<u8> {
        let size = lacing.iter().map(|it| usize::from(*it)).sum();
        let mut out = Vec::new();
        let body = vec![byte; size];
        ogg::write((flags, granule), (7, sequence), lacing, &body, &mut out);
        out
    }

    /// Lengths and positions of the packets behind two header pages.
    fn packets(pages: &[Vec<u8>]) -> Result<Vec<(usize, u64)>, StoreError> {
        let head = Head {
            channels: 1,
            pre_skip: 0,
            input_rate: 0,
            gain: 0,
        };
        let mut file = Vec::new();
        Writer::new(head, &[], 7, &mut file)?;
        file.extend(pages.concat());
        let mut reader = Reader::new();
        reader.push(&file);
        let mut found = Vec::new();
        while let Some(item) = reader.next_item()? {
            if let Item::Packet(packet) = item {
                found.push((packet.data.len(), packet.at));
            }
        }
        Ok(found)
    }

    /// SILK of 10 ms.
    const TOC: u8 = 0;

    #[test]
    fn a_packet_may_span_pages() {
        let found = packets(&[
            page(0, 480, 2, &[9, 255, 255], TOC),
            page(CONTINUED, u64::MAX, 3, &[255], TOC),
            page(CONTINUED, 1440, 4, &[3, 8], TOC),
        ]);
        assert_eq!(found, Ok(vec![(9, 0), (768, 480), (8, 960)]));
    }

    #[test]
    fn a_packet_that_misses_a_part_is_passed_over() {
        let begun = page(0, 480, 2, &[9, 255], TOC);
        let rest = page(CONTINUED, 1440, 4, &[3, 8], TOC);
        let found = packets(&[begun.clone(), rest]);
        assert_eq!(found, Ok(vec![(9, 0), (8, 960)]));
        let unrelated = page(0, 960, 3, &[8], TOC);
        assert_eq!(packets(&[begun, unrelated]), Ok(vec![(9, 0), (8, 480)]));
    }

    #[test]
    fn a_stream_that_was_joined_late_starts_at_0() {
        let found = packets(&[page(0, 48_000, 2, &[9, 8], TOC)]);
        assert_eq!(found, Ok(vec![(9, 0), (8, 480)]));
    }

    #[test]
    fn a_page_whose_position_makes_no_sense_does_not_move_the_rest() {
        let found = packets(&[
            page(0, u64::MAX, 2, &[9, 8], TOC),
            page(0, 1440, 3, &[7], TOC),
            page(ogg::LAST, 480, 4, &[], TOC),
        ]);
        assert_eq!(found, Ok(vec![(9, 0), (8, 480), (7, 960)]));
        let found = packets(&[page(0, 0, 2, &[], TOC), page(0, 1440, 3, &[7, 8], TOC)]);
        assert_eq!(found, Ok(vec![(7, 0), (8, 480)]));
    }

    #[test]
    fn a_first_page_before_the_start_is_refused() {
        let early = page(0, 479, 2, &[9], TOC);
        assert!(matches!(packets(&[early]), Err(StoreError::Malformed(_))));
        let short = page(ogg::LAST, 479, 2, &[9], TOC);
        assert_eq!(packets(&[short]), Ok(vec![(9, 0)]));
    }
}
