//! Opus in Ogg (RFC 7845). Opus packets are opaque but for how long they play (RFC 6716 3.1).

mod head;
mod held;
mod reader;
mod toc;
mod writer;

pub use head::Head;
pub use reader::{Item, Packet, Reader};
pub use toc::packet_samples;
pub use writer::Writer;

/// Samples of one channel a second that all positions count, whatever the encoder was fed with.
pub const RATE: u32 = 48_000;
