//! What requests and responses have in common.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use sipcore::{Key, Known, MAX_SECONDS, Malformed, Start};

use crate::errors::{fault, illegal, malformed, parsed};
use crate::kept::Kept;
use crate::name_addr::NameAddr;
use crate::text::{bytes, text};
use crate::values::CSeq;
use crate::via::Via;

const MAX_LIST_VALUES: usize = 256;

/// Base of `Request` and `Response`.
#[pyclass(subclass, module = "parley.sipcore")]
pub struct Message {
    pub inner: sipcore::Message,
    pub kept: Kept,
    pub wire: Option<Py<PyBytes>>,
    #[pyo3(get, set)]
    source: Option<Py<PyAny>>,
    #[pyo3(get, set)]
    listener: Option<Py<PyAny>>,
    #[pyo3(get, set)]
    pub received_bytes: usize,
}

impl Message {
    pub fn of(inner: sipcore::Message) -> Self {
        let kept = Kept::default();
        Self {
            inner,
            kept,
            wire: None,
            source: None,
            listener: None,
            received_bytes: 0,
        }
    }

    pub fn twin(&self, py: Python<'_>) -> Self {
        Self {
            inner: self.inner.clone(),
            kept: self.kept.copy(py),
            wire: self.wire.as_ref().map(|wire| wire.clone_ref(py)),
            source: self.source.as_ref().map(|source| source.clone_ref(py)),
            listener: self
                .listener
                .as_ref()
                .map(|listener| listener.clone_ref(py)),
            received_bytes: self.received_bytes,
        }
    }

    fn changed(&mut self, name: &str) {
        self.wire = None;
        self.kept.forget(Key::of(name));
    }

    fn read_list<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        read: impl Fn(&[u8]) -> PyResult<NameAddr>,
    ) -> PyResult<Vec<Bound<'py, NameAddr>>> {
        let values = parsed(py, || self.inner.header.values(Key::of(name)))?;
        if values.len() > MAX_LIST_VALUES {
            let what = format!("too many values of {name}");
            return Err(malformed(py, &Malformed::with_status(513, what)));
        }
        values
            .iter()
            .map(|value| Bound::new(py, read(value)?))
            .collect()
    }

    /// Reads the topmost Via as text.
    pub fn read_via<T>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&sipcore::Via<'_>) -> T,
    ) -> PyResult<T> {
        parsed(py, || {
            let value = self.inner.first_value(Known::VIA)?;
            Ok(read(&sipcore::Via::parse(&value)?))
        })
    }

    fn read_number(&self, py: Python<'_>, name: &str, maximum: u64) -> PyResult<Option<u64>> {
        parsed(py, || self.inner.number(Key::of(name), maximum))
    }

    fn name_addr(&self, py: Python<'_>, known: Known) -> PyResult<Py<NameAddr>> {
        let value = parsed(py, || self.inner.mandatory(known))?;
        Py::new(py, NameAddr::read(py, &value)?)
    }
}

#[pymethods]
impl Message {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.body)
    }

    #[setter]
    fn set_body(&mut self, body: &[u8]) {
        self.inner.body = body.to_vec();
        self.wire = None;
    }

    pub fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyString>>> {
        self.inner
            .header
            .get(Key::of(name))
            .map(|value| text(py, &value))
            .transpose()
    }

    fn get_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.inner
            .header
            .get_all(Key::of(name))
            .map(|value| text(py, &value))
            .collect()
    }

    fn pairs<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<(String, Bound<'py, PyString>)>> {
        let mut wanted = Vec::new();
        for (name, value) in self.inner.header.pairs() {
            if names.contains(&name)? {
                wanted.push((name, text(py, &value)?));
            }
        }
        Ok(wanted)
    }

    fn values<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        let values = parsed(py, || self.inner.header.values(Key::of(name)))?;
        values.iter().map(|value| text(py, value)).collect()
    }

    #[pyo3(signature = (*names))]
    fn has(&self, names: &Bound<'_, PyTuple>) -> PyResult<bool> {
        for name in names {
            if self
                .inner
                .header
                .has(Key::of(name.cast::<PyString>()?.to_str()?))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn set(&mut self, py: Python<'_>, name: &str, value: &Bound<'_, PyString>) -> PyResult<()> {
        let value = bytes(value)?;
        self.inner
            .header
            .set(name, &value)
            .map_err(|error| illegal(py, &error))?;
        self.changed(name);
        Ok(())
    }

    fn add(&mut self, py: Python<'_>, name: &str, value: &Bound<'_, PyString>) -> PyResult<()> {
        let value = bytes(value)?;
        self.inner
            .header
            .add(name, &value)
            .map_err(|error| illegal(py, &error))?;
        self.changed(name);
        Ok(())
    }

    fn prepend(&mut self, py: Python<'_>, name: &str, value: &Bound<'_, PyString>) -> PyResult<()> {
        let value = bytes(value)?;
        self.inner
            .header
            .prepend(name, &value)
            .map_err(|error| illegal(py, &error))?;
        self.changed(name);
        Ok(())
    }

    fn extend(slf: &Bound<'_, Self>, name: &str, values: &Bound<'_, PyAny>) -> PyResult<()> {
        // All of them first: what makes them may look at this message.
        let values: Vec<Bound<'_, PyAny>> = values.try_iter()?.collect::<PyResult<_>>()?;
        let mut message = slf.borrow_mut();
        for value in values {
            message.add(slf.py(), name, value.cast::<PyString>()?)?;
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        if self.inner.header.remove(Key::of(name)) {
            self.changed(name);
        }
    }

    fn remove_first_value<'py>(
        &mut self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let header = &mut self.inner.header;
        let taken = parsed(py, || header.remove_first_value(Key::of(name)))?;
        self.changed(name);
        taken.map(|value| text(py, &value)).transpose()
    }

    fn replace_first_value(
        &mut self,
        py: Python<'_>,
        name: &str,
        value: &Bound<'_, PyString>,
    ) -> PyResult<()> {
        let value = bytes(value)?;
        let replaced = self.inner.header.replace_first_value(name, &value);
        replaced.map_err(|error| fault(py, &error))?;
        self.changed(name);
        Ok(())
    }

    fn copy_lines(&mut self, name: &str, source: PyRef<'_, Self>) {
        self.inner
            .header
            .copy_lines(Key::of(name), &source.inner.header);
        self.changed(name);
    }

    fn header_names(&self) -> Vec<String> {
        self.inner.header.names().collect()
    }

    #[getter]
    fn header_size(&self) -> (usize, usize) {
        self.inner.header.size()
    }

    fn header_text<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let lines: Vec<&[u8]> = self.inner.header.lines().collect();
        PyBytes::new(py, &lines.join(&b"\n"[..]))
    }

    #[getter]
    fn is_ascii(&self) -> bool {
        self.inner.header.is_ascii()
    }

    #[getter]
    fn has_via(&self, py: Python<'_>) -> bool {
        self.read_via(py, |_| ()).is_ok()
    }

    #[getter]
    fn wants_rport(&self, py: Python<'_>) -> PyResult<bool> {
        self.read_via(py, |via| via.wants_rport())
    }

    #[getter]
    fn via(&mut self, py: Python<'_>) -> PyResult<Py<Via>> {
        if self.kept.via.is_none() {
            let value = parsed(py, || self.inner.first_value(Known::VIA))?;
            self.kept.via = Some(Py::new(py, Via::read(py, &value)?)?);
        }
        Ok(self.kept.via.as_ref().expect("just read").clone_ref(py))
    }

    fn stamp_via(&mut self, py: Python<'_>, host: &Bound<'_, PyString>, port: u16) -> PyResult<()> {
        let host = bytes(host)?;
        let stamped = self.read_via(py, |via| via.stamped(&host, port))?;
        if let Some(value) = stamped.map_err(|error| illegal(py, &error))? {
            let replaced = self.inner.header.replace_first_value("via", &value);
            replaced.map_err(|error| fault(py, &error))?;
            self.changed("via");
        }
        Ok(())
    }

    #[getter]
    pub fn from_(&mut self, py: Python<'_>) -> PyResult<Py<NameAddr>> {
        if self.kept.from.is_none() {
            self.kept.from = Some(self.name_addr(py, Known::FROM)?);
        }
        Ok(self.kept.from.as_ref().expect("just read").clone_ref(py))
    }

    #[getter]
    fn to(&mut self, py: Python<'_>) -> PyResult<Py<NameAddr>> {
        if self.kept.to.is_none() {
            self.kept.to = Some(self.name_addr(py, Known::TO)?);
        }
        Ok(self.kept.to.as_ref().expect("just read").clone_ref(py))
    }

    #[getter]
    pub fn cseq(&mut self, py: Python<'_>) -> PyResult<Py<CSeq>> {
        if self.kept.cseq.is_none() {
            let (number, method) = parsed(py, || self.inner.cseq())?;
            self.kept.cseq = Some(Py::new(py, CSeq::new(number, method))?);
        }
        Ok(self.kept.cseq.as_ref().expect("just read").clone_ref(py))
    }

    #[getter]
    pub fn call_id(&mut self, py: Python<'_>) -> PyResult<Py<PyString>> {
        if self.kept.call_id.is_none() {
            let value = parsed(py, || self.inner.call_id())?;
            self.kept.call_id = Some(text(py, &value)?.unbind());
        }
        Ok(self.kept.call_id.as_ref().expect("just read").clone_ref(py))
    }

    #[getter]
    fn contacts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, NameAddr>>> {
        let contacts = self.read_list(py, "contact", |value| NameAddr::read_contact(py, value))?;
        if contacts.len() > 1 && contacts.iter().any(|contact| contact.get().is_wildcard()) {
            return Err(malformed(py, &Malformed::new("Contact * must stand alone")));
        }
        Ok(contacts)
    }

    #[getter]
    fn routes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, NameAddr>>> {
        self.read_list(py, "route", |value| NameAddr::read(py, value))
    }

    #[getter]
    fn record_routes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, NameAddr>>> {
        self.read_list(py, "record-route", |value| NameAddr::read(py, value))
    }

    #[getter]
    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, NameAddr>>> {
        self.read_list(py, "path", |value| NameAddr::read(py, value))
    }

    #[getter]
    fn max_forwards(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        parsed(py, || self.inner.max_forwards())
    }

    #[getter]
    fn expires(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.read_number(py, "expires", MAX_SECONDS)
    }

    #[getter]
    fn content_length(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        parsed(py, || self.inner.content_length())
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.get(py, "content-type")
    }

    #[getter]
    fn start_line<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        match &self.inner.start {
            Start::Request { method, uri } => {
                text(py, &[method.as_bytes(), b" ", uri, b" SIP/2.0"].concat())
            }
            Start::Response { status, reason } => {
                Ok(PyString::new(py, &format!("SIP/2.0 {status} {reason}")))
            }
        }
    }

    fn __bytes__<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        if let Some(wire) = &self.wire {
            return wire.bind(py).clone();
        }
        let wire = PyBytes::new(py, &self.inner.to_bytes());
        self.wire = Some(wire.clone().unbind());
        wire
    }
}
