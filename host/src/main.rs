//! The `corovan` binary.

/// A coroutine is some forty allocations and a message four, made on one thread and freed on another as often as not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    corovan::cli::main()
}
