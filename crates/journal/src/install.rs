//! Making what recovery read durable, and giving it a new last segment, before anything is answered.
//!
//! The page cache may show what the disk lacks (a sync failed, the process was killed). So segments that are not
//! proven durable are written again in place, byte for byte, and the last one is copied into a new file with a new
//! salt: nothing that was torn off can ever verify again.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::prepare::{fill_with_zeros, segment_header};
use crate::random::Random;
use crate::reader::{attempt, read_full};
use crate::record::{Decoded, Flags, Header, encode};
use crate::recovery::{Point, SegmentRead, Walk};
use crate::refusal::DiskError;
use crate::segment::{RECORDS_OFFSET, names};

/// Bytes copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A journal that is durable as it was read, ready to be written on.
pub(crate) struct Installed<F> {
    /// Segments before the last: number, newest LSN, file size.
    pub(crate) older: Vec<(u64, u64, u64)>,
    pub(crate) number: u64,
    pub(crate) file: Arc<F>,
    pub(crate) salt: u64,
    pub(crate) capacity: u64,
    /// After the last record.
    pub(crate) end: Point,
}

/// Where the new last segment takes its records from.
struct Source<'a, F> {
    read: &'a mut SegmentRead<F>,
    until: u64,
}

/// Installs what `walk` has read. Running it again after a crash at any point gives the same journal.
pub(crate) fn install<D: Disk>(
    disk: &D,
    mut walk: Walk<D::File>,
    shard: u32,
    segment_bytes: u64,
    random: &mut Random,
) -> Result<Installed<D::File>, DiskError> {
    let snapshot_lsn = walk.snapshot.map_or(0, |snapshot| snapshot.lsn);
    // The newest snapshot's name may be seen and not be durable: it must be before an older one goes.
    attempt(disk, "sync", "", disk.sync_dir())?;
    remove_leftovers(disk, &walk)?;
    // Only a repair comes here with less than the snapshot has; then no segment is worth keeping.
    let restart = walk.segments.is_empty() || walk.committed.lsn < snapshot_lsn;
    let kept = if restart { 0 } else { walk.committed.segment + 1 };
    // From the top, one at a time, so that a crash leaves no gap.
    for &number in walk.survey.segments[kept..].iter().rev() {
        let name = names::segment(number);
        attempt(disk, "remove", &name, disk.remove(&name))?;
        attempt(disk, "sync", "", disk.sync_dir())?;
    }
    let number = if restart {
        walk.survey.segments.last().map_or(1, |last| last + 1)
    } else {
        walk.survey.segments[kept - 1]
    };
    walk.segments.truncate(kept);
    let mut last_read = walk.segments.pop();
    let older = walk
        .segments
        .iter()
        .map(|read| (read.reader.header.number, read.last_lsn, read.reader.length))
        .collect();
    for read in walk.segments.iter().filter(|read| read.last_lsn >= walk.proven_lsn) {
        write_again(disk, read)?;
    }
    let old_salt = last_read.as_ref().map(|read| read.reader.header.salt);
    let salt = std::iter::repeat_with(|| random.next()).find(|&salt| Some(salt) != old_salt).unwrap_or(1);
    let source = last_read.as_mut().map(|read| Source { read, until: walk.committed.offset });
    let mut end = walk.committed;
    end.lsn = end.lsn.max(snapshot_lsn);
    end.term += 1;
    let name = names::segment(number);
    let temporary = names::temporary(&name);
    let file = attempt(disk, "create", &temporary, disk.create(&temporary))?;
    attempt(disk, "write", &temporary, file.write_at(&segment_header(shard, salt, number).encode(), 0))?;
    let mut copy =
        Copy { disk, file: &file, name: &temporary, salt, end, buffer: Vec::new(), written: RECORDS_OFFSET };
    copy.fill(source)?;
    let end = copy.end;
    let capacity = segment_bytes.max(end.offset);
    attempt(disk, "write", &temporary, fill_with_zeros(&file, end.offset, capacity))?;
    attempt(disk, "sync", &temporary, file.sync_data())?;
    attempt(disk, "rename", &temporary, disk.rename(&temporary, &name))?;
    attempt(disk, "sync", "", disk.sync_dir())?;
    Ok(Installed { older, number, file: Arc::new(file), salt, capacity, end })
}

fn remove_leftovers<D: Disk>(disk: &D, walk: &Walk<D::File>) -> Result<(), DiskError> {
    let older = walk.survey.snapshots.iter().rev().skip(1).map(|&lsn| names::snapshot(lsn));
    for name in walk.survey.leftovers.iter().cloned().chain(older) {
        attempt(disk, "remove", &name, disk.remove(&name))?;
    }
    Ok(())
}

/// Writes a segment's records over themselves and syncs: afterwards the disk has what was read. A tear is harmless,
/// since old and new bytes are the same wherever the disk had them.
fn write_again<D: Disk>(disk: &D, read: &SegmentRead<D::File>) -> Result<(), DiskError> {
    let (file, name) = (&*read.reader.file, &read.reader.name);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < read.end {
        let take = (read.end - at).min(CHUNK_BYTES as u64) as usize;
        attempt(disk, "read", name, read_full(file, &mut buffer[..take], at))?;
        attempt(disk, "write", name, file.write_at(&buffer[..take], at))?;
        at += take as u64;
    }
    attempt(disk, "sync", name, file.sync_data())
}

struct Copy<'a, D: Disk> {
    disk: &'a D,
    file: &'a D::File,
    name: &'a str,
    salt: u64,
    end: Point,
    buffer: Vec<u8>,
    written: u64,
}

impl<D: Disk> Copy<'_, D> {
    /// Copies records, re-chained under the new salt, and ends with an empty one that says all of it is durable: true
    /// by the time the file has its name.
    fn fill(&mut self, source: Option<Source<'_, D::File>>) -> Result<(), DiskError> {
        let Point { lsn, time_ms, term, .. } = self.end;
        if let Some(source) = source {
            self.copy_records(source.read, source.until)?;
        } else {
            (self.end.seq, self.end.checksum) = (0, 0);
        }
        let header = Header {
            flags: Flags::FIRST.with(Flags::COMMIT).with(Flags::EMPTY),
            base_lsn: lsn,
            last_lsn: lsn,
            term,
            time_ms,
            durable_lsn: lsn,
            ..Header::default()
        };
        self.put(header, &[])?;
        self.flush()?;
        self.end.offset = self.written;
        Ok(())
    }

    fn copy_records(&mut self, read: &mut SegmentRead<D::File>, until: u64) -> Result<(), DiskError> {
        let mut at = RECORDS_OFFSET;
        // Empty records at the end give way to the one that `fill` adds, so restarts do not pile them up.
        let mut empties: Vec<Header> = Vec::new();
        while at < until {
            let Decoded::Valid(record) = read.reader.decode_at(at)? else {
                let error =
                    io::Error::new(io::ErrorKind::InvalidData, "a record read once does not verify again");
                return attempt(self.disk, "read", &read.reader.name, Err(error));
            };
            if at == RECORDS_OFFSET {
                (self.end.seq, self.end.checksum) = (record.header.seq - 1, record.header.prev_checksum);
            }
            at += record.size() as u64;
            if record.header.flags.has(Flags::EMPTY) {
                empties.push(record.header);
                continue;
            }
            for header in empties.drain(..) {
                self.put(header, &[])?;
            }
            self.put(record.header, record.payload)?;
        }
        Ok(())
    }

    fn put(&mut self, header: Header, payload: &[u8]) -> Result<(), DiskError> {
        let header = Header { seq: self.end.seq + 1, prev_checksum: self.end.checksum, ..header };
        self.end.checksum = encode(&header, payload, self.salt, &mut self.buffer);
        self.end.seq = header.seq;
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        attempt(self.disk, "write", self.name, self.file.write_at(&self.buffer, self.written))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
