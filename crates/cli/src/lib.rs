//! The command-line client: `redis-cli`'s options, output and exit codes, over one blocking connection.
//!
//! [`run`] is the program; [`run_on`] is the same on streams that the caller chooses, which is how the tests
//! compare it with the original.

#![forbid(unsafe_code)]

mod command;
mod connection;
mod docs;
mod execute;
mod format;
mod help;
mod info;
mod interrupt;
mod modes;
mod options;
mod prompt;
mod session;
mod status;

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    os::unix::ffi::OsStringExt,
    process::ExitCode,
};

pub use crate::{
    docs::CommandDoc,
    status::{run as run_status, run_on as run_status_on},
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
    /// Whether the two are the process' own terminal, on which lines can be edited.
    pub edits_lines: bool,
    /// Whether the process is the client's alone: it takes over Ctrl-C at the prompt.
    pub handles_interrupts: bool,
    /// The password from `REDISCLI_AUTH`.
    pub auth: Option<Vec<u8>>,
    /// The commands that are known where the server does not say.
    pub commands: fn() -> Vec<CommandDoc>,
}

/// Runs the client with `args`, the program's name not included. It goes by `program_name` in its messages.
/// `commands` are those that are known where the server does not say.
pub fn run(program_name: &str, args: Vec<OsString>, commands: fn() -> Vec<CommandDoc>) -> ExitCode {
    let console = process_console(commands);
    let args = args.into_iter().map(OsString::into_vec).collect();
    ExitCode::from(run_on(console, program_name, args))
}

/// The process' own streams.
fn process_console(commands: fn() -> Vec<CommandDoc>) -> Console<'static> {
    let can_edit = env::var("TERM").is_ok_and(|term| !["", "dumb", "cons25", "emacs"].contains(&&term[..]));
    Console {
        stdin: Box::new(io::stdin().lock()),
        stdout: Box::new(io::stdout().lock()),
        stderr: Box::new(io::stderr()),
        stdin_is_terminal: io::stdin().is_terminal(),
        stdout_is_terminal: io::stdout().is_terminal() || env::var_os("FAKETTY").is_some(),
        edits_lines: can_edit && io::stdin().is_terminal() && io::stdout().is_terminal(),
        handles_interrupts: true,
        auth: env::var_os("REDISCLI_AUTH").map(OsString::into_vec),
        commands,
    }
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
    if let Some(warning) = &options.warning {
        writeln!(console.stderr, "{warning}")?;
    }
    resolve_password(&mut console, &mut options)?;
    Session::new(console, program_name, options).run()
}

/// Finds the password, wherever the options say that it comes from.
fn resolve_password(console: &mut Console<'_>, options: &mut Options) -> io::Result<()> {
    if options.ask_password {
        options.auth = ask_password(console)?;
        return Ok(());
    }
    if options.auth.is_some() && !options.no_auth_warning {
        writeln!(
            console.stderr,
            "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe."
        )?;
    }
    options.auth = options.auth.take().or_else(|| console.auth.take());
    Ok(())
}

/// The password that someone types, or that comes first on standard input. `None`: none comes.
fn ask_password(console: &mut Console<'_>) -> io::Result<Option<Vec<u8>>> {
    if console.edits_lines {
        return Ok(prompt::read_password("Please input password: ")?.map(String::into_bytes));
    }
    let mut line = Vec::new();
    console.stdin.read_until(b'\n', &mut line)?;
    let len = line.trim_ascii_end().len();
    line.truncate(len);
    Ok(Some(line).filter(|line| !line.is_empty()))
}
