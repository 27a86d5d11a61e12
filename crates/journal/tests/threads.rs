//! The threaded journal: on real disks and simulated ones, under load, with faults.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use sessile_journal::{
    AppendError, Batch, DiskJournal, DiskOptions, Fault, FaultKind, Health, Journal, LogOptions, Notify,
    OpenError, Operation, RecoveredBatch, Room, SimDisk, SnapshotError, SnapshotState, SyncPolicy,
};

/// Lets a test wait for what the journal notifies.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    fn notify(self: &Arc<Self>) -> Notify {
        let bell = Arc::clone(self);
        Arc::new(move || {
            *bell.rung.lock().expect("no test panics holding it") += 1;
            bell.changed.notify_all();
        })
    }

    /// Waits until `done`, looking again at each notification.
    fn wait_until(&self, mut done: impl FnMut() -> bool) {
        let mut rung = self.rung.lock().expect("no test panics holding it");
        while !done() {
            let before = *rung;
            while *rung == before && !done() {
                let step = std::time::Duration::from_millis(20);
                rung = self.changed.wait_timeout(rung, step).expect("no test panics holding it").0;
            }
        }
    }
}

struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("sessile-journal-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn options(segment_bytes: u64) -> DiskOptions {
    DiskOptions {
        log: LogOptions { segment_bytes, record_payload_bytes: 4000, ..LogOptions::new(42) },
        lock_wait_ms: 60,
        ..DiskOptions::default()
    }
}

type Replayed = Vec<(bool, u64, Vec<u8>)>;

fn replay(into: &mut Replayed) -> impl FnMut(RecoveredBatch<'_>) -> Result<(), Infallible> {
    |batch| {
        into.push((batch.snapshot, batch.last_lsn, batch.bytes.to_vec()));
        Ok(())
    }
}

fn transaction(lsn: u64) -> Vec<u8> {
    format!("<{lsn}>").into_bytes()
}

fn expected(lsns: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    lsns.flat_map(transaction).collect()
}

fn joined(replayed: &Replayed) -> Vec<u8> {
    replayed.iter().filter(|(snapshot, ..)| !snapshot).flat_map(|(_, _, bytes)| bytes.clone()).collect()
}

#[test]
fn a_real_directory_keeps_everything_over_restarts() {
    let dir = TempDir::new();
    let mut last = 0;
    for round in 0..3 {
        let (bell, mut replayed) = (Arc::new(Bell::default()), Vec::new());
        let (journal, recovery) =
            DiskJournal::open(&dir.0, options(64 << 10), bell.notify(), replay(&mut replayed))
                .expect("it opens");
        assert_eq!((recovery.last_lsn, joined(&replayed)), (last, expected(1..=last)), "round {round}");
        for lsn in last + 1..=last + 3000 {
            let sync = if lsn % 3 == 0 { SyncPolicy::EverySecond } else { SyncPolicy::Always };
            journal.append(Batch { sync, ..Batch::new(transaction(lsn), lsn, lsn) }).expect("healthy");
        }
        last += 3000;
        journal.hasten(last);
        bell.wait_until(|| journal.progress().durable == last);
        assert_eq!((journal.progress().written, journal.queued_bytes()), (last, 0));
        let figures = journal.figures();
        assert_eq!(figures.commit_transactions.sum, 3000, "each transaction is in one commit");
        assert_eq!(figures.commit_transactions.buckets.iter().sum::<u64>(), figures.commits);
        assert!(
            (1..=3000).contains(&figures.commits) && figures.commits <= figures.sync_us.buckets.iter().sum()
        );
        assert!(figures.records >= 1 && figures.bytes > 3000 * 3 && figures.segments >= 1);
    }
    let error = {
        let first = DiskJournal::open(&dir.0, options(64 << 10), Arc::new(|| {}), replay(&mut Vec::new()));
        let _first = first.expect("it opens");
        let second = DiskJournal::open(&dir.0, options(64 << 10), Arc::new(|| {}), replay(&mut Vec::new()));
        second.map(drop).expect_err("the first one holds the lock")
    };
    assert!(matches!(error, OpenError::Locked { waited_ms: 60.., .. }), "{error}");
}

#[test]
fn dropping_it_makes_durable_what_is_queued() {
    let disk = SimDisk::new(1);
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(32 << 10), Arc::new(|| {}), replay(&mut Vec::new()))
            .expect("it opens");
    for lsn in 1..=500 {
        let batch = Batch { sync: SyncPolicy::No, ..Batch::new(transaction(lsn), lsn, 0) };
        journal.append(batch).expect("healthy");
    }
    drop(journal);
    let mut replayed = Vec::new();
    let opened =
        DiskJournal::open_on(disk.crash(1), options(32 << 10), Arc::new(|| {}), replay(&mut replayed));
    drop(opened.expect("it opens"));
    assert_eq!(joined(&replayed), expected(1..=500));
}

#[test]
fn a_snapshot_replaces_old_segments_and_no_run_straddles_it() {
    let (disk, bell) = (SimDisk::new(1), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(16 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    assert_eq!(journal.snapshot_write(Vec::new()), Err(SnapshotError::NotBegun));
    assert_eq!(journal.snapshot_begin(7, 0), Err(SnapshotError::NotAtEnd { last_lsn: 0, lsn: 7 }));
    for lsn in 1..=10_000 {
        journal.append(Batch::new(transaction(lsn), lsn, 0)).expect("healthy");
        if lsn == 9_000 {
            journal.snapshot_begin(9_000, 0).expect("this is the last LSN appended");
            assert_eq!(journal.snapshot_begin(9_000, 0), Err(SnapshotError::Busy));
        }
    }
    for piece in 0..100_u8 {
        bell.wait_until(|| journal.snapshot_room());
        journal.snapshot_write(vec![piece; 9000]).expect("it is being written");
    }
    journal.snapshot_finish().expect("it is being written");
    bell.wait_until(|| matches!(journal.snapshot_state(), SnapshotState::Done { lsn: 9_000, .. }));
    bell.wait_until(|| journal.progress().durable == 10_000);
    drop(journal);
    let mut replayed = Vec::new();
    let (_, recovery) =
        DiskJournal::open_on(disk.crash(2), options(16 << 10), Arc::new(|| {}), replay(&mut replayed))
            .expect("opens");
    assert_eq!((recovery.snapshot_lsn, recovery.last_lsn), (Some(9_000), 10_000));
    let pieces: Vec<_> =
        replayed.iter().filter(|(snapshot, ..)| *snapshot).map(|(.., bytes)| bytes.clone()).collect();
    assert_eq!(pieces, (0..100).map(|piece| vec![piece; 9000]).collect::<Vec<_>>());
    assert_eq!(joined(&replayed), expected(9_001..=10_000));
}

#[test]
fn a_failed_sync_stops_it_and_is_never_retried() {
    let (disk, bell) = (SimDisk::new(5), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(16 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    journal.append(Batch::new(transaction(1), 1, 0)).expect("healthy");
    bell.wait_until(|| journal.progress().durable == 1);
    disk.inject(Fault { operation: Operation::Sync, after: 0, kind: FaultKind::Error(io::ErrorKind::Other) });
    journal.append(Batch::new(transaction(2), 2, 0)).ok();
    bell.wait_until(|| !journal.health().is_alive());
    let refused = journal.append(Batch::new(transaction(3), 3, 0)).expect_err("it has stopped");
    assert!(matches!(refused, AppendError::Stopped(Health::Failed { .. })), "{refused}");
    assert_eq!(journal.room(1), Room::Full);
    let durable = journal.progress().durable;
    drop(journal);
    let mut replayed = Vec::new();
    let opened =
        DiskJournal::open_on(disk.crash(9), options(16 << 10), Arc::new(|| {}), replay(&mut replayed));
    let (_, recovery) = opened.expect("it opens");
    assert!(durable == 1 && (1..=2).contains(&recovery.last_lsn));
    assert_eq!(joined(&replayed), expected(1..=recovery.last_lsn));
}

#[test]
fn a_full_disk_is_refused_before_a_write_and_heals() {
    let (disk, bell) = (SimDisk::new(5), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(32 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    disk.set_capacity_bytes(disk.used_bytes());
    let mut lsn = 0;
    loop {
        match journal.room(1000) {
            Room::Ready => {
                lsn += 1;
                journal.append(Batch::new(vec![7; 1000], lsn, 0)).expect("there is room");
            }
            Room::Preparing => std::thread::yield_now(),
            Room::Full => break,
        }
    }
    assert!(lsn > 10, "the reserve was used, up to LSN {lsn}");
    bell.wait_until(|| journal.progress().durable == lsn);
    assert!(matches!(journal.health(), Health::Full { .. }), "{}", journal.health());
    disk.set_capacity_bytes(u64::MAX);
    bell.wait_until(|| journal.room(1000) == Room::Ready);
    bell.wait_until(|| journal.health() == Health::Ok);
    lsn += 1;
    journal.append(Batch::new(vec![7; 1000], lsn, 0)).expect("there is room");
    bell.wait_until(|| journal.progress().durable == lsn);
    // Larger than all that is ready: it is made ready first.
    bell.wait_until(|| journal.room(500_000) == Room::Ready);
    journal.append(Batch::new(vec![8; 500_000], lsn + 1, 0)).expect("there is room");
    bell.wait_until(|| journal.progress().durable == lsn + 1);
}

#[test]
fn what_has_run_and_finds_no_room_waits_for_it() {
    let (disk, bell) = (SimDisk::new(5), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(32 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    disk.set_capacity_bytes(disk.used_bytes() + (40 << 10));
    // A small one fits, and does not wait for what comes after it.
    journal.append(Batch::new(vec![1; 100], 1, 0)).expect("healthy");
    journal.append(Batch::new(vec![2; 500_000], 2, 0)).expect("healthy");
    let relaxed = Batch { sync: SyncPolicy::EverySecond, ..Batch::new(vec![3; 100], 3, 0) };
    journal.append(relaxed).expect("healthy");
    bell.wait_until(|| matches!(journal.health(), Health::Full { .. }) && journal.progress().durable == 1);
    assert_eq!((journal.progress().written, journal.room(1)), (1, Room::Full));
    assert!(journal.queued_bytes() > 500_000);
    let mut replayed = Vec::new();
    let copy = disk.crash(9);
    copy.set_capacity_bytes(u64::MAX);
    drop(
        DiskJournal::open_on(copy, options(32 << 10), Arc::new(|| {}), replay(&mut replayed)).expect("opens"),
    );
    assert_eq!(joined(&replayed), vec![1; 100], "nothing of what waits is there");
    disk.set_capacity_bytes(u64::MAX);
    journal.hasten(3);
    bell.wait_until(|| journal.progress().durable == 3);
    bell.wait_until(|| journal.health() == Health::Ok);
    assert_eq!((journal.queued_bytes(), journal.room(1)), (0, Room::Ready));
    drop(journal);
    let mut replayed = Vec::new();
    DiskJournal::open_on(disk.crash(2), options(32 << 10), Arc::new(|| {}), replay(&mut replayed))
        .expect("opens");
    assert_eq!(joined(&replayed), [vec![1; 100], vec![2; 500_000], vec![3; 100]].concat());
}

#[test]
fn closing_it_does_not_wait_for_room() {
    let (disk, bell) = (SimDisk::new(5), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(32 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    disk.set_capacity_bytes(disk.used_bytes());
    journal.append(Batch::new(vec![2; 500_000], 1, 0)).expect("healthy");
    bell.wait_until(|| matches!(journal.health(), Health::Full { .. }));
    drop(journal);
}

#[test]
fn a_request_that_is_too_large_for_the_disk_leaves_room_for_others() {
    let (disk, bell) = (SimDisk::new(5), Arc::new(Bell::default()));
    let (journal, _) =
        DiskJournal::open_on(disk.clone(), options(32 << 10), bell.notify(), replay(&mut Vec::new()))
            .expect("opens");
    let capacity_bytes = disk.used_bytes() + (200 << 10);
    disk.set_capacity_bytes(capacity_bytes);
    // Others are not refused for it.
    bell.wait_until(|| {
        journal.room(500_000) == Room::Full && matches!(journal.health(), Health::Short { .. })
    });
    assert_eq!(journal.room(1000), Room::Ready);
    // The space that was tried for it is given back, and what is always kept ready serves others.
    bell.wait_until(|| capacity_bytes - disk.used_bytes() >= 150 << 10);
    bell.wait_until(|| journal.health() == Health::Ok);
    assert_eq!(journal.room(1000), Room::Ready);
    journal.append(Batch::new(vec![1; 1000], 1, 0)).expect("healthy");
    bell.wait_until(|| journal.progress().durable == 1);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_in_one_sentence() {
    let dir = TempDir::new();
    std::fs::write(&dir.0, b"a file").expect("the temporary directory is writable");
    let opened = DiskJournal::open(&dir.0, options(16 << 10), Arc::new(|| {}), replay(&mut Vec::new()));
    let sentence = opened.map(drop).expect_err("a file is no directory").to_string();
    assert!(sentence.starts_with("cannot create ") && !sentence.contains('\n'), "{sentence}");
    std::fs::remove_file(&dir.0).expect("it is ours");
}
