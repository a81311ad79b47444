//! Session descriptions as Python sees them: values that nobody changes.

mod description;
mod functions;
mod section;
mod streams;
mod values;

pub use description::{MediaDescription, SessionDescription};
pub use functions::{
    answer_matches_offer, echo_answer, is_echoable, is_held, parse_sdp, relayed, remote_streams,
};
pub use section::Section;
pub use streams::RemoteStream;
pub use values::{Codec, Connection, OriginLine};
