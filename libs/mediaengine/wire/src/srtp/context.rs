//! One direction of one peer.

use std::collections::VecDeque;

use super::cipher::{Cipher, Place, RTCP_CLEAR, RTCP_INDEX, Unauthentic};
use super::keys::{MasterKey, WrongLength};
use super::replay::Window;
use crate::rtp::header_length;

/// Streams of one peer that are kept apart; the one that was silent longest makes room.
const MOST_STREAMS: usize = 16;
/// Packets that one key may protect (RFC 3711 9.2).
const LAST_INDEX: u64 = (1 << 48) - 1;
const LAST_RTCP_INDEX: u64 = (1 << 31) - 1;

/// Why a packet was not protected, or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// It is no RTP or RTCP, or too short to be protected.
    Malformed,
    /// It was changed, or is of another key.
    Unauthentic,
    /// Its index was used, or is too old to tell.
    Replayed,
    /// The key has protected all that it may.
    Exhausted,
    /// The buffer has no room for the tag.
    NoRoom,
}

/// A packet that authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its bytes.
    pub length: usize,
    /// It is the newest of its stream.
    pub is_newest: bool,
}

#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
}

/// What protects, or opens, the packets of one direction.
pub struct Context {
    rtp: Cipher,
    rtcp: Cipher,
    /// The last one used stands in front.
    streams: VecDeque<Stream>,
}

impl Context {
    /// Of a key that nobody has used before.
    pub fn new(master: &MasterKey) -> Result<Self, WrongLength> {
        Ok(Self {
            rtp: Cipher::new(master, false).ok_or(WrongLength)?,
            rtcp: Cipher::new(master, true).ok_or(WrongLength)?,
            streams: VecDeque::with_capacity(MOST_STREAMS + 1),
        })
    }

    /// Protects the RTP packet in the first `length` bytes of a buffer; its length then.
    ///
    /// An index is used once: a packet that was sent before is `Replayed`.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::NoRoom)?;
        let clear = header_length(packet).ok_or(SrtpError::Malformed)?;
        let (ssrc, sequence) = stream_of(packet);
        if buffer.len() < length + self.rtp.tag_length() {
            return Err(SrtpError::NoRoom);
        }
        let mut stream = self.find(ssrc);
        let index = free_index(&stream.rtp, sequence)?;
        let length = self
            .rtp
            .seal_rtp(buffer, clear, length, Place { ssrc, index });
        stream.rtp.mark(index);
        self.keep(stream);
        Ok(length)
    }

    /// Opens the RTP packet that is all of `packet`.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, SrtpError> {
        let clear = header_length(packet).ok_or(SrtpError::Malformed)?;
        if packet.len() < clear + self.rtp.tag_length() {
            return Err(SrtpError::Malformed);
        }
        let (ssrc, sequence) = stream_of(packet);
        let mut stream = self.find(ssrc);
        let index = free_index(&stream.rtp, sequence)?;
        let length = self.rtp.open_rtp(packet, clear, Place { ssrc, index })?;
        let is_newest = stream.rtp.mark(index);
        self.keep(stream);
        Ok(Opened { length, is_newest })
    }

    /// Protects the RTCP packet in the first `length` bytes of a buffer; its length then.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::NoRoom)?;
        let ssrc = reporter_of(packet).ok_or(SrtpError::Malformed)?;
        if buffer.len() < length + RTCP_INDEX + self.rtcp.tag_length() {
            return Err(SrtpError::NoRoom);
        }
        let mut stream = self.find(ssrc);
        let index = stream.rtcp.newest().map_or(0, |newest| newest + 1);
        if index > LAST_RTCP_INDEX {
            return Err(SrtpError::Exhausted);
        }
        let length = self.rtcp.seal_rtcp(buffer, length, Place { ssrc, index });
        stream.rtcp.mark(index);
        self.keep(stream);
        Ok(length)
    }

    /// Opens the RTCP packet that is all of `packet`.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Opened, SrtpError> {
        let tag = self.rtcp.tag_length();
        if packet.len() < RTCP_CLEAR + RTCP_INDEX + tag {
            return Err(SrtpError::Malformed);
        }
        let ssrc = reporter_of(packet).ok_or(SrtpError::Malformed)?;
        let index = u64::from(self.rtcp.rtcp_index(packet));
        let mut stream = self.find(ssrc);
        if !stream.rtcp.is_free(index) {
            return Err(SrtpError::Replayed);
        }
        let length = self.rtcp.open_rtcp(packet, Place { ssrc, index })?;
        let is_newest = stream.rtcp.mark(index);
        self.keep(stream);
        Ok(Opened { length, is_newest })
    }

    /// A stream as it is known, or a new one that is not kept yet.
    fn find(&self, ssrc: u32) -> Stream {
        let known = self.streams.iter().find(|stream| stream.ssrc == ssrc);
        known.copied().unwrap_or(Stream {
            ssrc,
            rtp: Window::default(),
            rtcp: Window::default(),
        })
    }

    fn keep(&mut self, stream: Stream) {
        match self
            .streams
            .iter()
            .position(|known| known.ssrc == stream.ssrc)
        {
            Some(0) => self.streams[0] = stream,
            place => {
                if let Some(place) = place {
                    self.streams.remove(place);
                }
                self.streams.truncate(MOST_STREAMS - 1);
                self.streams.push_front(stream);
            }
        }
    }
}

impl From<Unauthentic> for SrtpError {
    fn from(_: Unauthentic) -> Self {
        Self::Unauthentic
    }
}

/// SSRC and sequence number of what has a header.
fn stream_of(packet: &[u8]) -> (u32, u16) {
    let header = crate::rtp::Header::read(packet);
    (header.ssrc, header.sequence)
}

fn reporter_of(packet: &[u8]) -> Option<u32> {
    let bytes = packet.get(4..8)?;
    bytes.try_into().map(u32::from_be_bytes).ok()
}

fn free_index(window: &Window, sequence: u16) -> Result<u64, SrtpError> {
    let index = guess(window.newest(), sequence).ok_or(SrtpError::Replayed)?;
    if index > LAST_INDEX {
        return Err(SrtpError::Exhausted);
    }
    if !window.is_free(index) {
        return Err(SrtpError::Replayed);
    }
    Ok(index)
}

/// The index that is nearest to the newest one (RFC 3711 3.3.1); None: before all of them.
fn guess(newest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(newest) = newest else {
        return Some(u64::from(sequence));
    };
    let ahead = sequence.wrapping_sub(newest as u16) as i16;
    newest.checked_add_signed(i64::from(ahead))
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
