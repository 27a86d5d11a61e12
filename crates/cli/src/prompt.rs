//! Commands from standard input, one a line: typed at a prompt, or from a pipe.

mod editor;
mod hints;
mod history;

use std::{
    env, fs,
    io::{self, BufRead, Write},
    path::PathBuf,
    time::Instant,
};

use sessile_resp::split_args;

pub(crate) use self::editor::read_password;
use self::{
    editor::{LineEditor, Typed},
    history::History,
};
use crate::{
    interrupt::Interrupts,
    options::{Output, leading_integer},
    session::Session,
};

/// Commands that take longer than this many milliseconds are shown with their time.
const SLOW_MS: u128 = 500;

impl Session<'_> {
    /// Reads commands until the input ends; gives the exit code.
    pub(crate) fn repl(&mut self) -> io::Result<u8> {
        if self.console.handles_interrupts {
            self.interrupts = Some(Interrupts::watch()?);
        }
        let mut editor = self.editor()?;
        loop {
            let Some(line) = self.next_line(editor.as_mut())? else { return Ok(0) };
            if let Some(interrupts) = &self.interrupts {
                interrupts.forget();
            }
            match split_args(&line) {
                None => writeln!(self.console.stdout, "Invalid argument(s)")?,
                Some(args) if args.is_empty() => {}
                Some(args) if is_word(&args[0], "quit") || is_word(&args[0], "exit") => return Ok(0),
                Some(args) if args[0].starts_with(b":") => {
                    if let Some(editor) = &mut editor {
                        self.prefer(&args, "", editor)?;
                    }
                }
                Some(args) => self.line(args)?,
            }
        }
    }

    /// The editor, where lines can be edited, as the user's preferences say.
    fn editor(&mut self) -> io::Result<Option<LineEditor>> {
        if !self.console.edits_lines {
            return Ok(None);
        }
        let history = History::load(dot_file("REDISCLI_HISTFILE", ".rediscli_history"));
        let docs = self.docs().to_vec();
        let mut editor = LineEditor::new(history, docs)?;
        let preferences = dot_file("REDISCLI_RCFILE", ".redisclirc").and_then(|path| fs::read(path).ok());
        for line in preferences.unwrap_or_default().split(|byte| *byte == b'\n') {
            match split_args(line) {
                Some(args) if !args.is_empty() => self.prefer(&args, ".redisclirc: ", &mut editor)?,
                _ => {}
            }
        }
        Ok(Some(editor))
    }

    /// The next line without its end; `None` at the end of the input.
    fn next_line(&mut self, editor: Option<&mut LineEditor>) -> io::Result<Option<Vec<u8>>> {
        let prompt = if self.console.stdin_is_terminal { self.prompt() } else { String::new() };
        self.console.stdout.flush()?;
        if let Some(editor) = editor {
            return Ok(match editor.read(&prompt)? {
                Typed::Line(line) => Some(line.into_bytes()),
                Typed::End => None,
            });
        }
        write!(self.console.stdout, "{prompt}")?;
        self.console.stdout.flush()?;
        let mut line = Vec::new();
        if self.console.stdin.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(line))
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

    /// Obeys a preference such as `:set hints`; `place` is where it stands, for complaints.
    fn prefer(&mut self, args: &[Vec<u8>], place: &str, editor: &mut LineEditor) -> io::Result<()> {
        let word = |at: usize| args.get(at).map(|arg| String::from_utf8_lossy(arg)).unwrap_or_default();
        if !word(0).eq_ignore_ascii_case(":set") || args.len() < 2 {
            return writeln!(self.console.stdout, "{place}unknown redis-cli internal command '{}'", word(0));
        }
        match &word(1).to_ascii_lowercase()[..] {
            "hints" => editor.show_hints(true),
            "nohints" => editor.show_hints(false),
            _ => writeln!(self.console.stdout, "{place}unknown redis-cli preference '{}'", word(1))?,
        }
        Ok(())
    }

    fn line(&mut self, mut args: Vec<Vec<u8>>) -> io::Result<()> {
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
}

/// A file in the user's home, or where `variable` says; `None`: nowhere.
fn dot_file(variable: &str, name: &str) -> Option<PathBuf> {
    match env::var_os(variable) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| path.as_os_str() != "/dev/null"),
        None => Some(PathBuf::from(env::var_os("HOME")?).join(name)),
    }
}

pub(crate) fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

fn is_number(arg: &[u8]) -> bool {
    let digits = arg.strip_prefix(b"-").or_else(|| arg.strip_prefix(b"+")).unwrap_or(arg);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
