//! Recordings and prompts as bytes; no paths, no files, no clock.
//!
//! What comes from outside is read with a [`StoreError`] for what is wrong with it, never with a
//! panic. Who calls owns files and time: it hands bytes in order, and writes what it gets back.

mod bytes;
mod error;
pub mod invariants;
mod ogg;
pub mod ogg_opus;
pub mod part;
mod playing_time;
pub mod recording;
pub mod source;
pub mod wav;

pub use error::StoreError;
