//! Reading a journal from its newest snapshot to its end, and telling which of the labelled cases that end is.
//!
//! Nothing here writes. Every chain of reasoning ends in one [`Label`]; `docs/JOURNAL_FORMAT.md` has the table.

use crate::disk::Disk;
use crate::reader::{Reader, Survey};
use crate::record::{Decoded, Flags, Header, Record};
use crate::refusal::{Label, OpenError, Refusal};
use crate::segment::{Kind, RECORDS_OFFSET as FIRST_OFFSET, names};

/// A run of whole transactions that recovery found, or a piece of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredBatch<'a> {
    /// The bytes that were appended.
    pub bytes: &'a [u8],
    /// LSN before its first transaction.
    pub base_lsn: u64,
    /// LSN of its last transaction; in a snapshot, the snapshot's.
    pub last_lsn: u64,
    /// The engine's clock when it was written, in milliseconds since the epoch.
    pub time_ms: u64,
    /// Leadership number of the writer.
    pub term: u64,
    /// Whether this is a piece of the snapshot, as it was handed to `snapshot_write`.
    pub snapshot: bool,
}

/// What recovery found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Which case it was; an accepted one.
    pub label: Label,
    /// The last LSN recovered; the next transaction has the next.
    pub last_lsn: u64,
    /// The engine's clock in the newest record, in milliseconds since the epoch; 0 in a fresh journal.
    pub time_ms: u64,
    /// This opening's term: one more than the last writer's.
    pub term: u64,
    /// LSN of the snapshot that recovery started from.
    pub snapshot_lsn: Option<u64>,
    /// Records read from segments.
    pub records: u64,
    /// Newest LSN that the files alone prove was durable before this opening; `last_lsn` is at least this.
    pub proven_lsn: u64,
}

/// The point after a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) seq: u64,
    pub(crate) checksum: u64,
    pub(crate) lsn: u64,
    pub(crate) time_ms: u64,
    pub(crate) term: u64,
    /// Index of the segment, in ascending order.
    pub(crate) segment: usize,
    /// Bytes from the segment's start.
    pub(crate) offset: u64,
}

/// The snapshot that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotRead {
    pub(crate) lsn: u64,
    pub(crate) file_bytes: u64,
    pub(crate) time_ms: u64,
    pub(crate) term: u64,
}

/// A segment that was read.
pub(crate) struct SegmentRead<F> {
    pub(crate) reader: Reader<F>,
    /// Newest LSN in it; 0 if it has no record.
    pub(crate) last_lsn: u64,
    /// After its last valid record in the chain.
    pub(crate) end: u64,
}

/// A journal that was read to its end and may be opened.
pub(crate) struct Walk<F> {
    pub(crate) label: Label,
    pub(crate) survey: Survey,
    pub(crate) snapshot: Option<SnapshotRead>,
    pub(crate) segments: Vec<SegmentRead<F>>,
    /// After the last record that counts: the last commit mark.
    pub(crate) committed: Point,
    /// Newest LSN that some record, or the snapshot, says is durable.
    pub(crate) proven_lsn: u64,
    pub(crate) records: u64,
}

/// Whether a hole ends the journal or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    Refuse,
    /// The owner has consented to lose what follows.
    Cut,
}

/// A run that has begun and not ended.
struct OpenRun {
    first: Header,
    bytes: Vec<u8>,
    /// Its beginning was trimmed, and the snapshot covers it.
    headless: bool,
}

/// The state of the chain of records, as far as it was followed.
struct Chain<'a, E> {
    deliver: &'a mut dyn FnMut(RecoveredBatch<'_>) -> Result<(), E>,
    snapshot: Option<SnapshotRead>,
    /// After the last record in the chain, committed or not; `None` before the first.
    last: Option<Point>,
    committed: Point,
    run: Option<OpenRun>,
    claimed_lsn: u64,
    records: u64,
}

/// Why a valid record is not taken into the chain.
enum Broken<E> {
    Refused(Label, String),
    Apply { last_lsn: u64, source: E },
}

struct Walker<'a, D: Disk, E> {
    disk: &'a D,
    holes: Holes,
    segments: Vec<SegmentRead<D::File>>,
    chain: Chain<'a, E>,
}

/// Reads everything, delivering the snapshot and each complete run above it.
pub(crate) fn walk<D: Disk, E>(
    disk: &D,
    shard: u32,
    holes: Holes,
    deliver: &mut dyn FnMut(RecoveredBatch<'_>) -> Result<(), E>,
) -> Result<Walk<D::File>, OpenError<E>> {
    let survey = Survey::take(disk)?;
    let snapshot = match survey.snapshots.last() {
        Some(&lsn) => Some(read_snapshot(disk, shard, lsn, deliver)?),
        None => None,
    };
    let chain = Chain {
        deliver,
        snapshot,
        last: None,
        committed: Point { offset: FIRST_OFFSET, ..Point::default() },
        run: None,
        claimed_lsn: 0,
        records: 0,
    };
    let mut walker = Walker { disk, holes, segments: Vec::new(), chain };
    walker.open_segments(&survey, shard)?;
    let label = if walker.segments.is_empty() { Label::Fresh } else { walker.read_segments()? };
    let Walker { segments, chain, .. } = walker;
    let proven_lsn = chain.claimed_lsn.max(chain.snapshot_lsn());
    let mut committed = chain.committed;
    if let Some(snapshot) = snapshot {
        committed.time_ms = committed.time_ms.max(snapshot.time_ms);
        committed.term = committed.term.max(snapshot.term);
    }
    Ok(Walk { label, survey, snapshot, segments, committed, proven_lsn, records: chain.records })
}

impl<D: Disk, E> Walker<'_, D, E> {
    fn refusal(&self, label: Label, name: &str, offset: u64, detail: String) -> Refusal {
        let last_lsn = self.chain.committed.lsn.max(self.chain.snapshot_lsn());
        Refusal { label, path: self.disk.path_of(name), offset, last_lsn, detail }
    }

    /// Opens the segments and verifies their headers. When holes are cut, the first bad one ends the journal.
    fn open_segments(&mut self, survey: &Survey, shard: u32) -> Result<(), OpenError<E>> {
        let cut = self.holes == Holes::Cut;
        if survey.segments.is_empty() && self.chain.snapshot.is_some() && !cut {
            let detail = "there is a snapshot and no segment".to_owned();
            return Err(self.refusal(Label::Gap, &names::segment(1), 0, detail).into());
        }
        for (&number, expected) in survey.segments.iter().zip(survey.segments.first().copied().unwrap_or(1)..)
        {
            if number != expected {
                if cut {
                    break;
                }
                let detail = format!("this segment is missing, and segment {number} is there");
                return Err(self.refusal(Label::Gap, &names::segment(expected), 0, detail).into());
            }
            match Reader::open(self.disk, Kind::Segment, number, shard, self.chain.snapshot_lsn()) {
                Ok(reader) => self.segments.push(SegmentRead { reader, last_lsn: 0, end: FIRST_OFFSET }),
                Err(OpenError::Refused(refusal)) if cut && refusal.label == Label::DamagedHeader => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Follows the chain to its end and names that end.
    fn read_segments(&mut self) -> Result<Label, OpenError<E>> {
        let mut segment = 0;
        let mut offset = FIRST_OFFSET;
        loop {
            let read = &mut self.segments[segment];
            let (taken, zeros) = match read.reader.decode_at(offset)? {
                Decoded::Valid(record) => {
                    let size = record.size() as u64;
                    (
                        Some(
                            self.chain.take(&record, segment, offset + size).map(|()| (record.header, size)),
                        ),
                        false,
                    )
                }
                Decoded::Zeros => (None, true),
                Decoded::Bad => (None, false),
            };
            match taken {
                Some(Ok((header, size))) => {
                    offset += size;
                    read.end = offset;
                    read.last_lsn = header.last_lsn;
                }
                Some(Err(Broken::Apply { last_lsn, source })) => {
                    return Err(OpenError::Apply { last_lsn, source });
                }
                // Where nothing precedes the gap there is nothing to keep, and so nothing to repair.
                Some(Err(Broken::Refused(Label::Gap, _)))
                    if self.holes == Holes::Cut && self.chain.last.is_some() =>
                {
                    return Ok(Label::Gap);
                }
                Some(Err(Broken::Refused(label, detail))) => {
                    let name = read.reader.name.clone();
                    return Err(self.refusal(label, &name, offset, detail).into());
                }
                None if self.continues_in(segment + 1)? => {
                    segment += 1;
                    offset = FIRST_OFFSET;
                }
                None => return self.name_end(segment, offset, zeros),
            }
        }
    }

    /// Whether the first record of a segment follows the last one read.
    fn continues_in(&mut self, segment: usize) -> Result<bool, OpenError<E>> {
        let (Some(last), Some(read)) = (self.chain.last, self.segments.get_mut(segment)) else {
            return Ok(false);
        };
        Ok(match read.reader.decode_at(FIRST_OFFSET)? {
            Decoded::Valid(record) => {
                record.header.seq == last.seq + 1 && record.header.prev_checksum == last.checksum
            }
            Decoded::Zeros | Decoded::Bad => false,
        })
    }

    /// The chain has ended: what do the bytes after its end say?
    fn name_end(&mut self, segment: usize, offset: u64, zeros: bool) -> Result<Label, OpenError<E>> {
        let missing_lsn = self.chain.committed.lsn + 1;
        let above_seq = self.chain.last.map_or(0, |last| last.seq);
        let mut witness = None;
        let mut later_records = false;
        let mut from = offset;
        for read in &mut self.segments[segment..] {
            let name = read.reader.name.clone();
            while let Some((at, record)) = read.reader.next_valid(from, above_seq)? {
                later_records = true;
                if record.header.durable_lsn >= missing_lsn && witness.is_none() {
                    witness = Some(format!("{name} at byte {at}"));
                }
                self.chain.claimed_lsn = self.chain.claimed_lsn.max(record.header.durable_lsn);
                from = at + record.size() as u64;
            }
            from = FIRST_OFFSET;
        }
        if missing_lsn <= self.chain.snapshot_lsn() {
            witness = Some(format!("the snapshot at LSN {}", self.chain.snapshot_lsn()));
        }
        match witness {
            Some(_) if self.holes == Holes::Cut => Ok(Label::Hole),
            Some(witness) => {
                let detail = format!("LSN {missing_lsn} was durable, as {witness} says, and does not verify");
                let name = self.segments[segment].reader.name.clone();
                Err(self.refusal(Label::Hole, &name, offset, detail).into())
            }
            None if self.chain.run.is_some() => Ok(Label::UnfinishedRun),
            None if zeros && !later_records => Ok(Label::CleanEnd),
            None => Ok(Label::TornTail),
        }
    }
}

impl<E> Chain<'_, E> {
    fn snapshot_lsn(&self) -> u64 {
        self.snapshot.map_or(0, |snapshot| snapshot.lsn)
    }

    /// Takes a valid record, which ends at `offset` of `segment`, into the chain; delivers the run that it completes.
    fn take(&mut self, record: &Record<'_>, segment: usize, offset: u64) -> Result<(), Broken<E>> {
        let header = &record.header;
        if !header.flags.is_known() {
            return Err(Broken::Refused(
                Label::UnknownVersion,
                format!("a record has flags {:#x}", header.flags.0),
            ));
        }
        self.join(header).map_err(|detail| Broken::Refused(Label::Gap, detail))?;
        let point = Point {
            seq: header.seq,
            checksum: record.checksum,
            lsn: header.last_lsn,
            time_ms: header.time_ms,
            term: header.term,
            segment,
            offset,
        };
        self.last = Some(point);
        self.records += 1;
        self.claimed_lsn = self.claimed_lsn.max(header.durable_lsn);
        let commits = header.flags.has(Flags::COMMIT);
        let run = match self.run.take() {
            Some(mut run) => {
                if !run.headless {
                    run.bytes.extend_from_slice(record.payload);
                }
                run
            }
            // The common case, a run in one record, is delivered without a copy.
            None if commits => {
                self.committed = point;
                return self.deliver(header, record.payload);
            }
            None => {
                let headless = !header.flags.has(Flags::FIRST);
                OpenRun { first: *header, bytes: record.payload.to_vec(), headless }
            }
        };
        if !commits {
            self.run = Some(run);
            return Ok(());
        }
        self.committed = point;
        if run.headless { Ok(()) } else { self.deliver(&run.first, &run.bytes) }
    }

    /// Whether the record may stand here; an error says why not.
    fn join(&self, header: &Header) -> Result<(), String> {
        let Header { flags, seq, base_lsn, last_lsn, .. } = *header;
        let snapshot_lsn = self.snapshot_lsn();
        if flags.has(Flags::SNAPSHOT) || flags.has(Flags::END) {
            return Err("a record of a snapshot stands in a segment".to_owned());
        }
        if last_lsn < base_lsn || (last_lsn == base_lsn) != flags.has(Flags::EMPTY) {
            return Err(format!("a record runs from LSN {base_lsn} to LSN {last_lsn}"));
        }
        if base_lsn < snapshot_lsn && last_lsn > snapshot_lsn {
            return Err(format!(
                "the run from LSN {base_lsn} to LSN {last_lsn} straddles the snapshot at {snapshot_lsn}"
            ));
        }
        let Some(last) = self.last else {
            if base_lsn > snapshot_lsn {
                return Err(format!(
                    "the journal begins after LSN {base_lsn}, the snapshot ends at LSN {snapshot_lsn}"
                ));
            }
            if !flags.has(Flags::FIRST) && last_lsn > snapshot_lsn {
                return Err(format!("the run up to LSN {last_lsn} lacks its beginning"));
            }
            return Ok(());
        };
        if seq != last.seq + 1 || header.prev_checksum != last.checksum {
            return Err(format!("record {seq} does not follow record {}", last.seq));
        }
        match &self.run {
            Some(run)
                if flags.has(Flags::FIRST)
                    || run.first.base_lsn != base_lsn
                    || run.first.last_lsn != last_lsn =>
            {
                Err(format!("record {seq} stands within the run from LSN {}", run.first.base_lsn))
            }
            None if !flags.has(Flags::FIRST) || base_lsn != self.committed.lsn => {
                Err(format!("record {seq} begins after LSN {base_lsn}, not after LSN {}", self.committed.lsn))
            }
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, header: &Header, bytes: &[u8]) -> Result<(), Broken<E>> {
        if header.flags.has(Flags::EMPTY) || header.last_lsn <= self.snapshot_lsn() {
            return Ok(());
        }
        let Header { base_lsn, last_lsn, time_ms, term, .. } = *header;
        (self.deliver)(RecoveredBatch { bytes, base_lsn, last_lsn, time_ms, term, snapshot: false })
            .map_err(|source| Broken::Apply { last_lsn, source })
    }
}

/// Reads a snapshot to its verified footer, delivering its pieces.
fn read_snapshot<D: Disk, E>(
    disk: &D,
    shard: u32,
    lsn: u64,
    deliver: &mut dyn FnMut(RecoveredBatch<'_>) -> Result<(), E>,
) -> Result<SnapshotRead, OpenError<E>> {
    let mut reader = Reader::open(disk, Kind::Snapshot, lsn, shard, 0)?;
    let (path, file_bytes) = (reader.path.clone(), reader.length);
    let mut offset = FIRST_OFFSET;
    let mut footer = Footer::default();
    let mut piece: Option<Vec<u8>> = None;
    let mut last = Point::default();
    loop {
        let here = offset;
        let refuse = |label: Label, detail: &str| -> OpenError<E> {
            Refusal { label, path: path.clone(), offset: here, last_lsn: 0, detail: detail.to_owned() }.into()
        };
        let Decoded::Valid(record) = reader.decode_at(offset)? else {
            return Err(refuse(Label::DamagedSnapshot, "this does not verify"));
        };
        let Header { flags, seq, last_lsn, time_ms, term, prev_checksum, .. } = record.header;
        if !flags.is_known() {
            return Err(refuse(Label::UnknownVersion, "a record has unknown flags"));
        }
        let joins = seq == last.seq + 1
            && prev_checksum == last.checksum
            && last_lsn == lsn
            && flags.has(Flags::SNAPSHOT)
            && flags.has(Flags::FIRST) == piece.is_none();
        if !joins {
            return Err(refuse(Label::DamagedSnapshot, "this record does not follow the one before"));
        }
        offset += record.size() as u64;
        if flags.has(Flags::END) {
            return if record.payload == footer.encode() && offset == file_bytes {
                Ok(SnapshotRead { lsn, file_bytes, time_ms, term })
            } else {
                Err(refuse(Label::DamagedSnapshot, "the footer counts otherwise"))
            };
        }
        footer.count(record.payload.len());
        last = Point { seq, checksum: record.checksum, ..Point::default() };
        let mut bytes = piece.take().unwrap_or_default();
        bytes.extend_from_slice(record.payload);
        if flags.has(Flags::COMMIT) {
            let batch =
                RecoveredBatch { bytes: &bytes, base_lsn: lsn, last_lsn: lsn, time_ms, term, snapshot: true };
            deliver(batch).map_err(|source| OpenError::Apply { last_lsn: lsn, source })?;
        } else {
            piece = Some(bytes);
        }
    }
}

/// What a snapshot's last record says about those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    records: u64,
    payload_bytes: u64,
}

impl Footer {
    pub(crate) fn count(&mut self, payload_len: usize) {
        self.records += 1;
        self.payload_bytes += payload_len as u64;
    }

    pub(crate) fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.records.to_le_bytes());
        out[8..].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out
    }
}
