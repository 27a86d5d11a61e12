//! Random work, random faults, random crashes: what was promised survives, and what survives is a prefix.

mod common;

use std::collections::BTreeMap;
use std::io;

use common::{Dice, Model, open, seeds, sim_options};
use sessile_journal::{
    Fault, FaultKind, Label, Log, LogOptions, OpenError, Operation, SimDisk, SnapshotFile,
};

#[test]
fn what_was_promised_survives_every_crash() {
    let mut labels = BTreeMap::new();
    let seeds = seeds(2000);
    let many = seeds.end - seeds.start >= 500;
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut labels = BTreeMap::new();
            life(seed, &mut labels);
            labels
        });
        match result {
            Ok(seen) => {
                for (label, count) in seen {
                    *labels.entry(label).or_insert(0) += count;
                }
            }
            Err(panic) => {
                eprintln!("repeat with SESSILE_SEED={seed} SESSILE_SEEDS=1");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("labels: {labels:?}");
    if many {
        for label in Label::ALL.into_iter().filter(|label| label.is_accepted()) {
            assert!(labels.contains_key(&label), "no crash led to a {label}");
        }
    }
}

type Labels = BTreeMap<Label, u64>;

/// Several processes one after another on one disk, each ending in a crash.
fn life(seed: u64, labels: &mut Labels) {
    let mut dice = Dice::new(seed);
    let mut disk = SimDisk::new(seed);
    let mut model = Model::default();
    let mut promised = 0;
    for _ in 0..1 + dice.below(4) {
        let options = sim_options(&mut dice);
        let log = recover(&mut disk, &options, &mut model, &mut dice, promised, labels);
        inject(&disk, &mut dice);
        work(log, &disk, &mut model, &mut dice);
        (disk, promised) = if dice.chance(70) {
            (disk.crash(dice.roll()), model.durable)
        } else {
            (disk.killed(), model.written)
        };
    }
    let options = sim_options(&mut dice);
    recover(&mut disk, &options, &mut model, &mut dice, promised, labels);
}

fn inject(disk: &SimDisk, dice: &mut Dice) {
    let operation =
        [Operation::Any, Operation::Write, Operation::Sync, Operation::Rename, Operation::SyncDir]
            [dice.below(5) as usize];
    let kind = match dice.below(6) {
        0 => FaultKind::Short,
        1 => FaultKind::Error(io::ErrorKind::StorageFull),
        2 => FaultKind::Error(io::ErrorKind::Other),
        _ => FaultKind::Die,
    };
    let after = dice.below(80);
    disk.inject(Fault { operation, after, kind });
}

/// Opens the journal, sometimes crashing on the way, and checks what it gives, twice.
fn recover(
    disk: &mut SimDisk,
    options: &LogOptions,
    model: &mut Model,
    dice: &mut Dice,
    mut promised: u64,
    labels: &mut Labels,
) -> Log<SimDisk> {
    while dice.chance(40) {
        disk.inject(Fault { operation: Operation::Any, after: dice.below(12), kind: FaultKind::Die });
        match open(disk.clone(), options) {
            Ok((_, recovery, delivered)) => {
                model.check(&recovery, &delivered, promised);
                model.rewind(&recovery);
                promised = model.durable;
            }
            Err(OpenError::Disk(_)) => {}
            Err(error) => panic!("{error}"),
        }
        // A power cut before recovery has ended takes what was only written.
        (*disk, promised) = if dice.chance(60) {
            (disk.crash(dice.roll()), model.durable)
        } else {
            (disk.killed(), promised)
        };
    }
    let (log, recovery, delivered) = match open(disk.clone(), options) {
        Ok(opened) => opened,
        Err(error) => panic!("{error}"),
    };
    *labels.entry(recovery.label).or_insert(0) += 1;
    model.check(&recovery, &delivered, promised);
    model.rewind(&recovery);
    let after = disk.crash(dice.roll());
    let (_, again, delivered_again) = open(after, options).unwrap_or_else(|error| panic!("again: {error}"));
    assert_eq!(
        (again.last_lsn, &delivered_again),
        (recovery.last_lsn, &delivered),
        "a second recovery is the same"
    );
    log
}

fn work(mut log: Log<SimDisk>, disk: &SimDisk, model: &mut Model, dice: &mut Dice) {
    let mut snapshot: Option<(SnapshotFile<SimDisk>, Vec<Vec<u8>>)> = None;
    for _ in 0..dice.below(80) {
        if step(&mut log, disk, model, dice, &mut snapshot).is_none() {
            if !disk.is_dead() && dice.chance(50) {
                // A poisoned log refuses, whatever is asked of it.
                let durable = log.progress().durable;
                if log.poison().is_some() {
                    disk.clear_faults();
                    assert!(log.sync().is_err() && log.write(&model.clone().batch(dice, 10)).is_err());
                }
                assert_eq!(log.progress().durable, durable);
            }
            return;
        }
        let progress = log.progress();
        (model.written, model.durable) = (progress.written, progress.durable);
        if dice.chance(10) {
            let options = sim_options(dice);
            let (_, recovery, delivered) =
                open(disk.crash(dice.roll()), &options).unwrap_or_else(|error| panic!("crash copy: {error}"));
            model.check(&recovery, &delivered, model.durable);
        }
    }
}

/// One random step; `None` once the log has failed.
fn step(
    log: &mut Log<SimDisk>,
    disk: &SimDisk,
    model: &mut Model,
    dice: &mut Dice,
    snapshot: &mut Option<(SnapshotFile<SimDisk>, Vec<Vec<u8>>)>,
) -> Option<()> {
    match dice.below(14) {
        0..=5 => log.write(&model.batch(dice, 20_000)).ok(),
        6..=8 => log.sync().map(drop).ok(),
        9 => {
            // A sync that other writes overtake.
            let ticket = log.sync_begin().ok()?;
            for _ in 0..dice.below(3) {
                log.write(&model.batch(dice, 5000)).ok()?;
            }
            let result = ticket.run(disk);
            log.sync_end(&ticket, result).map(drop).ok()
        }
        10 => {
            log.idle().ok()?;
            if dice.chance(70) { log.sync().map(drop).ok() } else { Some(()) }
        }
        11 => match log.prepare() {
            Err(_) if log.poison().is_some() => None,
            _ => Some(()),
        },
        12 if snapshot.is_none() => {
            *snapshot = log.snapshot_begin(log.progress().written, 0).ok().map(|file| (file, Vec::new()));
            Some(())
        }
        _ => {
            let Some((mut file, mut pieces)) = snapshot.take() else { return Some(()) };
            let length = dice.below(3000) as usize;
            let piece = dice.bytes(length);
            if file.write(&piece).is_err() {
                file.abort();
                return Some(());
            }
            pieces.push(piece);
            if !dice.chance(60) {
                *snapshot = Some((file, pieces));
                return Some(());
            }
            let Ok(file_bytes) = file.seal() else { return Some(()) };
            let lsn = file.lsn();
            if log.progress().durable < lsn {
                log.sync().ok()?;
            }
            // Even a failed publication may have given the file its name.
            model.durable = log.progress().durable;
            model.snapshots.entry(lsn).or_default().push(pieces);
            if file.publish(log.progress().durable).is_err() {
                return Some(());
            }
            log.snapshot_done(lsn, file_bytes).ok()
        }
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let disk = SimDisk::new(1);
    let options = LogOptions {
        segment_bytes: 16384,
        spare_segments: 1,
        record_payload_bytes: 512,
        ..LogOptions::new(7)
    };
    let (mut log, ..) = open(disk.clone(), &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(log.prepare().ok(), Some(false));
    disk.set_capacity_bytes(disk.used_bytes());
    let mut model = Model::default();
    let mut dice = Dice::new(1);
    while log.ready_bytes() > 1000 {
        log.write(&model.batch(&mut dice, 900)).unwrap_or_else(|error| panic!("there was room: {error}"));
        log.sync().unwrap_or_else(|error| panic!("{error}"));
        log.prepare().ok();
    }
    assert!(log.prepare().is_err_and(|error| error.is_full()), "no space is reported");
    assert!(log.poison().is_none(), "a preparation that fails poisons nothing");
    disk.set_capacity_bytes(u64::MAX);
    log.prepare().unwrap_or_else(|error| panic!("space has returned: {error}"));
    for _ in 0..20 {
        log.write(&model.batch(&mut dice, 900)).unwrap_or_else(|error| panic!("{error}"));
    }
    log.sync().unwrap_or_else(|error| panic!("{error}"));
    let promised = log.progress().durable;
    let (_, recovery, delivered) = open(disk.crash(3), &options).unwrap_or_else(|error| panic!("{error}"));
    model.check(&recovery, &delivered, promised);
}

#[test]
fn a_second_opener_is_refused_in_one_sentence() {
    let disk = SimDisk::new(1);
    let options = LogOptions::new(1);
    let options = LogOptions { segment_bytes: 8192, ..options };
    let first = open(disk.clone(), &options).unwrap_or_else(|error| panic!("{error}"));
    let Err(error) = open(disk.clone(), &options) else { panic!("the lock did not hold") };
    assert_eq!(
        error.to_string(),
        "sim/ is in use by another process (waited 0 ms); stop that one, or set another `dir`"
    );
    drop(first);
    assert!(open(disk, &options).is_ok());
}
