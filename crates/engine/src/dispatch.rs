//! From bytes to a command's reply: parsing, the checks before a command, its execution, its gate.

use sessile_command::{Attempt, Error, Flow, Frame, Keys, NotifyClass, ReadCx, Run, WriteCx};
use sessile_keyspace::Gate;
use sessile_resp::{Args, ProtocolError, Reply, c_text};

use crate::engine::{Engine, JournalState};
use crate::pipeline::{PARSED_AHEAD, Pipeline, Stop};
use crate::scripts::Unnoted;
use crate::session::{ConnId, ReplyMode, Session};
use crate::table::Entry;

/// Requests that one connection may run before others have a turn.
const REQUESTS_A_TURN: usize = 1024;
/// Connections that were held up and have their turn when another one is fed; the others have theirs in the next turn of
/// the background, which the server hastens.
const RESUMED_A_FEED: usize = 4;
/// Output that is looked at between the requests of a pipeline; below it the end of the turn is soon enough.
const OUTPUT_WATCHED_BYTES: usize = 256 * 1024;

/// Longer keys are not looked up ahead: hashing them twice would cost more than it saves.
const PREFETCHED_KEY_BYTES: usize = 128;

/// Commands that run while too much waits for the journal: DESIGN §5.5, and what a client sends before them.
const DIAGNOSTICS: &[&str] = &[
    "auth", "client", "command", "config", "hello", "info", "latency", "memory", "monitor", "ping", "quit",
    "select", "shutdown", "slowlog",
];

/// As whom a command runs: as its connection, or as a script that chooses db and protocol for itself.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) db: u32,
    pub(crate) proto: sessile_resp::Proto,
    pub(crate) no_touch: bool,
    pub(crate) in_script: bool,
    /// What a reply may have before it is given up.
    pub(crate) reply_max_bytes: usize,
}

/// How a command ended.
pub(crate) enum Ended {
    /// With a reply or an error, which is in the output.
    Done {
        /// Whether it was an error.
        failed: bool,
    },
    /// It waits.
    Waits(sessile_command::Wait),
}

/// `stop-writes-on-bgsave-error`, in Redis' words.
const SAVING_FAILS: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during \
writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
the RDB error.";

impl Engine {
    /// Takes bytes that came from a connection and runs what is complete. Replies are in its output.
    pub fn feed(&mut self, conn: ConnId, bytes: &[u8]) {
        let now_ms = self.now_ms();
        self.stats.net_in += bytes.len() as u64;
        self.stats.reads += 1;
        let session = self.session_mut(conn);
        session.bytes_in += bytes.len() as u64;
        session.active_ms = now_ms;
        if session.input.is_empty() && !session.is_paused() {
            let used = self.run_requests(conn, bytes);
            if let Some(session) = self.sessions[conn].as_deref_mut() {
                session.input.extend_from_slice(&bytes[used..]);
            }
        } else {
            session.input.extend_from_slice(bytes);
            self.run_input(conn);
        }
        self.lap_us = None;
        self.limit_input(conn);
        self.after_output(conn);
        self.resume(RESUMED_A_FEED);
    }

    /// Runs requests that wait in the connection's input.
    fn run_input(&mut self, conn: ConnId) {
        let session = self.session_mut(conn);
        session.postponed = false;
        if session.is_paused() || session.input.is_empty() {
            return;
        }
        let input = std::mem::take(&mut session.input);
        let used = self.run_requests(conn, &input);
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            let mut input = input;
            input.drain(..used);
            if input.is_empty() && input.capacity() > 64 * 1024 {
                input = Vec::new();
            }
            session.input = input;
        }
    }

    /// Goes on with connections that were held up: a command unblocked, or a full turn. Each gets one turn, so that a
    /// long pipeline does not hold up everybody else.
    pub(crate) fn resume(&mut self, most: usize) {
        for _ in 0..self.resumable.len().min(most) {
            let Some(conn) = self.resumable.pop_front() else { break };
            if self.sessions.get(conn).is_some_and(Option::is_some) {
                self.finish_waiting(conn, false);
                self.run_input(conn);
                self.after_output(conn);
                // Its socket may have been left unread, and there may be nothing to send that would have it looked at.
                self.mark_ready(conn);
            }
        }
    }

    /// Parses and runs requests at the front of `input`; gives the number of bytes used up.
    fn run_requests(&mut self, conn: ConnId, input: &[u8]) -> usize {
        let mut pipeline = self.pipeline.take().unwrap_or_default();
        pipeline.begin(&mut self.session_mut(conn).parser);
        let used = self.run_pipeline(conn, input, &mut pipeline);
        self.lap_us = None;
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            pipeline.end(&mut session.parser);
        }
        self.pipeline = Some(pipeline);
        used
    }

    fn run_pipeline(&mut self, conn: ConnId, input: &[u8], pipeline: &mut Pipeline) -> usize {
        let mut limits = self.settings.parse_limits;
        let mut used = 0;
        for _ in 0..REQUESTS_A_TURN / PARSED_AHEAD {
            let Some(session) = self.session(conn) else { return used };
            limits.unauthenticated = !session.authenticated;
            let stop = pipeline.parse(&input[used..], &limits);
            // One alone runs at once.
            if pipeline.len() > 1 {
                self.prefetch(session, pipeline.requests(&input[used..]));
            }
            if !self.run_parsed(conn, input, &mut used, pipeline) {
                return used;
            }
            match stop {
                None => {}
                Some(Stop::Incomplete) => return used,
                Some(Stop::Malformed(error)) => {
                    self.refuse_input(conn, &error);
                    return input.len();
                }
            }
        }
        self.resumable.push_back(conn);
        used
    }

    /// Runs what is parsed, and counts its bytes in `used`; false if the connection is held up or gone before the end.
    fn run_parsed(&mut self, conn: ConnId, input: &[u8], used: &mut usize, pipeline: &mut Pipeline) -> bool {
        loop {
            if self.session(conn).is_none_or(Session::is_paused) {
                return false;
            }
            let Some((args, len)) = pipeline.first(&input[*used..]) else { return true };
            if self.holds_up(conn, args) {
                return false;
            }
            if !args.is_empty() {
                self.request(conn, args);
            }
            *used += len;
            pipeline.pop();
            // A few requests may ask for more than all memory.
            if self.session(conn).is_some_and(|s| s.output.len() > OUTPUT_WATCHED_BYTES) {
                self.limit_output(conn);
            }
        }
    }

    /// Has the processor fetch what requests will look up. Clients mostly send the same command again, so that the last
    /// one's name is compared before others are looked for.
    fn prefetch<'a>(&self, session: &Session, requests: impl Iterator<Item = Args<'a>>) {
        let mut hashes = [0; PARSED_AHEAD];
        let mut count = 0;
        let mut before: &[u8] = &[];
        for args in requests {
            let Some(name) = args.get(0) else { continue };
            let last = session.last_command.filter(|last| last.is_named(name));
            let key = match last.or_else(|| self.find(name)).map(|entry| entry.command.keys) {
                Some(Keys::Range { first, .. }) => args.get(usize::from(first)),
                Some(Keys::Counted { count, .. }) => args.get(usize::from(count) + 1),
                _ => None,
            };
            if let Some(key) = key.filter(|key| key.len() <= PREFETCHED_KEY_BYTES && *key != before) {
                hashes[count] = self.keyspace.key(key).hash;
                count += 1;
                before = key;
            }
        }
        self.keyspace.prefetch(session.db, &hashes[..count]);
    }

    /// Answers malformed input; nothing more can be read from its connection.
    #[cold]
    fn refuse_input(&mut self, conn: ConnId, error: &ProtocolError) {
        self.stats.protocol_errors += 1;
        let message = error.message();
        self.note_hang_up(conn, &String::from_utf8_lossy(&message));
        let mut reply = b"-ERR ".to_vec();
        reply.extend_from_slice(&message);
        reply.extend_from_slice(b"\r\n");
        let session = self.session_mut(conn);
        session.output.push(&reply, Gate::OPEN, 0);
        session.closing = true;
    }

    /// Whether a stop, a snapshot or CLIENT PAUSE makes this request wait. It stays in the connection's input, to be parsed
    /// again.
    fn holds_up(&mut self, conn: ConnId, args: Args<'_>) -> bool {
        if self.stopping || self.held_back && !self.is_diagnostic(args) {
            return true;
        }
        if self.is_snapshot_full() && self.is_writer(args) {
            self.writers_wait = true;
            return true;
        }
        if self.now_ms() >= self.paused_until_ms || args.is_empty() {
            return false;
        }
        let writes = || self.find(&args[0]).is_some_and(Entry::may_write);
        if self.paused_writes_only && !writes() {
            return false;
        }
        self.deadlines.insert((self.paused_until_ms, conn));
        self.session_mut(conn).postponed = true;
        true
    }

    /// Whether a request may change data.
    fn is_writer(&self, args: Args<'_>) -> bool {
        let entry = args.get(0).and_then(|name| self.find(name));
        entry.is_some_and(|entry| entry.may_write() && !["publish", "spublish"].contains(&&*entry.full_name))
    }

    /// Whether a request is of those that operators need while the journal is stuck, or that lead there.
    fn is_diagnostic(&self, args: Args<'_>) -> bool {
        let entry = args.get(0).and_then(|name| self.find(name));
        args.is_empty() || entry.is_none_or(|entry| DIAGNOSTICS.contains(&entry.full_name.as_str()))
    }

    /// Runs one request of a connection, from its checks to its gated reply.
    fn request(&mut self, conn: ConnId, args: Args<'_>) {
        let start = self.session(conn).map_or(0, |s| s.output.end());
        let gate = match self.resolve(conn, args) {
            Ok(entry) => self.admitted(conn, entry, args),
            Err(mut error) => {
                if self.find(&args[0]).is_some_and(|entry| entry.full_name == "exec") {
                    error = self.abort_exec(conn, &error);
                }
                let entry = self.named(args);
                self.refuse(conn, entry, &error);
                Gate::OPEN
            }
        };
        // A suspended script's request is not answered yet.
        if self.session(conn).is_some_and(|s| !s.running_script) {
            self.close_reply(conn, start, gate);
        }
    }

    /// Marks what a request added to the output with its gate, and drops it where CLIENT REPLY says so.
    pub(crate) fn close_reply(&mut self, conn: ConnId, start: u64, gate: Gate) {
        let progress = self.keyspace.pending.progress();
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        session.seen = session.seen.and(gate);
        match session.reply_mode {
            ReplyMode::On => {
                let gate = if gate.passes(progress) { Gate::OPEN } else { gate };
                session.output.gate_from(start, gate, self.read_us);
            }
            ReplyMode::SkipThis => {
                session.output.truncate(start);
                // A command that waits is answered later, and skipped then.
                if !session.is_waiting() {
                    session.reply_mode = ReplyMode::On;
                }
            }
            ReplyMode::SkipNext => {
                session.reply_mode = ReplyMode::SkipThis;
                session.output.truncate(start);
            }
            ReplyMode::Off => session.output.truncate(start),
        }
    }

    /// The command that is called so now.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        if self.settings.renamed.is_empty() {
            return self.table.find(name);
        }
        match self.settings.renamed.get(&name.to_ascii_lowercase()[..]) {
            Some(target) => target.as_deref().and_then(|t| self.table.find(t.as_bytes())),
            None => self.table.find(name),
        }
    }

    /// Finds the command and checks its arity.
    fn resolve(&self, conn: ConnId, args: Args<'_>) -> Result<&'static Entry, Error> {
        let name = &args[0];
        let last = self.session(conn).and_then(|s| s.last_command);
        let found = match last.filter(|last| self.settings.renamed.is_empty() && last.is_named(name)) {
            None => self.find(name),
            last => last,
        };
        let Some(mut entry) = found else { return Err(unknown_command(args)) };
        if entry.is_container() && args.len() > 1 {
            match self.table.find_sub(entry, &args[1]) {
                Some(sub) => entry = sub,
                None => return Err(unknown_subcommand(&entry.full_name, &args[1])),
            }
        }
        if !entry.command.arity.admits(args.len()) || entry.only_chooses() {
            return Err(Error::arity(&entry.full_name));
        }
        self.check(conn, entry)?;
        Ok(entry)
    }

    /// The command that a refused request has named, if there is one of that name.
    #[cold]
    fn named(&self, args: Args<'_>) -> Option<&'static Entry> {
        let name = match self.settings.renamed.get(&args[0].to_ascii_lowercase()[..]) {
            Some(target) => target.as_deref()?.as_bytes(),
            None => &args[0],
        };
        let entry = self.table.find(name)?;
        Some(args.get(1).and_then(|sub| self.table.find_sub(entry, sub)).unwrap_or(entry))
    }

    /// Whether the connection may run this command at all now. MULTI is looked at later.
    fn check(&self, conn: ConnId, entry: &Entry) -> Result<(), Error> {
        use sessile_command::Flags;
        let flags = entry.command.flags;
        let session = self.session(conn).expect("the connection that a request came from exists");
        if !session.authenticated && !flags.has(Flags::NO_AUTH) {
            return Err(Error::new("NOAUTH Authentication required."));
        }
        if session.multi.is_some() && flags.has(Flags::NO_MULTI) {
            return Err(Error::new("ERR Command not allowed inside a transaction"));
        }
        if session.is_subscriber() && session.proto == sessile_resp::Proto::Resp2 && !entry.runs_subscribed {
            return Err(Error::text(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
                 context",
                entry.full_name
            )));
        }
        if self.running.is_some() && !flags.has(Flags::ALLOW_BUSY) {
            return Err(crate::scripts::busy());
        }
        if entry.command.is_write() {
            self.check_journal()?;
        }
        Ok(())
    }

    /// Writes are refused, unexecuted, while the journal cannot take them.
    pub(crate) fn check_journal(&self) -> Result<(), Error> {
        match &self.journal_state {
            JournalState::Open if self.saving_fails() => Err(Error::new(SAVING_FAILS)),
            JournalState::Open => Ok(()),
            JournalState::Refusing(why) | JournalState::Failed(why) => Err(Error::text(format!(
                "MISCONF Errors writing to the journal: {why}. The command was not applied."
            ))),
        }
    }

    /// Whether the save points' last file could not be written, and writes are refused then.
    pub(crate) fn saving_fails(&self) -> bool {
        !self.server.dump.ok && self.settings.stops_writes && !self.config.save_points().is_empty()
    }

    /// Queues the command in MULTI, or runs it. Gives the reply's gate.
    fn admitted(&mut self, conn: ConnId, entry: &'static Entry, args: Args<'_>) -> Gate {
        let session = self.session_mut(conn);
        session.commands += 1;
        session.last_command = Some(entry);
        if session.multi.is_some() && !entry.runs_in_multi {
            self.queue(conn, entry, args);
            return Gate::OPEN;
        }
        if let Err(error) = self.make_room(entry, args) {
            self.refuse(conn, Some(entry), &error);
            // What was evicted in vain may have been waited for.
            self.serve_ready();
            return Gate::OPEN;
        }
        if !self.monitors.is_empty() {
            self.feed_monitors(conn, entry, args);
        }
        let (ended, gate) = self.top_level(conn, entry, args, Attempt::MayWait);
        if let Ended::Waits(wait) = ended {
            self.block(conn, entry, args, wait);
        }
        self.run_unblocks();
        gate
    }

    /// CLIENT UNBLOCK, once no transaction is open: what it ends the wait of runs as one of its own.
    pub(crate) fn run_unblocks(&mut self) {
        if self.running.is_some() {
            return;
        }
        for (target, error) in std::mem::take(&mut self.unblocks) {
            self.unblock_client(target, error);
        }
    }

    /// Runs a command as a transaction of its own, with everything that follows from its effects.
    pub(crate) fn top_level(
        &mut self,
        conn: ConnId,
        entry: &'static Entry,
        args: Args<'_>,
        attempt: Attempt,
    ) -> (Ended, Gate) {
        let lap_us = self.lap_us.take();
        let began_us = lap_us.unwrap_or_else(|| self.read_stopwatch());
        self.txn.observing = self.observing();
        let mut out = self.session_mut(conn).output.lend();
        let (ended, gate) = self.call(conn, entry, args, attempt, &mut out);
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            session.output.give_back(out);
        }
        let gate = gate.and(self.finish_transaction(conn, gate));
        let ended_us = self.read_stopwatch();
        self.lap_us = lap_us.map(|_| ended_us);
        if let Some(running) = self.running.as_mut().filter(|r| r.conn == conn) {
            let unnoted = Unnoted { entry, args: args.to_owned(), began_us };
            match &mut running.exec {
                Some(exec) => exec.unnoted = Some(unnoted),
                None => running.unnoted = Some(unnoted),
            }
        } else {
            self.note_time(conn, entry, args, ended_us - began_us, &ended);
        }
        (ended, gate)
    }

    /// Runs a command inside whatever transaction is open; its reply goes to `out`. Gives the gate of what it saw.
    pub(crate) fn call(
        &mut self,
        conn: ConnId,
        entry: &'static Entry,
        args: Args<'_>,
        attempt: Attempt,
        out: &mut Vec<u8>,
    ) -> (Ended, Gate) {
        let reply_max_bytes = self.settings.reply_max_bytes;
        let session = self.session_mut(conn);
        let (db, proto, no_touch) = (session.db, session.proto, session.no_touch);
        let caller = Caller { db, proto, no_touch, in_script: false, reply_max_bytes };
        self.call_as(caller, conn, entry, args, attempt, out)
    }

    pub(crate) fn call_as(
        &mut self,
        caller: Caller,
        conn: ConnId,
        entry: &'static Entry,
        args: Args<'_>,
        attempt: Attempt,
        out: &mut Vec<u8>,
    ) -> (Ended, Gate) {
        let now_ms = self.standing_ms.unwrap_or(self.clock.now_ms());
        let mut frame = Frame::new(caller.db, now_ms, attempt);
        frame.no_touch = caller.no_touch;
        frame.in_script = caller.in_script;
        frame.string_max_bytes = self.settings.parse_limits.max_bulk_len;
        frame.journal_refuses = self.journal_state != JournalState::Open;
        frame.look_as_reader(entry.reads);
        // A command whose time is over was told of its misses when it began to wait.
        frame.notes_misses =
            attempt != Attempt::TimedOut && self.settings.notify.has(NotifyClass::Miss as u8);
        let mut reply = Reply::limited(out, caller.proto, caller.reply_max_bytes);
        let start = reply.mark();
        let result = if let Some(run) = entry.session {
            run(self, conn, args, &mut reply).map(|()| Flow::Done)
        } else {
            let read = ReadCx::new(&self.keyspace, &frame);
            match entry.command.run {
                Run::Read(run) => run(read, args, &mut reply).map(|()| Flow::Done),
                Run::BlockingRead(run) => run(read, args, &mut reply),
                Run::Write(run) => {
                    let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
                    run(&mut cx, args, &mut reply).map(|()| Flow::Done)
                }
                Run::BlockingWrite(run) => {
                    let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
                    run(&mut cx, args, &mut reply)
                }
                Run::Container(_) | Run::Session => unreachable!("resolved to its own handler"),
            }
        };
        let ended = match result {
            Ok(Flow::Done) => Ended::Done { failed: false },
            Ok(Flow::Wait(wait)) => Ended::Waits(wait),
            Err(error) => {
                reply.truncate(start);
                reply.error(error.as_bytes());
                self.stats.note_error(entry.index, &error);
                Ended::Done { failed: true }
            }
        };
        let (hits, misses) = frame.hits_and_misses();
        self.stats.hits += hits;
        self.stats.misses += misses;
        self.due.extend(frame.take_due());
        self.note_missed(frame.take_missed());
        let gate = frame.gate().and(std::mem::take(&mut self.session_gate));
        (ended, gate)
    }

    /// Replies with an error instead of running the command; a transaction that it belongs to will be refused.
    fn refuse(&mut self, conn: ConnId, entry: Option<&'static Entry>, error: &Error) {
        self.stats.note_refusal(entry.map(|e| e.index), error);
        let session = self.session_mut(conn);
        if let Some(multi) = &mut session.multi {
            multi.aborted = true;
        }
        let proto = session.proto;
        Reply::new(session.output.buffer(), proto).error(error.as_bytes());
    }

    /// Closes the transaction and lets observers see it; expires what was found due; serves whom its effects woke.
    /// Gives the gate that these add to the reply. Does nothing while a script is suspended, whose transaction it is.
    pub(crate) fn finish_transaction(&mut self, conn: ConnId, seen: Gate) -> Gate {
        let mut gate = Gate::OPEN;
        if self.running.is_some() {
            return gate;
        }
        if !self.txn.is_dirty()
            && self.due.is_empty()
            && self.outbox.is_empty()
            && self.txn.observed.is_empty()
            && self.ready_keys.is_empty()
        {
            return gate;
        }
        if self.txn.is_dirty() {
            gate = gate.and(self.own_gate());
            self.txn.finish();
        }
        let known = self.session(conn).map_or(Gate::OPEN, |s| s.seen);
        self.deliver(seen.and(gate).and(known));
        gate = gate.and(self.expire_due());
        self.deliver_missed(seen.and(gate).and(known));
        self.serve_ready();
        gate
    }

    /// The gate of the open transaction itself.
    pub(crate) fn own_gate(&self) -> Gate {
        if self.txn.journaled { self.txn.durability.gate(self.txn.lsn) } else { Gate::OPEN }
    }

    /// Emits the expiry of every key that a lookup found due, each as a transaction of its own. The reply that found
    /// it waits for it: once seen expired, a key never comes back.
    fn expire_due(&mut self) -> Gate {
        let mut gate = Gate::OPEN;
        for (db, key) in std::mem::take(&mut self.due) {
            gate = gate.and(self.expire_key(db, &key));
        }
        gate
    }

    /// Expires one key if it is still due.
    pub(crate) fn expire_key(&mut self, db: u32, key: &[u8]) -> Gate {
        // Until it can be removed, it reads as absent.
        if self.journal_state != JournalState::Open || self.is_snapshot_full() {
            return Gate::OPEN;
        }
        self.txn.observing = self.observing();
        let frame = Frame::new(db, self.clock.now_ms(), Attempt::MustAnswer);
        WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng).expire(db, key);
        if !self.txn.is_dirty() {
            return Gate::OPEN;
        }
        self.stats.expired += 1;
        let gate = self.own_gate();
        self.txn.finish();
        self.deliver(gate);
        gate
    }
}

fn unknown_command(args: Args<'_>) -> Error {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(c_text(&args[0]).iter().take(128));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut shown = 0;
    for arg in args.iter().skip(1) {
        if shown >= 128 {
            break;
        }
        let arg = c_text(arg);
        let part = &arg[..arg.len().min(128 - shown)];
        text.push(b'\'');
        text.extend_from_slice(part);
        text.extend_from_slice(b"' ");
        shown += part.len() + 3;
    }
    Error::text(text)
}

fn unknown_subcommand(container: &str, name: &[u8]) -> Error {
    let rest = format!("'. Try {} HELP.", container.to_ascii_uppercase());
    Error::quoting(&["ERR unknown subcommand '", &rest], &[&name[..name.len().min(128)]])
}
