//! [`DiskJournal`]: the journal that the engine sees, threads around a [`Log`].
//!
//! Nothing here blocks the caller. What the threads do is in `threads.rs`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::disk::{Disk, RealDisk};
use crate::log::{Log, LogOptions};
use crate::meter::Figures;
use crate::queue::cost_of;
use crate::reader::attempt;
use crate::recovery::{Holes, RecoveredBatch, Recovery};
use crate::refusal::{DiskError, OpenError};
use crate::snapshot_thread::SnapshotWork;
use crate::threads::{Shared, lock};
use crate::{
    AppendError, Batch, Health, JOURNAL_DIR_NAME, Journal, Progress, Room, Sizes, SnapshotError,
    SnapshotState,
};

/// How often a directory that another process holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// How a [`DiskJournal`] is opened.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Sizes of files and records, the shard, randomness for salts.
    pub log: LogOptions,
    /// How long to wait for a directory that another process holds, in milliseconds.
    pub lock_wait_ms: u64,
    /// Bound on snapshot bytes handed over and not yet written.
    pub snapshot_queue_bytes: u64,
}

impl Default for DiskOptions {
    /// The documented defaults, with randomness from the operating system.
    fn default() -> Self {
        Self { log: LogOptions::new(entropy()), lock_wait_ms: 10_000, snapshot_queue_bytes: 8 << 20 }
    }
}

/// What is called, from the journal's threads, when progress, health, room or the snapshot's state has changed.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// The journal on a local disk. Dropping it writes and syncs what is queued.
pub struct DiskJournal<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
    threads: Vec<JoinHandle<()>>,
}

impl DiskJournal<RealDisk> {
    /// Recovers the journal in `<dir>/sessile-journal/`, beginning one if there is none, and starts its threads. The
    /// snapshot's pieces and every complete run above it go to `deliver`, on this thread, before this returns.
    pub fn open<E>(
        dir: &Path,
        options: DiskOptions,
        notify: Notify,
        deliver: impl FnMut(RecoveredBatch<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), OpenError<E>> {
        let path = dir.join(JOURNAL_DIR_NAME);
        let disk = RealDisk::open(&path).map_err(|source| DiskError { doing: "create", path, source })?;
        Self::open_on(disk, options, notify, deliver)
    }
}

impl<D: Disk> DiskJournal<D> {
    /// The same on any disk.
    pub fn open_on<E>(
        disk: D,
        options: DiskOptions,
        notify: Notify,
        mut deliver: impl FnMut(RecoveredBatch<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), OpenError<E>> {
        let lock = wait_for_lock(&disk, options.lock_wait_ms)?;
        let DiskOptions { log, snapshot_queue_bytes, .. } = options;
        let (mut log, recovery) = Log::open_locked(disk, lock, log, Holes::Refuse, &mut deliver)?;
        // The first writes find space ready; a disk that is full at the start says so at the start.
        while log.prepare()? {}
        let shared = Arc::new(Shared::new(log, snapshot_queue_bytes, notify));
        let threads = Shared::start(&shared).map_err(|source| DiskError {
            doing: "start the threads of",
            path: shared.disk.path_of(""),
            source,
        });
        let threads = match threads {
            Ok(threads) => threads,
            Err(error) => {
                shared.close();
                return Err(error.into());
            }
        };
        Ok((Self { shared, threads }, recovery))
    }

    /// What it has done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.shared.meter.read(self.queued_bytes())
    }

    /// Syncs that took so long that relaxed batches, too, had to wait for them.
    pub fn syncs_delayed(&self) -> u64 {
        self.shared.syncs_delayed.load(Ordering::Relaxed)
    }
}

impl<D: Disk> Journal for DiskJournal<D> {
    fn append(&self, batch: Batch) -> Result<(), AppendError> {
        let shared = &*self.shared;
        let mut queue = lock(&shared.queue);
        shared.check_order(&queue, &batch)?;
        queue.last_lsn = batch.last_lsn;
        shared.queued_bytes.fetch_add(cost_of(&batch), Ordering::AcqRel);
        queue.push(batch);
        shared.wake_for_work(queue);
        Ok(())
    }

    fn progress(&self) -> Progress {
        // Durable first: it never exceeds a later reading of written.
        let durable = self.shared.durable.load(Ordering::Acquire);
        Progress { written: self.shared.written.load(Ordering::Acquire), durable }
    }

    fn health(&self) -> Health {
        lock(&self.shared.health).clone()
    }

    fn room(&self, bytes: u64) -> Room {
        self.shared.room(bytes)
    }

    fn queued_bytes(&self) -> u64 {
        self.shared.queued_bytes.load(Ordering::Acquire)
    }

    fn hasten(&self, lsn: u64) {
        if self.shared.durable.load(Ordering::Acquire) < lsn {
            let mut queue = lock(&self.shared.queue);
            queue.hasten_lsn = queue.hasten_lsn.max(lsn);
            self.shared.wake_committer(queue);
        }
    }

    fn snapshot_begin(&self, lsn: u64, time_ms: u64) -> Result<(), SnapshotError> {
        let shared = &*self.shared;
        if shared.is_stopped() {
            return Err(SnapshotError::Stopped(self.health()));
        }
        let mut snapshot = lock(&shared.snapshot);
        if matches!(snapshot.state, SnapshotState::Writing { .. }) || !snapshot.work.is_empty() {
            return Err(SnapshotError::Busy);
        }
        let mut queue = lock(&shared.queue);
        if queue.last_lsn != lsn {
            return Err(SnapshotError::NotAtEnd { last_lsn: queue.last_lsn, lsn });
        }
        queue.barrier_lsn = lsn;
        drop(queue);
        snapshot.state = SnapshotState::Writing { lsn, queued_bytes: 0 };
        snapshot.finishing = false;
        snapshot.work.push_back(SnapshotWork::Begin { lsn, time_ms });
        shared.snapshot_wake.notify_one();
        Ok(())
    }

    fn snapshot_write(&self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        self.shared.snapshot_push(SnapshotWork::Piece(bytes))
    }

    fn snapshot_room(&self) -> bool {
        let snapshot = lock(&self.shared.snapshot);
        snapshot.queued_bytes() < self.shared.snapshot_queue_bytes
    }

    fn snapshot_finish(&self) -> Result<(), SnapshotError> {
        self.shared.snapshot_push(SnapshotWork::Finish)
    }

    fn snapshot_abort(&self) {
        // Without a snapshot there is nothing to give up.
        self.shared.snapshot_push(SnapshotWork::Abort).ok();
    }

    fn snapshot_state(&self) -> SnapshotState {
        lock(&self.shared.snapshot).state.clone()
    }

    fn trim(&self) {
        lock(&self.shared.snapshot).trim_wanted = true;
        self.shared.snapshot_wake.notify_one();
    }

    fn sizes(&self) -> Sizes {
        *lock(&self.shared.sizes)
    }
}

impl<D: Disk> Drop for DiskJournal<D> {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; there is nothing left to save here.
            thread.join().ok();
        }
    }
}

impl<D: Disk> std::fmt::Debug for DiskJournal<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskJournal").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

fn wait_for_lock<D: Disk, E>(disk: &D, lock_wait_ms: u64) -> Result<D::Lock, OpenError<E>> {
    let began = Instant::now();
    loop {
        if let Some(lock) = attempt(disk, "lock", "lock", disk.try_lock())? {
            return Ok(lock);
        }
        let waited = began.elapsed();
        if waited >= Duration::from_millis(lock_wait_ms) {
            return Err(OpenError::Locked { path: disk.path_of(""), waited_ms: waited.as_millis() as u64 });
        }
        // The process before this one may be writing its last records; it lets go when it is done.
        std::thread::sleep(LOCK_RETRY);
    }
}

/// A seed for salts, from the operating system's randomness.
fn entropy() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Each state has keys from the system's generator; the time tells apart what forked from one state.
    RandomState::new().hash_one((Instant::now(), std::time::SystemTime::now(), std::process::id()))
}
