//! The client as a program of its own: the tests run it on a terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    sessile_cli::run("redis-cli", std::env::args_os().skip(1).collect(), Vec::new)
}
