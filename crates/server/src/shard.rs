//! The data thread: one engine, its connections, its journal, on a single-threaded runtime.
//!
//! Commands run inline in the task that read them; nothing is handed to another thread but batches for the journal.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sessile_config::{Config, table as names};
use sessile_engine::{ConnId, Engine, Options};
use sessile_journal::Journal;
use tokio::sync::Notify;

use crate::connection::Conn;
use crate::journal_link::JournalLink;
use crate::snapshots::Snapshots;
use crate::{
    background, clock, descriptors, dump_file, journal_link, listener, machine, metrics, progress, signals,
};

/// How old the engine's time may be when commands run: reading two clocks for each request shows in the profile.
const TIME_KEPT_US: u64 = 200;
/// How long replies may wait for the other sockets of a turn to be read.
const UNSENT_US: u64 = 500;

/// What the tasks of the data thread share.
pub(crate) struct Shard {
    /// The engine.
    pub engine: RefCell<Engine>,
    /// The journal, unless `appendonly no`.
    pub journal: Option<JournalLink>,
    /// A buffer that sockets are read into; one is enough, since a turn never waits while it holds it.
    pub read_buffer: RefCell<Vec<u8>>,
    conns: RefCell<Vec<Option<Rc<Conn>>>>,
    /// When [`Shard::feed`] last told the engine the time, by the stopwatch.
    time_told_us: Cell<u64>,
    /// There is something for the journal.
    pub flush: Notify,
    /// There is something for sockets.
    send: Notify,
    /// Since when, by the stopwatch.
    unsent_since_us: Cell<Option<u64>>,
    /// The node is to stop.
    pub stop: Notify,
    /// Only diagnostics run: too much is not durable yet.
    holding_back: Cell<bool>,
    /// Since when.
    held_since: Cell<Option<Instant>>,
    /// A connection rests until the journal has room for its large request.
    awaits_room: Cell<bool>,
    /// That has lasted for `journal-wait-max`: everything runs again, and writes are refused, unexecuted.
    pub overdue: Cell<bool>,
    pending_max_bytes: u64,
    /// `journal-wait-max`.
    pub wait_max: Duration,
    /// A turn of the engine is wanted at once.
    pub hurry: Notify,
    /// What is written beside the commands.
    pub snapshots: Snapshots,
    /// `None` while running; then how the process ends.
    pub ending: RefCell<Option<Result<(), String>>>,
}

impl Shard {
    fn new(engine: Engine, journal: Option<JournalLink>) -> Self {
        let pending_max_bytes = engine.config().memory_bytes(names::JOURNAL_PENDING_MAX);
        let wait_max = Duration::from_millis(engine.config().int(names::JOURNAL_WAIT_MAX) as u64);
        Self {
            engine: RefCell::new(engine),
            journal,
            read_buffer: RefCell::new(Vec::new()),
            conns: RefCell::new(Vec::new()),
            time_told_us: Cell::new(0),
            flush: Notify::new(),
            send: Notify::new(),
            unsent_since_us: Cell::new(None),
            stop: Notify::new(),
            holding_back: Cell::new(false),
            held_since: Cell::new(None),
            awaits_room: Cell::new(false),
            overdue: Cell::new(false),
            pending_max_bytes,
            wait_max,
            hurry: Notify::new(),
            snapshots: Snapshots::default(),
            ending: RefCell::new(None),
        }
    }

    /// Remembers a connection's socket.
    pub(crate) fn register(&self, id: ConnId, conn: Rc<Conn>) {
        let mut conns = self.conns.borrow_mut();
        if conns.len() <= id {
            conns.resize_with(id + 1, || None);
        }
        conns[id] = Some(conn);
    }

    /// Forgets it.
    pub(crate) fn forget(&self, id: ConnId) {
        self.conns.borrow_mut()[id] = None;
    }

    /// Gives bytes from a socket to the engine.
    pub(crate) fn feed(&self, id: ConnId, bytes: &[u8]) {
        // A stopping node executes nothing more, or clients that keep writing would put its last commit off.
        if self.ending.borrow().is_some() {
            return;
        }
        let at_us = clock::stopwatch_us();
        match self.unsent_since_us.get() {
            None => self.unsent_since_us.set(Some(at_us)),
            Some(since_us) if at_us - since_us >= UNSENT_US => {
                self.send_ready();
                self.unsent_since_us.set(Some(at_us));
            }
            Some(_) => {}
        }
        let mut engine = self.engine.borrow_mut();
        if at_us - self.time_told_us.get() >= TIME_KEPT_US {
            self.time_told_us.set(at_us);
            engine.set_time(clock::now());
        }
        engine.start_lap(at_us);
        if let Some(journal) = &self.journal {
            journal.check_room(&mut engine, id, bytes.len() as u64, self.overdue.get());
        }
        engine.feed(id, bytes);
    }

    /// After anything that ran commands: hands effects on, and has replies sent once the sockets that are ready now have
    /// been read. To wake a client that sleeps costs more than all else about a reply, and one that is still awake with
    /// an earlier reply need not be woken.
    pub(crate) fn after_turn(&self) {
        let batch_bytes = self.engine.borrow().batch_bytes() as u64;
        if batch_bytes > 0 {
            self.flush.notify_one();
        }
        // One connection may be read many times before the batch is handed over.
        if batch_bytes > self.pending_max_bytes
            && let Some(journal) = &self.journal
        {
            self.balance(journal.disk.queued_bytes());
        }
        if self.engine.borrow().has_ready() {
            self.send.notify_one();
        }
        background::carry_out(self);
        if self.engine.borrow().has_resumable() {
            self.hurry.notify_one();
        }
    }

    /// Sends to every connection that has released output.
    pub(crate) fn send_ready(&self) {
        self.unsent_since_us.set(None);
        let mut engine = self.engine.borrow_mut();
        let conns = self.conns.borrow();
        while let Some(id) = engine.next_ready() {
            if let Some(conn) = conns.get(id).and_then(Option::as_ref) {
                conn.send_or_wake(&mut engine, id);
            }
        }
    }

    /// Whether sockets are not read any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.snapshots.are_last() || self.ending.borrow().is_some()
    }

    /// Whether too much waits for the journal: of each socket no more than a request is read, since only diagnostics run.
    pub(crate) fn is_holding_back(&self) -> bool {
        self.holding_back.get()
    }

    /// Whether a connection is not to be read now because room for its large request is being made.
    pub(crate) fn makes_room_for(&self, engine: &Engine, id: ConnId) -> bool {
        let makes = self.journal.as_ref().is_some_and(|journal| journal.makes_room_for(engine, id));
        if makes {
            self.awaits_room.set(true);
        }
        makes
    }

    /// Has those look again who rest because room is being made.
    pub(crate) fn look_for_room(&self) {
        if self.awaits_room.take() {
            self.conns.borrow().iter().flatten().for_each(|conn| conn.bell.ring());
        }
    }

    /// Looks again whether too much waits for the journal; wakes everybody when it no longer does.
    pub(crate) fn balance(&self, queued_bytes: u64) {
        let pending = queued_bytes + self.engine.borrow().batch_bytes() as u64;
        let too_much = pending > self.pending_max_bytes;
        let since = too_much.then(|| self.held_since.get().unwrap_or_else(Instant::now));
        self.held_since.set(since);
        // On a full disk writers are refused anyway, and holding readers back would help nobody.
        let is_stuck = || self.journal.as_ref().is_some_and(JournalLink::is_stuck);
        self.overdue.set(since.is_some_and(|since| since.elapsed() >= self.wait_max || is_stuck()));
        let was = self.holding_back.replace(too_much && !self.overdue.get());
        if was != self.holding_back.get() {
            self.engine.borrow_mut().hold_back(!was);
        }
        if was && !self.holding_back.get() {
            self.hurry.notify_one();
            self.conns.borrow().iter().flatten().for_each(|conn| conn.bell.ring());
        }
    }

    /// Ends the process when the tasks have finished what they must.
    pub(crate) fn end(&self, how: Result<(), String>) {
        self.ending.borrow_mut().get_or_insert(how);
        self.stop.notify_waiters();
        self.stop.notify_one();
    }
}

/// Recovers, serves, and returns when the node was stopped.
pub(crate) fn run(config: Config, config_file: String) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(config, config_file))
}

async fn serve(mut config: Config, config_file: String) -> Result<(), String> {
    let metrics = metrics::open(&config)?;
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
    let journal = journal_link::open(&mut engine)?;
    dump_file::start_from(&mut engine, journal.as_ref()).await?;
    engine.open_for_service();
    listener::bind(&mut engine)?;
    let shard = Rc::new(Shard::new(engine, journal));
    signals::watch(&shard)?;
    tokio::task::spawn_local(journal_link::follow(Rc::clone(&shard)));
    tokio::task::spawn_local(journal_link::hand_over(Rc::clone(&shard)));
    tokio::task::spawn_local(send(Rc::clone(&shard)));
    tokio::task::spawn_local(background::turns(Rc::clone(&shard)));
    tokio::task::spawn_local(listener::accept(Rc::clone(&shard)));
    progress::serving_begins();
    if let Some(page) = metrics {
        tokio::task::spawn_local(page.answer(Rc::clone(&shard)));
    }
    signals::tell_ready();
    while shard.ending.borrow().is_none() {
        shard.stop.notified().await;
    }
    journal_link::finish(&shard).await;
    listener::close();
    let how = shard.ending.borrow_mut().take();
    how.unwrap_or(Ok(()))
}

/// Sends replies as soon as the tasks that are ready now have had their turn.
async fn send(shard: Rc<Shard>) {
    loop {
        shard.send.notified().await;
        shard.send_ready();
    }
}

/// A seed from the system, for what must not be guessable.
fn random_seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|error| format!("cannot read /dev/urandom: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Whether a shard has a journal that still has work in flight.
pub(crate) fn is_behind(shard: &Shard) -> bool {
    let Some(journal) = &shard.journal else { return false };
    let lsn = shard.engine.borrow().last_lsn();
    journal.disk.health().is_alive() && journal.disk.progress().durable < lsn
}
