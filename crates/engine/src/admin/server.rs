//! The node: TIME, SHUTDOWN, ROLE, WAIT and WAITAOF, MONITOR, LOLWUT.

use sessile_command::{Acl, ArgsExt, Arity, Error, Flags, Outcome, is};
use sessile_keyspace::Gate;
use sessile_resp::{Args, Reply};

use super::{ADMIN, docs};
use crate::engine::{Action, Engine};
use crate::session::{Awaited, ConnId, Waiting};
use crate::table::{SessionCommand, SessionRun};

const PLAIN: Flags = Flags::LOADING.and(Flags::STALE).and(Flags::FAST);

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "lolwut",
        Arity::AtLeast(1),
        Flags::FAST,
        docs("Shows the version.", "[VERSION version]", "5.0.0"),
        SessionRun::Do(|_, _, _, out| {
            out.verbatim(
                "txt",
                format!("Sessile {} - Redis ver. {}\n", env!("CARGO_PKG_VERSION"), super::REDIS_VERSION)
                    .as_bytes(),
            );
            Ok(())
        }),
    ),
    SessionCommand::new(
        "monitor",
        Arity::Exactly(1),
        ADMIN,
        docs("Shows every command that runs.", "", "1.0.0"),
        SessionRun::Do(|engine, conn, _, out| {
            if engine.session_mut(conn).in_exec {
                return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
            }
            engine.session_mut(conn).monitor = true;
            engine.monitors.insert(conn);
            out.ok();
            Ok(())
        }),
    ),
    SessionCommand::new(
        "role",
        Arity::Exactly(1),
        PLAIN.and(Flags::NO_SCRIPT),
        docs("Gives the node's role.", "", "2.8.12"),
        SessionRun::Do(|_, _, _, out| {
            out.array(3);
            out.bulk(b"master");
            out.int(0);
            out.array(0);
            Ok(())
        }),
    )
    .acl(Acl::ADMIN.and(Acl::DANGEROUS)),
    SessionCommand::new(
        "shutdown",
        Arity::AtLeast(1),
        ADMIN.and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY),
        docs(
            "Stops the node; nothing acknowledged is lost.",
            "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
            "1.0.0",
        ),
        SessionRun::Do(shutdown),
    ),
    SessionCommand::new(
        "time",
        Arity::Exactly(1),
        PLAIN,
        docs("Gives the time.", "", "2.6.0"),
        SessionRun::Do(|engine, _, _, out| {
            let us = engine.standing_us.unwrap_or_else(|| engine.time_us((engine.stopwatch_us)()));
            out.array(2);
            out.bulk_int((us / 1_000_000) as i64);
            out.bulk_int((us % 1_000_000) as i64);
            Ok(())
        }),
    ),
    SessionCommand::new(
        "wait",
        Arity::Exactly(3),
        Flags::NO_SCRIPT,
        docs("Waits for replicas; there are none.", "numreplicas timeout:integer", "3.0.0"),
        SessionRun::Do(wait),
    )
    .acl(Acl::CONNECTION),
    SessionCommand::new(
        "waitaof",
        Arity::Exactly(4),
        Flags::NO_SCRIPT,
        docs(
            "Waits until what the connection wrote is durable.",
            "numlocal numreplicas timeout:integer",
            "7.2.0",
        ),
        SessionRun::Do(waitaof),
    )
    .acl(Acl::CONNECTION),
];

fn shutdown(engine: &mut Engine, conn: ConnId, args: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    let mut save = None;
    let mut force = false;
    for option in args.iter().skip(1) {
        match option {
            _ if is(option, "NOSAVE") && save.is_none() => save = Some(false),
            _ if is(option, "SAVE") && save.is_none() => save = Some(true),
            _ if is(option, "FORCE") => force = true,
            _ if is(option, "NOW") => {}
            _ if is(option, "ABORT") && args.len() == 2 => {
                return Err(Error::new("ERR No shutdown in progress."));
            }
            _ => return Err(Error::SYNTAX),
        }
    }
    if engine.has_open_transaction() && save != Some(false) {
        return Err(crate::scripts::busy());
    }
    // The client sees its connection end, as it does with Redis: there is no reply to a stop that works.
    engine.session_mut(conn).waiting = Some(Waiting { what: Awaited::Stop, deadline_ms: 0 });
    engine.actions.push(Action::Shutdown { save, force });
    Ok(())
}

fn wait(_: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    args.int(1)?;
    let timeout = args.int(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(Error::NEGATIVE_TIMEOUT);
    }
    out.int(0);
    Ok(())
}

fn waitaof(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let local = args
        .int(1)
        .ok()
        .filter(|n| (0..=1).contains(n))
        .ok_or(Error::new("ERR value is out of range, value must between 0 and 1"))?;
    let replicas = args.int(2)?;
    let timeout = args.int(3).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(Error::NEGATIVE_TIMEOUT);
    }
    if local > 0 && !engine.settings.journaled {
        return Err(Error::new(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let seen = engine.session_mut(conn).seen;
    // What a relaxed class only wrote is waited for as well: the question is what is durable.
    let gate = Gate { written: 0, durable: seen.durable.max(seen.written) };
    let durable = gate.passes(engine.keyspace.pending.progress());
    if durable && replicas == 0 || engine.session_mut(conn).in_exec {
        out.array(2);
        out.int(i64::from(durable));
        out.int(0);
        return Ok(());
    }
    let deadline_ms = if timeout == 0 { 0 } else { engine.now_ms() + timeout as u64 };
    if deadline_ms > 0 {
        engine.deadlines.insert((deadline_ms, conn));
    }
    engine.session_mut(conn).waiting = Some(Waiting { what: Awaited::Durable(gate), deadline_ms });
    Ok(())
}
