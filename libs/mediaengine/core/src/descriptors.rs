//! How many more sockets the process may open: capacity, as much as ports are.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::descriptor_limit;

const OPEN: &str = "/proc/self/fd";
/// Left to whatever else the process does.
const SPARE: usize = 64;

/// The process's descriptors, seen from the media engine.
pub struct Descriptors {
    /// Those that are not the engine's, when they were counted last.
    others: AtomicUsize,
}

impl Descriptors {
    /// Counts what is open now.
    pub fn new() -> Self {
        let listed = fs::read_dir(OPEN).map_or(0, Iterator::count);
        Self {
            others: AtomicUsize::new(told().unwrap_or(listed)),
        }
    }

    /// Counts those of others again, where that costs little, when the engine has `own`.
    pub fn recount(&self, own: usize) {
        if let Some(all) = told() {
            self.others
                .store(all.saturating_sub(own), Ordering::Relaxed);
        }
    }

    /// How many the engine may still take, when it has `own`.
    pub fn free(&self, own: usize) -> usize {
        let used = self.others.load(Ordering::Relaxed) + own;
        descriptor_limit().saturating_sub(used + SPARE)
    }
}

/// Linux 6.2 and later tell the number of open descriptors as the size of the folder.
fn told() -> Option<usize> {
    let size = fs::metadata(OPEN).ok()?.len();
    usize::try_from(size).ok().filter(|&size| size > 0)
}

/// Whether an error says that the process or the machine has no room for another socket.
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_later_try_may_cure_is_exhaustion() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS] {
            assert!(is_exhaustion(&io::Error::from_raw_os_error(code)));
        }
        assert!(!is_exhaustion(&io::Error::from_raw_os_error(libc::EACCES)));
    }

    #[test]
    fn what_is_kept_for_others_is_not_free() {
        let descriptors = Descriptors {
            others: AtomicUsize::new(7),
        };
        assert_eq!(descriptors.free(3), descriptor_limit() - 10 - SPARE);
        assert_eq!(descriptors.free(descriptor_limit()), 0);
    }
}
