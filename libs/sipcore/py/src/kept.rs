//! What was read of a message and is kept.

use pyo3::prelude::*;
use pyo3::types::PyString;
use sipcore::{Key, Known};

use crate::name_addr::NameAddr;
use crate::values::CSeq;
use crate::via::Via;

/// Typed values that were read; each goes when its lines change.
#[derive(Default)]
pub struct Kept {
    pub via: Option<Py<Via>>,
    pub from: Option<Py<NameAddr>>,
    pub to: Option<Py<NameAddr>>,
    pub cseq: Option<Py<CSeq>>,
    pub call_id: Option<Py<PyString>>,
}

impl Kept {
    pub fn forget(&mut self, key: Key<'_>) {
        match key {
            Key::Known(Known::VIA) => self.via = None,
            Key::Known(Known::FROM) => self.from = None,
            Key::Known(Known::TO) => self.to = None,
            Key::Known(Known::CSEQ) => self.cseq = None,
            Key::Known(Known::CALL_ID) => self.call_id = None,
            _ => {}
        }
    }

    pub fn copy(&self, py: Python<'_>) -> Self {
        Self {
            via: self.via.as_ref().map(|kept| kept.clone_ref(py)),
            from: self.from.as_ref().map(|kept| kept.clone_ref(py)),
            to: self.to.as_ref().map(|kept| kept.clone_ref(py)),
            cseq: self.cseq.as_ref().map(|kept| kept.clone_ref(py)),
            call_id: self.call_id.as_ref().map(|kept| kept.clone_ref(py)),
        }
    }
}
