//! MEMORY: what keys and the node take.

use sessile_command::{ArgsExt, Arity, Error, Flags, Frame, Keys, Outcome, ReadCx, is};
use sessile_resp::{Args, Reply};

use super::docs;
use crate::engine::{Action, Engine};
use crate::session::ConnId;
use crate::table::{SessionCommand, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "memory",
    Arity::AtLeast(2),
    Flags::NONE,
    docs("Shows what takes memory.", "", "4.0.0"),
    SessionRun::Container(SUBCOMMANDS),
)];

static SUBCOMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "doctor",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Says what is wrong.", "", "4.0.0"),
        SessionRun::Do(|_, _, _, out| {
            out.verbatim("txt", b"Memory is accounted by entry; see INFO memory.");
            Ok(())
        }),
    ),
    SessionCommand::new(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        docs("Lists the subcommands.", "", "4.0.0"),
        SessionRun::Do(|_, _, _, out| {
            super::help(
                out,
                "MEMORY",
                &[
                    "DOCTOR",
                    "    Return memory problems reports.",
                    "MALLOC-STATS",
                    "    Return internal statistics report from the memory allocator.",
                    "PURGE",
                    "    Attempt to purge dirty pages for reclamation by the allocator.",
                    "STATS",
                    "    Return information about the memory usage of the server.",
                    "USAGE <key> [SAMPLES <count>]",
                    "    Return memory in bytes used by <key> and its value. Nested values are",
                    "    sampled up to <count> times (default: 5, 0 means sample all).",
                ],
            )
        }),
    ),
    SessionCommand::new(
        "malloc-stats",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Shows the allocator's statistics.", "", "4.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            let allocated = (engine.server.ask_system)().allocated_bytes;
            out.verbatim("txt", format!("allocated {allocated} bytes").as_bytes());
            Ok(())
        }),
    ),
    SessionCommand::new(
        "purge",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Gives freed memory back to the system.", "", "4.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            engine.actions.push(Action::Purge);
            out.ok();
            Ok(())
        }),
    ),
    SessionCommand::new(
        "stats",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Shows what takes memory, in bytes.", "", "4.0.0"),
        SessionRun::Do(stats),
    ),
    SessionCommand::new(
        "usage",
        Arity::AtLeast(3),
        Flags::NONE,
        docs("Gives the bytes that a key takes.", "key [SAMPLES count]", "4.0.0"),
        SessionRun::Do(usage),
    )
    .keys(Keys::Range { first: 2, last: 2, step: 1 }),
];

fn usage(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    for at in (3..args.len()).step_by(2) {
        if !is(&args[at], "SAMPLES") || at + 1 == args.len() || args.int(at + 1)? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    let db = engine.session_mut(conn).db;
    let frame = Frame::new(db, engine.now_ms(), sessile_command::Attempt::MustAnswer);
    let cx = ReadCx::new(&engine.keyspace, &frame);
    match cx.lookup_in(db, cx.key(&args[2])) {
        // The table's place: a word and a control byte, at the usual fill.
        Some(it) => out.int((it.heap_bytes() + 13) as i64),
        None => out.null(),
    }
    engine.session_gate = engine.session_gate.and(frame.gate());
    engine.due.extend(frame.take_due());
    Ok(())
}

fn stats(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let keys: usize = (0..engine.keyspace.db_count() as u32).map(|db| engine.keyspace.db(db).len()).sum();
    let used = engine.used_memory_bytes() + engine.client_bytes();
    let data = engine.keyspace.memory_bytes();
    let rows: [(&str, usize); 11] = [
        ("peak.allocated", engine.stats.peak_bytes),
        ("total.allocated", used),
        ("startup.allocated", engine.stats.base_bytes),
        ("replication.backlog", 0),
        ("clients.normal", engine.client_bytes()),
        ("aof.buffer", engine.txn.bytes.capacity()),
        ("overhead.total", used - engine.keyspace.entry_bytes()),
        ("keys.count", keys),
        ("keys.bytes-per-key", data.checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", engine.keyspace.entry_bytes()),
        ("allocator.allocated", (engine.server.ask_system)().allocated_bytes),
    ];
    out.map(rows.len());
    for (name, value) in rows {
        out.bulk(name.as_bytes());
        out.int(value as i64);
    }
    Ok(())
}
