//! Python's exceptions of `parley.sipcore.errors`, found once.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

const BUG: &str = "a bug in the SIP core; see its message above";

/// Parses; a panic is that text's error and nobody else's.
pub fn parsed<T>(py: Python<'_>, parse: impl FnOnce() -> Result<T, Malformed>) -> PyResult<T> {
    let result = catch_unwind(AssertUnwindSafe(parse));
    result
        .unwrap_or_else(|_| Err(Malformed::new(BUG)))
        .map_err(|error| malformed(py, &error))
}

/// The same of a whole message.
pub fn parsed_whole<T>(
    py: Python<'_>,
    data: &[u8],
    parse: impl FnOnce() -> Result<T, Unusable>,
) -> PyResult<T> {
    let bug = || Unusable {
        fault: Malformed::new(BUG),
        data: data.to_vec(),
    };
    let result = catch_unwind(AssertUnwindSafe(parse));
    result
        .unwrap_or_else(|_| Err(bug()))
        .map_err(|error| unusable(py, &error))
}

/// The same of a stream, which ends then.
pub fn framed<T>(py: Python<'_>, cut: impl FnOnce() -> Result<T, Broken>) -> PyResult<T> {
    let message = || Unusable {
        fault: Malformed::new(BUG),
        data: Vec::new(),
    };
    let bug = || Broken {
        message: message(),
        can_continue: false,
    };
    let result = catch_unwind(AssertUnwindSafe(cut));
    result
        .unwrap_or_else(|_| Err(bug()))
        .map_err(|error| broken(py, &error))
}
