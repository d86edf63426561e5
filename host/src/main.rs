//! The `corovan` binary.

fn main() -> std::process::ExitCode {
    corovan::cli::main()
}
