//! The framer of a stream as Python sees it.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use sipcore::Piece;

use crate::errors::framed;
use crate::parsing::wrap;

/// What a peer may make us hold before a message is complete, in bytes.
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct Limits {
    max_header_bytes: usize,
    max_body_bytes: u64,
}

#[pymethods]
impl Limits {
    #[new]
    #[pyo3(signature = (max_header_bytes=None, max_body_bytes=None))]
    fn new(max_header_bytes: Option<usize>, max_body_bytes: Option<u64>) -> Self {
        let usual = sipcore::Limits::default();
        Self {
            max_header_bytes: max_header_bytes.unwrap_or(usual.header_bytes),
            max_body_bytes: max_body_bytes.unwrap_or(usual.body_bytes),
        }
    }
}

/// Turns the bytes of one connection into messages.
#[pyclass(module = "parley.sipcore")]
pub struct StreamFramer {
    inner: sipcore::Framer,
}

static PING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static PONG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn keep_alive(py: Python<'_>, kept: &PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<Py<PyAny>> {
    let found = kept.get_or_try_init(py, || {
        let kinds = py
            .import("parley.sipcore.keep_alive")?
            .getattr("KeepAlive")?;
        kinds.getattr(name).map(Bound::unbind)
    });
    found.map(|found| found.clone_ref(py))
}

#[pymethods]
impl StreamFramer {
    #[new]
    #[pyo3(signature = (limits=None, is_client=false))]
    fn new(limits: Option<&Bound<'_, Limits>>, is_client: bool) -> Self {
        let limits = limits.map_or_else(sipcore::Limits::default, |limits| sipcore::Limits {
            header_bytes: limits.get().max_header_bytes,
            body_bytes: limits.get().max_body_bytes,
        });
        Self {
            inner: sipcore::Framer::new(limits, is_client),
        }
    }

    fn receive_data(&mut self, data: &[u8]) {
        self.inner.receive(data);
    }

    fn next_message(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match framed(py, || self.inner.next_piece())? {
            None => Ok(None),
            Some(Piece::Ping) => keep_alive(py, &PING, "PING").map(Some),
            Some(Piece::Pong) => keep_alive(py, &PONG, "PONG").map(Some),
            Some(Piece::Message(message)) => wrap(py, message, 0).map(Some),
        }
    }
}
