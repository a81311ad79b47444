//! What can be wrong with a file, or with what is asked for.

use std::borrow::Cow;
use std::fmt;

/// Why bytes cannot be read, or written as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The bytes end too early: at least so many are needed, counted from the first one.
    Truncated {
        /// Bytes from the start.
        needed: u64,
    },
    /// The bytes break their format.
    Malformed(Cow<'static, str>),
    /// The format allows it, but it is not read here.
    Unsupported(Cow<'static, str>),
    /// More samples than the caller allows.
    TooLong {
        /// The limit, in samples of one channel.
        limit: usize,
    },
    /// The caller's own values make no sense.
    Invalid(Cow<'static, str>),
}

impl StoreError {
    /// The bytes break their format.
    pub fn malformed(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(what.into())
    }

    /// The format allows it, but it is not read here.
    pub fn unsupported(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported(what.into())
    }

    /// The caller's own values make no sense.
    pub fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(what.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed } => write!(out, "at least {needed} bytes are needed"),
            Self::TooLong { limit } => write!(out, "more than {limit} samples"),
            Self::Malformed(what) | Self::Unsupported(what) | Self::Invalid(what) => {
                out.write_str(what)
            }
        }
    }
}

impl std::error::Error for StoreError {}
