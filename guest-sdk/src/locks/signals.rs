//! What several may pass: events that let all through once set, semaphores that let so many through at a time.

use super::handle::{Handle, Kind};
use crate::error::Error;
use crate::time::timeout;
use std::time::Duration;

/// A flag to wait for. While it is set nobody waits.
///
/// ```no_run
/// use corovan_guest::locks::Event;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let ready = Event::open("ready")?;
/// ready.wait(None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Event {
    handle: Handle,
}

/// A number of permits, of which each holder has one.
///
/// ```no_run
/// use corovan_guest::locks::Semaphore;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let downloads = Semaphore::open("downloads", 4)?;
/// let _permit = downloads.acquire(None)?;
/// // ... at most four of this computation are here ...
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Semaphore {
    handle: Handle,
}

/// One of a semaphore's permits; given back when dropped.
#[derive(Debug)]
#[must_use = "dropped at once, it is given back at once"]
pub struct Permit<'a> {
    handle: &'a Handle,
}

impl Event {
    /// Makes, not set, or finds the event of this name.
    ///
    /// # Errors
    /// `invalid` for the name (1 to 128 bytes), or when it is of another kind; `overloaded`.
    pub fn open(name: &str) -> Result<Event, Error> {
        Handle::open(Kind::Event, name, 0).map(|handle| Event { handle })
    }

    /// Sets it, and wakes all who wait.
    ///
    /// # Errors
    /// None that a program can cause.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// corovan_guest::locks::Event::open("ready")?.set()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set(&self) -> Result<(), Error> {
        self.handle.set()
    }

    /// Whoever waits from now on waits until it is set again.
    ///
    /// # Errors
    /// None that a program can cause.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// corovan_guest::locks::Event::open("ready")?.clear()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.clear()
    }

    /// Whether it is set.
    ///
    /// # Errors
    /// None that a program can cause.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let is_ready = corovan_guest::locks::Event::open("ready")?.is_set()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_set(&self) -> Result<bool, Error> {
        self.handle.is_set()
    }

    /// Waits until it is set; at once if it is.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Event;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Event::open("ready")?.wait(Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        self.handle.wait(timeout(limit))
    }
}

impl Semaphore {
    /// Makes the semaphore of this name with so many permits, or finds it as it is.
    ///
    /// # Errors
    /// `invalid` for the name (1 to 128 bytes), or when it is of another kind; `overloaded`.
    pub fn open(name: &str, permits: u32) -> Result<Semaphore, Error> {
        Handle::open(Kind::Semaphore, name, permits).map(|handle| Semaphore { handle })
    }

    /// Waits for its turn, and takes a permit.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Semaphore;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let downloads = Semaphore::open("downloads", 4)?;
    /// let permit = downloads.acquire(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self, limit: impl Into<Option<Duration>>) -> Result<Permit<'_>, Error> {
        self.handle.acquire(timeout(limit)).map(|()| Permit { handle: &self.handle })
    }

    /// Gives back a permit that was [kept](Permit::keep).
    ///
    /// # Errors
    /// `not-held` when this coroutine has none.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Semaphore;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let places = Semaphore::open("places", 10)?;
    /// places.acquire(None)?.keep();
    /// // ... much later ...
    /// places.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(&self) -> Result<(), Error> {
        self.handle.release()
    }
}

impl Permit<'_> {
    /// Keeps it until [`Semaphore::release`], or until this coroutine or its [`Semaphore`] is no more.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// Gives it back, as dropping does, and says whether that was so.
    ///
    /// # Errors
    /// `not-held` when it was not held.
    ///
    /// ```no_run
    /// use corovan_guest::locks::Semaphore;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Semaphore::open("downloads", 4)?.acquire(None)?.release()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(self) -> Result<(), Error> {
        let released = self.handle.release();
        std::mem::forget(self);
        released
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Where it is not held any more there is nothing to give back.
        let _ = self.handle.release();
    }
}
