//! Datagrams of a socket as Python sees them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

use crate::sys::{Arrived, BATCH, MAX_DATAGRAM, receive};

/// RFC 5626 4.4.1 and NAT pings: what is not longer asks for no answer.
const KEEP_ALIVE_BYTES: usize = 4;

static HOP: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Reads a UDP socket that does not block.
#[pyclass(module = "parley.sipcore")]
pub struct DatagramReader {
    fd: i32,
    flow: u64,
    buffers: Vec<Vec<u8>>,
}

#[pymethods]
impl DatagramReader {
    #[new]
    fn new(fd: i32, flow: u64) -> Self {
        let buffers = (0..BATCH).map(|_| vec![0; MAX_DATAGRAM]).collect();
        Self { fd, flow, buffers }
    }

    fn read<'py>(
        &mut self,
        py: Python<'py>,
        limit: usize,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyAny>)>> {
        let mut read = Vec::new();
        let mut left = limit;
        while left > 0 {
            let found = match receive(self.fd, &mut self.buffers, left) {
                Ok(found) => found,
                // What came before it is there; the next call is told, if it is still so.
                Err(_) if !read.is_empty() => break,
                Err(error) => return Err(error.into()),
            };
            for one in found.iter().filter(|one| one.length > KEEP_ALIVE_BYTES) {
                let data = PyBytes::new(py, &self.buffers[one.at][..one.length]);
                read.push((data, self.source(py, one)?));
            }
            if found.len() < BATCH {
                break;
            }
            left -= found.len();
        }
        Ok(read)
    }
}

impl DatagramReader {
    fn source<'py>(&self, py: Python<'py>, from: &Arrived) -> PyResult<Bound<'py, PyAny>> {
        let kind = HOP.import(py, "parley.sipcore.hop", "Hop")?;
        let host = match from.scope {
            0 => from.host.to_string(),
            scope => format!("{}%{scope}", from.host),
        };
        let parts = (PyString::intern(py, "udp"), host, from.port, self.flow);
        let parts: Bound<'py, PyTuple> = parts.into_pyobject(py)?;
        // Hop's own constructor is Python's: this makes the same without a frame.
        let made = PyType::new::<PyTuple>(py).getattr("__new__")?;
        made.call1((kind, parts))
    }
}
