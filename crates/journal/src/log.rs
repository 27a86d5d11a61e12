//! The journal on disk, synchronous and on one thread: open, write, sync, rotate, trim.
//!
//! [`crate::DiskJournal`] puts threads around it; the simulator drives it directly. After a failed write or sync it
//! is poisoned: every later call returns the same error, and no sync is ever tried again.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::install::install;
use crate::prepare::{Preparation, PrepareError, Prepared, Trim, segment_header};
use crate::random::Random;
use crate::reader::attempt;
use crate::record::{Flags, Header, RECORD_HEADER_LEN, RECORD_PAYLOAD_MAX, encode, record_size};
use crate::recovery::{Holes, RecoveredBatch, Recovery, walk};
use crate::refusal::{DiskError, OpenError};
use crate::segment::{RECORDS_OFFSET, SEGMENT_BYTES_DEFAULT, names};
use crate::snapshot::SnapshotFile;
use crate::{Batch, Progress, Sizes};

/// Bytes encoded before they go to the file, when a batch is large.
const WRITE_CHUNK_BYTES: usize = 4 << 20;

/// How a [`Log`] is opened.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Which shard; another shard's files are refused.
    pub shard: u32,
    /// Size of a new segment file in bytes.
    pub segment_bytes: u64,
    /// How many segments are kept ready beyond the current one.
    pub spare_segments: usize,
    /// Most payload bytes in one record, at most [`RECORD_PAYLOAD_MAX`].
    pub record_payload_bytes: usize,
    /// Randomness for salts; never the same twice outside of tests.
    pub entropy: u64,
}

impl LogOptions {
    /// The defaults, with the given randomness.
    #[must_use]
    pub const fn new(entropy: u64) -> Self {
        Self {
            shard: 0,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            spare_segments: 2,
            record_payload_bytes: RECORD_PAYLOAD_MAX,
            entropy,
        }
    }

    /// The same options with sizes that every part can work with: a segment takes at least one record.
    fn normalised(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.max(2 * RECORDS_OFFSET).next_multiple_of(RECORDS_OFFSET);
        let fits =
            usize::try_from(self.segment_bytes - RECORDS_OFFSET).unwrap_or(usize::MAX) - RECORD_HEADER_LEN;
        self.record_payload_bytes = self.record_payload_bytes.clamp(1, RECORD_PAYLOAD_MAX.min(fits));
        self
    }
}

/// Why a batch was not written, or not made durable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The disk failed, now or before. The log stays poisoned; what is above `durable` has an unknown outcome.
    Poisoned(Arc<DiskError>),
    /// There is no space for the batch. Nothing of it was written and nothing is lost: offer it again when there is.
    Full(Arc<DiskError>),
    /// `last_lsn` does not exceed that of the batch before. Nothing was written.
    OutOfOrder {
        /// LSN of the batch before.
        previous_lsn: u64,
        /// LSN offered.
        lsn: u64,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(error) => {
                write!(f, "{error}; nothing is written any more, restart once the disk is well")
            }
            Self::Full(error) => error.fmt(f),
            Self::OutOfOrder { previous_lsn, lsn } => {
                write!(f, "LSN {lsn} was offered after LSN {previous_lsn}")
            }
        }
    }
}

impl Error for WriteError {}

/// A sync that is under way; it needs no access to the log while it runs.
#[derive(Debug)]
pub struct SyncTicket<F> {
    files: Vec<(Arc<F>, String)>,
    written_lsn: u64,
    /// Segments up to this number have durable records afterwards.
    up_to_number: u64,
}

impl<F: DiskFile> SyncTicket<F> {
    /// Forces everything written when the ticket was made to stable storage. Give the result to [`Log::sync_end`].
    pub fn run<D: Disk<File = F>>(&self, disk: &D) -> Result<(), DiskError> {
        self.files.iter().try_for_each(|(file, name)| attempt(disk, "sync", name, file.sync_data()))
    }
}

/// A segment that has, or may have, records.
#[derive(Debug)]
struct Segment<F> {
    number: u64,
    file: Arc<F>,
    salt: u64,
    capacity: u64,
    /// Stale bytes may stand in it.
    recycled: bool,
    last_lsn: u64,
    /// Whether a record in it is known durable.
    has_durable: bool,
}

/// A segment that is no longer written to.
#[derive(Clone, Copy, Debug)]
struct Closed {
    number: u64,
    last_lsn: u64,
    capacity: u64,
}

/// The synchronous journal over a [`Disk`].
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: Arc<D>,
    options: LogOptions,
    random: Random,
    closed: VecDeque<Closed>,
    current: Segment<D::File>,
    /// Where the next record goes in the current segment.
    offset: u64,
    spares: VecDeque<Prepared<D>>,
    recycled: Vec<u64>,
    preparing: bool,
    /// Seq and checksum of the last record, its time, and whether it was empty.
    seq: u64,
    checksum: u64,
    time_ms: u64,
    /// What the last record says is durable.
    said_durable_lsn: u64,
    term: u64,
    progress: Progress,
    /// Files with unsynced records.
    dirty: Vec<(Arc<D::File>, String)>,
    poison: Option<Arc<DiskError>>,
    buffer: Vec<u8>,
    snapshot_lsn: u64,
    sizes: Sizes,
    /// Records and their bytes since the journal was opened.
    put: (u64, u64),
    _lock: D::Lock,
}

impl<D: Disk> Log<D> {
    /// Recovers the journal on `disk`, beginning one if there is none. The snapshot's pieces and every complete run above
    /// it go to `deliver`, in order. When this returns, all that was delivered is durable.
    pub fn open<E>(
        disk: D,
        options: LogOptions,
        mut deliver: impl FnMut(RecoveredBatch<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), OpenError<E>> {
        let lock = attempt(&disk, "lock", "", disk.try_lock())?
            .ok_or_else(|| OpenError::Locked { path: disk.path_of(""), waited_ms: 0 })?;
        Self::open_locked(disk, lock, options, Holes::Refuse, &mut deliver)
    }

    pub(crate) fn open_locked<E>(
        disk: D,
        lock: D::Lock,
        options: LogOptions,
        holes: Holes,
        deliver: &mut dyn FnMut(RecoveredBatch<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), OpenError<E>> {
        let options = options.normalised();
        let mut random = Random::new(options.entropy);
        let walk = walk(&disk, options.shard, holes, deliver)?;
        let (label, snapshot, proven_lsn, records) =
            (walk.label, walk.snapshot, walk.proven_lsn, walk.records);
        let installed = install(&disk, walk, options.shard, options.segment_bytes, &mut random)?;
        let end = installed.end;
        let older = installed.older.iter();
        let closed: VecDeque<_> =
            older.map(|&(number, last_lsn, capacity)| Closed { number, last_lsn, capacity }).collect();
        let recovery = Recovery {
            label,
            last_lsn: end.lsn,
            time_ms: end.time_ms,
            term: end.term,
            snapshot_lsn: snapshot.map(|snapshot| snapshot.lsn),
            records,
            proven_lsn,
        };
        let journal_bytes =
            closed.iter().map(|closed| closed.capacity).sum::<u64>() + end.offset - RECORDS_OFFSET;
        let sizes =
            Sizes { journal_bytes, snapshot_bytes: snapshot.map_or(0, |snapshot| snapshot.file_bytes) };
        let current = Segment {
            number: installed.number,
            file: installed.file,
            salt: installed.salt,
            capacity: installed.capacity,
            recycled: false,
            last_lsn: end.lsn,
            has_durable: true,
        };
        let mut log = Self {
            disk: Arc::new(disk),
            options,
            random,
            closed,
            current,
            offset: end.offset,
            spares: VecDeque::new(),
            recycled: Vec::new(),
            preparing: false,
            seq: end.seq,
            checksum: end.checksum,
            time_ms: end.time_ms,
            said_durable_lsn: end.lsn,
            term: end.term,
            progress: Progress { written: end.lsn, durable: end.lsn },
            dirty: Vec::new(),
            poison: None,
            buffer: Vec::new(),
            snapshot_lsn: snapshot.map_or(0, |snapshot| snapshot.lsn),
            sizes,
            put: (0, 0),
            _lock: lock,
        };
        // A crash between a snapshot and its trim leaves segments that this one lets go of.
        if let Some(trim) = log.plan_trim() {
            log.recycled = trim.run()?;
        }
        Ok((log, recovery))
    }

    /// The disk, for running tickets and preparations beside the log.
    #[must_use]
    pub fn disk(&self) -> Arc<D> {
        Arc::clone(&self.disk)
    }

    /// How far it has come.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Records written since the journal was opened, and their bytes.
    pub(crate) const fn records_and_bytes(&self) -> (u64, u64) {
        self.put
    }

    /// Segments that hold records, and segments made ready ahead.
    pub(crate) fn segments(&self) -> (u64, u64) {
        (self.closed.len() as u64 + 1, self.spares.len() as u64)
    }

    /// Sizes for deciding when to write the next snapshot.
    #[must_use]
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The failure that stopped it.
    #[must_use]
    pub fn poison(&self) -> Option<WriteError> {
        self.poison.clone().map(WriteError::Poisoned)
    }

    /// Whether fewer segments are ready than the options say, and nobody is making one.
    pub(crate) fn wants_preparation(&self) -> bool {
        self.spares.len() < self.options.spare_segments && !self.preparing
    }

    pub(crate) const fn is_preparing(&self) -> bool {
        self.preparing
    }

    /// Bytes of batches that fit into what is ready, at least.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        let spares: u64 = self.spares.iter().map(|spare| self.usable(spare.bytes - RECORDS_OFFSET)).sum();
        self.usable(self.current.capacity - self.offset) + spares
    }

    /// Whether a run of `bytes` fits into what is ready: then writing it makes no segment.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let space = self.current.capacity - self.offset;
        let payload_bytes = self.options.record_payload_bytes;
        if bytes <= payload_bytes && record_size(bytes) as u64 <= space {
            return true;
        }
        // Records lie within a segment, so what counts is how many of the largest each takes.
        let record = record_size(payload_bytes) as u64;
        let spares: u64 = self.spares.iter().map(|spare| (spare.bytes - RECORDS_OFFSET) / record).sum();
        (space / record + spares) >= bytes.div_ceil(payload_bytes).max(1) as u64
    }

    /// Bytes of payload that `space` takes for certain, however batches are cut: the last record before the end may
    /// not fit, and each record has a header.
    fn usable(&self, space: u64) -> u64 {
        let record = record_size(self.options.record_payload_bytes) as u64;
        space.saturating_sub(record).saturating_mul(self.options.record_payload_bytes as u64) / record
    }

    /// Writes a batch: afterwards killing the process does not lose it. It is durable after the next [`Self::sync`].
    ///
    /// Space for all of it is made ready before its first byte is written, so a full disk never cuts it in two.
    pub fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        self.check_poison()?;
        let previous_lsn = self.progress.written;
        if batch.last_lsn <= previous_lsn {
            return Err(WriteError::OutOfOrder { previous_lsn, lsn: batch.last_lsn });
        }
        self.make_room_for(batch.bytes.len())?;
        self.time_ms = self.time_ms.max(batch.time_ms);
        let mut rest = &batch.bytes[..];
        let mut flags = Flags::FIRST;
        loop {
            let take = rest.len().min(self.options.record_payload_bytes);
            let (payload, after) = rest.split_at(take);
            rest = after;
            if rest.is_empty() {
                flags = flags.with(Flags::COMMIT);
            }
            self.put(flags, batch.last_lsn, payload)?;
            flags = Flags::default();
            if rest.is_empty() {
                break;
            }
        }
        self.flush()?;
        self.progress.written = batch.last_lsn;
        Ok(())
    }

    /// Makes segments until a run of `bytes` fits. Normally it does; otherwise this takes a while.
    fn make_room_for(&mut self, bytes: usize) -> Result<(), WriteError> {
        while !self.has_room_for(bytes) {
            assert!(
                !self.preparing,
                "who prepares on another thread waits for it before writing more than fits"
            );
            let Some(preparation) = self.plan_preparation(u64::MAX) else { return self.check_poison() };
            let result = preparation.run();
            if let Err(error) = self.accept(result) {
                self.check_poison()?;
                return Err(WriteError::Full(Arc::new(error)));
            }
        }
        Ok(())
    }

    /// Makes durable what was written. Returns the newest durable LSN.
    pub fn sync(&mut self) -> Result<u64, WriteError> {
        let ticket = self.sync_begin()?;
        let result = ticket.run(&*self.disk);
        self.sync_end(&ticket, result)
    }

    /// Begins a sync; run the ticket, without the log if need be, and hand the result to [`Self::sync_end`]. One at a
    /// time.
    pub fn sync_begin(&mut self) -> Result<SyncTicket<D::File>, WriteError> {
        self.check_poison()?;
        Ok(SyncTicket {
            files: std::mem::take(&mut self.dirty),
            written_lsn: self.progress.written,
            up_to_number: self.current.number,
        })
    }

    /// Takes note of how a sync ended. Returns the newest durable LSN.
    pub fn sync_end(
        &mut self,
        ticket: &SyncTicket<D::File>,
        result: Result<(), DiskError>,
    ) -> Result<u64, WriteError> {
        self.check_poison()?;
        result.map_err(|error| self.fail(error))?;
        self.progress.durable = self.progress.durable.max(ticket.written_lsn);
        if ticket.up_to_number == self.current.number {
            self.current.has_durable = true;
        }
        Ok(self.progress.durable)
    }

    /// When nothing is under way, writes an empty record that says what is durable, so that rot in the last batch
    /// shows. Returns whether it wrote one; it wants a sync.
    pub fn idle(&mut self) -> Result<bool, WriteError> {
        self.check_poison()?;
        let Progress { written, durable } = self.progress;
        // It makes no segment: the next batch brings what is durable along as well.
        if written != durable || self.said_durable_lsn == durable || !self.has_room_for(0) {
            return Ok(false);
        }
        self.put(Flags::FIRST.with(Flags::COMMIT).with(Flags::EMPTY), written, &[])?;
        self.flush()?;
        Ok(true)
    }

    /// Whether something written is not yet durable; an empty record counts.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Makes one segment ready if fewer than the options say are. Returns whether another is wanted.
    ///
    /// An error that leaves [`Self::poison`] empty means that there is no space: nothing is lost, try again later.
    pub fn prepare(&mut self) -> Result<bool, DiskError> {
        let Some(preparation) = self.plan_preparation(0) else { return Ok(false) };
        let result = preparation.run();
        self.accept(result)?;
        Ok(self.spares.len() < self.options.spare_segments)
    }

    /// What to make ready next, if fewer segments are ready than the options say, or fewer than `bytes` of batches
    /// need. Run it, without the log if need be, and hand the result to [`Self::accept`]. One at a time.
    pub(crate) fn plan_preparation(&mut self, bytes: u64) -> Option<Preparation<D>> {
        let enough = self.spares.len() >= self.options.spare_segments && self.ready_bytes() >= bytes;
        if enough || self.preparing || self.poison.is_some() {
            return None;
        }
        self.preparing = true;
        let number = self.spares.back().map_or(self.current.number, |spare| spare.header.number) + 1;
        // Zero would be the salt of no file: it keeps a segment of zeros from ever verifying.
        let salt = self.random.next().max(1);
        Some(Preparation {
            disk: Arc::clone(&self.disk),
            header: segment_header(self.options.shard, salt, number),
            bytes: self.options.segment_bytes,
            recycle: self.recycled.pop(),
        })
    }

    /// Segments made ready beyond what the options say, and beyond what `bytes` of batches need: on a full disk others
    /// want the space. Run it as after [`Self::plan_trim`].
    pub(crate) fn plan_give_back(&mut self, bytes: u64) -> Option<Trim<D>> {
        let mut segments = Vec::new();
        while !self.preparing && self.poison.is_none() && self.spares.len() > self.options.spare_segments {
            let Some(spare) = self.spares.pop_back() else { break };
            if self.ready_bytes() < bytes {
                self.spares.push_back(spare);
                break;
            }
            segments.push((spare.header.number, false));
        }
        (!segments.is_empty()).then(|| Trim { disk: Arc::clone(&self.disk), segments })
    }

    pub(crate) fn accept(&mut self, result: Result<Prepared<D>, PrepareError>) -> Result<(), DiskError> {
        self.preparing = false;
        match result {
            Ok(prepared) => {
                self.spares.push_back(prepared);
                Ok(())
            }
            Err(PrepareError { error, fatal }) => {
                if fatal {
                    self.poison = Some(Arc::new(copy_of(&error)));
                }
                Err(error)
            }
        }
    }

    /// Begins a snapshot at `lsn`, the end of some batch; see [`SnapshotFile`].
    pub fn snapshot_begin(&mut self, lsn: u64, time_ms: u64) -> Result<SnapshotFile<D>, DiskError> {
        let salt = self.random.next().max(1);
        let Self { options, term, .. } = &*self;
        SnapshotFile::create(
            Arc::clone(&self.disk),
            options.shard,
            lsn,
            salt,
            (*term, time_ms),
            options.record_payload_bytes,
        )
    }

    /// Takes note that a snapshot has its name, and lets go of segments.
    pub fn snapshot_done(&mut self, lsn: u64, file_bytes: u64) -> Result<(), WriteError> {
        self.note_snapshot(lsn, file_bytes);
        self.trim()
    }

    pub(crate) fn note_snapshot(&mut self, lsn: u64, file_bytes: u64) {
        assert!(lsn <= self.progress.durable, "a snapshot shows only what is durable");
        self.snapshot_lsn = self.snapshot_lsn.max(lsn);
        let newer: u64 =
            self.closed.iter().filter(|closed| closed.last_lsn > lsn).map(|closed| closed.capacity).sum();
        let within_current = if self.current.last_lsn > lsn { self.offset - RECORDS_OFFSET } else { 0 };
        self.sizes = Sizes { journal_bytes: newer + within_current, snapshot_bytes: file_bytes };
    }

    /// Lets go of segments that the newest snapshot covers.
    pub fn trim(&mut self) -> Result<(), WriteError> {
        self.check_poison()?;
        let Some(trim) = self.plan_trim() else { return Ok(()) };
        let result = trim.run();
        self.trimmed(result)
    }

    /// Segments to let go of: run it, without the log if need be, and hand the result to [`Self::trimmed`].
    pub(crate) fn plan_trim(&mut self) -> Option<Trim<D>> {
        if self.poison.is_some() || !self.current.has_durable {
            // A later segment must hold a durable record, or the journal would lose its place.
            return None;
        }
        let mut segments = Vec::new();
        while let Some(closed) =
            self.closed.front().copied().filter(|closed| closed.last_lsn <= self.snapshot_lsn)
        {
            self.closed.pop_front();
            let kept = self.recycled.len() + segments.iter().filter(|(_, keep)| *keep).count();
            let keep = closed.capacity == self.options.segment_bytes && kept < self.options.spare_segments;
            segments.push((closed.number, keep));
        }
        (!segments.is_empty()).then(|| Trim { disk: Arc::clone(&self.disk), segments })
    }

    pub(crate) fn trimmed(&mut self, result: Result<Vec<u64>, DiskError>) -> Result<(), WriteError> {
        let kept = result.map_err(|error| self.fail(error))?;
        self.recycled.extend(kept);
        Ok(())
    }

    fn check_poison(&self) -> Result<(), WriteError> {
        self.poison().map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: DiskError) -> WriteError {
        let error = Arc::new(error);
        self.poison = Some(Arc::clone(&error));
        WriteError::Poisoned(error)
    }

    /// Encodes a record into the buffer, in the current segment or the next.
    fn put(&mut self, flags: Flags, last_lsn: u64, payload: &[u8]) -> Result<(), WriteError> {
        let size = record_size(payload.len()) as u64;
        if self.offset + self.buffer.len() as u64 + size > self.current.capacity {
            self.flush()?;
            self.rotate();
        }
        self.seq += 1;
        let header = Header {
            flags,
            seq: self.seq,
            base_lsn: self.progress.written,
            last_lsn,
            term: self.term,
            time_ms: self.time_ms,
            durable_lsn: self.progress.durable,
            prev_checksum: self.checksum,
        };
        self.checksum = encode(&header, payload, self.current.salt, &mut self.buffer);
        self.said_durable_lsn = header.durable_lsn;
        self.current.last_lsn = last_lsn;
        self.sizes.journal_bytes += size;
        self.put = (self.put.0 + 1, self.put.1 + size);
        if self.buffer.len() >= WRITE_CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands the buffer to the operating system.
    fn flush(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let records = self.buffer.len();
        let space = (self.current.capacity - self.offset) as usize;
        debug_assert!(records <= space, "records stay within their segment");
        if self.current.recycled {
            // After the last record the end must read as zeros, not as what an earlier life left there.
            self.buffer.resize((records + RECORD_HEADER_LEN).min(space), 0);
        }
        let name = names::segment(self.current.number);
        let result = self.current.file.write_at(&self.buffer, self.offset);
        self.buffer.clear();
        if self.buffer.capacity() > 2 * WRITE_CHUNK_BYTES {
            self.buffer = Vec::new();
        }
        attempt(&*self.disk, "write", &name, result).map_err(|error| self.fail(error))?;
        self.offset += records as u64;
        if !self.dirty.iter().any(|(file, _)| Arc::ptr_eq(file, &self.current.file)) {
            self.dirty.push((Arc::clone(&self.current.file), name));
        }
        Ok(())
    }

    /// Goes on in the next segment, which is ready: see [`Self::make_room_for`].
    fn rotate(&mut self) {
        let spare = self.spares.pop_front().expect("room was made before a record is put");
        let next = Segment {
            number: spare.header.number,
            file: spare.file,
            salt: spare.header.salt,
            capacity: spare.bytes,
            recycled: spare.recycled,
            last_lsn: self.progress.written,
            has_durable: false,
        };
        let Segment { number, last_lsn, capacity, .. } = std::mem::replace(&mut self.current, next);
        self.closed.push_back(Closed { number, last_lsn, capacity });
        self.offset = RECORDS_OFFSET;
    }
}

fn copy_of(error: &DiskError) -> DiskError {
    let DiskError { doing, path, source } = error;
    DiskError { doing, path: path.clone(), source: std::io::Error::new(source.kind(), source.to_string()) }
}
