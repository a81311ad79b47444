//! How an engine is made.

use std::net::IpAddr;
use std::time::Duration;

use crate::error::EngineError;

/// How an engine is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address its ports are on.
    pub ip: IpAddr,
    /// Addresses by which others reach its ports.
    pub own: Vec<IpAddr>,
    /// First port of the range.
    pub first_port: u16,
    /// Last port of the range.
    pub last_port: u16,
    /// Threads that forward; a session belongs to one.
    pub threads: usize,
    /// How long a closed port pair is not used again.
    pub quarantine: Duration,
    /// DiffServ code point of what is sent (46 is expedited forwarding), 0 for none.
    pub dscp: u8,
    /// How often silence is looked for: the precision of time-outs.
    pub tick: Duration,
    /// A thread that stands still for so long is given up.
    pub patience: Duration,
}

impl Config {
    /// The usual settings for a range of ports.
    pub fn new(ip: IpAddr, first_port: u16, last_port: u16) -> Self {
        Self {
            ip,
            own: vec![ip],
            first_port,
            last_port,
            threads: 1,
            quarantine: Duration::from_secs(5),
            dscp: 46,
            tick: Duration::from_millis(200),
            patience: Duration::from_millis(500),
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let problem = if self.ip.is_unspecified() || self.ip.is_multicast() {
            "the media address must be one of this machine's own"
        } else if self.first_port == 0 || self.first_port > self.last_port {
            "the RTP port range must be FIRST-LAST with FIRST above 0 and not above LAST"
        } else if !(1..=64).contains(&self.threads) {
            "the media engine takes 1 to 64 threads"
        } else if self.dscp > 63 {
            "a DiffServ code point is 0 to 63"
        } else if self.tick.is_zero() {
            "the tick must not be zero"
        } else {
            return Ok(());
        };
        Err(EngineError::Invalid(problem.to_owned()))
    }
}
