//! A run of the client: connects, sends commands, shows replies.

use std::io::{self, Write};

use sessile_resp::{Value, encode_request};

use crate::{
    Console,
    connection::{Connection, Failure, system_words},
    docs::Library,
    execute::Outcome,
    interrupt::Interrupts,
    options::{Mode, Options, Resp3},
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
    /// What is known of commands, for help and hints.
    pub(crate) library: Library,
    /// Ctrl-C, where someone may press it.
    pub(crate) interrupts: Option<Interrupts>,
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
            library: Library::default(),
            interrupts: None,
        }
    }

    /// Does what the options ask; gives the exit code. Errors are those of the console.
    pub(crate) fn run(mut self) -> io::Result<u8> {
        let mode = self.options.mode;
        if !matches!(mode, Mode::Commands | Mode::IntrinsicLatency(_)) && !self.connect_fully()? {
            return Ok(1);
        }
        match mode {
            Mode::Commands => self.commands(),
            Mode::IntrinsicLatency(seconds) => self.intrinsic_latency(seconds),
            Mode::Scan => self.scan(),
            Mode::Pipe => self.pipe(),
            Mode::Stat => self.stat(),
            Mode::Latency => self.latency(false),
            Mode::LatencyHistory => self.latency(true),
            Mode::LatencyDistribution => self.latency_distribution(),
            Mode::BigKeys | Mode::MemoryKeys => self.big_keys(),
            Mode::HotKeys => self.hot_keys(),
        }
    }

    fn commands(&mut self) -> io::Result<u8> {
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

    /// Opens the connection and gets it into the state that the options ask for. False: it is not open.
    pub(crate) fn connect(&mut self) -> io::Result<bool> {
        // A command may work even if the state is another, so the connection is kept.
        self.connect_fully()?;
        Ok(self.connection.is_some())
    }

    /// As [`Self::connect`]. False: it is not open, or not in that state; why has been said.
    pub(crate) fn connect_fully(&mut self) -> io::Result<bool> {
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
        Ok(self.authenticate()? && self.select()? && self.switch_protocol()?)
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

    pub(crate) fn select(&mut self) -> io::Result<bool> {
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

    /// Sends one request and waits for its reply.
    pub(crate) fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, Failure> {
        self.connection.as_mut().ok_or(Failure::Closed)?.send(args)?;
        self.next_reply()
    }

    /// Sends all requests, then waits for their replies.
    pub(crate) fn ask_all(&mut self, requests: &[Vec<&[u8]>]) -> Result<Vec<Value>, Failure> {
        let mut bytes = Vec::new();
        requests.iter().for_each(|args| encode_request(&mut bytes, args));
        self.connection.as_mut().ok_or(Failure::Closed)?.send_bytes(&bytes)?;
        requests.iter().map(|_| self.next_reply()).collect()
    }

    fn next_reply(&mut self) -> Result<Value, Failure> {
        let connection = self.connection.as_mut().ok_or(Failure::Closed)?;
        loop {
            let value = connection.receive()?;
            if !matches!(value, Value::Push(_)) {
                return Ok(value);
            }
        }
    }
}
