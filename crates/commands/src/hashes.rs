//! Hashes: HSET, HGET and their relatives, and what walks over them.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Content, Docs, Effect, Entry, Error, Event, Flags, Items, Key, Keys,
    Outcome, Proto, ReadCx, Reply, Run, WriteCx, is,
};
use sessile_values::digits::{self, LongDouble};
use sessile_values::{Hash, Value};

use crate::choice::{Choice, random_count, reading_rng};
use crate::scan::ScanOptions;

const FAST: Flags = Flags::FAST;
const WRITE_FAST: Flags = Flags::DENY_OOM.and(Flags::FAST);

const fn entry(name: &'static str, arity: Arity, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys: Keys::ONE, acl: Acl::HASH, flags, docs, run }
}

const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "hash", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "hdel",
        Arity::AtLeast(3),
        FAST,
        docs("Removes fields of a hash.", "key field [field ...]", "2.0.0", "O(N) in the fields named"),
        Run::Write(hdel),
    ),
    entry(
        "hexists",
        Arity::Exactly(3),
        FAST,
        docs("Tells whether a hash has a field.", "key field", "2.0.0", "O(1)"),
        Run::Read(hexists),
    ),
    entry(
        "hget",
        Arity::Exactly(3),
        FAST,
        docs("Gives the value of a field.", "key field", "2.0.0", "O(1)"),
        Run::Read(hget),
    ),
    entry(
        "hgetall",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Gives all fields of a hash with their values.", "key", "2.0.0", "O(N) in the hash's size"),
        Run::Read(hgetall),
    ),
    entry(
        "hincrby",
        Arity::Exactly(4),
        WRITE_FAST,
        docs(
            "Adds an amount to the number in a field; an absent field counts as 0.",
            "key field increment",
            "2.0.0",
            "O(1)",
        ),
        Run::Write(hincrby),
    ),
    entry(
        "hincrbyfloat",
        Arity::Exactly(4),
        WRITE_FAST,
        docs(
            "Adds an amount to the floating-point number in a field; an absent field counts as 0.",
            "key field increment:double",
            "2.6.0",
            "O(1)",
        ),
        Run::Write(hincrbyfloat),
    ),
    entry(
        "hkeys",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Gives all fields of a hash.", "key", "2.0.0", "O(N) in the hash's size"),
        Run::Read(hkeys),
    ),
    entry(
        "hlen",
        Arity::Exactly(2),
        FAST,
        docs("Gives the number of fields of a hash.", "key", "2.0.0", "O(1)"),
        Run::Read(hlen),
    ),
    entry(
        "hmget",
        Arity::AtLeast(3),
        FAST,
        docs(
            "Gives the values of several fields.",
            "key field [field ...]",
            "2.0.0",
            "O(N) in the fields named",
        ),
        Run::Read(hmget),
    ),
    entry(
        "hmset",
        Arity::AtLeast(4),
        WRITE_FAST,
        docs(
            "Sets fields of a hash; the old name of HSET.",
            "key field value [field value ...]",
            "2.0.0",
            "O(N) in the fields set",
        ),
        Run::Write(hmset),
    ),
    entry(
        "hrandfield",
        Arity::AtLeast(2),
        Flags::NONE,
        docs(
            "Gives random fields of a hash; with a negative count they may repeat.",
            "key [count [WITHVALUES]]",
            "6.2.0",
            "O(N) in the fields given",
        ),
        Run::Read(hrandfield),
    ),
    entry(
        "hscan",
        Arity::AtLeast(3),
        Flags::NONE,
        docs(
            "Gives the fields of a hash with their values, a few at a time.",
            "key cursor [MATCH pattern] [COUNT count]",
            "2.8.0",
            "O(1) a call, O(N) in the fields for all calls",
        ),
        Run::Read(hscan),
    ),
    entry(
        "hset",
        Arity::AtLeast(4),
        WRITE_FAST,
        docs(
            "Sets fields of a hash; creates it.",
            "key field value [field value ...]",
            "2.0.0",
            "O(N) in the fields set",
        ),
        Run::Write(hset),
    ),
    entry(
        "hsetnx",
        Arity::Exactly(4),
        WRITE_FAST,
        docs("Sets a field if it does not exist.", "key field value", "2.0.0", "O(1)"),
        Run::Write(hsetnx),
    ),
    entry(
        "hstrlen",
        Arity::Exactly(3),
        FAST,
        docs("Gives the length of a field's value.", "key field", "3.2.0", "O(1)"),
        Run::Read(hstrlen),
    ),
    entry(
        "hvals",
        Arity::Exactly(2),
        Flags::NONE,
        docs("Gives all values of a hash.", "key", "2.0.0", "O(N) in the hash's size"),
        Run::Read(hvals),
    ),
];

/// Replies with a field's value, or null.
fn reply_value(cx: ReadCx<'_>, hash: Option<&Hash>, field: &[u8], out: &mut Reply<'_>) {
    if hash.and_then(|hash| hash.get(&cx.hash_key(), field, |value| out.bulk(value))).is_none() {
        out.null();
    }
}

fn hget(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    reply_value(cx, cx.hash(cx.key(&args[1]))?, &args[2], out);
    Ok(())
}

fn hmget(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let hash = cx.hash(cx.key(&args[1]))?;
    out.array(args.len() - 2);
    args.iter().skip(2).for_each(|field| reply_value(cx, hash, field, out));
    Ok(())
}

fn hexists(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let hash = cx.hash(cx.key(&args[1]))?;
    out.int(i64::from(hash.is_some_and(|hash| hash.contains(&cx.hash_key(), &args[2]))));
    Ok(())
}

fn hstrlen(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let len = cx.hash(cx.key(&args[1]))?.and_then(|hash| hash.get(&cx.hash_key(), &args[2], <[u8]>::len));
    out.int(len.unwrap_or(0) as i64);
    Ok(())
}

fn hlen(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(cx.hash(cx.key(&args[1]))?.map_or(0, Hash::len) as i64);
    Ok(())
}

fn hgetall(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let hash = cx.hash(cx.key(&args[1]))?;
    out.map(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.each(|field, value| {
            out.bulk(field);
            out.bulk(value);
        });
    }
    Ok(())
}

fn hkeys(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let hash = cx.hash(cx.key(&args[1]))?;
    out.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.each(|field, _| out.bulk(field));
    }
    Ok(())
}

fn hvals(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let hash = cx.hash(cx.key(&args[1]))?;
    out.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.each(|_, value| out.bulk(value));
    }
    Ok(())
}

/// Number of fields or members under a key that this command changed; 0 if it is gone.
pub(crate) fn len_now(cx: &WriteCx<'_>, key: Key<'_>) -> usize {
    match cx.read().lookup_in(cx.db(), key).map(Entry::content) {
        Some(Content::Value(Value::Hash(hash))) => hash.len(),
        Some(Content::Value(Value::Set(set))) => set.len(),
        _ => 0,
    }
}

/// Sets the pairs that an HSET or HMSET names; gives the number of new fields.
fn set_pairs(cx: &mut WriteCx<'_>, args: Args<'_>, name: &str) -> Result<usize, Error> {
    if args.len() % 2 == 1 {
        return Err(Error::arity(name));
    }
    let key = cx.key(&args[1]);
    let before = cx.read().hash(key)?.map_or(0, Hash::len);
    cx.emit(&Effect::HashSet { key, pairs: Items::Slices(&args.slices(2)) }, Event::hash("hset"));
    // A field that is named twice is new once, so the sizes are asked, not the arguments.
    Ok(len_now(cx, key) - before)
}

fn hset(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let created = set_pairs(cx, args, "hset")?;
    out.int(created as i64);
    Ok(())
}

fn hmset(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    set_pairs(cx, args, "hmset")?;
    out.ok();
    Ok(())
}

fn hsetnx(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let absent = cx.read().hash(key)?.is_none_or(|hash| !hash.contains(&hash_key, &args[2]));
    if absent {
        let pairs = [&args[2], &args[3]];
        cx.emit(&Effect::HashSet { key, pairs: Items::Slices(&pairs) }, Event::hash("hset"));
    }
    out.int(i64::from(absent));
    Ok(())
}

fn hdel(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let Some(hash) = cx.read().hash(key)? else {
        out.int(0);
        return Ok(());
    };
    let before = hash.len();
    let fields: Vec<&[u8]> = args.iter().skip(2).filter(|field| hash.contains(&hash_key, field)).collect();
    if fields.is_empty() {
        out.int(0);
        return Ok(());
    }
    cx.emit(&Effect::HashDelete { key, fields: Items::Slices(&fields) }, Event::hash("hdel"));
    out.int((before - len_now(cx, key)) as i64);
    Ok(())
}

fn hincrby(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let by = args.int(3)?;
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let old = cx.read().hash(key)?.and_then(|hash| hash.get(&hash_key, &args[2], digits::parse_i64));
    let old = old.unwrap_or(Some(0)).ok_or(Error::new("ERR hash value is not an integer"))?;
    let new = old.checked_add(by).ok_or(Error::OVERFLOW)?;
    let mut scratch = [0; digits::I64_TEXT_MAX];
    let pairs = [&args[2], digits::format_i64(new, &mut scratch)];
    cx.emit(&Effect::HashSet { key, pairs: Items::Slices(&pairs) }, Event::hash("hincrby"));
    out.int(new);
    Ok(())
}

fn hincrbyfloat(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let by = LongDouble::parse(&args[3]).ok_or(Error::NOT_FLOAT)?;
    if !by.is_finite() {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let old = cx.read().hash(key)?.and_then(|hash| hash.get(&hash_key, &args[2], LongDouble::parse));
    let old =
        old.unwrap_or_else(|| LongDouble::parse(b"0")).ok_or(Error::new("ERR hash value is not a float"))?;
    let new = old + by;
    if !new.is_finite() {
        return Err(Error::NAN_OR_INF);
    }
    let text = new.to_vec();
    let pairs = [&args[2], &text];
    cx.emit(&Effect::HashSet { key, pairs: Items::Slices(&pairs) }, Event::hash("hincrbyfloat"));
    out.bulk(&text);
    Ok(())
}

fn hrandfield(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    if args.len() == 2 {
        match cx.hash(key)? {
            None => out.null(),
            Some(hash) => {
                let place = reading_rng(cx).below(hash.len() as u64) as usize;
                hash.nth(place, |field, _| out.bulk(field));
            }
        }
        return Ok(());
    }
    let count = random_count(args, 2)?;
    let with_values = args.len() == 4 && is(&args[3], "WITHVALUES");
    if args.len() > 3 && !with_values {
        return Err(Error::SYNTAX);
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::new("ERR value is out of range"));
    }
    let Some(hash) = cx.hash(key)?.filter(|_| count != 0) else {
        out.array(0);
        return Ok(());
    };
    let nested = with_values && out.proto() == Proto::Resp3;
    let begin =
        |len: usize, out: &mut Reply<'_>| out.array(if with_values && !nested { len * 2 } else { len });
    let give = |field: &[u8], value: &[u8], out: &mut Reply<'_>| {
        if nested {
            out.array(2);
        }
        out.bulk(field);
        if with_values {
            out.bulk(value);
        }
    };
    match Choice::of(cx, count, hash.len())? {
        Choice::All => {
            begin(hash.len(), out);
            hash.each(|field, value| give(field, value, out));
        }
        Choice::Some(wanted, places) => {
            begin(wanted, out);
            for place in places {
                hash.nth(place, |field, value| give(field, value, out));
            }
        }
    }
    Ok(())
}

/// What the scans of one hash or set share: `turn` makes one turn over the value, adds the elements that the
/// options admit to the reply, counts them, and gives the next cursor.
pub(crate) fn scan_value<T>(
    value: Result<Option<&T>, Error>,
    args: Args<'_>,
    out: &mut Reply<'_>,
    turn: impl FnOnce(&T, &ScanOptions<'_>, &mut Reply<'_>, &mut usize) -> u64,
) -> Outcome {
    // A bad cursor comes before a wrong type, bad options after a missing key.
    let options = ScanOptions::read(args, 2, false);
    if options.as_ref().is_err_and(|error| *error == Error::BAD_CURSOR) {
        return Err(Error::BAD_CURSOR);
    }
    let (mut elements, mut given, mut next) = (Vec::new(), 0, 0);
    if let Some(value) = value? {
        next = turn(value, &options?, &mut Reply::new(&mut elements, out.proto()), &mut given);
    }
    out.array(2);
    out.bulk(next.to_string().as_bytes());
    out.array(given);
    out.raw(&elements);
    Ok(())
}

fn hscan(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    scan_value(cx.hash(cx.key(&args[1])), args, out, |hash, options, sink, given| {
        hash.scan(options.cursor, options.count, |field, value| {
            if options.admits(field) {
                *given += 2;
                sink.bulk(field);
                sink.bulk(value);
            }
        })
    })
}
