//! Session descriptions (RFC 8866), read and rewritten for a relay (RFC 3264).
//!
//! A description keeps its bytes; lines and media sections are places in them. Its shape is checked
//! at once (every line `x=...`, `v=0` first, an origin, sound `m=` lines, limits), so that later
//! readers may assume it; attributes are read when asked for. Line ends may be CRLF or LF as clause
//! 5 asks of a parser, and leave as they came. Nothing is changed in place: who rewrites makes a
//! new description.

mod answer;
mod codec;
mod description;
mod media;
mod obstacle;
mod relay;
mod section;
mod streams;
mod values;

pub use answer::{answer_matches_offer, echo_answer, is_echoable, is_held};
pub use codec::Codec;
pub use description::{Description, MAX_BYTES, MAX_LINE_CHARACTERS, MAX_MEDIA};
pub use media::Media;
pub use obstacle::Obstacle;
pub use relay::{LocalStream, relayed};
pub use section::Section;
pub use streams::{RemoteStream, remote_streams};
pub use values::{Connection, Direction, Origin, SdpError};
