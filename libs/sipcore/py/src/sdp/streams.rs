//! Where a party wants its media.

use pyo3::prelude::*;
use pyo3::types::PyString;
use sipcore::sdp;

use super::values::{direction, obstacle};
use crate::text::text;

/// Where one party wants one stream, as its description says.
#[pyclass(frozen, module = "parley.sipcore", get_all)]
pub struct RemoteStream {
    index: usize,
    kind: Py<PyString>,
    active: bool,
    ip: Py<PyString>,
    rtp_port: u16,
    rtcp_ip: Py<PyString>,
    rtcp_port: u16,
    direction: Py<PyAny>,
    is_two_way: bool,
    obstacle: Option<Py<PyAny>>,
    clock_rate: u64,
}

impl RemoteStream {
    pub fn of(py: Python<'_>, index: usize, stream: &sdp::RemoteStream<'_>) -> PyResult<Self> {
        let obstacle = stream.obstacle.map(|what| obstacle(py, what)).transpose()?;
        Ok(Self {
            index,
            kind: text(py, stream.kind)?.unbind(),
            active: stream.is_active,
            ip: text(py, stream.ip)?.unbind(),
            rtp_port: stream.rtp_port,
            rtcp_ip: text(py, stream.rtcp_ip)?.unbind(),
            rtcp_port: stream.rtcp_port,
            direction: direction(py, stream.direction)?.unbind(),
            is_two_way: stream.direction == sdp::Direction::SendRecv,
            obstacle: obstacle.map(Bound::unbind),
            clock_rate: stream.clock_rate,
        })
    }
}
