//! The framer of a stream as Python sees it.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use sipcore::{Limits, Piece};

use crate::errors::broken;
use crate::message::wrap;

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
    fn new(max_header_bytes: usize, max_body_bytes: u64, is_client: bool) -> Self {
        let limits = Limits {
            header_bytes: max_header_bytes,
            body_bytes: max_body_bytes,
        };
        Self {
            inner: sipcore::Framer::new(limits, is_client),
        }
    }

    fn receive_data(&mut self, data: &[u8]) {
        self.inner.receive(data);
    }

    fn next_message(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self
            .inner
            .next_piece()
            .map_err(|error| broken(py, &error))?
        {
            None => Ok(None),
            Some(Piece::Ping) => keep_alive(py, &PING, "PING").map(Some),
            Some(Piece::Pong) => keep_alive(py, &PONG, "PONG").map(Some),
            Some(Piece::Message(message)) => wrap(py, message, 0).map(Some),
        }
    }
}
