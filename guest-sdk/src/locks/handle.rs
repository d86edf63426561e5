//! A lock of any kind, by the number that the node knows it by in this coroutine. All calls to the node are here.

use crate::error::{Error, check};
use crate::sys;

/// An open lock; closed when dropped, which releases what is held through it.
#[derive(Debug)]
pub struct Handle(u32);

/// As the node numbers them.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Kind {
    Lock = 1,
    ReentrantLock = 2,
    Event = 3,
    Condition = 4,
    Semaphore = 5,
}

impl Handle {
    pub fn open(kind: Kind, name: &str, value: u32) -> Result<Handle, Error> {
        // SAFETY: the node reads a string by its pointer and length.
        check(unsafe { sys::lock_open(kind as u32, name.as_ptr(), name.len(), value) })
            .map(|handle| Handle(handle as u32))
    }

    pub fn acquire(&self, limit: u64) -> Result<(), Error> {
        // SAFETY: takes numbers; the handle is open.
        check(unsafe { sys::lock_acquire(self.0, limit) }).map(drop)
    }

    pub fn release(&self) -> Result<(), Error> {
        // SAFETY: takes a number; the handle is open.
        check(unsafe { sys::lock_release(self.0) }).map(drop)
    }

    pub fn wait(&self, limit: u64) -> Result<(), Error> {
        // SAFETY: takes numbers; the handle is open.
        check(unsafe { sys::lock_wait(self.0, limit) }).map(drop)
    }

    pub fn notify(&self, n: u32) -> Result<usize, Error> {
        // SAFETY: takes numbers; the handle is open.
        check(unsafe { sys::lock_notify(self.0, n) })
    }

    pub fn set(&self) -> Result<(), Error> {
        // SAFETY: takes a number; the handle is open.
        check(unsafe { sys::lock_set(self.0) }).map(drop)
    }

    pub fn clear(&self) -> Result<(), Error> {
        // SAFETY: takes a number; the handle is open.
        check(unsafe { sys::lock_clear(self.0) }).map(drop)
    }

    pub fn is_set(&self) -> Result<bool, Error> {
        // SAFETY: takes a number; the handle is open.
        check(unsafe { sys::lock_is_set(self.0) }).map(|set| set != 0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: takes a number; the handle is open, and not used again. It has no errors.
        unsafe { sys::lock_close(self.0) };
    }
}
