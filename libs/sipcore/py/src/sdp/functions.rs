//! Parsing, and offer and answer.

use pyo3::prelude::*;
use sipcore::sdp;

use super::description::{MediaDescription, SessionDescription};
use super::streams::RemoteStream;
use super::values::{OriginLine, read};

/// Where the relay listens for one stream of one leg.
#[derive(FromPyObject)]
pub struct LocalStream {
    index: usize,
    ip: String,
    rtp_port: u16,
    rtcp_port: u16,
}

fn local(streams: Vec<LocalStream>) -> Vec<sdp::LocalStream> {
    let plain = |stream: LocalStream| sdp::LocalStream {
        index: stream.index,
        ip: stream.ip,
        rtp_port: stream.rtp_port,
        rtcp_port: stream.rtcp_port,
    };
    streams.into_iter().map(plain).collect()
}

/// Parses a message body of type `application/sdp`.
#[pyfunction]
pub fn parse_sdp(py: Python<'_>, data: &[u8]) -> PyResult<SessionDescription> {
    SessionDescription::made(py, || sdp::Description::parse(data))
}

/// Reads where each stream's media is wanted, one item per media section.
#[pyfunction]
pub fn remote_streams(py: Python<'_>, sdp: &SessionDescription) -> PyResult<Vec<RemoteStream>> {
    let streams = read(py, || sdp::remote_streams(&sdp.0))?;
    let numbered = streams.iter().enumerate();
    numbered
        .map(|(index, stream)| RemoteStream::of(py, index, stream))
        .collect()
}

/// The description to send on to the other party, its media through the relay.
#[pyfunction]
pub fn relayed(
    py: Python<'_>,
    sdp: &SessionDescription,
    streams: Vec<LocalStream>,
    session: &OriginLine,
) -> PyResult<SessionDescription> {
    SessionDescription::made(py, || sdp::relayed(&sdp.0, &local(streams), &session.0))
}

/// Answers an offer as the echo does.
#[pyfunction]
pub fn echo_answer(
    py: Python<'_>,
    offer: &SessionDescription,
    streams: Vec<LocalStream>,
    session: &OriginLine,
) -> PyResult<SessionDescription> {
    SessionDescription::made(py, || {
        sdp::echo_answer(&offer.0, &local(streams), &session.0)
    })
}

/// The echo can return this stream.
#[pyfunction]
pub fn is_echoable(py: Python<'_>, media: PyRef<'_, MediaDescription>) -> PyResult<bool> {
    let media = media.as_super().media()?;
    read(py, || sdp::is_echoable(&media))
}

/// Same number and order of sections, none revived that was offered with port 0.
#[pyfunction]
pub fn answer_matches_offer(
    py: Python<'_>,
    offer: &SessionDescription,
    answer: &SessionDescription,
) -> PyResult<bool> {
    read(py, || sdp::answer_matches_offer(&offer.0, &answer.0))
}

/// The writer wants no media at all: every live stream is held.
#[pyfunction]
pub fn is_held(py: Python<'_>, sdp: &SessionDescription) -> PyResult<bool> {
    read(py, || sdp::is_held(&sdp.0))
}
