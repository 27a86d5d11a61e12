//! What every simulated journal keeps of its end: the batches that wait, and how far a snapshot is.

use std::collections::VecDeque;

use sessile_journal::{AppendError, Batch, Health, SnapshotError, SnapshotState};

/// The end of a journal.
pub(crate) struct Tail {
    /// LSN of the newest batch that was taken.
    appended_lsn: u64,
    /// Batches that wait to be written.
    pub(crate) queue: VecDeque<Batch>,
    /// Where the newest snapshot began.
    snapshot_lsn: u64,
    /// How far it is.
    pub(crate) snapshot: SnapshotState,
    /// What happened, for the tally.
    pub(crate) notes: Vec<&'static str>,
}

impl Tail {
    /// Behind what was recovered.
    pub(crate) fn new(recovered_lsn: u64) -> Self {
        Self {
            appended_lsn: recovered_lsn,
            queue: VecDeque::new(),
            snapshot_lsn: 0,
            snapshot: SnapshotState::None,
            notes: Vec::new(),
        }
    }

    /// Takes a batch.
    pub(crate) fn append(&mut self, batch: Batch, health: Health) -> Result<(), AppendError> {
        if !health.is_alive() {
            return Err(AppendError::Stopped(health));
        }
        if batch.last_lsn <= self.appended_lsn {
            return Err(AppendError::OutOfOrder { previous_lsn: self.appended_lsn, lsn: batch.last_lsn });
        }
        self.appended_lsn = batch.last_lsn;
        self.queue.push_back(batch);
        Ok(())
    }

    /// The batches to write next, at most so many, as one: those that gathered go together, but none straddles a
    /// snapshot.
    pub(crate) fn next_run(&mut self, most: usize) -> Option<Batch> {
        let mut run = self.queue.pop_front()?;
        for _ in 1..most {
            if run.last_lsn == self.snapshot_lsn {
                break;
            }
            let Some(next) = self.queue.pop_front() else { break };
            run.bytes.extend_from_slice(&next.bytes);
            run = Batch { bytes: run.bytes, ..next };
        }
        Some(run)
    }

    /// Bytes of the batches that wait.
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queue.iter().map(|batch| batch.bytes.len() as u64).sum()
    }

    /// Begins a snapshot at the end of what was appended; `begin` makes room for its pieces.
    pub(crate) fn snapshot_begin<T>(
        &mut self,
        writing: &mut Option<T>,
        lsn: u64,
        health: Health,
        begin: impl FnOnce() -> Result<T, SnapshotError>,
    ) -> Result<(), SnapshotError> {
        if writing.is_some() {
            return Err(SnapshotError::Busy);
        }
        if !health.is_alive() {
            return Err(SnapshotError::Stopped(health));
        }
        if lsn != self.appended_lsn {
            return Err(SnapshotError::NotAtEnd { last_lsn: self.appended_lsn, lsn });
        }
        *writing = Some(begin()?);
        self.snapshot_lsn = lsn;
        self.snapshot = SnapshotState::Writing { lsn, queued_bytes: 0 };
        Ok(())
    }

    /// Notes that the snapshot is there.
    pub(crate) fn published(&mut self, lsn: u64, file_bytes: u64) {
        self.notes.push("snapshot published");
        self.snapshot = SnapshotState::Done { lsn, file_bytes };
    }
}
