//! Prompts and music: a whole file decoded once, then played to any number of listeners.
//!
//! A file is decoded to [`Pcm`] at its own rate, brought to one channel and the rate that is wanted, and kept as a
//! [`Prompt`]; each listener has a [`Player`], which is a position in it. Opus decoders and resamplers are given.

mod container;
mod decode;
mod pcm;
mod player;

pub use container::Container;
pub use decode::{OpusDecoder, OpusDecoders, decode};
pub use pcm::{Pcm, Resampler};
pub use player::{Player, Prompt};
