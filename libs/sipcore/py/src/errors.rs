//! Python's exceptions of `parley.sipcore.errors`, found once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};
use sipcore::{Broken, Fault, Illegal, Malformed, Unusable};

static LOCAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static REMOTE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static PARSE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FRAMING: PyOnceLock<Py<PyType>> = PyOnceLock::new();

fn raised<A>(py: Python<'_>, kind: &PyOnceLock<Py<PyType>>, name: &str, arguments: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    match kind.import(py, "parley.sipcore.errors", name) {
        Ok(kind) => PyErr::from_type(kind.clone(), arguments),
        Err(error) => error,
    }
}

/// `LocalProtocolError`.
pub fn local(py: Python<'_>, what: &str) -> PyErr {
    raised(py, &LOCAL, "LocalProtocolError", what.to_owned())
}

/// `LocalProtocolError`.
pub fn illegal(py: Python<'_>, error: &Illegal) -> PyErr {
    local(py, &error.0)
}

/// `RemoteProtocolError`.
pub fn malformed(py: Python<'_>, error: &Malformed) -> PyErr {
    raised(
        py,
        &REMOTE,
        "RemoteProtocolError",
        (error.what.to_string(), error.status),
    )
}

/// One of the two.
pub fn fault(py: Python<'_>, error: &Fault) -> PyErr {
    match error {
        Fault::Malformed(error) => malformed(py, error),
        Fault::Illegal(error) => illegal(py, error),
    }
}

/// `ParseError`.
pub fn unusable(py: Python<'_>, error: &Unusable) -> PyErr {
    let data = PyBytes::new(py, &error.data).unbind();
    let fault = &error.fault;
    raised(
        py,
        &PARSE,
        "ParseError",
        (fault.what.to_string(), fault.status, data),
    )
}

/// `FramingError`.
pub fn broken(py: Python<'_>, error: &Broken) -> PyErr {
    let data = PyBytes::new(py, &error.message.data).unbind();
    let fault = &error.message.fault;
    let arguments = (
        fault.what.to_string(),
        fault.status,
        data,
        error.can_continue,
    );
    raised(py, &FRAMING, "FramingError", arguments)
}
