//! The real [`Log`] on a [`SimDisk`], stepped by hand where the node has threads: writes gather while a sync is under
//! way, segments are made ready in between, a snapshot waits for what it covers.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use sessile_journal::{
    AppendError, Batch, Fault, FaultKind, Health, Journal, Log, LogOptions, Operation, Progress, Recovery,
    Room, SimDisk, SimFile, Sizes, SnapshotError, SnapshotFile, SnapshotState, SyncTicket, WriteError,
};

use crate::backend::{Backend, Deliver, Image};
use crate::dice::Dice;
use crate::tail::Tail;
use crate::tally::Tally;

/// A disk and the sizes of the log on it.
#[derive(Clone)]
pub struct DiskImage {
    /// The disk.
    pub disk: SimDisk,
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Most payload in one record.
    pub record_payload_bytes: usize,
}

/// The journal.
pub struct DiskJournal {
    image: DiskImage,
    inner: RefCell<Inner>,
}

struct Inner {
    log: Log<SimDisk>,
    tail: Tail,
    ticket: Option<SyncTicket<SimFile>>,
    snapshot: Option<Writing>,
    full: bool,
}

/// A snapshot on its way.
struct Writing {
    file: SnapshotFile<SimDisk>,
    /// All pieces came; sealed with this size.
    sealed: Option<u64>,
}

/// Recovers the log on the disk.
pub fn open(
    image: &DiskImage,
    entropy: u64,
    deliver: Deliver<'_>,
) -> Result<(DiskJournal, Recovery), String> {
    let options = LogOptions {
        segment_bytes: image.segment_bytes,
        record_payload_bytes: image.record_payload_bytes,
        ..LogOptions::new(entropy)
    };
    let (log, recovery) =
        Log::open(image.disk.clone(), options, deliver).map_err(|error| error.to_string())?;
    let inner =
        Inner { tail: Tail::new(log.progress().written), log, ticket: None, snapshot: None, full: false };
    Ok((DiskJournal { image: image.clone(), inner: RefCell::new(inner) }, recovery))
}

impl Inner {
    fn write(&mut self, most: usize) {
        let Some(batch) = self.tail.next_run(most) else { return };
        match self.log.write(&batch) {
            Ok(()) => {}
            Err(WriteError::Full(_)) => {
                self.full = true;
                self.tail.notes.push("fault disk full for what is queued");
                self.tail.queue.push_front(batch);
            }
            Err(_) => self.tail.queue.clear(),
        }
    }

    fn sync_begin(&mut self) {
        if self.ticket.is_none() && self.log.is_dirty() {
            self.ticket = self.log.sync_begin().ok();
        }
    }

    fn sync_end(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let result = ticket.run(&*self.log.disk());
        // A failure poisons the log, which is seen in its health.
        let _ = self.log.sync_end(&ticket, result);
    }

    fn prepare(&mut self) {
        if self.log.poison().is_some() {
            return;
        }
        let was = self.full;
        self.full = self.log.prepare().is_err() && self.log.poison().is_none();
        if was != self.full {
            self.tail.notes.push(if self.full { "fault disk full" } else { "fault disk has space again" });
        }
    }

    fn publish(&mut self) {
        let durable = self.log.progress().durable;
        let ready = |it: &mut Writing| it.sealed.is_some() && it.file.lsn() <= durable;
        let Some(Writing { file, sealed: Some(file_bytes) }) = self.snapshot.take_if(ready) else { return };
        let lsn = file.lsn();
        if let Err(error) = file.publish(durable) {
            self.tail.snapshot = SnapshotState::Failed(SnapshotError::Io(error.to_string().into()));
            return;
        }
        self.tail.published(lsn, file_bytes);
        // A failure poisons the log, which is seen in its health.
        let _ = self.log.snapshot_done(lsn, file_bytes);
    }

    fn health(&self) -> Health {
        match self.log.poison() {
            Some(why) => Health::Failed { reason: why.to_string().into() },
            None if self.full => Health::Full { reason: "no space is left on the simulated disk".into() },
            None => Health::Ok,
        }
    }

    fn give_up_snapshot(&mut self, error: &impl ToString) -> SnapshotError {
        let error = SnapshotError::Io(Arc::from(error.to_string()));
        if let Some(writing) = self.snapshot.take() {
            writing.file.abort();
        }
        self.tail.snapshot = SnapshotState::Failed(error.clone());
        error
    }
}

impl Backend for DiskJournal {
    fn step(&self, dice: &mut Dice, _: u64, _: &mut Tally) {
        let inner = &mut *self.inner.borrow_mut();
        match dice.below(12) {
            0..=3 => inner.write(1 + dice.below(6) as usize),
            4..=5 => inner.sync_begin(),
            6..=7 => inner.sync_end(),
            8..=9 => inner.prepare(),
            10 => {
                // It may be refused: then the log's health says so.
                let _ = inner.log.idle();
            }
            _ => inner.publish(),
        }
    }

    fn settle(&self, _: u64) {
        let inner = &mut *self.inner.borrow_mut();
        inner.sync_end();
        inner.prepare();
        inner.write(usize::MAX);
        inner.sync_begin();
        inner.sync_end();
        inner.publish();
    }

    fn break_something(&self, dice: &mut Dice, tally: &mut Tally) {
        let disk = &self.image.disk;
        let other = FaultKind::Error(io::ErrorKind::Other);
        let (operation, kind, name) = match dice.below(7) {
            0 => (Operation::Write, other, "fault write fails"),
            1 => (Operation::Write, FaultKind::Short, "fault write is short"),
            2 => (Operation::Sync, other, "fault sync fails"),
            3 => (
                dice.pick(&[Operation::SyncDir, Operation::Open, Operation::Rename]),
                other,
                "fault directory operation fails",
            ),
            4 => (Operation::Any, FaultKind::Die, "fault process dies in an operation"),
            _ => {
                // Full, until something makes room.
                disk.set_capacity_bytes(disk.used_bytes() + dice.below(2) * self.image.segment_bytes);
                return;
            }
        };
        tally.note(name);
        disk.inject(Fault { operation, after: dice.below(12), kind });
    }

    fn fail_next_sync(&self) {
        let kind = FaultKind::Error(io::ErrorKind::Other);
        self.image.disk.inject(Fault { operation: Operation::Sync, after: 0, kind });
    }

    fn make_room(&self) {
        self.image.disk.set_capacity_bytes(u64::MAX);
    }

    fn is_dead(&self) -> bool {
        self.image.disk.is_dead()
    }

    fn after_power_cut(&self, seed: u64) -> Image {
        Image::Disk(DiskImage { disk: self.image.disk.crash(seed), ..self.image.clone() })
    }

    fn after_kill(&self, _: u64) -> Image {
        Image::Disk(DiskImage { disk: self.image.disk.killed(), ..self.image.clone() })
    }

    fn version(&self) -> u64 {
        self.image.disk.operations()
    }

    fn take_notes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.inner.borrow_mut().tail.notes)
    }
}

impl DiskJournal {
    /// Gives the disk all the space it wants.
    pub fn heal(image: &Image) {
        if let Image::Disk(image) = image {
            image.disk.set_capacity_bytes(u64::MAX);
        }
    }
}

impl Journal for DiskJournal {
    fn append(&self, batch: Batch) -> Result<(), AppendError> {
        let inner = &mut *self.inner.borrow_mut();
        let health = inner.health();
        inner.tail.append(batch, health)
    }

    fn progress(&self) -> Progress {
        self.inner.borrow().log.progress()
    }

    fn health(&self) -> Health {
        self.inner.borrow().health()
    }

    fn room(&self, bytes: u64) -> Room {
        let inner = self.inner.borrow();
        if inner.log.ready_bytes() >= bytes + self.queued_bytes() {
            Room::Ready
        } else if inner.full {
            Room::Full
        } else {
            Room::Preparing
        }
    }

    fn queued_bytes(&self) -> u64 {
        self.inner.borrow().tail.queued_bytes()
    }

    fn hasten(&self, _: u64) {}

    fn snapshot_begin(&self, lsn: u64, time_ms: u64) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        let health = inner.health();
        let Inner { tail, log, snapshot, .. } = inner;
        tail.snapshot_begin(snapshot, lsn, health, || {
            let file = log.snapshot_begin(lsn, time_ms);
            let file = file.map_err(|error| SnapshotError::Io(error.to_string().into()))?;
            Ok(Writing { file, sealed: None })
        })
    }

    fn snapshot_write(&self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        let writing = inner.snapshot.as_mut().ok_or(SnapshotError::NotBegun)?;
        writing.file.write(&bytes).map_err(|error| inner.give_up_snapshot(&error))
    }

    fn snapshot_room(&self) -> bool {
        true
    }

    fn snapshot_finish(&self) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        let writing = inner.snapshot.as_mut().ok_or(SnapshotError::NotBegun)?;
        match writing.file.seal() {
            Ok(file_bytes) => {
                writing.sealed = Some(file_bytes);
                Ok(())
            }
            Err(error) => Err(inner.give_up_snapshot(&error)),
        }
    }

    fn snapshot_abort(&self) {
        if let Some(writing) = self.inner.borrow_mut().snapshot.take() {
            writing.file.abort();
        }
    }

    fn snapshot_state(&self) -> SnapshotState {
        self.inner.borrow().tail.snapshot.clone()
    }

    fn trim(&self) {
        // A failure poisons the log, which is seen in its health.
        let _ = self.inner.borrow_mut().log.trim();
    }

    fn sizes(&self) -> Sizes {
        self.inner.borrow().log.sizes()
    }
}
