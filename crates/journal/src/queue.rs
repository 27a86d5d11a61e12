//! The queue between the engine and the disk: batches on their way, who is at work, and what comes next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::record::RECORD_HEADER_LEN;
use crate::{Batch, SyncPolicy};

/// A relaxed write is synced this long after it was written …
const RELAXED_SYNC_AFTER: Duration = Duration::from_millis(500);
/// … and while one has been unsynced for this long, further writes wait.
pub(crate) const RELAXED_STALL_AFTER: Duration = Duration::from_secs(1);
/// The same for writes that leave it to the operating system.
const LAX_SYNC_AFTER: Duration = Duration::from_secs(30);
/// After this long without work an empty record says what is durable.
const IDLE_AFTER: Duration = Duration::from_millis(200);
/// A sync that this many clients waited for makes the next one keep its distance.
const PACE_FROM_CLIENTS: usize = 4;
/// What a sync is taken to cost before one was measured, and the most that pacing waits.
const PACE_START: Duration = Duration::from_micros(300);
const PACE_MAX: Duration = Duration::from_micros(500);
/// Queued batches are joined into one record up to this size.
const JOIN_BYTES: usize = 256 << 10;

/// Batches on their way, and who is at work.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) batches: VecDeque<Batch>,
    /// Whether some queued batch waits for its write alone.
    pub(crate) has_relaxed: bool,
    /// Last LSN appended.
    pub(crate) last_lsn: u64,
    /// A durable LSN that a reply waits for.
    pub(crate) hasten_lsn: u64,
    /// The snapshot's thread waits for a durable LSN.
    pub(crate) awaits_durable: bool,
    /// No record may straddle this LSN: a snapshot is taken there.
    pub(crate) barrier_lsn: u64,
    /// The disk had no room for the first of `batches`; it is tried again then.
    pub(crate) no_room_until: Option<Instant>,
    /// What `batches` take, as [`cost_of`] counts.
    pub(crate) cost_bytes: u64,
    pub(crate) writing: bool,
    pub(crate) syncing: bool,
    /// The committer sleeps. Otherwise it is at work and will look by itself.
    pub(crate) committer_waits: bool,
    pub(crate) closing: bool,
    /// When the oldest write was made that no sync has begun for, and the strongest promise among those.
    pub(crate) unsynced_since: Option<Instant>,
    pub(crate) unsynced: SyncPolicy,
    /// The same of the sync that is in flight.
    pub(crate) in_flight_since: Option<Instant>,
    pub(crate) begun_lsn: u64,
    /// When the last work ended, unless an empty record has already followed it.
    pub(crate) idle_since: Option<Instant>,
    pub(crate) pace: Pace,
}

/// How far apart syncs are kept.
#[derive(Default)]
pub(crate) struct Pace {
    sync_cost: Option<Duration>,
    last_sync_end: Option<Instant>,
    last_waiting: usize,
    /// The most clients that wait for what was written since the last sync.
    pub(crate) waiting: usize,
}

/// What the committer does next.
pub(crate) enum Work {
    Write,
    Sync,
    Idle,
    Wait(Option<Instant>),
    Close,
}

impl Queue {
    pub(crate) fn push(&mut self, batch: Batch) {
        self.has_relaxed |= batch.sync != SyncPolicy::Always;
        self.cost_bytes += cost_of(&batch);
        self.batches.push_back(batch);
    }

    /// Takes all batches, neighbours joined, each to be a run of its own; and what they took in the queue.
    pub(crate) fn take(&mut self) -> (Vec<Batch>, u64) {
        self.has_relaxed = false;
        let mut taken: Vec<Batch> = Vec::new();
        for batch in self.batches.drain(..) {
            match taken.last_mut() {
                Some(last)
                    if last.last_lsn != self.barrier_lsn
                        && last.bytes.len() + batch.bytes.len() <= JOIN_BYTES =>
                {
                    last.bytes.extend_from_slice(&batch.bytes);
                    last.last_lsn = batch.last_lsn;
                    last.time_ms = last.time_ms.max(batch.time_ms);
                    last.sync = last.sync.max(batch.sync);
                    last.waiting = last.waiting.max(batch.waiting);
                }
                _ => taken.push(batch),
            }
        }
        (taken, std::mem::take(&mut self.cost_bytes))
    }

    /// Puts back what was taken and found no room; gives what it takes in the queue.
    pub(crate) fn put_back(&mut self, batches: Vec<Batch>) -> u64 {
        let cost_bytes = batches.iter().map(cost_of).sum();
        self.has_relaxed |= batches.iter().any(|batch| batch.sync != SyncPolicy::Always);
        self.cost_bytes += cost_bytes;
        for batch in batches.into_iter().rev() {
            self.batches.push_front(batch);
        }
        cost_bytes
    }

    /// Whether what is queued waits for room on the disk.
    pub(crate) fn lacks_room(&self, now: Instant) -> bool {
        self.no_room_until.is_some_and(|until| now < until)
    }

    fn sync_due(&self, now: Instant) -> Option<Instant> {
        let since = self.unsynced_since?;
        Some(match self.unsynced {
            _ if self.closing || self.hasten_lsn > self.begun_lsn => now,
            SyncPolicy::Always => now,
            SyncPolicy::EverySecond => since + RELAXED_SYNC_AFTER,
            SyncPolicy::No => since + LAX_SYNC_AFTER,
        })
    }

    pub(crate) fn next_work(&self, now: Instant) -> Work {
        if self.syncing || self.writing {
            return Work::Wait(None);
        }
        // A due sync goes before what is queued, or a stream of writes would put it off for ever.
        let sync_due = self.sync_due(now);
        if sync_due.is_some_and(|due| due <= now) {
            return Work::Sync;
        }
        if !self.batches.is_empty() {
            return match self.no_room_until {
                Some(_) if self.closing && self.lacks_room(now) => Work::Close,
                Some(until) if now < until => Work::Wait(sync_due.into_iter().chain([until]).min()),
                _ => Work::Write,
            };
        }
        if self.closing && self.idle_since.is_none() {
            return Work::Close;
        }
        let idle_due = self.idle_since.filter(|_| sync_due.is_none()).map(|since| since + IDLE_AFTER);
        if self.closing || idle_due.is_some_and(|due| due <= now) {
            return Work::Idle;
        }
        Work::Wait(sync_due.into_iter().chain(idle_due).min())
    }
}

impl Pace {
    /// How long the next sync should still keep its distance from the last.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        let apart = self.sync_cost.unwrap_or(PACE_START).min(PACE_MAX);
        let next = self.last_sync_end.filter(|_| self.last_waiting >= PACE_FROM_CLIENTS)? + apart;
        next.checked_duration_since(now).filter(|delay| !delay.is_zero())
    }

    pub(crate) fn note_sync(&mut self, began: Instant, ended: Instant) {
        let cost = ended - began;
        self.sync_cost = Some(self.sync_cost.map_or(cost, |before| (before * 7 + cost) / 8));
        self.last_sync_end = Some(ended);
        self.last_waiting = std::mem::take(&mut self.waiting);
    }
}

/// What a batch takes of what is ready, at most: its bytes and its records' headers.
pub(crate) fn cost_of(batch: &Batch) -> u64 {
    (batch.bytes.len() + 2 * RECORD_HEADER_LEN) as u64
}
