//! DEBUG: what clients' own tests use.

use sessile_command::{ArgsExt, Arity, Attempt, Error, Frame, Keys, Outcome, ReadCx};
use sessile_config::{ProtectedAction, table as names};
use sessile_resp::{Args, Reply};
use sessile_values::{digits, glob};

use super::{ADMIN, docs};
use crate::engine::Engine;
use crate::session::{Awaited, ConnId, Waiting};
use crate::table::{SessionCommand, SessionFn, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "debug",
    Arity::AtLeast(2),
    ADMIN,
    docs("Helps tests.", "", "1.0.0"),
    SessionRun::Container(SUBCOMMANDS),
)];

const fn sub(
    name: &'static str,
    arity: Arity,
    summary: &'static str,
    syntax: &'static str,
    run: SessionFn,
) -> SessionCommand {
    SessionCommand::new(name, arity, ADMIN, docs(summary, syntax, "1.0.0"), SessionRun::Do(run))
}

const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };

static SUBCOMMANDS: &[SessionCommand] = &[
    sub("change-repl-id", Arity::Exactly(2), "Does nothing here.", "", accept),
    sub("digest", Arity::Exactly(2), "Gives a digest of all data.", "", digest),
    sub("digest-value", Arity::AtLeast(2), "Gives digests of values.", "key [key ...]", digest_value),
    sub("jmap", Arity::Exactly(2), "Does nothing here.", "", accept),
    sub("log", Arity::Exactly(3), "Does nothing here.", "message", accept),
    sub("object", Arity::AtLeast(3), "Describes a key's value.", "key", object).keys(SECOND),
    sub(
        "quicklist-packed-threshold",
        Arity::Exactly(3),
        "Does nothing here: nodes are bounded by bytes.",
        "size",
        accept,
    ),
    sub(
        "reload",
        Arity::AtLeast(2),
        "Writes all data as a snapshot and reads it back.",
        "[NOSAVE] [NOFLUSH]",
        reload,
    ),
    sub(
        "set-active-expire",
        Arity::Exactly(3),
        "Stops or starts active expiry.",
        "<0 | 1>",
        |engine, conn, args, out| {
            allowed(engine, conn)?;
            engine.settings.active_expire = args.int(2)? != 0;
            out.ok();
            Ok(())
        },
    ),
    sub("set-disable-deny-scripts", Arity::Exactly(3), "Does nothing here.", "<0 | 1>", accept),
    sub("sleep", Arity::Exactly(3), "Holds this connection up.", "seconds", sleep),
    sub(
        "stringmatch-len",
        Arity::Exactly(4),
        "Matches a pattern against a long text.",
        "length pattern",
        |engine, conn, args, out| {
            allowed(engine, conn)?;
            let text = vec![b'x'; args.int(2)?.clamp(0, 1 << 20) as usize];
            out.int(i64::from(glob::matches(&args[3], &text, false)));
            Ok(())
        },
    ),
];

fn allowed(engine: &Engine, conn: ConnId) -> Outcome {
    let allowed = match engine.config.choice(names::ENABLE_DEBUG_COMMAND) {
        ProtectedAction::Yes => true,
        ProtectedAction::Local => engine.session(conn).is_some_and(|s| s.peer.loopback),
        ProtectedAction::No => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Error::new(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

fn accept(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    out.ok();
    Ok(())
}

/// Everything goes through the snapshot's encoding and comes back through recovery's `apply`.
fn reload(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    if engine.keyspace.snapshot().is_some() {
        return Err(Error::new("ERR a snapshot is being written: try again when it is done"));
    }
    let fresh =
        engine.keyspace.reloaded().map_err(|error| Error::text(format!("ERR reload failed: {error}")))?;
    engine.keyspace = fresh;
    out.ok();
    Ok(())
}

/// Only the connection that asks sleeps: everybody else is served.
fn sleep(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    let seconds = digits::parse_f64(&args[2]).unwrap_or(0.0).clamp(0.0, 1e6);
    out.ok();
    let deadline_ms = engine.now_ms() + (seconds * 1000.0) as u64;
    if seconds > 0.0 {
        engine.deadlines.insert((deadline_ms, conn));
        engine.session_mut(conn).waiting = Some(Waiting { what: Awaited::Nothing, deadline_ms });
    }
    Ok(())
}

fn object(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    let db = engine.session_mut(conn).db;
    let frame = Frame::new(db, engine.now_ms(), Attempt::MustAnswer);
    let cx = ReadCx::new(&engine.keyspace, &frame);
    let it = cx.lookup_in(db, cx.key(&args[2])).ok_or(Error::NO_KEY)?;
    let encoding = it.value().map_or("raw", sessile_values::Value::encoding);
    out.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{} lru:{} lru_seconds_idle:{}",
        it.heap_bytes(),
        it.access(),
        engine.keyspace.clock.idle_s(it)
    ));
    engine.session_gate = engine.session_gate.and(frame.gate());
    Ok(())
}

fn digest(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    let digest = crate::digest::of_all(&engine.keyspace, engine.now_ms());
    engine.session_gate = engine.session_gate.and(engine.keyspace.pending.newest());
    out.simple(&digest.hex());
    Ok(())
}

fn digest_value(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    allowed(engine, conn)?;
    let db = engine.session_mut(conn).db;
    let frame = Frame::new(db, engine.now_ms(), Attempt::MustAnswer);
    let cx = ReadCx::new(&engine.keyspace, &frame);
    out.array(args.len() - 2);
    for key in args.iter().skip(2) {
        let digest = cx.lookup_in(db, cx.key(key)).map(crate::digest::of_entry).unwrap_or_default();
        out.simple(&digest.hex());
    }
    engine.session_gate = engine.session_gate.and(frame.gate());
    Ok(())
}
