//! The threads of a [`crate::DiskJournal`] and what they share.
//!
//! * The *committer* writes what is queued and syncs it. Batches gather while it syncs.
//! * The *writer* sleeps, except when a relaxed batch is queued while a sync is in flight: then it writes, so that
//!   a relaxed reply never waits for an fsync.
//! * The *preparer* makes segments ready ahead.
//! * The *snapshot* thread writes snapshots and trims.
//!
//! Locks are taken in this order: snapshot, queue, log. No lock is held over a sync, nor while the owner is notified.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::committer::Notify;
use crate::disk::Disk;
use crate::log::{Log, WriteError};
use crate::meter::Meter;
use crate::queue::{Queue, RELAXED_STALL_AFTER, Work};
use crate::refusal::DiskError;
use crate::snapshot_thread::Snapshot;
use crate::{AppendError, Batch, Health, Room, Sizes, SyncPolicy};

/// How soon a full disk is looked at again.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// What the owner's side and the threads share.
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: Arc<D>,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) log: Mutex<Log<D>>,
    pub(crate) snapshot: Mutex<Snapshot>,
    pub(crate) health: Mutex<Health>,
    pub(crate) sizes: Mutex<Sizes>,
    pub(crate) written: AtomicU64,
    pub(crate) durable: AtomicU64,
    pub(crate) queued_bytes: AtomicU64,
    /// Syncs that took so long that relaxed batches, too, had to wait for them.
    pub(crate) syncs_delayed: AtomicU64,
    ready_bytes: AtomicU64,
    /// The most that [`Self::room`] was asked for and could not give.
    wanted_bytes: AtomicU64,
    full: AtomicBool,
    /// Something queued found no room.
    lacks_room: AtomicBool,
    stopped: AtomicBool,
    pub(crate) snapshot_queue_bytes: u64,
    pub(crate) committer_wake: Condvar,
    writer_wake: Condvar,
    /// With `queue`: something has become durable, or the journal has stopped.
    pub(crate) durable_changed: Condvar,
    /// With `log`: a preparation has ended.
    prepared: Condvar,
    preparer: Mutex<Preparer>,
    preparer_wake: Condvar,
    pub(crate) snapshot_wake: Condvar,
    pub(crate) notify: Notify,
    pub(crate) meter: Meter,
}

#[derive(Default)]
struct Preparer {
    kicked: bool,
    closing: bool,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(log: Log<D>, snapshot_queue_bytes: u64, notify: Notify) -> Self {
        let progress = log.progress();
        let meter = Meter::new();
        meter.note_sizes(log.records_and_bytes(), log.segments());
        Self {
            disk: log.disk(),
            queue: Mutex::new(Queue {
                last_lsn: progress.written,
                begun_lsn: progress.written,
                ..Queue::default()
            }),
            snapshot: Mutex::default(),
            health: Mutex::default(),
            sizes: Mutex::new(log.sizes()),
            written: AtomicU64::new(progress.written),
            durable: AtomicU64::new(progress.durable),
            queued_bytes: AtomicU64::new(0),
            syncs_delayed: AtomicU64::new(0),
            ready_bytes: AtomicU64::new(log.ready_bytes()),
            wanted_bytes: AtomicU64::new(0),
            full: AtomicBool::new(false),
            lacks_room: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            snapshot_queue_bytes,
            committer_wake: Condvar::new(),
            writer_wake: Condvar::new(),
            durable_changed: Condvar::new(),
            prepared: Condvar::new(),
            preparer: Mutex::default(),
            preparer_wake: Condvar::new(),
            snapshot_wake: Condvar::new(),
            notify,
            meter,
            log: Mutex::new(log),
        }
    }

    pub(crate) fn start(shared: &Arc<Self>) -> io::Result<Vec<JoinHandle<()>>> {
        let spawn = |name: &str, run: fn(&Self)| {
            let shared = Arc::clone(shared);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
        };
        Ok(vec![
            spawn("journal", Self::commit)?,
            spawn("journal-write", Self::write_beside_sync)?,
            spawn("journal-ready", Self::prepare)?,
            spawn("journal-snap", Self::write_snapshots)?,
        ])
    }

    pub(crate) fn close(&self) {
        lock(&self.queue).closing = true;
        lock(&self.preparer).closing = true;
        lock(&self.snapshot).closing = true;
        self.wake_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn check_order(&self, queue: &Queue, batch: &Batch) -> Result<(), AppendError> {
        if self.is_stopped() {
            return Err(AppendError::Stopped(lock(&self.health).clone()));
        }
        if batch.last_lsn <= queue.last_lsn {
            return Err(AppendError::OutOfOrder { previous_lsn: queue.last_lsn, lsn: batch.last_lsn });
        }
        Ok(())
    }

    /// Wakes whoever can take what was just queued; nobody, if they are at work and will look by themselves. The lock is
    /// given back first: woken on the same core, the other one would only run into it and sleep again.
    pub(crate) fn wake_for_work(&self, queue: MutexGuard<'_, Queue>) {
        if queue.syncing && !queue.writing && queue.has_relaxed {
            drop(queue);
            self.writer_wake.notify_one();
        } else if !queue.syncing && !queue.writing {
            self.wake_committer(queue);
        }
    }

    /// Wakes the committer, unless it is at work and will look by itself.
    pub(crate) fn wake_committer(&self, queue: MutexGuard<'_, Queue>) {
        let waits = queue.committer_waits;
        drop(queue);
        if waits {
            self.committer_wake.notify_one();
        }
    }

    pub(crate) fn room(&self, bytes: u64) -> Room {
        let needed = self.queued_bytes.load(Ordering::Acquire).saturating_add(bytes).saturating_add(4096);
        if self.is_stopped() {
            return Room::Full;
        }
        if self.ready_bytes.load(Ordering::Acquire) >= needed {
            return Room::Ready;
        }
        if self.full.load(Ordering::Acquire) {
            return Room::Full;
        }
        self.wanted_bytes.fetch_max(needed, Ordering::AcqRel);
        self.kick_preparer();
        Room::Preparing
    }

    fn commit(&self) {
        let mut queue = lock(&self.queue);
        while !self.is_stopped() {
            let now = Instant::now();
            match queue.next_work(now) {
                Work::Write => {
                    if let Some(delay) = queue.pace.delay(now) {
                        drop(queue);
                        std::thread::sleep(delay);
                        queue = lock(&self.queue);
                        if queue.writing || queue.syncing {
                            continue;
                        }
                    }
                    queue = self.write_queued(queue);
                }
                Work::Sync => queue = self.sync(queue),
                Work::Idle => queue = self.write_idle_record(queue),
                Work::Wait(until) => {
                    queue.committer_waits = true;
                    queue = match until {
                        None => wait(&self.committer_wake, queue),
                        Some(until) => wait_until(&self.committer_wake, queue, until),
                    };
                    queue.committer_waits = false;
                }
                Work::Close => break,
            }
        }
        // The others outlive the committer, since what they do may still need a sync.
        drop(queue);
        self.stopped.store(true, Ordering::Release);
        self.wake_all();
    }

    /// The writer thread: takes over while a sync is in flight and someone waits for a write alone.
    fn write_beside_sync(&self) {
        let mut queue = lock(&self.queue);
        while !self.is_stopped() {
            let stalled = queue.in_flight_since.is_some_and(|since| since.elapsed() >= RELAXED_STALL_AFTER);
            let may_write = queue.has_relaxed && !queue.lacks_room(Instant::now());
            if queue.syncing && !queue.writing && may_write && !stalled {
                queue = self.write_queued(queue);
                self.wake_for_work(queue);
                queue = lock(&self.queue);
                continue;
            }
            queue = wait(&self.writer_wake, queue);
        }
    }

    /// Writes everything queued.
    fn write_queued<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let (batches, cost_bytes) = queue.take();
        queue.writing = true;
        drop(queue);
        let before = self.written.load(Ordering::Acquire);
        let relaxed = batches.iter().any(|batch| batch.sync != SyncPolicy::Always);
        let waiting = batches.iter().map(|batch| batch.waiting).max().unwrap_or(0);
        let policy = batches.iter().map(|batch| batch.sync).max().unwrap_or(SyncPolicy::No);
        let (mut log, full) = self.log_with_room(cost_bytes);
        let (result, left) = write_while_there_is_room(&mut log, batches, full);
        let (written, wants) = (log.progress().written, log.wants_preparation());
        self.publish_sizes(&log);
        drop(log);
        self.written.store(written, Ordering::Release);
        let full = match result {
            Ok(()) => None,
            Err(WriteError::Full(error)) => Some(error),
            Err(error) => {
                self.fail(&error.to_string());
                None
            }
        };
        if wants {
            self.kick_preparer();
        }
        if relaxed {
            (self.notify)();
        }
        let mut queue = self.note_room(full.as_deref(), left, cost_bytes);
        queue.writing = false;
        if written == before {
            return queue;
        }
        queue.unsynced = if queue.unsynced_since.is_some() { queue.unsynced.max(policy) } else { policy };
        queue.unsynced_since.get_or_insert_with(Instant::now);
        queue.pace.waiting = queue.pace.waiting.max(waiting);
        queue.idle_since = None;
        queue
    }

    /// After a write: what found no room is queued again, before what came meanwhile, until there is some.
    fn note_room(
        &self,
        full: Option<&DiskError>,
        left: Vec<Batch>,
        cost_bytes: u64,
    ) -> MutexGuard<'_, Queue> {
        let mut queue = lock(&self.queue);
        let left_bytes = queue.put_back(left);
        self.queued_bytes.fetch_sub(cost_bytes - left_bytes, Ordering::AcqRel);
        queue.no_room_until = full.map(|_| Instant::now() + FULL_RETRY);
        drop(queue);
        let lacked = self.lacks_room.swap(full.is_some(), Ordering::AcqRel);
        match full {
            Some(error) => self.note_full(Health::Full { reason: error.to_string().into() }),
            None if lacked => self.heal(),
            None => {}
        }
        lock(&self.queue)
    }

    /// Makes durable what is written.
    fn sync<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.syncing = true;
        queue.in_flight_since = queue.unsynced_since.take();
        queue.begun_lsn = self.written.load(Ordering::Acquire);
        if queue.has_relaxed {
            self.writer_wake.notify_one();
        }
        drop(queue);
        let began = Instant::now();
        let durable_before = self.durable.load(Ordering::Acquire);
        self.meter.sync_begins(began);
        // The guard must not live on while the ticket runs.
        let ticket = lock(&self.log).sync_begin();
        let result = ticket.and_then(|ticket| {
            let result = ticket.run(&*self.disk);
            lock(&self.log).sync_end(&ticket, result)
        });
        let ended = Instant::now();
        self.meter.sync_ends(began, ended, result.as_ref().ok().map(|durable| durable - durable_before));
        match result {
            Ok(durable) => self.durable.store(durable, Ordering::Release),
            Err(error) => self.fail(&error.to_string()),
        }
        (self.notify)();
        let mut queue = lock(&self.queue);
        queue.syncing = false;
        let since = queue.in_flight_since.take();
        if queue.has_relaxed && since.is_some_and(|since| since.elapsed() >= RELAXED_STALL_AFTER) {
            self.syncs_delayed.fetch_add(1, Ordering::Relaxed);
        }
        queue.idle_since = Some(ended);
        queue.pace.note_sync(began, ended);
        if queue.awaits_durable {
            self.durable_changed.notify_all();
        }
        queue
    }

    fn write_idle_record<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.idle_since = None;
        queue.syncing = true;
        drop(queue);
        let mut log = lock(&self.log);
        let wrote = log.idle();
        self.publish_sizes(&log);
        drop(log);
        let mut queue = lock(&self.queue);
        queue.syncing = false;
        match wrote {
            Ok(false) => queue,
            Ok(true) => {
                let mut queue = self.sync(queue);
                queue.idle_since = None;
                queue
            }
            Err(error) => {
                drop(queue);
                self.fail(&error.to_string());
                lock(&self.queue)
            }
        }
    }

    /// The log, with space made ready for `bytes` of batches; without, if there is none to be had, and why.
    fn log_with_room(&self, bytes: u64) -> (MutexGuard<'_, Log<D>>, Option<DiskError>) {
        let mut log = lock(&self.log);
        while log.ready_bytes() < bytes && log.poison().is_none() {
            if log.is_preparing() {
                log = wait(&self.prepared, log);
                continue;
            }
            let Some(preparation) = log.plan_preparation(bytes) else { break };
            drop(log);
            let result = preparation.run();
            log = lock(&self.log);
            let result = log.accept(result);
            self.prepared.notify_all();
            if let Err(error) = result {
                return (log, Some(error));
            }
        }
        (log, None)
    }

    fn prepare(&self) {
        while !self.is_stopped() {
            let plan = lock(&self.log).plan_preparation(self.wanted_bytes.load(Ordering::Acquire));
            let Some(plan) = plan else {
                self.wanted_bytes.store(0, Ordering::Release);
                if self.full.load(Ordering::Acquire) {
                    // What did not fit was refused, and as much as is always kept ready is.
                    self.heal();
                }
                if self.pause_preparer(None) { return } else { continue }
            };
            let result = plan.run();
            let mut log = lock(&self.log);
            let result = log.accept(result);
            let (poison, is_kept) = (log.poison(), !log.wants_preparation());
            self.publish_sizes(&log);
            drop(log);
            self.prepared.notify_all();
            match (poison, result) {
                (Some(poison), _) => return self.fail(&poison.to_string()),
                (None, Ok(())) => self.heal(),
                (None, Err(error)) => {
                    let reason = error.to_string().into();
                    self.note_full(if is_kept { Health::Short { reason } } else { Health::Full { reason } });
                    // Who asked for it meanwhile learns of this first, and does not have it tried again at once.
                    lock(&self.preparer).kicked = false;
                    self.give_back();
                    if self.pause_preparer(Some(FULL_RETRY)) {
                        return;
                    }
                }
            }
        }
    }

    /// A disk that is full gets back what is more than is always kept ready: it was for a request that is refused now.
    fn give_back(&self) {
        let plan = lock(&self.log).plan_give_back(self.queued_bytes.load(Ordering::Acquire));
        let Some(trim) = plan else { return };
        let result = trim.run();
        let mut log = lock(&self.log);
        let result = log.trimmed(result);
        self.publish_sizes(&log);
        drop(log);
        if let Err(error) = result {
            self.fail(&error.to_string());
        }
    }

    /// Sleeps until kicked; true when the journal is closing.
    fn pause_preparer(&self, at_most: Option<Duration>) -> bool {
        let mut preparer = lock(&self.preparer);
        let until = at_most.map(|at_most| Instant::now() + at_most);
        while !preparer.kicked && !preparer.closing && !self.is_stopped() {
            preparer = match until {
                None => wait(&self.preparer_wake, preparer),
                Some(until) if Instant::now() >= until => break,
                Some(until) => wait_until(&self.preparer_wake, preparer, until),
            };
        }
        preparer.kicked = false;
        preparer.closing
    }

    pub(crate) fn kick_preparer(&self) {
        lock(&self.preparer).kicked = true;
        self.preparer_wake.notify_one();
    }

    fn note_full(&self, full: Health) {
        self.wanted_bytes.store(0, Ordering::Release);
        let mut health = lock(&self.health);
        if health.is_alive() {
            *health = full;
        }
        drop(health);
        // Whoever is refused finds the reason there already.
        self.full.store(true, Ordering::Release);
        (self.notify)();
    }

    fn heal(&self) {
        // While something queued waits for room, only its write shows that there is enough.
        if self.full.load(Ordering::Acquire) && !self.lacks_room.load(Ordering::Acquire) {
            let mut health = lock(&self.health);
            if health.is_alive() {
                *health = Health::Ok;
            }
            drop(health);
            self.full.store(false, Ordering::Release);
        }
        (self.notify)();
    }

    pub(crate) fn fail(&self, reason: &str) {
        let mut health = lock(&self.health);
        if health.is_alive() {
            *health = Health::Failed { reason: reason.into() };
        }
        drop(health);
        self.stopped.store(true, Ordering::Release);
        self.wake_all();
        (self.notify)();
    }

    fn wake_all(&self) {
        // Each lock is taken once, so that nobody who has just looked goes to sleep over the news.
        drop(lock(&self.queue));
        self.committer_wake.notify_all();
        self.writer_wake.notify_all();
        self.durable_changed.notify_all();
        drop(lock(&self.preparer));
        self.preparer_wake.notify_all();
        drop(lock(&self.snapshot));
        self.snapshot_wake.notify_all();
    }

    pub(crate) fn publish_sizes(&self, log: &Log<D>) {
        self.ready_bytes.store(log.ready_bytes(), Ordering::Release);
        *lock(&self.sizes) = log.sizes();
        self.meter.note_sizes(log.records_and_bytes(), log.segments());
    }
}

/// Writes batches in order; those from the first that finds no room are given back. `full`: why there is no more room
/// than is ready.
fn write_while_there_is_room<D: Disk>(
    log: &mut Log<D>,
    batches: Vec<Batch>,
    full: Option<DiskError>,
) -> (Result<(), WriteError>, Vec<Batch>) {
    let mut left = batches.into_iter();
    let mut full = full.map(Arc::new);
    while let Some(batch) = left.next() {
        let result = match full.take_if(|_| !log.has_room_for(batch.bytes.len())) {
            Some(error) => Err(WriteError::Full(error)),
            None => log.write(&batch),
        };
        match result {
            Ok(()) => {}
            Err(error @ WriteError::Full(_)) => {
                return (Err(error), std::iter::once(batch).chain(left).collect());
            }
            Err(error) => return (Err(error), Vec::new()),
        }
    }
    (Ok(()), Vec::new())
}

/// A thread that panicked while it held a lock has ended in `panic = "abort"`, or a test has failed already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

fn wait_until<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, until: Instant) -> MutexGuard<'a, T> {
    let at_most = until.saturating_duration_since(Instant::now());
    condvar.wait_timeout(guard, at_most).unwrap_or_else(PoisonError::into_inner).0
}
