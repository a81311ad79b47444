//! `parley.sipcore._core`: SIP text as Python sees it.

mod errors;
mod framer;
mod message;
mod text;
mod uri;
mod values;

/// SIP text in Rust.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::framer::StreamFramer;
    #[pymodule_export]
    use crate::message::{
        Message, Request, Response, parse_head, parse_message, response_to, salvage,
    };
    #[pymodule_export]
    use crate::uri::{SipUri, TelUri, parse_uri};
    #[pymodule_export]
    use crate::values::{
        AuthParams, CSeq, NameAddr, Via, parse_auth_params, parse_name_addr, parse_via,
    };

    /// Checksum of the sources that this was built from.
    #[pymodule_export]
    const SOURCES: &str = env!("PARLEY_SOURCES");
}
