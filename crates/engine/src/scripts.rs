//! EVAL and SCRIPT: Lua scripts, whose effects are one transaction.
//!
//! A script that runs past `busy-reply-threshold` is suspended now and then, so that others are told BUSY and
//! SCRIPT KILL can arrive. Until it ends, its transaction stays open and nobody else's begins. If EXEC ran it, the
//! rest of the queue is kept with it and goes on when it has ended.

use sessile_command::{Acl, Arity, Attempt, Docs, Error, Flags, Keys, Outcome, is};
use sessile_keyspace::Gate;
use sessile_resp::{Args, OwnedArgs, Proto, Reply};
use sessile_script::{
    AclVerdict, Flags as ScriptFlags, Host, Interrupt, Outcome as Ending, Progress, Script,
};

use crate::dispatch::{Caller, Ended};
use crate::engine::Engine;
use crate::session::ConnId;
use crate::table::{Entry, SessionCommand, SessionFn, SessionRun};
use crate::transaction::Exec;

/// How long a suspended script runs at a time, in microseconds.
const SLICE_US: u64 = 1000;

/// The largest reply to a command of a script: as much as Lua may hold.
const REPLY_MAX_BYTES: usize = if cfg!(test) { 1 << 20 } else { 1 << 30 };

const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: SessionRun,
) -> SessionCommand {
    SessionCommand::new(name, arity, flags, docs, run).keys(keys).acl(Acl::SCRIPTING)
}

const fn docs(summary: &'static str, syntax: &'static str, since: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "scripting", complexity: "that of the script" }
}

const EVALS: Flags =
    Flags::NO_SCRIPT.and(Flags::STALE).and(Flags::SKIP_MONITOR).and(Flags::NO_MANDATORY_KEYS);
const WRITES: Flags = EVALS.and(Flags::MAY_REPLICATE);
const KEYS: Keys = Keys::Counted { count: 2, also: 0 };
const BODY: &str = "script numkeys [key [key ...]] [arg [arg ...]]";
const SHA: &str = "sha1 numkeys [key [key ...]] [arg [arg ...]]";

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[
    entry(
        "eval",
        Arity::AtLeast(3),
        KEYS,
        WRITES,
        docs("Runs a script.", BODY, "2.6.0"),
        SessionRun::Do(|e, c, a, o| eval(e, c, a, o, false, false)),
    ),
    entry(
        "eval_ro",
        Arity::AtLeast(3),
        KEYS,
        EVALS,
        docs("Runs a script that only reads.", BODY, "7.0.0"),
        SessionRun::Do(|e, c, a, o| eval(e, c, a, o, false, true)),
    ),
    entry(
        "evalsha",
        Arity::AtLeast(3),
        KEYS,
        WRITES,
        docs("Runs a script by its digest.", SHA, "2.6.0"),
        SessionRun::Do(|e, c, a, o| eval(e, c, a, o, true, false)),
    ),
    entry(
        "evalsha_ro",
        Arity::AtLeast(3),
        KEYS,
        EVALS,
        docs("Runs a script that only reads by its digest.", SHA, "7.0.0"),
        SessionRun::Do(|e, c, a, o| eval(e, c, a, o, true, true)),
    ),
    entry(
        "script",
        Arity::AtLeast(2),
        Keys::None,
        Flags::NONE,
        docs("Manages scripts.", "", "2.6.0"),
        SessionRun::Container(SCRIPT),
    ),
];

const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    summary: &'static str,
    syntax: &'static str,
    run: SessionFn,
) -> SessionCommand {
    entry(name, arity, Keys::None, flags, docs(summary, syntax, "2.6.0"), SessionRun::Do(run))
}

static SCRIPT: &[SessionCommand] = &[
    sub(
        "debug",
        Arity::Exactly(3),
        Flags::NO_SCRIPT,
        "Chooses the debugger's mode.",
        "<YES | SYNC | NO>",
        |_, _, args, out| {
            if !is(&args[2], "NO") {
                return Err(Error::new("ERR the script debugger is not offered: use redis.log"));
            }
            out.ok();
            Ok(())
        },
    ),
    sub(
        "exists",
        Arity::AtLeast(3),
        Flags::NO_SCRIPT,
        "Says which scripts are there.",
        "sha1 [sha1 ...]",
        |engine, _, args, out| {
            out.array(args.len() - 2);
            for sha in args.iter().skip(2) {
                out.int(i64::from(engine.scripts.as_ref().is_some_and(|host| host.exists(sha))));
            }
            Ok(())
        },
    ),
    sub(
        "flush",
        Arity::AtLeast(2),
        Flags::NO_SCRIPT,
        "Forgets all scripts.",
        "[ASYNC | SYNC]",
        |engine, _, args, out| {
            let mode_ok =
                args.len() == 2 || args.len() == 3 && (is(&args[2], "ASYNC") || is(&args[2], "SYNC"));
            if !mode_ok {
                return Err(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
            }
            if let Some(host) = &mut engine.scripts {
                host.flush();
            }
            out.ok();
            Ok(())
        },
    ),
    sub(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        "Lists the subcommands.",
        "",
        |_, _, _, out| {
            crate::admin::help(
                out,
                "SCRIPT",
                &[
                    "DEBUG (YES|SYNC|NO)",
                    "    Set the debug mode for subsequent scripts executed.",
                    "EXISTS <sha1> [<sha1> ...]",
                    "    Return information about the existence of the scripts in the script cache.",
                    "FLUSH [ASYNC|SYNC]",
                    "    Flush the Lua scripts cache. Very dangerous on replicas.",
                    "KILL",
                    "    Kill the currently executing Lua script.",
                    "LOAD <script>",
                    "    Load a script into the scripts cache without executing it.",
                ],
            )
        },
    ),
    sub(
        "kill",
        Arity::Exactly(2),
        Flags::NO_SCRIPT.and(Flags::ALLOW_BUSY),
        "Ends the running script.",
        "",
        kill,
    ),
    sub(
        "load",
        Arity::Exactly(3),
        Flags::NO_SCRIPT.and(Flags::STALE),
        "Keeps a script.",
        "script",
        |engine, _, args, out| {
            let host = engine.scripts.as_mut().ok_or_else(busy)?;
            let script = host
                .load(&args[2])
                .map_err(|error| Error::text([b"ERR ", &error.to_bytes()[..]].concat()))?;
            out.bulk(script.sha());
            Ok(())
        },
    ),
];

/// What others are told while a script runs past its time.
pub(crate) fn busy() -> Error {
    Error::new("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
}

/// A script that is suspended.
pub(crate) struct Running {
    pub(crate) conn: ConnId,
    run: ScriptRun,
    began_us: u64,
    kill: bool,
    /// Its connection went; it is forgotten when the script has ended.
    pub(crate) orphan: bool,
    /// The EXEC that ran it.
    pub(crate) exec: Option<Exec>,
    /// Its own request, which is not noted in the statistics yet.
    pub(crate) unnoted: Option<Unnoted>,
}

/// A request that has not ended, so its time is not noted.
pub(crate) struct Unnoted {
    pub(crate) entry: &'static Entry,
    pub(crate) args: OwnedArgs,
    pub(crate) began_us: u64,
}

/// What a script's calls need to know.
#[derive(Clone)]
struct ScriptRun {
    db: u32,
    read_only: bool,
    wrote: bool,
    gate: Gate,
    /// Memory was short when it began: calls that need more are refused until it has freed some.
    short_of_memory: bool,
    slice_began_us: u64,
}

fn kill(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let Some(running) = &mut engine.running else {
        return Err(Error::new("NOTBUSY No scripts in execution right now."));
    };
    if running.run.wrote {
        return Err(Error::new(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
             script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    running.kill = true;
    out.ok();
    Ok(())
}

fn eval(
    engine: &mut Engine,
    conn: ConnId,
    args: Args<'_>,
    out: &mut Reply<'_>,
    by_sha: bool,
    read_only: bool,
) -> Outcome {
    let count = sessile_values::digits::parse_i64(&args[2]).ok_or(Error::NOT_INTEGER)?;
    if count > args.len() as i64 - 3 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| Error::new("ERR Number of keys can't be negative"))?;
    let host = engine.scripts.as_mut().ok_or_else(busy)?;
    let script = if by_sha {
        host.find(&args[1]).ok_or(Error::new("NOSCRIPT No matching script. Please use EVAL."))?
    } else {
        host.load(&args[1]).map_err(|error| Error::text([b"ERR ", &error.to_bytes()[..]].concat()))?
    };
    let flags = script.flags();
    let may_write = !flags.contains(ScriptFlags::NO_WRITES);
    if read_only && may_write && !flags.contains(ScriptFlags::COMPATIBLE) {
        return Err(Error::new("ERR Can not execute a script with write flag using *_ro command."));
    }
    let read_only = read_only || !may_write;
    let db = engine.session_mut(conn).db;
    let now_us = engine.read_us;
    let run = ScriptRun {
        db,
        read_only,
        wrote: false,
        gate: Gate::OPEN,
        short_of_memory: !flags.contains(ScriptFlags::ALLOW_OOM) && engine.is_short_of_memory(),
        slice_began_us: now_us,
    };
    engine.run_script(conn, &script, run, args.from(3), count, out)
}

/// A script's view of the engine.
struct View<'a> {
    engine: &'a mut Engine,
    conn: ConnId,
    run: &'a mut ScriptRun,
    began_us: u64,
    kill: bool,
    resumed: bool,
}

impl Engine {
    fn run_script(
        &mut self,
        conn: ConnId,
        script: &Script,
        mut run: ScriptRun,
        args: Args<'_>,
        keys: usize,
        out: &mut Reply<'_>,
    ) -> Outcome {
        let mut host = self.scripts.take().ok_or_else(busy)?;
        let began_us = run.slice_began_us;
        let stood_us = self.standing_us;
        self.standing_us = stood_us.or_else(|| Some(self.time_us(began_us)));
        let proto = out.proto();
        let (keys, argv) = (args.first(keys), args.from(keys));
        let mut view = View { engine: self, conn, run: &mut run, began_us, kill: false, resumed: false };
        let progress = host.eval(&mut view, script, keys, argv, proto, out.buffer());
        self.scripts = Some(host);
        // A script's SELECT ends with the script.
        self.session_mut(conn).db = run.db;
        match progress {
            Progress::Done(ending) => {
                self.standing_us = stood_us;
                self.count_failure(ending);
                self.session_gate = self.session_gate.and(run.gate);
            }
            Progress::Suspended => {
                let running =
                    Running { conn, run, began_us, kill: false, orphan: false, exec: None, unnoted: None };
                self.running = Some(running);
                self.session_mut(conn).running_script = true;
                self.standing_ms.get_or_insert(self.clock.now_ms());
            }
        }
        Ok(())
    }

    fn count_failure(&mut self, ending: Ending) {
        if let Ending::Failed { counted: false } = ending {
            self.stats.error_replies += 1;
        }
    }

    /// Lets a suspended script go on for a slice; true while it is not done.
    pub(crate) fn run_on(&mut self) -> bool {
        let Some(mut running) = self.running.take() else { return false };
        let Some(mut host) = self.scripts.take() else { return false };
        let conn = running.conn;
        running.run.slice_began_us = self.read_stopwatch();
        self.txn.observing = self.observing();
        let mut buffer = Vec::new();
        let mut view = View {
            engine: self,
            conn,
            run: &mut running.run,
            began_us: running.began_us,
            kill: running.kill,
            resumed: true,
        };
        let progress = host.resume(&mut view, &mut buffer);
        self.scripts = Some(host);
        match progress {
            Progress::Suspended => {
                self.running = Some(running);
                true
            }
            Progress::Done(ending) => {
                self.count_failure(ending);
                self.note_late(conn, running.unnoted.take());
                self.end_script(running, buffer)
            }
        }
    }

    /// Goes on with what the script was part of; true if a script is suspended again.
    fn end_script(&mut self, running: Running, mut reply: Vec<u8>) -> bool {
        let Running { conn, orphan, run, exec, .. } = running;
        let mut gate = run.gate;
        if let Some(mut exec) = exec {
            exec.add(&reply, gate);
            if !self.run_queued(conn, &mut exec) {
                let next = self.running.as_mut().expect("the queue stops only behind a suspended script");
                (next.exec, next.orphan) = (Some(exec), orphan);
                return true;
            }
            self.note_late(conn, exec.unnoted.take());
            (reply, gate) = exec.into_reply();
        }
        (self.standing_ms, self.standing_us) = (None, None);
        let gate = gate.and(self.finish_transaction(conn, gate));
        let session = self.session_mut(conn);
        session.running_script = false;
        let start = session.output.end();
        session.output.buffer().extend_from_slice(&reply);
        self.answered(conn, start, gate);
        self.run_unblocks();
        if orphan {
            self.disconnect(conn);
        }
        self.resume(usize::MAX);
        false
    }

    /// Notes the time of a request once what it ran has ended.
    fn note_late(&mut self, conn: ConnId, unnoted: Option<Unnoted>) {
        let Some(it) = unnoted else { return };
        let now_us = self.read_stopwatch();
        let ended = Ended::Done { failed: false };
        self.note_time(conn, it.entry, it.args.as_args(), now_us - it.began_us, &ended);
    }

    /// Whether a script is suspended. What it and its EXEC wrote so far is no state to save: it is half a
    /// transaction.
    pub fn has_open_transaction(&self) -> bool {
        self.running.is_some()
    }
}

impl Host for View<'_> {
    fn call(&mut self, args: Args<'_>, proto: Proto, out: &mut Vec<u8>) {
        let start = out.len();
        match self.resolve(args) {
            Ok(entry) => {
                let db = self.engine.session_mut(self.conn).db;
                // `interrupt` has just read it.
                let began_us = self.engine.read_us;
                let reply_max_bytes = REPLY_MAX_BYTES;
                let caller = Caller { db, proto, no_touch: false, in_script: true, reply_max_bytes };
                let (ended, gate) =
                    self.engine.call_as(caller, self.conn, entry, args, Attempt::MustAnswer, out);
                if out.len() - start > REPLY_MAX_BYTES {
                    out.truncate(start);
                    Reply::new(out, proto).error(b"ERR the reply is larger than a script may take");
                }
                self.run.gate = self.run.gate.and(gate);
                self.run.wrote |= entry.command.is_write();
                let now_us = self.engine.read_stopwatch();
                self.engine.note_time(self.conn, entry, args, now_us - began_us, &ended);
                debug_assert!(matches!(ended, Ended::Done { .. }), "a command that must answer does");
            }
            Err(error) => {
                out.truncate(start);
                self.engine.stats.note_refusal(None, &error);
                Reply::new(out, proto).error(error.as_bytes());
            }
        }
    }

    fn log(&mut self, level: i64, message: &[u8]) {
        self.engine.log.push((level, format!("script: {}", String::from_utf8_lossy(message))));
    }

    fn interrupt(&mut self) -> Interrupt {
        if self.kill {
            return Interrupt::Kill;
        }
        let now_us = self.engine.read_stopwatch();
        let past = now_us.saturating_sub(self.began_us) / 1000 >= self.engine.settings.busy_ms;
        let sliced = now_us.saturating_sub(self.run.slice_began_us) >= SLICE_US;
        if past && (sliced || !self.resumed) { Interrupt::Suspend } else { Interrupt::Continue }
    }

    fn acl_check(&mut self, args: Args<'_>) -> AclVerdict {
        match self.engine.find(&args[0]) {
            Some(_) => AclVerdict::Allowed,
            None => AclVerdict::UnknownCommand,
        }
    }
}

impl View<'_> {
    fn resolve(&self, args: Args<'_>) -> Result<&'static Entry, Error> {
        let table = self.engine.table;
        let mut entry =
            self.engine.find(&args[0]).ok_or(Error::new("ERR Unknown Redis command called from script"))?;
        if entry.is_container() && args.len() > 1 {
            entry = table
                .find_sub(entry, &args[1])
                .ok_or(Error::new("ERR Unknown Redis command called from script"))?;
        }
        if !entry.command.arity.admits(args.len()) || entry.only_chooses() {
            return Err(Error::new("ERR Wrong number of args calling Redis command from script"));
        }
        if entry.command.flags.has(Flags::NO_SCRIPT) {
            return Err(Error::new("ERR This Redis command is not allowed from script"));
        }
        // What may be replicated counts as a write here (PFCOUNT, PUBLISH), as in Redis.
        if self.run.read_only && entry.may_write() {
            return Err(Error::new("ERR Write commands are not allowed from read-only scripts."));
        }
        // Only what has written nothing may be refused: half a transaction must not be.
        if entry.command.is_write() {
            if !self.engine.txn.is_dirty() {
                self.engine.check_journal()?;
            }
            self.engine.check_transaction()?;
        }
        let needs = entry.command.flags.has(Flags::DENY_OOM);
        if needs && self.run.short_of_memory && !self.run.wrote && self.engine.is_short_of_memory() {
            return Err(Error::new("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(entry)
    }
}
