//! The two kinds of error: the peer's and our own.

use std::borrow::Cow;
use std::fmt;

/// A peer sent something illegal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The SIP status that answers it.
    pub status: u16,
    /// What is wrong, for a log.
    pub what: Cow<'static, str>,
}

impl Malformed {
    /// Something that 400 answers.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(400, what)
    }

    /// Something that another status answers.
    pub fn with_status(status: u16, what: impl Into<Cow<'static, str>>) -> Self {
        let what = what.into();
        Self { status, what }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl std::error::Error for Malformed {}

/// Our own code asked for something that must not go on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Illegal(pub Cow<'static, str>);

impl Illegal {
    /// With what is wrong, for a log.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Illegal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Illegal {}

/// Either of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer's.
    Malformed(Malformed),
    /// Ours.
    Illegal(Illegal),
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<Illegal> for Fault {
    fn from(error: Illegal) -> Self {
        Self::Illegal(error)
    }
}
