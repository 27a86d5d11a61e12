//! `sessile status`: what an acknowledgement is worth here, and how the server is, from its `INFO`.

mod json;
mod text;

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::ffi::OsStringExt,
    process::ExitCode,
};

use sessile_resp::Value;

use crate::{
    Console,
    info::Info,
    options::{self, Mode, Options, Output, Parsed},
    process_console, resolve_password,
    session::Session,
};

const USAGE: &str = "\
Usage: sessile status [-h HOST] [-p PORT] [-s SOCKET] [-a PASSWORD] [--user NAME] [--askpass] [-u URI] [--json]

Shows what an acknowledgement is worth on a server, the state of its journal and snapshots, memory and clients.
REDISCLI_AUTH is a safer way to give the password. Exit codes: 0 the server is well, 1 it does not answer,
2 it acknowledges no writes.";

/// Exit code of a server that acknowledges no writes.
const REFUSES_WRITES: u8 = 2;

/// Runs `sessile status` with `args`, those behind the word `status`.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let args = args.into_iter().map(OsString::into_vec).collect();
    ExitCode::from(run_on(process_console(Vec::new), args))
}

/// Runs `sessile status` on `console`; gives its exit code.
pub fn run_on(mut console: Console<'_>, args: Vec<Vec<u8>>) -> u8 {
    let options = match options::parse(args, console.stdout_is_terminal) {
        Ok(Parsed::Run(options)) if options.command.is_empty() && options.mode == Mode::Commands => options,
        Ok(Parsed::Help) => {
            let written = writeln!(console.stdout, "{USAGE}").and_then(|()| console.stdout.flush());
            return u8::from(written.is_err());
        }
        Ok(_) => {
            let _ = writeln!(console.stderr, "{USAGE}");
            return 1;
        }
        Err(refusal) => {
            let _ = writeln!(console.stderr, "{refusal}");
            return 1;
        }
    };
    // Where the reader is gone nobody is left to tell.
    report(console, *options).unwrap_or(1)
}

fn report(mut console: Console<'_>, mut options: Options) -> io::Result<u8> {
    resolve_password(&mut console, &mut options)?;
    let as_json = options.output == Output::Json;
    let mut session = Session::new(console, "sessile status", options);
    if !session.connect_fully()? {
        return Ok(1);
    }
    let info = match session.ask(&["INFO", "everything"]) {
        Ok(Value::Bulk(text) | Value::Verbatim(_, text)) => Info::parse(&text),
        Ok(Value::Error(text)) => {
            writeln!(session.console.stderr, "INFO was refused: {}", String::from_utf8_lossy(&text))?;
            return Ok(1);
        }
        Ok(_) => {
            writeln!(session.console.stderr, "The answer to INFO is not understood.")?;
            return Ok(1);
        }
        Err(failure) => {
            writeln!(session.console.stderr, "Error: {failure}")?;
            return Ok(1);
        }
    };
    let status = Status { address: session.server_name(), info };
    let text = if as_json { json::of(&status) } else { text::of(&status) };
    session.console.stdout.write_all(text.as_bytes())?;
    session.console.stdout.flush()?;
    Ok(if status.acknowledges_writes() { 0 } else { REFUSES_WRITES })
}

/// What the server said.
struct Status {
    address: String,
    info: Info,
}

/// What is still there of what was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Worth {
    /// All, after a power cut.
    Durable,
    /// All after a crash; after a power cut all but the last second.
    EverySecond,
    /// All after a crash; after a power cut what the system had written.
    Written,
    /// What a `dump.rdb` holds.
    Memory,
    /// The server does not say.
    Unknown,
}

impl Worth {
    /// Its name in `INFO`.
    fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::EverySecond => "everysec",
            Self::Written => "written",
            Self::Memory => "memory",
            Self::Unknown => "unknown",
        }
    }
}

impl Status {
    fn worth(&self) -> Worth {
        let named = self.info.text("acknowledgement");
        let all = [Worth::Durable, Worth::EverySecond, Worth::Written, Worth::Memory];
        all.into_iter().find(|worth| worth.name() == named).unwrap_or(Worth::Unknown)
    }

    fn is_sessile(&self) -> bool {
        self.info.has("sessile_version")
    }

    fn acknowledges_writes(&self) -> bool {
        !matches!(self.info.text("journal_state"), "refusing" | "failed")
    }

    /// Seconds since the last `dump.rdb`; `None`: there was none since the start.
    fn dump_age_s(&self) -> Option<i64> {
        let saved_s = self.info.number("rdb_last_save_time");
        let has_saved = self.info.number("rdb_saves") > 0 && saved_s > 0;
        has_saved.then(|| (self.info.number("server_time_usec") / 1_000_000 - saved_s).max(0))
    }
}
