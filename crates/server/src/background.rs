//! What the node does by itself: turns of the engine, the snapshot, and what commands ask the server for.

use std::rc::Rc;
use std::time::Duration;

use sessile_config::table as names;
use sessile_engine::Action;
use sessile_journal::{Journal, SnapshotState};

use crate::clock;
use crate::shard::Shard;

/// Time between turns when nothing is urgent.
const TURN: Duration = Duration::from_millis(100);
/// Time between turns while background work waits: a turn is at most 0.1 ms, so this is at most a tenth of a core.
const BUSY_TURN: Duration = Duration::from_millis(1);
/// Bytes of a snapshot that one turn encodes.
const SNAPSHOT_BYTES_A_TURN: usize = 64 * 1024;

/// Runs the engine's turns.
pub(crate) async fn turns(shard: Rc<Shard>) {
    let mut second = 0u64;
    loop {
        let (busy, deadline_ms) = {
            let mut engine = shard.engine.borrow_mut();
            engine.set_time(clock::now());
            let busy = engine.tick();
            let now_s = engine.now_ms() / 100;
            if now_s != second {
                second = now_s;
                engine.sample_rates();
                if now_s.is_multiple_of(10) {
                    engine.check_connections();
                }
            }
            (busy, engine.next_deadline_ms().map(|at| at.saturating_sub(engine.now_ms())))
        };
        let writing = snapshot_turn(&shard);
        save_if_due(&shard);
        shard.after_turn();
        let pause = if busy || writing { BUSY_TURN } else { TURN };
        let pause = deadline_ms.map_or(pause, |ms| pause.min(Duration::from_millis(ms.max(1))));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Sockets have their turn first.
            () = shard.hurry.notified() => tokio::task::yield_now().await,
        }
        if shard.is_holding_back()
            && let Some(journal) = &shard.journal
        {
            shard.balance(journal.disk.queued_bytes());
        }
    }
}

/// Share of the machine's memory that data may take where `maxmemory` is not set: writes are refused before the
/// kernel kills.
const CEILING_PERCENT: u64 = 85;

/// What the machine or its control group has, in bytes.
pub(crate) fn memory_of_machine() -> u64 {
    let whole = rustix::system::sysinfo().totalram as u64;
    let limit = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group =
        limit("/sys/fs/cgroup/memory.max").or_else(|| limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    group.map_or(whole, |group| group.min(whole))
}

/// What data may take there.
pub(crate) fn memory_ceiling() -> u64 {
    memory_of_machine() / 100 * CEILING_PERCENT
}

/// Begins a snapshot of the journal. Says why not.
fn begin_snapshot(shard: &Shard) -> Result<(), String> {
    let Some(journal) = &shard.journal else { return Err("there is no journal (appendonly no)".into()) };
    let mut engine = shard.engine.borrow_mut();
    if engine.keyspace().snapshot().is_some() {
        return Err("one is being written already".into());
    }
    if let Some((bytes, last_lsn)) = engine.take_batch() {
        let time_ms = engine.now_ms();
        let batch = sessile_journal::Batch::new(bytes, last_lsn, time_ms);
        journal.disk.append(batch).map_err(|error| error.to_string())?;
    }
    let (lsn, time_ms) = (engine.last_lsn(), engine.now_ms());
    journal.disk.snapshot_begin(lsn, time_ms).map_err(|error| error.to_string())?;
    engine.keyspace_mut().snapshot_begin();
    engine.server_facts().rewriting = true;
    tracing::info!("snapshot at LSN {lsn} begins");
    Ok(())
}

/// One turn of the snapshot; true while it goes on.
fn snapshot_turn(shard: &Shard) -> bool {
    let Some(journal) = &shard.journal else { return false };
    let mut engine = shard.engine.borrow_mut();
    if engine.keyspace().snapshot().is_none() {
        let grown = is_grown(&engine);
        let writing = engine.server_facts().rewriting;
        drop(engine);
        if writing {
            note_snapshot_end(shard);
        } else if grown && let Err(why) = begin_snapshot(shard) {
            tracing::warn!("no snapshot: {why}");
        }
        return false;
    }
    if !journal.disk.snapshot_room() {
        return true;
    }
    let (bytes, entries) = engine.keyspace_mut().snapshot_turn(SNAPSHOT_BYTES_A_TURN);
    let mut result = if bytes.is_empty() { Ok(()) } else { journal.disk.snapshot_write(bytes) };
    if let (Ok(()), Some(entries)) = (&result, entries) {
        tracing::info!("snapshot: {entries} entries handed over");
        result = journal.disk.snapshot_finish();
    }
    if let Err(error) = result {
        tracing::error!("the snapshot was given up: {error}");
        engine.keyspace_mut().snapshot_abort();
        journal.disk.snapshot_abort();
        let facts = engine.server_facts();
        (facts.rewriting, facts.rewrite_ok) = (false, false);
    }
    true
}

fn note_snapshot_end(shard: &Shard) {
    let Some(journal) = &shard.journal else { return };
    let mut engine = shard.engine.borrow_mut();
    let facts = engine.server_facts();
    match journal.disk.snapshot_state() {
        SnapshotState::Writing { .. } => {}
        SnapshotState::Done { lsn, file_bytes } => {
            (facts.rewriting, facts.rewrite_ok) = (false, true);
            facts.rewrites += 1;
            tracing::info!("snapshot at LSN {lsn} is durable: {file_bytes} bytes; older segments go");
        }
        SnapshotState::Failed(error) => {
            (facts.rewriting, facts.rewrite_ok) = (false, false);
            tracing::error!("the snapshot failed: {error}");
        }
        SnapshotState::None => facts.rewriting = false,
    }
}

/// Whether the journal has grown enough since the last snapshot.
fn is_grown(engine: &sessile_engine::Engine) -> bool {
    let config = engine.config();
    let percent = config.int(names::AUTO_AOF_REWRITE_PERCENTAGE) as u64;
    let (journal, snapshot) = engine.journal_sizes();
    percent > 0
        && journal >= config.memory_bytes(names::AUTO_AOF_REWRITE_MIN_SIZE)
        && journal >= snapshot / 100 * percent
}

/// Does what commands asked the server for.
pub(crate) fn carry_out(shard: &Shard) {
    let (actions, lines) = {
        let mut engine = shard.engine.borrow_mut();
        (engine.take_actions(), engine.take_log())
    };
    for (level, line) in lines {
        match level {
            0 | 1 => tracing::debug!("script: {line}"),
            2 => tracing::info!("script: {line}"),
            _ => tracing::warn!("script: {line}"),
        }
    }
    for action in actions {
        match action {
            Action::Rewrite => {
                if let Err(why) = begin_snapshot(shard) {
                    tracing::warn!("no snapshot: {why}");
                }
            }
            Action::Shutdown { save, force } => shutdown(shard, save, force),
            Action::Purge => {
                let _ = tikv_jemalloc_ctl::background_thread::write(true);
            }
            Action::ConfigChanged(name) => tracing::info!("{name} was changed"),
        }
    }
}

/// Stops the node: what ran becomes durable first. Without a journal `dump.rdb` is the state, and is written as
/// configured or asked for; a stop that cannot write it does not happen unless forced.
pub(crate) fn shutdown(shard: &Shard, save: Option<bool>, force: bool) {
    let mut engine = shard.engine.borrow_mut();
    let keeps = shard.journal.is_none() && !engine.config().save_points().is_empty();
    if save.unwrap_or(keeps)
        && let Err(why) = engine.save_dump()
    {
        tracing::error!("{why}");
        if !force {
            return;
        }
    }
    drop(engine);
    shard.end(Ok(()));
}

/// Without a journal: writes `dump.rdb` when a save point is reached.
fn save_if_due(shard: &Shard) {
    if shard.journal.is_some() {
        return;
    }
    let mut engine = shard.engine.borrow_mut();
    let (changes, age_s) = engine.unsaved();
    let due = engine.config().save_points().iter().any(|p| changes >= p.changes && age_s >= p.seconds);
    if due && changes > 0 {
        match engine.save_dump() {
            Ok(()) => tracing::info!("dump.rdb was written after {changes} changes"),
            Err(why) => tracing::error!("{why}"),
        }
    }
}
