//! Key specs: where a command's keys are and what happens to them, as COMMAND INFO and GETKEYSANDFLAGS tell it.

use sessile_command::{Command, Flags, Keys};

/// What happens to the keys of commands whose keys are not simply read (`RO access`) or changed (`RW access update`):
/// one part a spec. Places follow from [`Keys`], or are spelled out: `@index`, `@index..last`, `@KEYWORD+start`,
/// `%limit` at the end, `@?` where no rule says.
const ACCESS: &[(&str, &[&str])] = &[
    ("not_key", &["spublish", "ssubscribe", "sunsubscribe"]),
    ("OW insert", &["msetnx", "setnx"]),
    ("OW update", &["mset", "psetex", "restore", "restore-asking", "setex"]),
    ("OW update @1; RO access @2..-1", &["sdiffstore", "sunionstore"]),
    ("OW update @2; RO access @3..-1", &["bitop"]),
    ("OW update; RO access", &["geosearchstore", "zdiffstore", "zinterstore", "zrangestore", "zunionstore"]),
    ("RM delete", &["del", "unlink"]),
    (
        "RO",
        &[
            "exists",
            "hexists",
            "hlen",
            "hstrlen",
            "llen",
            "memory|usage",
            "object|encoding",
            "object|freq",
            "object|idletime",
            "object|refcount",
            "scard",
            "sismember",
            "strlen",
            "touch",
            "type",
            "watch",
            "xlen",
            "zcard",
        ],
    ),
    ("RO access @1; OW update @STORE+5; OW update @STOREDIST+5", &["georadiusbymember"]),
    ("RO access @1; OW update @STORE+6; OW update @STOREDIST+6", &["georadius"]),
    ("RO access @1; RO access @?", &["sort_ro"]),
    ("RO access @1; RO access @?; OW update @?", &["sort"]),
    ("RO access @STREAMS+1..-1%2", &["xread"]),
    ("RO access @STREAMS+4..-1%2", &["xreadgroup"]),
    ("RO access; OW update", &["copy"]),
    ("RW access", &["pfcount"]),
    (
        "RW access delete",
        &[
            "blmpop", "blpop", "brpop", "bzmpop", "bzpopmax", "bzpopmin", "getdel", "lmpop", "lpop", "rpop",
            "spop", "zmpop", "zpopmax", "zpopmin",
        ],
    ),
    ("RW access delete; OW insert", &["renamenx"]),
    ("RW access delete; OW update", &["rename"]),
    ("RW access delete; RW insert", &["blmove", "brpoplpush", "lmove", "rpoplpush", "smove"]),
    ("RW access insert @1; RO access @2..-1", &["pfmerge"]),
    ("RW access update variable_flags", &["bitfield", "set"]),
    (
        "RW delete",
        &[
            "hdel",
            "lrem",
            "ltrim",
            "srem",
            "xautoclaim",
            "xdel",
            "xgroup|delconsumer",
            "xgroup|destroy",
            "xtrim",
            "zrem",
            "zremrangebylex",
            "zremrangebyrank",
            "zremrangebyscore",
        ],
    ),
    (
        "RW insert",
        &[
            "append",
            "hsetnx",
            "linsert",
            "lpush",
            "lpushx",
            "pfadd",
            "rpush",
            "rpushx",
            "sadd",
            "xgroup|create",
            "xgroup|createconsumer",
        ],
    ),
    (
        "RW update",
        &[
            "expire",
            "expireat",
            "geoadd",
            "hmset",
            "hset",
            "lset",
            "persist",
            "pexpire",
            "pexpireat",
            "setrange",
            "xack",
            "xadd",
            "xclaim",
            "xgroup|setid",
            "xsetid",
            "zadd",
        ],
    ),
    ("RW update @1; RO access @2..-1", &["sinterstore"]),
];

/// One key spec.
pub(super) struct KeySpec {
    /// `RO`, `access` and the like.
    pub flags: Vec<&'static str>,
    /// Where the search begins.
    pub begin: Begin,
    /// How keys are found from there.
    pub find: Find,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Index(i64),
    Keyword(&'static str, i64),
    Unknown,
}

/// How keys are found. `last` counts from the first key on, or from the end where it is negative.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Find {
    Range { last: i64, step: i64, limit: i64 },
    Counted,
    Unknown,
}

/// The key specs of a command.
pub(super) fn of(full_name: &str, command: &Command) -> Vec<KeySpec> {
    let listed = ACCESS.iter().find(|(_, names)| names.contains(&full_name)).map(|(text, _)| *text);
    let reads = command.is_read() || full_name.ends_with("_ro");
    let text = listed.unwrap_or(if reads { "RO access" } else { "RW access update" });
    let parts: Vec<&'static str> = text.split("; ").collect();
    if text.contains('@') {
        return parts.iter().filter_map(|part| spelled(part)).collect();
    }
    let places = places(&command.keys, parts.len());
    places
        .into_iter()
        .zip(parts.iter().cycle())
        .map(|((begin, find), part)| KeySpec { flags: words(part), begin, find })
        .collect()
}

fn words(text: &'static str) -> Vec<&'static str> {
    text.split(' ').collect()
}

fn places(keys: &Keys, parts: usize) -> Vec<(Begin, Find)> {
    let one = Find::Range { last: 0, step: 1, limit: 0 };
    match *keys {
        Keys::None => Vec::new(),
        Keys::Range { first, .. } if parts > 1 => {
            (0..parts).map(|i| (Begin::Index(i64::from(first) + i as i64), one)).collect()
        }
        Keys::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            vec![(Begin::Index(i64::from(first)), Find::Range { last, step: i64::from(step), limit: 0 })]
        }
        Keys::Counted { count, also } => {
            let also = (also > 0).then_some((Begin::Index(i64::from(also)), one));
            also.into_iter().chain([(Begin::Index(i64::from(count)), Find::Counted)]).collect()
        }
        Keys::Dynamic(_) => vec![(Begin::Index(1), one)],
    }
}

fn spelled(part: &'static str) -> Option<KeySpec> {
    let (flags, place) = part.split_once(" @")?;
    let flags = words(flags);
    if place == "?" {
        return Some(KeySpec { flags, begin: Begin::Unknown, find: Find::Unknown });
    }
    let (place, limit) = place.split_once('%').unwrap_or((place, "0"));
    let (place, last) = place.split_once("..").unwrap_or((place, "0"));
    let begin = match place.split_once('+') {
        Some((word, from)) => Begin::Keyword(word, from.parse().ok()?),
        None => Begin::Index(place.parse().ok()?),
    };
    let find = Find::Range { last: last.parse().ok()?, step: 1, limit: limit.parse().ok()? };
    Some(KeySpec { flags, begin, find })
}

/// First key, last key and step, as clients that know no key specs read them.
pub(super) fn legacy(command: &Command, specs: &[KeySpec]) -> (i64, i64, i64) {
    if let Keys::Range { first, last, step } = command.keys {
        return (i64::from(first), i64::from(last), i64::from(step));
    }
    match specs.first().map(|spec| (spec.begin, spec.find)) {
        Some((Begin::Index(first), Find::Range { last, step, .. })) => {
            (first, if last < 0 { last } else { first + last }, step)
        }
        _ => (0, 0, 0),
    }
}

/// What a request does to its key at `index`; `found` are the indexes of all its keys.
pub(super) fn access<'s>(specs: &'s [KeySpec], index: usize, found: &[usize]) -> &'s [&'static str] {
    let begins_before =
        |spec: &&KeySpec| matches!(spec.begin, Begin::Index(begin) if begin as usize <= index);
    let indexed = specs.iter().rfind(begins_before);
    let movable = specs.iter().rfind(|spec| !matches!(spec.begin, Begin::Index(_)));
    let spec = match movable {
        Some(_) if indexed.is_some() && found.first() == Some(&index) => indexed,
        Some(_) => movable,
        None => indexed,
    };
    spec.map_or(&[], |spec| &spec.flags)
}

/// Whether the keys are not where the legacy fields say.
pub(super) fn is_movable(full_name: &str, command: &Command) -> bool {
    matches!(command.keys, Keys::Counted { .. } | Keys::Dynamic(_))
        || of(full_name, command).iter().any(|spec| spec.begin == Begin::Unknown)
}

/// Flags that depend on the request's options are narrowed as Redis does it.
pub(super) fn narrowed(name: &str, args: sessile_resp::Args<'_>) -> Option<&'static [&'static str]> {
    match name {
        "set" if args.iter().skip(3).any(|arg| sessile_command::is(arg, "GET")) => {
            Some(&["RW", "access", "update"])
        }
        "set" => Some(&["OW", "update"]),
        "bitfield" if only_gets(args) => Some(&["RO", "access"]),
        "bitfield" => Some(&["RW", "access", "update"]),
        _ => None,
    }
}

/// Whether a BITFIELD reads only. One that is malformed counts as writing.
fn only_gets(args: sessile_resp::Args<'_>) -> bool {
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        at += match &args[at] {
            word if sessile_command::is(word, "GET") && left >= 2 => 3,
            word if sessile_command::is(word, "OVERFLOW") && left >= 1 => 2,
            _ => return false,
        };
    }
    true
}

/// Whether a request that has no key at all is still fine.
pub(super) fn keys_optional(command: &Command) -> bool {
    command.flags.has(Flags::NO_MANDATORY_KEYS)
}
