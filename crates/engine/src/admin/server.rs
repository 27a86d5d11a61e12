//! The node: TIME, SAVE and its relatives, SHUTDOWN, ROLE, WAIT, MONITOR, SLAVEOF.

use sessile_command::{Acl, ArgsExt, Arity, Error, Flags, Outcome, is};
use sessile_keyspace::Gate;
use sessile_resp::{Args, Reply};

use super::{ADMIN, docs};
use crate::engine::{Action, Engine};
use crate::session::{ConnId, Waiting};
use crate::table::{SessionCommand, SessionRun};

const PLAIN: Flags = Flags::LOADING.and(Flags::STALE).and(Flags::FAST);
const SAVES: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT).and(Flags::NO_ASYNC_LOADING);

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "bgrewriteaof",
        Arity::Exactly(1),
        SAVES,
        docs("Writes a snapshot of the journal.", "", "1.0.0"),
        SessionRun::Do(bgrewriteaof),
    ),
    SessionCommand::new(
        "bgsave",
        Arity::AtLeast(1),
        SAVES,
        docs("Writes dump.rdb beside the running commands.", "[SCHEDULE]", "1.0.0"),
        SessionRun::Do(bgsave),
    ),
    SessionCommand::new(
        "lastsave",
        Arity::Exactly(1),
        PLAIN,
        docs("Gives when dump.rdb was last written.", "", "1.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            out.int(engine.server.saved_s as i64);
            Ok(())
        }),
    )
    .acl(Acl::ADMIN.and(Acl::DANGEROUS)),
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
        "save",
        Arity::Exactly(1),
        SAVES.and(Flags::NO_MULTI),
        docs("Writes dump.rdb.", "", "1.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            engine.write_dump()?;
            out.ok();
            Ok(())
        }),
    ),
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
            let now_ms = engine.now_ms();
            let us = (engine.stopwatch_us)() % 1000;
            out.array(2);
            out.bulk_int((now_ms / 1000) as i64);
            out.bulk_int((now_ms % 1000 * 1000 + us) as i64);
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

fn bgrewriteaof(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if engine.server.rewriting {
        return Err(Error::new("ERR Background append only file rewriting already in progress"));
    }
    engine.actions.push(Action::Rewrite);
    out.simple("Background append only file rewriting started");
    Ok(())
}

fn bgsave(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 || args.get(1).is_some_and(|a| !is(a, "SCHEDULE")) {
        return Err(Error::SYNTAX);
    }
    engine.write_dump()?;
    out.simple("Background saving started");
    Ok(())
}

fn shutdown(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
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
    let _ = out;
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
    engine.session_mut(conn).waiting = Some(Waiting { gate, deadline_ms });
    Ok(())
}

impl Engine {
    /// SAVE.
    fn write_dump(&mut self) -> Outcome {
        self.save_dump().map_err(|why| Error::text(format!("ERR {why}")))
    }

    /// Effects since `dump.rdb` was last written, and seconds since then or the start.
    pub fn unsaved(&self) -> (u64, u64) {
        let since_ms = (self.server.saved_s * 1000).max(self.stats.started_ms);
        (self.txn.changes - self.server.changes_at_save, self.now_ms().saturating_sub(since_ms) / 1000)
    }

    /// Writes `dump.rdb` as the server was told to; an error is one sentence.
    pub fn save_dump(&mut self) -> Result<(), String> {
        let write = self.server.write_dump;
        let saved = write(&self.config, &self.keyspace, self.now_ms());
        self.server.save_ok = saved.is_ok();
        match saved {
            Ok(()) => {
                self.server.saved_s = self.now_ms() / 1000;
                self.server.saves += 1;
                self.server.changes_at_save = self.txn.changes;
                Ok(())
            }
            Err(why) => Err(why),
        }
    }
}
