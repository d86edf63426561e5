//! The WASI preview1 functions that are ours: everything that waits, descriptors 0 to 2, and the mailbox's. wasmtime-wasi's own wait
//! needs a tokio thread and its timer; ours suspend the coroutine, are back-pressured, and follow the node's clock.
//!
//! WASI calls are not interrupted by `interrupt`: runtimes do not expect it. The interrupt stays pending.

use super::lifecycle::yield_now;
use super::mailbox_fd;
use super::memory::{read, with, write};
use super::poll;
use super::time::u32_at;
use crate::runtime::stdio::Stream;
use crate::runtime::{Coroutine, Ended};
use bytes::Bytes;
use corovan_core::limits;
use std::sync::Arc;
use wasmtime::{Caller, Linker};

pub const ERRNO_SUCCESS: u16 = 0;
pub const EAGAIN: u16 = 6;
pub const EBADF: u16 = 8;
pub const EINVAL: u16 = 28;
pub const ENOTSUP: u16 = 58;
/// Size of an fdstat in guest memory, and what stands in it.
pub const FDSTAT: usize = 24;
pub const FDFLAGS_NONBLOCK: u16 = 1 << 2;
pub const RIGHTS_FD_READ: u64 = 1 << 1;
pub const RIGHTS_POLL: u64 = 1 << 27;

const MODULE: &str = "wasi_snapshot_preview1";
/// Buffers one read or write may name (Linux's IOV_MAX).
const MAX_IOVECS: u32 = 1024;
/// Size of an iovec in guest memory.
const IOVEC: u32 = 8;
const FILETYPE_UNKNOWN: u8 = 0;
const FILETYPE_CHARACTER_DEVICE: u8 = 2;
const RIGHTS_FD_WRITE: u64 = 1 << 6;

type Guest<'a> = Caller<'a, Coroutine>;

/// Replaces those functions in a linker that already has wasmtime-wasi's.
pub fn add_to_linker(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "sched_yield", |_: Guest<'_>, (): ()| {
        Box::new(async {
            yield_now().await;
            i32::from(ERRNO_SUCCESS)
        })
    })?;
    linker.func_wrap(MODULE, "proc_exit", |_: Guest<'_>, code: u32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Ended::Exit(code)))
    })?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |guest: Guest<'_>, (subscriptions, events, n, nevents): (u32, u32, u32, u32)| {
            Box::new(poll_oneoff(guest, subscriptions, events, n, nevents))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |guest: Guest<'_>, (fd, iovecs, n, written): (u32, u32, u32, u32)| {
            Box::new(fd_write(guest, fd, iovecs, n, written))
        },
    )?;
    linker.func_wrap_async(MODULE, "fd_read", |guest: Guest<'_>, (fd, iovecs, n, got): (u32, u32, u32, u32)| {
        Box::new(fd_read(guest, fd, iovecs, n, got))
    })?;
    linker.func_wrap(MODULE, "fd_close", |mut guest: Guest<'_>, fd: u32| {
        match fd {
            _ if !is_open(&guest, fd) => return i32::from(EBADF),
            mailbox_fd::MAILBOX_FD => guest.data_mut().mailbox_open = false,
            stream => guest.data_mut().closed |= 1 << stream,
        }
        i32::from(ERRNO_SUCCESS)
    })?;
    linker.func_wrap(MODULE, "fd_renumber", |guest: Guest<'_>, from: u32, to: u32| {
        // There is nothing but the standard streams and the mailbox, and those keep their places.
        i32::from(if is_open(&guest, from) && is_open(&guest, to) { ENOTSUP } else { EBADF })
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |guest: Guest<'_>, fd: u32, flags: u32| {
        // A runtime may set what the mailbox's already is; how the standard streams wait is not to be chosen.
        let is_mailbox = mailbox_fd::is_open(guest.data(), fd);
        i32::from(match flags {
            _ if !is_mailbox => EBADF,
            flags if flags == u32::from(FDFLAGS_NONBLOCK) => ERRNO_SUCCESS,
            _ => ENOTSUP,
        })
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |mut guest: Guest<'_>, fd: u32, ptr: u32| {
        fd_fdstat_get(&mut guest, fd, ptr)
    })?;
    Ok(())
}

async fn poll_oneoff(
    mut guest: Guest<'_>,
    subscriptions: u32,
    events: u32,
    n: u32,
    nevents: u32,
) -> wasmtime::Result<i32> {
    if n == 0 || n > limits::WAIT_SET as u32 {
        return Ok(i32::from(EINVAL));
    }
    let parsed = with(&mut guest, subscriptions, n * poll::SUBSCRIPTION, poll::parse)?;
    let data = guest.data();
    let scheduler = data.runtime.scheduler.clone();
    let streams = poll::Streams {
        control: Arc::clone(&data.control),
        observer: Arc::clone(&data.observer),
        closed: data.closed,
        mailbox: data.mailbox_open,
    };
    let happened = poll::wait(scheduler, streams, &parsed).await;
    write(&mut guest, events, &happened)?;
    write(&mut guest, nevents, &((happened.len() / poll::EVENT) as u32).to_le_bytes())?;
    Ok(i32::from(ERRNO_SUCCESS))
}

/// Writes what there is room for, at least one byte; waits while the output buffer is full.
async fn fd_write(mut guest: Guest<'_>, fd: u32, iovecs: u32, n: u32, written: u32) -> wasmtime::Result<i32> {
    let stream = match fd {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return Ok(i32::from(EBADF)),
    };
    if !is_open(&guest, fd) {
        return Ok(i32::from(EBADF));
    }
    if n > MAX_IOVECS {
        return Ok(i32::from(EINVAL));
    }
    let mut data = Vec::new();
    for (ptr, len) in read_iovecs(&mut guest, iovecs, n)? {
        // More than a buffer full is never taken at once, so it is not copied either.
        let len = len.min((limits::OUTPUT_BUFFER - data.len()) as u32);
        with(&mut guest, ptr, len, |bytes| data.extend_from_slice(bytes))?;
        if data.len() == limits::OUTPUT_BUFFER {
            break;
        }
    }
    let observer = Arc::clone(&guest.data().observer);
    let (taken, was_empty) = std::future::poll_fn(|cx| observer.output().poll_write(cx, stream, &data)).await;
    if was_empty {
        observer.output_ready();
    }
    write(&mut guest, written, &(taken as u32).to_le_bytes())?;
    Ok(i32::from(ERRNO_SUCCESS))
}

/// Reads what is there, at least one byte; waits while there is none; 0 at the end.
async fn fd_read(mut guest: Guest<'_>, fd: u32, iovecs: u32, n: u32, got: u32) -> wasmtime::Result<i32> {
    if !matches!(fd, 0 | mailbox_fd::MAILBOX_FD) || !is_open(&guest, fd) {
        return Ok(i32::from(EBADF));
    }
    if n > MAX_IOVECS {
        return Ok(i32::from(EINVAL));
    }
    let buffers = read_iovecs(&mut guest, iovecs, n)?;
    let room = buffers.iter().map(|(_, len)| *len as usize).sum::<usize>().min(limits::STDIN_BUFFER);
    let control = Arc::clone(&guest.data().control);
    let data = match fd {
        0 => std::future::poll_fn(|cx| control.input().poll_read(cx, room)).await,
        _ => match mailbox_fd::read(guest.data()) {
            Ok(bytes) => Bytes::from_static(bytes).slice(..room.min(bytes.len())),
            Err(errno) => return Ok(i32::from(errno)),
        },
    };
    let mut rest = &data[..];
    for (ptr, len) in buffers {
        let (part, after) = rest.split_at(rest.len().min(len as usize));
        write(&mut guest, ptr, part)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    write(&mut guest, got, &(data.len() as u32).to_le_bytes())?;
    Ok(i32::from(ERRNO_SUCCESS))
}

fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, ptr: u32) -> wasmtime::Result<i32> {
    if !is_open(guest, fd) {
        return Ok(i32::from(EBADF));
    }
    if fd == mailbox_fd::MAILBOX_FD {
        write(guest, ptr, &mailbox_fd::stat())?;
        return Ok(i32::from(ERRNO_SUCCESS));
    }
    let terminal = guest.data().program.terminals & 1 << fd != 0;
    let rights = RIGHTS_POLL | if fd == 0 { RIGHTS_FD_READ } else { RIGHTS_FD_WRITE };
    let mut stat = [0; FDSTAT];
    stat[0] = if terminal { FILETYPE_CHARACTER_DEVICE } else { FILETYPE_UNKNOWN };
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    write(guest, ptr, &stat)?;
    Ok(i32::from(ERRNO_SUCCESS))
}

fn read_iovecs(guest: &mut Guest<'_>, iovecs: u32, n: u32) -> wasmtime::Result<Vec<(u32, u32)>> {
    let bytes = read(guest, iovecs, n * IOVEC)?;
    Ok(bytes.chunks_exact(IOVEC as usize).map(|iovec| (u32_at(iovec, 0), u32_at(iovec, 4))).collect())
}

fn is_open(guest: &Guest<'_>, fd: u32) -> bool {
    fd < 3 && guest.data().closed & 1 << fd == 0 || mailbox_fd::is_open(guest.data(), fd)
}
