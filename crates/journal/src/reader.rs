//! Reading segment and snapshot files, through a window of bounded size.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::record::{ALIGN, Decoded, RECORD_PAYLOAD_MAX, Record, decode, peek_seq, record_size};
use crate::refusal::{DiskError, Label, OpenError, Refusal};
use crate::segment::{HeaderError, Kind, SEGMENT_HEADER_LEN, SegmentHeader, names};

/// Bytes read at once: a few of the largest records.
const WINDOW_BYTES: usize = 4 * record_size(RECORD_PAYLOAD_MAX);

/// Adds what was attempted, and on what, to errors of the operating system.
pub(crate) fn attempt<D: Disk, T>(
    disk: &D,
    doing: &'static str,
    name: &str,
    result: io::Result<T>,
) -> Result<T, DiskError> {
    result.map_err(|source| DiskError { doing, path: disk.path_of(name), source })
}

/// The files of a journal's directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// Segment numbers, ascending.
    pub(crate) segments: Vec<u64>,
    /// LSNs of snapshots, ascending.
    pub(crate) snapshots: Vec<u64>,
    /// Files that an interrupted preparation or snapshot has left.
    pub(crate) leftovers: Vec<String>,
}

impl Survey {
    pub(crate) fn take<D: Disk>(disk: &D) -> Result<Self, DiskError> {
        let mut survey = Self::default();
        for name in attempt(disk, "list", "", disk.list())? {
            if let Some(number) = names::parse_segment(&name) {
                survey.segments.push(number);
            } else if let Some(lsn) = names::parse_snapshot(&name) {
                survey.snapshots.push(lsn);
            } else if names::is_leftover(&name) {
                survey.leftovers.push(name);
            }
        }
        survey.segments.sort_unstable();
        survey.snapshots.sort_unstable();
        Ok(survey)
    }
}

/// An open segment or snapshot file.
pub(crate) struct Reader<F> {
    pub(crate) file: Arc<F>,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) length: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<F: DiskFile> Reader<F> {
    /// Opens a file and verifies its header.
    pub(crate) fn open<D: Disk<File = F>, E>(
        disk: &D,
        kind: Kind,
        number: u64,
        shard: u32,
        last_lsn: u64,
    ) -> Result<Self, OpenError<E>> {
        let name = match kind {
            Kind::Segment => names::segment(number),
            Kind::Snapshot => names::snapshot(number),
        };
        let file = attempt(disk, "open", &name, disk.open(&name))?;
        let length = attempt(disk, "read", &name, file.len())?;
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        let read = attempt(disk, "read", &name, read_full(&file, &mut bytes, 0))?;
        let path = disk.path_of(&name);
        let refuse = |label: Label, detail: String| -> OpenError<E> {
            Refusal { label, path: path.clone(), offset: 0, last_lsn, detail }.into()
        };
        let header = match SegmentHeader::decode(&bytes[..read]) {
            Ok(header) => header,
            Err(HeaderError::UnknownVersion { version, cipher }) => {
                let detail = format!("it has format version {version} and cipher {cipher}");
                return Err(refuse(Label::UnknownVersion, detail));
            }
            Err(HeaderError::Damaged) => {
                let label = if kind == Kind::Segment { Label::DamagedHeader } else { Label::DamagedSnapshot };
                return Err(refuse(label, "its header does not verify".to_owned()));
            }
        };
        if header.shard != shard {
            let detail = format!("it belongs to shard {}, not to shard {shard}", header.shard);
            return Err(refuse(Label::ForeignShard, detail));
        }
        if header.kind != kind || header.number != number {
            let detail = format!("it was written as {:?} number {}", header.kind, header.number);
            return Err(refuse(Label::Gap, detail));
        }
        Ok(Self { file: Arc::new(file), name, path, header, length, window: Vec::new(), window_start: 0 })
    }

    /// What stands at `offset`.
    pub(crate) fn decode_at(&mut self, offset: u64) -> Result<Decoded<'_>, DiskError> {
        let salt = self.header.salt;
        Ok(decode(self.bytes_at(offset)?, salt))
    }

    /// The first valid record at or after `offset` whose seq exceeds `above_seq`, and where it stands.
    pub(crate) fn next_valid(
        &mut self,
        mut offset: u64,
        above_seq: u64,
    ) -> Result<Option<(u64, Record<'_>)>, DiskError> {
        let salt = self.header.salt;
        while offset < self.length {
            let bytes = self.bytes_at(offset)?;
            let found = (0..bytes.len()).step_by(ALIGN).find(|&at| {
                let bytes = &bytes[at..];
                peek_seq(bytes) > above_seq && matches!(decode(bytes, salt), Decoded::Valid(_))
            });
            let here = bytes.len() as u64;
            if let Some(at) = found {
                let offset = offset + at as u64;
                return Ok(match self.decode_at(offset)? {
                    Decoded::Valid(record) => Some((offset, record)),
                    Decoded::Zeros | Decoded::Bad => None,
                });
            }
            // A record that the window cuts short shows once the window begins at it.
            let reaches_end = offset + here >= self.length;
            offset +=
                if reaches_end { here } else { here - (record_size(RECORD_PAYLOAD_MAX) - ALIGN) as u64 };
        }
        Ok(None)
    }

    /// Bytes from `offset`: at least the largest record's, or all to the end.
    fn bytes_at(&mut self, offset: u64) -> Result<&[u8], DiskError> {
        let window_end = self.window_start + self.window.len() as u64;
        let enough = (offset + record_size(RECORD_PAYLOAD_MAX) as u64).min(self.length);
        if offset < self.window_start || enough > window_end {
            let wanted = self.length.saturating_sub(offset).min(WINDOW_BYTES as u64) as usize;
            self.window.resize(wanted, 0);
            let read = read_full(&*self.file, &mut self.window, offset).map_err(|source| DiskError {
                doing: "read",
                path: self.path.clone(),
                source,
            })?;
            self.window.truncate(read);
            if read < wanted {
                // The file has shrunk under us; what is missing reads as the end.
                self.length = offset + read as u64;
            }
            self.window_start = offset;
        }
        let from = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX).min(self.window.len());
        Ok(&self.window[from..])
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
