//! What a caller can do wrong, or run out of.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::held::Order;

/// Why a call to the engine failed; nothing was changed.
#[derive(Debug)]
pub enum EngineError {
    /// Every port pair of the range is in use or resting.
    PortsExhausted {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// The process or the machine has no room for another socket.
    OutOfDescriptors(io::Error),
    /// Every thread was lost.
    NoThread,
    /// There is no session of this name (any more).
    UnknownSession(String),
    /// A newer wish was heard before.
    Stale {
        /// What came.
        told: Order,
        /// What was heard.
        known: Order,
    },
    /// Media shall go to a port of our own.
    OwnPort(SocketAddr),
    /// An address or a setting makes no sense.
    Invalid(String),
    /// The engine was closed.
    Closed,
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortsExhausted { first, last } => {
                write!(f, "no free RTP port pair is left in {first}-{last}")
            }
            Self::OutOfDescriptors(error) => {
                write!(f, "no socket is left for media: {error}")
            }
            Self::NoThread => f.write_str("every thread of the media engine was lost"),
            Self::UnknownSession(id) => write!(f, "there is no session {id}"),
            Self::Stale { told, known } => write!(
                f,
                "epoch {} and revision {} are older than the session's, {} and {}",
                told.epoch, told.revision, known.epoch, known.revision
            ),
            Self::OwnPort(address) => write!(f, "{address} is the relay's own"),
            Self::Invalid(text) => f.write_str(text),
            Self::Closed => f.write_str("the media engine is closed"),
            Self::Io(error) => write!(f, "media socket: {error}"),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
