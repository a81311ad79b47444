//! Responses.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use sipcore::{Start, reason_for};

use crate::errors::{illegal, local};
use crate::keys::{client_key, cseq_method, unique_key};
use crate::message::Message;
use crate::request::Request;
use crate::text::bytes;

/// A response.
#[pyclass(extends = Message, subclass, module = "parley.sipcore")]
pub struct Response;

impl Response {
    pub fn make(py: Python<'_>, base: Message) -> PyResult<Py<Self>> {
        Py::new(py, PyClassInitializer::from(base).add_subclass(Self))
    }

    fn start(base: &Message) -> (u16, &str) {
        match &base.inner.start {
            Start::Response { status, reason } => (*status, reason),
            Start::Request { .. } => unreachable!("a response"),
        }
    }
}

fn checked_reason(py: Python<'_>, status: u16, reason: Option<&str>) -> PyResult<String> {
    let reason = reason.unwrap_or_else(|| reason_for(status));
    if reason.contains(['\r', '\n', '\0']) {
        return Err(local(py, "reason phrase is illegal"));
    }
    if !(100..=699).contains(&status) {
        return Err(local(py, "status is illegal"));
    }
    Ok(reason.to_owned())
}

#[pymethods]
impl Response {
    #[new]
    #[pyo3(signature = (status, reason=None))]
    fn new(
        py: Python<'_>,
        status: u16,
        reason: Option<&str>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let start = Start::Response {
            status,
            reason: checked_reason(py, status, reason)?,
        };
        let base = Message::of(sipcore::Message::new(start));
        Ok(PyClassInitializer::from(base).add_subclass(Self))
    }

    #[getter]
    fn status(slf: PyRef<'_, Self>) -> u16 {
        Self::start(slf.as_super()).0
    }

    #[getter]
    fn reason<'py>(slf: PyRef<'py, Self>) -> Bound<'py, PyString> {
        PyString::new(slf.py(), Self::start(slf.as_super()).1)
    }

    fn transaction_key<'py>(slf: PyRef<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        client_key(slf.py(), slf.as_super())
    }

    fn server_key<'py>(slf: PyRef<'py, Self>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let (py, base) = (slf.py(), slf.as_super());
        unique_key(py, base, &cseq_method(py, base)?)
    }

    fn copy(slf: PyRef<'_, Self>) -> PyResult<Py<Self>> {
        Self::make(slf.py(), slf.as_super().twin(slf.py()))
    }

    fn __repr__(slf: PyRef<'_, Self>) -> String {
        let (status, reason) = Self::start(slf.as_super());
        format!("<Response {status} {reason}>")
    }
}

/// Makes a response with the headers of RFC 3261 8.2.6.2.
#[pyfunction]
#[pyo3(signature = (request, status, reason=None, *, to_tag=None, headers=None))]
pub fn response_to(
    py: Python<'_>,
    request: &Bound<'_, Request>,
    status: u16,
    reason: Option<&str>,
    to_tag: Option<&Bound<'_, PyString>>,
    headers: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<Response>> {
    // All of them first: what makes them may look at the request.
    let headers: Vec<(Bound<'_, PyString>, Bound<'_, PyString>)> = match headers {
        Some(headers) => headers
            .try_iter()?
            .map(|item| item?.extract())
            .collect::<PyResult<_>>()?,
        None => Vec::new(),
    };
    let request = request.borrow();
    let request = request.as_super();
    let reason = checked_reason(py, status, reason)?;
    let tag = to_tag.map(bytes).transpose()?;
    let inner = request.inner.respond(status, &reason, tag.as_deref());
    let mut base = Message::of(inner.map_err(|error| illegal(py, &error))?);
    base.kept = request.kept.copy(py);
    if tag.is_some() {
        base.kept.to = None;
    }
    for (name, value) in &headers {
        let pushed = base.inner.header.push(name.to_str()?, &bytes(value)?);
        pushed.map_err(|error| illegal(py, &error))?;
    }
    Response::make(py, base)
}
