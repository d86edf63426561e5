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
            use super::WaitEntry;

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
    /// A log line; level 1 (error) to 5 (trace).
    fn log(level: i32, ptr: *const u8, len: usize) -> i32;
    /// How far the work has come.
    fn progress(done: u64, total: u64, ptr: *const u8, len: usize) -> i32;
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
}

const _: () = assert!(size_of::<WaitEntry>() == 32);
