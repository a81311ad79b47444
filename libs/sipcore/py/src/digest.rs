//! Credentials of digest authentication (RFC 7616).

use pyo3::prelude::*;
use pyo3::types::PyString;
use sipcore::{Algorithm, AuthParams, Claim, Malformed};

use crate::errors::{local, parsed};
use crate::text::{bytes, text};

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
        let algorithm = known(py, self.algorithm.bind(py))?;
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

/// H(username:realm:password) in hex.
#[pyfunction]
pub fn ha1(
    py: Python<'_>,
    username: &Bound<'_, PyString>,
    realm: &Bound<'_, PyString>,
    password: &Bound<'_, PyString>,
    algorithm: &Bound<'_, PyString>,
) -> PyResult<String> {
    let algorithm = known(py, algorithm)?;
    Ok(algorithm.hash(&[&bytes(username)?, &bytes(realm)?, &bytes(password)?]))
}

fn known(py: Python<'_>, name: &Bound<'_, PyString>) -> PyResult<Algorithm> {
    Algorithm::of(&bytes(name)?).ok_or_else(|| local(py, "digest algorithm is not supported"))
}

/// Parses an Authorization or Proxy-Authorization value.
#[pyfunction]
pub fn parse_credentials(py: Python<'_>, value: &Bound<'_, PyString>) -> PyResult<Credentials> {
    let value = bytes(value)?;
    let read = parsed(py, || digest_params(&value))?;
    let find = |name: &str| read.get(name.as_bytes()).unwrap_or_default();
    let needed = |name: &str| {
        let missing = || Malformed::new(format!("digest parameter {name} is missing"));
        read.get(name.as_bytes()).ok_or_else(missing)
    };
    let (qop, cnonce) = (find("qop"), find("cnonce"));
    let nc = if qop.is_empty() { b"" } else { find("nc") };
    let names = ["username", "realm", "nonce", "uri", "response"];
    let [username, realm, nonce, uri, response] = parsed(py, || {
        if !qop.is_empty() && (!is_nonce_count(nc) || cnonce.is_empty()) {
            return Err(Malformed::new("nc or cnonce is malformed"));
        }
        let mut found = [&b""[..]; 5];
        for (place, name) in found.iter_mut().zip(names) {
            *place = needed(name)?;
        }
        Ok(found)
    })?;
    let written = |bytes: &[u8]| text(py, bytes).map(Bound::unbind);
    Ok(Credentials {
        username: written(username)?,
        realm: written(realm)?,
        nonce: written(nonce)?,
        uri: written(uri)?,
        response: written(&response.to_ascii_lowercase())?,
        algorithm: match read.get(b"algorithm") {
            Some(name) => written(&name.to_ascii_uppercase())?,
            None => PyString::intern(py, "MD5").unbind(),
        },
        qop: written(qop)?,
        cnonce: written(cnonce)?,
        nc: written(nc)?,
        opaque: written(find("opaque"))?,
    })
}

fn digest_params(value: &[u8]) -> Result<AuthParams<'_>, Malformed> {
    let read = AuthParams::parse(value)?;
    if read.scheme.eq_ignore_ascii_case(b"digest") {
        Ok(read)
    } else {
        Err(Malformed::new("authentication scheme is not Digest"))
    }
}

fn is_nonce_count(digits: &[u8]) -> bool {
    digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit)
}
