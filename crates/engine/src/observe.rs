//! What effects set off beyond the state: WATCH, keyspace notifications, blocked clients. All observe; no handler
//! has a hook of its own.

use sessile_command::{EVERY_DB, NotifyClass, Observed};
use sessile_keyspace::Gate;

use crate::engine::Engine;
use crate::session::{ConnId, Watched};

impl Engine {
    /// Lets observers see the transaction that just ended, and delivers what it published, behind its gate.
    pub(crate) fn deliver(&mut self, gate: Gate) {
        for observed in self.take_observed() {
            self.touch_watchers(&observed);
            self.wake(&observed);
            self.notify(&observed);
        }
        for (conn, bytes) in std::mem::take(&mut self.outbox) {
            let Some(session) = self.sessions[conn].as_deref_mut().filter(|session| !session.killed) else {
                continue;
            };
            session.outbox_bytes = 0;
            self.send(conn, &bytes, gate);
        }
    }

    fn touch_watchers(&mut self, observed: &Observed) {
        if self.watchers.is_empty() {
            return;
        }
        match &observed.key {
            // A key that was due when it was watched read as absent then, and still does when it is gone.
            Some(key) => {
                self.touch(observed.db, key, |watched| !(observed.applied.removed && watched.was_due));
            }
            None => {
                // A flush or a swap changes the keys that were there, and those that are now.
                let of_db = |db: u32| observed.db == EVERY_DB || observed.db == db;
                let touched: Vec<(u32, Vec<u8>)> =
                    self.watchers.keys().filter(|(db, _)| of_db(*db)).cloned().collect();
                for (db, key) in touched {
                    let is_there = self.keyspace.entry(db, self.keyspace.key(&key)).is_some();
                    self.touch(db, &key, |watched| is_there || watched.was_there);
                }
            }
        }
    }

    /// Lets the next EXEC fail of those who watch the key and for whom it changed.
    fn touch(&mut self, db: u32, key: &[u8], changed: impl Fn(&Watched) -> bool) {
        let at = (db, key.to_vec());
        let Some(conns) = self.watchers.get(&at) else { return };
        for &conn in conns {
            let Some(session) = self.sessions[conn].as_deref_mut() else { continue };
            session.watch_failed |= session.watched.get(&at).is_none_or(&changed);
        }
    }

    fn notify(&mut self, observed: &Observed) {
        let Some(key) = &observed.key else { return };
        if observed.applied.created && self.settings.notify.has(NotifyClass::New as u8) {
            self.publish_event(observed.db, key, "new");
        }
        let Some((class, name)) = observed.event.0 else { return };
        if self.settings.notify.has(class as u8) {
            self.publish_event(observed.db, key, name);
        }
    }

    /// Tells of keys that a command missed. Of one whose time had come, its expiry is told first.
    pub(crate) fn note_missed(&mut self, missed: Vec<(u32, Vec<u8>)>) {
        for (db, key) in missed {
            if self.due.iter().any(|due| *due == (db, key.clone())) {
                self.missed_due.push((db, key));
            } else {
                self.publish_event(db, &key, "keymiss");
            }
        }
    }

    /// Tells of those that waited for their expiry.
    pub(crate) fn deliver_missed(&mut self, gate: Gate) {
        if !self.missed_due.is_empty() {
            for (db, key) in std::mem::take(&mut self.missed_due) {
                self.publish_event(db, &key, "keymiss");
            }
            self.deliver(gate);
        }
    }

    fn publish_event(&mut self, db: u32, key: &[u8], event: &str) {
        if self.settings.notify.has(b'K') {
            let mut channel = format!("__keyspace@{db}__:").into_bytes();
            channel.extend_from_slice(key);
            self.publish(&channel, event.as_bytes());
        }
        if self.settings.notify.has(b'E') {
            self.publish(format!("__keyevent@{db}__:{event}").as_bytes(), key);
        }
    }

    /// Tells MONITOR's connections what runs. Carries no gate: it shows requests, not data.
    pub(crate) fn feed_monitors(
        &mut self,
        conn: ConnId,
        entry: &crate::table::Entry,
        args: sessile_resp::Args<'_>,
    ) {
        use sessile_command::Flags;
        if entry.command.flags.has(Flags::SKIP_MONITOR) || entry.command.flags.has(Flags::ADMIN) {
            return;
        }
        let now_ms = self.now_ms();
        let Some(session) = self.session(conn) else { return };
        let addr = if session.peer.unix {
            "unix:".to_owned() + &session.peer.addr
        } else {
            session.peer.addr.clone()
        };
        let mut line =
            format!("+{}.{:06} [{} {}]", now_ms / 1000, now_ms % 1000 * 1000, session.db, addr).into_bytes();
        for arg in args.iter() {
            line.push(b' ');
            quote(&mut line, arg);
        }
        line.extend_from_slice(b"\r\n");
        let monitors: Vec<ConnId> = self.monitors.iter().copied().collect();
        for monitor in monitors {
            self.send(monitor, &line, Gate::OPEN);
        }
    }
}

/// Appends an argument as MONITOR and the command line show it.
pub(crate) fn quote(out: &mut Vec<u8>, arg: &[u8]) {
    out.push(b'"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
