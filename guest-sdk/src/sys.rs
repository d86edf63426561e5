//! The imports from module `corovan`, as they are: pointers, lengths, negated codes. Everything else in this crate is
//! written on top of these, and a job never needs them. `abi/corovan.h` has the same list with its errors and traps.
//!
//! A job imports those it uses and no others: the linker leaves out what nothing calls.

macro_rules! imports {
    ($($(#[doc = $doc:literal])+ fn $name:ident $(as $import:literal)? ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        #[cfg(target_family = "wasm")]
        #[link(wasm_import_module = "corovan")]
        unsafe extern "C" {
            $($(#[doc = $doc])+ $(#[link_name = $import])? pub fn $name($($argument: $type),*) $(-> $result)?;)*
        }

        // A job is compiled for a node; elsewhere these exist so that a workspace with jobs in it can be checked,
        // documented and tested with the ordinary commands.
        #[cfg(not(target_family = "wasm"))]
        #[allow(clippy::too_many_arguments, reason = "the interface is what it is")]
        mod elsewhere {
            #[allow(unused_imports, reason = "not every part of the list takes structs")]
            use super::*;

            $($(#[doc = $doc])+
            /// # Safety
            /// Never returns, so nothing is asked of the caller.
            pub unsafe fn $name($($argument: $type),*) $(-> $result)? {
                let _ = ($($argument,)*);
                panic!(concat!("corovan_guest: `", stringify!($name), "` works only inside a Corovan node"))
            })*
        }
        #[cfg(not(target_family = "wasm"))]
        pub use elsewhere::*;
    };
}

mod lifecycle;
mod messaging;
mod shared;
mod time;

pub use lifecycle::*;
pub use messaging::*;
pub use shared::*;
pub use time::*;

use crate::address::Address;

/// One thing to wait for: 32 bytes, little-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WaitEntry {
    pub kind: u32,
    pub handle: u32,
    pub value: u64,
    pub value2: u64,
    /// Zero.
    pub reserved: u64,
}

impl WaitEntry {
    /// `value` is a time of the monotonic clock, in nanoseconds.
    pub const TIMER: u32 = 1;
    /// `value` is a pointer to a [`Filter`], or 0 for every message.
    pub const MESSAGE: u32 = 2;
    /// `value` is a pointer to an address.
    pub const EXIT: u32 = 5;
}

/// What comes with a result of variable size: 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Part {
    pub size: u32,
    pub reserved: u32,
    /// Where the result did not fit, what it is taken by; else 0.
    pub token: u64,
}

/// What comes with a message: 64 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MessageHead {
    pub size: u32,
    pub kind: u32,
    pub tag: u64,
    /// Of the bytes, where they did not fit; else 0.
    pub token: u64,
    /// Answers it; 0 where no reply is awaited.
    pub reply: u64,
    pub sender: [u8; Address::SIZE],
}

impl MessageHead {
    /// For the node to write to.
    pub const EMPTY: MessageHead =
        MessageHead { size: 0, kind: 0, tag: 0, token: 0, reply: 0, sender: [0; Address::SIZE] };
}

/// Which messages to receive: 56 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Filter {
    /// 56.
    pub size: u32,
    /// Sum of the `BY_` constants.
    pub by: u32,
    pub tag: u64,
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    pub sender: [u8; Address::SIZE],
}

impl Filter {
    pub const BY_TAG: u32 = 1;
    pub const BY_KIND: u32 = 2;
    pub const BY_SENDER: u32 = 4;
}

/// Options of `spawn`: 56 bytes in a job.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SpawnOptions {
    /// 56.
    pub size: u32,
    /// Sum of the constants below.
    pub flags: u32,
    /// 32 bytes, or null.
    pub module: *const u8,
    pub place: *const u8,
    pub place_len: u32,
    pub rights_len: u32,
    /// A CBOR array of text, or null.
    pub rights: *const u8,
    /// Zero.
    pub reserved: u32,
    pub timeout: u64,
    pub deadline: u64,
    pub memory: u64,
}

impl SpawnOptions {
    pub const DAEMON: u32 = 1;
    pub const MONITOR: u32 = 2;
    pub const LINK: u32 = 4;
    pub const ANYWHERE: u32 = 8;
}

const _: () = assert!(size_of::<WaitEntry>() == 32);
const _: () = assert!(size_of::<Part>() == 16);
const _: () = assert!(size_of::<MessageHead>() == 64);
const _: () = assert!(size_of::<Filter>() == 56);
#[cfg(target_family = "wasm")]
const _: () = assert!(size_of::<SpawnOptions>() == 56);
