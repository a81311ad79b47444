//! The Via header field value (RFC 3261 20.42, RFC 3581).

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use sipcore::write_param;

use crate::errors::{illegal, parsed};
use crate::text::{borrowed, bytes, lower, owned_params, param, params, text, written_host};

/// One hop of the way back (RFC 3261 20.42, RFC 3581).
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct Via {
    transport: Py<PyString>,
    host: Py<PyString>,
    port: Option<u16>,
    params: Py<PyDict>,
}

impl Via {
    pub fn read(py: Python<'_>, value: &[u8]) -> PyResult<Self> {
        let via = parsed(py, || sipcore::Via::parse(value))?;
        Ok(Self {
            transport: lower(py, via.transport)?.unbind(),
            host: text(py, via.host)?.unbind(),
            port: via.port,
            params: params(py, via.params.iter())?.unbind(),
        })
    }

    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (&self.transport, &self.host, self.port, &self.params).into_pyobject(py)
    }

    fn default_port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(match self.transport.bind(py).to_str()? {
            "tls" => 5061,
            "ws" => 80,
            "wss" => 443,
            _ => 5060,
        })
    }

    /// Writes it; host and parameters are checked.
    pub fn write(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let mut out = b"SIP/2.0/".to_vec();
        out.extend(bytes(self.transport.bind(py))?.to_ascii_uppercase());
        out.push(b' ');
        out.extend(written_host(self.host.bind(py))?);
        if let Some(port) = self.port {
            out.extend(format!(":{port}").into_bytes());
        }
        for param in borrowed(&owned_params(self.params.bind(py))?) {
            write_param(&mut out, param).map_err(|error| illegal(py, &error))?;
        }
        Ok(out)
    }
}

#[pymethods]
impl Via {
    #[new]
    #[pyo3(signature = (transport, host, port=None, params=None))]
    fn new(
        py: Python<'_>,
        transport: Py<PyString>,
        host: Py<PyString>,
        port: Option<u16>,
        params: Option<Py<PyDict>>,
    ) -> Self {
        let params = params.unwrap_or_else(|| PyDict::new(py).unbind());
        Self {
            transport,
            host,
            port,
            params,
        }
    }

    #[getter]
    fn branch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        param(self.params.bind(py), "branch")
    }

    #[getter]
    fn received(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let value = param(self.params.bind(py), "received")?;
        let plain = |value: Bound<'_, PyString>| {
            value.to_string_lossy().trim_matches(['[', ']']).to_owned()
        };
        Ok(value.map(plain))
    }

    #[getter]
    fn rport(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let Some(value) = param(self.params.bind(py), "rport")? else {
            return Ok(None);
        };
        let value = bytes(&value)?;
        parsed(py, || sipcore::number(&value, u64::from(u16::MAX), "rport")).map(Some)
    }

    #[getter]
    fn wants_rport(&self, py: Python<'_>) -> PyResult<bool> {
        self.params.bind(py).contains("rport")
    }

    #[getter]
    fn sent_by_port(&self, py: Python<'_>) -> PyResult<u16> {
        self.port.map_or_else(|| self.default_port(py), Ok)
    }

    pub fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.write(py)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (transport, host) = (self.transport.bind(py).repr()?, self.host.bind(py).repr()?);
        let port = self
            .port
            .map_or_else(|| "None".to_owned(), |port| port.to_string());
        Ok(format!(
            "Via({transport}, {host}, {port}, {})",
            self.params.bind(py).repr()?
        ))
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.key(py)?.eq(other.key(py)?)
    }
}

/// Parses one Via value.
#[pyfunction]
pub fn parse_via(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<Via> {
    Via::read(py, &bytes(value)?)
}
