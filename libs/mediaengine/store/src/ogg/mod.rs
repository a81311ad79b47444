//! Ogg pages (RFC 3533): found in bytes that come in order, and written.

mod page;
mod pages;

pub(crate) use page::{FIRST, LAST, Page, crc, with_checksums, write};
pub(crate) use pages::Pages;
