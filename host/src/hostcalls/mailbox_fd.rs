//! The mailbox as a WASI descriptor: readable when `receive` would not wait. A language runtime that waits in `poll_oneoff`
//! alone, such as Go's, serves messages beside its own timers by it. It carries no bytes of messages: those are `receive`'s.

use super::wasi::{EAGAIN, FDFLAGS_NONBLOCK, FDSTAT, RIGHTS_FD_READ, RIGHTS_POLL};
use crate::runtime::{Control, Coroutine, mail};

/// Far above the standard streams and whatever files a program may be given, which are numbered from 3.
pub const MAILBOX_FD: u32 = 64;

/// `mailbox_fd`: opens it where it is not open. The same number every time.
pub fn open(coroutine: &mut Coroutine) -> i32 {
    coroutine.mailbox_open = true;
    MAILBOX_FD.cast_signed()
}

pub fn is_open(coroutine: &Coroutine, fd: u32) -> bool {
    fd == MAILBOX_FD && coroutine.mailbox_open
}

/// A `receive` of any message would give one, or `interrupted`: an interrupt that nobody sees would be none. If not, the
/// coroutine is woken when that changes.
pub fn is_readable(control: &Control) -> bool {
    control.is_interrupted() || mail::poll_message(control, &Default::default())
}

/// `fd_read`: a byte that means nothing, and the message stays; for runtimes that learn only by reading that they may go on.
pub fn read(coroutine: &Coroutine) -> Result<&'static [u8], u16> {
    if is_readable(&coroutine.control) { Ok(&[0]) } else { Err(EAGAIN) }
}

/// `fd_fdstat_get`: it never waits, which is what runtimes ask before they poll a descriptor.
pub fn stat() -> [u8; FDSTAT] {
    let mut stat = [0; FDSTAT];
    stat[2..4].copy_from_slice(&FDFLAGS_NONBLOCK.to_le_bytes());
    stat[8..16].copy_from_slice(&(RIGHTS_FD_READ | RIGHTS_POLL).to_le_bytes());
    stat
}
