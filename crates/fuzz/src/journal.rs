//! The journal: files with any bytes in them are refused or recovered, the same each time, and what recovers goes on.

use std::convert::Infallible;

use crc_fast::{CrcAlgorithm, Digest};
use sessile_journal::{
    Batch, Disk, DiskFile, Log, LogOptions, OpenError, RECORD_HEADER_LEN, RECORDS_OFFSET, SimDisk, tool,
};

use sessile_keyspace::Effect;
use sessile_keyspace::codec::Reader;
use sessile_values::HashKey;

use crate::input::Input;
use crate::node;

/// Changes that are made to a file at most.
const EDITS_MAX: usize = 64;
/// A string longer than this is left out: its length is no mistake.
const LONG_BYTES: u64 = 1 << 16;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 8192, spare_segments: 0, record_payload_bytes: 700, ..LogOptions::new(3) }
}

/// Either all bytes of a file, or what is written to a journal and then changed in it; the first byte decides.
pub(crate) fn files(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let disk = SimDisk::new(1);
    let name = match how % 4 {
        0 => format!("segment-{:020}", 1),
        1 => format!("snapshot-{:020}", u64::from(input.byte())),
        _ => {
            write_journal(&disk, &mut input);
            edit(&disk, &mut input, how & 4 != 0);
            return check(&disk);
        }
    };
    put(&disk, &name, input.rest());
    check(&disk);
}

/// Writes a few batches, and perhaps a snapshot among them.
fn write_journal(disk: &SimDisk, input: &mut Input<'_>) {
    let (mut log, ..) =
        Log::open(disk.clone(), options(), |_| Ok::<(), Infallible>(())).expect("a fresh disk opens");
    let batches = 1 + input.byte() % 12;
    let snapshot_at = input.byte();
    for index in 1..=batches {
        let bytes = vec![index; usize::from(input.u16()) % 2500];
        let lsn = u64::from(index) * 2;
        log.write(&Batch::new(bytes, lsn, 1000 + lsn)).expect("the disk is well");
        log.sync().expect("the disk is well");
        if index == snapshot_at {
            let mut file = log.snapshot_begin(lsn, 0).expect("the disk is well");
            file.write(&[index; 900]).expect("the disk is well");
            let file_bytes = file.seal().expect("the disk is well");
            file.publish(lsn).expect("the journal is durable up to it");
            log.snapshot_done(lsn, file_bytes).expect("it was published");
        }
    }
}

/// Overwrites bytes of the files, or ends a file early. With `seal` the checksums are made right again, so that the fields
/// behind them are looked at.
fn edit(disk: &SimDisk, input: &mut Input<'_>, seal: bool) {
    let mut names = disk.list().expect("the disk is well");
    names.retain(|name| name.starts_with("segment-") || name.starts_with("snapshot-"));
    names.sort();
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        let name = &names[usize::from(input.byte()) % names.len()];
        let mut bytes = disk.contents(name).expect("it is listed");
        // The header's block is mostly zeros: its bytes and the records' are what counts.
        let at = usize::from(input.u16());
        let at = if at & 0x8000 == 0 { RECORDS_OFFSET as usize + at % 4096 } else { at % 64 };
        let text = input.short();
        if text.is_empty() {
            bytes.truncate(at);
        } else if at + text.len() <= bytes.len() {
            bytes[at..at + text.len()].copy_from_slice(text);
        }
        if seal {
            make_checksums_right(&mut bytes);
        }
        put(disk, name, &bytes);
    }
}

fn put(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let file = disk.create(name).expect("the disk is well");
    file.write_at(bytes, 0).expect("the disk is well");
    file.sync_data().expect("the disk is well");
    disk.sync_dir().expect("the disk is well");
}

/// As docs/JOURNAL_FORMAT.md has it.
fn make_checksums_right(bytes: &mut [u8]) {
    let sum = |salt: &[u8], bytes: &[u8]| {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        digest.update(salt);
        digest.update(bytes);
        digest.finalize().to_le_bytes()
    };
    if bytes.len() < RECORDS_OFFSET as usize {
        return;
    }
    let header = sum(&[0; 8], &bytes[..56]);
    bytes[56..64].copy_from_slice(&header);
    let salt: [u8; 8] = bytes[24..32].try_into().expect("eight bytes");
    let mut at = RECORDS_OFFSET as usize;
    while let Some(record) = bytes.get_mut(at..).filter(|rest| rest.len() >= RECORD_HEADER_LEN) {
        let payload = u32::from_le_bytes(record[8..12].try_into().expect("four bytes")) as usize;
        let len = (RECORD_HEADER_LEN + payload).next_multiple_of(8);
        if record[..RECORD_HEADER_LEN].iter().all(|&byte| byte == 0) || len > record.len() {
            return;
        }
        let right = sum(&salt, &record[8..len]);
        record[..8].copy_from_slice(&right);
        at += len;
    }
}

/// What recovery delivers: last LSN and bytes, piece by piece.
type Delivered = Vec<(u64, Vec<u8>)>;

fn open(disk: SimDisk) -> Result<(Log<SimDisk>, u64, Delivered), OpenError<Infallible>> {
    let mut delivered = Vec::new();
    let (log, recovery) = Log::open(disk, options(), |batch| {
        delivered.push((batch.last_lsn, batch.bytes.to_vec()));
        Ok(())
    })?;
    Ok((log, recovery.last_lsn, delivered))
}

fn check(disk: &SimDisk) {
    let report = tool::check(disk, 0).expect("the disk is well");
    tool::dump(disk, 0, &mut |_| String::new(), &mut |_| ()).expect("the disk is well");
    match open(disk.killed()) {
        Ok((mut log, last_lsn, delivered)) => {
            assert!(report.refusal.is_none(), "the check refuses what opens: {report}");
            if let Some(next) = last_lsn.checked_add(1) {
                log.write(&Batch::new(b"next".to_vec(), next, u64::MAX)).expect("it goes on");
                log.sync().expect("it goes on");
            }
            let disk = log.disk().killed();
            drop(log);
            let (_, again, mut later) =
                open(disk).unwrap_or_else(|error| panic!("{error}: it opened before"));
            if last_lsn < u64::MAX {
                assert_eq!(again, last_lsn + 1);
                assert_eq!(later.pop(), Some((again, b"next".to_vec())));
            }
            assert_eq!(later, delivered);
        }
        Err(error) => {
            assert!(report.refusal.is_some(), "the check lets pass what does not open: {error}");
            let mended = disk.killed();
            if tool::repair(mended.clone(), options(), tool::Consent::LoseWhatFollows).is_ok() {
                open(mended.killed()).unwrap_or_else(|error| panic!("{error}: it was repaired"));
            }
        }
    }
}

/// A run of transactions as a record holds them: recovery takes all of it or says what is wrong.
pub(crate) fn effects(data: &[u8]) {
    if asks_for_much(data) {
        return;
    }
    let mut engine = node::engine();
    let _ = engine.recover(data, 1, 1);
    engine.recovered_up_to(1, 1);
    for _ in 0..3 {
        engine.tick();
    }
}

/// Whether a few bytes stand for a long string on purpose, as `SETRANGE key 500000000 x` does.
fn asks_for_much(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    while let Some(&next) = reader.rest().first() {
        if next == 0 {
            let _ = reader.u8();
            continue;
        }
        match Effect::decode(&mut reader, &HashKey(1, 2)) {
            Ok((_, Effect::StringSetRange { offset, .. })) if offset > LONG_BYTES => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}
