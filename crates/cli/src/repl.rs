//! Commands from standard input, one a line: typed at a prompt, or from a pipe.

use std::{
    io::{self, BufRead, Write},
    time::Instant,
};

use sessile_resp::split_args;

use crate::{
    REDIS_VERSION,
    options::{Output, leading_integer},
    session::Session,
};

/// Commands that take longer than this many milliseconds are shown with their time.
const SLOW_MS: u128 = 500;

impl Session<'_> {
    /// Reads commands until the input ends; gives the exit code.
    pub(crate) fn repl(&mut self) -> io::Result<u8> {
        let mut line = Vec::new();
        loop {
            if self.console.stdin_is_terminal {
                let prompt = self.prompt();
                write!(self.console.stdout, "{prompt}")?;
            }
            self.console.stdout.flush()?;
            line.clear();
            if self.console.stdin.read_until(b'\n', &mut line)? == 0 {
                return Ok(0);
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            match split_args(line) {
                None => writeln!(self.console.stdout, "Invalid argument(s)")?,
                Some(args) if args.is_empty() => {}
                Some(args) if is_word(&args[0], "quit") || is_word(&args[0], "exit") => return Ok(0),
                Some(args) => self.line(args)?,
            }
        }
    }

    /// Where a command goes: the server, the database, whether it is only queued.
    fn prompt(&self) -> String {
        if self.connection.is_none() {
            return "not connected> ".to_owned();
        }
        let mut prompt = match &self.options.socket {
            Some(path) => format!("redis {path}"),
            None if self.options.host.contains(':') => {
                format!("[{}]:{}", self.options.host, self.options.port)
            }
            None => self.server_name(),
        };
        if self.db != 0 {
            prompt.push_str(&format!("[{}]", self.db));
        }
        if self.transaction.is_some() {
            prompt.push_str("(TX)");
        }
        prompt.push_str("> ");
        prompt
    }

    fn line(&mut self, mut args: Vec<Vec<u8>>) -> io::Result<()> {
        if args[0].starts_with(b":") {
            // Preferences (`:set hints`) concern a line editor, which this prompt has not.
            return Ok(());
        }
        if is_word(&args[0], "restart") {
            return writeln!(self.console.stdout, "Use 'restart' only in Lua debugging mode.");
        }
        if args.len() == 3 && is_word(&args[0], "connect") {
            self.options.host = String::from_utf8_lossy(&args[1]).into_owned();
            self.options.port = u32::try_from(leading_integer(&args[2])).unwrap_or(0);
            self.options.socket = None;
            self.connect()?;
            return Ok(());
        }
        if args.len() == 1 && is_word(&args[0], "clear") {
            return write!(self.console.stdout, "\x1b[H\x1b[2J");
        }
        let mut repeat = 1;
        if args.len() > 1 && is_number(&args[0]) {
            repeat = leading_integer(&args[0]);
            if repeat <= 0 || repeat == i64::MAX {
                return writeln!(
                    self.console.stdout,
                    "Invalid {} repeat command option value.",
                    self.program_name
                );
            }
            args.remove(0);
        }
        let started = Instant::now();
        self.issue(&args, repeat)?;
        let elapsed_ms = started.elapsed().as_millis();
        if elapsed_ms >= SLOW_MS && self.options.output == Output::Standard {
            writeln!(self.console.stdout, "({:.2}s)", elapsed_ms as f64 / 1000.0)?;
        }
        Ok(())
    }

    pub(crate) fn help(&mut self) -> io::Result<()> {
        writeln!(
            self.console.stdout,
            "{} {REDIS_VERSION}\n\
             Type a command and its arguments, with quotes around what holds blanks.\n      \
             \"COMMAND DOCS <command>\" describes a command\n      \
             \"<number> <command>\" runs it that many times\n      \
             \"connect <host> <port>\" goes to another server\n      \
             \"quit\" to exit",
            self.program_name
        )
    }
}

fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

fn is_number(arg: &[u8]) -> bool {
    let digits = arg.strip_prefix(b"-").or_else(|| arg.strip_prefix(b"+")).unwrap_or(arg);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
