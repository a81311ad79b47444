//! Where a party wants its media.

use super::codec::clock_rate;
use super::description::Description;
use super::media::Media;
use super::obstacle::{Obstacle, address_obstacle, obstacle_of};
use super::values::{Connection, Direction, SdpError, refused};

/// Where one party wants one stream, as its description says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteStream<'a> {
    /// `audio`, `video`, ...
    pub kind: &'a [u8],
    /// There is something to relay: port not 0 and no obstacle.
    pub is_active: bool,
    /// Address for RTP; empty when not active or held by a null address.
    pub ip: &'a [u8],
    /// 0 when not active.
    pub rtp_port: u16,
    /// Address for RTCP.
    pub rtcp_ip: &'a [u8],
    /// 0 when not active.
    pub rtcp_port: u16,
    /// As the party sees it, a null address counted as hold.
    pub direction: Direction,
    /// Why a live stream cannot be relayed.
    pub obstacle: Option<Obstacle>,
    /// Of its first format, in Hz.
    pub clock_rate: u64,
}

/// Reads where each stream's media is wanted, one item per media section.
pub fn remote_streams(sdp: &Description) -> Result<Vec<RemoteStream<'_>>, SdpError> {
    sdp.media().map(remote_stream).collect()
}

fn remote_stream(media: Media<'_>) -> Result<RemoteStream<'_>, SdpError> {
    if !media.is_active() {
        return Ok(without_media(media, None));
    }
    let connection = media.connection()?;
    if let Some(obstacle) = obstacle_of(&media, connection) {
        return Ok(without_media(media, Some(obstacle)));
    }
    let Some(rtp) = connection else {
        return refused("A media section has no connection line.");
    };
    let can_be_sent_to =
        |rtcp: &Connection<'_>| rtcp.is_null() || address_obstacle(*rtcp).is_none();
    let rtcp = media
        .rtcp_connection()?
        .filter(can_be_sent_to)
        .unwrap_or(rtp);
    Ok(RemoteStream {
        kind: media.kind(),
        is_active: true,
        ip: address(rtp),
        rtp_port: media.port(),
        rtcp_ip: address(rtcp),
        rtcp_port: media.rtcp_port()?,
        direction: media.direction_at(connection),
        obstacle: None,
        clock_rate: clock_rate(&media),
    })
}

fn address(connection: Connection<'_>) -> &[u8] {
    match connection.is_null() {
        true => b"",
        false => connection.address,
    }
}

fn without_media(media: Media<'_>, obstacle: Option<Obstacle>) -> RemoteStream<'_> {
    RemoteStream {
        kind: media.kind(),
        is_active: false,
        ip: b"",
        rtp_port: 0,
        rtcp_ip: b"",
        rtcp_port: 0,
        direction: Direction::Inactive,
        obstacle,
        clock_rate: clock_rate(&media),
    }
}
