//! MULTI, EXEC, DISCARD, WATCH.

use sessile_command::{Acl, Arity, Attempt, Docs, Error, Flags, Key, Keys, Outcome};
use sessile_keyspace::Gate;
use sessile_resp::{Args, OwnedArgs, Proto, Reply};

use crate::dispatch::Ended;
use crate::engine::Engine;
use crate::scripts::Unnoted;
use crate::session::{ConnId, Multi, Watched};
use crate::table::{Entry, SessionCommand, SessionRun};

const FLAGS: Flags =
    Flags::NO_SCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY);

const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "transactions", complexity }
}

const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: SessionRun,
) -> SessionCommand {
    SessionCommand::new(name, arity, flags, docs, run).keys(keys).acl(Acl::TRANSACTION)
}

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[
    entry(
        "discard",
        Arity::Exactly(1),
        Keys::None,
        FLAGS,
        docs(
            "Drops the queued commands and forgets watched keys.",
            "",
            "2.0.0",
            "O(N) in the number of commands",
        ),
        SessionRun::Do(discard),
    )
    .in_multi(),
    entry(
        "exec",
        Arity::Exactly(1),
        Keys::None,
        Flags::NO_SCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
        docs("Runs the queued commands as one transaction.", "", "1.2.0", "that of the queued commands"),
        SessionRun::Do(exec),
    )
    .in_multi(),
    entry(
        "multi",
        Arity::Exactly(1),
        Keys::None,
        FLAGS,
        docs("Begins a transaction: commands are queued.", "", "1.2.0", "O(1)"),
        SessionRun::Do(multi),
    )
    .in_multi(),
    entry(
        "unwatch",
        Arity::Exactly(1),
        Keys::None,
        FLAGS,
        docs("Forgets all watched keys.", "", "2.2.0", "O(1)"),
        SessionRun::Do(unwatch),
    ),
    entry(
        "watch",
        Arity::AtLeast(2),
        Keys::ALL,
        FLAGS,
        docs(
            "Lets the next EXEC fail if one of the keys changes before it.",
            "key [key ...]",
            "2.2.0",
            "O(1) a key",
        ),
        SessionRun::Do(watch),
    )
    .in_multi(),
];

fn multi(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let session = engine.session_mut(conn);
    if session.multi.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    session.multi = Some(Multi::default());
    out.ok();
    Ok(())
}

fn discard(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if engine.session_mut(conn).multi.take().is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    engine.unwatch(conn);
    out.ok();
    Ok(())
}

fn watch(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if engine.session_mut(conn).multi.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    let db = engine.session_mut(conn).db;
    for bytes in args.iter().skip(1) {
        let was_due = engine.is_due(db, bytes);
        let was_there = !was_due && engine.keyspace.entry(db, engine.keyspace.key(bytes)).is_some();
        let at = (db, bytes.to_vec());
        let session = engine.session_mut(conn);
        if let std::collections::btree_map::Entry::Vacant(place) = session.watched.entry(at.clone()) {
            place.insert(Watched { was_due, was_there });
            engine.watchers.entry(at).or_default().push(conn);
        }
    }
    out.ok();
    Ok(())
}

fn unwatch(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    // Inside a transaction it comes too late to matter: EXEC has forgotten the keys already.
    engine.unwatch(conn);
    out.ok();
    Ok(())
}

fn exec(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let Some(multi) = engine.session_mut(conn).multi.take() else {
        return Err(Error::new("ERR EXEC without MULTI"));
    };
    let watch_failed = engine.check_watched(conn);
    engine.unwatch(conn);
    if multi.aborted {
        return Err(Error::new("EXECABORT Transaction discarded because of previous errors."));
    }
    if watch_failed {
        out.null_array();
        return Ok(());
    }
    // Refused as a whole while nothing is applied: half a transaction must not be.
    if multi.queued.iter().any(|(entry, _)| entry.command.is_write()) {
        engine.check_journal()?;
        for (entry, args) in &multi.queued {
            engine.make_room(entry, args.as_args()).map_err(|error| discarded(&error))?;
        }
    }
    let mut exec = Exec::new(multi.queued, out.proto());
    engine.standing_us = Some(engine.time_us(engine.read_us));
    if engine.run_queued(conn, &mut exec) {
        engine.standing_us = None;
        let (reply, gate) = exec.into_reply();
        out.raw(&reply);
        engine.session_gate = engine.session_gate.and(gate);
    } else {
        let running = engine.running.as_mut().expect("the queue stops only behind a suspended script");
        running.exec = Some(exec);
    }
    Ok(())
}

/// EXEC's error where it is refused for a reason of its own.
fn discarded(error: &Error) -> Error {
    let why = error.as_bytes();
    let why = why.strip_prefix(b"ERR ").unwrap_or(why);
    Error::text([b"EXECABORT Transaction discarded because of: ", why].concat())
}

/// An EXEC on its way. Only a suspended script lets it outlast its request.
pub(crate) struct Exec {
    queued: std::vec::IntoIter<(&'static Entry, OwnedArgs)>,
    /// The reply so far. It stands apart from the connection's output, where pushes may come between.
    reply: Vec<u8>,
    gate: Gate,
    /// EXEC's own request, where it outlasts it.
    pub(crate) unnoted: Option<Unnoted>,
}

impl Exec {
    fn new(queued: Vec<(&'static Entry, OwnedArgs)>, proto: Proto) -> Self {
        let mut reply = Vec::new();
        Reply::new(&mut reply, proto).array(queued.len());
        Self { queued: queued.into_iter(), reply, gate: Gate::OPEN, unnoted: None }
    }

    /// Takes the reply of a script that was suspended.
    pub(crate) fn add(&mut self, reply: &[u8], gate: Gate) {
        self.reply.extend_from_slice(reply);
        self.gate = self.gate.and(gate);
    }

    /// The whole reply, and the gate of what its commands saw.
    pub(crate) fn into_reply(self) -> (Vec<u8>, Gate) {
        debug_assert!(self.queued.len() == 0, "every command has run");
        (self.reply, self.gate)
    }
}

impl Engine {
    /// Runs what is left of a transaction's commands; false if a script among them was suspended.
    pub(crate) fn run_queued(&mut self, conn: ConnId, exec: &mut Exec) -> bool {
        self.session_mut(conn).in_exec = true;
        for (entry, args) in exec.queued.by_ref() {
            if !self.monitors.is_empty() {
                self.feed_monitors(conn, entry, args.as_args());
            }
            if entry.command.is_write()
                && let Err(error) = self.check_transaction()
            {
                self.stats.note_refusal(Some(entry.index), &error);
                let proto = self.session_mut(conn).proto;
                Reply::new(&mut exec.reply, proto).error(error.as_bytes());
                continue;
            }
            let began_us = self.read_stopwatch();
            let (ended, seen) = self.call(conn, entry, args.as_args(), Attempt::MustAnswer, &mut exec.reply);
            debug_assert!(matches!(ended, Ended::Done { .. }), "a command that must answer does");
            exec.gate = exec.gate.and(seen);
            if let Some(running) = &mut self.running {
                running.unnoted = Some(Unnoted { entry, args, began_us });
                return false;
            }
            let now_us = self.read_stopwatch();
            self.note_time(conn, entry, args.as_args(), now_us - began_us, &ended);
            let len = exec.reply.len() as u64;
            if len > self.output_hard_bytes(conn) {
                // The transaction goes on to its end; its client will not hear of it.
                self.cut_off_output(conn, len, "hard");
                exec.reply = Vec::new();
            }
        }
        self.session_mut(conn).in_exec = false;
        true
    }

    /// Drops the transaction of an EXEC that cannot run for this reason; its error.
    pub(crate) fn abort_exec(&mut self, conn: ConnId, error: &Error) -> Error {
        self.session_mut(conn).multi = None;
        self.unwatch(conn);
        discarded(error)
    }

    /// Queues a command of a transaction.
    pub(crate) fn queue(&mut self, conn: ConnId, entry: &'static Entry, args: Args<'_>) {
        let session = self.session_mut(conn);
        let proto = session.proto;
        let multi = session.multi.as_mut().expect("only called inside MULTI");
        multi.bytes += args.iter().map(<[u8]>::len).sum::<usize>();
        multi.queued.push((entry, args.to_owned()));
        Reply::new(session.output.buffer(), proto).simple("QUEUED");
    }

    /// Whether a key is there but its time has come.
    pub(crate) fn is_due(&self, db: u32, key: &[u8]) -> bool {
        let key: Key<'_> = self.keyspace.key(key);
        let expire_ms = self.keyspace.entry(db, key).and_then(sessile_keyspace::Entry::expire_ms);
        expire_ms.is_some_and(|at_ms| at_ms <= self.now_ms())
    }

    /// Whether EXEC must fail. The reply reveals that watched keys changed or did not, so it waits for them.
    fn check_watched(&mut self, conn: ConnId) -> bool {
        let session = self.session_mut(conn);
        let mut failed = session.watch_failed;
        let watched = std::mem::take(&mut session.watched);
        for ((db, key), it) in &watched {
            let hash = self.keyspace.key(key).hash;
            self.session_gate = self.session_gate.and(self.keyspace.pending.of(hash));
            failed |= !it.was_due && self.is_due(*db, key);
        }
        self.session_mut(conn).watched = watched;
        failed
    }

    /// Forgets the connection's watched keys.
    pub(crate) fn unwatch(&mut self, conn: ConnId) {
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        session.watch_failed = false;
        for at in std::mem::take(&mut session.watched).into_keys() {
            if let Some(conns) = self.watchers.get_mut(&at) {
                conns.retain(|&c| c != conn);
                if conns.is_empty() {
                    self.watchers.remove(&at);
                }
            }
        }
    }
}
