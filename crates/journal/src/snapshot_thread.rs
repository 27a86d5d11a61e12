//! The snapshot thread of a [`crate::DiskJournal`]: writes snapshots from a bounded queue, and trims.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::refusal::DiskError;
use crate::snapshot::SnapshotFile;
use crate::threads::{Shared, lock, wait};
use crate::{SnapshotError, SnapshotState};

/// The snapshot's queue.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) state: SnapshotState,
    pub(crate) work: VecDeque<SnapshotWork>,
    pub(crate) finishing: bool,
    pub(crate) trim_wanted: bool,
    pub(crate) closing: bool,
}

pub(crate) enum SnapshotWork {
    Begin { lsn: u64, time_ms: u64 },
    Piece(Vec<u8>),
    Finish,
    Abort,
}

impl Snapshot {
    pub(crate) const fn queued_bytes(&self) -> u64 {
        match self.state {
            SnapshotState::Writing { queued_bytes, .. } => queued_bytes,
            _ => 0,
        }
    }

    fn drop_work(&mut self) {
        self.work.clear();
    }
}

impl<D: Disk> Shared<D> {
    pub(crate) fn snapshot_push(&self, work: SnapshotWork) -> Result<(), SnapshotError> {
        let mut snapshot = lock(&self.snapshot);
        if snapshot.finishing {
            return Err(SnapshotError::NotBegun);
        }
        match (&mut snapshot.state, &work) {
            (SnapshotState::Writing { queued_bytes, .. }, SnapshotWork::Piece(bytes)) => {
                *queued_bytes += bytes.len() as u64;
            }
            (SnapshotState::Writing { .. }, _) => {}
            (SnapshotState::Failed(error), _) => return Err(error.clone()),
            _ => return Err(SnapshotError::NotBegun),
        }
        snapshot.finishing = matches!(work, SnapshotWork::Finish | SnapshotWork::Abort);
        snapshot.work.push_back(work);
        self.snapshot_wake.notify_one();
        Ok(())
    }

    pub(crate) fn write_snapshots(&self) {
        let mut file: Option<SnapshotFile<D>> = None;
        loop {
            let mut snapshot = lock(&self.snapshot);
            while snapshot.work.is_empty() && !snapshot.trim_wanted && !snapshot.closing && !self.is_stopped()
            {
                snapshot = wait(&self.snapshot_wake, snapshot);
            }
            if snapshot.closing || self.is_stopped() {
                // What is left unfinished is removed here, or by the next recovery.
                if let Some(file) = file {
                    file.abort();
                }
                return;
            }
            let work = snapshot.work.pop_front();
            let trim = std::mem::take(&mut snapshot.trim_wanted);
            drop(snapshot);
            let result = work.map_or(Ok(None), |work| self.snapshot_step(work, &mut file));
            if trim {
                self.trim();
            }
            let state = match result {
                Ok(None) => continue,
                Ok(Some(state)) => state,
                Err(error) => {
                    if let Some(file) = file.take() {
                        file.abort();
                    }
                    SnapshotState::Failed(SnapshotError::Io(error.to_string().into()))
                }
            };
            let mut snapshot = lock(&self.snapshot);
            snapshot.drop_work();
            snapshot.state = state;
            drop(snapshot);
            (self.notify)();
        }
    }

    /// Does one piece of work; says so when the snapshot has come to an end.
    fn snapshot_step(
        &self,
        work: SnapshotWork,
        file: &mut Option<SnapshotFile<D>>,
    ) -> Result<Option<SnapshotState>, DiskError> {
        match (work, file.as_mut()) {
            (SnapshotWork::Begin { lsn, time_ms }, _) => {
                *file = Some(lock(&self.log).snapshot_begin(lsn, time_ms)?);
                Ok(None)
            }
            (SnapshotWork::Piece(bytes), Some(file)) => {
                file.write(&bytes)?;
                let mut snapshot = lock(&self.snapshot);
                let before = snapshot.queued_bytes();
                let after = before.saturating_sub(bytes.len() as u64);
                if let SnapshotState::Writing { queued_bytes, .. } = &mut snapshot.state {
                    *queued_bytes = after;
                }
                drop(snapshot);
                if before >= self.snapshot_queue_bytes && after < self.snapshot_queue_bytes {
                    (self.notify)();
                }
                Ok(None)
            }
            (SnapshotWork::Finish, Some(_)) => {
                file.take().map_or(Ok(None), |file| self.finish_snapshot(file))
            }
            (SnapshotWork::Abort, Some(_)) => {
                if let Some(file) = file.take() {
                    file.abort();
                }
                Ok(Some(SnapshotState::None))
            }
            (_, None) => Ok(None),
        }
    }

    fn finish_snapshot(&self, mut file: SnapshotFile<D>) -> Result<Option<SnapshotState>, DiskError> {
        let lsn = file.lsn();
        let file_bytes = file.seal()?;
        let mut queue = lock(&self.queue);
        while self.durable.load(Ordering::Acquire) < lsn {
            if self.is_stopped() {
                drop(queue);
                file.abort();
                return Ok(Some(SnapshotState::Failed(SnapshotError::Stopped(lock(&self.health).clone()))));
            }
            queue.hasten_lsn = queue.hasten_lsn.max(lsn);
            queue.awaits_durable = true;
            self.committer_wake.notify_one();
            queue = wait(&self.durable_changed, queue);
        }
        queue.awaits_durable = false;
        drop(queue);
        file.publish(self.durable.load(Ordering::Acquire))?;
        lock(&self.log).note_snapshot(lsn, file_bytes);
        self.trim();
        Ok(Some(SnapshotState::Done { lsn, file_bytes }))
    }

    fn trim(&self) {
        let plan = lock(&self.log).plan_trim();
        if let Some(trim) = plan {
            let result = trim.run();
            if let Err(error) = lock(&self.log).trimmed(result) {
                return self.fail(&error.to_string());
            }
        }
        self.publish_sizes(&lock(&self.log));
        self.kick_preparer();
    }
}
