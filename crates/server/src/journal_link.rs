//! Between engine and journal: recovery, handing batches over, telling the engine how far the journal has come.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sessile_config::{AppendFsync, table as names};
use sessile_engine::{ConnId, Engine, JournalState};
use sessile_journal::{
    Batch, DiskJournal, DiskOptions, Health, JOURNAL_DIR_NAME, Journal, RECORD_HEADER_LEN, Room,
    SnapshotState, SyncPolicy,
};
use sessile_keyspace::snapshot::Snapshot;
use sessile_keyspace::{Durability, Gate};

use crate::progress::{Lines, Progress, Unit};
use crate::reactor::{Alarm, Reactor};
use crate::shard::Shard;

/// How long a stop waits for the last commit.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// How often progress is looked at that is not announced.
const LOOK: Duration = Duration::from_millis(100);

/// A larger request has to find room on the disk before it is read to its end. Above what one read of a socket adds.
const LARGE_REQUEST_BYTES: u64 = 256 * 1024;

/// Bytes that are encoded at once of what was loaded from a file; nobody is served yet.
const IMPORT_BYTES_A_TURN: usize = 1 << 20;

/// The journal with what the data thread needs around it.
pub(crate) struct JournalLink {
    /// The journal.
    pub disk: DiskJournal,
    /// Whether nothing was ever in it.
    pub fresh: bool,
}

impl JournalLink {
    /// Before commands that `bytes` from a connection complete run: a disk without room refuses them, unexecuted. A large
    /// request that was read because there was none (`lacks_room`) is refused also while it is being looked for again.
    ///
    /// Nobody knows beforehand what a command's effects will take. Those that are larger than all that is ready wait in
    /// the journal's queue, unacknowledged, until the disk has room, and meanwhile others are refused here.
    pub(crate) fn check_room(
        &self,
        engine: &mut Engine,
        conn: ConnId,
        bytes: u64,
        lacks_room: bool,
        overdue: bool,
    ) {
        let refused = matches!(engine.journal_state(), JournalState::Refusing(_));
        let held = engine.session(conn).map_or(0, |session| session.input.len() as u64);
        if held + bytes < engine.expected_input(conn) as u64 {
            return; // It completes nothing that could run.
        }
        let full = match self.disk.room(held + bytes * 2 + 4096) {
            Room::Full => true,
            Room::Preparing => lacks_room,
            Room::Ready => false,
        };
        if (full || overdue) != refused {
            self.tell_health(engine, full, overdue);
        }
    }

    /// What room there is for the large request that is coming in, if it is one. While it is being made the request is
    /// read no further, so that it can be refused before it runs.
    pub(crate) fn room_for(&self, engine: &Engine, conn: ConnId) -> Room {
        match engine.expected_input(conn) as u64 {
            0..=LARGE_REQUEST_BYTES => Room::Ready,
            expected => self.disk.room(expected + LARGE_REQUEST_BYTES),
        }
    }

    /// Whether what has run already finds no room on the disk.
    pub(crate) fn is_stuck(&self) -> bool {
        self.disk.room(0) == Room::Full
    }

    fn tell_health(&self, engine: &mut Engine, full: bool, overdue: bool) {
        let state = match self.disk.health() {
            Health::Ok | Health::Waiting { .. } | Health::Short { .. } if overdue => JournalState::Refusing(
                "more than `journal-pending-max` has waited for the disk longer than `journal-wait-max`"
                    .into(),
            ),
            Health::Ok if full => {
                JournalState::Refusing("the disk is full; free space and it goes on by itself".into())
            }
            // Only who wants more than is ready is refused then.
            Health::Short { .. } if !full => JournalState::Open,
            Health::Ok | Health::Waiting { .. } => JournalState::Open,
            Health::Full { reason } | Health::Short { reason } => {
                JournalState::Refusing(format!("{reason}; then it goes on by itself"))
            }
            dead => JournalState::Failed(dead.to_string()),
        };
        if *engine.journal_state() != state {
            match &state {
                JournalState::Open => tracing::info!("the journal takes writes again"),
                JournalState::Refusing(why) => tracing::error!("writes are refused: {why}"),
                JournalState::Failed(why) => tracing::error!("no write is acknowledged any more: {why}"),
            }
            engine.set_journal_state(state);
        }
    }
}

/// Opens the journal and recovers what it holds; `None` with `appendonly no`. It rings when its progress or health changes.
pub(crate) fn open(engine: &mut Engine, alarm: &Arc<Alarm>) -> Result<Option<JournalLink>, String> {
    let Some(sync) = sync_policy(engine) else {
        tracing::warn!(
            "appendonly no: nothing is journaled, an acknowledged write may be lost with the process"
        );
        return Ok(None);
    };
    let alarm = Arc::clone(alarm);
    let mut options = DiskOptions::default();
    options.log.segment_bytes = engine.config().memory_bytes(names::JOURNAL_SEGMENT_SIZE);
    // A record as large as a segment would leave no room that is certain in any segment, however many are made ready.
    let record_bytes = usize::try_from(options.log.segment_bytes / 8).unwrap_or(usize::MAX);
    options.log.record_payload_bytes = options.log.record_payload_bytes.min(record_bytes);
    refuse_to_start_empty(&engine.config().text(names::APPENDDIRNAME))?;
    let began = Instant::now();
    // Messages name files by whole paths: whoever reads them stands elsewhere.
    let dir = std::env::current_dir().map_err(|error| format!("cannot tell the data directory: {error}"))?;
    let mut progress = reading(&dir.join(JOURNAL_DIR_NAME), "recovering the journal", Lines::Log);
    let opened = DiskJournal::open(&dir, options, Arc::new(move || alarm.ring()), |batch| {
        progress.add((batch.bytes.len() + RECORD_HEADER_LEN) as u64);
        engine.recover(batch.bytes, batch.last_lsn, batch.time_ms)
    });
    drop(progress);
    let (disk, recovery) = opened.map_err(|error| error.to_string())?;
    engine.recovered_up_to(recovery.last_lsn, recovery.time_ms);
    let worth = match sync {
        SyncPolicy::Always => "an acknowledged write survives a crash and a power cut",
        SyncPolicy::EverySecond => {
            "an acknowledged write survives a crash; a power cut may take the last second"
        }
        SyncPolicy::No => {
            "an acknowledged write survives a crash; a power cut may take what the system had not written"
        }
    };
    tracing::info!(
        "recovered {} records up to LSN {} of {}, {}, in {:.3} s; {worth}",
        recovery.records,
        recovery.last_lsn,
        when(recovery.time_ms),
        keys(engine),
        began.elapsed().as_secs_f64(),
    );
    let fresh = recovery.last_lsn == 0 && recovery.snapshot_lsn.is_none();
    Ok(Some(JournalLink { disk, fresh }))
}

/// Makes durable what was loaded from a file before the first transaction: as a snapshot at LSN 0, which is installed
/// as a whole. After a crash on the way the journal is as fresh as before, and the file is loaded again.
pub(crate) fn keep_import(
    engine: &mut Engine,
    journal: &JournalLink,
    reactor: &mut Reactor,
) -> Result<(), String> {
    let began = Instant::now();
    let lost = |error: &dyn std::fmt::Display| format!("what was loaded cannot be journaled: {error}");
    let time_ms = engine.now_ms();
    journal.disk.snapshot_begin(engine.last_lsn(), time_ms).map_err(|error| lost(&error))?;
    engine.keyspace_mut().snapshot_begin();
    let entries = engine.keyspace().snapshot().map_or(0, Snapshot::entries_at_start);
    let mut progress = Progress::new("journaling what was loaded", Unit::Keys, entries, Lines::Log);
    loop {
        while !journal.disk.snapshot_room() {
            await_journal(reactor).map_err(|error| lost(&error))?;
        }
        let (bytes, complete) = engine.keyspace_mut().snapshot_turn(IMPORT_BYTES_A_TURN);
        journal.disk.snapshot_write(bytes).map_err(|error| lost(&error))?;
        progress.set(engine.keyspace().snapshot().map_or(entries, Snapshot::entries));
        if complete.is_some() {
            break;
        }
    }
    journal.disk.snapshot_finish().map_err(|error| lost(&error))?;
    loop {
        match journal.disk.snapshot_state() {
            SnapshotState::Writing { .. } => await_journal(reactor).map_err(|error| lost(&error))?,
            SnapshotState::Done { file_bytes, .. } => {
                let took_s = began.elapsed().as_secs_f64();
                tracing::info!("what was loaded is durable: {file_bytes} bytes, in {took_s:.3} s");
                return Ok(());
            }
            SnapshotState::Failed(error) => return Err(lost(&error)),
            SnapshotState::None => return Err(lost(&"it was given up")),
        }
    }
}

/// Sleeps until the journal rings, or is to be looked at again. For when no socket is served.
fn await_journal(reactor: &mut Reactor) -> std::io::Result<()> {
    reactor.wait(LOOK)?;
    reactor.alarm().answer();
    Ok(())
}

/// How soon a batch must be durable; `None` where nothing is journaled.
fn sync_policy(engine: &Engine) -> Option<SyncPolicy> {
    Some(match (engine.durability()?, engine.config().choice(names::APPENDFSYNC)) {
        (Durability::Relaxed, AppendFsync::No) => SyncPolicy::No,
        (Durability::Relaxed, _) => SyncPolicy::EverySecond,
        _ => SyncPolicy::Always,
    })
}

/// How many keys there are, by type.
fn keys(engine: &Engine) -> String {
    let types = engine.keys_by_type();
    let count: u64 = types.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = types.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if parts.is_empty() { "no keys".into() } else { format!("{count} keys ({})", parts.join(", ")) }
}

/// The progress of reading the journal in `dir`. Its total is about right: segments made ready ahead count as well.
pub(crate) fn reading(dir: &Path, what: &str, lines: Lines) -> Progress {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_read = |name: &str| name.starts_with("segment-") || name.starts_with("snapshot-");
    let counts = files.filter(|file| is_read(&file.file_name().to_string_lossy()));
    let bytes = counts.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    Progress::new(what, Unit::Bytes, bytes, lines)
}

/// A record's time for people: how long ago that is.
fn when(time_ms: u64) -> String {
    let ago_s = crate::clock::now().wall_ms.saturating_sub(time_ms) / 1000;
    if time_ms == 0 { "no time (the journal is new)".into() } else { format!("{ago_s} s ago") }
}

/// Swapping the image must never start empty: what an earlier server left is loaded, or stops the start.
fn refuse_to_start_empty(append_only: &str) -> Result<(), String> {
    let journal = Path::new(JOURNAL_DIR_NAME);
    if !journal.exists() && Path::new(append_only).exists() {
        return Err(format!(
            "the data directory holds an `{append_only}`, which this version cannot read yet; start Redis on it once \
             more, let it SAVE a dump.rdb, and move `{append_only}` away"
        ));
    }
    Ok(())
}

/// Hands the journal what was written since.
pub(crate) fn hand_over(shard: &mut Shard) {
    let Some(journal) = &shard.journal else { return };
    let engine = &mut shard.engine;
    let Some((bytes, last_lsn)) = engine.take_batch() else { return };
    // Asked each time, since CONFIG SET appendfsync may change it.
    let sync = sync_policy(engine).unwrap_or_default();
    let (time_ms, waiting) = (engine.now_ms(), engine.gated_clients());
    let appended = journal.disk.append(Batch { bytes, last_lsn, time_ms, sync, waiting });
    let queued_bytes = journal.disk.queued_bytes();
    engine.server_facts().queued_bytes = queued_bytes;
    shard.balance(queued_bytes);
    if let Err(error) = appended {
        tracing::error!("the journal refused a batch: {error}");
        follow(shard);
    }
}

/// Follows the journal's progress and opens the gates. A write is not announced before its sync; INFO shows how far it is
/// all the same, since this has a turn without a ring as well.
pub(crate) fn follow(shard: &mut Shard) {
    shard.look_again_in(LOOK);
    let Some(journal) = &shard.journal else { return };
    let engine = &mut shard.engine;
    let progress = journal.disk.progress();
    engine.set_time(crate::clock::now());
    engine.advance(Gate { written: progress.written, durable: progress.durable });
    let full = journal.disk.room(4096) == Room::Full;
    journal.tell_health(engine, full, shard.overdue);
    let queued_bytes = journal.disk.queued_bytes();
    let sizes = journal.disk.sizes();
    let facts = engine.server_facts();
    facts.progress = (progress.written, progress.durable);
    facts.syncs_delayed = journal.disk.syncs_delayed();
    facts.queued_bytes = queued_bytes;
    (facts.journal_bytes, facts.snapshot_bytes) = (sizes.journal_bytes, sizes.snapshot_bytes);
    shard.balance(queued_bytes);
    shard.look_for_room();
    shard.after_turn();
}

/// At a stop: everything that ran becomes durable, and its replies leave.
pub(crate) fn finish(shard: &mut Shard, reactor: &mut Reactor) {
    hand_over(shard);
    if let Some(journal) = &shard.journal {
        journal.disk.hasten(shard.engine.last_lsn());
    }
    let until = Instant::now() + STOP_WAIT;
    while shard.is_behind() && Instant::now() < until {
        if let Err(error) = await_journal(reactor) {
            tracing::error!("cannot wait for the journal: {error}");
            break;
        }
        follow(shard);
    }
    follow(shard);
    shard.send_ready();
}
