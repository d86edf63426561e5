//! A mailbox behind its lock, and beside the lock whether its coroutine is registered for the next letter: then there is
//! none, and a coroutine that wants one waits without a look.
//!
//! A coroutine is registered when it takes its last letter, not when it next asks for one. Whoever locks the mailbox takes
//! the mark away first and puts it back if nothing has come; who puts a letter in wakes after that. So a coroutine that sees
//! the mark and waits is either not written to yet, or woken after it began to look, and is polled again.

use super::post::Post;
use corovan_core::tenancy::quota::Ledger;
use spin::mutex::{SpinMutex, SpinMutexGuard};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One coroutine's.
#[derive(Debug)]
pub(super) struct Postbox {
    /// Whoever has it is done in a fraction of a microsecond, mostly; a lock that keeps no list of those who wait is given
    /// back by a plain store.
    post: SpinMutex<Post, spin::Yield>,
    awaited: AtomicBool,
}

/// The mailbox, locked.
pub(super) struct Open<'a> {
    post: SpinMutexGuard<'a, Post>,
    awaited: &'a AtomicBool,
}

/// About a microsecond, some ten times as long as a message is in hand: less than giving up the CPU takes.
const SPINS: u32 = 50;

impl Postbox {
    pub fn new(ledger: &Arc<Ledger>) -> Postbox {
        Postbox { post: SpinMutex::new(Post::new(ledger)), awaited: AtomicBool::new(false) }
    }

    #[inline]
    pub fn lock(&self) -> Open<'_> {
        for _ in 0..SPINS {
            if let Some(post) = self.post.try_lock() {
                return Open::new(post, &self.awaited);
            }
            std::hint::spin_loop();
        }
        Open::new(self.post.lock(), &self.awaited)
    }

    /// There is no letter, and the next wakes the coroutine. For the coroutine alone.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Acquire)
    }
}

impl<'a> Open<'a> {
    #[inline]
    fn new(post: SpinMutexGuard<'a, Post>, awaited: &'a AtomicBool) -> Open<'a> {
        // Written under the lock alone, so this needs no locked instruction.
        if awaited.load(Ordering::Relaxed) {
            awaited.store(false, Ordering::Relaxed);
        }
        Open { post, awaited }
    }
}

impl Deref for Open<'_> {
    type Target = Post;

    #[inline]
    fn deref(&self) -> &Post {
        &self.post
    }
}

impl DerefMut for Open<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Post {
        &mut self.post
    }
}

impl Drop for Open<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.post.mailbox.is_awaited() {
            self.awaited.store(true, Ordering::Release);
        }
    }
}
