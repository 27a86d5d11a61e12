//! What happens by itself: expiry, deadlines, idle connections, freeing. Each turn does a bounded amount.

use crate::engine::Engine;
use crate::session::{Awaited, ConnId};

/// Entries that one turn of active expiry looks at.
const EXPIRE_LOOKS_A_TURN: usize = 512;
/// Keys that one turn expires.
const EXPIRIES_A_TURN: usize = 64;
/// Nodes and entries that one turn frees.
const FREES_A_TURN: usize = 256;
/// How long the longest output of a connection is remembered, in milliseconds: Redis' own.
const OUTPUT_PEAK_MS: u64 = 5000;
/// Weight of the newest turn in `expired_stale_perc`: Redis' own.
const STALE_WEIGHT: f64 = 0.05;
/// Connections that one turn looks at for their limits and time-outs.
const SESSIONS_A_TURN: usize = 256;

impl Engine {
    /// One turn of background work; true if more of it waits and the next turn should come at once.
    pub fn tick(&mut self) -> bool {
        self.read_stopwatch();
        if self.running.is_some() {
            // Its transaction is open: nothing else may run.
            return self.run_on();
        }
        if self.writers_wait && !self.is_snapshot_full() {
            self.writers_wait = false;
            self.resume_held();
        }
        self.time_out_due();
        let expiring = self.expire_some();
        let evicting = self.evict_turn();
        let freeing = self.keyspace.free_some(FREES_A_TURN);
        self.resume(usize::MAX);
        expiring || evicting || freeing || !self.resumable.is_empty()
    }

    /// When the next blocked command gives up, on the engine's clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(at_ms, _)| *at_ms)
    }

    fn time_out_due(&mut self) {
        let now_ms = self.now_ms();
        while let Some(&(at_ms, conn)) = self.deadlines.first() {
            if at_ms > now_ms {
                break;
            }
            self.deadlines.pop_first();
            // CLIENT PAUSE leaves deadlines as well, and places of connections are used again.
            let waits = self.session(conn).is_some_and(|s| {
                s.blocked.as_ref().is_some_and(|b| b.deadline_ms == at_ms)
                    || s.waiting.as_ref().is_some_and(|w| w.deadline_ms == at_ms)
            });
            if waits {
                self.time_out(conn);
            }
            // A request that CLIENT PAUSE held up has nothing to give up: it runs.
            self.resumable.push_back(conn);
        }
    }

    /// Expires some due keys; true if the turn was used up.
    fn expire_some(&mut self) -> bool {
        if !self.settings.active_expire || self.check_journal().is_err() || self.is_snapshot_full() {
            return false;
        }
        let began_us = (self.stopwatch_us)();
        let mut due: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut seen = 0u32;
        let now_ms = self.now_ms();
        let expiring: usize =
            (0..self.keyspace.db_count() as u32).map(|db| self.keyspace.db(db).expiring()).sum();
        let cursor = self.expire_cursor;
        let next = self.keyspace.expire_turn(cursor, now_ms, EXPIRE_LOOKS_A_TURN, |db, entry| {
            seen += 1;
            if due.len() < EXPIRIES_A_TURN {
                due.push((db, entry.key().to_vec()));
            }
        });
        let full = due.len() == EXPIRIES_A_TURN;
        // A full turn may have left due keys behind in the same segment.
        self.expire_cursor = if full { cursor } else { next };
        for (db, key) in due {
            self.expire_key(db, &key);
        }
        self.serve_ready();
        let percent = f64::from(seen) * 100.0 / expiring.max(1) as f64;
        let stats = &mut self.stats;
        stats.stale_percent += (percent - stats.stale_percent) * STALE_WEIGHT;
        stats.expiry_turns_full += u64::from(full);
        stats.expiry_us += (self.stopwatch_us)() - began_us;
        full
    }

    /// Closes idle connections, and looks again at output that was too long for too long. Called about once a second.
    pub fn check_connections(&mut self) {
        let (now_ms, limit_s) = (self.now_ms(), self.settings.idle_timeout_s);
        let conns: Vec<ConnId> = self.all_sessions().map(|(conn, _)| conn).collect();
        for chunk in conns.chunks(SESSIONS_A_TURN) {
            for &conn in chunk {
                self.limit_output(conn);
                let Some(session) = self.sessions[conn].as_deref_mut() else { continue };
                if now_ms.saturating_sub(session.output_peak.1) > OUTPUT_PEAK_MS {
                    session.output_peak = (session.output.len(), now_ms);
                }
                let idle = now_ms.saturating_sub(session.active_ms) > limit_s * 1000;
                if limit_s > 0
                    && idle
                    && !session.killed
                    && session.blocked.is_none()
                    && !session.is_subscriber()
                    && !session.monitor
                {
                    session.killed = true;
                    self.note_hang_up(conn, "it was idle for longer than `timeout`");
                    self.mark_ready(conn);
                }
            }
        }
        self.sum_up_cut_offs();
    }

    /// Takes a sample for the `instantaneous_*` fields of INFO, and looks at memory. Called ten times a second.
    pub fn sample_rates(&mut self) {
        let now_ms = self.now_ms();
        self.limit_clients();
        self.watch_memory();
        let stats = &mut self.stats;
        stats.samples.push_back((now_ms, stats.commands, stats.net_in, stats.net_out));
        if stats.samples.len() > 17 {
            stats.samples.pop_front();
        }
    }

    /// Keeps the fields of INFO true that tell how much memory was ever used, and how long too much.
    fn watch_memory(&mut self) {
        let (now_ms, short) = (self.now_ms(), self.is_short_of_memory());
        let used = self.used_memory_bytes() + self.stats.client_bytes;
        let stats = &mut self.stats;
        stats.peak_bytes = stats.peak_bytes.max(used);
        if !short {
            stats.short_ms += stats.short_ms_of(now_ms);
            stats.short_since_ms = 0;
        } else if stats.short_since_ms == 0 {
            stats.short_since_ms = now_ms.max(1);
        }
    }

    /// Ends WAITAOF where it is answered, and whatever else waits where its time is over.
    pub(crate) fn finish_waiting(&mut self, conn: ConnId, time_over: bool) {
        let progress = self.keyspace.pending.progress();
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        let Some(waiting) = &session.waiting else { return };
        let durable = waiting.is_answered(progress);
        if !durable && !time_over {
            return;
        }
        let asked = matches!(waiting.what, Awaited::Durable(_));
        self.unblock(conn);
        if asked {
            let reply = if durable { "*2\r\n:1\r\n:0\r\n" } else { "*2\r\n:0\r\n:0\r\n" };
            self.answer_late(conn, reply.as_bytes());
        }
        if time_over {
            self.resumable.push_back(conn);
        }
    }
}
