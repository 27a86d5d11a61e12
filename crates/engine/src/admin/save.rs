//! Files written beside the running commands: SAVE, BGSAVE and LASTSAVE for `dump.rdb`, BGREWRITEAOF for the journal's
//! snapshot. Commands only ask; the server writes, one file at a time, and tells how it went.

use sessile_command::{Acl, Arity, Error, Flags, Outcome, is};
use sessile_resp::{Args, Reply};

use super::docs;
use crate::engine::Engine;
use crate::session::{Awaited, ConnId, Waiting};
use crate::table::{SessionCommand, SessionRun};

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
        Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        docs("Gives when dump.rdb was last written.", "", "1.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            out.int(engine.server.dump.ended_s as i64);
            Ok(())
        }),
    )
    .acl(Acl::ADMIN.and(Acl::DANGEROUS)),
    SessionCommand::new(
        "save",
        Arity::Exactly(1),
        SAVES.and(Flags::NO_MULTI),
        docs("Writes dump.rdb and waits until it is there; others are served meanwhile.", "", "1.0.0"),
        SessionRun::Do(save),
    ),
];

/// A file that is written now and then.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Where it stands.
    pub stage: Stage,
    /// When the last one was complete, or else the node started; seconds since the epoch.
    pub ended_s: u64,
    /// Whether the last one went well; true before the first.
    pub ok: bool,
    /// Files written since the start.
    pub count: u64,
    /// Seconds that the last one took; -1 before the first.
    pub took_s: i64,
    /// Changes to the data when what the last one holds was fixed.
    changes: u64,
    changes_of_running: u64,
}

/// Where the writing of a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody wants it.
    Idle,
    /// It begins when another file is done.
    Wanted,
    /// It is being written, since this time of the engine's clock.
    Running {
        /// Milliseconds since the epoch.
        since_ms: u64,
    },
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `dump.rdb`.
    Dump,
    /// A snapshot of the journal.
    Snapshot,
}

impl Default for Writing {
    fn default() -> Self {
        Self {
            stage: Stage::Idle,
            ended_s: 0,
            ok: true,
            count: 0,
            took_s: -1,
            changes: 0,
            changes_of_running: 0,
        }
    }
}

impl Writing {
    /// Seconds since it began; -1 while it is not being written.
    pub(crate) fn running_s(&self, now_ms: u64) -> i64 {
        match self.stage {
            Stage::Running { since_ms } => (now_ms.saturating_sub(since_ms) / 1000) as i64,
            Stage::Idle | Stage::Wanted => -1,
        }
    }

    /// Asks for it; false if somebody did already.
    pub fn want(&mut self) -> bool {
        let idle = self.stage == Stage::Idle;
        if idle {
            self.stage = Stage::Wanted;
        }
        idle
    }
}

fn bgrewriteaof(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if !engine.settings.journaled {
        return Err(Error::new("ERR there is no journal (appendonly no), so no snapshot of it"));
    }
    if !engine.server.snapshot.want() {
        return Err(Error::new("ERR Background append only file rewriting already in progress"));
    }
    out.simple(match engine.server.dump.stage {
        Stage::Idle => "Background append only file rewriting started",
        _ => "Background append only file rewriting scheduled",
    });
    Ok(())
}

fn bgsave(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 || args.get(1).is_some_and(|a| !is(a, "SCHEDULE")) {
        return Err(Error::SYNTAX);
    }
    engine.want_dump()?;
    // Unlike in Redis the journal's snapshots come by themselves: whoever meets one need not ask again.
    out.simple(match engine.server.snapshot.stage {
        Stage::Idle => "Background saving started",
        _ => "Background saving scheduled",
    });
    Ok(())
}

fn save(engine: &mut Engine, conn: ConnId, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    engine.want_dump()?;
    engine.session_mut(conn).waiting = Some(Waiting { what: Awaited::Dump, deadline_ms: 0 });
    Ok(())
}

impl Engine {
    fn want_dump(&mut self) -> Outcome {
        if self.server.dump.want() {
            Ok(())
        } else {
            Err(Error::new("ERR Background save already in progress"))
        }
    }

    fn writing(&mut self, kind: FileKind) -> &mut Writing {
        match kind {
            FileKind::Dump => &mut self.server.dump,
            FileKind::Snapshot => &mut self.server.snapshot,
        }
    }

    /// Changes that the last `dump.rdb` does not hold, and seconds since it was complete or the node started.
    pub fn unsaved(&self) -> (u64, u64) {
        let since_ms = (self.server.dump.ended_s * 1000).max(self.stats.started_ms);
        (self.txn.changes - self.server.dump.changes, self.now_ms().saturating_sub(since_ms) / 1000)
    }

    /// The server begins to write a file: what it will hold is the state of now.
    pub fn file_begins(&mut self, kind: FileKind) {
        let (since_ms, changes) = (self.now_ms(), self.txn.changes);
        let it = self.writing(kind);
        (it.stage, it.changes_of_running) = (Stage::Running { since_ms }, changes);
    }

    /// The file is complete and durable, or it could not be written: why, in one sentence.
    pub fn file_ends(&mut self, kind: FileKind, outcome: &Result<(), String>) {
        let now_ms = self.now_ms();
        let it = self.writing(kind);
        if let Stage::Running { since_ms } = it.stage {
            it.took_s = (now_ms.saturating_sub(since_ms) / 1000) as i64;
        }
        (it.stage, it.ok) = (Stage::Idle, outcome.is_ok());
        if outcome.is_ok() {
            (it.ended_s, it.changes) = (now_ms / 1000, it.changes_of_running);
            it.count += 1;
        }
        if kind == FileKind::Dump {
            let reply = match outcome {
                Ok(()) => "+OK\r\n".to_owned(),
                Err(why) => format!("-ERR {why}\r\n"),
            };
            self.answer(|it| matches!(it, Awaited::Dump), &reply);
        }
    }

    /// The server is to stop once `dump.rdb` is written, so nothing that the file would lack runs any more; or it cannot
    /// be written, and the node goes on.
    pub fn set_stopping(&mut self, stopping: bool) {
        self.stopping = stopping;
        if !stopping {
            self.answer(|it| matches!(it, Awaited::Stop), "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
            self.resume_held();
        }
    }

    /// Replies to everybody who waits for this.
    fn answer(&mut self, awaited: fn(&Awaited) -> bool, reply: &str) {
        for conn in 0..self.sessions.len() {
            let waits = |it: &Waiting| awaited(&it.what);
            if self.session(conn).and_then(|session| session.waiting.as_ref()).is_some_and(waits) {
                self.unblock(conn);
                self.answer_late(conn, reply.as_bytes());
            }
        }
    }
}
