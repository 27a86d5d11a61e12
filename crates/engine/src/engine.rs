//! The engine: connections, keyspace and everything between, as one deterministic state machine.
//!
//! Bytes, time and the journal's progress come in; replies with their gates, transactions for the journal and
//! wake-ups come out. It does no I/O and reads no clock, so one seed replays a run.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use sessile_command::{Observed, Rng, Txn};
use sessile_config::Config;
use sessile_keyspace::snapshot::Snapshot;
use sessile_keyspace::{Durability, Effect, Expire, Gate, Keyspace};
use sessile_script::ScriptHost;
use sessile_values::HashKey;

use crate::blocking::Waiters;
use crate::clock::{Clock, Now};
use crate::pipeline::Pipeline;
use crate::pubsub::Pubsub;
use crate::scripts::Running;
use crate::session::{ConnId, Peer, Session};
use crate::stats::Stats;
use crate::table::Table;

/// Input of a connection that is held up, beyond which its socket is not read.
const PAUSED_INPUT_BYTES: usize = 64 * 1024;

/// The same while too much waits for the journal, of every connection: enough for a request that asks why.
const HELD_INPUT_BYTES: usize = 1024;

/// What the journal can do at the moment, as the server tells the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JournalState {
    /// It takes transactions.
    #[default]
    Open,
    /// It refuses for now: a full disk, too much that is not durable yet. Why, and what to do.
    Refusing(String),
    /// A write or fsync failed: it will acknowledge nothing until the node is restarted. Why.
    Failed(String),
}

/// What the server has to do beyond the journal and the sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the process.
    Shutdown {
        /// Write `dump.rdb` first: as configured, always, or never.
        save: Option<bool>,
        /// Even if it cannot be written.
        force: bool,
    },
    /// A directive changed by CONFIG SET that the server applies (its name).
    ConfigChanged(&'static str),
    /// Give freed memory back to the system (MEMORY PURGE).
    Purge,
}

/// How an engine is made.
pub struct Options {
    /// The configuration.
    pub config: Config,
    /// The seed of everything random in it.
    pub seed: u64,
    /// The time.
    pub now: Now,
    /// A stopwatch in microseconds, for the slow log and statistics only.
    pub stopwatch_us: fn() -> u64,
}

/// One shard with its connections.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) keyspace: Keyspace,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) txn: Txn,
    pub(crate) sessions: Vec<Option<Box<Session>>>,
    pub(crate) free_sessions: Vec<ConnId>,
    /// Whose requests are being run; taken out meanwhile.
    pub(crate) pipeline: Option<Box<Pipeline>>,
    pub(crate) next_client_id: u64,
    pub(crate) connected: usize,
    pub(crate) table: &'static Table,
    pub(crate) stats: Stats,
    pub(crate) stopwatch_us: fn() -> u64,
    /// The stopwatch where the next command begins, if it was just read: one reading ends a command and begins the next.
    pub(crate) lap_us: Option<u64>,
    /// The stopwatch's last reading: good enough for when a reply began to wait, or a script that was just called.
    pub(crate) read_us: u64,
    pub(crate) journal_state: JournalState,
    pub(crate) pubsub: Pubsub,
    /// Keys that lookups of the running transaction found due.
    pub(crate) due: Vec<(u32, Vec<u8>)>,
    /// Those of them whose miss is to be told.
    pub(crate) missed_due: Vec<(u32, Vec<u8>)>,
    /// What the running session command's reply waits for, beside what its lookups say.
    pub(crate) session_gate: Gate,
    /// Pushes of the running transaction, delivered with its gate when it ends.
    pub(crate) outbox: Vec<(ConnId, Vec<u8>)>,
    pub(crate) watchers: HashMap<(u32, Vec<u8>), Vec<ConnId>>,
    pub(crate) waiters: HashMap<(u32, Vec<u8>), Waiters>,
    pub(crate) ready_keys: VecDeque<(u32, Vec<u8>)>,
    /// Waiters are being served: what they do wakes others through the same loop.
    pub(crate) serving: bool,
    pub(crate) deadlines: BTreeSet<(u64, ConnId)>,
    pub(crate) monitors: HashSet<ConnId>,
    pub(crate) gated: Vec<ConnId>,
    pub(crate) ready: VecDeque<ConnId>,
    /// Connections that were held up and may have requests to run.
    pub(crate) resumable: VecDeque<ConnId>,
    pub(crate) actions: Vec<Action>,
    pub(crate) expire_cursor: (u32, u64),
    pub(crate) handed_lsn: u64,
    pub(crate) settings: crate::settings::Settings,
    /// Compiled scripts; taken out while one runs.
    pub(crate) scripts: Option<ScriptHost>,
    /// A script that is suspended because it runs past its time.
    pub(crate) running: Option<Running>,
    /// The time that stands still for its transaction: no key goes away half way through.
    pub(crate) standing_ms: Option<u64>,
    /// What TIME says until a script or EXEC has ended.
    pub(crate) standing_us: Option<u64>,
    /// Lines for the log, with Redis' level 0 to 3: what scripts wrote, who was cut off.
    pub(crate) log: Vec<(i64, String)>,
    pub(crate) cut_offs: crate::cut_offs::CutOffs,
    /// What TIME said last, microseconds since the epoch.
    pub(crate) told_us: u64,
    /// Too much waits for the journal: only diagnostics run.
    pub(crate) held_back: bool,
    /// Writers wait in their connections' input, since a snapshot holds as much of theirs as it may.
    pub(crate) writers_wait: bool,
    /// Nothing runs any more: the node stops once `dump.rdb` is written.
    pub(crate) stopping: bool,
    /// CLIENT PAUSE: until when, and whether only writes wait.
    pub(crate) paused_until_ms: u64,
    pub(crate) paused_writes_only: bool,
    /// CLIENT UNBLOCK: whom, and whether with an error; done when the running command has ended.
    pub(crate) unblocks: Vec<(ConnId, bool)>,
    pub(crate) run_id: String,
    pub(crate) server: crate::stats::ServerFacts,
}

impl Engine {
    /// An engine with an empty keyspace.
    pub fn new(options: Options) -> Self {
        let mut rng = Rng::new(options.seed);
        let hash_key = HashKey(rng.next_u64(), rng.next_u64());
        let settings = crate::settings::Settings::new(&options.config);
        let keyspace = Keyspace::new(settings.databases, hash_key);
        let run_id = format!("{:016x}{:016x}{:08x}", rng.next_u64(), rng.next_u64(), rng.next_u64() as u32);
        let mut engine = Self {
            config: options.config,
            keyspace,
            clock: Clock::start(options.now, 0),
            rng,
            txn: Txn::new(settings.journaled, settings.durability),
            sessions: Vec::new(),
            free_sessions: Vec::new(),
            pipeline: None,
            next_client_id: 1,
            connected: 0,
            table: Table::get(),
            stats: Stats::new(Table::get().entries()),
            stopwatch_us: options.stopwatch_us,
            lap_us: None,
            read_us: 0,
            journal_state: JournalState::Open,
            pubsub: Pubsub::default(),
            due: Vec::new(),
            missed_due: Vec::new(),
            session_gate: Gate::OPEN,
            outbox: Vec::new(),
            watchers: HashMap::new(),
            waiters: HashMap::new(),
            ready_keys: VecDeque::new(),
            serving: false,
            deadlines: BTreeSet::new(),
            monitors: HashSet::new(),
            gated: Vec::new(),
            ready: VecDeque::new(),
            resumable: VecDeque::new(),
            actions: Vec::new(),
            expire_cursor: (0, 0),
            handed_lsn: 0,
            settings,
            scripts: Some(ScriptHost::new(sessile_script::Options::default())),
            running: None,
            standing_ms: None,
            standing_us: None,
            log: Vec::new(),
            told_us: 0,
            cut_offs: crate::cut_offs::CutOffs::default(),
            held_back: false,
            writers_wait: false,
            stopping: false,
            paused_until_ms: 0,
            paused_writes_only: false,
            unblocks: Vec::new(),
            run_id,
            server: crate::stats::ServerFacts::default(),
        };
        engine.begin();
        engine
    }

    fn begin(&mut self) {
        self.apply_settings();
        self.stats.started_ms = self.now_ms();
        // What was loaded, or nothing, counts as saved: Redis' LASTSAVE begins so.
        self.server.dump.ended_s = self.now_ms() / 1000;
    }

    /// The engine's clock, milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The time with microseconds, at this reading of the stopwatch.
    pub(crate) fn time_us(&mut self, at_us: u64) -> u64 {
        // The engine's clock counts milliseconds; what is below comes from elsewhere, and may not go back.
        self.told_us = self.told_us.max(self.now_ms() * 1000 + at_us % 1000);
        self.told_us
    }

    /// Advances the engine's clock.
    pub fn set_time(&mut self, now: Now) {
        self.clock.advance(now);
        self.keyspace.clock.now_s = self.clock.now_ms() / 1000;
    }

    /// Tells the stopwatch's reading right before [`Engine::feed`], which saves the first command its own.
    pub fn start_lap(&mut self, at_us: u64) {
        self.lap_us = Some(at_us);
        self.read_us = at_us;
    }

    /// Reads the stopwatch.
    pub(crate) fn read_stopwatch(&mut self) -> u64 {
        self.read_us = (self.stopwatch_us)();
        self.read_us
    }

    /// Applies a run of transactions from the journal, a snapshot or a file: their last LSN and their time come along.
    pub fn recover(
        &mut self,
        run: &[u8],
        last_lsn: u64,
        time_ms: u64,
    ) -> Result<(), sessile_keyspace::codec::BadEffect> {
        self.keyspace.replay(run, |_, _| {})?;
        self.recovered_up_to(last_lsn, time_ms);
        Ok(())
    }

    /// Notes that everything up to `last_lsn` was recovered and is durable.
    pub fn recovered_up_to(&mut self, last_lsn: u64, time_ms: u64) {
        self.txn.lsn = self.txn.lsn.max(last_lsn + 1);
        self.handed_lsn = self.txn.lsn - 1;
        self.clock.has_been(time_ms);
        let gate = Gate { written: last_lsn, durable: last_lsn };
        self.keyspace.pending.advance(gate);
    }

    /// Takes an entry of a file in, before the first transaction; false if it is long past its expiry. Nothing of it is
    /// journaled: a snapshot of all that was taken in has to be durable before anything is answered. An error is one
    /// sentence.
    pub fn import(
        &mut self,
        db: u32,
        key: &[u8],
        payload: &[u8],
        expire_ms: Option<u64>,
    ) -> Result<bool, String> {
        if db as usize >= self.keyspace.db_count() {
            return Err(format!("it has a db {db}, and `databases` is {}", self.keyspace.db_count()));
        }
        if expire_ms.is_some_and(|at_ms| at_ms <= self.now_ms()) {
            return Ok(false);
        }
        let key = self.keyspace.key(key);
        let expire = expire_ms.map_or(Expire::Never, Expire::At);
        let effect = Effect::Restore { key, payload, expire, access: 0 };
        self.keyspace.apply(db, &effect).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// Ends recovery: a first start journals the seed of the table's hash before anything else.
    pub fn open_for_service(&mut self) {
        if self.settings.journaled && self.txn.lsn == 1 {
            let seed = self.keyspace.hash_key();
            let effect = Effect::HashSeed { high: seed.0, low: seed.1 };
            self.txn.journal(0, &effect);
            self.txn.finish();
        }
    }

    /// The LSN of the newest transaction.
    pub fn last_lsn(&self) -> u64 {
        self.txn.lsn - 1
    }

    /// The keyspace, for looking.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The keyspace, for the snapshot's cursor and loading.
    pub fn keyspace_mut(&mut self) -> &mut Keyspace {
        &mut self.keyspace
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counters and facts that INFO tells and the server keeps true.
    pub fn server_facts(&mut self) -> &mut crate::stats::ServerFacts {
        &mut self.server
    }

    /// The transactions that the journal has not taken yet, and the LSN of their last.
    pub fn take_batch(&mut self) -> Option<(Vec<u8>, u64)> {
        let bytes = self.txn.take_finished();
        if bytes.is_empty() {
            return None;
        }
        self.handed_lsn = self.txn.lsn - 1;
        Some((bytes, self.handed_lsn))
    }

    /// Bytes of transactions that wait for [`Engine::take_batch`].
    pub fn batch_bytes(&self) -> usize {
        self.txn.finished_bytes()
    }

    /// Lines for the log, with Redis' level 0 to 3.
    pub fn take_log(&mut self) -> Vec<(i64, String)> {
        std::mem::take(&mut self.log)
    }

    /// Notes how far the journal has come, and opens the gates that this lets pass.
    pub fn advance(&mut self, progress: Gate) {
        self.keyspace.pending.advance(progress);
        let progress = self.keyspace.pending.progress();
        let now_us = self.read_stopwatch();
        let stats = &mut self.stats;
        let mut gated = std::mem::take(&mut self.gated);
        gated.retain(|&conn| {
            let Some(session) = self.sessions[conn].as_deref_mut() else { return false };
            let open = session
                .output
                .advance(progress, |since_us| stats.note_held_back(now_us.saturating_sub(since_us)));
            session.listed_gated = !open;
            let answered = session.waiting.as_ref().is_some_and(|w| w.is_answered(progress));
            if answered {
                self.resumable.push_back(conn);
            }
            if !session.output.released().is_empty() && !session.listed_ready {
                session.listed_ready = true;
                self.ready.push_back(conn);
            }
            !open
        });
        self.gated.append(&mut gated);
        self.resume(usize::MAX);
    }

    /// Says what the journal can do. After a failure, whatever waits for it gets the outcome-unknown error and its
    /// connection ends; reads of everything else go on.
    pub fn set_journal_state(&mut self, state: JournalState) {
        self.journal_state = state;
        if matches!(self.journal_state, JournalState::Failed(_)) {
            for conn in std::mem::take(&mut self.gated) {
                self.fail_gated(conn);
            }
        }
    }

    /// The journal failed: what the connection's output still waits for will never come.
    fn fail_gated(&mut self, conn: ConnId) {
        let JournalState::Failed(why) = &self.journal_state else { return };
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        session.listed_gated = false;
        if session.output.is_gated() {
            let error = format!("-ERR outcome unknown: {why}, check before you retry\r\n");
            session.output.fail(error.as_bytes());
            session.closing = true;
            self.mark_ready(conn);
        }
    }

    /// The journal's state as last told.
    pub fn journal_state(&self) -> &JournalState {
        &self.journal_state
    }

    /// Whether a connection waits for its next turn: [`Engine::tick`] gives it.
    pub fn has_resumable(&self) -> bool {
        !self.resumable.is_empty()
    }

    /// What the server has to do. While a transaction is open that is only a stop that saves nothing; the rest waits.
    pub fn take_actions(&mut self) -> Vec<Action> {
        let open = self.has_open_transaction();
        let waits = |action: &Action| open && !matches!(action, Action::Shutdown { save: Some(false), .. });
        let (later, now) = std::mem::take(&mut self.actions).into_iter().partition(waits);
        self.actions = later;
        now
    }

    /// Asks for an action that [`Engine::take_actions`] gives at its time.
    pub fn postpone(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Takes in a connection, or says why not: the reply to send before it is closed.
    pub fn connect(&mut self, peer: Peer) -> Result<ConnId, &'static [u8]> {
        self.stats.connections += 1;
        if self.connected >= self.settings.maxclients {
            self.stats.rejected += 1;
            let why = format!("{} clients are connected, as many as `maxclients` allows", self.connected);
            self.note_refusal(&peer.addr, &why);
            return Err(b"-ERR max number of clients reached\r\n");
        }
        if self.settings.protected && !peer.loopback && !peer.unix {
            self.stats.rejected += 1;
            self.note_refusal(&peer.addr, "protected mode takes none from other machines without a password");
            return Err(crate::settings::PROTECTED_MODE_REPLY);
        }
        let id = self.next_client_id;
        self.next_client_id += 1;
        let mut session = Session::new(id, peer, self.now_ms());
        session.authenticated = self.settings.password.is_none();
        self.connected += 1;
        self.stats.connected_max = self.stats.connected_max.max(self.connected);
        let conn = match self.free_sessions.pop() {
            Some(conn) => conn,
            None => {
                self.sessions.push(None);
                self.sessions.len() - 1
            }
        };
        self.sessions[conn] = Some(Box::new(session));
        Ok(conn)
    }

    /// Forgets a connection.
    pub fn disconnect(&mut self, conn: ConnId) {
        if self.sessions.get(conn).is_none_or(Option::is_none) {
            return;
        }
        if let Some(running) = self.running.as_mut().filter(|r| r.conn == conn) {
            // Its script goes on: a transaction is all there or not there.
            running.orphan = true;
            return;
        }
        self.unblock(conn);
        self.unwatch(conn);
        self.unsubscribe_all(conn);
        self.monitors.remove(&conn);
        // In the list of gated connections it may stay for a while: who takes its place is not held up by that.
        if self.gated.len() > 2 * self.sessions.len() {
            self.gated.sort_unstable();
            self.gated.dedup();
        }
        if self.session(conn).is_some_and(|session| session.listed_ready) {
            self.ready.retain(|&c| c != conn);
        }
        // Its place is taken by the next connection, perhaps before the open transaction ends.
        self.outbox.retain(|(c, _)| *c != conn);
        self.unblocks.retain(|(c, _)| *c != conn);
        self.sessions[conn] = None;
        self.free_sessions.push(conn);
        self.connected -= 1;
    }

    /// A connection that is there.
    pub fn session(&self, conn: ConnId) -> Option<&Session> {
        self.sessions.get(conn)?.as_deref()
    }

    pub(crate) fn session_mut(&mut self, conn: ConnId) -> &mut Session {
        self.sessions[conn].as_deref_mut().expect("the connection that a request came from exists")
    }

    pub(crate) fn all_sessions(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.sessions.iter().enumerate().filter_map(|(conn, s)| Some((conn, s.as_deref()?)))
    }

    /// The bytes that may be sent to a connection now.
    pub fn released(&self, conn: ConnId) -> &[u8] {
        self.session(conn).map_or(&[], |s| s.output.released())
    }

    /// Notes that `count` of them were sent.
    pub fn sent(&mut self, conn: ConnId, count: usize) {
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            session.output.consume(count);
            session.bytes_out += count as u64;
            self.stats.net_out += count as u64;
            self.stats.writes += 1;
        }
    }

    /// Whether the connection is to be closed now: at once, or because its last output has left.
    pub fn should_close(&self, conn: ConnId) -> bool {
        self.session(conn).is_none_or(|s| s.killed || (s.closing && s.output.is_empty()))
    }

    /// Whether the server should read from the connection: not while it is held up with a full input.
    pub fn wants_input(&self, conn: ConnId) -> bool {
        let is_held = self.held_back || self.writers_wait;
        self.session(conn).is_some_and(|s| {
            let is_full = is_held && s.input.len() > HELD_INPUT_BYTES
                || s.is_paused() && s.input.len() > PAUSED_INPUT_BYTES;
            !(s.closing || s.killed || is_full)
        })
    }

    /// Bytes of the request that is being received, as far as it is known: what has come, and what its present argument
    /// still lacks.
    pub fn expected_input(&self, conn: ConnId) -> usize {
        self.session(conn).map_or(0, |s| s.input.len().saturating_add(s.parser.wanted()))
    }

    /// Says whether too much waits for the journal. Then requests stay unread or in their connection's input, but for
    /// those that tell what is going on.
    pub fn hold_back(&mut self, hold: bool) {
        if std::mem::replace(&mut self.held_back, hold) && !hold {
            self.resume_held();
        }
    }

    /// Whether writers wait for a snapshot: its turns are urgent then.
    pub fn do_writers_wait(&self) -> bool {
        self.writers_wait
    }

    /// Whether a snapshot holds as much that writers saved as it may.
    pub(crate) fn is_snapshot_full(&self) -> bool {
        self.keyspace.snapshot().is_some_and(Snapshot::is_full)
    }

    /// The next connection with something to send or to be closed.
    pub fn next_ready(&mut self) -> Option<ConnId> {
        let conn = self.ready.pop_front()?;
        if let Some(session) = self.sessions[conn].as_deref_mut() {
            session.listed_ready = false;
        }
        Some(conn)
    }

    /// How many connections have replies that wait for the journal.
    pub fn gated_clients(&self) -> usize {
        self.gated.len()
    }

    pub(crate) fn mark_ready(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions[conn].as_deref_mut()
            && !std::mem::replace(&mut session.listed_ready, true)
        {
            self.ready.push_back(conn);
        }
    }

    /// Sends a push or a late reply to a connection, with its gate.
    pub(crate) fn send(&mut self, conn: ConnId, bytes: &[u8], gate: Gate) {
        let gate = if gate.passes(self.keyspace.pending.progress()) { Gate::OPEN } else { gate };
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        session.output.push(bytes, gate, self.read_us);
        self.after_output(conn);
    }

    /// Keeps the lists of gated and ready connections true after output was added.
    pub(crate) fn after_output(&mut self, conn: ConnId) {
        if matches!(self.journal_state, JournalState::Failed(_)) {
            self.fail_gated(conn);
        }
        let Some(session) = self.sessions[conn].as_deref_mut() else { return };
        if session.output.is_gated() && !std::mem::replace(&mut session.listed_gated, true) {
            self.gated.push(conn);
        }
        if !session.output.released().is_empty() {
            self.mark_ready(conn);
        }
        self.limit_output(conn);
    }

    pub(crate) fn observing(&self) -> bool {
        !self.watchers.is_empty() || !self.waiters.is_empty() || !self.settings.notify.is_empty()
    }

    pub(crate) fn take_observed(&mut self) -> Vec<Observed> {
        std::mem::take(&mut self.txn.observed)
    }

    /// Bytes of journal since the last snapshot, and of that snapshot.
    pub fn journal_sizes(&self) -> (u64, u64) {
        (self.server.journal_bytes, self.server.snapshot_bytes)
    }

    /// Number of keys by type, without the types that there are none of.
    pub fn keys_by_type(&self) -> Vec<(&'static str, u64)> {
        let mut counts = std::collections::BTreeMap::new();
        for db in 0..self.keyspace.db_count() as u32 {
            for (name, count) in self.keyspace.db(db).keys_by_type().filter(|(_, count)| *count > 0) {
                *counts.entry(name).or_insert(0) += count as u64;
            }
        }
        counts.into_iter().collect()
    }

    /// Whether replies wait for the journal at all, and for what.
    pub fn durability(&self) -> Option<Durability> {
        self.settings.journaled.then_some(self.settings.durability)
    }
}
