//! Credentials of digest authentication (RFC 7616).

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sipcore::{Algorithm, Claim, Malformed};

use crate::credentials::{AuthParams, parse_auth_params};
use crate::errors::{local, malformed};
use crate::text::bytes;

/// What a client answered to a challenge.
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct Credentials {
    username: Py<PyString>,
    realm: Py<PyString>,
    nonce: Py<PyString>,
    uri: Py<PyString>,
    response: Py<PyString>,
    algorithm: Py<PyString>,
    qop: Py<PyString>,
    cnonce: Py<PyString>,
    nc: Py<PyString>,
    opaque: Py<PyString>,
}

#[pymethods]
impl Credentials {
    #[new]
    #[pyo3(signature = (username, realm, nonce, uri, response, algorithm=None, qop=None, cnonce=None, nc=None, opaque=None))]
    #[expect(clippy::too_many_arguments, reason = "the parameters of RFC 7616")]
    fn new(
        py: Python<'_>,
        username: Py<PyString>,
        realm: Py<PyString>,
        nonce: Py<PyString>,
        uri: Py<PyString>,
        response: Py<PyString>,
        algorithm: Option<Py<PyString>>,
        qop: Option<Py<PyString>>,
        cnonce: Option<Py<PyString>>,
        nc: Option<Py<PyString>>,
        opaque: Option<Py<PyString>>,
    ) -> Self {
        let empty = || PyString::intern(py, "").unbind();
        Self {
            username,
            realm,
            nonce,
            uri,
            response,
            algorithm: algorithm.unwrap_or_else(|| PyString::intern(py, "MD5").unbind()),
            qop: qop.unwrap_or_else(empty),
            cnonce: cnonce.unwrap_or_else(empty),
            nc: nc.unwrap_or_else(empty),
            opaque: opaque.unwrap_or_else(empty),
        }
    }

    #[getter]
    fn count(&self, py: Python<'_>) -> PyResult<u32> {
        let digits = self.nc.bind(py).to_str()?;
        Ok(u32::from_str_radix(digits, 16).unwrap_or(0))
    }

    fn proof(
        &self,
        py: Python<'_>,
        method: &Bound<'_, PyString>,
        secret: &Bound<'_, PyString>,
    ) -> PyResult<String> {
        let algorithm = Algorithm::of(&bytes(self.algorithm.bind(py))?)
            .ok_or_else(|| local(py, "digest algorithm is not supported"))?;
        let (qop, nc) = (bytes(self.qop.bind(py))?, bytes(self.nc.bind(py))?);
        let cnonce = bytes(self.cnonce.bind(py))?;
        let claim = Claim {
            nonce: &bytes(self.nonce.bind(py))?,
            uri: &bytes(self.uri.bind(py))?,
            quality: (!qop.is_empty()).then_some((&*qop, &*nc, &*cnonce)),
        };
        Ok(claim.proof(algorithm, &bytes(method)?, &bytes(secret)?))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (username, realm) = (self.username.bind(py).repr()?, self.realm.bind(py).repr()?);
        Ok(format!("<Credentials {username} {realm}>"))
    }
}

/// Parses an Authorization or Proxy-Authorization value.
#[pyfunction]
pub fn parse_credentials(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<Credentials> {
    let params = digest_params(py, parse_auth_params(py, value)?)?;
    let refused = |what: &str| malformed(py, &Malformed::new(what.to_owned()));
    let mut found = Found {
        params,
        refused: &refused,
    };
    let qop = found.optional("qop")?;
    let (mut nc, cnonce) = (found.optional("nc")?, found.optional("cnonce")?);
    if is_empty(&qop)? {
        nc = PyString::intern(py, "");
    } else if !is_nonce_count(&nc)? || is_empty(&cnonce)? {
        return Err(refused("nc or cnonce is malformed"));
    }
    let algorithm = found.get("algorithm")?;
    Ok(Credentials {
        username: found.needed("username")?.unbind(),
        realm: found.needed("realm")?.unbind(),
        nonce: found.needed("nonce")?.unbind(),
        uri: found.needed("uri")?.unbind(),
        response: in_case(&found.needed("response")?, "lower")?.unbind(),
        algorithm: match algorithm {
            Some(name) => in_case(&name, "upper")?.unbind(),
            None => PyString::intern(py, "MD5").unbind(),
        },
        qop: qop.unbind(),
        cnonce: cnonce.unbind(),
        nc: nc.unbind(),
        opaque: found.optional("opaque")?.unbind(),
    })
}

struct Found<'a, 'py> {
    params: Bound<'py, PyDict>,
    refused: &'a dyn Fn(&str) -> PyErr,
}

impl<'py> Found<'_, 'py> {
    fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyString>>> {
        self.params
            .get_item(name)?
            .map(|value| Ok(value.cast_into()?))
            .transpose()
    }

    fn optional(&mut self, name: &str) -> PyResult<Bound<'py, PyString>> {
        let empty = || PyString::intern(self.params.py(), "");
        Ok(self.get(name)?.unwrap_or_else(empty))
    }

    fn needed(&mut self, name: &str) -> PyResult<Bound<'py, PyString>> {
        self.get(name)?
            .ok_or_else(|| (self.refused)(&format!("digest parameter {name} is missing")))
    }
}

fn digest_params(py: Python<'_>, read: AuthParams) -> PyResult<Bound<'_, PyDict>> {
    if !bytes(read.scheme.bind(py))?.eq_ignore_ascii_case(b"digest") {
        let what = "authentication scheme is not Digest";
        return Err(malformed(py, &Malformed::new(what)));
    }
    Ok(read.params.into_bound(py))
}

fn in_case<'py>(text: &Bound<'py, PyString>, method: &str) -> PyResult<Bound<'py, PyString>> {
    Ok(text.call_method0(method)?.cast_into()?)
}

fn is_empty(text: &Bound<'_, PyString>) -> PyResult<bool> {
    text.is_empty()
}

fn is_nonce_count(text: &Bound<'_, PyString>) -> PyResult<bool> {
    let digits = bytes(text)?;
    Ok(digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit))
}
