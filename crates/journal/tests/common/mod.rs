//! What the tests share: a generator, a model of what was appended, and recovery checked against it.
#![expect(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use sessile_journal::{Batch, Disk, Log, LogOptions, OpenError, RecoveredBatch, Recovery, SimDisk};

/// A small seeded generator (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll() as u8).collect()
    }
}

/// Everything that recovery delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) snapshot: Vec<Vec<u8>>,
    /// By base LSN: last LSN, time, bytes.
    pub(crate) batches: Vec<(u64, u64, u64, Vec<u8>)>,
}

impl Delivered {
    pub(crate) fn take(&mut self, batch: RecoveredBatch<'_>) -> Result<(), Infallible> {
        if batch.snapshot {
            assert!(self.batches.is_empty(), "the snapshot comes first");
            self.snapshot.push(batch.bytes.to_vec());
        } else {
            self.batches.push((batch.base_lsn, batch.last_lsn, batch.time_ms, batch.bytes.to_vec()));
        }
        Ok(())
    }
}

pub(crate) type Opened<D> = (Log<D>, Recovery, Delivered);

pub(crate) fn open<D: Disk>(disk: D, options: &LogOptions) -> Result<Opened<D>, OpenError<Infallible>> {
    let mut delivered = Delivered::default();
    let (log, recovery) = Log::open(disk, options.clone(), |batch| delivered.take(batch))?;
    Ok((log, recovery, delivered))
}

/// What was appended and promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// By last LSN: base LSN, time, bytes.
    pub(crate) batches: BTreeMap<u64, (u64, u64, Vec<u8>)>,
    /// By LSN: what was written under it; a later one at the same LSN may or may not have replaced an earlier.
    pub(crate) snapshots: BTreeMap<u64, Vec<Vec<Vec<u8>>>>,
    pub(crate) written: u64,
    pub(crate) durable: u64,
}

impl Model {
    pub(crate) fn batch(&mut self, dice: &mut Dice, largest: u64) -> Batch {
        let base = self.batches.last_key_value().map_or(self.written, |(&last, _)| last);
        let last_lsn = base + 1 + if dice.chance(30) { dice.below(5) } else { 0 };
        let length = match dice.below(10) {
            0 => dice.below(largest),
            1 => 0,
            _ => dice.below(300),
        };
        let bytes = dice.bytes(length as usize);
        let time_ms = 1000 + last_lsn;
        self.batches.insert(last_lsn, (base, time_ms, bytes.clone()));
        Batch::new(bytes, last_lsn, time_ms)
    }

    /// Checks what recovery delivered: everything up to `at_least` is there, and nothing that was not appended.
    pub(crate) fn check(&self, recovery: &Recovery, delivered: &Delivered, at_least: u64) {
        assert!(
            recovery.last_lsn >= at_least,
            "LSN {at_least} was promised, LSN {} is there",
            recovery.last_lsn
        );
        let mut lsn = 0;
        if let Some(snapshot_lsn) = recovery.snapshot_lsn {
            let written = self.snapshots.get(&snapshot_lsn).expect("no snapshot has this LSN");
            assert!(written.contains(&delivered.snapshot), "snapshot at {snapshot_lsn}");
            lsn = snapshot_lsn;
        }
        for (base, last, time_ms, bytes) in &delivered.batches {
            assert_eq!(*base, lsn, "dense");
            assert_eq!(self.batches.get(last), Some(&(*base, *time_ms, bytes.clone())), "batch up to {last}");
            lsn = *last;
        }
        assert_eq!(lsn, recovery.last_lsn);
    }

    /// From here on, what recovery did not find never was.
    pub(crate) fn rewind(&mut self, recovery: &Recovery) {
        self.batches.split_off(&(recovery.last_lsn + 1));
        (self.written, self.durable) = (recovery.last_lsn, recovery.last_lsn);
    }
}

/// The number of seeds, `default` unless `SESSILE_SEEDS` says otherwise, and the one to begin with.
pub(crate) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("SESSILE_SEED").unwrap_or(0);
    first..first + number("SESSILE_SEEDS").unwrap_or(default)
}

pub(crate) fn sim_options(dice: &mut Dice) -> LogOptions {
    LogOptions {
        segment_bytes: 4096 * (2 + dice.below(4)),
        spare_segments: dice.below(3) as usize,
        record_payload_bytes: 256 + dice.below(2000) as usize,
        ..LogOptions::new(dice.roll())
    }
}

pub(crate) fn names(disk: &SimDisk) -> Vec<String> {
    disk.list().expect("the simulated disk lists")
}
