//! The RTP plane: sessions, who hears whom in them, and statistics, on threads of its own.
//!
//! A caller holds an [`Engine`] and tells it of each session the [`Scene`] that its call wants: where the
//! phones are and who hears whom. Sockets are bound at once; everything else waits for the thread
//! that carries the session, until [`Engine::flush`]. A session is one thread's alone, so that a packet
//! is passed on without a lock.

mod config;
mod descriptors;
mod engine;
mod error;
mod held;
mod mailbox;
mod ports;
mod session;
mod shard;
mod slots;
mod stats;
mod stream;
#[allow(unsafe_code)]
mod sys;
mod threads;
mod transport;

pub use config::Config;
pub use engine::Engine;
pub use error::EngineError;
pub use held::{Opened, Order, StreamReport};
pub use session::scene::{
    Address, Endpoint, KeySpec, Scene, SdesSpec, Secret, Source, StreamSpec, TransportSpec,
};
pub use session::{SessionId, Silence};
pub use shard::Event;
pub use stats::StreamStats;
