//! `parley.sipcore._core`: SIP text as Python sees it.

mod credentials;
#[cfg(target_os = "linux")]
mod datagrams;
mod digest;
mod errors;
mod framer;
mod kept;
mod keys;
mod message;
mod name_addr;
mod parsing;
mod request;
mod response;
mod sdp;
#[cfg(target_os = "linux")]
mod sys;
mod text;
mod uri;
mod values;
mod via;

/// SIP text in Rust.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::credentials::{AuthParams, parse_auth_params};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use crate::datagrams::DatagramReader;
    #[pymodule_export]
    use crate::digest::{Credentials, ha1, parse_credentials};
    #[pymodule_export]
    use crate::framer::{Limits, StreamFramer};
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::name_addr::{NameAddr, parse_name_addr};
    #[pymodule_export]
    use crate::parsing::{parse_message, salvage};
    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::response::{Response, response_to};
    #[pymodule_export]
    use crate::sdp::{
        Codec, Connection, MediaDescription, OriginLine, RemoteStream, Section, SessionDescription,
    };
    #[pymodule_export]
    use crate::sdp::{
        answer_matches_offer, echo_answer, is_echoable, is_held, parse_sdp, relayed, remote_streams,
    };
    #[pymodule_export]
    use crate::uri::{SipUri, TelUri, parse_uri};
    #[pymodule_export]
    use crate::values::{CSeq, is_token_text, parse_params, unquote_text};
    #[pymodule_export]
    use crate::via::{Via, parse_via};

    /// How long a session description may be.
    #[pymodule_export]
    const MAX_SDP_BYTES: usize = sipcore::sdp::MAX_BYTES;

    /// How long a line of it may be.
    #[pymodule_export]
    const MAX_SDP_LINE_CHARACTERS: usize = sipcore::sdp::MAX_LINE_CHARACTERS;

    /// How many media lines it may have.
    #[pymodule_export]
    const MAX_SDP_MEDIA: usize = sipcore::sdp::MAX_MEDIA;

    /// How long a header may be, in bytes.
    #[pymodule_export]
    const MAX_HEADER_BYTES: usize = sipcore::MAX_HEADER_BYTES;

    /// How many lines a header may have, folds counted.
    #[pymodule_export]
    const MAX_HEADERS: usize = sipcore::MAX_HEADERS;

    /// Checksum of the sources that this was built from.
    #[pymodule_export]
    const SOURCES: &str = env!("PARLEY_SOURCES");
}
