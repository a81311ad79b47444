//! The packets of one page, and the one that goes on.

use super::packet_samples;
use crate::ogg::Page;

/// No Opus packet is longer; what is, is passed over.
const MAX_PACKET_BYTES: usize = 1 << 16;

/// Packets of a page that were not read yet, and the packet that is continued on the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    lacing: Vec<u8>,
    body: Vec<u8>,
    segment: usize,
    byte: usize,
    packet: Vec<u8>,
    /// The packet goes on.
    is_open: bool,
    /// A part of the packet is missing, or it is too long.
    is_broken: bool,
}

impl Held {
    /// Goes to a page; `is_next` says that none is missing before it.
    pub(super) fn take(&mut self, page: &Page<'_>, is_next: bool) {
        self.lacing.clear();
        self.lacing.extend_from_slice(page.lacing);
        self.body.clear();
        self.body.extend_from_slice(page.body);
        (self.segment, self.byte) = (0, 0);
        if !(page.is_continued() && self.is_open && is_next) {
            self.packet.clear();
            self.is_open = page.is_continued();
            self.is_broken = self.is_open;
        }
    }

    /// Samples of all packets that end on the page.
    pub(super) fn samples(&self) -> u64 {
        let mut total = 0;
        // The first two bytes of a packet tell how long it plays.
        let mut start = Vec::with_capacity(2);
        if self.is_open {
            start.extend(self.packet.iter().take(2));
        }
        let mut is_broken = self.is_broken;
        let mut at = 0;
        for size in &self.lacing {
            let segment = &self.body[at..at + usize::from(*size)];
            at += segment.len();
            start.extend(segment.iter().take(2 - start.len()));
            if *size < u8::MAX {
                let samples = packet_samples(&start).filter(|_| !is_broken);
                total += u64::from(samples.unwrap_or(0));
                start.clear();
                is_broken = false;
            }
        }
        total
    }

    /// Goes to the next packet that ends on the page; `false` when none does.
    pub(super) fn next_packet(&mut self) -> bool {
        if !self.is_open {
            self.packet.clear();
        }
        while let Some(size) = self.lacing.get(self.segment) {
            let segment = &self.body[self.byte..self.byte + usize::from(*size)];
            self.segment += 1;
            self.byte += segment.len();
            self.is_open = *size == u8::MAX;
            self.packet.extend_from_slice(segment);
            self.is_broken |= self.packet.len() > MAX_PACKET_BYTES;
            if self.is_broken {
                self.packet.clear();
            }
            if !self.is_open && !std::mem::take(&mut self.is_broken) {
                return true;
            }
        }
        false
    }

    /// The packet that [`Self::next_packet`] found.
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }
}
