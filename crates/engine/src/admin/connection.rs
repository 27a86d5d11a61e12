//! Commands about the connection itself: PING, ECHO, HELLO, AUTH, SELECT, RESET, QUIT.

use sessile_command::{Acl, ArgsExt, Arity, Docs, Error, Flags, Outcome, is};
use sessile_resp::{Args, Proto, Reply};

use crate::engine::Engine;
use crate::pubsub::ping_reply;
use crate::session::{ConnId, ReplyMode};
use crate::table::{SessionCommand, SessionRun};

/// The version whose behaviour this is.
pub const REDIS_VERSION: &str = "7.2.4";

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    run: SessionRun,
) -> SessionCommand {
    let docs = Docs { summary, syntax, since, group: "connection", complexity: "O(1)" };
    SessionCommand::new(name, arity, flags, docs, run).acl(Acl::CONNECTION)
}

const ALWAYS: Flags = Flags::NO_SCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);

/// This file's entries.
pub(super) static COMMANDS: &[SessionCommand] = &[
    entry(
        "auth",
        Arity::AtLeast(2),
        ALWAYS,
        "Authenticates the connection.",
        "[username] password",
        "1.0.0",
        SessionRun::Do(auth),
    ),
    entry(
        "echo",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        "Gives the message back.",
        "message",
        "1.0.0",
        SessionRun::Do(|_, _, args, out| {
            out.bulk(&args[1]);
            Ok(())
        }),
    ),
    entry(
        "hello",
        Arity::AtLeast(1),
        ALWAYS,
        "Chooses the protocol, and authenticates and names the connection.",
        "[protover [AUTH username password] [SETNAME clientname]]",
        "6.0.0",
        SessionRun::Do(hello),
    ),
    entry("ping", Arity::AtLeast(1), Flags::FAST, "Answers.", "[message]", "1.0.0", SessionRun::Do(ping))
        .subscribed(),
    entry("quit", Arity::AtLeast(1), ALWAYS, "Closes the connection.", "", "1.0.0", SessionRun::Do(quit))
        .in_multi()
        .subscribed(),
    entry(
        "reset",
        Arity::Exactly(1),
        ALWAYS,
        "Makes the connection like new.",
        "",
        "6.2.0",
        SessionRun::Do(reset),
    )
    .in_multi()
    .subscribed(),
    entry(
        "select",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        "Selects the db.",
        "index",
        "1.0.0",
        SessionRun::Do(select),
    ),
];

fn ping(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 {
        return Err(Error::arity("ping"));
    }
    ping_reply(engine.session_mut(conn), out, args.get(1));
    Ok(())
}

fn quit(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    engine.session_mut(conn).closing = true;
    out.ok();
    Ok(())
}

fn select(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let index =
        u32::try_from(args.c_int(1)?).ok().filter(|&index| (index as usize) < engine.settings.databases);
    engine.session_mut(conn).db = index.ok_or(Error::new("ERR DB index is out of range"))?;
    out.ok();
    Ok(())
}

fn auth(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {
            if engine.settings.password.is_none() {
                return Err(Error::new(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                     your configuration is correct?",
                ));
            }
            engine.authenticate(conn, b"default", &args[1])?;
        }
        3 => engine.authenticate(conn, &args[1], &args[2])?,
        _ => return Err(Error::SYNTAX),
    }
    out.ok();
    Ok(())
}

fn reset(engine: &mut Engine, conn: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    engine.unwatch(conn);
    engine.unsubscribe_all(conn);
    engine.monitors.remove(&conn);
    let authenticated = engine.settings.password.is_none();
    let session = engine.session_mut(conn);
    session.multi = None;
    session.db = 0;
    session.proto = Proto::Resp2;
    session.authenticated = authenticated;
    session.name.clear();
    session.monitor = false;
    session.no_evict = false;
    session.no_touch = false;
    session.reply_mode = ReplyMode::On;
    out.set_proto(Proto::Resp2);
    out.simple("RESET");
    Ok(())
}

fn hello(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut proto = None;
    if let Some(version) = args.get(1) {
        let version = sessile_values::digits::parse_i64(version)
            .ok_or(Error::new("ERR Protocol version is not an integer or out of range"))?;
        proto = Some(match version {
            2 => Proto::Resp2,
            3 => Proto::Resp3,
            _ => return Err(Error::new("NOPROTO unsupported protocol version")),
        });
    }
    let mut name = None;
    let mut credentials = None;
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - at - 1;
        if is(&args[at], "AUTH") && more >= 2 {
            credentials = Some((&args[at + 1], &args[at + 2]));
            at += 3;
        } else if is(&args[at], "SETNAME") && more >= 1 {
            check_name(&args[at + 1], "names")?;
            name = Some(&args[at + 1]);
            at += 2;
        } else {
            return Err(Error::quoting(&["ERR Syntax error in HELLO option '", "'"], &[&args[at]]));
        }
    }
    if let Some((user, password)) = credentials {
        engine.authenticate(conn, user, password)?;
    }
    if !engine.session_mut(conn).authenticated {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    let session = engine.session_mut(conn);
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    if let Some(proto) = proto {
        session.proto = proto;
        out.set_proto(proto);
    }
    let id = session.id;
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.int(if out.proto() == Proto::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.int(id as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

/// A name or attribute of a connection has no spaces, line ends or other unprintable characters.
pub(crate) fn check_name(name: &[u8], what: &str) -> Outcome {
    if name.iter().all(|b| (b'!'..=b'~').contains(b)) {
        return Ok(());
    }
    Err(Error::text(format!("ERR Client {what} cannot contain spaces, newlines or special characters.")))
}

impl Engine {
    /// Checks a user's password; there is one user, `default`.
    pub(crate) fn authenticate(&mut self, conn: ConnId, user: &[u8], password: &[u8]) -> Outcome {
        let right = match &self.settings.password {
            None => true,
            Some(expected) => equal_in_constant_time(expected, password),
        };
        if user == b"default" && right {
            self.session_mut(conn).authenticated = true;
            return Ok(());
        }
        self.stats.auth_refused += 1;
        Err(Error::new("WRONGPASS invalid username-password pair or user is disabled."))
    }
}

/// Compares without telling by its duration where the difference is.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let mut differs = u8::from(a.len() != b.len());
    for (i, &byte) in b.iter().enumerate() {
        differs |= byte ^ a.get(i % a.len().max(1)).copied().unwrap_or(0);
    }
    differs == 0
}
