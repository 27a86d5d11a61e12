//! What is written beside the running commands, one at a time: the journal's snapshot, and `dump.rdb`.

use sessile_config::table as names;
use sessile_engine::{Engine, FileKind, Stage};
use sessile_journal::{Batch, Journal, SnapshotState};
use sessile_rdb::Facts;

use crate::dump_writer::{DumpWriter, RdbFraming};
use crate::progress::{Lines, Progress, Unit};
use crate::shard::Shard;

/// Bytes that one turn encodes.
const BYTES_A_TURN: usize = 64 * 1024;
/// After a file could not be written, what comes by itself is not tried again before this: Redis' own bound.
const RETRY_AFTER_S: u64 = 5;

/// What the data thread keeps of it.
#[derive(Default)]
pub(crate) struct Snapshots {
    dump: Option<DumpWriter>,
    /// When what comes by itself may be tried again, seconds since the epoch.
    retry_s: u64,
    last: Last,
    progress: Option<Progress>,
}

/// The file that a stop waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    /// The node runs.
    #[default]
    No,
    /// It begins when the one that is being written is given up.
    Wanted { force: bool },
    /// It is being written.
    Running { force: bool },
}

impl Snapshots {
    /// Whether the keyspace's cursor works for `dump.rdb`.
    fn is_encoding_dump(&self) -> bool {
        self.dump.as_ref().is_some_and(|writer| writer.entries.is_none())
    }

    /// Whether the node stops once a file is written.
    pub(crate) fn are_last(&self) -> bool {
        self.last != Last::No
    }
}

/// Stops the node once `dump.rdb` holds everything. `force`: also if it cannot be written.
pub(crate) fn stop_when_saved(shard: &mut Shard, force: bool) {
    // Asked for again, it goes on: what is being written holds everything already.
    if let Last::Running { force: forced } = shard.snapshots.last {
        shard.snapshots.last = Last::Running { force: forced || force };
        return;
    }
    shard.engine.set_stopping(true);
    shard.snapshots.last = Last::Wanted { force };
    shard.hurry = true;
}

/// Gives up whatever is being written, for the last file.
fn begin_last(shard: &mut Shard, force: bool) {
    let given_up = shard.snapshots.dump.take();
    let engine = &mut shard.engine;
    engine.keyspace_mut().snapshot_abort();
    if let Some(writer) = given_up {
        engine.file_ends(FileKind::Dump, &writer.outcome().map(drop));
    } else if let Some(journal) = &shard.journal {
        journal.disk.snapshot_abort();
    }
    shard.snapshots.progress = None;
    shard.snapshots.last = Last::Running { force };
    begin_dump(shard);
}

/// The last file is written, or cannot be.
fn end_last(shard: &mut Shard, written: bool) {
    let Last::Running { force } = shard.snapshots.last else { return };
    shard.snapshots.last = Last::No;
    if written || force {
        shard.end(Ok(()));
        return;
    }
    tracing::error!(
        "the node does not stop, since what it holds would be lost: mend that, or stop it with FORCE"
    );
    shard.engine.set_stopping(false);
}

/// One turn: goes on with what is being written, or begins what is wanted. True while something goes on.
pub(crate) fn turn(shard: &mut Shard) -> bool {
    note_snapshot_end(shard);
    note_dump_end(shard);
    if let Last::Wanted { force } = shard.snapshots.last {
        begin_last(shard, force);
    }
    show_progress(shard);
    let running = shard.engine.keyspace().snapshot().is_some();
    if running && shard.snapshots.is_encoding_dump() {
        return dump_turn(shard);
    }
    if running {
        return snapshot_turn(shard);
    }
    if shard.snapshots.are_last() {
        return true;
    }
    want_what_is_due(shard);
    if shard.engine.has_open_transaction() {
        return false;
    }
    let facts = shard.engine.server_facts();
    let (snapshot, dump) = (facts.snapshot.stage == Stage::Wanted, facts.dump.stage == Stage::Wanted);
    // Whoever asked for a dump waits for it; the journal's snapshot can come after.
    if dump {
        begin_dump(shard);
    } else if snapshot {
        begin_snapshot(shard);
    }
    snapshot || dump || shard.snapshots.dump.is_some()
}

/// Tells the log now and then how far the file that is being encoded has come.
fn show_progress(shard: &mut Shard) {
    let Some(running) = shard.engine.keyspace().snapshot() else {
        shard.snapshots.progress = None;
        return;
    };
    let what = if shard.snapshots.is_encoding_dump() { "writing dump.rdb" } else { "writing a snapshot" };
    let begin = || Progress::new(what, Unit::Keys, running.entries_at_start(), Lines::LogOnly);
    shard.snapshots.progress.get_or_insert_with(begin).set(running.entries());
}

fn begin_snapshot(shard: &mut Shard) {
    let Some(journal) = &shard.journal else { return };
    let engine = &mut shard.engine;
    let (batch, time_ms) = (engine.take_batch(), engine.now_ms());
    let lsn = engine.last_lsn();
    engine.file_begins(FileKind::Snapshot);
    let begun = match batch.map(|(bytes, last_lsn)| journal.disk.append(Batch::new(bytes, last_lsn, time_ms)))
    {
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(())) | None => journal.disk.snapshot_begin(lsn, time_ms).map_err(|error| error.to_string()),
    };
    match begun {
        Ok(()) => {
            engine.keyspace_mut().snapshot_begin();
            tracing::info!("snapshot at LSN {lsn} begins");
        }
        Err(why) => {
            tracing::warn!("no snapshot: {why}");
            engine.file_ends(FileKind::Snapshot, &Err(why));
        }
    }
}

fn snapshot_turn(shard: &mut Shard) -> bool {
    let Some(journal) = &shard.journal else { return false };
    if !journal.disk.snapshot_room() {
        return true;
    }
    let engine = &mut shard.engine;
    if engine.do_writers_wait() {
        shard.hurry = true;
    }
    let (bytes, entries) = engine.keyspace_mut().snapshot_turn(BYTES_A_TURN);
    let mut result = if bytes.is_empty() { Ok(()) } else { journal.disk.snapshot_write(bytes) };
    if let (Ok(()), Some(entries)) = (&result, entries) {
        tracing::info!("snapshot: {entries} entries handed over");
        result = journal.disk.snapshot_finish();
    }
    if let Err(error) = result {
        tracing::error!("the snapshot was given up: {error}");
        engine.keyspace_mut().snapshot_abort();
        journal.disk.snapshot_abort();
        engine.file_ends(FileKind::Snapshot, &Err(error.to_string()));
    }
    true
}

fn note_snapshot_end(shard: &mut Shard) {
    let Some(journal) = &shard.journal else { return };
    let engine = &mut shard.engine;
    let running = matches!(engine.server_facts().snapshot.stage, Stage::Running { .. });
    let encoding = engine.keyspace().snapshot().is_some() && !shard.snapshots.is_encoding_dump();
    if !running || encoding {
        return;
    }
    let outcome = match journal.disk.snapshot_state() {
        SnapshotState::Writing { .. } => return,
        SnapshotState::Done { lsn, file_bytes } => {
            tracing::info!("snapshot at LSN {lsn} is durable: {file_bytes} bytes; older segments go");
            Ok(())
        }
        SnapshotState::Failed(error) => {
            tracing::error!("the snapshot failed: {error}");
            shard.snapshots.retry_s = engine.now_ms() / 1000 + RETRY_AFTER_S;
            Err(error.to_string())
        }
        SnapshotState::None => Err("it was given up".into()),
    };
    engine.file_ends(FileKind::Snapshot, &outcome);
}

/// Asks for what comes by itself: the journal has grown, a save point is reached.
fn want_what_is_due(shard: &mut Shard) {
    let engine = &mut shard.engine;
    if engine.now_ms() / 1000 < shard.snapshots.retry_s {
        return;
    }
    if is_grown(engine) {
        engine.server_facts().snapshot.want();
    }
    if is_save_point(engine) {
        engine.server_facts().dump.want();
    }
}

/// Whether the journal has grown enough since the last snapshot.
fn is_grown(engine: &Engine) -> bool {
    let config = engine.config();
    let percent = config.int(names::AUTO_AOF_REWRITE_PERCENTAGE) as u64;
    let (journal, snapshot) = engine.journal_sizes();
    percent > 0
        && journal >= config.memory_bytes(names::AUTO_AOF_REWRITE_MIN_SIZE)
        && journal >= snapshot / 100 * percent
}

/// Whether a save point is reached.
fn is_save_point(engine: &Engine) -> bool {
    let (changes, age_s) = engine.unsaved();
    let points = engine.config().save_points();
    changes > 0 && points.iter().any(|it| changes >= it.changes && age_s >= it.seconds)
}

fn begin_dump(shard: &mut Shard) {
    let engine = &mut shard.engine;
    engine.file_begins(FileKind::Dump);
    let path = crate::dump_file::path(engine.config());
    let facts = Facts {
        ctime_s: engine.now_ms() / 1000,
        used_memory: engine.keyspace().memory_bytes() as u64,
        aof_base: false,
        checksum: engine.config().bool(names::RDBCHECKSUM),
    };
    let compress = engine.config().bool(names::RDBCOMPRESSION);
    match DumpWriter::start(path, facts, engine.last_lsn()) {
        Ok(writer) => {
            engine.keyspace_mut().export_begin(Box::<RdbFraming>::default(), compress);
            shard.snapshots.dump = Some(writer);
        }
        Err(why) => {
            tracing::error!("{why}");
            engine.file_ends(FileKind::Dump, &Err(why));
            end_last(shard, false);
        }
    }
}

fn dump_turn(shard: &mut Shard) -> bool {
    let is_last = shard.snapshots.are_last();
    let Some(writer) = shard.snapshots.dump.as_mut().filter(|writer| writer.has_room()) else { return true };
    if is_last || shard.engine.do_writers_wait() {
        // Nobody is kept waiting by turns without a pause.
        shard.hurry = true;
    }
    let (bytes, entries) = shard.engine.keyspace_mut().snapshot_turn(BYTES_A_TURN);
    writer.write(bytes);
    writer.entries = entries;
    true
}

/// Lets a complete file take its place once the journal holds everything in it, and notes how it went.
fn note_dump_end(shard: &mut Shard) {
    let Some(writer) = shard.snapshots.dump.as_mut() else { return };
    if writer.entries.is_some() && !writer.is_published() {
        let durable = shard.journal.as_ref().map_or(u64::MAX, |journal| journal.disk.progress().durable);
        if durable >= writer.lsn {
            writer.publish();
        } else if let Some(journal) = shard.journal.as_ref().filter(|it| it.disk.health().is_alive()) {
            journal.disk.hasten(writer.lsn);
            return;
        }
    }
    let given_up = writer.entries.is_some() && !writer.is_published();
    if writer.is_writing() && !given_up {
        return;
    }
    let Some(writer) = shard.snapshots.dump.take() else { return };
    let engine = &mut shard.engine;
    if writer.entries.is_none() {
        engine.keyspace_mut().snapshot_abort();
    }
    let entries = writer.entries.unwrap_or(0);
    let outcome = writer.outcome();
    match &outcome {
        Ok(bytes) => tracing::info!("dump.rdb is written: {entries} keys, {bytes} bytes"),
        Err(why) => {
            tracing::error!("{why}");
            shard.snapshots.retry_s = engine.now_ms() / 1000 + RETRY_AFTER_S;
        }
    }
    let outcome = outcome.map(drop);
    engine.file_ends(FileKind::Dump, &outcome);
    end_last(shard, outcome.is_ok());
}
