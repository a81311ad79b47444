//! Files of recordings that run: a header of ours, then the bytes of the format as they grow.
//!
//! A `.part` file is only appended to, but for the WAV header behind ours, which is patched each second. Whatever a crash
//! leaves of it, [`Recovery`] makes a file of what the header promised: ours is dropped, WAV gets the header of all samples
//! that are there, Ogg loses the page that was cut and gets a last one.

mod header;
mod recovery;

pub use header::{Format, Header, Tracks};
pub use recovery::Recovery;
