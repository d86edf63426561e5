//! The imports from module `corovan`, as they are: pointers, lengths, negated codes. Everything else in this crate is
//! written on top of these, and a job never needs them. `abi/corovan.h` has the same list with its errors and traps.

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
        mod elsewhere {
            use super::{Filter, Header, Part, SpawnOptions, WaitEntry};

            $($(#[doc = $doc])+
            /// # Safety
            /// Never returns, so nothing is asked of the caller.
            #[expect(clippy::allow_attributes, reason = "most imports have few arguments")]
            #[allow(clippy::too_many_arguments, reason = "as many as the interface has")]
            pub unsafe fn $name($($argument: $type),*) $(-> $result)? {
                let _ = ($($argument,)*);
                panic!(concat!("corovan_guest: `", stringify!($name), "` works only inside a Corovan node"))
            })*
        }
        #[cfg(not(target_family = "wasm"))]
        pub use elsewhere::*;
    };
}

imports! {
    /// Writes this coroutine's 32-byte address.
    fn own_address as "self"(ptr: *mut u8) -> i32;
    /// Name of the function to run; its size, written if it fits.
    fn entry(buf: *mut u8, cap: usize) -> i32;
    /// Arguments as a CBOR array; their size, written if they fit.
    fn args(buf: *mut u8, cap: usize) -> i32;
    /// Records the result, one CBOR item.
    fn finish(ptr: *const u8, len: usize) -> i32;
    /// Ends this coroutine as failed. Does not return.
    fn fail(kind: *const u8, kind_len: usize, text: *const u8, text_len: usize);
    /// Lets others run.
    fn yield_now as "yield"() -> i32;
    /// Detail of the last negative result; its size, written if it fits.
    fn last_error(buf: *mut u8, cap: usize) -> i32;
    /// Suspends for so many nanoseconds.
    fn sleep(nanoseconds: u64) -> i32;
    /// Unix time in nanoseconds.
    fn now() -> i64;
    /// Nanoseconds since the node started.
    fn monotonic() -> i64;
    /// Nanoseconds left before the deadline; `i64::MAX` where there is none.
    fn deadline() -> i64;
    /// Index of the first entry of the set that is ready.
    fn wait(set: *const WaitEntry, count: usize, timeout: u64) -> i32;
    /// Waits for resume; the size of its bytes.
    fn suspend(timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Ends another's suspend.
    fn resume(to: *const u8, bytes: *const u8, len: usize, timeout: u64) -> i32;
    /// Makes a coroutine and writes its address.
    fn spawn(function: *const u8, function_len: usize, args: *const u8, args_len: usize, options: *const SpawnOptions, out: *mut u8) -> i32;
    /// Ends another, and waits until it has ended.
    fn terminate(target: *const u8, timeout: u64) -> i32;
    /// Ends another's waiting call.
    fn interrupt(target: *const u8, reason: *const u8, reason_len: usize, timeout: u64) -> i32;
    /// One exit message will come.
    fn monitor(target: *const u8) -> i32;
    /// No exit message will come.
    fn demonitor(target: *const u8) -> i32;
    /// Waits for another's end; the size of its exit record.
    fn join(target: *const u8, timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Whether this coroutine keeps its computation open (0) or not (1).
    fn set_daemon(daemon: u32) -> i32;
    /// What another does, in CBOR; the size.
    fn status(target: *const u8, timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Asks another to go on as another function.
    fn swap(target: *const u8, module: *const u8, function: *const u8, function_len: usize, timeout: u64) -> i32;
    /// Agrees to a swap; returns only on failure.
    fn swap_point(state: *const u8, len: usize) -> i32;
    /// Declines a swap.
    fn swap_refuse(why: *const u8, len: usize) -> i32;
    /// A message later; the timer's number.
    fn send_after(delay: u64, to: *const u8, tag: u64, bytes: *const u8, len: usize) -> i64;
    /// The timer's message will not be sent.
    fn cancel_timer(timer: u64) -> i32;
    /// Puts a message into a mailbox.
    fn send(to: *const u8, tag: u64, bytes: *const u8, len: usize, timeout: u64) -> i32;
    /// The same, and waits until it is there.
    fn deliver(to: *const u8, tag: u64, bytes: *const u8, len: usize, timeout: u64) -> i32;
    /// The oldest message that the filter takes; its size.
    fn receive(timeout: u64, filter: *const Filter, message: *mut Header, buf: *mut u8, cap: usize) -> i32;
    /// Sends a message and waits for the reply; its size.
    fn request(to: *const u8, tag: u64, bytes: *const u8, len: usize, timeout: u64, message: *mut Header, buf: *mut u8, cap: usize) -> i32;
    /// Answers a request.
    fn reply(reply: u64, bytes: *const u8, len: usize) -> i32;
    /// Copies what a token stands for.
    fn take(token: u64, buf: *mut u8) -> i32;
    /// Drops what a token stands for.
    fn drop_token as "drop"(token: u64) -> i32;
    /// A log line; level 1 (error) to 5 (trace).
    fn log(level: i32, ptr: *const u8, len: usize) -> i32;
    /// How far the work has come.
    fn progress(done: u64, total: u64, ptr: *const u8, len: usize) -> i32;
}

/// Comes with a result of variable size.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Part {
    pub size: u32,
    pub reserved: u32,
    /// Where the bytes did not fit, the token to take them by.
    pub token: u64,
}

/// Comes with a message.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Header {
    pub size: u32,
    pub kind: u32,
    pub tag: u64,
    pub token: u64,
    pub reply: u64,
    pub sender: [u8; 32],
}

/// Which messages to receive.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Filter {
    pub size: u32,
    pub by: u32,
    pub tag: u64,
    pub kind: u32,
    pub reserved: u32,
    pub sender: [u8; 32],
}

impl Filter {
    pub const BY_TAG: u32 = 1;
    pub const BY_KIND: u32 = 2;
    pub const BY_SENDER: u32 = 4;
}

/// How a coroutine is made. Pointers are as wide as the guest's.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SpawnOptions {
    pub size: u32,
    pub flags: u32,
    pub module: *const u8,
    pub place: *const u8,
    pub place_len: u32,
    pub rights_len: u32,
    pub rights: *const u8,
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
    /// `value` points to a [`Filter`]; 0 takes every message.
    pub const MESSAGE: u32 = 2;
    /// `value` points to an address.
    pub const EXIT: u32 = 5;
}

const _: () = assert!(size_of::<WaitEntry>() == 32 && size_of::<Header>() == 64 && size_of::<Filter>() == 56);
#[cfg(target_family = "wasm")]
const _: () = assert!(size_of::<SpawnOptions>() == 56);
