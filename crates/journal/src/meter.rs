//! What the journal counts of its own work, for whoever watches it. Counting takes no lock, reading takes none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts by power of two: entry *i* counts values of *i* bits, that is, below 2^*i* and not below 2^(*i*-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The counts.
    pub buckets: [u64; 32],
    /// The sum of all values.
    pub sum: u64,
}

/// A [`Histogram`] that several threads may add to.
#[derive(Default)]
struct Counts {
    buckets: [AtomicU64; 32],
    sum: AtomicU64,
}

impl Counts {
    fn add(&self, value: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        self.buckets[bits.min(31)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// What the journal has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Syncs that made something durable: their number is that of the commits.
    pub commits: u64,
    /// Records written, the empty ones included.
    pub records: u64,
    /// Bytes of records written.
    pub bytes: u64,
    /// Transactions made durable by one commit.
    pub commit_transactions: Histogram,
    /// How long fsync took, in microseconds.
    pub sync_us: Histogram,
    /// Segment files that hold records.
    pub segments: u64,
    /// Segment files made ready ahead.
    pub segments_ready: u64,
    /// Since the last commit ended, or since the journal was opened.
    pub since_commit: Duration,
    /// How long the sync that is under way has taken so far.
    pub sync_under_way: Option<Duration>,
    /// Bytes appended and not yet written.
    pub queued_bytes: u64,
}

/// The counters behind [`Figures`].
pub(crate) struct Meter {
    opened: Instant,
    commits: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    commit_transactions: Counts,
    sync_us: Counts,
    segments: AtomicU64,
    segments_ready: AtomicU64,
    /// Microseconds from `opened`, plus one; 0 for never.
    commit_ended: AtomicU64,
    sync_began: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            commits: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            commit_transactions: Counts::default(),
            sync_us: Counts::default(),
            segments: AtomicU64::new(0),
            segments_ready: AtomicU64::new(0),
            commit_ended: AtomicU64::new(0),
            sync_began: AtomicU64::new(0),
        }
    }

    fn at(&self, when: Instant) -> u64 {
        when.saturating_duration_since(self.opened).as_micros() as u64 + 1
    }

    fn since(&self, at: &AtomicU64) -> Option<Duration> {
        let at_us = at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.opened.elapsed().saturating_sub(Duration::from_micros(at_us)))
    }

    pub(crate) fn note_sizes(&self, (records, bytes): (u64, u64), (segments, ready): (u64, u64)) {
        self.records.store(records, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.segments.store(segments, Ordering::Relaxed);
        self.segments_ready.store(ready, Ordering::Relaxed);
    }

    pub(crate) fn sync_begins(&self, now: Instant) {
        self.sync_began.store(self.at(now), Ordering::Relaxed);
    }

    /// `transactions`: how many became durable; `None` if the sync failed.
    pub(crate) fn sync_ends(&self, began: Instant, ended: Instant, transactions: Option<u64>) {
        self.sync_us.add((ended - began).as_micros() as u64);
        // An empty record's sync makes nothing durable that was not.
        if let Some(transactions) = transactions.filter(|count| *count > 0) {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.commit_transactions.add(transactions);
            self.commit_ended.store(self.at(ended), Ordering::Relaxed);
        }
        self.sync_began.store(0, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, queued_bytes: u64) -> Figures {
        let load = |it: &AtomicU64| it.load(Ordering::Relaxed);
        Figures {
            commits: load(&self.commits),
            records: load(&self.records),
            bytes: load(&self.bytes),
            commit_transactions: self.commit_transactions.read(),
            sync_us: self.sync_us.read(),
            segments: load(&self.segments),
            segments_ready: load(&self.segments_ready),
            since_commit: self.since(&self.commit_ended).unwrap_or_else(|| self.opened.elapsed()),
            sync_under_way: self.since(&self.sync_began),
            queued_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn values_are_counted_by_their_bits() {
        let check = |value: u64, bucket: usize| {
            let counts = Counts::default();
            counts.add(value);
            let read = counts.read();
            assert_eq!(read.buckets.iter().position(|&n| n == 1), Some(bucket), "{value}");
            assert_eq!(read.sum, value);
        };
        check(0, 0);
        check(1, 1);
        check(2, 2);
        check(3, 2);
        check(4, 3);
        check((1 << 31) - 1, 31);
        check(u64::MAX, 31);
    }
}
