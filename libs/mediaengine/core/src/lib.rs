//! The RTP plane: endpoints, bridges, echo and statistics, on threads of its own.
//!
//! An *endpoint* is one leg's side of one stream: a pair of ports (RTP even, RTCP next to it).
//! What an endpoint receives from the source it trusts leaves from its peer's port to where the
//! peer's phone is. A caller holds an [`Engine`]; its methods bind sockets at once and queue
//! everything else for the thread that owns the endpoint, until [`Engine::flush`].

mod config;
mod descriptors;
mod engine;
mod error;
mod gate;
mod mailbox;
mod pair;
mod ports;
mod rtp;
mod spec;
mod stats;
#[allow(unsafe_code)]
mod sys;
mod table;
mod threads;
mod worker;

pub use config::Config;
pub use engine::{EndpointId, Engine};
pub use error::EngineError;
pub use spec::EndpointSpec;
pub use stats::EndpointStats;
pub use worker::Event;
