//! Channels: who listens, and publishing to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sessile_command::{Arity, Docs, Flags, Keys, Outcome};
use sessile_resp::{Args, Proto, Reply};
use sessile_values::glob;

use crate::engine::Engine;
use crate::session::{ConnId, Session};
use crate::table::{SessionCommand, SessionRun};

/// Who listens to what. Ordered, so that one seed gives one order of delivery.
#[derive(Default)]
pub(crate) struct Pubsub {
    channels: HashMap<Vec<u8>, BTreeSet<ConnId>>,
    shard_channels: HashMap<Vec<u8>, BTreeSet<ConnId>>,
    patterns: BTreeMap<Vec<u8>, BTreeSet<ConnId>>,
}

impl Pubsub {
    /// Number of patterns that somebody listens to.
    pub(crate) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Number of channels that somebody listens to.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Number of shard channels that somebody listens to.
    pub(crate) fn shard_channels(&self) -> usize {
        self.shard_channels.len()
    }
}

/// One of the three ways to listen: what differs between them.
struct Kind {
    subscribed: &'static str,
    unsubscribed: &'static str,
    own: fn(&mut Session) -> &mut std::collections::HashSet<Vec<u8>>,
    count: fn(&Session) -> usize,
    join: fn(&mut Pubsub, Vec<u8>, ConnId),
    leave: fn(&mut Pubsub, &[u8], ConnId),
}

static CHANNEL: Kind = Kind {
    subscribed: "subscribe",
    unsubscribed: "unsubscribe",
    own: |s| &mut s.channels,
    count: Session::subscriptions,
    join: |p, name, conn| {
        p.channels.entry(name).or_default().insert(conn);
    },
    leave: |p, name, conn| leave_map(&mut p.channels, name, conn),
};

static SHARD: Kind = Kind {
    subscribed: "ssubscribe",
    unsubscribed: "sunsubscribe",
    own: |s| &mut s.shard_channels,
    count: |s| s.shard_channels.len(),
    join: |p, name, conn| {
        p.shard_channels.entry(name).or_default().insert(conn);
    },
    leave: |p, name, conn| leave_map(&mut p.shard_channels, name, conn),
};

static PATTERN: Kind = Kind {
    subscribed: "psubscribe",
    unsubscribed: "punsubscribe",
    own: |s| &mut s.patterns,
    count: Session::subscriptions,
    join: |p, name, conn| {
        p.patterns.entry(name).or_default().insert(conn);
    },
    leave: |p, name, conn| {
        if let Some(conns) = p.patterns.get_mut(name) {
            conns.remove(&conn);
            if conns.is_empty() {
                p.patterns.remove(name);
            }
        }
    },
};

fn leave_map(map: &mut HashMap<Vec<u8>, BTreeSet<ConnId>>, name: &[u8], conn: ConnId) {
    if let Some(conns) = map.get_mut(name) {
        conns.remove(&conn);
        if conns.is_empty() {
            map.remove(name);
        }
    }
}

const FLAGS: Flags = Flags::PUBSUB.and(Flags::NO_SCRIPT).and(Flags::LOADING).and(Flags::STALE);

#[expect(clippy::too_many_arguments, reason = "a table row, read as one")]
const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    run: SessionRun,
) -> SessionCommand {
    let docs = Docs {
        summary,
        syntax,
        since,
        group: "pubsub",
        complexity: "O(N) in the channels and listeners named",
    };
    SessionCommand::new(name, arity, flags, docs, run).keys(keys).subscribed()
}

const PUBLISH_FLAGS: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST);
const NO_KEYS: Keys = Keys::None;

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[
    entry(
        "psubscribe",
        Arity::AtLeast(2),
        NO_KEYS,
        FLAGS,
        "Listens to all channels that match a pattern.",
        "pattern [pattern ...]",
        "2.0.0",
        SessionRun::Do(|e, c, a, o| subscribe(e, c, a, o, &PATTERN)),
    ),
    entry(
        "publish",
        Arity::Exactly(3),
        NO_KEYS,
        PUBLISH_FLAGS.and(Flags::MAY_REPLICATE),
        "Sends a message to a channel.",
        "channel message",
        "2.0.0",
        SessionRun::Do(publish),
    ),
    entry(
        "pubsub",
        Arity::AtLeast(2),
        NO_KEYS,
        Flags::NONE,
        "Tells who listens to what.",
        "",
        "2.8.0",
        SessionRun::Container(PUBSUB),
    ),
    entry(
        "punsubscribe",
        Arity::AtLeast(1),
        NO_KEYS,
        FLAGS,
        "Stops listening to patterns.",
        "[pattern [pattern ...]]",
        "2.0.0",
        SessionRun::Do(|e, c, a, o| unsubscribe(e, c, a, o, &PATTERN)),
    ),
    entry(
        "spublish",
        Arity::Exactly(3),
        Keys::ONE,
        PUBLISH_FLAGS.and(Flags::MAY_REPLICATE),
        "Sends a message to a shard channel.",
        "shardchannel message",
        "7.0.0",
        SessionRun::Do(spublish),
    ),
    entry(
        "ssubscribe",
        Arity::AtLeast(2),
        Keys::ALL,
        FLAGS,
        "Listens to shard channels.",
        "shardchannel [shardchannel ...]",
        "7.0.0",
        SessionRun::Do(|e, c, a, o| subscribe(e, c, a, o, &SHARD)),
    ),
    entry(
        "subscribe",
        Arity::AtLeast(2),
        NO_KEYS,
        FLAGS,
        "Listens to channels.",
        "channel [channel ...]",
        "2.0.0",
        SessionRun::Do(|e, c, a, o| subscribe(e, c, a, o, &CHANNEL)),
    ),
    entry(
        "sunsubscribe",
        Arity::AtLeast(1),
        Keys::ALL,
        FLAGS,
        "Stops listening to shard channels.",
        "[shardchannel [shardchannel ...]]",
        "7.0.0",
        SessionRun::Do(|e, c, a, o| unsubscribe(e, c, a, o, &SHARD)),
    ),
    entry(
        "unsubscribe",
        Arity::AtLeast(1),
        NO_KEYS,
        FLAGS,
        "Stops listening to channels.",
        "[channel [channel ...]]",
        "2.0.0",
        SessionRun::Do(|e, c, a, o| unsubscribe(e, c, a, o, &CHANNEL)),
    ),
];

const SUB_FLAGS: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

static PUBSUB: &[SessionCommand] = &[
    entry(
        "channels",
        Arity::AtLeast(2),
        NO_KEYS,
        SUB_FLAGS,
        "Lists channels that somebody listens to.",
        "[pattern]",
        "2.8.0",
        SessionRun::Do(|e, _, a, o| list_channels(a, o, &e.pubsub.channels)),
    ),
    entry(
        "help",
        Arity::Exactly(2),
        NO_KEYS,
        Flags::LOADING.and(Flags::STALE),
        "Lists the subcommands.",
        "",
        "6.2.0",
        SessionRun::Do(|_, _, _, o| {
            crate::admin::help(
                o,
                "PUBSUB",
                &[
                    "CHANNELS [<pattern>]",
                    "    Return the currently active channels matching a <pattern> (default: '*').",
                    "NUMPAT",
                    "    Return number of subscriptions to patterns.",
                    "NUMSUB [<channel> ...]",
                    "    Return the number of subscribers for the specified channels, excluding",
                    "    pattern subscriptions(default: no channels).",
                    "SHARDCHANNELS [<pattern>]",
                    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
                    "SHARDNUMSUB [<shardchannel> ...]",
                    "    Return the number of subscribers for the specified shard level channel(s)",
                ],
            )
        }),
    ),
    entry(
        "numpat",
        Arity::Exactly(2),
        NO_KEYS,
        SUB_FLAGS,
        "Counts patterns that somebody listens to.",
        "",
        "2.8.0",
        SessionRun::Do(|e, _, _, o| {
            o.int(e.pubsub.patterns.len() as i64);
            Ok(())
        }),
    ),
    entry(
        "numsub",
        Arity::AtLeast(2),
        NO_KEYS,
        SUB_FLAGS,
        "Counts the listeners of channels.",
        "[channel [channel ...]]",
        "2.8.0",
        SessionRun::Do(|e, _, a, o| count_listeners(a, o, &e.pubsub.channels)),
    ),
    entry(
        "shardchannels",
        Arity::AtLeast(2),
        NO_KEYS,
        SUB_FLAGS,
        "Lists shard channels that somebody listens to.",
        "[pattern]",
        "7.0.0",
        SessionRun::Do(|e, _, a, o| list_channels(a, o, &e.pubsub.shard_channels)),
    ),
    entry(
        "shardnumsub",
        Arity::AtLeast(2),
        NO_KEYS,
        SUB_FLAGS,
        "Counts the listeners of shard channels.",
        "[shardchannel [shardchannel ...]]",
        "7.0.0",
        SessionRun::Do(|e, _, a, o| count_listeners(a, o, &e.pubsub.shard_channels)),
    ),
];

fn list_channels(args: Args<'_>, out: &mut Reply<'_>, map: &HashMap<Vec<u8>, BTreeSet<ConnId>>) -> Outcome {
    if args.len() > 3 {
        return Err(crate::admin::bad_subcommand(args, "PUBSUB"));
    }
    let pattern = args.get(2);
    let mut names: Vec<&Vec<u8>> =
        map.keys().filter(|n| pattern.is_none_or(|p| glob::matches(p, n, false))).collect();
    names.sort();
    out.array(names.len());
    names.into_iter().for_each(|name| out.bulk(name));
    Ok(())
}

fn count_listeners(args: Args<'_>, out: &mut Reply<'_>, map: &HashMap<Vec<u8>, BTreeSet<ConnId>>) -> Outcome {
    out.array((args.len() - 2) * 2);
    for name in args.iter().skip(2) {
        out.bulk(name);
        out.int(map.get(name).map_or(0, BTreeSet::len) as i64);
    }
    Ok(())
}

fn push_count(out: &mut Reply<'_>, kind: &str, name: Option<&[u8]>, count: usize) {
    out.push(3);
    out.bulk(kind.as_bytes());
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.int(count as i64);
}

fn subscribe(
    engine: &mut Engine,
    conn: ConnId,
    args: Args<'_>,
    out: &mut Reply<'_>,
    kind: &'static Kind,
) -> Outcome {
    let session = engine.session_mut(conn);
    if session.multi.is_some() && out.proto() == Proto::Resp2 {
        return Err(sessile_command::Error::text(format!(
            "ERR {} isn't allowed for a DENY BLOCKING client",
            kind.subscribed.to_ascii_uppercase()
        )));
    }
    for name in args.iter().skip(1) {
        let session = engine.session_mut(conn);
        if (kind.own)(session).insert(name.to_vec()) {
            (kind.join)(&mut engine.pubsub, name.to_vec(), conn);
        }
        let count = (kind.count)(engine.session_mut(conn));
        push_count(out, kind.subscribed, Some(name), count);
    }
    Ok(())
}

fn unsubscribe(
    engine: &mut Engine,
    conn: ConnId,
    args: Args<'_>,
    out: &mut Reply<'_>,
    kind: &'static Kind,
) -> Outcome {
    let session = engine.session_mut(conn);
    let names: Vec<Vec<u8>> = if args.len() > 1 {
        args.iter().skip(1).map(<[u8]>::to_vec).collect()
    } else {
        let mut all: Vec<Vec<u8>> = (kind.own)(session).iter().cloned().collect();
        all.sort();
        all
    };
    if names.is_empty() {
        let count = (kind.count)(engine.session_mut(conn));
        push_count(out, kind.unsubscribed, None, count);
    }
    for name in names {
        if (kind.own)(engine.session_mut(conn)).remove(&name) {
            (kind.leave)(&mut engine.pubsub, &name, conn);
        }
        let count = (kind.count)(engine.session_mut(conn));
        push_count(out, kind.unsubscribed, Some(&name), count);
    }
    Ok(())
}

fn publish(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let receivers = engine.publish(&args[1], &args[2]);
    out.int(receivers as i64);
    Ok(())
}

fn spublish(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let listeners = engine.pubsub.shard_channels.get(&args[1]).cloned().unwrap_or_default();
    for &conn in &listeners {
        engine.enqueue_message(conn, "smessage", None, &args[1], &args[2]);
    }
    out.int(listeners.len() as i64);
    Ok(())
}

impl Engine {
    /// Puts a message for all who listen into the outbox; it leaves with the gate of the running transaction.
    pub(crate) fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(listeners) = self.pubsub.channels.get(channel) {
            for conn in listeners.clone() {
                self.enqueue_message(conn, "message", None, channel, message);
                receivers += 1;
            }
        }
        let matching: Vec<(Vec<u8>, ConnId)> = self
            .pubsub
            .patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel, false))
            .flat_map(|(pattern, conns)| conns.iter().map(|&c| (pattern.clone(), c)))
            .collect();
        for (pattern, conn) in matching {
            self.enqueue_message(conn, "pmessage", Some(&pattern), channel, message);
            receivers += 1;
        }
        receivers
    }

    fn enqueue_message(
        &mut self,
        conn: ConnId,
        kind: &str,
        pattern: Option<&[u8]>,
        channel: &[u8],
        message: &[u8],
    ) {
        let hard_bytes = self.output_hard_bytes(conn);
        let Some(session) = self.sessions[conn].as_deref_mut().filter(|session| !session.killed) else {
            return;
        };
        let mut bytes = Vec::with_capacity(message.len() + channel.len() + 48);
        let mut out = Reply::new(&mut bytes, session.proto);
        out.push(if pattern.is_some() { 4 } else { 3 });
        out.bulk(kind.as_bytes());
        if let Some(pattern) = pattern {
            out.bulk(pattern);
        }
        out.bulk(channel);
        out.bulk(message);
        // A transaction may publish without end: it counts as output from now on.
        session.outbox_bytes += bytes.len();
        let len = (session.output.len() + session.outbox_bytes) as u64;
        self.outbox.push((conn, bytes));
        if len > hard_bytes {
            self.cut_off_output(conn, len, "hard");
        }
    }

    /// Ends all listening of a connection.
    pub(crate) fn unsubscribe_all(&mut self, conn: ConnId) {
        for kind in [&CHANNEL, &PATTERN, &SHARD] {
            let Some(session) = self.sessions[conn].as_deref_mut() else { return };
            for name in std::mem::take((kind.own)(session)) {
                (kind.leave)(&mut self.pubsub, &name, conn);
            }
        }
    }
}

/// PING's reply inside pub/sub mode of RESP2 is a push; elsewhere it is a string.
pub(crate) fn ping_reply(session: &Session, out: &mut Reply<'_>, message: Option<&[u8]>) {
    if session.is_subscriber() && session.proto == Proto::Resp2 {
        out.array(2);
        out.bulk(b"pong");
        out.bulk(message.unwrap_or_default());
    } else if let Some(message) = message {
        out.bulk(message);
    } else {
        out.simple("PONG");
    }
}
