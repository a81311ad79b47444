//! A section's lines as text, by type and attribute name.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use sipcore::sdp::{self, Description, Media};

use crate::text::{bytes, text};

type Text<'py> = Bound<'py, PyString>;

/// The session-level lines, or one media description's.
#[pyclass(frozen, subclass, module = "parley.sipcore")]
pub struct Section {
    description: Arc<Description>,
    media: Option<usize>,
}

impl Section {
    pub fn new(description: &Arc<Description>, media: Option<usize>) -> Self {
        Self {
            description: Arc::clone(description),
            media,
        }
    }

    /// The media section that it is.
    pub fn media(&self) -> PyResult<Media<'_>> {
        let media = self
            .media
            .and_then(|place| self.description.media_at(place));
        media.ok_or_else(|| pyo3::exceptions::PyTypeError::new_err("no media section"))
    }

    fn lines(&self) -> PyResult<sdp::Section<'_>> {
        match self.media {
            None => Ok(self.description.session()),
            Some(_) => Ok(self.media()?.own),
        }
    }
}

/// The letter of a line's type.
fn letter(kind: char) -> u8 {
    u8::try_from(kind).unwrap_or_default()
}

#[pymethods]
impl Section {
    /// What follows the first `<kind>=`.
    fn value<'py>(&self, py: Python<'py>, kind: char) -> PyResult<Option<Text<'py>>> {
        let value = self.lines()?.value(letter(kind));
        value.map(|value| text(py, value)).transpose()
    }

    /// The values of all lines of one type, in order.
    fn values<'py>(&self, py: Python<'py>, kind: char) -> PyResult<Vec<Text<'py>>> {
        let values = self.lines()?.values(letter(kind));
        values.map(|value| text(py, value)).collect()
    }

    /// The first `a=<name>`: empty text for a flag, none when absent.
    fn attribute<'py>(&self, py: Python<'py>, name: &Text<'_>) -> PyResult<Option<Text<'py>>> {
        let value = self.lines()?.attribute(&bytes(name)?);
        value.map(|value| text(py, value)).transpose()
    }

    /// Whether `a=<name>` is there, with or without a value.
    fn has_attribute(&self, name: &Text<'_>) -> PyResult<bool> {
        Ok(self.lines()?.has_attribute(&bytes(name)?))
    }

    /// Every `a=<name>:` value in order; flags are left out.
    fn attribute_values<'py>(&self, py: Python<'py>, name: &Text<'_>) -> PyResult<Vec<Text<'py>>> {
        let name = bytes(name)?;
        let values = self.lines()?.attribute_values(&name);
        values.map(|value| text(py, value)).collect()
    }

    /// All `a=` lines as (name, value); the value of a flag is empty.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Text<'py>, Text<'py>)>> {
        let pair = |(name, value): (&[u8], Option<&[u8]>)| {
            Ok((text(py, name)?, text(py, value.unwrap_or_default())?))
        };
        self.lines()?.attributes().map(pair).collect()
    }
}
