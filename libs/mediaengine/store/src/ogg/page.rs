//! One page and its checksum.

/// Flag of a page that begins with the rest of a packet.
pub(crate) const CONTINUED: u8 = 1;
/// Flag of the first page of a logical stream.
pub(crate) const FIRST: u8 = 2;
/// Flag of the last page of a logical stream.
pub(crate) const LAST: u8 = 4;

pub(crate) const MAGIC: &[u8; 4] = b"OggS";
const HEADER_BYTES: usize = 27;
const CHECKSUM: std::ops::Range<usize> = 22..26;
const POLYNOMIAL: u32 = 0x04c1_1db7;
const TABLE: [u32; 256] = table();

/// A page; its checksum may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    pub flags: u8,
    /// `None` where no packet ends, or where the number makes no sense.
    pub granule: Option<u64>,
    pub serial: u32,
    pub sequence: u32,
    /// Sizes of the segments; a packet ends with the first that is below 255.
    pub lacing: &'a [u8],
    pub body: &'a [u8],
    /// All bytes of the page.
    pub raw: &'a [u8],
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    Page(Page<'a>),
    /// A page may stand there, but it does not end within the bytes.
    Incomplete,
    /// No page.
    Nothing,
}

impl Page<'_> {
    /// Whether it begins with the rest of a packet.
    pub(crate) fn is_continued(&self) -> bool {
        self.flags & CONTINUED != 0
    }

    /// Whether it begins a logical stream.
    pub(crate) fn is_first(&self) -> bool {
        self.flags & FIRST != 0
    }

    /// Whether it ends its logical stream.
    pub(crate) fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Whether its checksum is right.
    pub(crate) fn is_intact(&self) -> bool {
        self.raw[CHECKSUM] == checksum(self.raw).to_le_bytes()
    }
}

/// Reads the page that `bytes` begin with.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Parsed::Incomplete;
    };
    if !header.starts_with(MAGIC) || header[4] != 0 {
        return Parsed::Nothing;
    }
    let start = HEADER_BYTES + usize::from(header[26]);
    let Some(lacing) = bytes.get(HEADER_BYTES..start) else {
        return Parsed::Incomplete;
    };
    let end = start + lacing.iter().map(|size| usize::from(*size)).sum::<usize>();
    let Some(raw) = bytes.get(..end) else {
        return Parsed::Incomplete;
    };
    let word = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let granule = u64::from(word(10)) << 32 | u64::from(word(6));
    Parsed::Page(Page {
        flags: raw[5],
        granule: (granule <= i64::MAX as u64).then_some(granule),
        serial: word(14),
        sequence: word(18),
        lacing,
        body: &raw[start..],
        raw,
    })
}

/// Adds a page to `out`; `lacing` has at most 255 segments and the sum of `body`'s length.
pub(crate) fn write(
    (flags, granule): (u8, u64),
    (serial, sequence): (u32, u32),
    lacing: &[u8],
    body: &[u8],
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend([0, flags]);
    out.extend(granule.to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend([0; 4]);
    out.push(lacing.len() as u8);
    out.extend_from_slice(lacing);
    out.extend_from_slice(body);
    let page = &mut out[start..];
    let sum = checksum(page);
    page[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

/// The same bytes with right checksums in all that looks like a page; for searches, which cannot guess them.
pub(crate) fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < out.len() {
        let length = match parse(&out[at..]) {
            Parsed::Page(page) => page.raw.len(),
            _ => 0,
        };
        if length > 0 {
            let page = &mut out[at..at + length];
            let sum = checksum(page);
            page[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        }
        at += length.max(1);
    }
    out
}

/// The checksum of a page: its own field is taken as 0.
fn checksum(page: &[u8]) -> u32 {
    let before = crc(0, &page[..CHECKSUM.start]);
    crc(crc(before, &[0; 4]), &page[CHECKSUM.end..])
}

/// CRC-32 without reflection, from 0 on (RFC 3533 6).
pub(crate) fn crc(start: u32, bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum << 8) ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)];
    bytes.iter().fold(start, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_program_is_read_and_written_the_same() {
        let file = include_bytes!("../../tests/data/tone_ffmpeg.opus");
        let mut at = 0;
        let mut pages = 0;
        while at < file.len() {
            let Parsed::Page(page) = parse(&file[at..]) else {
                panic!("no page at {at}");
            };
            let mut again = Vec::new();
            assert!(page.is_intact());
            let granule = page.granule.unwrap_or(u64::MAX);
            write(
                (page.flags, granule),
                (page.serial, page.sequence),
                page.lacing,
                page.body,
                &mut again,
            );
            assert_eq!(again, page.raw);
            assert_eq!(page.sequence, pages);
            at += page.raw.len();
            pages += 1;
        }
        assert!(pages > 3);
    }
}
