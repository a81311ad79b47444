//! Typed values of lines, and what `parley.sipcore.sdp` has for them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};
use sipcore::sdp::{self, Direction, Obstacle, SdpError};

use crate::text::{bytes, text};

const MODULE: &str = "parley.sipcore.sdp";

static ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static DIRECTION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static OBSTACLE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Reads; a panic is that description's error and nobody else's.
pub fn read<T>(py: Python<'_>, read: impl FnOnce() -> Result<T, SdpError>) -> PyResult<T> {
    let bug = || SdpError("The session description cannot be read, for a bug of ours.".into());
    let result = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(bug()));
    result.map_err(
        |SdpError(sentence)| match ERROR.import(py, MODULE, "SdpError") {
            Ok(kind) => PyErr::from_type(kind.clone(), sentence.into_owned()),
            Err(error) => error,
        },
    )
}

/// The member of Python's `Direction`.
pub fn direction(py: Python<'_>, direction: Direction) -> PyResult<Bound<'_, PyAny>> {
    let name = match direction {
        Direction::SendRecv => "SENDRECV",
        Direction::SendOnly => "SENDONLY",
        Direction::RecvOnly => "RECVONLY",
        Direction::Inactive => "INACTIVE",
    };
    DIRECTION.import(py, MODULE, "Direction")?.getattr(name)
}

/// The member of Python's `Obstacle`.
pub fn obstacle(py: Python<'_>, obstacle: Obstacle) -> PyResult<Bound<'_, PyAny>> {
    let name = match obstacle {
        Obstacle::Network => "NETWORK",
        Obstacle::Address => "ADDRESS",
        Obstacle::Transport => "TRANSPORT",
        Obstacle::Multicast => "MULTICAST",
    };
    OBSTACLE.import(py, MODULE, "Obstacle")?.getattr(name)
}

/// `o=`: who made the session and which edition of it this is (RFC 8866 5.2).
#[pyclass(frozen, eq, hash, module = "parley.sipcore")]
#[derive(PartialEq, Hash)]
pub struct OriginLine(pub sdp::Origin);

#[pymethods]
impl OriginLine {
    #[new]
    #[pyo3(signature = (session_id, version, ip, username=None, address_type=None))]
    fn new(
        session_id: &Bound<'_, PyString>,
        version: u64,
        ip: &Bound<'_, PyString>,
        username: Option<&Bound<'_, PyString>>,
        address_type: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Self> {
        let owned = |text: Option<&Bound<'_, PyString>>, default: &[u8]| {
            text.map_or_else(
                || Ok(default.to_vec()),
                |text| Ok::<_, PyErr>(bytes(text)?.to_vec()),
            )
        };
        Ok(Self(sdp::Origin {
            username: owned(username, b"-")?,
            session_id: bytes(session_id)?.to_vec(),
            version,
            address_type: owned(address_type, b"")?,
            ip: bytes(ip)?.to_vec(),
        }))
    }

    #[getter]
    fn session_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.0.session_id)
    }

    #[getter]
    fn version(&self) -> u64 {
        self.0.version
    }

    #[getter]
    fn ip<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.0.ip)
    }

    #[getter]
    fn username<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.0.username)
    }

    #[getter]
    fn address_type<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.0.address_type)
    }

    /// The next edition of the same session.
    fn grown(&self) -> Self {
        let mut grown = self.0.clone();
        grown.version = grown.version.wrapping_add(1);
        Self(grown)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.0.write())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("OriginLine({})", self.__str__(py)?.repr()?))
    }
}

/// `c=`: where media is wanted (RFC 8866 5.7).
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct Connection {
    network_type: Py<PyString>,
    address_type: Py<PyString>,
    address: Py<PyString>,
    suffix: Py<PyString>,
    is_internet: bool,
    is_null: bool,
}

impl Connection {
    pub fn of(py: Python<'_>, connection: sdp::Connection<'_>) -> PyResult<Self> {
        Ok(Self {
            network_type: text(py, connection.network_type)?.unbind(),
            address_type: text(py, connection.address_type)?.unbind(),
            address: text(py, connection.address)?.unbind(),
            suffix: text(py, connection.suffix)?.unbind(),
            is_internet: connection.is_internet(),
            is_null: connection.is_null(),
        })
    }
}

#[pymethods]
impl Connection {
    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let (network, kind) = (self.network_type.bind(py), self.address_type.bind(py));
        let address = self.address.bind(py).add(self.suffix.bind(py))?;
        let space = PyString::new(py, " ");
        Ok(space
            .call_method1("join", ((network, kind, address),))?
            .cast_into()?)
    }
}

/// One RTP payload type with what describes it (`a=rtpmap`, `a=fmtp`).
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct Codec {
    payload_type: u16,
    name: Py<PyString>,
    clock_rate: u64,
    channels: u64,
    fmtp: Py<PyString>,
}

impl Codec {
    pub fn of(py: Python<'_>, codec: &sdp::Codec<'_>) -> PyResult<Self> {
        Ok(Self {
            payload_type: codec.payload_type,
            name: text(py, codec.name)?.unbind(),
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            fmtp: text(py, codec.fmtp)?.unbind(),
        })
    }
}
