//! Making segments ready ahead of need, and letting go of old ones. These run beside the log, on another thread.
//!
//! Writing into zero-filled, allocated space costs half of what extending a file does, and a disk that is full shows
//! here, before any transaction has run.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::reader::attempt;
use crate::refusal::DiskError;
use crate::segment::{Kind, RECORDS_OFFSET, SegmentHeader, names};

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A segment to be made ready; [`crate::Log::plan_preparation`] gives it.
#[derive(Debug)]
pub(crate) struct Preparation<D: Disk> {
    pub(crate) disk: Arc<D>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: u64,
    /// The number of an old segment whose space is used again.
    pub(crate) recycle: Option<u64>,
}

/// A segment that is ready.
#[derive(Debug)]
pub(crate) struct Prepared<D: Disk> {
    pub(crate) file: Arc<D::File>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: u64,
    /// Stale bytes may stand in it.
    pub(crate) recycled: bool,
}

/// Why a segment could not be made ready.
#[derive(Debug)]
pub(crate) struct PrepareError {
    pub(crate) error: DiskError,
    /// Whether the directory's state on the disk is now unknown, so that the journal must stop.
    pub(crate) fatal: bool,
}

impl<D: Disk> Preparation<D> {
    /// Makes the segment ready: header, space, names, all durable.
    pub(crate) fn run(self) -> Result<Prepared<D>, PrepareError> {
        let disk = &*self.disk;
        let name = names::segment(self.header.number);
        let working_name = match self.recycle {
            Some(number) => names::recycled(number),
            None => names::temporary(&name),
        };
        let file = match self.fill(&working_name) {
            Ok(file) => file,
            Err(error) => {
                // What is half made is of no use, and recovery would remove it as well.
                disk.remove(&working_name).ok();
                return Err(PrepareError { error, fatal: false });
            }
        };
        if let Err(error) = attempt(disk, "rename", &working_name, disk.rename(&working_name, &name)) {
            // A directory without space for the name is as it was; after any other failure nobody knows.
            let fatal = !error.is_full();
            if !fatal {
                disk.remove(&working_name).ok();
            }
            return Err(PrepareError { error, fatal });
        }
        attempt(disk, "sync", "", disk.sync_dir()).map_err(|error| PrepareError { error, fatal: true })?;
        let Self { header, bytes, recycle, .. } = self;
        Ok(Prepared { file: Arc::new(file), header, bytes, recycled: recycle.is_some() })
    }

    fn fill(&self, name: &str) -> Result<D::File, DiskError> {
        let disk = &*self.disk;
        let file = if self.recycle.is_some() {
            let file = attempt(disk, "open", name, disk.open(name))?;
            // The first record's place must not show the old one's bytes: the end of the journal reads as zeros.
            attempt(disk, "write", name, file.write_at(&ZEROS[..RECORDS_OFFSET as usize], RECORDS_OFFSET))?;
            file
        } else {
            let file = attempt(disk, "create", name, disk.create(name))?;
            attempt(disk, "write", name, fill_with_zeros(&file, 0, self.bytes))?;
            file
        };
        attempt(disk, "write", name, file.write_at(&self.header.encode(), 0))?;
        attempt(disk, "sync", name, file.sync_data())?;
        Ok(file)
    }
}

/// Writes zeros from `from` up to `to`.
pub(crate) fn fill_with_zeros(file: &impl DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let take = (to - at).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..take as usize], at)?;
        at += take;
    }
    Ok(())
}

/// Old segments to let go of; [`crate::Log::plan_trim`] gives them.
#[derive(Debug)]
pub(crate) struct Trim<D: Disk> {
    pub(crate) disk: Arc<D>,
    /// From the outer end, and whether each is kept for reuse.
    pub(crate) segments: Vec<(u64, bool)>,
}

impl<D: Disk> Trim<D> {
    /// Lets go of the segments, in this order and one at a time, so that a crash never leaves a gap between those that
    /// remain. Returns the numbers kept for reuse. After an error the journal must stop.
    pub(crate) fn run(&self) -> Result<Vec<u64>, DiskError> {
        let disk = &*self.disk;
        let mut kept = Vec::new();
        for &(number, keep) in &self.segments {
            let name = names::segment(number);
            if keep {
                attempt(disk, "rename", &name, disk.rename(&name, &names::recycled(number)))?;
                kept.push(number);
            } else {
                attempt(disk, "remove", &name, disk.remove(&name))?;
            }
            attempt(disk, "sync", "", disk.sync_dir())?;
        }
        Ok(kept)
    }
}

/// The header of a segment to come.
pub(crate) const fn segment_header(shard: u32, salt: u64, number: u64) -> SegmentHeader {
    SegmentHeader { kind: Kind::Segment, shard, salt, number }
}
