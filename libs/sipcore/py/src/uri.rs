//! SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966): components without escapes.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use sipcore::{Component, Param, Uri, escape, is_telephone_number, unescape};

use crate::errors::{local, parsed};
use crate::text::{bytes, owned_params, param, text, written_host};

/// RFC 3261 19.1.4: these never match when only one of the two URIs has them.
const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// A sip or sips URI.
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct SipUri {
    scheme: Py<PyString>,
    user: Option<Py<PyString>>,
    host: Py<PyString>,
    port: Option<u16>,
    params: Py<PyDict>,
    headers: Py<PyDict>,
    password: Option<Py<PyString>>,
}

/// A telephone number; `number` keeps its visual separators.
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct TelUri {
    number: Py<PyString>,
    params: Py<PyDict>,
}

/// Parses a URI that stands alone, without angle brackets.
#[pyfunction]
pub fn parse_uri(py: Python<'_>, uri: &Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
    read_uri(py, &bytes(uri)?)
}

/// The same of a message's bytes.
pub fn read_uri(py: Python<'_>, uri: &[u8]) -> PyResult<Py<PyAny>> {
    made(py, parsed(py, || Uri::parse(uri))?)
}

/// The same of a header's value.
pub fn read_header_uri(py: Python<'_>, uri: &[u8]) -> PyResult<Py<PyAny>> {
    made(py, parsed(py, || Uri::parse_in_header(uri))?)
}

fn made(py: Python<'_>, uri: Uri<'_>) -> PyResult<Py<PyAny>> {
    match uri {
        Uri::Sip(uri) => Ok(Bound::new(py, SipUri::read(py, &uri)?)?.into_any().unbind()),
        Uri::Tel(uri) => {
            let number = text(py, uri.number)?.unbind();
            let params = plain_params(py, &uri.params)?;
            Ok(Bound::new(py, TelUri { number, params })?
                .into_any()
                .unbind())
        }
    }
}

fn plain<'py>(py: Python<'py>, escaped: &[u8]) -> PyResult<Bound<'py, PyString>> {
    text(py, &unescape(escaped))
}

fn plain_params(py: Python<'_>, params: &[Param<'_>]) -> PyResult<Py<PyDict>> {
    let read = PyDict::new(py);
    for (name, value) in params {
        let value = value.map(|value| plain(py, value)).transpose()?;
        read.set_item(text(py, &unescape(name).to_ascii_lowercase())?, value)?;
    }
    Ok(read.unbind())
}

fn write_escaped(
    out: &mut Vec<u8>,
    text: &Bound<'_, PyString>,
    component: Component,
) -> PyResult<()> {
    escape(&bytes(text)?, component, out);
    Ok(())
}

fn write_params(out: &mut Vec<u8>, params: &Bound<'_, PyDict>) -> PyResult<()> {
    for (name, value) in owned_params(params)? {
        out.push(b';');
        escape(&name, Component::Param, out);
        if let Some(value) = value {
            out.push(b'=');
            escape(&value, Component::Param, out);
        }
    }
    Ok(())
}

impl SipUri {
    fn read(py: Python<'_>, uri: &sipcore::SipUri<'_>) -> PyResult<Self> {
        let optional = |part: Option<&[u8]>| -> PyResult<Option<Py<PyString>>> {
            part.map(|part| plain(py, part).map(Bound::unbind))
                .transpose()
        };
        let headers = PyDict::new(py);
        for (name, value) in &uri.headers {
            headers.set_item(plain(py, name)?, plain(py, value)?)?;
        }
        Ok(Self {
            scheme: PyString::intern(py, if uri.is_secure { "sips" } else { "sip" }).unbind(),
            user: optional(uri.user)?,
            host: text(py, &uri.host.to_ascii_lowercase())?.unbind(),
            port: uri.port,
            params: plain_params(py, &uri.params)?,
            headers: headers.unbind(),
            password: optional(uri.password)?,
        })
    }

    fn write(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let scheme = self.scheme.bind(py).to_str()?;
        if !matches!(scheme, "sip" | "sips") {
            return Err(local(py, "scheme of a SIP URI is illegal"));
        }
        let mut out = format!("{scheme}:").into_bytes();
        if let Some(user) = &self.user {
            write_escaped(&mut out, user.bind(py), Component::User)?;
            if let Some(password) = &self.password {
                out.push(b':');
                write_escaped(&mut out, password.bind(py), Component::Password)?;
            }
            out.push(b'@');
        }
        out.extend(written_host(self.host.bind(py))?);
        if let Some(port) = self.port {
            out.extend(format!(":{port}").into_bytes());
        }
        write_params(&mut out, self.params.bind(py))?;
        let mut separator = b'?';
        for (name, value) in owned_params(self.headers.bind(py))? {
            out.push(separator);
            separator = b'&';
            escape(&name, Component::Header, &mut out);
            out.push(b'=');
            escape(&value.unwrap_or_default(), Component::Header, &mut out);
        }
        Ok(out)
    }
}

#[pymethods]
impl SipUri {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the parts of a URI")]
    #[pyo3(signature = (scheme, user, host, port=None, params=None, headers=None, password=None))]
    fn new(
        py: Python<'_>,
        scheme: Py<PyString>,
        user: Option<Py<PyString>>,
        host: Py<PyString>,
        port: Option<u16>,
        params: Option<Py<PyDict>>,
        headers: Option<Py<PyDict>>,
        password: Option<Py<PyString>>,
    ) -> Self {
        let or_empty =
            |given: Option<Py<PyDict>>| given.unwrap_or_else(|| PyDict::new(py).unbind());
        let (params, headers) = (or_empty(params), or_empty(headers));
        Self {
            scheme,
            user,
            host,
            port,
            params,
            headers,
            password,
        }
    }

    #[getter]
    fn transport(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let value = param(self.params.bind(py), "transport")?;
        let lower = value.map(|value| value.to_string_lossy().to_lowercase());
        Ok(lower.filter(|value| !value.is_empty()))
    }

    #[getter]
    fn is_loose_router(&self, py: Python<'_>) -> PyResult<bool> {
        self.params.bind(py).contains("lr")
    }

    fn matches(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        Ok(self.identity(py)?.eq(other.identity(py)?)?
            && params_match(self.params.bind(py), other.params.bind(py), &DECISIVE)?)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.write(py)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("SipUri({})", text(py, &self.write(py)?)?.repr()?))
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.key(py)?.eq(other.key(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (&self.scheme, &self.user, &self.host, self.port)
            .into_pyobject(py)?
            .hash()
    }
}

impl SipUri {
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let userinfo = (&self.user, &self.password);
        (
            &self.scheme,
            userinfo,
            &self.host,
            self.port,
            &self.params,
            &self.headers,
        )
            .into_pyobject(py)
    }

    /// All that two URIs which match have in common, parameters excepted.
    fn identity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let userinfo = (&self.user, &self.password);
        let host = self.host.bind(py).call_method0("lower")?;
        let headers = lower_names(self.headers.bind(py))?;
        (&self.scheme, userinfo, host, self.port, headers).into_pyobject(py)
    }
}

impl TelUri {
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (&self.number, &self.params).into_pyobject(py)
    }
}

fn lower_names<'py>(headers: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let lower = PyDict::new(headers.py());
    for (name, value) in headers {
        lower.set_item(name.call_method0("lower")?, value)?;
    }
    Ok(lower)
}

fn params_match(
    one: &Bound<'_, PyDict>,
    two: &Bound<'_, PyDict>,
    decisive: &[&str],
) -> PyResult<bool> {
    let lower = |value: &Bound<'_, PyAny>| -> PyResult<String> {
        let value: Option<Bound<'_, PyString>> = value.extract()?;
        Ok(value
            .map(|value| value.to_string_lossy().to_lowercase())
            .unwrap_or_default())
    };
    for (name, value) in one {
        match two.get_item(&name)? {
            Some(other) if lower(&value)? != lower(&other)? => return Ok(false),
            None if decisive.contains(&name.extract::<&str>()?) => return Ok(false),
            _ => {}
        }
    }
    for name in two.keys() {
        if !one.contains(&name)? && decisive.contains(&name.extract::<&str>()?) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[pymethods]
impl TelUri {
    #[new]
    #[pyo3(signature = (number, params=None))]
    fn new(py: Python<'_>, number: Py<PyString>, params: Option<Py<PyDict>>) -> Self {
        let params = params.unwrap_or_else(|| PyDict::new(py).unbind());
        Self { number, params }
    }

    #[getter]
    fn scheme<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, "tel")
    }

    #[getter]
    fn digits(&self, py: Python<'_>) -> PyResult<String> {
        let number = self.number.bind(py);
        let number = number.to_string_lossy();
        let is_digit = |letter: &char| !matches!(letter, '-' | '.' | '(' | ')');
        Ok(number
            .chars()
            .filter(is_digit)
            .collect::<String>()
            .to_lowercase())
    }

    fn matches(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        let (mine, theirs) = (self.params.bind(py), other.params.bind(py));
        for name in theirs.keys() {
            if !mine.contains(name)? {
                return Ok(false);
            }
        }
        Ok(mine.len() == theirs.len()
            && self.digits(py)? == other.digits(py)?
            && params_match(mine, theirs, &[])?)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let mut out = b"tel:".to_vec();
        let number = self.number.bind(py);
        let number = bytes(number)?;
        if !is_telephone_number(&number) {
            return Err(local(py, "telephone number is illegal"));
        }
        out.extend_from_slice(&number);
        write_params(&mut out, self.params.bind(py))?;
        text(py, &out)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("TelUri({})", self.number.bind(py).repr()?))
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.key(py)?.eq(other.key(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.digits(py)?.into_pyobject(py)?.hash()
    }
}
