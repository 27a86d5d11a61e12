//! What keeps memory within its limits: buffers of connections, `maxmemory`.

use sessile_command::{Error, Flags, Frame, WriteCx};
use sessile_config::MaxmemoryPolicy;
use sessile_keyspace::{Cause, Effect, Gate};
use sessile_resp::Args;

use crate::engine::Engine;
use crate::session::ConnId;
use crate::table::Entry;

/// Keys that one command may evict before it runs, or a turn of the background, beside its share by size.
const EVICTIONS_A_TURN: usize = 64;
/// A command may evict a key for so many bytes that it brings: entries are hardly smaller.
const BYTES_AN_EVICTION: usize = 64;

/// What a queued command takes beside the bytes of its arguments, about.
const QUEUED_COMMAND_BYTES: usize = 96;

impl Engine {
    /// Closes a connection whose input is beyond `client-query-buffer-limit`.
    pub(crate) fn limit_input(&mut self, conn: ConnId) {
        let limit = self.settings.input_limit_bytes;
        let now_s = self.clock.now_ms() / 1000;
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        self.stats.note_buffers(now_s, session.input.len(), session.output.len());
        // What MULTI queued has not run yet either.
        let queued = session.multi.as_ref().map_or(0, |it| it.bytes + it.queued.len() * QUEUED_COMMAND_BYTES);
        let len = session.input.len() + queued;
        if len as u64 > limit && !std::mem::replace(&mut session.killed, true) {
            self.stats.input_limit_closed += 1;
            self.note_cut_off(conn, &format!("{len} bytes of input are above `client-query-buffer-limit`"));
            self.mark_ready(conn);
        }
    }

    /// Closes a connection whose unsent output is beyond its class' hard limit, or too long beyond the soft one.
    pub(crate) fn limit_output(&mut self, conn: ConnId) {
        let now_ms = self.now_ms();
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        let limit = self.settings.output_limits[session.class() as usize];
        let len = session.output.len() as u64;
        session.output_peak.0 = session.output_peak.0.max(session.output.len());
        self.stats.note_buffers(now_ms / 1000, 0, session.output.len());
        let over_soft = limit.soft_bytes > 0 && len > limit.soft_bytes;
        if !over_soft {
            session.soft_since_ms = 0;
        } else if session.soft_since_ms == 0 {
            session.soft_since_ms = now_ms.max(1);
        }
        let too_long = over_soft && now_ms - session.soft_since_ms > limit.soft_seconds * 1000;
        let too_much = limit.hard_bytes > 0 && len > limit.hard_bytes;
        if too_much || too_long {
            self.cut_off_output(conn, len, if too_much { "hard" } else { "soft" });
        }
    }

    /// The hard limit of a connection's output.
    pub(crate) fn output_hard_bytes(&self, conn: ConnId) -> u64 {
        let class = self.session(conn).map_or(0, |session| session.class() as usize);
        let hard_bytes = self.settings.output_limits[class].hard_bytes;
        if hard_bytes == 0 { u64::MAX } else { hard_bytes }
    }

    /// Closes a connection for its output, `len` bytes.
    pub(crate) fn cut_off_output(&mut self, conn: ConnId, len: u64, which: &str) {
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        if !std::mem::replace(&mut session.killed, true) {
            self.stats.output_limit_closed += 1;
            let why = format!(
                "{len} bytes of output wait for it, above the {which} limit of `client-output-buffer-limit`"
            );
            self.note_cut_off(conn, &why);
            self.mark_ready(conn);
        }
    }

    /// Closes the connections that take most, while all together take more than `maxmemory-clients`.
    pub(crate) fn limit_clients(&mut self) {
        let limit = self.settings.clients_bytes;
        if limit == 0 {
            return;
        }
        let mut sizes: Vec<(usize, ConnId)> =
            self.all_sessions().filter(|(_, s)| !s.killed).map(|(conn, s)| (s.heap_bytes(), conn)).collect();
        let mut all: u64 = sizes.iter().map(|(bytes, _)| *bytes as u64).sum();
        sizes.sort_unstable();
        while all > limit
            && let Some((bytes, conn)) = sizes.pop()
        {
            let Some(session) = self.sessions[conn].as_deref_mut().filter(|s| !s.no_evict) else { continue };
            session.killed = true;
            all -= bytes as u64;
            self.stats.evicted_clients += 1;
            self.mark_ready(conn);
        }
    }

    /// Notes what the node takes before it has data, in bytes.
    pub fn note_startup_bytes(&mut self, allocated_bytes: usize) {
        self.stats.base_bytes = allocated_bytes.saturating_sub(self.keyspace.memory_bytes());
    }

    /// Memory as `maxmemory` counts it: data, without the buffers of connections.
    pub fn used_memory_bytes(&self) -> usize {
        self.keyspace.memory_bytes() + self.txn.bytes.capacity() + self.stats.base_bytes
    }

    /// Whether memory is above `maxmemory`.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        let limit = self.memory_limit_bytes();
        limit > 0 && self.used_memory_bytes() as u64 > limit
    }

    /// `maxmemory`, or without it what the machine bears; 0 where that is unknown.
    pub(crate) fn memory_limit_bytes(&self) -> u64 {
        match self.settings.maxmemory_bytes {
            0 => self.server.memory_ceiling_bytes,
            bytes => bytes,
        }
    }

    /// Before a command that may need memory: evicts as the policy says, or refuses.
    ///
    /// What a large command brings it makes room for at once, so that memory does not grow however fast such commands
    /// come; where the limit was lowered, or deletions free bit by bit, turns of the background catch up.
    pub(crate) fn make_room(&mut self, entry: &Entry, args: Args<'_>) -> Result<(), Error> {
        if !entry.command.flags.has(Flags::DENY_OOM) || !self.is_short_of_memory() {
            return Ok(());
        }
        let bytes: usize = args.iter().map(<[u8]>::len).sum();
        if self.evict_some(EVICTIONS_A_TURN + bytes / BYTES_AN_EVICTION) {
            return Ok(());
        }
        Err(Error::new("OOM command not allowed when used memory > 'maxmemory'."))
    }

    /// A turn of the background: evicts some of what is too much; true while more is.
    pub(crate) fn evict_turn(&mut self) -> bool {
        self.may_evict() && self.evict_some(EVICTIONS_A_TURN) && self.is_short_of_memory()
    }

    /// Whether something is to go, and a running snapshot has room for what is saved of it.
    fn may_evict(&self) -> bool {
        self.is_short_of_memory() && !self.is_snapshot_full()
    }

    /// Evicts until memory is within its limit, but at most so many keys; false if the policy finds no more.
    fn evict_some(&mut self, keys: usize) -> bool {
        for _ in 0..keys {
            if !self.is_short_of_memory() {
                return true;
            }
            if !self.evict_one() {
                return false;
            }
            // Large values go to the graveyard: they count until they are freed.
            self.keyspace.free_some(1);
        }
        true
    }

    /// Evicts the best of a few sampled keys; false if the policy finds none.
    fn evict_one(&mut self) -> bool {
        let policy = self.settings.policy;
        if policy == MaxmemoryPolicy::NoEviction || self.check_journal().is_err() {
            return false;
        }
        let volatile = matches!(
            policy,
            MaxmemoryPolicy::VolatileLru
                | MaxmemoryPolicy::VolatileLfu
                | MaxmemoryPolicy::VolatileRandom
                | MaxmemoryPolicy::VolatileTtl
        );
        let mut best: Option<(u64, u32, Vec<u8>)> = None;
        for db in 0..self.keyspace.db_count() as u32 {
            let it = self.keyspace.db(db);
            if if volatile { it.expiring() == 0 } else { it.is_empty() } {
                continue;
            }
            for _ in 0..self.settings.samples {
                let rng = &mut self.rng;
                let wanted = |e: &sessile_keyspace::Entry| !volatile || e.expire_ms().is_some();
                let Some(entry) = it.table().sample(&mut || rng.next_u64(), volatile, wanted) else { break };
                let worth = match policy {
                    MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => {
                        self.keyspace.clock.idle_s(entry)
                    }
                    MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => {
                        255 - u64::from(self.keyspace.clock.frequency(entry))
                    }
                    MaxmemoryPolicy::VolatileTtl => u64::MAX - entry.expire_ms().unwrap_or(u64::MAX),
                    _ => rng.next_u64(),
                };
                if best.as_ref().is_none_or(|(b, ..)| worth > *b) {
                    best = Some((worth, db, entry.key().to_vec()));
                }
            }
        }
        let Some((_, db, key)) = best else { return false };
        self.evict(db, &key);
        true
    }

    fn evict(&mut self, db: u32, key: &[u8]) {
        self.txn.observing = self.observing();
        let frame = Frame::new(db, self.clock.now_ms(), sessile_command::Attempt::MustAnswer);
        let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
        let key = cx.key(key);
        cx.emit(&Effect::Delete { key, cause: Cause::Evicted }, sessile_command::Event::EVICTED);
        self.stats.evicted += 1;
        let gate: Gate = self.own_gate();
        self.txn.finish();
        self.deliver(gate);
    }
}
