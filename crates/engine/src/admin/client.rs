//! CLIENT: what connections are called, who they are, and how they behave.

use sessile_command::{Acl, ArgsExt, Arity, Docs, Error, Flags, Outcome, is};
use sessile_resp::{Args, Proto, Reply};

use super::ADMIN;
use super::connection::check_name;
use crate::engine::Engine;
use crate::session::{ConnId, ReplyMode, Session};
use crate::table::{SessionCommand, SessionFn, SessionRun};

const PLAIN: Flags = Flags::NO_SCRIPT.and(Flags::LOADING).and(Flags::STALE);

const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    run: SessionFn,
) -> SessionCommand {
    let docs = Docs { summary, syntax, since, group: "connection", complexity: "O(1)" };
    SessionCommand::new(name, arity, flags, docs, SessionRun::Do(run)).acl(Acl::CONNECTION)
}

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "client",
    Arity::AtLeast(2),
    Flags::NONE,
    Docs {
        summary: "Manages connections.",
        syntax: "",
        since: "2.4.0",
        group: "connection",
        complexity: "O(1)",
    },
    SessionRun::Container(SUBCOMMANDS),
)];

static SUBCOMMANDS: &[SessionCommand] = &[
    sub(
        "caching",
        Arity::Exactly(3),
        PLAIN,
        "Asks for tracking of the next command.",
        "<YES | NO>",
        "6.0.0",
        caching,
    ),
    sub("getname", Arity::Exactly(2), PLAIN, "Gives the connection's name.", "", "2.6.9", getname),
    sub(
        "getredir",
        Arity::Exactly(2),
        PLAIN,
        "Gives where invalidations go.",
        "",
        "6.0.0",
        |_, _, _, out| {
            out.int(-1);
            Ok(())
        },
    ),
    sub(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        "Lists the subcommands.",
        "",
        "5.0.0",
        |_, _, _, out| super::help(out, "CLIENT", HELP),
    ),
    sub("id", Arity::Exactly(2), PLAIN, "Gives the connection's id.", "", "5.0.0", |engine, conn, _, out| {
        out.int(engine.session_mut(conn).id as i64);
        Ok(())
    }),
    sub(
        "info",
        Arity::Exactly(2),
        PLAIN,
        "Describes the connection.",
        "",
        "6.2.0",
        |engine, conn, _, out| {
            let line = engine.describe(engine.session(conn).expect("it asks"), "client|info".len() - 1);
            out.verbatim("txt", (line + "\n").as_bytes());
            Ok(())
        },
    ),
    sub(
        "kill",
        Arity::AtLeast(3),
        ADMIN,
        "Closes connections.",
        "<ip:port | [<ID client-id | TYPE <NORMAL | MASTER | REPLICA | PUBSUB> | USER username | ADDR ip:port | \
         LADDR ip:port | SKIPME <YES | NO>> ...]>",
        "2.4.0",
        kill,
    ),
    sub(
        "list",
        Arity::AtLeast(2),
        ADMIN,
        "Describes all connections.",
        "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        "2.4.0",
        list,
    ),
    sub(
        "no-evict",
        Arity::Exactly(3),
        ADMIN,
        "Keeps the connection from being closed for memory.",
        "<ON | OFF>",
        "7.0.0",
        |engine, conn, args, out| {
            engine.session_mut(conn).no_evict = on_or_off(&args[2])?;
            out.ok();
            Ok(())
        },
    ),
    sub(
        "no-touch",
        Arity::Exactly(3),
        PLAIN,
        "Keeps the connection's reads from counting as accesses.",
        "<ON | OFF>",
        "7.2.0",
        |engine, conn, args, out| {
            engine.session_mut(conn).no_touch = on_or_off(&args[2])?;
            out.ok();
            Ok(())
        },
    ),
    sub(
        "pause",
        Arity::AtLeast(3),
        ADMIN,
        "Holds commands up for a while.",
        "timeout:integer [WRITE | ALL]",
        "3.0.0",
        pause,
    ),
    sub(
        "reply",
        Arity::Exactly(3),
        PLAIN,
        "Chooses whether replies are sent.",
        "<ON | OFF | SKIP>",
        "3.2.0",
        reply,
    ),
    sub(
        "setinfo",
        Arity::Exactly(4),
        PLAIN,
        "Says which library the client uses.",
        "<LIB-NAME libname | LIB-VER libver>",
        "7.2.0",
        setinfo,
    ),
    sub("setname", Arity::Exactly(3), PLAIN, "Names the connection.", "connection-name", "2.6.9", setname),
    sub("tracking", Arity::AtLeast(3), PLAIN, "Asks for invalidations.", "<ON | OFF>", "6.0.0", tracking),
    sub(
        "trackinginfo",
        Arity::Exactly(2),
        PLAIN,
        "Describes the connection's tracking.",
        "",
        "6.2.0",
        |_, _, _, out| {
            out.map(3);
            out.bulk(b"flags");
            out.set(1);
            out.bulk(b"off");
            out.bulk(b"redirect");
            out.int(-1);
            out.bulk(b"prefixes");
            out.array(0);
            Ok(())
        },
    ),
    sub(
        "unblock",
        Arity::AtLeast(3),
        ADMIN,
        "Ends a connection's wait.",
        "client-id [TIMEOUT | ERROR]",
        "5.0.0",
        unblock,
    ),
    sub("unpause", Arity::Exactly(2), ADMIN, "Lets commands go on.", "", "6.2.0", |engine, _, _, out| {
        engine.unpause();
        out.ok();
        Ok(())
    }),
];

const HELP: &[&str] = &[
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port> | <option> ...",
    "    Kill connections.",
    "LIST [options ...]",
    "    Return information about client connections.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
];

fn on_or_off(arg: &[u8]) -> Result<bool, Error> {
    if is(arg, "ON") {
        Ok(true)
    } else if is(arg, "OFF") {
        Ok(false)
    } else {
        Err(Error::SYNTAX)
    }
}

fn caching(_: &mut Engine, _: ConnId, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(Error::new(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))
}

fn tracking(_: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if on_or_off(&args[2])? {
        return Err(Error::new("ERR CLIENT TRACKING is not offered yet: read without a client-side cache"));
    }
    out.ok();
    Ok(())
}

fn getname(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let name = &engine.session_mut(conn).name;
    if name.is_empty() {
        out.null();
    } else {
        out.bulk(name);
    }
    Ok(())
}

fn setname(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    check_name(&args[2], "names")?;
    engine.session_mut(conn).name = args[2].to_vec();
    out.ok();
    Ok(())
}

fn setinfo(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let session = engine.session_mut(conn);
    let (slot, what) = if is(&args[2], "LIB-NAME") {
        (&mut session.lib_name, "lib-name")
    } else if is(&args[2], "LIB-VER") {
        (&mut session.lib_ver, "lib-ver")
    } else {
        return Err(Error::quoting(&["ERR Unrecognized option '", "'"], &[&args[2]]));
    };
    if !args[3].iter().all(|b| (b'!'..=b'~').contains(b)) {
        return Err(Error::text(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        )));
    }
    *slot = args[3].to_vec();
    out.ok();
    Ok(())
}

fn reply(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let session = engine.session_mut(conn);
    if is(&args[2], "ON") {
        session.reply_mode = ReplyMode::On;
        out.ok();
    } else if is(&args[2], "OFF") {
        session.reply_mode = ReplyMode::Off;
    } else if is(&args[2], "SKIP") {
        if session.reply_mode == ReplyMode::On {
            session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

fn pause(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let writes_only = match args.get(3) {
        None => false,
        Some(mode) if is(mode, "ALL") => false,
        Some(mode) if is(mode, "WRITE") => true,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = args.int(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(Error::NEGATIVE_TIMEOUT);
    }
    engine.pause(ms as u64, writes_only);
    out.ok();
    Ok(())
}

fn unblock(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 4 {
        return Err(super::bad_subcommand(args, "CLIENT"));
    }
    let error = match args.get(3) {
        None => false,
        Some(how) if is(how, "TIMEOUT") => false,
        Some(how) if is(how, "ERROR") => true,
        Some(_) => return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = args.int(2)?;
    let target = engine.all_sessions().find(|(_, s)| s.id as i64 == id).map(|(conn, _)| conn);
    let done = target.is_some_and(|conn| engine.unblock_later(conn, error));
    out.int(i64::from(done));
    Ok(())
}

/// What CLIENT LIST and CLIENT KILL choose by.
#[derive(Default)]
struct Filter {
    ids: Vec<i64>,
    class: Option<Class>,
    user: Option<Vec<u8>>,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    skip_me: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Normal,
    Pubsub,
    Link,
}

impl Filter {
    fn admits(&self, session: &Session) -> bool {
        let class = if session.is_subscriber() { Class::Pubsub } else { Class::Normal };
        (self.ids.is_empty() || self.ids.contains(&(session.id as i64)))
            && self.class.is_none_or(|c| c == class)
            && self.user.as_ref().is_none_or(|u| u == b"default")
            && self.addr.as_ref().is_none_or(|a| a == session.peer.addr.as_bytes())
            && self.laddr.as_ref().is_none_or(|a| a == session.peer.local_addr.as_bytes())
    }
}

fn class(arg: &[u8]) -> Result<Class, Error> {
    if is(arg, "NORMAL") {
        Ok(Class::Normal)
    } else if is(arg, "PUBSUB") {
        Ok(Class::Pubsub)
    } else if is(arg, "MASTER") || is(arg, "REPLICA") || is(arg, "SLAVE") {
        Ok(Class::Link)
    } else {
        Err(Error::quoting(&["ERR Unknown client type '", "'"], &[arg]))
    }
}

fn client_id(args: Args<'_>, at: usize) -> Result<i64, Error> {
    args.int(at).ok().filter(|id| *id > 0).ok_or(Error::new("ERR client-id should be greater than 0"))
}

fn list(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut filter = Filter::default();
    if args.len() == 4 && is(&args[2], "TYPE") {
        filter.class = Some(class(&args[3])?);
    } else if args.len() > 3 && is(&args[2], "ID") {
        for at in 3..args.len() {
            let id = args.int(at).map_err(|_| Error::new("ERR Invalid client ID"))?;
            filter.ids.push(id);
        }
    } else if args.len() != 2 {
        return Err(Error::SYNTAX);
    }
    let mut text = String::new();
    let asked_bytes = args.iter().map(<[u8]>::len).sum();
    // Who was killed is gone for whoever asks, though its socket is closed a moment later.
    for (it, session) in engine.all_sessions().filter(|(_, s)| filter.admits(s) && !s.killed) {
        text += &engine.describe(session, if it == conn { asked_bytes } else { 0 });
        text.push('\n');
    }
    out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn kill(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut filter = Filter { skip_me: true, ..Filter::default() };
    let old_style = args.len() == 3;
    if old_style {
        filter.addr = Some(args[2].to_vec());
        filter.skip_me = false;
    } else {
        let mut at = 2;
        while at < args.len() {
            if at + 1 >= args.len() {
                return Err(Error::SYNTAX);
            }
            let value = &args[at + 1];
            match &args[at] {
                option if is(option, "ID") => filter.ids.push(client_id(args, at + 1)?),
                option if is(option, "TYPE") => filter.class = Some(class(value)?),
                option if is(option, "ADDR") => filter.addr = Some(value.to_vec()),
                option if is(option, "LADDR") => filter.laddr = Some(value.to_vec()),
                option if is(option, "USER") => {
                    if value != b"default" {
                        return Err(Error::quoting(&["ERR No such user '", "'"], &[value]));
                    }
                    filter.user = Some(value.to_vec());
                }
                option if is(option, "SKIPME") && is(value, "YES") => filter.skip_me = true,
                option if is(option, "SKIPME") && is(value, "NO") => filter.skip_me = false,
                _ => return Err(Error::SYNTAX),
            }
            at += 2;
        }
    }
    let targets: Vec<ConnId> = engine
        .all_sessions()
        .filter(|&(c, s)| filter.admits(s) && !s.killed && !(filter.skip_me && c == conn))
        .map(|(c, _)| c)
        .collect();
    for &target in &targets {
        if target == conn {
            engine.session_mut(conn).closing = true;
        } else {
            engine.session_mut(target).killed = true;
            engine.mark_ready(target);
        }
    }
    match (old_style, targets.is_empty()) {
        (true, true) => return Err(Error::new("ERR No such client")),
        (true, false) => out.ok(),
        (false, _) => out.int(targets.len() as i64),
    }
    Ok(())
}

impl Engine {
    /// A connection as CLIENT LIST and CLIENT INFO show it. `asked_bytes` are the arguments of the command that asks,
    /// for the connection that sent it.
    pub(crate) fn describe(&self, session: &Session, asked_bytes: usize) -> String {
        let now_ms = self.now_ms();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let last = session.last_command.map_or("NULL", |e| &e.full_name);
        let (multi, multi_bytes) =
            session.multi.as_ref().map_or((-1, 0), |m| (m.queued.len() as i64, m.bytes));
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} \
             qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll=0 omem={} tot-mem={} events={} cmd={} \
             user=default redir=-1 resp={} lib-name={} lib-ver={}",
            session.id,
            session.peer.addr,
            session.peer.local_addr,
            session.peer.fd,
            text(&session.name),
            now_ms.saturating_sub(session.created_ms) / 1000,
            now_ms.saturating_sub(session.active_ms) / 1000,
            flags(session),
            session.db,
            session.channels.len(),
            session.patterns.len(),
            session.shard_channels.len(),
            multi,
            session.input.len(),
            session.input.capacity() - session.input.len(),
            session.argv_bytes() + asked_bytes,
            multi_bytes,
            session.output.capacity(),
            session.output_peak.0.max(session.output.len()),
            session.output.len(),
            session.output.heap_bytes(),
            session.heap_bytes() + asked_bytes,
            if session.output.is_empty() { "r" } else { "rw" },
            last,
            if session.proto == Proto::Resp3 { 3 } else { 2 },
            text(&session.lib_name),
            text(&session.lib_ver),
        )
    }

    /// CLIENT PAUSE.
    pub(crate) fn pause(&mut self, ms: u64, writes_only: bool) {
        let until_ms = self.now_ms() + ms;
        self.paused_until_ms = self.paused_until_ms.max(until_ms);
        self.paused_writes_only = writes_only;
    }

    /// CLIENT UNPAUSE.
    pub(crate) fn unpause(&mut self) {
        self.paused_until_ms = 0;
        self.resume_held();
    }

    /// Lets go on whose requests were held up, in their connection's input or unread in its socket.
    pub(crate) fn resume_held(&mut self) {
        for conn in 0..self.sessions.len() {
            match self.session(conn).map(|session| session.input.is_empty()) {
                Some(true) => self.mark_ready(conn),
                Some(false) => self.resumable.push_back(conn),
                None => {}
            }
        }
    }

    /// Unblocks after the running command, whose transaction is still open.
    fn unblock_later(&mut self, conn: ConnId, error: bool) -> bool {
        if self.session(conn).is_none_or(|s| s.blocked.is_none()) {
            return false;
        }
        self.unblocks.push((conn, error));
        true
    }
}

fn flags(session: &Session) -> String {
    let mut flags = String::new();
    let all = [
        (session.monitor, 'O'),
        (session.is_subscriber(), 'P'),
        (session.multi.is_some(), 'x'),
        (session.is_waiting() || session.postponed, 'b'),
        (session.watch_failed, 'd'),
        (session.closing, 'c'),
        (session.peer.unix, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    flags.extend(all.iter().filter(|(set, _)| *set).map(|(_, letter)| letter));
    if flags.is_empty() { "N".into() } else { flags }
}
