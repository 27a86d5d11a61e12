//! What the node does by itself: turns of the engine, the snapshot, and what commands ask the server for.

use std::time::Duration;

use sessile_engine::Action;
use sessile_journal::Journal;

use crate::shard::Shard;
use crate::{clock, snapshots};

/// Time between turns when nothing is urgent.
const TURN: Duration = Duration::from_millis(100);
/// Time between turns while background work waits: a turn is at most 0.1 ms, so this is at most a tenth of a core.
const BUSY_TURN: Duration = Duration::from_millis(1);

/// One turn of the engine and of what is written beside it; gives the time to the next one.
pub(crate) fn turn(shard: &mut Shard) -> Duration {
    let engine = &mut shard.engine;
    engine.set_time(clock::now());
    let busy = engine.tick();
    let tenth = engine.now_ms() / 100;
    if std::mem::replace(&mut shard.sampled_tenth, tenth) != tenth {
        engine.sample_rates();
        if tenth.is_multiple_of(10) {
            engine.check_connections();
        }
    }
    let deadline_ms = engine.next_deadline_ms().map(|at| at.saturating_sub(engine.now_ms()));
    let writing = snapshots::turn(shard);
    shard.after_turn();
    if shard.is_holding_back()
        && let Some(journal) = &shard.journal
    {
        shard.balance(journal.disk.queued_bytes());
    }
    let pause = if busy || writing { BUSY_TURN } else { TURN };
    deadline_ms.map_or(pause, |ms| pause.min(Duration::from_millis(ms.max(1))))
}

/// Does what commands asked the server for.
pub(crate) fn carry_out(shard: &mut Shard) {
    let (actions, lines) = (shard.engine.take_actions(), shard.engine.take_log());
    for (level, line) in lines {
        match level {
            0 | 1 => tracing::debug!("{line}"),
            2 => tracing::info!("{line}"),
            _ => tracing::warn!("{line}"),
        }
    }
    for action in actions {
        match action {
            Action::Shutdown { save, force } => shutdown(shard, save, force),
            Action::Purge => {
                let _ = tikv_jemalloc_ctl::background_thread::write(true);
            }
            Action::ConfigChanged(name) => tracing::info!("{name} was changed"),
        }
    }
}

/// Stops the node: what ran becomes durable first, and `dump.rdb` is written where save points or `save` ask for it. A
/// stop that cannot write it does not happen unless forced.
pub(crate) fn shutdown(shard: &mut Shard, save: Option<bool>, force: bool) {
    let has_points = !shard.engine.config().save_points().is_empty();
    let saves = save.unwrap_or(has_points);
    // Half a transaction must not be in the file: a script that runs past its time is waited for.
    if saves && shard.engine.has_open_transaction() {
        return shard.engine.postpone(Action::Shutdown { save, force });
    }
    if saves {
        snapshots::stop_when_saved(shard, force);
    } else {
        shard.end(Ok(()));
    }
}
