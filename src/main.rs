//! The `deputize` command: arguments in, the library's answers out.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What one thread reads, another one sorts and a third one prints: with the system's allocator they wait for each other.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
