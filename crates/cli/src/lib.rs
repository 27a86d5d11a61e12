//! The command-line client: `redis-cli`'s options, output and exit codes, over one blocking connection.
//!
//! [`run`] is the program; [`run_on`] is the same on streams that the caller chooses, which is how the tests
//! compare it with the original.

#![forbid(unsafe_code)]

mod connection;
mod format;
mod options;
mod repl;
mod session;

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    os::unix::ffi::OsStringExt,
    process::ExitCode,
};

use crate::{
    options::{Options, Parsed},
    session::Session,
};

/// The Redis version whose client this one behaves as.
const REDIS_VERSION: &str = "7.2.4";

/// What the client talks to its user through.
pub struct Console<'a> {
    /// Commands, one a line, or the last argument (`-x`).
    pub stdin: Box<dyn BufRead + 'a>,
    /// Replies.
    pub stdout: Box<dyn Write + 'a>,
    /// Warnings, and failures of the client itself.
    pub stderr: Box<dyn Write + 'a>,
    /// Whether someone types: a prompt is shown.
    pub stdin_is_terminal: bool,
    /// Whether someone reads: replies are shown with their types.
    pub stdout_is_terminal: bool,
    /// The password from `REDISCLI_AUTH`.
    pub auth: Option<Vec<u8>>,
}

/// Runs the client with `args`, the program's name not included. It goes by `program_name` in its messages.
pub fn run(program_name: &str, args: Vec<OsString>) -> ExitCode {
    let console = Console {
        stdin: Box::new(io::stdin().lock()),
        stdout: Box::new(io::stdout().lock()),
        stderr: Box::new(io::stderr()),
        stdin_is_terminal: io::stdin().is_terminal(),
        stdout_is_terminal: io::stdout().is_terminal() || env::var_os("FAKETTY").is_some(),
        auth: env::var_os("REDISCLI_AUTH").map(OsString::into_vec),
    };
    let args = args.into_iter().map(OsString::into_vec).collect();
    ExitCode::from(run_on(console, program_name, args))
}

/// Runs the client on `console`; gives its exit code.
pub fn run_on(mut console: Console<'_>, program_name: &str, args: Vec<Vec<u8>>) -> u8 {
    let stop = match options::parse(args, console.stdout_is_terminal) {
        Ok(Parsed::Run(options)) => match start(console, program_name, *options) {
            Ok(code) => return code,
            // The reader is gone (`| head`): nobody is left to tell.
            Err(_) => return 1,
        },
        Ok(Parsed::Help) => (writeln!(console.stdout, "{}", options::usage(program_name)), 0),
        Ok(Parsed::Version) => (
            writeln!(
                console.stdout,
                "{program_name} {REDIS_VERSION} (sessile {})",
                env!("CARGO_PKG_VERSION")
            ),
            0,
        ),
        Err(error) => (writeln!(console.stderr, "{error}"), 1),
    };
    let _ = console.stdout.flush();
    if stop.0.is_ok() { stop.1 } else { 1 }
}

fn start(mut console: Console<'_>, program_name: &str, mut options: Options) -> io::Result<u8> {
    if options.auth.is_some() && !options.no_auth_warning {
        writeln!(
            console.stderr,
            "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe."
        )?;
    }
    options.auth = options.auth.or_else(|| console.auth.take());
    Session::new(console, program_name, options).run()
}
