//! What one coroutine holds at a time: locks, locks that their holder may take again, conditions.

use super::handle::{Handle, Kind};
use crate::error::Error;
use crate::time::timeout;
use std::time::Duration;

/// A lock. Its holder cannot take it a second time: see [`ReentrantLock`].
///
/// ```no_run
/// use corovan_guest::locks::Lock;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let ledger = Lock::open("ledger")?;
/// {
///     let _held = ledger.acquire(None)?;
///     // ... nobody else of this computation is here ...
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lock {
    handle: Handle,
}

/// A lock that its holder may take again; it is free when as many guards are dropped.
///
/// ```no_run
/// use corovan_guest::locks::ReentrantLock;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let ledger = ReentrantLock::open("ledger")?;
/// let outer = ledger.acquire(None)?;
/// let inner = ledger.acquire(None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReentrantLock {
    handle: Handle,
}

/// A lock with a place to wait in: its holder gives it up to wait for others to say that something has changed.
///
/// ```no_run
/// use corovan_guest::locks::Condition;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # fn is_ready() -> bool { true }
/// let changed = Condition::open("table")?;
/// let held = changed.acquire(None)?;
/// while !is_ready() {
///     held.wait(None)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Condition {
    handle: Handle,
}

/// What is held; released when dropped.
#[derive(Debug)]
#[must_use = "dropped at once, it is released at once"]
pub struct Guard<'a> {
    handle: &'a Handle,
}

/// A condition that is held; released when dropped.
#[derive(Debug)]
#[must_use = "dropped at once, it is released at once"]
pub struct ConditionGuard<'a> {
    guard: Guard<'a>,
}

impl Lock {
    /// Makes or finds the lock of this name.
    ///
    /// # Errors
    /// `invalid` for the name (1 to 128 bytes), or when it is of another kind; `overloaded`.
    pub fn open(name: &str) -> Result<Lock, Error> {
        Handle::open(Kind::Lock, name, 0).map(|handle| Lock { handle })
    }

    /// Waits for its turn, and holds it.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Lock;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let ledger = Lock::open("ledger")?;
    /// let held = ledger.acquire(Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self, limit: impl Into<Option<Duration>>) -> Result<Guard<'_>, Error> {
        Guard::acquire(&self.handle, timeout(limit))
    }
}

impl ReentrantLock {
    /// Makes or finds the lock of this name.
    ///
    /// # Errors
    /// `invalid` for the name (1 to 128 bytes), or when it is of another kind; `overloaded`.
    pub fn open(name: &str) -> Result<ReentrantLock, Error> {
        Handle::open(Kind::ReentrantLock, name, 0).map(|handle| ReentrantLock { handle })
    }

    /// Waits for its turn, unless it is held already, and holds it once more.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::ReentrantLock;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let ledger = ReentrantLock::open("ledger")?;
    /// let held = ledger.acquire(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self, limit: impl Into<Option<Duration>>) -> Result<Guard<'_>, Error> {
        Guard::acquire(&self.handle, timeout(limit))
    }
}

impl Condition {
    /// Makes or finds the condition of this name.
    ///
    /// # Errors
    /// `invalid` for the name (1 to 128 bytes), or when it is of another kind; `overloaded`.
    pub fn open(name: &str) -> Result<Condition, Error> {
        Handle::open(Kind::Condition, name, 0).map(|handle| Condition { handle })
    }

    /// Waits for its turn, and holds its lock.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Condition;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let table = Condition::open("table")?;
    /// let held = table.acquire(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self, limit: impl Into<Option<Duration>>) -> Result<ConditionGuard<'_>, Error> {
        Guard::acquire(&self.handle, timeout(limit)).map(|guard| ConditionGuard { guard })
    }
}

impl<'a> Guard<'a> {
    fn acquire(handle: &'a Handle, limit: u64) -> Result<Guard<'a>, Error> {
        handle.acquire(limit).map(|()| Guard { handle })
    }

    /// Releases it, as dropping does, and says whether that was so.
    ///
    /// # Errors
    /// `not-held` when it was not.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Lock;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Lock::open("ledger")?.acquire(None)?.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(self) -> Result<(), Error> {
        let released = self.handle.release();
        std::mem::forget(self);
        released
    }
}

impl ConditionGuard<'_> {
    /// Gives the lock up, waits to be notified, and takes it again. It is held again however this ends.
    ///
    /// # Errors
    /// `timeout`; `interrupted`; `not-held`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Condition;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Condition::open("table")?.acquire(None)?.wait(Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        self.guard.handle.wait(timeout(limit))
    }

    /// Wakes so many of those who wait, the first first; gives how many there were. They go on one after the other, as each
    /// gets the lock.
    ///
    /// # Errors
    /// `not-held`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Condition;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let woken = Condition::open("table")?.acquire(None)?.notify(1)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify(&self, n: u32) -> Result<usize, Error> {
        self.guard.handle.notify(n)
    }

    /// Wakes all who wait.
    ///
    /// # Errors
    /// `not-held`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Condition;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let woken = Condition::open("table")?.acquire(None)?.notify_all()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify_all(&self) -> Result<usize, Error> {
        self.guard.handle.notify(u32::MAX)
    }

    /// Releases it, as dropping does, and says whether that was so.
    ///
    /// # Errors
    /// `not-held` when it was not.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Condition;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Condition::open("table")?.acquire(None)?.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(self) -> Result<(), Error> {
        self.guard.release()
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Where it is not held any more there is nothing to release.
        let _ = self.handle.release();
    }
}
