//! Challenges and credentials (RFC 3261 25.1).

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use sipcore::{is_token, quote};

use crate::errors::{local, parsed};
use crate::text::{bytes, lower, owned_params, text};

/// One WWW-Authenticate, Authorization or similar value (RFC 3261 25.1).
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct AuthParams {
    scheme: Py<PyString>,
    params: Py<PyDict>,
    is_challenge: bool,
}

#[pymethods]
impl AuthParams {
    #[new]
    #[pyo3(signature = (scheme, params, is_challenge=false))]
    fn new(scheme: Py<PyString>, params: Py<PyDict>, is_challenge: bool) -> Self {
        Self {
            scheme,
            params,
            is_challenge,
        }
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let mut out = bytes(self.scheme.bind(py))?.into_owned();
        for (at, (name, value)) in owned_params(self.params.bind(py))?.into_iter().enumerate() {
            let value = value.ok_or_else(|| PyTypeError::new_err("a parameter without a value"))?;
            let is_unsafe = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            if !is_token(&name) || is_unsafe {
                return Err(local(py, "authentication parameter must not go out"));
            }
            out.extend_from_slice(if at == 0 { b" " } else { b", " });
            out.extend_from_slice(&name);
            out.push(b'=');
            if !self.is_bare(&name) {
                out.extend(quote(&value));
            } else if is_token(&value) {
                out.extend(value);
            } else {
                let name = String::from_utf8_lossy(&name);
                let what = format!("authentication parameter {name} is not a token");
                return Err(local(py, &what));
            }
        }
        text(py, &out)
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.key(py)?.eq(other.key(py)?)
    }
}

impl AuthParams {
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (&self.scheme, &self.params, self.is_challenge).into_pyobject(py)
    }

    /// RFC 3261 25.1, RFC 7616 3.3 and 3.4: these are written without quotes, the others with; qop
    /// is quoted in a challenge and bare in credentials.
    fn is_bare(&self, name: &[u8]) -> bool {
        matches!(name, b"algorithm" | b"stale" | b"nc") || (name == b"qop" && !self.is_challenge)
    }
}

/// Parses one challenge or one set of credentials.
#[pyfunction]
pub fn parse_auth_params(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<AuthParams> {
    let value = bytes(value)?;
    let read = parsed(py, || sipcore::AuthParams::parse(&value))?;
    let params = PyDict::new(py);
    for (name, value) in &read.params {
        params.set_item(lower(py, name)?, text(py, value)?)?;
    }
    let scheme = text(py, read.scheme)?.unbind();
    Ok(AuthParams {
        scheme,
        params: params.unbind(),
        is_challenge: false,
    })
}
