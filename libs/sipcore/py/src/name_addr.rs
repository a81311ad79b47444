//! The values of From, To, Contact, Route and their kin (RFC 3261 20.10).

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use sipcore::{unquote, write_name_addr};

use crate::errors::{illegal, parsed};
use crate::text::{borrowed, bytes, owned_params, param, params, text};
use crate::uri::read_header_uri;

/// A URI with a display name and header parameters (RFC 3261 20.10).
#[pyclass(frozen, module = "parley.sipcore")]
pub struct NameAddr {
    uri: PyOnceLock<Py<PyAny>>,
    #[pyo3(get)]
    uri_text: Py<PyString>,
    #[pyo3(get)]
    display_name: Py<PyString>,
    #[pyo3(get)]
    params: Py<PyDict>,
    #[pyo3(get)]
    is_wildcard: bool,
}

impl NameAddr {
    pub fn read(py: Python<'_>, value: &[u8]) -> PyResult<Self> {
        let read = parsed(py, || sipcore::NameAddr::parse(value))?;
        Ok(Self {
            uri: PyOnceLock::new(),
            uri_text: text(py, read.uri)?.unbind(),
            display_name: text(py, &read.display_name)?.unbind(),
            params: params(py, read.params.iter())?.unbind(),
            is_wildcard: false,
        })
    }

    /// As `read`, and takes the `*` of a Contact that removes all bindings.
    pub fn read_contact(py: Python<'_>, value: &[u8]) -> PyResult<Self> {
        if value != b"*" {
            return Self::read(py, value);
        }
        Ok(Self {
            uri: PyOnceLock::new(),
            uri_text: PyString::intern(py, "*").unbind(),
            display_name: PyString::intern(py, "").unbind(),
            params: PyDict::new(py).unbind(),
            is_wildcard: true,
        })
    }

    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (
            &self.uri_text,
            &self.display_name,
            &self.params,
            self.is_wildcard,
        )
            .into_pyobject(py)
    }

    pub fn is_wildcard(&self) -> bool {
        self.is_wildcard
    }

    fn write(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        if self.is_wildcard {
            return Ok(b"*".to_vec());
        }
        let (name, uri) = (self.display_name.bind(py), self.uri_text.bind(py));
        let params = owned_params(self.params.bind(py))?;
        write_name_addr(&bytes(name)?, &bytes(uri)?, borrowed(&params))
            .map_err(|error| illegal(py, &error))
    }
}

#[pymethods]
impl NameAddr {
    #[new]
    #[pyo3(signature = (uri, display_name=None, params=None, is_wildcard=false))]
    fn new(
        py: Python<'_>,
        uri: Bound<'_, PyAny>,
        display_name: Option<Py<PyString>>,
        params: Option<Bound<'_, PyAny>>,
        is_wildcard: bool,
    ) -> PyResult<Self> {
        let kept = PyOnceLock::new();
        let uri_text = match uri.cast::<PyString>() {
            Ok(text) => text.clone().unbind(),
            Err(_) => {
                kept.set(py, uri.clone().unbind()).ok();
                uri.str()?.unbind()
            }
        };
        let copy = PyDict::new(py);
        if let Some(params) = params {
            copy.update(params.cast()?)?;
        }
        let display_name = display_name.unwrap_or_else(|| PyString::intern(py, "").unbind());
        Ok(Self {
            uri: kept,
            uri_text,
            display_name,
            params: copy.unbind(),
            is_wildcard,
        })
    }

    #[getter]
    fn uri(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let made = self
            .uri
            .get_or_try_init(py, || read_header_uri(py, &bytes(self.uri_text.bind(py))?))?;
        Ok(made.clone_ref(py))
    }

    #[getter]
    fn tag<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        param(self.params.bind(py), "tag")
    }

    fn get_param<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let value = param(self.params.bind(py), name)?;
        value
            .map(|value| text(py, &unquote(&bytes(&value)?)))
            .transpose()
    }

    fn with_params(&self, py: Python<'_>, params: Bound<'_, PyAny>) -> PyResult<Self> {
        let uri = match self.uri.get(py) {
            Some(uri) => uri.bind(py).clone(),
            None => self.uri_text.bind(py).clone().into_any(),
        };
        Self::new(
            py,
            uri,
            Some(self.display_name.clone_ref(py)),
            Some(params),
            self.is_wildcard,
        )
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.write(py)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (uri, name) = (
            self.uri_text.bind(py).repr()?,
            self.display_name.bind(py).repr()?,
        );
        Ok(format!(
            "NameAddr({uri}, {name}, {})",
            self.params.bind(py).repr()?
        ))
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.key(py)?.eq(other.key(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (&self.uri_text, &self.display_name)
            .into_pyobject(py)?
            .hash()
    }
}

/// Parses one value of From, To, Contact, Route and their kin.
#[pyfunction]
pub fn parse_name_addr(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<NameAddr> {
    NameAddr::read(py, &bytes(value)?)
}
