//! What messages find their transaction by (RFC 3261 17.1.3 and 17.2.3).

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use sipcore::{Known, Start};

use crate::errors::parsed;
use crate::message::Message;
use crate::text::text;

/// The key of the server transaction of a method that a request belongs to.
pub fn server_key<'py>(
    py: Python<'py>,
    request: &mut Message,
    method: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyTuple>> {
    if let Some(key) = unique_key(py, request, method)? {
        return Ok(key);
    }
    let (call_id, cseq) = (request.call_id(py)?, request.cseq(py)?);
    let tag = request.from_(py)?.bind(py).getattr("tag")?;
    let top = parsed(py, || request.inner.first_value(Known::VIA))?;
    let top = text(py, &top)?;
    let uri = match &request.inner.start {
        Start::Request { uri, .. } => text(py, uri)?,
        Start::Response { .. } => unreachable!("a request"),
    };
    (call_id, cseq.get().number, tag, uri, top, method).into_pyobject(py)
}

/// The same where the topmost Via alone tells it: where its branch is unique.
pub fn unique_key<'py>(
    py: Python<'py>,
    message: &Message,
    method: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let read = message.read_via(py, |via| {
        let branch = via.unique_branch()?;
        Some((branch.to_vec(), via.host.to_ascii_lowercase(), via.port))
    })?;
    let Some((branch, host, port)) = read else {
        return Ok(None);
    };
    let key = (text(py, &branch)?, method, text(py, &host)?, port);
    key.into_pyobject(py).map(Some)
}

/// The key of the client transaction that a response answers.
pub fn client_key<'py>(py: Python<'py>, response: &Message) -> PyResult<Bound<'py, PyTuple>> {
    let branch = response.read_via(py, |via| via.branch().map(<[u8]>::to_vec))?;
    let branch = branch.map(|branch| text(py, &branch)).transpose()?;
    (branch, cseq_method(py, response)?).into_pyobject(py)
}

/// The method that a response answers.
pub fn cseq_method<'py>(py: Python<'py>, response: &Message) -> PyResult<Bound<'py, PyString>> {
    let (_, method) = parsed(py, || response.inner.cseq())?;
    Ok(PyString::intern(py, &method))
}
