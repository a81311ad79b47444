//! Pages among bytes that come in order.

use super::page::{MAGIC, Page, Parsed, parse};

/// Bytes that may be checked in vain: a constant, and so many times what came. A damaged page is checked once;
/// only bytes made to look like many pages within each other cost more.
const FREE_CHECKS: u64 = 1 << 20;
const CHECKS_A_BYTE: u64 = 4;

/// Finds pages whose checksum is right; what lies between them is passed over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    buffer: Vec<u8>,
    /// Where in the buffer the search goes on.
    at: usize,
    came: u64,
    checked_in_vain: u64,
    is_whole: bool,
}

impl Pages {
    /// Takes the next bytes of the file.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
        self.came += bytes.len() as u64;
    }

    /// Says that no more bytes come: what looks like a cut page is none.
    pub(crate) fn finish(&mut self) {
        self.is_whole = true;
    }

    /// The next page; `None` when more bytes are needed, or at the end.
    pub(crate) fn next_page(&mut self) -> Option<Page<'_>> {
        let start = self.search()?;
        match parse(&self.buffer[start..]) {
            Parsed::Page(page) => Some(page),
            _ => None,
        }
    }

    /// Goes behind the next page and returns where it starts.
    fn search(&mut self) -> Option<usize> {
        loop {
            let rest = &self.buffer[self.at..];
            let Some(skip) = rest.windows(MAGIC.len()).position(|it| it == MAGIC) else {
                // The beginning of a page may be cut.
                self.at = self.buffer.len() - rest.len().min(MAGIC.len() - 1);
                return None;
            };
            self.at += skip;
            match parse(&rest[skip..]) {
                Parsed::Page(page) if page.is_intact() => {
                    let start = self.at;
                    self.at += page.raw.len();
                    return Some(start);
                }
                Parsed::Incomplete if !self.is_whole => return None,
                Parsed::Incomplete | Parsed::Nothing => self.at += MAGIC.len(),
                Parsed::Page(page) => {
                    self.checked_in_vain += page.raw.len() as u64;
                    self.at += MAGIC.len();
                    if self.checked_in_vain > FREE_CHECKS + CHECKS_A_BYTE * self.came {
                        self.at = self.buffer.len();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::*;

    fn page(sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        write((0, 960), (7, sequence), &[5], b"hello", &mut out);
        out
    }

    fn sequences(pages: &mut Pages) -> Vec<u32> {
        std::iter::from_fn(|| pages.next_page().map(|page| page.sequence)).collect()
    }

    #[test]
    fn pages_are_found_however_the_bytes_are_cut() {
        let file = [page(0), b"Oggs OggS\x00 junk".to_vec(), page(1), page(2)].concat();
        for size in 1..file.len() {
            let mut pages = Pages::default();
            let mut found = Vec::new();
            for block in file.chunks(size) {
                pages.push(block);
                found.extend(sequences(&mut pages));
            }
            pages.finish();
            found.extend(sequences(&mut pages));
            assert_eq!(found, [0, 1, 2], "{size}");
        }
    }

    #[test]
    fn a_page_with_a_wrong_checksum_is_passed_over() {
        let mut damaged = page(1);
        *damaged.last_mut().unwrap() ^= 1;
        let mut pages = Pages::default();
        pages.push(&[page(0), damaged, page(2)].concat());
        assert_eq!(sequences(&mut pages), [0, 2]);
    }

    #[test]
    fn a_cut_page_hides_no_page_within_it() {
        let mut huge = page(1);
        huge[26] = 200;
        let mut pages = Pages::default();
        pages.push(&[huge, page(2)].concat());
        assert_eq!(sequences(&mut pages), []);
        pages.finish();
        assert_eq!(sequences(&mut pages), [2]);
    }

    #[test]
    fn pages_within_pages_do_not_cost_the_square_of_their_size() {
        let mut decoy = page(0)[..27].to_vec();
        decoy[26] = 255;
        let mut pages = Pages::default();
        for _ in 0..40 {
            pages.push(&decoy.repeat(1000));
            assert_eq!(sequences(&mut pages), []);
        }
        let bound = FREE_CHECKS + (CHECKS_A_BYTE + 1) * pages.came;
        assert!(pages.checked_in_vain < bound);
    }
}
