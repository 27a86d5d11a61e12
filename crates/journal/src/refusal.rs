//! How a journal can end, why a start is refused, and the sentences that say so.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The cases of recovery: each journal is exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// There was no journal; one was begun.
    Fresh,
    /// After the last record nothing was ever written.
    CleanEnd,
    /// After the last record stands something that does not verify, and nothing later proves it was durable.
    TornTail,
    /// The last run of fragments lacks its commit mark; it was never there.
    UnfinishedRun,
    /// What does not verify was durable: a later record, or the snapshot, proves it. Refused.
    Hole,
    /// Records or segments do not join. Refused.
    Gap,
    /// A file belongs to another shard. Refused.
    ForeignShard,
    /// A file verifies and is of a version, or uses a feature, that this build does not know. Refused.
    UnknownVersion,
    /// The header of a segment does not verify, so nothing in it can be. Refused.
    DamagedHeader,
    /// The snapshot does not verify to its end. Refused.
    DamagedSnapshot,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 10] = [
        Self::Fresh,
        Self::CleanEnd,
        Self::TornTail,
        Self::UnfinishedRun,
        Self::Hole,
        Self::Gap,
        Self::ForeignShard,
        Self::UnknownVersion,
        Self::DamagedHeader,
        Self::DamagedSnapshot,
    ];

    /// Whether recovery goes on.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Fresh | Self::CleanEnd | Self::TornTail | Self::UnfinishedRun)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::CleanEnd => "clean end",
            Self::TornTail => "torn tail",
            Self::UnfinishedRun => "unfinished run",
            Self::Hole => "hole",
            Self::Gap => "gap",
            Self::ForeignShard => "foreign shard",
            Self::UnknownVersion => "unknown version",
            Self::DamagedHeader => "damaged header",
            Self::DamagedSnapshot => "damaged snapshot",
        })
    }
}

/// Why a journal is not opened: its label, the place, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which case it is; never an accepted one.
    pub label: Label,
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// The last LSN that can be read, coming from the start.
    pub last_lsn: u64,
    /// What was found there.
    pub detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, path, offset, last_lsn, detail } = self;
        write!(f, "the journal cannot be opened ({label}): {} at byte {offset}: {detail}; ", path.display())?;
        let dir = path.parent().unwrap_or(path).display();
        match label {
            Label::ForeignShard => f.write_str("give each shard a directory of its own"),
            Label::UnknownVersion => f.write_str("use the version of Sessile that wrote it, or a newer one"),
            Label::DamagedSnapshot => write!(
                f,
                "restore the directory from a backup, or set the snapshot aside with: sessile journal repair {dir}"
            ),
            _ => write!(
                f,
                "restore the directory from a backup, or cut it after LSN {last_lsn}, losing what follows, with: \
                 sessile journal repair {dir}"
            ),
        }
    }
}

impl Error for Refusal {}

/// An operation on the disk failed.
#[derive(Debug)]
pub struct DiskError {
    /// What was attempted, as a verb: "create".
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl DiskError {
    /// Whether space is missing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, path, source } = self;
        write!(f, "cannot {doing} {}: {source}", path.display())?;
        f.write_str(match source.kind() {
            io::ErrorKind::PermissionDenied => "; give this user read and write access to the directory",
            io::ErrorKind::ReadOnlyFilesystem => "; mount the file system writable, or set another `dir`",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; free some space there, or set another `dir`"
            }
            _ => "",
        })
    }
}

impl Error for DiskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Why a journal was not opened. `E` is the error of the caller that recovered batches go to.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// Another process holds the directory.
    Locked {
        /// The directory.
        path: PathBuf,
        /// How long was waited for it, in milliseconds.
        waited_ms: u64,
    },
    /// The disk failed.
    Disk(DiskError),
    /// The journal is in none of the states that a crash can leave.
    Refused(Box<Refusal>),
    /// A recovered batch was not accepted.
    Apply {
        /// Its last LSN.
        last_lsn: u64,
        /// Why.
        source: E,
    },
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, waited_ms } => write!(
                f,
                "{} is in use by another process (waited {waited_ms} ms); stop that one, or set another `dir`",
                path.display()
            ),
            Self::Disk(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Apply { last_lsn, source } => {
                write!(
                    f,
                    "the journal is sound, but the batch up to LSN {last_lsn} cannot be applied: {source}"
                )
            }
        }
    }
}

impl<E: Error + 'static> Error for OpenError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Locked { .. } => None,
            Self::Disk(error) => Some(error),
            Self::Refused(refusal) => Some(refusal),
            Self::Apply { source, .. } => Some(source),
        }
    }
}

impl<E> From<DiskError> for OpenError<E> {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl<E> From<Refusal> for OpenError<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}
