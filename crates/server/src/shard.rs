//! The data thread: one engine, its connections, its journal, and the loop that gives each its turn.
//!
//! Commands run where they were read; nothing is handed to another thread but batches for the journal. A turn of the loop
//! serves all sockets that are ready, then hands the journal what they wrote, then sends the replies that may leave.

use std::time::{Duration, Instant};

use mio::Registry;
use sessile_config::{Config, table as names};
use sessile_engine::{ConnId, Engine, Options, Peer};
use sessile_journal::{Journal, Room};

use crate::connection::{Came, Conn, Socket};
use crate::journal_link::{self, JournalLink};
use crate::reactor::{ALARM, LISTENER, Reactor, SIGNAL};
use crate::signals::{self, Watched};
use crate::snapshots::Snapshots;
use crate::{background, clock, descriptors, dump_file, listener, machine, metrics, progress};

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// The same while too much waits for the journal: enough for a request that asks what is going on.
const HELD_READ_BYTES: usize = 1024;
/// How old the engine's time may be when commands run: reading two clocks for each request shows in the profile.
const TIME_KEPT_US: u64 = 200;
/// How long replies may wait for the other sockets of a turn to be read.
const UNSENT_US: u64 = 500;

/// The data thread's state.
pub(crate) struct Shard {
    /// The engine.
    pub engine: Engine,
    /// The journal, unless `appendonly no`.
    pub journal: Option<JournalLink>,
    /// What is written beside the commands.
    pub snapshots: Snapshots,
    /// The metrics page, where there is one.
    pub metrics: Option<metrics::Page>,
    /// What stops the node from outside.
    pub signals: Vec<Watched>,
    registry: Registry,
    conns: Vec<Option<Conn>>,
    /// Connections that have a turn without an event.
    listed: Vec<ConnId>,
    /// What sockets are read into.
    read_buffer: Vec<u8>,
    /// The stopwatch when this turn of the loop began.
    turn_began_us: u64,
    /// When [`Shard::feed`] last told the engine the time, by the stopwatch.
    time_told_us: u64,
    /// Since when replies wait to be sent, by the stopwatch.
    unsent_since_us: Option<u64>,
    /// Since when only diagnostics run: too much is not durable yet.
    held_since: Option<Instant>,
    /// Of each socket no more than a request is read, since only diagnostics run.
    holding_back: bool,
    /// A connection rests until the journal has room for its large request.
    awaits_room: bool,
    /// That has lasted for `journal-wait-max`: everything runs again, and writes are refused, unexecuted.
    pub overdue: bool,
    pending_max_bytes: u64,
    /// `journal-wait-max`.
    pub wait_max: Duration,
    /// A turn of the background is wanted at once; sockets have theirs first.
    pub hurry: bool,
    /// The tenth of a second that the engine's rates were last sampled in.
    pub sampled_tenth: u64,
    timers: Timers,
    /// `None` while running; then how the process ends.
    pub ending: Option<Result<(), String>>,
}

/// What happens by itself, by the stopwatch.
#[derive(Default)]
struct Timers {
    /// The background's next turn.
    background_us: u64,
    /// When the journal's progress is looked at, should nobody announce it.
    look_us: u64,
    /// When connections are accepted again, after there was no descriptor for one; `None` while nobody waits.
    accept_us: Option<u64>,
}

impl Shard {
    fn new(engine: Engine, journal: Option<JournalLink>, registry: Registry) -> Self {
        let pending_max_bytes = engine.config().memory_bytes(names::JOURNAL_PENDING_MAX);
        let wait_max = Duration::from_millis(engine.config().int(names::JOURNAL_WAIT_MAX) as u64);
        Self {
            engine,
            journal,
            snapshots: Snapshots::default(),
            metrics: None,
            signals: Vec::new(),
            registry,
            conns: Vec::new(),
            listed: Vec::new(),
            read_buffer: vec![0; READ_BYTES],
            turn_began_us: clock::stopwatch_us(),
            time_told_us: 0,
            unsent_since_us: None,
            held_since: None,
            holding_back: false,
            awaits_room: false,
            overdue: false,
            pending_max_bytes,
            wait_max,
            hurry: false,
            sampled_tenth: 0,
            timers: Timers::default(),
            ending: None,
        }
    }

    /// How long the loop may sleep.
    fn pause(&self) -> Duration {
        let metrics_wait = self.metrics.as_ref().is_some_and(metrics::Page::is_gathering);
        if !self.listed.is_empty() || self.hurry || metrics_wait {
            return Duration::ZERO;
        }
        let Timers { background_us, look_us, accept_us } = self.timers;
        let next_us = background_us.min(look_us).min(accept_us.unwrap_or(u64::MAX));
        Duration::from_micros(next_us.saturating_sub(clock::stopwatch_us()))
    }

    /// One turn of the loop.
    fn turn(&mut self, reactor: &Reactor) {
        self.turn_began_us = clock::stopwatch_us();
        let hurried = std::mem::take(&mut self.hurry);
        for id in std::mem::take(&mut self.listed) {
            if let Some(conn) = self.conn(id) {
                conn.listed = false;
                self.serve(id);
            }
        }
        for event in reactor.events() {
            match event.token() {
                ALARM => {}
                LISTENER => {
                    self.timers.accept_us.get_or_insert(0);
                }
                token if token.0 <= SIGNAL.0 && token.0 > SIGNAL.0 - self.signals.len() => {
                    signals::answer(self, token);
                }
                token => {
                    if let Some(conn) = self.conn(token.0) {
                        conn.note(event);
                        self.serve(token.0);
                    }
                }
            }
        }
        if self.timers.accept_us.is_some_and(|at_us| at_us <= self.turn_began_us) {
            self.timers.accept_us = listener::accept(self);
        }
        let was_rung = reactor.alarm().answer();
        if was_rung || self.timers.look_us <= self.turn_began_us {
            journal_link::follow(self);
        }
        if was_rung {
            metrics::answer(self);
        }
        metrics::gather(self);
        if hurried || self.timers.background_us <= self.turn_began_us {
            let pause = background::turn(self);
            self.timers.background_us = clock::stopwatch_us() + pause.as_micros() as u64;
        }
        journal_link::hand_over(self);
        self.send_ready();
    }

    /// Has the journal's progress looked at again after a while.
    pub(crate) fn look_again_in(&mut self, pause: Duration) {
        self.timers.look_us = self.turn_began_us + pause.as_micros() as u64;
    }

    /// One turn of a connection: sends what waited for its socket, reads once, runs what came.
    fn serve(&mut self, id: ConnId) {
        let Some(conn) = self.conns[id].as_mut() else { return };
        if conn.can_go_on() {
            conn.send(&mut self.engine, id);
            if conn.can_go_on() {
                return self.list(id);
            }
        }
        if conn.has_ended(&self.engine, id) {
            return self.end_conn(id);
        }
        let room = self.journal.as_ref().map_or(Room::Ready, |journal| journal.room_for(&self.engine, id));
        self.awaits_room |= room == Room::Preparing;
        let reads = self.engine.wants_input(id) && !self.is_stopping() && room != Room::Preparing;
        let limit = if self.holding_back { HELD_READ_BYTES } else { READ_BYTES };
        let Some(conn) = self.conns[id].as_mut() else { return };
        // While it does not read, a peer that hangs up is noticed when it is written to.
        conn.rests = !reads;
        if !reads || !conn.is_readable() {
            return;
        }
        let came = conn.read(&mut self.read_buffer[..limit]);
        if conn.is_readable() {
            self.list(id);
        }
        match came {
            Came::Nothing => {}
            Came::End => self.end_conn(id),
            Came::Bytes(count) => {
                let buffer = std::mem::take(&mut self.read_buffer);
                self.feed(id, &buffer[..count], room == Room::Full);
                self.read_buffer = buffer;
                self.after_turn();
                // One that a limit cut off lets go of its memory before others take theirs.
                if self.engine.should_close(id) {
                    self.end_conn(id);
                }
            }
        }
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id)?.as_mut()
    }

    /// Gives a connection a turn in the loop's next one.
    fn list(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id)
            && !std::mem::replace(&mut conn.listed, true)
        {
            self.listed.push(id);
        }
    }

    /// Takes a connection in; the system may refuse to watch its socket.
    pub(crate) fn begin_conn(&mut self, mut socket: Socket, peer: Peer) {
        self.engine.set_time(clock::now());
        let id = match self.engine.connect(peer) {
            Ok(id) => id,
            Err(refusal) => {
                let _ = socket.write(refusal);
                return;
            }
        };
        if let Err(error) = socket.register(&self.registry, id) {
            tracing::warn!("cannot watch a connection: {error}");
            return self.engine.disconnect(id);
        }
        if self.conns.len() <= id {
            self.conns.resize_with(id + 1, || None);
        }
        self.conns[id] = Some(Conn::new(socket));
    }

    /// Lets a connection go. A peer that has closed its side may still read.
    fn end_conn(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conns[id].take() {
            conn.send(&mut self.engine, id);
            self.engine.disconnect(id);
            self.after_turn();
        }
    }

    /// Gives bytes from a socket to the engine. `lacks_room`: of a large request that finds no room on the disk.
    fn feed(&mut self, id: ConnId, bytes: &[u8], lacks_room: bool) {
        // A stopping node executes nothing more, or clients that keep writing would put its last commit off.
        if self.ending.is_some() {
            return;
        }
        let at_us = clock::stopwatch_us();
        match self.unsent_since_us {
            None => self.unsent_since_us = Some(at_us),
            Some(since_us) if at_us - since_us >= UNSENT_US => {
                self.send_ready();
                self.unsent_since_us = Some(at_us);
            }
            Some(_) => {}
        }
        if at_us - self.time_told_us >= TIME_KEPT_US {
            self.time_told_us = at_us;
            self.engine.set_time(clock::now());
        }
        self.engine.start_lap(at_us);
        if let Some(journal) = &self.journal {
            journal.check_room(&mut self.engine, id, bytes.len() as u64, lacks_room, self.overdue);
        }
        self.engine.feed(id, bytes);
    }

    /// After anything that ran commands. Replies leave once the sockets that are ready now have been read: to wake a
    /// client that sleeps costs more than all else about a reply, and one that is still awake with an earlier reply need
    /// not be woken.
    pub(crate) fn after_turn(&mut self) {
        // One connection may be read many times before the batch is handed over.
        if self.engine.batch_bytes() as u64 > self.pending_max_bytes
            && let Some(journal) = &self.journal
        {
            self.balance(journal.disk.queued_bytes());
        }
        background::carry_out(self);
        self.hurry |= self.engine.has_resumable();
    }

    /// Sends to every connection that has released output.
    pub(crate) fn send_ready(&mut self) {
        self.unsent_since_us = None;
        while let Some(id) = self.engine.next_ready() {
            let Some(conn) = self.conns.get_mut(id).and_then(Option::as_mut) else { continue };
            conn.send(&mut self.engine, id);
            if conn.needs_turn(&self.engine, id) {
                self.list(id);
            }
        }
    }

    /// Whether sockets are not read any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.snapshots.are_last() || self.ending.is_some()
    }

    /// Whether only diagnostics run, since too much waits for the journal.
    pub(crate) fn is_holding_back(&self) -> bool {
        self.holding_back
    }

    /// Has those look again who rest because room is being made.
    pub(crate) fn look_for_room(&mut self) {
        if std::mem::take(&mut self.awaits_room) {
            (0..self.conns.len()).for_each(|id| self.list(id));
        }
    }

    /// Looks again whether too much waits for the journal; wakes everybody when it no longer does.
    pub(crate) fn balance(&mut self, queued_bytes: u64) {
        let pending = queued_bytes + self.engine.batch_bytes() as u64;
        let too_much = pending > self.pending_max_bytes;
        self.held_since = too_much.then(|| self.held_since.unwrap_or_else(Instant::now));
        // On a full disk writers are refused anyway, and holding readers back would help nobody.
        let is_stuck = || self.journal.as_ref().is_some_and(JournalLink::is_stuck);
        self.overdue = self.held_since.is_some_and(|since| since.elapsed() >= self.wait_max || is_stuck());
        let was = std::mem::replace(&mut self.holding_back, too_much && !self.overdue);
        if was != self.holding_back {
            self.engine.hold_back(!was);
        }
        if was && !self.holding_back {
            self.hurry = true;
        }
    }

    /// Ends the process when this turn of the loop is over.
    pub(crate) fn end(&mut self, how: Result<(), String>) {
        self.ending.get_or_insert(how);
    }

    /// Whether the journal still has work in flight.
    pub(crate) fn is_behind(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        journal.disk.health().is_alive() && journal.disk.progress().durable < self.engine.last_lsn()
    }
}

/// Recovers, serves, and returns when the node was stopped.
pub(crate) fn run(mut config: Config, config_file: String) -> Result<(), String> {
    let in_words = |error: std::io::Error| format!("cannot watch sockets: {error}");
    let mut reactor = Reactor::new().map_err(in_words)?;
    let page = metrics::open(&config, reactor.alarm())?;
    let seed = random_seed()?;
    descriptors::make_room(&mut config)?;
    let mut engine =
        Engine::new(Options { config, seed, now: clock::now(), stopwatch_us: clock::stopwatch_us });
    let facts = engine.server_facts();
    facts.config_file = config_file;
    facts.memory_ceiling_bytes = machine::memory_ceiling();
    facts.rewrite_config = crate::startup::rewrite_config;
    facts.room_for_clients = descriptors::room_for_clients;
    facts.executable = std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default();
    crate::facts::install(&mut engine);
    let journal = journal_link::open(&mut engine, reactor.alarm())?;
    dump_file::start_from(&mut engine, journal.as_ref(), &mut reactor)?;
    engine.open_for_service();
    let registry = reactor.registry().try_clone().map_err(in_words)?;
    listener::bind(&mut engine, reactor.registry())?;
    let mut shard = Shard::new(engine, journal, registry);
    shard.signals = signals::watch(reactor.registry())?;
    shard.metrics = page;
    progress::serving_begins();
    signals::tell_ready();
    while shard.ending.is_none() {
        reactor.wait(shard.pause()).map_err(in_words)?;
        shard.turn(&reactor);
    }
    journal_link::finish(&mut shard, &mut reactor);
    listener::close();
    shard.ending.unwrap_or(Ok(()))
}

/// A seed from the system, for what must not be guessable.
fn random_seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|error| format!("cannot read /dev/urandom: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}
