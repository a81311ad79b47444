//! Text between Python and SIP: UTF-8, and surrogate escapes for what is none.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use sipcore::Param;

use crate::errors::{illegal, local};

/// Bytes of a message as Python's text; what is no UTF-8 survives as surrogates.
pub fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => {
            let raw = PyBytes::new(py, bytes);
            PyString::from_encoded_object(&raw, Some(c"utf-8"), Some(c"surrogateescape"))
        }
    }
}

/// The same in lower case.
pub fn lower<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    text(py, &bytes.to_ascii_lowercase())
}

/// Python's text as the bytes of a message.
pub fn bytes<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(text) = text.to_str() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let encoded = text.call_method1("encode", ("utf-8", "surrogateescape"));
    let encoded = encoded.map_err(|_| local(text.py(), "text cannot be encoded"))?;
    Ok(Cow::Owned(encoded.extract()?))
}

/// Parameters as a dictionary: names in lower case, values as written.
pub fn params<'a, 'py>(
    py: Python<'py>,
    params: impl Iterator<Item = Param<'a>>,
) -> PyResult<Bound<'py, PyDict>> {
    let read = PyDict::new(py);
    for (name, value) in params {
        let value = value.map(|value| text(py, value)).transpose()?;
        read.set_item(lower(py, name)?, value)?;
    }
    Ok(read)
}

/// A parameter that is owned.
pub type OwnedParam = (Vec<u8>, Option<Vec<u8>>);

/// A dictionary of parameters as bytes.
pub fn owned_params(params: &Bound<'_, PyAny>) -> PyResult<Vec<OwnedParam>> {
    let mut owned = Vec::new();
    for item in params.call_method0("items")?.try_iter()? {
        let (name, value): (Bound<'_, PyString>, Option<Bound<'_, PyString>>) = item?.extract()?;
        let value = value
            .as_ref()
            .map(|value| bytes(value).map(Cow::into_owned))
            .transpose()?;
        owned.push((bytes(&name)?.into_owned(), value));
    }
    Ok(owned)
}

/// Parameters that are owned, as the core writes them.
pub fn borrowed(params: &[OwnedParam]) -> impl Iterator<Item = Param<'_>> {
    params
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_deref()))
}

/// A parameter of a dictionary; none when it is absent or a flag.
pub fn param<'py>(
    params: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<Option<Bound<'py, PyString>>> {
    match params.get_item(name)? {
        Some(value) => Ok(value.extract()?),
        None => Ok(None),
    }
}

/// A host as it is written: IPv6 in brackets.
pub fn written_host(host: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let written = sipcore::written_host(&bytes(host)?);
    written.map_err(|error| illegal(host.py(), &error))
}
