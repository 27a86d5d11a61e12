//! Writing a snapshot file: the records of a journal, holding the whole state at one LSN, and a footer that counts them.

use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::reader::attempt;
use crate::record::{Flags, Header, encode};
use crate::recovery::Footer;
use crate::refusal::DiskError;
use crate::segment::{Kind, RECORDS_OFFSET, SegmentHeader, names};

/// Bytes buffered before they go to the file.
const WRITE_BYTES: usize = 256 << 10;
/// The file is synced each time this much was written: one sync of all of it would hold up those of the journal.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// A snapshot that is being written, beside the log: pieces, then [`Self::seal`], then [`Self::publish`].
///
/// Dropping it leaves a temporary file that the next recovery removes; [`Self::abort`] removes it now.
#[derive(Debug)]
pub struct SnapshotFile<D: Disk> {
    disk: Arc<D>,
    file: D::File,
    name: String,
    header: Header,
    salt: u64,
    piece_bytes: usize,
    footer: Footer,
    buffer: Vec<u8>,
    offset: u64,
    synced_offset: u64,
}

impl<D: Disk> SnapshotFile<D> {
    pub(crate) fn create(
        disk: Arc<D>,
        shard: u32,
        lsn: u64,
        salt: u64,
        (term, time_ms): (u64, u64),
        piece_bytes: usize,
    ) -> Result<Self, DiskError> {
        let name = names::temporary(&names::snapshot(lsn));
        let file = attempt(&*disk, "create", &name, disk.create(&name))?;
        let segment = SegmentHeader { kind: Kind::Snapshot, shard, salt, number: lsn };
        attempt(&*disk, "write", &name, file.write_at(&segment.encode(), 0))?;
        let header =
            Header { base_lsn: lsn, last_lsn: lsn, durable_lsn: lsn, term, time_ms, ..Header::default() };
        Ok(Self {
            disk,
            file,
            name,
            header,
            salt,
            piece_bytes,
            footer: Footer::default(),
            buffer: Vec::new(),
            offset: RECORDS_OFFSET,
            synced_offset: RECORDS_OFFSET,
        })
    }

    /// Its LSN.
    #[must_use]
    pub const fn lsn(&self) -> u64 {
        self.header.last_lsn
    }

    /// Adds a piece; recovery gives it back as it is here.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let mut flags = Flags::SNAPSHOT.with(Flags::FIRST);
        let mut rest = bytes;
        loop {
            let (payload, after) = rest.split_at(rest.len().min(self.piece_bytes));
            rest = after;
            if rest.is_empty() {
                flags = flags.with(Flags::COMMIT);
            }
            self.put(flags, payload)?;
            self.footer.count(payload.len());
            flags = Flags::SNAPSHOT;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Adds the footer and makes the file durable. Returns its size in bytes.
    pub fn seal(&mut self) -> Result<u64, DiskError> {
        let footer = self.footer.encode();
        self.put(Flags::SNAPSHOT.with(Flags::FIRST).with(Flags::COMMIT).with(Flags::END), &footer)?;
        self.flush()?;
        self.sync()?;
        Ok(self.offset)
    }

    /// Gives the sealed file its name, durably; recovery starts from it from now on. Older snapshots go.
    ///
    /// # Panics
    /// If the snapshot's LSN is not durable yet: it would show what a power cut may still take.
    pub fn publish(self, durable_lsn: u64) -> Result<(), DiskError> {
        assert!(self.lsn() <= durable_lsn, "a snapshot shows only what is durable");
        let disk = &*self.disk;
        let name = names::snapshot(self.lsn());
        attempt(disk, "rename", &self.name, disk.rename(&self.name, &name))?;
        attempt(disk, "sync", "", disk.sync_dir())?;
        for other in attempt(disk, "list", "", disk.list())? {
            if names::parse_snapshot(&other).is_some_and(|lsn| lsn < self.lsn()) {
                attempt(disk, "remove", &other, disk.remove(&other))?;
            }
        }
        Ok(())
    }

    /// Gives it up and removes the file.
    pub fn abort(self) {
        // If this fails, the next recovery removes it.
        self.disk.remove(&self.name).ok();
    }

    fn put(&mut self, flags: Flags, payload: &[u8]) -> Result<(), DiskError> {
        self.header.flags = flags;
        self.header.seq += 1;
        self.header.prev_checksum = encode(&self.header, payload, self.salt, &mut self.buffer);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        attempt(&*self.disk, "write", &self.name, self.file.write_at(&self.buffer, self.offset))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        if self.offset - self.synced_offset >= SYNC_EVERY_BYTES { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.synced_offset = self.offset;
        attempt(&*self.disk, "sync", &self.name, self.file.sync_data())
    }
}
