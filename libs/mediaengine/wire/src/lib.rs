//! The bytes of the RTP plane: RTP, RTCP, SRTP. Sans I/O, and no clock: times come in as numbers.

pub mod rtp;
pub mod srtp;
