//! Commands: sends them, follows redirections, shows what comes back.

use std::{
    io::{self, Write},
    thread,
};

use sessile_resp::Value;

use crate::{
    connection::Failure,
    format,
    interrupt::Interrupts,
    options::{Output, Resp3, leading_integer},
    prompt::is_word,
    session::Session,
};

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

impl Session<'_> {
    /// Runs `args` `repeat` times (negative: for ever), or until no answer comes.
    pub(crate) fn issue(&mut self, args: &[Vec<u8>], repeat: i64) -> io::Result<Outcome> {
        if is_word(&args[0], "help") || args[0] == b"?" {
            self.help(&args[1..])?;
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
                Err(failure) => return self.fail(&args[0], &failure),
            }
            if !self.options.interval.is_zero() {
                thread::sleep(self.options.interval);
            }
        }
        Ok(Outcome::Answered)
    }

    fn fail(&mut self, name: &[u8], failure: &Failure) -> io::Result<Outcome> {
        self.connection = None;
        if is_word(name, "shutdown") && matches!(failure, Failure::Closed) {
            return Ok(Outcome::Answered);
        }
        if self.was_interrupted() {
            self.connect()?;
            return Ok(Outcome::Answered);
        }
        writeln!(self.console.stderr, "Error: {failure}")?;
        Ok(Outcome::Failed)
    }

    /// Whether someone ended what the last command was showing.
    fn was_interrupted(&self) -> bool {
        self.interrupts.as_ref().is_some_and(Interrupts::was_pressed)
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
                b"monitor" => return self.stream_until_stopped(),
                b"subscribe" | b"psubscribe" | b"ssubscribe" => {
                    if self.options.output != Output::Raw {
                        writeln!(self.console.stdout, "Reading messages... (press Ctrl-C to quit)")?;
                        self.console.stdout.flush()?;
                    }
                    return self.stream_until_stopped();
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

    /// Shows all that comes, until the connection ends or someone has seen enough.
    fn stream_until_stopped(&mut self) -> io::Result<Result<Outcome, Failure>> {
        if let (Some(interrupts), Some(connection)) = (&self.interrupts, &self.connection) {
            interrupts.will_end(connection.hangup()?);
        }
        let result = self.stream(usize::MAX);
        if let Some(interrupts) = &self.interrupts {
            interrupts.will_exit();
        }
        result
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
                _ => format::reply(push, &self.options, false, &mut out),
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
