//! Each case of recovery, rot in every byte, and repair.

mod common;

use common::{Dice, Model, Opened, names, open};
use sessile_journal::{
    Batch, Disk, DiskFile, Fault, FaultKind, Label, LogOptions, OpenError, Operation, RECORDS_OFFSET,
    SimDisk, tool,
};

fn options() -> LogOptions {
    LogOptions { segment_bytes: 8192, spare_segments: 0, record_payload_bytes: 1000, ..LogOptions::new(3) }
}

fn opened(disk: &SimDisk) -> Opened<SimDisk> {
    open(disk.clone(), &options()).unwrap_or_else(|error| panic!("{error}"))
}

/// A journal of about two segments, each batch synced; with the empty record at its end if `idle`.
fn journal(idle: bool) -> (SimDisk, Model) {
    let (disk, mut model, mut dice) = (SimDisk::new(1), Model::default(), Dice::new(1));
    let (mut log, ..) = opened(&disk);
    for _ in 0..12 {
        let batch = Batch { bytes: dice.bytes(450), ..model.batch(&mut dice, 1) };
        model.batches.entry(batch.last_lsn).and_modify(|(.., bytes)| bytes.clone_from(&batch.bytes));
        log.write(&batch).unwrap_or_else(|error| panic!("{error}"));
        log.sync().unwrap_or_else(|error| panic!("{error}"));
    }
    if idle {
        assert!(log.idle().is_ok_and(|wrote| wrote));
        log.sync().unwrap_or_else(|error| panic!("{error}"));
    }
    drop(log);
    (disk, model)
}

/// A snapshot at the end of [`journal`].
fn add_snapshot(disk: &SimDisk) -> u64 {
    let (mut log, recovery, _) = opened(disk);
    let mut file = log.snapshot_begin(recovery.last_lsn, 0).unwrap_or_else(|error| panic!("{error}"));
    file.write(&[1; 5000]).unwrap_or_else(|error| panic!("{error}"));
    file.seal().unwrap_or_else(|error| panic!("{error}"));
    file.publish(recovery.last_lsn).unwrap_or_else(|error| panic!("{error}"));
    recovery.last_lsn
}

/// Opens a journal and expects this case, of the check as of the opening.
fn check(disk: &SimDisk, shard: u32, expected: Label) {
    let report = tool::check(disk, shard).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.label, expected, "{report}");
    match open(disk.clone(), &LogOptions { shard, ..options() }) {
        Ok((_, recovery, _)) => assert_eq!(recovery.label, expected),
        Err(OpenError::Refused(refusal)) => {
            assert_eq!(refusal.label, expected, "{refusal}");
            let sentence = refusal.to_string();
            assert!(sentence.contains("at byte") && !sentence.contains('\n'), "{sentence}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_case_has_its_label() {
    check(&SimDisk::new(1), 0, Label::Fresh);
    check(&journal(true).0, 0, Label::CleanEnd);

    let (disk, _) = journal(false);
    let last = names(&disk).pop().expect("there are segments");
    let end = end_of_records(&disk, &last);
    disk.flip(&last, end - 20, 1);
    check(&disk, 0, Label::TornTail);

    let (disk, _) = journal(true);
    disk.flip("segment-00000000000000000001", 5000, 1);
    check(&disk, 0, Label::Hole);

    let (disk, _) = journal(true);
    assert!(names(&disk).len() >= 2);
    disk.remove("segment-00000000000000000001").expect("it is there");
    check(&disk, 0, Label::Gap);

    check(&journal(true).0, 1, Label::ForeignShard);

    let (disk, _) = journal(true);
    set_version(&disk, "segment-00000000000000000001", 2);
    check(&disk, 0, Label::UnknownVersion);

    let (disk, _) = journal(true);
    disk.flip("segment-00000000000000000001", 30, 1);
    check(&disk, 0, Label::DamagedHeader);

    let (disk, _) = journal(true);
    let lsn = add_snapshot(&disk);
    disk.flip(&format!("snapshot-{lsn:020}"), 6000, 1);
    check(&disk, 0, Label::DamagedSnapshot);
}

#[test]
fn a_run_without_its_commit_mark_was_never_there() {
    let (disk, model) = journal(true);
    let options = LogOptions { spare_segments: 8, ..options() };
    let (mut log, recovery, _) = open(disk.clone(), &options).unwrap_or_else(|error| panic!("{error}"));
    while log.prepare().is_ok_and(|more| more) {}
    // The first write fills the current segment, the second one never happens.
    disk.inject(Fault { operation: Operation::Write, after: 1, kind: FaultKind::Die });
    assert!(log.write(&Batch::new(vec![9; 20_000], recovery.last_lsn + 1, 0)).is_err());
    let disk = disk.killed();
    check(&disk.killed(), 0, Label::UnfinishedRun);
    let (_, recovery, delivered) = opened(&disk);
    model.check(&recovery, &delivered, recovery.last_lsn);
    check(&disk.killed(), 0, Label::CleanEnd);
}

#[test]
fn rot_in_any_byte_never_silently_loses_what_was_provably_durable() {
    for idle in [true, false] {
        let (disk, model) = journal(idle);
        let proven = tool::check(&disk, 0).unwrap_or_else(|error| panic!("{error}")).proven_lsn;
        let files = names(&disk);
        assert!(files.len() >= 2 && proven >= 20, "{files:?}, {proven}");
        let mut refused = 0;
        for name in &files {
            let length = disk.contents(name).map_or(0, |bytes| bytes.len());
            for offset in 0..length {
                let copy = disk.crash(1);
                copy.flip(name, offset, 1 << (offset % 8));
                match open(copy, &options()) {
                    Ok((_, recovery, delivered)) => model.check(&recovery, &delivered, proven),
                    Err(OpenError::Refused(_)) => refused += 1,
                    Err(error) => panic!("{name} at {offset}: {error}"),
                }
            }
        }
        assert!(refused > 5000, "most bytes hold durable records");
    }
}

#[test]
fn a_repair_keeps_what_precedes_the_hole_and_a_copy_of_all() {
    let (disk, model) = journal(true);
    let before = disk.contents("segment-00000000000000000001");
    disk.flip("segment-00000000000000000001", 6500, 1);
    let rotten = disk.contents("segment-00000000000000000001");
    assert_ne!(before, rotten);
    let repaired = tool::repair(disk.clone(), options(), tool::Consent::LoseWhatFollows);
    let repaired = repaired.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(repaired.label, Label::Hole);
    assert_eq!(disk.contents("backup-1-segment-00000000000000000001"), rotten);
    let (_, recovery, delivered) = opened(&disk.crash(1));
    assert!(recovery.last_lsn == repaired.last_lsn && recovery.last_lsn > 0);
    model.check(&recovery, &delivered, 1);
    // There is nothing to repair any more.
    let again = tool::repair(disk, options(), tool::Consent::LoseWhatFollows)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.last_lsn, again.backups.len()), (repaired.last_lsn, 0));
}

#[test]
fn a_repair_below_the_snapshot_keeps_the_snapshot() {
    let (disk, _) = journal(true);
    let lsn = add_snapshot(&disk);
    disk.flip("segment-00000000000000000001", 6500, 1);
    check(&disk, 0, Label::Hole);
    let repaired = tool::repair(disk.clone(), options(), tool::Consent::LoseWhatFollows);
    assert_eq!(repaired.map(|repaired| repaired.last_lsn).ok(), Some(lsn));
    let disk = disk.crash(1);
    let (mut log, recovery, delivered) = opened(&disk);
    assert_eq!((recovery.last_lsn, delivered.snapshot.len(), delivered.batches.len()), (lsn, 1, 0));
    log.write(&Batch::new(vec![1], lsn + 1, 0)).unwrap_or_else(|error| panic!("{error}"));
    log.sync().unwrap_or_else(|error| panic!("{error}"));
    drop(log);
    assert_eq!(opened(&disk.crash(2)).1.last_lsn, lsn + 1);
}

#[test]
fn a_damaged_snapshot_is_set_aside_only_if_the_segments_do_without_it() {
    let (disk, model) = journal(true);
    let lsn = add_snapshot(&disk);
    let name = format!("snapshot-{lsn:020}");
    let trimmed = disk.crash(1);
    disk.flip(&name, 6000, 1);
    let repaired = tool::repair(disk.clone(), options(), tool::Consent::LoseWhatFollows);
    assert_eq!(repaired.map(|repaired| repaired.last_lsn).ok(), Some(lsn));
    let (_, recovery, delivered) = opened(&disk.crash(1));
    model.check(&recovery, &delivered, lsn);

    // Opening trims what the snapshot covers; from then on it cannot be done without.
    drop(opened(&trimmed));
    trimmed.flip(&name, 6000, 1);
    let refused = tool::repair(trimmed.clone(), options(), tool::Consent::LoseWhatFollows).map(|_| ());
    assert!(matches!(refused, Err(OpenError::Refused(refusal)) if refusal.label == Label::DamagedSnapshot));
    assert!(names(&trimmed).contains(&name), "it was left in its place");
}

#[test]
fn a_dump_has_a_line_for_each_record_and_each_damage() {
    let (disk, _) = journal(true);
    disk.flip("segment-00000000000000000001", 5000, 1);
    let mut lines = Vec::new();
    let mut payload = |bytes: &[u8]| format!("{} bytes", bytes.len());
    tool::dump(&disk, 0, &mut payload, &mut |line| lines.push(line.to_owned()))
        .unwrap_or_else(|error| panic!("{error}"));
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (count("do not verify"), count("first+commit, 450 bytes"), count("first+commit+empty")),
        (1, 11, 2)
    );
}

/// Where the zeros after the last record begin.
fn end_of_records(disk: &SimDisk, name: &str) -> usize {
    let bytes = disk.contents(name).expect("it is there");
    let end = bytes.iter().rposition(|&byte| byte != 0).expect("it has records") + 1;
    assert!(end as u64 > RECORDS_OFFSET);
    end
}

/// Rewrites a segment's header as a later version would, its checksum included; the checksum is computed here bit by bit.
fn set_version(disk: &SimDisk, name: &str, version: u16) {
    let mut header = disk.contents(name).expect("it is there")[..64].to_vec();
    header[8..10].copy_from_slice(&version.to_le_bytes());
    let mut crc = u64::MAX;
    for byte in [&[0; 8], &header[..56]].concat() {
        crc ^= u64::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x9a6c_9329_ac4b_c9b5 } else { 0 };
        }
    }
    header[56..].copy_from_slice(&(!crc).to_le_bytes());
    let file = disk.open(name).expect("it is there");
    file.write_at(&header, 0).and_then(|()| file.sync_data()).expect("the simulated disk writes");
}
