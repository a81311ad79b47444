//! Why a relay cannot carry a stream that a description wants.
//!
//! None of it is a fault of the description: it is legal, and answered by 488 or by port 0.

use super::media::Media;
use super::values::{Connection, ip_address, is_host_address};

const DISCARD_PORT: u16 = 9;

/// In the words of SIP's Warning (RFC 3261 20.43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No address of the Internet.
    Network,
    /// A host name.
    Address,
    /// No RTP, or RTP that a relay would have to take part in.
    Transport,
    /// An address that is not one host's.
    Multicast,
}

/// What keeps a relay from carrying a live stream that is wanted at `connection`.
pub(super) fn obstacle_of(
    media: &Media<'_>,
    connection: Option<Connection<'_>>,
) -> Option<Obstacle> {
    if !media.is_relayable() {
        return Some(Obstacle::Transport);
    }
    let connection = connection?;
    if connection.is_null() {
        // ICE without a default candidate: whoever does no ICE has nowhere to send (RFC 8840).
        let is_nowhere = media.uses_ice() && media.port() == DISCARD_PORT;
        return is_nowhere.then_some(Obstacle::Transport);
    }
    address_obstacle(connection)
}

/// What keeps media from being sent to an address: names are not looked up (RFC 8866 5.7).
pub(super) fn address_obstacle(connection: Connection<'_>) -> Option<Obstacle> {
    if !connection.is_internet() {
        return Some(Obstacle::Network);
    }
    let Some(ip) = ip_address(connection.address) else {
        return Some(Obstacle::Address);
    };
    let is_one_host = connection.suffix.is_empty() && is_host_address(ip);
    (!is_one_host).then_some(Obstacle::Multicast)
}
