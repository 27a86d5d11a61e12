//! Commands that wait for a key: who waits, who is woken in which order, and what happens when the time is over.
//!
//! A woken command simply runs again; a command whose time is over runs once more and must answer, so that its reply
//! is gated on what it saw.

use std::collections::VecDeque;

use sessile_command::{Attempt, Error, Observed, Wait, WaitFor};
use sessile_keyspace::{Content, Gate};
use sessile_resp::{Args, Reply};
use sessile_values::Value;

use crate::dispatch::Ended;
use crate::engine::Engine;
use crate::session::{Blocked, ConnId};
use crate::table::Entry;

/// Who waits for a key, first come first served.
#[derive(Default)]
pub(crate) struct Waiters {
    queue: VecDeque<ConnId>,
    /// Those of them who are told when the key is gone: others need not be looked at then.
    pub(crate) told_of_loss: usize,
    /// The key stands among those that became ready.
    is_listed: bool,
}

impl Blocked {
    /// Only a group's reader is told when its stream is gone or is something else; whoever just reads waits on.
    fn is_told_of_loss(&self) -> bool {
        self.entry.command.is_write() && matches!(self.until, WaitFor::Stream)
    }
}

impl Engine {
    /// Lets a connection wait for the keys of its command.
    pub(crate) fn block(&mut self, conn: ConnId, entry: &'static Entry, args: Args<'_>, wait: Wait) {
        let again = wait.again.unwrap_or_else(|| args.to_owned());
        let places = entry.command.keys.find(again.as_args()).unwrap_or_default();
        let mut keys: Vec<Vec<u8>> = places.into_iter().map(|i| again.as_args()[i].to_vec()).collect();
        keys.truncate(wait.keys_max);
        let now_ms = self.now_ms();
        let deadline_ms = if wait.timeout_ms == 0 { 0 } else { now_ms + wait.timeout_ms };
        let db = self.session_mut(conn).db;
        keys.sort();
        keys.dedup();
        let blocked = Blocked { entry, args: again, keys, until: wait.until, deadline_ms, db };
        for key in &blocked.keys {
            let waiters = self.waiters.entry((db, key.clone())).or_default();
            waiters.queue.push_back(conn);
            waiters.told_of_loss += usize::from(blocked.is_told_of_loss());
        }
        if deadline_ms > 0 {
            self.deadlines.insert((deadline_ms, conn));
        }
        self.session_mut(conn).blocked = Some(blocked);
    }

    /// Takes a connection out of all waiting; its command, if it had one.
    pub(crate) fn unblock(&mut self, conn: ConnId) -> Option<Blocked> {
        let session = self.sessions[conn].as_deref_mut()?;
        if let Some(waiting) = session.waiting.take() {
            self.deadlines.remove(&(waiting.deadline_ms, conn));
        }
        let blocked = session.blocked.take()?;
        self.deadlines.remove(&(blocked.deadline_ms, conn));
        for key in &blocked.keys {
            let at = (blocked.db, key.clone());
            let Some(waiters) = self.waiters.get_mut(&at) else { continue };
            waiters.told_of_loss -= usize::from(blocked.is_told_of_loss());
            // Most often it is the first.
            if waiters.queue.front() == Some(&conn) {
                waiters.queue.pop_front();
            } else {
                waiters.queue.retain(|&c| c != conn);
            }
            if waiters.queue.is_empty() {
                self.waiters.remove(&at);
            }
        }
        Some(blocked)
    }

    /// Notes keys that an effect may have made ready.
    pub(crate) fn wake(&mut self, observed: &Observed) {
        if self.waiters.is_empty() {
            return;
        }
        // In Redis, too, what a store puts in another value's place wakes nobody; nor does a group that is put back, until
        // the next entry comes.
        let wakes = match observed.event.0 {
            Some((_, "xgroup-setid")) => false,
            Some((_, name)) if name.ends_with("store") && name != "restore" => observed.applied.created,
            _ => true,
        };
        if !wakes {
            return;
        }
        match &observed.key {
            Some(key) => self.note_ready(observed.db, key.clone()),
            None => {
                let mut all: Vec<(u32, Vec<u8>)> = self.waiters.keys().cloned().collect();
                // The map's own order differs from run to run.
                all.sort();
                all.into_iter().for_each(|(db, key)| self.note_ready(db, key));
            }
        }
    }

    fn note_ready(&mut self, db: u32, key: Vec<u8>) {
        let at = (db, key);
        if let Some(waiters) = self.waiters.get_mut(&at)
            && !std::mem::replace(&mut waiters.is_listed, true)
        {
            self.ready_keys.push_back(at);
        }
    }

    /// Runs the commands that wait for keys which became ready, first come first served.
    pub(crate) fn serve_ready(&mut self) {
        if self.serving {
            return;
        }
        self.serving = true;
        while let Some(at) = self.ready_keys.pop_front() {
            let Some(waiters) = self.waiters.get_mut(&at) else { continue };
            waiters.is_listed = false;
            self.serve_key(&at);
        }
        self.serving = false;
    }

    /// Lets those who wait for a key have what it holds, one after another.
    fn serve_key(&mut self, at: &(u32, Vec<u8>)) {
        let (db, key) = (at.0, &at.1[..]);
        let mut place = 0;
        while let Some(waiters) = self.waiters.get(at)
            && let Some(&conn) = waiters.queue.get(place)
        {
            let is_there = self.keyspace.entry(db, self.keyspace.key(key)).is_some();
            if !is_there && waiters.told_of_loss == 0 {
                break;
            }
            // Whoever waits on keeps a place before the next one.
            place += usize::from(!self.serve(conn, db, key));
        }
    }

    /// Runs a waiting command again if the key is ready for it; true if it waits no more.
    fn serve(&mut self, conn: ConnId, db: u32, key: &[u8]) -> bool {
        let Some(blocked) = self.session(conn).and_then(|s| s.blocked.as_ref()) else { return false };
        if !self.is_ready(db, key, blocked.until, blocked.is_told_of_loss()) {
            return false;
        }
        let blocked = self.unblock(conn).expect("checked above");
        let was_db = std::mem::replace(&mut self.session_mut(conn).db, blocked.db);
        let start = self.session(conn).map_or(0, |s| s.output.end());
        let (ended, gate) = self.top_level(conn, blocked.entry, blocked.args.as_args(), Attempt::MayWait);
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            session.db = was_db;
        }
        match ended {
            Ended::Done { .. } => self.answered(conn, start, gate),
            Ended::Waits(_) => {
                self.block_again(conn, blocked);
                return false;
            }
        }
        true
    }

    fn block_again(&mut self, conn: ConnId, blocked: Blocked) {
        for key in &blocked.keys {
            // It keeps its turn: it was the first of the queue when it was looked at.
            let waiters = self.waiters.entry((blocked.db, key.clone())).or_default();
            waiters.queue.push_front(conn);
            waiters.told_of_loss += usize::from(blocked.is_told_of_loss());
        }
        if blocked.deadline_ms > 0 {
            self.deadlines.insert((blocked.deadline_ms, conn));
        }
        self.session_mut(conn).blocked = Some(blocked);
    }

    /// Whether the key now holds what is waited for.
    fn is_ready(&self, db: u32, key: &[u8], until: WaitFor, told_of_loss: bool) -> bool {
        let entry = self.keyspace.entry(db, self.keyspace.key(key));
        match (until, entry.map(sessile_keyspace::Entry::content)) {
            (WaitFor::List, Some(Content::Value(Value::List(_))))
            | (WaitFor::Zset, Some(Content::Value(Value::Zset(_))))
            | (WaitFor::Stream, Some(Content::Value(Value::Stream(_)))) => true,
            (WaitFor::Stream, _) => told_of_loss,
            _ => false,
        }
    }

    /// Lets a late reply, which stands in the output from `start` on, leave behind its gate.
    pub(crate) fn answered(&mut self, conn: ConnId, start: u64, gate: Gate) {
        self.close_reply(conn, start, gate);
        self.after_output(conn);
        self.resumable.push_back(conn);
    }

    /// Answers a command that waited for something beside keys, or in vain.
    pub(crate) fn answer_late(&mut self, conn: ConnId, reply: &[u8]) {
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        let start = session.output.end();
        session.output.push(reply, Gate::OPEN, self.read_us);
        self.answered(conn, start, Gate::OPEN);
    }

    /// Ends the wait of a connection whose time is over.
    pub(crate) fn time_out(&mut self, conn: ConnId) {
        self.finish_waiting(conn, true);
        let Some(blocked) = self.unblock(conn) else { return };
        let was_db = std::mem::replace(&mut self.session_mut(conn).db, blocked.db);
        let start = self.session(conn).map_or(0, |s| s.output.end());
        let (ended, gate) = self.top_level(conn, blocked.entry, blocked.args.as_args(), Attempt::TimedOut);
        debug_assert!(matches!(ended, Ended::Done { .. }), "a command that must answer does");
        let session = self.session_mut(conn);
        session.db = was_db;
        if matches!(ended, Ended::Done { failed: true }) {
            // Another type under a key would have let it wait on: it has found nothing.
            let proto = session.proto;
            session.output.truncate(start);
            Reply::new(session.output.buffer(), proto).null_array();
        }
        self.answered(conn, start, gate);
    }

    /// CLIENT UNBLOCK: ends the wait with a time-out or an error. False if the connection does not wait.
    pub(crate) fn unblock_client(&mut self, conn: ConnId, error: bool) -> bool {
        if self.session(conn).is_none_or(|s| s.blocked.is_none()) {
            return false;
        }
        if !error {
            self.time_out(conn);
            return true;
        }
        self.unblock(conn);
        let error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
        let mut bytes = Vec::new();
        Reply::new(&mut bytes, sessile_resp::Proto::Resp2).error(error.as_bytes());
        self.answer_late(conn, &bytes);
        true
    }
}
