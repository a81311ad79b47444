//! A description and its media sections.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sipcore::sdp::{self, Description, SdpError};

use super::section::Section;
use super::values::{Codec, Connection, OriginLine, direction, read};
use crate::text::text;

/// Session lines and media sections.
#[pyclass(frozen, module = "parley.sipcore")]
pub struct SessionDescription(pub Arc<Description>);

impl SessionDescription {
    pub fn made(
        py: Python<'_>,
        make: impl FnOnce() -> Result<Description, SdpError>,
    ) -> PyResult<Self> {
        read(py, make).map(|description| Self(Arc::new(description)))
    }
}

#[pymethods]
impl SessionDescription {
    /// The session-level section.
    #[getter]
    fn session(&self) -> Section {
        Section::new(&self.0, None)
    }

    /// The media sections in order; offer/answer pairs them by place.
    #[getter]
    fn media(&self, py: Python<'_>) -> PyResult<Vec<Py<MediaDescription>>> {
        let section = |place| Py::new(py, (MediaDescription, Section::new(&self.0, Some(place))));
        (0..self.0.media().len()).map(section).collect()
    }

    /// The `o=` line.
    #[getter]
    fn origin(&self, py: Python<'_>) -> PyResult<OriginLine> {
        read(py, || self.0.origin()).map(OriginLine)
    }

    /// The same with another `o=` line.
    fn with_origin(&self, py: Python<'_>, origin: &OriginLine) -> PyResult<Self> {
        Self::made(py, || self.0.with_origin(&origin.0))
    }

    /// The session-level `c=` line.
    #[getter]
    fn connection(&self, py: Python<'_>) -> PyResult<Option<Connection>> {
        connection(py, read(py, || self.0.connection())?)
    }

    /// The session-level direction.
    #[getter]
    fn direction<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        direction(py, self.0.direction())
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.as_bytes())
    }
}

/// One `m=` section; what it does not say itself it takes from the session level.
#[pyclass(frozen, extends = Section, module = "parley.sipcore")]
pub struct MediaDescription;

type Text<'py> = Bound<'py, PyString>;

#[pymethods]
impl MediaDescription {
    /// `audio`, `video`, `image`, ...
    #[getter]
    fn kind(slf: PyRef<'_, Self>) -> PyResult<Text<'_>> {
        let py = slf.py();
        text(py, slf.as_super().media()?.kind())
    }

    /// 0 means refused or ended (RFC 3264 5.1, 8.2).
    #[getter]
    fn port(slf: PyRef<'_, Self>) -> PyResult<u16> {
        Ok(slf.as_super().media()?.port())
    }

    /// Consecutive port pairs (`49170/2`), almost always 1.
    #[getter]
    fn port_count(slf: PyRef<'_, Self>) -> PyResult<u16> {
        Ok(slf.as_super().media()?.port_count())
    }

    /// Transport profile as written, such as `RTP/AVP`.
    #[getter]
    fn proto(slf: PyRef<'_, Self>) -> PyResult<Text<'_>> {
        let py = slf.py();
        text(py, slf.as_super().media()?.proto())
    }

    /// Payload types or format names as written.
    #[getter]
    fn formats(slf: PyRef<'_, Self>) -> PyResult<Vec<Text<'_>>> {
        let py = slf.py();
        let media = slf.as_super().media()?;
        media.formats().map(|format| text(py, format)).collect()
    }

    /// Neither refused nor ended.
    #[getter]
    fn is_active(slf: PyRef<'_, Self>) -> PyResult<bool> {
        Ok(slf.as_super().media()?.is_active())
    }

    /// RTP in a profile without keys.
    #[getter]
    fn is_plain(slf: PyRef<'_, Self>) -> PyResult<bool> {
        Ok(slf.as_super().media()?.is_plain())
    }

    /// Keys of SRTP stand in the description: SDES (RFC 4568) or MIKEY (RFC 4567).
    #[getter]
    fn has_keys(slf: PyRef<'_, Self>) -> PyResult<bool> {
        Ok(slf.as_super().media()?.has_keys())
    }

    /// The section's own `c=` or the session's.
    #[getter]
    fn connection(slf: PyRef<'_, Self>) -> PyResult<Option<Connection>> {
        let (py, media) = (slf.py(), slf.as_super().media()?);
        connection(py, read(py, || media.connection())?)
    }

    /// The section's own direction, the session's, or `sendrecv` (RFC 8866 6.7).
    #[getter]
    fn direction(slf: PyRef<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        direction(py, slf.as_super().media()?.direction())
    }

    /// The writer wants no media: sendonly, inactive or a null address (RFC 3264 8.4).
    #[getter]
    fn is_held(slf: PyRef<'_, Self>) -> PyResult<bool> {
        let media = slf.as_super().media()?;
        read(slf.py(), || media.is_held())
    }

    /// Port of RTCP: `a=rtcp` (RFC 3605) or the next one above RTP; 0 without RTP.
    #[getter]
    fn rtcp_port(slf: PyRef<'_, Self>) -> PyResult<u16> {
        let media = slf.as_super().media()?;
        read(slf.py(), || media.rtcp_port())
    }

    /// Address of RTCP when `a=rtcp` has one; otherwise RTCP goes where RTP goes.
    #[getter]
    fn rtcp_connection(slf: PyRef<'_, Self>) -> PyResult<Option<Connection>> {
        let (py, media) = (slf.py(), slf.as_super().media()?);
        connection(py, read(py, || media.rtcp_connection())?)
    }

    /// The formats as codecs, in order of preference; what nothing describes is left out.
    #[getter]
    fn codecs(slf: PyRef<'_, Self>) -> PyResult<Vec<Codec>> {
        let (py, media) = (slf.py(), slf.as_super().media()?);
        let codecs = read(py, || media.codecs())?;
        codecs.iter().map(|codec| Codec::of(py, codec)).collect()
    }
}

fn connection(
    py: Python<'_>,
    connection: Option<sdp::Connection<'_>>,
) -> PyResult<Option<Connection>> {
    connection
        .map(|connection| Connection::of(py, connection))
        .transpose()
}
