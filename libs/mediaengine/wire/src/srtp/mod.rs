//! SRTP and SRTCP (RFC 3711, 6188, 7714): one direction of one peer in place, without allocation.
//!
//! A [`Context`] is made of a [`MasterKey`], whoever exchanged it. It never sends two packets with
//! one index of one SSRC: that would tell both. What does not authenticate changes nothing in it.

mod cipher;
mod context;
mod keys;
mod replay;
mod suite;

pub use context::{Context, Opened, SrtpError};
pub use keys::{MasterKey, WrongLength};
pub use suite::{LONGEST_TRAILER, Suite};
