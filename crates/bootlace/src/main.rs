//! The `bootlace` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootlace::cli::main()
}
