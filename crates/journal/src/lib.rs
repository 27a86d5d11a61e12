//! The journal: the order of all transactions of a shard, made durable. Transactions are opaque bytes here.
//!
//! # Words
//! An **LSN** counts transactions from 1, densely. A **seq** counts records, densely. A **record** holds a run of
//! whole transactions; a run too large for one record is cut into fragments, and only the last one has the commit
//! mark: what lacks its mark was never there. **Durable up to** is the newest LSN that a power cut cannot take.
//!
//! # The two surfaces
//! * [`Journal`] is what the engine sees: it never blocks. [`DiskJournal`] implements it with threads over [`Log`].
//! * [`Log`] is the synchronous, single-threaded core over a [`Disk`]; the simulator drives it directly, on a
//!   [`SimDisk`], deterministically.
//!
//! # Use, on a real disk
//! ```
//! use sessile_journal::{Batch, DiskJournal, DiskOptions, Journal, SyncPolicy};
//! # let dir = std::env::temp_dir().join(format!("journal-doc-{}", std::process::id()));
//! let mut replayed = Vec::new();
//! let opened = DiskJournal::open(
//!     &dir, // the journal lives in <dir>/sessile-journal/
//!     DiskOptions::default(),
//!     std::sync::Arc::new(|| { /* wake the data thread: progress or health has changed */ }),
//!     |batch| -> Result<(), std::convert::Infallible> { replayed.push(batch.bytes.to_vec()); Ok(()) },
//! );
//! let (journal, recovery) = opened.expect("a fresh directory opens");
//! journal.append(Batch::new(b"effects".to_vec(), recovery.last_lsn + 1, 0)).expect("the journal is healthy");
//! # journal.hasten(recovery.last_lsn + 1);
//! # while journal.progress().durable < recovery.last_lsn + 1 { std::thread::yield_now(); }
//! # drop(journal); std::fs::remove_dir_all(&dir).ok();
//! ```
//!
//! # Contract for the engine
//! * Batches are handed over in LSN order; `last_lsn` may grow by more than one (a batch holds several transactions).
//! * Before a write executes, ask [`Journal::room`]: a full disk is refused there, while nothing is applied yet.
//! * A snapshot at LSN *s* begins when *s* is the last LSN appended; recovery then delivers the snapshot's bytes,
//!   piece by piece as they were written, and after them every batch above *s*. No batch straddles *s*.
//! * After [`Health::Failed`] or [`Health::Fenced`] nothing more becomes durable; progress stays true for what it says.
#![forbid(unsafe_code)]

mod committer;
mod disk;
mod install;
mod log;
mod meter;
mod prepare;
mod queue;
mod random;
mod reader;
mod record;
mod recovery;
mod refusal;
mod segment;
mod sim_disk;
mod snapshot;
mod snapshot_thread;
mod threads;
pub mod tool;

pub use committer::{DiskJournal, DiskOptions, Notify};
pub use disk::{Disk, DiskFile, RealDisk};
pub use log::{Log, LogOptions, SyncTicket, WriteError};
pub use meter::{Figures, Histogram};
pub use record::{RECORD_HEADER_LEN, RECORD_PAYLOAD_MAX};
pub use recovery::{RecoveredBatch, Recovery};
pub use refusal::{DiskError, Label, OpenError, Refusal};
pub use segment::{FORMAT_VERSION, RECORDS_OFFSET, SEGMENT_BYTES_DEFAULT, SEGMENT_HEADER_LEN};
pub use sim_disk::{Fault, FaultKind, Operation, SimDisk, SimFile};
pub use snapshot::SnapshotFile;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The directory's name below the configured `dir`.
pub const JOURNAL_DIR_NAME: &str = "sessile-journal";

/// When what was written is forced to stable storage. It is a property of each batch, because one instance holds
/// classes of both kinds; a mixed batch carries the strongest promise in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncPolicy {
    /// When the operating system likes, and every 30 s.
    No,
    /// Within a second of the write, in the background; past one second unsynced, writes wait.
    EverySecond,
    /// At once: a reply waits for it.
    #[default]
    Always,
}

/// A run of whole transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The transactions, in the owner's own encoding.
    pub bytes: Vec<u8>,
    /// LSN of the last transaction in `bytes`; greater than that of the batch before.
    pub last_lsn: u64,
    /// The engine's clock when the last transaction ran, in milliseconds since the epoch; never goes back.
    pub time_ms: u64,
    /// How soon it must be durable.
    pub sync: SyncPolicy,
    /// How many clients wait for it, or for what came before. Syncs keep a distance only where several do: one that waits
    /// for its own pipeline has nothing to gain from it.
    pub waiting: usize,
}

impl Batch {
    /// A batch that one client waits for ([`SyncPolicy::Always`]).
    #[must_use]
    pub fn new(bytes: Vec<u8>, last_lsn: u64, time_ms: u64) -> Self {
        Self { bytes, last_lsn, time_ms, sync: SyncPolicy::Always, waiting: 1 }
    }
}

/// How far the journal has come. `durable <= written` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Newest LSN that has left the process: killing it loses nothing up to here.
    pub written: u64,
    /// Newest LSN that a power cut does not take.
    pub durable: u64,
}

/// Whether the journal takes writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It does.
    #[default]
    Ok,
    /// No space is ready for more. It heals by itself when space returns; nothing was lost.
    Full {
        /// What the operating system said, and where.
        reason: Arc<str>,
    },
    /// As much space as is always kept is ready, but there was none for a larger request a moment ago. [`Journal::room`]
    /// says what is refused for that.
    Short {
        /// What the operating system said, and where.
        reason: Arc<str>,
    },
    /// An append has been in flight for long (a remote journal); its outcome is still open and it may yet succeed.
    Waiting {
        /// What it waits for.
        reason: Arc<str>,
    },
    /// A write or a sync failed. It is never retried; what lies above `durable` has an unknown outcome.
    Failed {
        /// What failed, where, and what to do.
        reason: Arc<str>,
    },
    /// Another node leads with a higher term: discard memory and reload.
    Fenced {
        /// The term of the node that took over.
        by_term: u64,
    },
}

impl Health {
    /// Whether appended batches can still become durable.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Fenced { .. })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Full { reason } => write!(f, "the journal's disk is full: {reason}"),
            Self::Short { reason } => {
                write!(f, "the journal's disk has no room for a large request: {reason}")
            }
            Self::Waiting { reason } => write!(f, "the journal waits: {reason}"),
            Self::Failed { reason } => write!(f, "the journal has failed: {reason}"),
            Self::Fenced { by_term } => write!(f, "another node took over with term {by_term}"),
        }
    }
}

/// Whether a write of a given size may execute now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Space is proven ready for it.
    Ready,
    /// Space is being made ready: ask again when notified.
    Preparing,
    /// There is none: refuse the command, unexecuted.
    Full,
}

/// Why a batch was not taken. It is not in the journal and will not be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// The journal has stopped for good; see [`Journal::health`].
    Stopped(Health),
    /// `last_lsn` does not exceed that of the batch before: a bug of the caller.
    OutOfOrder {
        /// LSN of the batch before.
        previous_lsn: u64,
        /// LSN offered.
        lsn: u64,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(health) => health.fmt(f),
            Self::OutOfOrder { previous_lsn, lsn } => {
                write!(f, "a batch ending at LSN {lsn} was offered after LSN {previous_lsn}")
            }
        }
    }
}

impl Error for AppendError {}

/// Why a snapshot call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// One is already being written.
    Busy,
    /// None is being written.
    NotBegun,
    /// A snapshot begins at the last LSN that was appended, and nowhere else.
    NotAtEnd {
        /// The last LSN appended.
        last_lsn: u64,
        /// The LSN asked for.
        lsn: u64,
    },
    /// The journal has stopped for good.
    Stopped(Health),
    /// The snapshot file could not be written. The journal itself is unharmed.
    Io(Arc<str>),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("a snapshot is already being written"),
            Self::NotBegun => f.write_str("no snapshot is being written"),
            Self::NotAtEnd { last_lsn, lsn } => {
                write!(f, "a snapshot at LSN {lsn} was asked for while the journal stands at LSN {last_lsn}")
            }
            Self::Stopped(health) => health.fmt(f),
            Self::Io(reason) => write!(f, "the snapshot could not be written: {reason}"),
        }
    }
}

impl Error for SnapshotError {}

/// Where the current or latest snapshot stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SnapshotState {
    /// None has been begun since the start.
    #[default]
    None,
    /// One is being written.
    Writing {
        /// Its LSN.
        lsn: u64,
        /// Bytes that were handed over and are not yet in the file.
        queued_bytes: u64,
    },
    /// It is durable, and old segments may have gone.
    Done {
        /// Its LSN.
        lsn: u64,
        /// Size of its file.
        file_bytes: u64,
    },
    /// It was given up; the journal itself is unharmed.
    Failed(SnapshotError),
}

/// Sizes, for deciding when to write the next snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Record bytes written since the LSN of the newest snapshot.
    pub journal_bytes: u64,
    /// Size of the newest snapshot's file; 0 if there is none.
    pub snapshot_bytes: u64,
}

/// A journal as the engine sees it: disk, PostgreSQL or simulated. No method blocks.
pub trait Journal {
    /// Queues a batch. An error means that it is not in the journal; success says nothing yet: see [`Self::progress`].
    fn append(&self, batch: Batch) -> Result<(), AppendError>;

    /// How far it has come.
    fn progress(&self) -> Progress;

    /// Whether it takes writes.
    fn health(&self) -> Health;

    /// Whether a write whose effects take at most about `bytes` may execute now. Cheap enough to ask for each command.
    fn room(&self, bytes: u64) -> Room;

    /// Bytes appended and not yet written.
    fn queued_bytes(&self) -> u64;

    /// Asks for `lsn` to be made durable at once: a reply waits for what only a relaxed batch would have brought.
    fn hasten(&self, lsn: u64);

    /// Begins a snapshot at `lsn`, which must be the last LSN appended.
    fn snapshot_begin(&self, lsn: u64, time_ms: u64) -> Result<(), SnapshotError>;

    /// Queues bytes of the snapshot. They come back from recovery in pieces cut exactly as here. Stop handing over
    /// while [`Self::snapshot_room`] says no.
    fn snapshot_write(&self, bytes: Vec<u8>) -> Result<(), SnapshotError>;

    /// Whether the queue of snapshot bytes takes more. The journal notifies when it does again.
    fn snapshot_room(&self) -> bool;

    /// Says that all bytes have been handed over. The file takes its place once it and the journal up to its LSN are
    /// durable; old segments go then.
    fn snapshot_finish(&self) -> Result<(), SnapshotError>;

    /// Gives the snapshot up.
    fn snapshot_abort(&self);

    /// Where the current or latest snapshot stands.
    fn snapshot_state(&self) -> SnapshotState;

    /// Lets go of what the newest durable snapshot has made superfluous. The disk journal does so by itself after each
    /// snapshot; calling it again is harmless.
    fn trim(&self);

    /// Sizes for deciding when to write the next snapshot.
    fn sizes(&self) -> Sizes;
}
