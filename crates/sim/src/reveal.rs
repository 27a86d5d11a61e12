//! What a request's reply may tell, found from the request alone: the keys in its arguments, or whole dbs.

use sessile_engine::{Engine, Entry, Session, Table};
use sessile_resp::{Args, OwnedArgs, Value, decode};

use crate::generate;
use crate::model::Model;

/// Errors that tell something about data. Others are decided before any lookup.
const TELLING: &[&[u8]] = &[
    b"-WRONGTYPE",
    b"-BUSYGROUP",
    b"-NOGROUP",
    b"-BUSYKEY",
    b"-FAILED",
    b"-ERR no such key",
    b"-ERR hash value is not",
    b"-ERR index out of range",
    b"-ERR The ID specified in X",
];

/// They may stop before they have looked at all of their keys, or have a destination that the reply does not tell of.
const STOPS_EARLY: &[&str] = &[
    "sinter",
    "sintercard",
    "sdiff",
    "sinterstore",
    "sdiffstore",
    "sunionstore",
    "lmpop",
    "zmpop",
    "blpop",
    "brpop",
    "blmpop",
    "bzmpop",
    "bzpopmin",
    "bzpopmax",
    "msetnx",
    "smove",
    "lmove",
    "rpoplpush",
    "blmove",
    "brpoplpush",
    "rename",
    "renamenx",
    "copy",
    "zunionstore",
    "zinterstore",
    "zdiffstore",
    "zrangestore",
    "bitop",
    "pfmerge",
    "sort",
    "geosearchstore",
    "mset",
];

/// They look at all of their keys, whatever the types.
const LOOKS_AT_ALL: &[&str] = &["mget", "exists", "del", "unlink", "touch"];

/// A db and a key in it.
type Place = (u32, Vec<u8>);

/// What one command looks at.
#[derive(Clone, Debug, Default)]
pub struct Reveal {
    keys: Vec<Place>,
    dbs: Vec<u32>,
    stops_early: bool,
    /// It is for data: transactions that it ran belong to its reply.
    pub for_data: bool,
    /// It publishes what its connection knows.
    pub publishes: bool,
    /// For EXEC: what it runs, and the keys under WATCH.
    pub exec: Option<(Vec<Reveal>, Vec<Place>)>,
}

impl Reveal {
    /// What a request on this connection may tell.
    #[must_use]
    pub fn of(session: &Session, args: &[Vec<u8>]) -> Self {
        let mut owned = OwnedArgs::new();
        args.iter().for_each(|arg| owned.push(arg));
        let table = Table::get();
        let Some(entry) = table.find(&args[0]) else { return Self::default() };
        if args.iter().any(|arg| arg == generate::BROKEN_WORD) {
            return Self::default();
        }
        let entry = args.get(1).and_then(|sub| table.find_sub(entry, sub)).unwrap_or(entry);
        if entry.full_name == "exec" {
            let Some(multi) = &session.multi else { return Self::default() };
            let one = |entry: &Entry, args: &OwnedArgs| {
                let it = Self::one(session.db, entry, args.as_args());
                // An error inside EXEC's reply is not told apart, and whoever met one has not looked further.
                let all = LOOKS_AT_ALL.contains(&entry.full_name.as_str());
                Self { stops_early: it.stops_early || !all, ..it }
            };
            let queued = multi.queued.iter().map(|(entry, args)| one(entry, args)).collect();
            let watched = session.watched.keys().cloned().collect();
            return Self { exec: Some((queued, watched)), ..Self::default() };
        }
        if session.multi.is_some() && !entry.runs_in_multi {
            return Self::default();
        }
        Self::one(session.db, entry, owned.as_args())
    }

    fn one(db: u32, entry: &Entry, args: Args<'_>) -> Self {
        let name = entry.full_name.as_str();
        if name == "publish" || name == "spublish" {
            return Self { publishes: true, ..Self::default() };
        }
        let wide = matches!(name, "keys" | "scan" | "dbsize" | "randomkey");
        let script = matches!(name, "eval" | "eval_ro");
        if entry.session.is_some() && !script {
            return Self::default();
        }
        // To copy or move a key onto itself is refused before it is looked up.
        if name == "copy" && args.get(1) == args.get(2) || name == "move" && db == 1 {
            return Self { for_data: true, ..Self::default() };
        }
        let places = entry.command.keys.find(args).unwrap_or_default();
        Self {
            keys: places.into_iter().filter_map(|place| Some((db, args.get(place)?.to_vec()))).collect(),
            dbs: if wide { vec![db] } else { Vec::new() },
            stops_early: STOPS_EARLY.contains(&name),
            for_data: true,
            publishes: false,
            exec: None,
        }
    }

    /// What the blocked command of a session looks at.
    #[must_use]
    pub fn of_blocked(session: &Session) -> Option<Self> {
        let blocked = session.blocked.as_ref()?;
        Some(Self::one(blocked.db, blocked.entry, blocked.args.as_args()))
    }

    /// Whether transactions that it ran belong to its reply.
    #[must_use]
    pub fn runs_data(&self) -> bool {
        self.for_data || self.exec.as_ref().is_some_and(|(queued, _)| queued.iter().any(|it| it.for_data))
    }

    /// Whether it sends messages.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.publishes || self.exec.as_ref().is_some_and(|(queued, _)| queued.iter().any(|it| it.publishes))
    }

    /// The newest LSN, at most `until`, that its reply depends on. Keys that read as absent because they are due while
    /// no expiry can be journaled tell nothing.
    #[must_use]
    pub fn needs(&self, model: &Model, until: u64, refusing_at_ms: Option<u64>) -> u64 {
        if let Some((queued, watched)) = &self.exec {
            let needs = |it: &Self| it.needs(model, until, refusing_at_ms);
            return queued
                .iter()
                .map(needs)
                .max()
                .unwrap_or(0)
                .max(Self::needs_of_watched(model, watched, until));
        }
        let told = |it: &&Place| refusing_at_ms.is_none_or(|now_ms| !model.is_due(it.0, &it.1, now_ms));
        let keys = self.keys.iter().filter(told).map(|(db, key)| model.changed(*db, key, until));
        let keys = if self.stops_early { keys.min() } else { keys.max() };
        let dbs = self.dbs.iter().map(|&db| model.db_changed(db, until)).max();
        keys.unwrap_or(0).max(dbs.unwrap_or(0))
    }

    /// As [`Reveal::needs`], of an error: whoever met one has not looked further.
    #[must_use]
    pub fn needs_of_error(&self, model: &Model, until: u64, refusing_at_ms: Option<u64>) -> u64 {
        Self { stops_early: true, ..self.clone() }.needs(model, until, refusing_at_ms)
    }

    /// The newest LSN, at most `until`, that an EXEC refused by WATCH depends on.
    #[must_use]
    pub fn needs_when_watch_failed(&self, model: &Model, until: u64) -> u64 {
        self.exec.as_ref().map_or(0, |(_, watched)| Self::needs_of_watched(model, watched, until))
    }

    fn needs_of_watched(model: &Model, watched: &[Place], until: u64) -> u64 {
        watched.iter().map(|(db, key)| model.changed(*db, key, until)).max().unwrap_or(0)
    }
}

/// Whether a reply that begins with these bytes tells something about data.
#[must_use]
pub fn tells(reply: &[u8]) -> bool {
    !reply.starts_with(b"-") || TELLING.iter().any(|error| reply.starts_with(error))
}

/// The key whose miss a push tells of. That depends on this key alone, whatever else its command looked at.
#[must_use]
pub fn missed(push: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (value, _) = decode(push).ok()??;
    let (Value::Array(parts) | Value::Push(parts)) = value else { return None };
    let [.., Value::Bulk(channel), Value::Bulk(message)] = &parts[..] else { return None };
    let (kind, name) = std::str::from_utf8(channel).ok()?.split_once("__:")?;
    let (kind, db) = kind.split_once('@')?;
    let key = match kind {
        "__keyspace" if message == b"keymiss" => name.as_bytes(),
        "__keyevent" if name == "keymiss" => message,
        _ => return None,
    };
    Some((db.parse().ok()?, key.to_vec()))
}

/// Whether a connection waits in a blocking command.
#[must_use]
pub fn is_blocked(engine: &Engine, conn: usize) -> bool {
    engine.session(conn).is_some_and(|session| session.blocked.is_some())
}
