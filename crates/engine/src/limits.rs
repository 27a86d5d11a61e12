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

    /// Before a further write of a script or EXEC. `maxmemory` is asked once, at its first, as in Redis; but what it writes
    /// must neither grow without end nor take the memory that the machine has. What it wrote stays.
    pub(crate) fn check_transaction(&self) -> Result<(), Error> {
        if !self.txn.is_dirty() {
            return Ok(());
        }
        if self.txn.is_too_large() {
            let text = format!(
                "OOM this transaction has written {} bytes: the rest of it is refused",
                self.txn.max_bytes
            );
            return Err(Error::text(text));
        }
        let ceiling = self.server.memory_ceiling_bytes;
        if ceiling > 0 && self.used_memory_bytes() as u64 > ceiling + ceiling / 10 {
            return Err(Error::new(
                "OOM the machine's memory is used up: the rest of this transaction is refused",
            ));
        }
        Ok(())
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
        if !self.may_evict() {
            return false;
        }
        let found = self.evict_some(EVICTIONS_A_TURN);
        self.serve_ready();
        found && self.is_short_of_memory()
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

#[cfg(test)]
mod tests {
    use sessile_config::{Asker, Config, Persona};
    use sessile_resp::encode_request;

    use super::*;
    use crate::{Now, Options, Peer};

    fn engine(settings: &[(&str, &str)]) -> (Engine, ConnId, ConnId) {
        let mut config = Config::new(Persona::Sessile);
        for (name, value) in settings {
            let asker = Asker { local: true, loading: true };
            config.set(name.as_bytes(), value.as_bytes(), asker).expect("it may be set");
        }
        let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 0 };
        let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us });
        let mut connect = || engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
        let (a, b) = (connect(), connect());
        (engine, a, b)
    }

    /// Each look at it takes half a millisecond, so that scripts are past their time soon.
    fn stopwatch_us() -> u64 {
        use std::cell::Cell;
        thread_local!(static STOPWATCH_US: Cell<u64> = const { Cell::new(0) });
        STOPWATCH_US.with(|it| it.replace(it.get() + 500))
    }

    /// Words are parted by spaces, and `_` stands for one.
    fn ask(engine: &mut Engine, conn: ConnId, line: &str) -> String {
        let mut request = Vec::new();
        encode_request(&mut request, &line.split(' ').map(|word| word.replace('_', " ")).collect::<Vec<_>>());
        engine.feed(conn, &request);
        take(engine, conn)
    }

    fn take(engine: &mut Engine, conn: ConnId) -> String {
        if let Some((_, lsn)) = engine.take_batch() {
            engine.advance(Gate { written: lsn, durable: lsn });
        }
        let bytes = engine.released(conn).to_vec();
        engine.sent(conn, bytes.len());
        String::from_utf8(bytes).expect("text")
    }

    const FILL: &str = "EVAL local_n=0_for_i=1,100_do_n=i_\
                        local_r=redis.pcall('set','k'..i,string.rep('x',1000))_if_r.err_then_return_{n,r.err}_end_end_return_n 0";

    #[test]
    fn a_script_that_writes_without_end_is_stopped() {
        for by_machine in [false, true] {
            let (mut engine, a, _) = engine(&[]);
            let expected = if by_machine {
                let used = engine.used_memory_bytes() as u64;
                engine.server.memory_ceiling_bytes = used + 10_000;
                "*2\r\n:"
            } else {
                engine.txn.max_bytes = 10_000;
                "*2\r\n:11\r\n$71\r\nOOM this transaction has written 10000 bytes: the rest of it is refused\r\n"
            };
            let reply = ask(&mut engine, a, FILL);
            assert!(reply.starts_with(expected), "{reply}");
            engine.server.memory_ceiling_bytes = 0;
            let written = ask(&mut engine, a, "DBSIZE");
            assert!(reply.contains("OOM ") && written != ":0\r\n" && written != ":100\r\n", "{written}");
            // Another transaction begins with nothing.
            assert_eq!(ask(&mut engine, a, "SET other 1"), "+OK\r\n");
        }
    }

    #[test]
    fn a_transaction_that_writes_without_end_is_stopped() {
        let (mut engine, a, _) = engine(&[]);
        engine.txn.max_bytes = 10_000;
        ask(&mut engine, a, &format!("SET k {}", "x".repeat(4000)));
        ask(&mut engine, a, "MULTI");
        for name in ["a", "b", "c", "d"] {
            ask(&mut engine, a, &format!("COPY k {name}"));
        }
        ask(&mut engine, a, "GET nothing");
        let refused = "-OOM this transaction has written 10000 bytes: the rest of it is refused\r\n";
        assert_eq!(ask(&mut engine, a, "EXEC"), format!("*5\r\n:1\r\n:1\r\n:1\r\n{refused}$-1\r\n"));
        assert_eq!(ask(&mut engine, a, "EXISTS a b c d"), ":3\r\n");
    }

    const LOUD: &str =
        "EVAL for_i=1,100_do_redis.call('publish','c',string.rep('x',1000))_end_while_true_do_end 0";
    const SHORT_OUTPUT: &[(&str, &str)] =
        &[("busy-reply-threshold", "1"), ("client-output-buffer-limit", "pubsub 20000 0 0")];

    #[test]
    fn what_a_script_publishes_counts_as_output_before_it_ends() {
        let (mut engine, a, b) = engine(SHORT_OUTPUT);
        ask(&mut engine, b, "SUBSCRIBE c");
        ask(&mut engine, a, LOUD);
        (0..1000).for_each(|_| _ = engine.tick());
        assert!(engine.has_open_transaction() && engine.should_close(b));
        let held: usize = engine.outbox.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!((20_000..22_000).contains(&held), "{held}");
    }

    #[test]
    fn a_reply_above_the_limit_is_given_up_and_its_client_closed() {
        for queued in [false, true] {
            for line in ["LRANGE l 0 -1", "MGET K K K", "HGETALL h", "DUMP l"] {
                let (mut engine, a, b) = engine(&[("client-output-buffer-limit", "normal 20000 0 0")]);
                ask(&mut engine, a, &format!("RPUSH l {}", vec!["x".repeat(1000); 100].join(" ")));
                let fields: Vec<String> =
                    (0..100).map(|field| format!("{field} {}", "x".repeat(1000))).collect();
                ask(&mut engine, a, &format!("HSET h {}", fields.join(" ")));
                ask(&mut engine, a, &format!("SET k {}", "x".repeat(10_000)));
                if queued {
                    ask(&mut engine, b, "MULTI");
                }
                assert!(!engine.should_close(b));
                let line = line.replace("K", vec!["k"; 33].join(" ").as_str());
                let mut request = Vec::new();
                encode_request(&mut request, &line.split(' ').collect::<Vec<_>>());
                if queued {
                    encode_request(&mut request, &["EXEC"]);
                }
                engine.feed(b, &request);
                assert!(engine.should_close(b), "{line}");
                let len = engine.session(b).map_or(0, |session| session.output.len());
                assert!(line == "DUMP l" || len < 20_000 + 11_000, "{line}: {len}");
                assert_eq!(engine.stats.output_limit_closed, 1);
            }
        }
    }

    #[test]
    fn a_script_is_told_of_a_reply_that_is_too_large() {
        let (mut engine, a, _) = engine(&[]);
        ask(&mut engine, a, &format!("SET k {}", "x".repeat(100_000)));
        let all = ["'k'"; 20].join(",");
        let reply = ask(&mut engine, a, &format!("EVAL return_redis.pcall('mget',{all}).err 0"));
        assert_eq!(reply, "$46\r\nERR the reply is larger than a script may take\r\n");
        assert_eq!(ask(&mut engine, a, "EVAL return_#redis.call('mget','k','k') 0"), ":2\r\n");
    }

    #[test]
    fn an_eviction_wakes_who_waits_for_its_key() {
        let told = "-NOGROUP No such key 'st' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
        for command in ["SET nothing v XX", "SET k v", "RPUSH", "PING", "EXEC"] {
            let (mut engine, a, b) = engine(&[("maxmemory-policy", "allkeys-random")]);
            ask(&mut engine, a, "XGROUP CREATE st g $ MKSTREAM");
            assert_eq!(ask(&mut engine, b, "XREADGROUP GROUP g c BLOCK 0 STREAMS st >"), "");
            if command == "EXEC" {
                ask(&mut engine, a, "MULTI");
                ask(&mut engine, a, "SET nothing v XX");
            }
            engine.settings.maxmemory_bytes = 1;
            // A command that is refused nevertheless, because there is nothing more to evict.
            let command = if command == "RPUSH" { "RPUSH l 1" } else { command };
            ask(&mut engine, a, command);
            if command == "PING" {
                engine.tick();
            }
            assert_eq!(take(&mut engine, b), told, "{command}");
        }
    }

    #[test]
    fn those_who_wait_for_one_key_are_served_in_turn() {
        let (mut engine, a, b) = engine(&[]);
        let mut connect = || engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
        let waiting: Vec<ConnId> = (0..200).map(|_| connect()).collect();
        waiting.iter().for_each(|&conn| _ = ask(&mut engine, conn, "BLPOP k other 0"));
        ask(&mut engine, a, "XGROUP CREATE k g $ MKSTREAM");
        ask(&mut engine, b, "XREADGROUP GROUP g c BLOCK 0 STREAMS k >");
        // A group's reader is told of the loss, whoever else waits; the others wait on.
        ask(&mut engine, a, "DEL k");
        assert!(take(&mut engine, b).starts_with("-NOGROUP"));
        ask(&mut engine, a, "RPUSH k 0 1 2");
        ask(&mut engine, a, "EVAL for_i=3,99_do_redis.call('rpush','k',i)_end 0");
        for (place, &conn) in waiting.iter().enumerate() {
            let expected = format!("*2\r\n$1\r\nk\r\n${}\r\n{place}\r\n", place.to_string().len());
            assert_eq!(take(&mut engine, conn), if place < 100 { expected } else { String::new() });
        }
        // In any order they may leave.
        waiting.iter().rev().for_each(|&conn| engine.disconnect(conn));
        assert!(engine.waiters.is_empty() && engine.ready_keys.is_empty());
    }

    #[test]
    fn messages_for_one_who_left_reach_nobody() {
        let (mut engine, a, b) = engine(&SHORT_OUTPUT[..1]);
        ask(&mut engine, b, "SUBSCRIBE c");
        ask(&mut engine, a, "EVAL redis.call('publish','c','secret')_while_true_do_end 0");
        engine.disconnect(b);
        let next = engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
        assert_eq!(next, b, "the place is taken again");
        assert_eq!(ask(&mut engine, next, "SCRIPT KILL"), "+OK\r\n");
        while engine.has_open_transaction() {
            engine.tick();
        }
        assert_eq!(take(&mut engine, next), "");
    }
}
