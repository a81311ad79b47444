//! From bytes to requests and responses.

use pyo3::prelude::*;
use sipcore::Start;

use crate::errors::{parsed, parsed_whole};
use crate::message::Message;
use crate::request::Request;
use crate::response::Response;

/// A request or response of a parsed message.
pub fn wrap(py: Python<'_>, inner: sipcore::Message, received_bytes: usize) -> PyResult<Py<PyAny>> {
    let is_request = matches!(inner.start, Start::Request { .. });
    let mut base = Message::of(inner);
    base.received_bytes = received_bytes;
    if is_request {
        Ok(Request::make(py, None, base)?.into_any())
    } else {
        Ok(Response::make(py, base)?.into_any())
    }
}

/// Parses one datagram.
#[pyfunction]
pub fn parse_message(py: Python<'_>, data: &[u8]) -> PyResult<Py<PyAny>> {
    let message = parsed_whole(py, data, || sipcore::parse_datagram(data))?;
    wrap(py, message, data.len())
}

/// Reads of a message that cannot be used what an answer repeats.
#[pyfunction]
pub fn salvage(py: Python<'_>, data: &[u8]) -> PyResult<Option<Py<PyAny>>> {
    let read = parsed(py, || Ok(sipcore::salvage(data)))?;
    read.map(|message| wrap(py, message, data.len()))
        .transpose()
}
