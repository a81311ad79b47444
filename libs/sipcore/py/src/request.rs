//! Requests.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use sipcore::{Start, is_token};

use crate::errors::local;
use crate::keys::server_key;
use crate::message::Message;
use crate::text::{bytes, text};
use crate::uri::read_uri;

/// A request.
#[pyclass(extends = Message, subclass, module = "parley.sipcore")]
pub struct Request {
    /// The Request-URI, once it was read.
    uri: Option<Py<PyAny>>,
}

fn request_uri<'py>(uri: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyString>, bool)> {
    match uri.cast::<PyString>() {
        Ok(text) => Ok((text.clone(), true)),
        Err(_) => Ok((uri.str()?, false)),
    }
}

fn checked_uri(py: Python<'_>, uri: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let text = bytes(uri)?;
    if text.is_empty() || text.iter().any(|byte| *byte <= b' ') {
        return Err(local(
            py,
            "Request-URI is empty or holds blanks or control characters",
        ));
    }
    Ok(text.into_owned())
}

impl Request {
    /// Method and Request-URI.
    fn start(base: &Message) -> (&str, &[u8]) {
        match &base.inner.start {
            Start::Request { method, uri } => (method, uri),
            Start::Response { .. } => unreachable!("a request"),
        }
    }

    pub fn make(py: Python<'_>, uri: Option<Py<PyAny>>, base: Message) -> PyResult<Py<Self>> {
        Py::new(
            py,
            PyClassInitializer::from(base).add_subclass(Self { uri }),
        )
    }
}

#[pymethods]
impl Request {
    #[new]
    fn new(
        py: Python<'_>,
        method: &str,
        uri: Bound<'_, PyAny>,
    ) -> PyResult<PyClassInitializer<Self>> {
        if !is_token(method.as_bytes()) {
            return Err(local(py, "method is not a token"));
        }
        let (text, is_text) = request_uri(&uri)?;
        let start = Start::Request {
            method: method.into(),
            uri: checked_uri(py, &text)?,
        };
        let base = Message::of(sipcore::Message::new(start));
        let uri = if is_text { None } else { Some(uri.unbind()) };
        Ok(PyClassInitializer::from(base).add_subclass(Self { uri }))
    }

    #[getter]
    fn method<'py>(slf: PyRef<'py, Self>) -> Bound<'py, PyString> {
        PyString::intern(slf.py(), Self::start(slf.as_super()).0)
    }

    #[setter]
    fn set_method(mut slf: PyRefMut<'_, Self>, method: &str) -> PyResult<()> {
        if !is_token(method.as_bytes()) {
            return Err(local(slf.py(), "method is not a token"));
        }
        let base = slf.as_super();
        base.wire = None;
        if let Start::Request { method: old, .. } = &mut base.inner.start {
            *old = method.into();
        }
        Ok(())
    }

    #[getter]
    fn uri_text<'py>(slf: PyRef<'py, Self>) -> PyResult<Bound<'py, PyString>> {
        text(slf.py(), Self::start(slf.as_super()).1)
    }

    #[getter]
    fn uri(mut slf: PyRefMut<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        if slf.uri.is_none() {
            let read = read_uri(py, Self::start(slf.as_super()).1)?;
            slf.uri = Some(read);
        }
        Ok(slf.uri.as_ref().expect("just read").clone_ref(py))
    }

    #[setter]
    fn set_uri(mut slf: PyRefMut<'_, Self>, uri: Bound<'_, PyAny>) -> PyResult<()> {
        let (text, is_text) = request_uri(&uri)?;
        let checked = checked_uri(slf.py(), &text)?;
        slf.uri = if is_text { None } else { Some(uri.unbind()) };
        let base = slf.as_super();
        base.wire = None;
        if let Start::Request { uri: old, .. } = &mut base.inner.start {
            *old = checked;
        }
        Ok(())
    }

    fn transaction_key<'py>(
        mut slf: PyRefMut<'py, Self>,
        method: Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        server_key(py, slf.as_super(), &method)
    }

    #[getter]
    fn has_unique_branch(slf: PyRef<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        slf.as_super()
            .read_via(py, |via| via.unique_branch().is_some())
    }

    fn husk(slf: PyRef<'_, Self>) -> PyResult<Py<Self>> {
        let py = slf.py();
        let uri = slf.uri.as_ref().map(|uri| uri.clone_ref(py));
        let start = slf.as_super().inner.start.clone();
        Self::make(py, uri, Message::of(sipcore::Message::new(start)))
    }

    fn copy(slf: PyRef<'_, Self>) -> PyResult<Py<Self>> {
        let py = slf.py();
        let uri = slf.uri.as_ref().map(|uri| uri.clone_ref(py));
        Self::make(py, uri, slf.as_super().twin(py))
    }

    fn __repr__(slf: PyRef<'_, Self>) -> String {
        let (method, uri) = Self::start(slf.as_super());
        format!("<Request {method} {}>", String::from_utf8_lossy(uri))
    }
}
