//! The library side of `sessile journal check|dump|repair`.
//!
//! Checking and dumping write nothing. A repair copies every file aside before it changes one.

use std::convert::Infallible;
use std::fmt;

use crate::disk::{Disk, DiskFile};
use crate::log::{Log, LogOptions};
use crate::reader::{Reader, Survey, attempt, read_full};
use crate::record::Decoded;
use crate::recovery::{Holes, RecoveredBatch, walk};
use crate::refusal::{DiskError, Label, OpenError, Refusal};
use crate::segment::{Kind, RECORDS_OFFSET, names};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which case the journal is.
    pub label: Label,
    /// Why it would not be opened, if it would not.
    pub refusal: Option<Refusal>,
    /// The last LSN that opening would give, or that can be read before what is refused.
    pub last_lsn: u64,
    /// Newest LSN that the files prove was durable; 0 if refused.
    pub proven_lsn: u64,
    /// LSN of the newest snapshot.
    pub snapshot_lsn: Option<u64>,
    /// Segment files.
    pub segments: u64,
    /// Records that were read from them; 0 if refused.
    pub records: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, last_lsn, proven_lsn, segments, records, .. } = self;
        match &self.refusal {
            Some(refusal) => refusal.fmt(f),
            None => write!(
                f,
                "{label}: {records} records in {segments} segments, up to LSN {last_lsn}, proven durable up to {proven_lsn}"
            ),
        }
    }
}

/// Reads the whole journal as recovery would, and says which case it is.
pub fn check<D: Disk>(disk: &D, shard: u32) -> Result<Report, DiskError> {
    check_watched(disk, shard, &mut |_| {})
}

/// The same; `watch` sees each run that recovery would deliver.
pub fn check_watched<D: Disk>(
    disk: &D,
    shard: u32,
    watch: &mut dyn FnMut(RecoveredBatch<'_>),
) -> Result<Report, DiskError> {
    let survey = Survey::take(disk)?;
    let mut report = Report {
        label: Label::Fresh,
        refusal: None,
        last_lsn: 0,
        proven_lsn: 0,
        snapshot_lsn: survey.snapshots.last().copied(),
        segments: survey.segments.len() as u64,
        records: 0,
    };
    let mut deliver = |batch: RecoveredBatch<'_>| {
        watch(batch);
        Ok(())
    };
    match walk::<D, Infallible>(disk, shard, Holes::Refuse, &mut deliver) {
        Ok(walk) => {
            report.label = walk.label;
            report.last_lsn = walk.committed.lsn;
            report.proven_lsn = walk.proven_lsn;
            report.records = walk.records;
        }
        Err(OpenError::Refused(refusal)) => {
            report.label = refusal.label;
            report.last_lsn = refusal.last_lsn;
            report.refusal = Some(*refusal);
        }
        Err(OpenError::Disk(error)) => return Err(error),
        Err(OpenError::Apply { .. } | OpenError::Locked { .. }) => {
            unreachable!("a check applies and locks nothing")
        }
    }
    Ok(report)
}

/// Gives a line for each file, each record and each stretch that does not verify. `payload` renders a record's bytes,
/// which are a fragment if the line lacks `first` or `commit`.
pub fn dump<D: Disk>(
    disk: &D,
    shard: u32,
    payload: &mut dyn FnMut(&[u8]) -> String,
    line: &mut dyn FnMut(&str),
) -> Result<(), DiskError> {
    let survey = Survey::take(disk)?;
    let snapshots = survey.snapshots.iter().map(|&lsn| (Kind::Snapshot, lsn));
    let segments = survey.segments.iter().map(|&number| (Kind::Segment, number));
    for (kind, number) in snapshots.chain(segments) {
        match Reader::open::<D, Infallible>(disk, kind, number, shard, 0) {
            Ok(mut reader) => {
                let salt = reader.header.salt;
                line(&format!("{}: shard {shard}, salt {salt:016x}, {} bytes", reader.name, reader.length));
                dump_records(&mut reader, payload, line)?;
            }
            Err(OpenError::Disk(error)) => return Err(error),
            Err(error) => line(&error.to_string()),
        }
    }
    Ok(())
}

fn dump_records<F: DiskFile>(
    reader: &mut Reader<F>,
    payload: &mut dyn FnMut(&[u8]) -> String,
    line: &mut dyn FnMut(&str),
) -> Result<(), DiskError> {
    let mut offset = RECORDS_OFFSET;
    let mut last_seq = 0;
    loop {
        let skipped = match reader.decode_at(offset)? {
            Decoded::Valid(_) => false,
            Decoded::Zeros | Decoded::Bad => true,
        };
        let Some((at, record)) = reader.next_valid(offset, last_seq)? else {
            return Ok(());
        };
        if skipped {
            line(&format!("  {offset}: {} bytes do not verify", at - offset));
        }
        let header = &record.header;
        line(&format!(
            "  {at}: seq {}, LSN {}..{}, term {}, time {}, durable {}, {}, {} bytes: {}",
            header.seq,
            header.base_lsn,
            header.last_lsn,
            header.term,
            header.time_ms,
            header.durable_lsn,
            header.flags,
            record.payload.len(),
            payload(record.payload),
        ));
        last_seq = header.seq;
        offset = at + record.size() as u64;
    }
}

/// Says that the owner knows what a repair costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Everything after the point that the check names may go.
    LoseWhatFollows,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The case that the journal was.
    pub label: Label,
    /// The last LSN that is left.
    pub last_lsn: u64,
    /// Copies of all files as they were; empty if there was nothing to repair.
    pub backups: Vec<String>,
}

/// Cuts the journal where it cannot be read any more, after copying every file to `backup-<n>-<name>`. A journal that
/// opens by itself is left alone. One of another shard or version is refused, and so is one with nothing left to keep.
pub fn repair<D: Disk>(
    disk: D,
    options: LogOptions,
    Consent::LoseWhatFollows: Consent,
) -> Result<Repaired, OpenError<Infallible>> {
    let lock = attempt(&disk, "lock", "lock", disk.try_lock())?
        .ok_or_else(|| OpenError::Locked { path: disk.path_of(""), waited_ms: 0 })?;
    let report = check(&disk, options.shard)?;
    let Some(refusal) = report.refusal else {
        return Ok(Repaired { label: report.label, last_lsn: report.last_lsn, backups: Vec::new() });
    };
    if matches!(refusal.label, Label::ForeignShard | Label::UnknownVersion) {
        return Err(refusal.into());
    }
    let backups = back_up(&disk)?;
    if let Some(lsn) = report.snapshot_lsn.filter(|_| refusal.label == Label::DamagedSnapshot) {
        set_aside(&disk, lsn, &options, refusal.clone())?;
    }
    let (_, recovery) = Log::open_locked(disk, lock, options, Holes::Cut, &mut |_| Ok(()))?;
    Ok(Repaired { label: refusal.label, last_lsn: recovery.last_lsn, backups })
}

/// Takes away a damaged snapshot, of which there is a backup, if the journal can be read without it.
fn set_aside<D: Disk>(
    disk: &D,
    lsn: u64,
    options: &LogOptions,
    refusal: Refusal,
) -> Result<(), OpenError<Infallible>> {
    let name = names::snapshot(lsn);
    // Recovery removes it under this name.
    let away = names::temporary(&name);
    attempt(disk, "rename", &name, disk.rename(&name, &away))?;
    if let Err(error) = walk::<D, Infallible>(disk, options.shard, Holes::Cut, &mut |_| Ok(())) {
        attempt(disk, "rename", &away, disk.rename(&away, &name))?;
        let OpenError::Refused(_) = error else { return Err(error) };
        let detail =
            format!("{}, and the segments do not reach back far enough to do without it", refusal.detail);
        return Err(Refusal { detail, ..refusal }.into());
    }
    attempt(disk, "sync", "", disk.sync_dir())?;
    Ok(())
}

/// Copies every segment and snapshot, durably.
fn back_up<D: Disk>(disk: &D) -> Result<Vec<String>, DiskError> {
    let survey = Survey::take(disk)?;
    let prefix = backup_prefix(disk)?;
    let segments = survey.segments.iter().map(|&number| names::segment(number));
    let snapshots = survey.snapshots.iter().map(|&lsn| names::snapshot(lsn));
    let mut backups = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    for name in segments.chain(snapshots) {
        let source = attempt(disk, "open", &name, disk.open(&name))?;
        let backup = format!("{prefix}{name}");
        let target = attempt(disk, "create", &backup, disk.create(&backup))?;
        let mut at = 0;
        loop {
            let read = attempt(disk, "read", &name, read_full(&source, &mut buffer, at))?;
            if read == 0 {
                break;
            }
            attempt(disk, "write", &backup, target.write_at(&buffer[..read], at))?;
            at += read as u64;
        }
        attempt(disk, "sync", &backup, target.sync_data())?;
        backups.push(backup);
    }
    attempt(disk, "sync", "", disk.sync_dir())?;
    Ok(backups)
}

/// A prefix that no backup has yet.
fn backup_prefix<D: Disk>(disk: &D) -> Result<String, DiskError> {
    let existing = attempt(disk, "list", "", disk.list())?;
    let taken = |prefix: &str| existing.iter().any(|name| name.starts_with(prefix));
    let prefixes = (1_u64..).map(|n| format!("{}{n}-", names::BACKUP));
    Ok(prefixes.into_iter().find(|prefix| !taken(prefix)).unwrap_or_default())
}
