//! Typed header values: Via, name-addr, CSeq, credentials. Values: never changed after creation.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use sipcore::{check_host, is_token, quote, unquote, write_name_addr, write_param};

use crate::errors::{illegal, local, malformed};
use crate::text::{borrowed, bytes, lower, owned_params, params, text};
use crate::uri::parse_uri;

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
        let via = sipcore::Via::parse(value).map_err(|error| malformed(py, &error))?;
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

    fn param(&self, py: Python<'_>, name: &str) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.params.bind(py).get_item(name)?.map(Bound::unbind))
    }

    fn default_port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(match self.transport.bind(py).to_str()? {
            "tls" => 5061,
            "ws" => 80,
            "wss" => 443,
            _ => 5060,
        })
    }

    /// Writes it; parameters are checked unless they were parsed.
    fn write(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let host = self.host.bind(py);
        let host = bytes(host)?;
        let is_ipv6 = host.contains(&b':');
        let host = if is_ipv6 {
            [b"[", &host[..], b"]"].concat()
        } else {
            host.into_owned()
        };
        check_host(&host).map_err(|error| illegal(py, &error))?;
        let mut out = b"SIP/2.0/".to_vec();
        out.extend(bytes(self.transport.bind(py))?.to_ascii_uppercase());
        out.push(b' ');
        out.extend(host);
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
    fn branch(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.param(py, "branch")?.filter(|value| !value.is_none(py)))
    }

    #[getter]
    fn received(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let value: Option<String> = match self.param(py, "received")? {
            Some(value) => value.extract(py)?,
            None => None,
        };
        Ok(value.map(|value| value.trim_matches(['[', ']']).to_owned()))
    }

    #[getter]
    fn rport(&self, py: Python<'_>) -> PyResult<Option<u16>> {
        let value: Option<String> = match self.param(py, "rport")? {
            Some(value) => value.extract(py)?,
            None => None,
        };
        let read = |value: String| {
            let port = sipcore::number(value.as_bytes(), u64::from(u16::MAX), "rport");
            port.map(|port| u16::try_from(port).unwrap_or(u16::MAX))
        };
        value
            .map(read)
            .transpose()
            .map_err(|error| malformed(py, &error))
    }

    #[getter]
    fn wants_rport(&self, py: Python<'_>) -> PyResult<bool> {
        self.params.bind(py).contains("rport")
    }

    #[getter]
    fn sent_by_port(&self, py: Python<'_>) -> PyResult<u16> {
        self.port.map_or_else(|| self.default_port(py), Ok)
    }

    fn stamped<'py>(
        slf: &Bound<'py, Self>,
        host: &Bound<'py, PyString>,
        port: u16,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, via) = (slf.py(), slf.get());
        let old = via.params.bind(py);
        let has_rport = old.contains("rport")?;
        if !has_rport && !old.contains("received")? && host.as_any().eq(&via.host)? {
            return Ok(slf.clone());
        }
        let params = old.copy()?;
        params.set_item("received", host)?;
        if has_rport {
            params.set_item("rport", port.to_string())?;
        }
        let params = params.unbind();
        let (transport, host) = (via.transport.clone_ref(py), via.host.clone_ref(py));
        Bound::new(
            py,
            Self {
                transport,
                host,
                port: via.port,
                params,
            },
        )
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
        let read = sipcore::NameAddr::parse(value).map_err(|error| malformed(py, &error))?;
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
            .get_or_try_init(py, || parse_uri(py, self.uri_text.bind(py)))?;
        Ok(made.clone_ref(py))
    }

    #[getter]
    fn tag(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let tag = self.params.bind(py).get_item("tag")?;
        Ok(tag.filter(|tag| !tag.is_none()).map(Bound::unbind))
    }

    fn get_param<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let value: Option<Bound<'py, PyString>> = match self.params.bind(py).get_item(name)? {
            Some(value) => value.extract()?,
            None => None,
        };
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

/// Sequence number and method of a request and its responses (RFC 3261 20.16).
#[pyclass(frozen, module = "parley.sipcore", get_all, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub struct CSeq {
    number: u64,
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

/// Parses one Via value.
#[pyfunction]
pub fn parse_via(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<Via> {
    Via::read(py, &bytes(value)?)
}

/// Parses one value of From, To, Contact, Route and their kin.
#[pyfunction]
pub fn parse_name_addr(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<NameAddr> {
    NameAddr::read(py, &bytes(value)?)
}

/// Parses one challenge or one set of credentials.
#[pyfunction]
pub fn parse_auth_params(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<AuthParams> {
    let value = bytes(value)?;
    let read = sipcore::AuthParams::parse(&value).map_err(|error| malformed(py, &error))?;
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
