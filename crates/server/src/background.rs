//! What the node does by itself: turns of the engine, the snapshot, and what commands ask the server for.

use std::rc::Rc;
use std::time::Duration;

use sessile_engine::Action;
use sessile_journal::Journal;

use crate::shard::Shard;
use crate::{clock, machine, snapshots};

/// Time between turns when nothing is urgent.
const TURN: Duration = Duration::from_millis(100);
/// Time between turns while background work waits: a turn is at most 0.1 ms, so this is at most a tenth of a core.
const BUSY_TURN: Duration = Duration::from_millis(1);

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
                    machine::keep_facts(engine.server_facts());
                }
            }
            (busy, engine.next_deadline_ms().map(|at| at.saturating_sub(engine.now_ms())))
        };
        let writing = snapshots::turn(&shard);
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

/// Does what commands asked the server for.
pub(crate) fn carry_out(shard: &Shard) {
    let (actions, lines) = {
        let mut engine = shard.engine.borrow_mut();
        (engine.take_actions(), engine.take_log())
    };
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
pub(crate) fn shutdown(shard: &Shard, save: Option<bool>, force: bool) {
    let has_points = !shard.engine.borrow().config().save_points().is_empty();
    if save.unwrap_or(has_points) {
        snapshots::stop_when_saved(shard, force);
    } else {
        shard.end(Ok(()));
    }
}
