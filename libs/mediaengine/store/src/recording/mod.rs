//! What one recorder does with samples and time: alignment, pauses, limits, beeps.
//!
//! Frames come with the time of their arrival and their place in the sender's own count of samples; blocks of 20 ms come
//! out, for an encoder. Nothing here reads a clock: `now_ns` is on any monotonic clock, the same for all calls.

mod beep;
mod line;
mod recorder;
mod settings;
mod track;

pub use beep::Beep;
pub use recorder::{End, Recorder};
pub use settings::{Paused, Settings};
pub use track::{Frame, TrackStats};
