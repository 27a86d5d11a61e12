//! A run of the client: connects, sends commands, shows replies.

use std::{
    fs,
    io::{self, Read, Write},
    thread,
};

use sessile_resp::{Value, split_args};

use crate::{
    Console,
    connection::{Connection, Failure, system_words},
    format,
    options::{Options, Output, Resp3, leading_integer},
};

/// The state of a run.
pub(crate) struct Session<'a> {
    pub(crate) console: Console<'a>,
    pub(crate) program_name: &'a str,
    pub(crate) options: Options,
    pub(crate) connection: Option<Connection>,
    /// Commands come from standard input: a failure is no reason to end.
    pub(crate) interactive: bool,
    /// The database that the connection is in.
    pub(crate) db: i64,
    /// Within MULTI: the database before it.
    pub(crate) transaction: Option<i64>,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The server answered, perhaps with an error.
    Answered,
    /// It did not; why has been said.
    Failed,
}

/// What to do with a reply.
enum Next {
    Show,
    /// Send the command again to this address; behind ASKING if so told.
    Redirect {
        slot: String,
        host: String,
        port: u32,
        asking: bool,
    },
}

impl<'a> Session<'a> {
    pub(crate) fn new(console: Console<'a>, program_name: &'a str, options: Options) -> Self {
        Self {
            console,
            program_name,
            options,
            connection: None,
            interactive: false,
            db: 0,
            transaction: None,
        }
    }

    /// Does what the options ask; gives the exit code. Errors are those of the console.
    pub(crate) fn run(mut self) -> io::Result<u8> {
        if self.options.scan {
            return self.scan();
        }
        if self.options.command.is_empty() && self.options.script.is_none() {
            self.interactive = true;
            self.connect()?;
            return self.repl();
        }
        let Some(args) = self.command()? else { return Ok(1) };
        let repeat = self.options.repeat;
        Ok(match self.issue(&args, repeat)? {
            Outcome::Answered => 0,
            Outcome::Failed => 1,
        })
    }

    /// Runs `args` `repeat` times (negative: for ever), or until no answer comes.
    pub(crate) fn issue(&mut self, args: &[Vec<u8>], repeat: i64) -> io::Result<Outcome> {
        if args[0].eq_ignore_ascii_case(b"help") || args[0] == b"?" {
            self.help()?;
            return Ok(Outcome::Answered);
        }
        if self.connection.is_none() && !self.connect()? {
            return Ok(Outcome::Failed);
        }
        let mut left = repeat;
        while left != 0 {
            left -= i64::from(left > 0);
            match self.execute(args)? {
                Ok(Outcome::Answered) => {}
                Ok(Outcome::Failed) => return Ok(Outcome::Failed),
                Err(failure) => {
                    self.connection = None;
                    if args[0].eq_ignore_ascii_case(b"shutdown") && matches!(failure, Failure::Closed) {
                        return Ok(Outcome::Answered);
                    }
                    writeln!(self.console.stderr, "Error: {failure}")?;
                    return Ok(Outcome::Failed);
                }
            }
            if !self.options.interval.is_zero() {
                thread::sleep(self.options.interval);
            }
        }
        Ok(Outcome::Answered)
    }

    /// Opens the connection and gets it into the state that the options ask for. False: it is not open.
    pub(crate) fn connect(&mut self) -> io::Result<bool> {
        self.connection = None;
        self.transaction = None;
        self.db = 0;
        match Connection::open(&self.options) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                let server = self.server_name();
                let words = system_words(&error);
                writeln!(self.console.stderr, "Could not connect to Redis at {server}: {words}")?;
                return Ok(false);
            }
        }
        // A command may work even if one of these does not, so the connection is kept.
        let _ = self.authenticate()? && self.select()? && self.switch_protocol()?;
        Ok(self.connection.is_some())
    }

    /// The server's address for messages.
    pub(crate) fn server_name(&self) -> String {
        match &self.options.socket {
            Some(path) => path.clone(),
            None => format!("{}:{}", self.options.host, self.options.port),
        }
    }

    fn authenticate(&mut self) -> io::Result<bool> {
        let Some(auth) = self.options.auth.clone() else { return Ok(true) };
        let mut args = vec![b"AUTH".to_vec()];
        args.extend(self.options.user.clone());
        args.push(auth);
        self.prepare(&args, "AUTH failed")
    }

    fn select(&mut self) -> io::Result<bool> {
        let db = self.options.db;
        if db == self.db {
            return Ok(true);
        }
        let args = [b"SELECT".to_vec(), db.to_string().into_bytes()];
        let selected = self.prepare(&args, &format!("SELECT {db} failed"))?;
        if selected {
            self.db = db;
        }
        Ok(selected)
    }

    fn switch_protocol(&mut self) -> io::Result<bool> {
        match self.options.resp3 {
            Resp3::No => Ok(true),
            Resp3::Yes => self.prepare(&[b"HELLO".to_vec(), b"3".to_vec()], "HELLO 3 failed"),
            Resp3::Try => self.prepare(&[b"HELLO".to_vec(), b"3".to_vec()], ""),
        }
    }

    /// Sends a command of the client's own. False, and said so unless `complaint` is empty: it was refused.
    fn prepare(&mut self, args: &[Vec<u8>], complaint: &str) -> io::Result<bool> {
        match self.ask(args) {
            Ok(Value::Error(text)) if complaint.is_empty() => drop(text),
            Ok(Value::Error(text)) => {
                write!(self.console.stderr, "{complaint}: ")?;
                self.console.stderr.write_all(&text)?;
                writeln!(self.console.stderr)?;
            }
            Ok(_) => return Ok(true),
            Err(failure) => {
                self.connection = None;
                writeln!(self.console.stderr, "Error: {failure}")?;
            }
        }
        Ok(false)
    }

    fn ask(&mut self, args: &[Vec<u8>]) -> Result<Value, Failure> {
        let connection = self.connection.as_mut().ok_or(Failure::Closed)?;
        connection.send(args)?;
        loop {
            let value = connection.receive()?;
            if !matches!(value, Value::Push(_)) {
                return Ok(value);
            }
        }
    }

    /// Sends one command and shows what comes back, following redirections.
    fn execute(&mut self, args: &[Vec<u8>]) -> io::Result<Result<Outcome, Failure>> {
        /// Nodes that disagree send a client back and forth.
        const REDIRECTS_MAX: usize = 16;

        let name = args[0].to_ascii_lowercase();
        let mut asking = false;
        for redirects in 0.. {
            if asking && let Err(failure) = self.ask(&[b"ASKING".to_vec()]) {
                return Ok(Err(failure));
            }
            let Some(connection) = &mut self.connection else { return Ok(Err(Failure::Closed)) };
            if let Err(failure) = connection.send(args) {
                return Ok(Err(failure));
            }
            match &name[..] {
                b"monitor" => return self.stream(usize::MAX),
                b"subscribe" | b"psubscribe" | b"ssubscribe" => {
                    if self.options.output != Output::Raw {
                        writeln!(self.console.stdout, "Reading messages... (press Ctrl-C to quit)")?;
                        self.console.stdout.flush()?;
                    }
                    return self.stream(usize::MAX);
                }
                b"unsubscribe" | b"punsubscribe" | b"sunsubscribe" => {
                    // One reply or push confirms each channel.
                    return self.stream((args.len() - 1).max(1));
                }
                _ => {}
            }
            let reply = match self.receive_reply()? {
                Ok(reply) => reply,
                Err(failure) => return Ok(Err(failure)),
            };
            match self.next_step(&reply) {
                Next::Redirect { .. } if redirects == REDIRECTS_MAX => {
                    return Ok(Ok(self.show(&reply, false)?));
                }
                Next::Show => {
                    let outcome = self.show(&reply, is_report(&name, args))?;
                    self.observe(&name, args, &reply)?;
                    return Ok(Ok(outcome));
                }
                Next::Redirect { slot, host, port, asking: ask } => {
                    if self.interactive {
                        writeln!(
                            self.console.stdout,
                            "-> Redirected to slot [{slot}] located at {host}:{port}"
                        )?;
                    }
                    self.options.host = host;
                    self.options.port = port;
                    asking = ask;
                    if !self.connect()? {
                        return Ok(Ok(Outcome::Failed));
                    }
                }
            }
        }
        unreachable!("the last redirection ends the loop")
    }

    /// Shows up to `count` replies and pushes alike, until the connection ends or one is an error.
    fn stream(&mut self, count: usize) -> io::Result<Result<Outcome, Failure>> {
        for _ in 0..count {
            let Some(connection) = &mut self.connection else { return Ok(Err(Failure::Closed)) };
            let reply = match connection.receive() {
                Ok(reply) => reply,
                Err(failure) => return Ok(Err(failure)),
            };
            let outcome = self.show(&reply, false)?;
            if matches!(reply, Value::Error(_)) {
                return Ok(Ok(outcome));
            }
        }
        Ok(Ok(Outcome::Answered))
    }

    fn receive_reply(&mut self) -> io::Result<Result<Value, Failure>> {
        loop {
            let Some(connection) = &mut self.connection else { return Ok(Err(Failure::Closed)) };
            match connection.receive() {
                Ok(push @ Value::Push(_)) => {
                    if self.options.show_pushes {
                        self.show_push(&push)?;
                    }
                }
                reply => return Ok(reply),
            }
        }
    }

    fn show_push(&mut self, push: &Value) -> io::Result<()> {
        let mut out = Vec::new();
        match push {
            Value::Push(items) => match &items[..] {
                [Value::Bulk(kind), Value::Array(keys)] if kind == b"invalidate" => {
                    let keys: Vec<_> = keys
                        .iter()
                        .map(|key| match key {
                            Value::Bulk(key) => format!("'{}'", String::from_utf8_lossy(key)),
                            _ => String::new(),
                        })
                        .collect();
                    out.extend_from_slice(format!("-> invalidate: {}\n", keys.join(", ")).as_bytes());
                }
                _ => format::standard(push, &mut Vec::new(), &mut out),
            },
            _ => return Ok(()),
        }
        self.console.stdout.write_all(&out)?;
        self.console.stdout.flush()
    }

    fn show(&mut self, reply: &Value, is_report: bool) -> io::Result<Outcome> {
        if let Value::Error(text) = reply
            && self.options.error_exit_code
            && !self.interactive
        {
            self.console.stderr.write_all(text)?;
            writeln!(self.console.stderr)?;
            return Ok(Outcome::Failed);
        }
        let mut out = Vec::new();
        format::reply(reply, &self.options, is_report, &mut out);
        self.console.stdout.write_all(&out)?;
        self.console.stdout.flush()?;
        Ok(Outcome::Answered)
    }

    fn next_step(&self, reply: &Value) -> Next {
        let Value::Error(text) = reply else { return Next::Show };
        let text = String::from_utf8_lossy(text);
        let mut words = text.split(' ');
        let (Some(code @ ("MOVED" | "ASK")), Some(slot), Some(address)) =
            (words.next(), words.next(), words.next())
        else {
            return Next::Show;
        };
        match address.rsplit_once(':') {
            Some((host, port)) if self.options.follow_redirects => Next::Redirect {
                slot: slot.to_owned(),
                // An empty host means the one that answered.
                host: if host.is_empty() { self.options.host.clone() } else { host.to_owned() },
                port: u32::try_from(leading_integer(port.as_bytes())).unwrap_or(0),
                asking: code == "ASK",
            },
            _ => Next::Show,
        }
    }

    /// Keeps track of what the prompt shows and a new connection needs.
    fn observe(&mut self, name: &[u8], args: &[Vec<u8>], reply: &Value) -> io::Result<()> {
        if matches!(reply, Value::Error(_)) {
            if name == b"exec" {
                self.leave_transaction();
            }
            return Ok(());
        }
        match (name, args) {
            (b"select", [_, db]) => {
                self.db = leading_integer(db);
                self.options.db = self.db;
            }
            (b"auth", [_, _] | [_, _, _]) => {
                self.select()?;
            }
            (b"multi", [_]) => self.transaction = Some(self.db),
            (b"exec", [_]) if *reply != Value::NullArray && *reply != Value::Null => self.transaction = None,
            (b"exec" | b"discard", [_]) => self.leave_transaction(),
            (b"reset", [_]) => {
                self.transaction = None;
                self.db = 0;
                self.options.db = 0;
                self.options.resp3 = Resp3::No;
            }
            _ => {}
        }
        Ok(())
    }

    fn leave_transaction(&mut self) {
        if let Some(db) = self.transaction.take() {
            self.db = db;
            self.options.db = db;
        }
    }

    /// The command that the options give, with what they say to take from elsewhere. `None`: it cannot be made,
    /// and why has been said.
    fn command(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut args = std::mem::take(&mut self.options.command);
        if self.options.quoted_input {
            let Some(unquoted) = args.iter().map(|arg| unquote(arg)).collect() else {
                writeln!(self.console.stdout, "Invalid quoted string")?;
                return Ok(None);
            };
            args = unquoted;
        }
        if let Some(path) = self.options.script.take() {
            return self.eval_command(&path, &args);
        }
        if self.options.last_arg_from_stdin {
            args.push(self.read_stdin()?);
        } else if let Some(tag) = self.options.tag_from_stdin.take() {
            let Some(at) = args.iter().position(|arg| *arg == tag) else {
                writeln!(self.console.stderr, "Using -X option but stdin tag not match.")?;
                return Ok(None);
            };
            args[at] = self.read_stdin()?;
        }
        Ok(Some(args))
    }

    fn read_stdin(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.console.stdin.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn eval_command(&mut self, path: &[u8], args: &[Vec<u8>]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let path = String::from_utf8_lossy(path);
        let script = match fs::read(&*path) {
            Ok(script) => script,
            Err(error) => {
                let words = system_words(&error);
                writeln!(self.console.stderr, "Can't open file '{path}': {words}")?;
                return Ok(None);
            }
        };
        let keys = args.iter().take_while(|arg| *arg != b",").count();
        let mut command = vec![b"EVAL".to_vec(), script, keys.to_string().into_bytes()];
        command.extend(args.iter().filter(|arg| *arg != b",").cloned());
        Ok(Some(command))
    }

    /// `--scan`: lists the keys that match the pattern.
    fn scan(&mut self) -> io::Result<u8> {
        if !self.connect()? {
            return Ok(1);
        }
        let mut cursor = b"0".to_vec();
        loop {
            let mut args = vec![b"SCAN".to_vec(), cursor];
            if let Some(pattern) = &self.options.pattern {
                args.extend([b"MATCH".to_vec(), pattern.clone()]);
            }
            let items = match self.ask(&args) {
                Ok(Value::Array(items)) => items,
                Ok(Value::Error(text)) => {
                    writeln!(self.console.stderr, "ERROR: {}", String::from_utf8_lossy(&text))?;
                    return Ok(1);
                }
                Ok(_) => Vec::new(),
                Err(failure) => {
                    writeln!(self.console.stderr, "Error: {failure}")?;
                    return Ok(1);
                }
            };
            let Ok([Value::Bulk(next), Value::Array(keys)]) = <[Value; 2]>::try_from(items) else {
                writeln!(self.console.stderr, "Error: the server's answer to SCAN is not understood")?;
                return Ok(1);
            };
            let mut out = Vec::new();
            keys.iter().for_each(|key| format::reply(key, &self.options, false, &mut out));
            self.console.stdout.write_all(&out)?;
            if next == b"0" {
                self.console.stdout.flush()?;
                return Ok(0);
            }
            cursor = next;
        }
    }
}

/// Replies that are reports for people: shown as they are even where types are shown.
fn is_report(name: &[u8], args: &[Vec<u8>]) -> bool {
    let sub = args.get(1).map(|arg| arg.to_ascii_lowercase()).unwrap_or_default();
    matches!(
        (name, &sub[..], args.len()),
        (b"info" | b"lolwut", ..)
            | (b"debug", b"htstats" | b"htstats-key", _)
            | (b"memory", b"malloc-stats" | b"doctor", _)
            | (b"cluster", b"nodes" | b"info", 2)
            | (b"client", b"list" | b"info", _)
            | (b"latency", b"graph", 3)
            | (b"latency", b"doctor", 2)
    )
}

/// The one argument that a quoted string stands for.
fn unquote(arg: &[u8]) -> Option<Vec<u8>> {
    match arg.first() {
        Some(b'"' | b'\'') => {
            let mut args = split_args(arg)?;
            if args.len() == 1 { args.pop() } else { None }
        }
        _ => Some(arg.to_vec()),
    }
}
