//! Small values: CSeq, parameters, quoted strings.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sipcore::{is_token, unquote};

use crate::errors::parsed;
use crate::text::{bytes, params, text};

/// Sequence number and method of a request and its responses (RFC 3261 20.16).
#[pyclass(frozen, module = "parley.sipcore", get_all, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub struct CSeq {
    pub number: u64,
    method: String,
}

#[pymethods]
impl CSeq {
    #[new]
    pub fn new(number: u64, method: String) -> Self {
        Self { number, method }
    }

    fn __str__(&self) -> String {
        format!("{} {}", self.number, self.method)
    }

    fn __repr__(&self) -> String {
        format!("CSeq({}, {:?})", self.number, self.method)
    }
}

/// Parses what follows the first semicolon; names come out in lower case.
#[pyfunction]
pub fn parse_params<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyDict>> {
    let value = bytes(value)?;
    let read = parsed(py, || sipcore::Params::parse(&value))?;
    params(py, read.iter())
}

/// The text of a quoted string; anything else comes back as it is.
#[pyfunction(name = "unquote")]
pub fn unquote_text<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyString>> {
    text(py, &unquote(&bytes(value)?))
}

/// Whether a text is a token (RFC 3261 25.1).
#[pyfunction(name = "is_token")]
pub fn is_token_text(value: &Bound<'_, PyString>) -> PyResult<bool> {
    Ok(is_token(&bytes(value)?))
}
