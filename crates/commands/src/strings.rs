//! Strings: GET, SET and their relatives.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Key, Keys, Outcome, ReadCx,
    Reply, Run, WriteCx, content_len, expire_at, is,
};
use sessile_values::digits::{self, LongDouble};
use sessile_values::Value;

const FAST: Flags = Flags::FAST;
const WRITE: Flags = Flags::DENY_OOM;
const WRITE_FAST: Flags = Flags::DENY_OOM.and(Flags::FAST);

const fn entry(name: &'static str, arity: Arity, keys: Keys, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys, acl: Acl::STRING, flags, docs, run }
}

const fn docs(summary: &'static str, syntax: &'static str, since: &'static str, complexity: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "string", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "append",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Adds text to the end of a string; creates it.", "key value", "2.0.0", "O(1)"),
        Run::Write(append),
    ),
    entry(
        "decr",
        Arity::Exactly(2),
        Keys::ONE,
        WRITE_FAST,
        docs("Takes one from a number; an absent key counts as 0.", "key", "1.0.0", "O(1)"),
        Run::Write(|cx, args, out| increment(cx, &args[1], -1, out)),
    ),
    entry(
        "decrby",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Takes an amount from a number; an absent key counts as 0.", "key decrement", "1.0.0", "O(1)"),
        Run::Write(decrby),
    ),
    entry(
        "get",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives a string.", "key", "1.0.0", "O(1)"),
        Run::Read(get),
    ),
    entry(
        "getdel",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives a string and removes it.", "key", "6.2.0", "O(1)"),
        Run::Write(getdel),
    ),
    entry(
        "getex",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Gives a string and sets or clears its expiry.",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
            "6.2.0",
            "O(1)",
        ),
        Run::Write(getex),
    ),
    entry(
        "getrange",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Gives part of a string.", "key start end", "2.4.0", "O(N) in the part's length"),
        Run::Read(getrange),
    ),
    entry(
        "getset",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Sets a string and gives the old one.", "key value", "1.0.0", "O(1)"),
        Run::Write(getset),
    ),
    entry(
        "incr",
        Arity::Exactly(2),
        Keys::ONE,
        WRITE_FAST,
        docs("Adds one to a number; an absent key counts as 0.", "key", "1.0.0", "O(1)"),
        Run::Write(|cx, args, out| increment(cx, &args[1], 1, out)),
    ),
    entry(
        "incrby",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Adds an amount to a number; an absent key counts as 0.", "key increment", "1.0.0", "O(1)"),
        Run::Write(|cx, args, out| {
            let by = args.int(2)?;
            increment(cx, &args[1], by, out)
        }),
    ),
    entry(
        "incrbyfloat",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Adds an amount to a floating-point number; an absent key counts as 0.", "key increment:double", "2.6.0", "O(1)"),
        Run::Write(incrbyfloat),
    ),
    entry(
        "lcs",
        Arity::AtLeast(3),
        Keys::Range { first: 1, last: 2, step: 1 },
        Flags::NONE,
        docs(
            "Finds the longest common subsequence of two strings.",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
            "7.0.0",
            "O(N*M) in the lengths",
        ),
        Run::Read(crate::lcs::lcs),
    ),
    entry(
        "mget",
        Arity::AtLeast(2),
        Keys::ALL,
        FAST,
        docs("Gives several strings.", "key [key ...]", "1.0.0", "O(N) in the keys"),
        Run::Read(mget),
    ),
    entry(
        "mset",
        Arity::AtLeast(3),
        Keys::Range { first: 1, last: -1, step: 2 },
        WRITE,
        docs("Sets several strings at once.", "key value [key value ...]", "1.0.1", "O(N) in the keys"),
        Run::Write(mset),
    ),
    entry(
        "msetnx",
        Arity::AtLeast(3),
        Keys::Range { first: 1, last: -1, step: 2 },
        WRITE,
        docs("Sets several strings if none of the keys exists.", "key value [key value ...]", "1.0.1", "O(N) in the keys"),
        Run::Write(msetnx),
    ),
    entry(
        "psetex",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE,
        docs("Sets a string with an expiry in milliseconds.", "key milliseconds value", "2.6.0", "O(1)"),
        Run::Write(|cx, args, out| setex(cx, args, 1, "psetex", out)),
    ),
    entry(
        "set",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE,
        docs(
            "Sets a string, whatever the key held.",
            "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
             unix-time-milliseconds | KEEPTTL]",
            "1.0.0",
            "O(1)",
        ),
        Run::Write(set),
    ),
    entry(
        "setex",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE,
        docs("Sets a string with an expiry in seconds.", "key seconds value", "2.0.0", "O(1)"),
        Run::Write(|cx, args, out| setex(cx, args, 1000, "setex", out)),
    ),
    entry(
        "setnx",
        Arity::Exactly(3),
        Keys::ONE,
        WRITE_FAST,
        docs("Sets a string if the key does not exist.", "key value", "1.0.0", "O(1)"),
        Run::Write(setnx),
    ),
    entry(
        "setrange",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE,
        docs("Overwrites part of a string, zero-padded up to it.", "key offset value", "2.2.0", "O(N) in the part's length"),
        Run::Write(setrange),
    ),
    entry(
        "strlen",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives the length of a string.", "key", "2.2.0", "O(1)"),
        Run::Read(strlen),
    ),
    entry(
        "substr",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Gives part of a string; the old name of GETRANGE.", "key start end", "1.0.0", "O(N) in the part's length"),
        Run::Read(getrange),
    ),
];

/// Replies with a string, or null.
fn reply_content(content: Option<Content<'_>>, out: &mut Reply<'_>) {
    match content {
        None => out.null(),
        Some(Content::Short(text)) => out.bulk(text),
        Some(content @ Content::Value(Value::Text(rope))) => out.bulk_with(content_len(content), |bytes| {
            rope.pieces(0, rope.len()).for_each(|piece| bytes.extend_from_slice(piece));
        }),
        Some(Content::Value(_)) => unreachable!("lookups of strings refuse other types"),
    }
}

/// The string under a key as one piece, for commands on numbers; a long string is no number.
fn number_text<'a>(content: Option<Content<'a>>) -> Option<&'a [u8]> {
    match content {
        None => Some(b"0"),
        Some(Content::Short(text)) => Some(text),
        Some(Content::Value(_)) => None,
    }
}

fn get(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    reply_content(cx.string(cx.key(&args[1]))?, out);
    Ok(())
}

fn mget(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.array(args.len() - 1);
    for key in args.iter().skip(1) {
        reply_content(cx.string(cx.key(key)).unwrap_or(None), out);
    }
    Ok(())
}

fn strlen(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(cx.string(cx.key(&args[1]))?.map_or(0, content_len) as i64);
    Ok(())
}

fn getrange(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (start, end) = (args.int(2)?, args.int(3)?);
    let Some(content) = cx.string(cx.key(&args[1]))? else {
        out.bulk(b"");
        return Ok(());
    };
    let Some((start, end)) = byte_range(start, end, content_len(content)) else {
        out.bulk(b"");
        return Ok(());
    };
    match content {
        Content::Short(text) => out.bulk(&text[start..end]),
        Content::Value(Value::Text(rope)) => out.bulk_with(end - start, |bytes| {
            rope.pieces(start, end).for_each(|piece| bytes.extend_from_slice(piece));
        }),
        Content::Value(_) => unreachable!("lookups of strings refuse other types"),
    }
    Ok(())
}

/// Redis' inclusive range with negative ends counted from the back, as a half-open one; `None` if it is empty.
fn byte_range(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let from_back = |i: i64| if i < 0 { (len + i).max(0) } else { i };
    let (start, end) = (from_back(start), from_back(end).min(len - 1));
    // The end of what is empty is -1, so it is looked at only behind the comparison.
    (start <= end && len > 0).then(|| (start as usize, end as usize + 1))
}

/// SET's conditions and options.
#[derive(Default)]
struct SetOptions {
    only_absent: bool,
    only_present: bool,
    get: bool,
    expire: Option<Expire>,
}

/// Reads one time option at `args[at]`; gives the expiry, if it is one.
fn time_option(args: Args<'_>, at: usize, now_ms: u64, command: &str) -> Result<Option<u64>, Error> {
    let option = &args[at];
    let (unit_ms, relative) = if is(option, "EX") {
        (1000, true)
    } else if is(option, "PX") {
        (1, true)
    } else if is(option, "EXAT") {
        (1000, false)
    } else if is(option, "PXAT") {
        (1, false)
    } else {
        return Ok(None);
    };
    if at + 1 >= args.len() {
        return Err(Error::SYNTAX);
    }
    // Redis reads the number only after all options are known to be sound; so does the caller, by asking twice.
    let value = args.int(at + 1)?;
    expire_at(value, unit_ms, relative, now_ms, true, command).map(Some)
}

fn is_time_option(option: &[u8]) -> bool {
    ["EX", "PX", "EXAT", "PXAT"].iter().any(|name| is(option, name))
}

fn set_options(args: Args<'_>, now_ms: u64) -> Result<SetOptions, Error> {
    let mut options = SetOptions::default();
    let mut time_at = None;
    let mut at = 3;
    while at < args.len() {
        let option = &args[at];
        let timed = time_at.is_some() || options.expire.is_some();
        if is(option, "NX") && !options.only_present {
            options.only_absent = true;
        } else if is(option, "XX") && !options.only_absent {
            options.only_present = true;
        } else if is(option, "GET") {
            options.get = true;
        } else if is(option, "KEEPTTL") && time_at.is_none() {
            options.expire = Some(Expire::Keep);
        } else if is_time_option(option) && !timed && at + 1 < args.len() {
            time_at = Some(at);
            at += 1;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    if let Some(at) = time_at {
        options.expire = time_option(args, at, now_ms, "set")?.map(Expire::At);
    }
    Ok(options)
}

fn set(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    if args.len() == 3 {
        cx.emit(&Effect::StringSet { key, value: &args[2], expire: Expire::Never }, Event::string("set"));
        out.ok();
        return Ok(());
    }
    let options = set_options(args, cx.now_ms())?;
    let start = out.mark();
    let found = if options.get {
        let content = cx.read().string(key)?;
        reply_content(content, out);
        content.is_some()
    } else if options.only_absent || options.only_present {
        cx.read().lookup_in(cx.db(), key).is_some()
    } else {
        false
    };
    if options.only_absent && found || options.only_present && !found {
        if !options.get {
            out.truncate(start);
            out.null();
        }
        return Ok(());
    }
    let expire = options.expire.unwrap_or(Expire::Never);
    set_with_expiry(cx, key, &args[2], expire);
    if !options.get {
        out.ok();
    }
    Ok(())
}

/// Sets a string; an expiry that has passed already leaves nothing behind.
fn set_with_expiry(cx: &mut WriteCx<'_>, key: Key<'_>, value: &[u8], expire: Expire) {
    if let Expire::At(at_ms) = expire
        && at_ms <= cx.now_ms()
    {
        if cx.read().lookup_in(cx.db(), key).is_some() {
            cx.emit(&Effect::Delete { key, cause: sessile_command::Cause::Command }, Event::DEL);
        }
        return;
    }
    cx.emit(&Effect::StringSet { key, value, expire }, Event::string("set"));
    if matches!(expire, Expire::At(_)) {
        cx.announce(key, Event::generic("expire"));
    }
}

fn setex(cx: &mut WriteCx<'_>, args: Args<'_>, unit_ms: i64, command: &str, out: &mut Reply<'_>) -> Outcome {
    let at_ms = expire_at(args.int(2)?, unit_ms, true, cx.now_ms(), true, command)?;
    let key = cx.key(&args[1]);
    set_with_expiry(cx, key, &args[3], Expire::At(at_ms));
    out.ok();
    Ok(())
}

fn setnx(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let absent = cx.read().lookup(key).is_none();
    if absent {
        cx.emit(&Effect::StringSet { key, value: &args[2], expire: Expire::Never }, Event::string("set"));
    }
    out.int(i64::from(absent));
    Ok(())
}

fn getset(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    reply_content(cx.read().string(key)?, out);
    cx.emit(&Effect::StringSet { key, value: &args[2], expire: Expire::Never }, Event::string("set"));
    Ok(())
}

fn getdel(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let content = cx.read().string(key)?;
    reply_content(content, out);
    if content.is_some() {
        cx.emit(&Effect::Delete { key, cause: sessile_command::Cause::Command }, Event::DEL);
    }
    Ok(())
}

fn getex(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let option = match args.len() {
        2 => None,
        3 if is(&args[2], "PERSIST") => Some(Expire::Never),
        4 if is_time_option(&args[2]) => None,
        _ => return Err(Error::SYNTAX),
    };
    let key = cx.key(&args[1]);
    let content = cx.read().string(key)?;
    if content.is_none() {
        out.null();
        return Ok(());
    }
    let at_ms = if args.len() == 4 { time_option(args, 2, cx.now_ms(), "getex")? } else { None };
    let content = cx.read().string(key)?;
    reply_content(content, out);
    let had_expiry = cx.read().lookup_in(cx.db(), key).is_some_and(|e| e.expire_ms().is_some());
    match (option, at_ms) {
        (Some(_), _) if had_expiry => {
            cx.emit(&Effect::Expiry { key, expire: Expire::Never }, Event::generic("persist"));
        }
        (_, Some(at_ms)) if at_ms <= cx.now_ms() => {
            cx.emit(&Effect::Delete { key, cause: sessile_command::Cause::Command }, Event::DEL);
        }
        (_, Some(at_ms)) => {
            cx.emit(&Effect::Expiry { key, expire: Expire::At(at_ms) }, Event::generic("expire"));
        }
        _ => {}
    }
    Ok(())
}

fn mset(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(Error::arity("mset"));
    }
    set_all(cx, args);
    out.ok();
    Ok(())
}

fn msetnx(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(Error::arity("msetnx"));
    }
    let mut any = false;
    for key in args.iter().skip(1).step_by(2) {
        any |= cx.read().lookup(cx.key(key)).is_some();
    }
    if !any {
        set_all(cx, args);
    }
    out.int(i64::from(!any));
    Ok(())
}

fn set_all(cx: &mut WriteCx<'_>, args: Args<'_>) {
    for at in (1..args.len()).step_by(2) {
        let key = cx.key(&args[at]);
        cx.emit(&Effect::StringSet { key, value: &args[at + 1], expire: Expire::Never }, Event::string("set"));
    }
}

fn append(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let content = cx.read().string(key)?;
    let len = content.map_or(0, content_len);
    check_len(cx, len, args[2].len())?;
    if content.is_none() {
        cx.emit(&Effect::StringSet { key, value: &args[2], expire: Expire::Never }, Event::string("append"));
    } else {
        cx.emit(&Effect::StringAppend { key, value: &args[2] }, Event::string("append"));
    }
    out.int((len + args[2].len()) as i64);
    Ok(())
}

fn check_len(cx: &WriteCx<'_>, len: usize, more: usize) -> Outcome {
    match len.checked_add(more) {
        Some(total) if total <= cx.frame().string_max_bytes => Ok(()),
        _ => Err(Error::STRING_TOO_LONG),
    }
}

fn setrange(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let offset = args.int(2)?;
    if offset < 0 {
        return Err(Error::new("ERR offset is out of range"));
    }
    let key = cx.key(&args[1]);
    let len = cx.read().string(key)?.map_or(0, content_len);
    let value = &args[3];
    if value.is_empty() {
        out.int(len as i64);
        return Ok(());
    }
    check_len(cx, offset as usize, value.len())?;
    cx.emit(&Effect::StringSetRange { key, offset: offset as u64, value }, Event::string("setrange"));
    out.int(len.max(offset as usize + value.len()) as i64);
    Ok(())
}

fn decrby(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let by = args.int(2)?.checked_neg().ok_or(Error::new("ERR decrement would overflow"))?;
    increment(cx, &args[1], by, out)
}

fn increment(cx: &mut WriteCx<'_>, key: &[u8], by: i64, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(key);
    let old = number_text(cx.read().string(key)?).and_then(digits::parse_i64).ok_or(Error::NOT_INTEGER)?;
    let new = old.checked_add(by).ok_or(Error::OVERFLOW)?;
    let mut buffer = [0; 21];
    let value = digits::format_i64(new, &mut buffer);
    cx.emit(&Effect::StringSet { key, value, expire: Expire::Keep }, Event::string("incrby"));
    out.int(new);
    Ok(())
}

fn incrbyfloat(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let old = number_text(cx.read().string(key)?).and_then(LongDouble::parse).ok_or(Error::NOT_FLOAT)?;
    let by = LongDouble::parse(&args[2]).ok_or(Error::NOT_FLOAT)?;
    let new = old + by;
    if !new.is_finite() {
        return Err(Error::NAN_OR_INF);
    }
    let text = new.to_vec();
    cx.emit(&Effect::StringSet { key, value: &text, expire: Expire::Keep }, Event::string("incrbyfloat"));
    out.bulk(&text);
    Ok(())
}
