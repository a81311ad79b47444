//! Opus in Ogg (RFC 7845). Opus packets are opaque but for how long they play (RFC 6716 3.1).

mod head;
mod reader;
mod toc;
mod writer;

pub use head::Head;
pub use reader::{Item, Packet, Reader};
pub use toc::packet_samples;
pub use writer::Writer;

use std::time::Duration;

/// Samples of one channel a second that all positions count, whatever the encoder was fed with.
pub const RATE: u32 = 48_000;

fn duration(samples: u64) -> Duration {
    let rate = u64::from(RATE);
    let nanos = samples % rate * 1_000_000_000 / rate;
    Duration::from_secs(samples / rate) + Duration::from_nanos(nanos)
}
