//! Keys, whatever they hold: DEL, EXISTS, KEYS, RENAME, COPY, MOVE; and whole dbs: DBSIZE, FLUSHALL, SWAPDB.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Cause, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Key, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx, is,
};
use sessile_values::{digits, glob};

use crate::dump::exact_payload_of;

const FAST: Flags = Flags::FAST;
const NONE: Flags = Flags::NONE;
const DANGEROUS: Acl = Acl::KEYSPACE.and(Acl::DANGEROUS);
const NO_SUCH_DB: Error = Error::new("ERR DB index is out of range");
const SAME_OBJECT: Error = Error::new("ERR source and destination objects are the same");

const fn entry(name: &'static str, arity: Arity, keys: Keys, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys, acl: Acl::KEYSPACE, flags, docs, run }
}

const fn dangerous(name: &'static str, arity: Arity, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys: Keys::None, acl: DANGEROUS, flags, docs, run }
}

const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "generic", complexity }
}

const fn server(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "server", complexity }
}

const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "copy",
        Arity::AtLeast(3),
        TWO_KEYS,
        Flags::DENY_OOM,
        docs(
            "Copies a key's value and expiry to another key.",
            "source destination [DB destination-db] [REPLACE]",
            "6.2.0",
            "O(N) in the value's size",
        ),
        Run::Write(copy),
    ),
    entry(
        "dbsize",
        Arity::Exactly(1),
        Keys::None,
        FAST,
        server("Gives the number of keys in the db.", "", "1.0.0", "O(1)"),
        Run::Read(|cx, _, out| {
            out.int(cx.whole_db(cx.db()).len() as i64);
            Ok(())
        }),
    ),
    entry(
        "del",
        Arity::AtLeast(2),
        Keys::ALL,
        NONE,
        docs(
            "Removes keys.",
            "key [key ...]",
            "1.0.0",
            "O(N) in the keys; large values are freed bit by bit",
        ),
        Run::Write(del),
    ),
    entry(
        "exists",
        Arity::AtLeast(2),
        Keys::ALL,
        FAST,
        docs(
            "Counts which of the keys exist, repeated ones repeatedly.",
            "key [key ...]",
            "1.0.0",
            "O(N) in the keys",
        ),
        Run::Read(exists),
    ),
    dangerous(
        "flushall",
        Arity::AtLeast(1),
        NONE,
        server("Removes all keys of all dbs.", "[ASYNC | SYNC]", "1.0.0", "O(1); freed bit by bit"),
        Run::Write(flushall),
    ),
    dangerous(
        "flushdb",
        Arity::AtLeast(1),
        NONE,
        server("Removes all keys of the db.", "[ASYNC | SYNC]", "1.0.0", "O(1); freed bit by bit"),
        Run::Write(flushdb),
    ),
    dangerous(
        "keys",
        Arity::Exactly(2),
        NONE,
        docs("Gives all keys that match a pattern.", "pattern", "1.0.0", "O(N) in the db's keys"),
        Run::Read(keys),
    ),
    entry(
        "move",
        Arity::Exactly(3),
        Keys::ONE,
        FAST,
        docs("Moves a key to another db.", "key db", "1.0.0", "O(N) in the value's size"),
        Run::Write(move_key),
    ),
    entry(
        "randomkey",
        Arity::Exactly(1),
        Keys::None,
        NONE,
        docs("Gives a random key of the db.", "", "1.0.0", "O(1)"),
        Run::Read(randomkey),
    ),
    entry(
        "rename",
        Arity::Exactly(3),
        TWO_KEYS,
        NONE,
        docs("Renames a key and overwrites the one that has the new name.", "key newkey", "1.0.0", "O(1)"),
        Run::Write(rename),
    ),
    entry(
        "renamenx",
        Arity::Exactly(3),
        TWO_KEYS,
        FAST,
        docs("Renames a key if no other has the new name.", "key newkey", "1.0.0", "O(1)"),
        Run::Write(renamenx),
    ),
    dangerous(
        "swapdb",
        Arity::Exactly(3),
        FAST,
        server("Exchanges two dbs.", "index1 index2", "4.0.0", "O(1)"),
        Run::Write(swapdb),
    ),
    entry(
        "touch",
        Arity::AtLeast(2),
        Keys::ALL,
        FAST,
        docs(
            "Counts which of the keys exist and notes an access to them.",
            "key [key ...]",
            "3.2.1",
            "O(N) in the keys",
        ),
        Run::Read(touch),
    ),
    entry(
        "type",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives the type of a key's value.", "key", "1.0.0", "O(1)"),
        Run::Read(type_of),
    ),
    entry(
        "unlink",
        Arity::AtLeast(2),
        Keys::ALL,
        FAST,
        docs(
            "Removes keys; as DEL.",
            "key [key ...]",
            "4.0.0",
            "O(N) in the keys; large values are freed bit by bit",
        ),
        Run::Write(del),
    ),
];

/// The name that TYPE and SCAN's filter use.
pub(crate) fn type_name(content: Content<'_>) -> &'static str {
    match content {
        Content::Short(_) => "string",
        Content::Value(value) => value.type_name(),
    }
}

/// Removes a key by command; the caller has found it.
pub(crate) fn delete(cx: &mut WriteCx<'_>, key: Key<'_>) {
    cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::DEL);
}

fn del(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut count = 0;
    for key in args.iter().skip(1) {
        let key = cx.key(key);
        if cx.read().lookup_in(cx.db(), key).is_some() {
            delete(cx, key);
            count += 1;
        }
    }
    out.int(count);
    Ok(())
}

fn exists(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let there = args.iter().skip(1).filter(|key| cx.lookup_still(cx.key(key)).is_some());
    out.int(there.count() as i64);
    Ok(())
}

fn touch(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(args.iter().skip(1).filter(|key| cx.lookup(cx.key(key)).is_some()).count() as i64);
    Ok(())
}

fn type_of(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let entry = cx.lookup_still(cx.key(&args[1]));
    out.simple(entry.map_or("none", |entry| type_name(entry.content())));
    Ok(())
}

fn keys(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let pattern = &args[1];
    let start = out.mark();
    let mut count = 0;
    for entry in cx.whole_db(cx.db()).table().iter() {
        if (pattern == b"*" || glob::matches(pattern, entry.key(), false)) && !cx.is_due(entry) {
            out.bulk(entry.key());
            count += 1;
        }
    }
    out.array_at(start, count);
    Ok(())
}

fn randomkey(cx: ReadCx<'_>, _args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    // Readers have no part in the shard's generator: what they draw decides nothing that is journaled.
    let coin = &cx.keyspace().clock.coin;
    let mut random = || {
        let mut rng = sessile_command::Rng::new(coin.get());
        coin.set(rng.next_u64() | 1);
        rng.next_u64()
    };
    match cx.whole_db(cx.db()).table().sample(&mut random, false, |entry| !cx.is_due(entry)) {
        Some(entry) => out.bulk(entry.key()),
        None => out.null(),
    }
    Ok(())
}

fn rename(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, to) = (cx.key(&args[1]), cx.key(&args[2]));
    if cx.read().lookup_in(cx.db(), key).is_none() {
        return Err(Error::NO_KEY);
    }
    if key.bytes != to.bytes {
        cx.emit(&Effect::Rename { key, to }, Event::NONE);
    }
    out.ok();
    Ok(())
}

fn renamenx(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, to) = (cx.key(&args[1]), cx.key(&args[2]));
    if cx.read().lookup_in(cx.db(), key).is_none() {
        return Err(Error::NO_KEY);
    }
    let free = key.bytes != to.bytes && cx.read().lookup_in(cx.db(), to).is_none();
    if free {
        cx.emit(&Effect::Rename { key, to }, Event::NONE);
    }
    out.int(i64::from(free));
    Ok(())
}

/// Argument `at` as a db's number.
fn db_index(cx: &WriteCx<'_>, args: Args<'_>, at: usize) -> Result<u32, Error> {
    match u32::try_from(args.c_int(at)?) {
        Ok(index) if (index as usize) < cx.read().db_count() => Ok(index),
        _ => Err(NO_SUCH_DB),
    }
}

/// A value on its way to another place: the effect carries all of it.
struct Parcel {
    payload: Vec<u8>,
    expire: Expire,
    access: u32,
    appended: bool,
}

impl Parcel {
    /// Puts the value under a key of a db.
    fn place(&self, cx: &mut WriteCx<'_>, db: u32, key: Key<'_>, access: u32, event: Event) {
        cx.emit_in(db, &Effect::Restore { key, payload: &self.payload, expire: self.expire, access }, event);
        if self.appended {
            // The payload does not say that OBJECT ENCODING shows `raw`: appending does, even nothing.
            cx.emit_in(db, &Effect::StringAppend { key, value: b"" }, Event::NONE);
        }
    }
}

fn parcel(cx: &WriteCx<'_>, key: Key<'_>) -> Option<Parcel> {
    let entry = cx.read().lookup_in(cx.db(), key)?;
    let expire = entry.expire_ms().map_or(Expire::Never, Expire::At);
    let (access, appended) = (entry.access(), entry.is_appended());
    Some(Parcel { payload: exact_payload_of(entry.content()), expire, access, appended })
}

fn copy(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut replace = false;
    let mut db = cx.db();
    let mut at = 3;
    while at < args.len() {
        if is(&args[at], "REPLACE") {
            replace = true;
        } else if is(&args[at], "DB") && at + 1 < args.len() {
            at += 1;
            db = db_index(cx, args, at)?;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let (key, to) = (cx.key(&args[1]), cx.key(&args[2]));
    if db == cx.db() && key.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    // Both lookups come before the value is encoded, which is the costly part.
    let exists = cx.read().lookup_still(key).is_some();
    let taken = exists && cx.read().lookup_in(db, to).is_some() && !replace;
    let parcel = if exists && !taken { parcel(cx, key) } else { None };
    let Some(parcel) = parcel else {
        out.int(0);
        return Ok(());
    };
    parcel.place(cx, db, to, 0, Event::generic("copy_to"));
    out.int(1);
    Ok(())
}

fn move_key(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let db = db_index(cx, args, 2)?;
    if db == cx.db() {
        return Err(SAME_OBJECT);
    }
    let key = cx.key(&args[1]);
    let exists = cx.read().lookup_in(cx.db(), key).is_some();
    let taken = exists && cx.read().lookup_in(db, key).is_some();
    let parcel = if exists && !taken { parcel(cx, key) } else { None };
    let Some(parcel) = parcel else {
        out.int(0);
        return Ok(());
    };
    cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::generic("move_from"));
    parcel.place(cx, db, key, parcel.access, Event::generic("move_to"));
    out.int(1);
    Ok(())
}

/// ASYNC and SYNC are admitted and mean the same: freeing never stalls.
fn check_flush(args: Args<'_>) -> Outcome {
    match args.get(1) {
        None => Ok(()),
        Some(mode) if args.len() == 2 && (is(mode, "ASYNC") || is(mode, "SYNC")) => Ok(()),
        Some(_) => Err(Error::SYNTAX),
    }
}

fn flushdb(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    check_flush(args)?;
    if !cx.read().whole_db(cx.db()).is_empty() {
        cx.emit(&Effect::FlushDb {}, Event::NONE);
    }
    out.ok();
    Ok(())
}

fn flushall(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    check_flush(args)?;
    let dbs = cx.read().db_count() as u32;
    if (0..dbs).any(|db| !cx.read().whole_db(db).is_empty()) {
        cx.emit(&Effect::FlushAll {}, Event::NONE);
    }
    out.ok();
    Ok(())
}

fn swapdb(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let read = |text: &[u8], error: &'static str| {
        digits::parse_i64(text).and_then(|n| i32::try_from(n).ok()).ok_or(Error::new(error))
    };
    let first = read(&args[1], "ERR invalid first DB index")?;
    let second = read(&args[2], "ERR invalid second DB index")?;
    let dbs = cx.read().db_count();
    let exists =
        |index: i32| u32::try_from(index).ok().filter(|&index| (index as usize) < dbs).ok_or(NO_SUCH_DB);
    let (first, second) = (exists(first)?, exists(second)?);
    if first != second {
        cx.emit_in(first, &Effect::SwapDb { other: second }, Event::NONE);
    }
    out.ok();
    Ok(())
}
