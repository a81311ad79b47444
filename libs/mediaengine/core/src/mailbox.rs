//! A queue whose reader sleeps on a descriptor: one wake-up a batch, not one an item.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::EventFd;

/// Many writers, one reader. Nothing is woken until [`Mailbox::notify`].
pub struct Mailbox<T> {
    items: Mutex<Vec<T>>,
    signal: EventFd,
    is_raised: AtomicBool,
}

impl<T> Mailbox<T> {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            items: Mutex::new(Vec::new()),
            signal: EventFd::new()?,
            is_raised: AtomicBool::new(false),
        })
    }

    pub fn push(&self, item: T) {
        self.lock().push(item);
    }

    /// Wakes the reader if there is something to read and it was not woken already.
    pub fn notify(&self) {
        if !self.lock().is_empty() && !self.is_raised.swap(true, Ordering::AcqRel) {
            self.signal.raise();
        }
    }

    /// Whether the reader was notified and has not taken since.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Acquire)
    }

    /// Takes everything. The signal is lowered first: what is pushed later raises it again.
    pub fn take(&self) -> Vec<T> {
        // Always, though not marked as raised: a writer marks first and raises a moment later.
        self.signal.clear();
        self.is_raised.store(false, Ordering::Release);
        std::mem::take(&mut *self.lock())
    }

    pub fn fd(&self) -> RawFd {
        self.signal.as_raw_fd()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Epoll, ready_list};

    fn is_readable(mailbox: &Mailbox<u32>) -> bool {
        let epoll = Epoll::new().unwrap();
        epoll.add(mailbox.fd(), 1).unwrap();
        epoll.wait(&mut ready_list(1), 0).unwrap() == 1
    }

    #[test]
    fn reader_is_woken_by_notify_only_and_once_a_batch() {
        let mailbox = Mailbox::new().unwrap();
        mailbox.notify();
        assert!(!is_readable(&mailbox), "nothing to read");
        mailbox.push(1);
        assert!(!is_readable(&mailbox), "not notified");
        mailbox.notify();
        mailbox.push(2);
        mailbox.notify();
        assert!(is_readable(&mailbox));
        assert_eq!(mailbox.take(), [1, 2]);
        assert!(!is_readable(&mailbox));
        mailbox.push(3);
        mailbox.notify();
        assert!(is_readable(&mailbox), "raised anew");
    }
}
