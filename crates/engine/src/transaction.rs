//! MULTI, EXEC, DISCARD, WATCH.

use sessile_command::{Acl, Arity, Attempt, Command, Docs, Error, Flags, Key, Keys, Outcome, Run};
use sessile_keyspace::Gate;
use sessile_resp::{Args, Reply};

use crate::engine::Engine;
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
    let command = Command { name, arity, keys, acl: Acl::TRANSACTION, flags, docs, run: Run::Session };
    SessionCommand { command, run, runs_in_multi: true, runs_subscribed: false }
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
    ),
    entry(
        "exec",
        Arity::Exactly(1),
        Keys::None,
        Flags::NO_SCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
        docs("Runs the queued commands as one transaction.", "", "1.2.0", "that of the queued commands"),
        SessionRun::Do(exec),
    ),
    entry(
        "multi",
        Arity::Exactly(1),
        Keys::None,
        FLAGS,
        docs("Begins a transaction: commands are queued.", "", "1.2.0", "O(1)"),
        SessionRun::Do(multi),
    ),
    SessionCommand {
        runs_in_multi: false,
        ..entry(
            "unwatch",
            Arity::Exactly(1),
            Keys::None,
            FLAGS,
            docs("Forgets all watched keys.", "", "2.2.0", "O(1)"),
            SessionRun::Do(unwatch),
        )
    },
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
    ),
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
        let watched = Watched { db, key: bytes.to_vec(), was_due, was_there };
        let session = engine.session_mut(conn);
        if session.watched.iter().any(|w| w.db == db && w.key == bytes) {
            continue;
        }
        session.watched.push(watched);
        engine.watchers.entry((db, bytes.to_vec())).or_default().push(conn);
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
        for (entry, _) in &multi.queued {
            engine.make_room(entry).map_err(|error| {
                let mut text = b"EXECABORT Transaction discarded because of: ".to_vec();
                text.extend_from_slice(error.as_bytes());
                Error::text(text)
            })?;
        }
    }
    out.array(multi.queued.len());
    engine.session_mut(conn).in_exec = true;
    let mut gate = Gate::OPEN;
    let mut buffer = Vec::new();
    let hard_bytes = engine.output_hard_bytes(conn);
    let mut reply_bytes = 0;
    for (entry, args) in &multi.queued {
        buffer.clear();
        engine.stats.commands += 1;
        if !engine.monitors.is_empty() {
            engine.feed_monitors(conn, entry, args.as_args());
        }
        let began_us = (engine.stopwatch_us)();
        let (ended, seen) = engine.call(conn, entry, args.as_args(), Attempt::MustAnswer, &mut buffer);
        let now_us = (engine.stopwatch_us)();
        engine.note_time(conn, entry, args.as_args(), now_us - began_us, &ended);
        gate = gate.and(seen);
        reply_bytes += buffer.len() as u64;
        if reply_bytes <= hard_bytes {
            out.raw(&buffer);
        } else {
            // The transaction goes on to its end; its client will not hear of it.
            engine.cut_off_output(conn, reply_bytes, "hard");
        }
    }
    engine.session_mut(conn).in_exec = false;
    engine.session_gate = engine.session_gate.and(gate);
    Ok(())
}

impl Engine {
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
        let watched = session.watched.clone();
        for it in &watched {
            let hash = self.keyspace.key(&it.key).hash;
            self.session_gate = self.session_gate.and(self.keyspace.pending.of(hash));
            failed |= !it.was_due && self.is_due(it.db, &it.key);
        }
        failed
    }

    /// Forgets the connection's watched keys.
    pub(crate) fn unwatch(&mut self, conn: ConnId) {
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        session.watch_failed = false;
        for it in std::mem::take(&mut session.watched) {
            let at = (it.db, it.key);
            if let Some(conns) = self.watchers.get_mut(&at) {
                conns.retain(|&c| c != conn);
                if conns.is_empty() {
                    self.watchers.remove(&at);
                }
            }
        }
    }
}
