//! WAV files: RIFF/WAVE, and RF64 (EBU Tech 3306) where 4 GiB are too few.
//!
//! Read is what phones, studios and crashed writers leave: any order of chunks, sizes that were never
//! filled in, a `data` chunk that is cut. Written is 16-bit PCM with a header of [`HEADER_BYTES`].

mod encoding;
mod format;
mod header;
mod reader;
mod writer;

pub use encoding::Encoding;
pub use format::Format;
pub use header::Header;
pub use reader::{Decoded, Reader};
pub(crate) use writer::header;
pub use writer::{HEADER_BYTES, Writer};
