//! The command line.

mod cli;

/// Reports are many small pieces: with the system's allocator half of the reporter's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
