//! The command line.

mod cli;

use std::process::ExitCode;

use tailwater::arch::processor;

/// Reports are many small pieces: with the system's allocator half of the reporter's time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(lacking) = processor::lacking() {
        processor::tell(lacking);
        return ExitCode::FAILURE;
    }
    cli::main()
}
