//! How each command's replies are compared, which commands are left out, and what must be repaired
//! after a reply that is random by contract. Commands without an entry are compared byte for byte.

use crate::differences;
use crate::reply::Reply;
use crate::step::{Cmd, Inner, Words, words};

/// How two replies are compared. In every rule an error equals only the same error.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Byte for byte.
    Exact,
    /// The same elements in any order.
    Unordered,
    /// The same pairs in any order (a flat array or a map).
    Pairs,
    /// The same elements at every level, in any order.
    DeepUnordered,
    /// Texts consist of the same words in any order.
    Words,
    /// The same types and lengths at every level.
    Shape,
    /// Both succeed.
    Any,
    /// Integers differ by at most this; everything else is equal.
    Within(i64),
    /// Integers that are times in milliseconds since 1970 differ by at most [`CLOCK_MS`].
    EpochMs,
    /// Idle times, which are the time since something happened, are ignored.
    Idle,
    /// The rule depends on the arguments.
    ByArgs(fn(&[Vec<u8>]) -> Rule),
    /// Not generated.
    Excluded,
}

/// How far apart the two servers may execute the same command.
pub const CLOCK_MS: i64 = 5_000;
/// Integers above this are taken for times in milliseconds since 1970.
const EPOCH_MS_MIN: i64 = 100_000_000_000;

/// One entry of the table: command (or `container|sub`, or a whole container), rule, reason.
type Entry = (&'static str, Rule, &'static str);

/// The table; the first match wins, and a whole container is the fallback of its subcommands.
pub const RULES: &[Entry] = &[
    // Unordered by contract.
    ("smembers", Rule::Unordered, "hash order"),
    ("sunion", Rule::Unordered, "hash order"),
    ("sinter", Rule::Unordered, "hash order"),
    ("sdiff", Rule::Unordered, "hash order"),
    ("keys", Rule::Unordered, "hash order"),
    ("hkeys", Rule::Unordered, "hash order"),
    ("hvals", Rule::Unordered, "hash order"),
    ("hgetall", Rule::Pairs, "hash order"),
    ("config|get", Rule::ByArgs(config_rule), "hash order; a pattern also finds ports and directories"),
    ("acl|cat", Rule::Unordered, "order of the server's own table"),
    ("acl|list", Rule::Words, "7.0 writes command rules in hash order"),
    ("acl|getuser", Rule::Words, "7.0 writes command rules in hash order"),
    ("function|list", Rule::DeepUnordered, "hash order of libraries and functions"),
    ("pubsub|channels", Rule::Unordered, "hash order"),
    ("pubsub|shardchannels", Rule::Unordered, "hash order"),
    ("sort", Rule::ByArgs(sort_rule), "ties under BY, and BY nosort over a set, have no order"),
    ("sort_ro", Rule::ByArgs(sort_rule), "as SORT"),
    ("geosearch", Rule::ByArgs(geo_rule), "with COUNT, of members as far away any may be chosen"),
    ("geosearchstore", Rule::ByArgs(geo_rule), "as GEOSEARCH"),
    ("georadius", Rule::ByArgs(geo_rule), "as GEOSEARCH"),
    ("georadius_ro", Rule::ByArgs(geo_rule), "as GEOSEARCH"),
    ("georadiusbymember", Rule::ByArgs(geo_rule), "as GEOSEARCH"),
    ("georadiusbymember_ro", Rule::ByArgs(geo_rule), "as GEOSEARCH"),
    // Random by contract.
    ("randomkey", Rule::Shape, "random"),
    ("spop", Rule::ByArgs(spop_rule), "random; the key is deleted afterwards"),
    ("srandmember", Rule::Shape, "random"),
    ("hrandfield", Rule::Shape, "random"),
    ("zrandmember", Rule::ByArgs(zrandmember_rule), "random"),
    ("xadd", Rule::ByArgs(xadd_rule), "`*` takes the clock; the key is deleted afterwards"),
    ("acl|genpass", Rule::Shape, "random"),
    // Cursors are the server's own; whole iterations are compared by the Scan step.
    ("scan", Rule::Any, "cursor"),
    ("sscan", Rule::Any, "cursor"),
    ("hscan", Rule::Any, "cursor"),
    ("zscan", Rule::Any, "cursor"),
    // Clocks.
    ("ttl", Rule::Within(CLOCK_MS / 1000), "clock"),
    ("pttl", Rule::Within(CLOCK_MS), "clock"),
    ("expiretime", Rule::Within(CLOCK_MS / 1000), "clock"),
    ("pexpiretime", Rule::EpochMs, "clock"),
    ("time", Rule::Shape, "clock"),
    ("lastsave", Rule::Any, "clock"),
    ("object|idletime", Rule::Shape, "clock; Redis' small integers are shared by all keys"),
    ("xpending", Rule::Idle, "idle times"),
    ("xinfo|consumers", Rule::Idle, "idle times"),
    ("xinfo|stream", Rule::EpochMs, "delivery times"),
    // What describes the server, not the data.
    ("object|refcount", Rule::Shape, "sharing is the server's own affair"),
    ("dump", Rule::Shape, "hash order; payloads are checked by restoring them (see dataset)"),
    ("function|dump", Rule::Shape, "order of libraries"),
    ("memory|usage", Rule::Shape, "the server's own structures"),
    ("memory", Rule::Any, "the server's own structures"),
    ("info", Rule::Any, "describes the server"),
    ("role", Rule::Any, "replication offset"),
    ("client|id", Rule::Any, "ids are the server's own"),
    ("client|info", Rule::Any, "ports, ages and buffers"),
    ("client|list", Rule::Any, "ports, ages and buffers"),
    ("latency|histogram", Rule::Any, "measured times"),
    ("latency|latest", Rule::Any, "measured times"),
    ("latency|doctor", Rule::Any, "advice in words"),
    ("slowlog|get", Rule::Any, "measured times"),
    ("slowlog|len", Rule::Any, "measured times"),
    ("command", Rule::Any, "the list of commands is the server's own"),
    ("command|getkeys", Rule::Exact, ""),
    ("command|getkeysandflags", Rule::ByArgs(deep_unordered), "a set of flags"),
    ("command|help", Rule::Exact, ""),
    // Left out.
    ("shutdown", Rule::Excluded, "ends the server; see --restart"),
    ("debug", Rule::Excluded, "can crash or stall the server on purpose"),
    ("replicaof", Rule::Excluded, "makes the server read-only"),
    ("slaveof", Rule::Excluded, "makes the server read-only"),
    ("failover", Rule::Excluded, "needs a replica"),
    ("psync", Rule::Excluded, "turns the connection into a replication stream"),
    ("sync", Rule::Excluded, "turns the connection into a replication stream"),
    ("replconf", Rule::Excluded, "internal to replication"),
    ("monitor", Rule::Excluded, "turns the connection into a stream"),
    ("subscribe", Rule::Excluded, "pushes would mix with replies"),
    ("psubscribe", Rule::Excluded, "pushes would mix with replies"),
    ("ssubscribe", Rule::Excluded, "pushes would mix with replies"),
    ("unsubscribe", Rule::Excluded, "one reply per channel"),
    ("punsubscribe", Rule::Excluded, "one reply per channel"),
    ("sunsubscribe", Rule::Excluded, "one reply per channel"),
    ("config|set", Rule::Excluded, "changes what later replies depend on"),
    ("config|rewrite", Rule::Excluded, "writes the server's own file"),
    ("client|kill", Rule::Excluded, "ends the tester's connections"),
    ("client|pause", Rule::Excluded, "stalls the run"),
    ("client|unpause", Rule::Excluded, "belongs to CLIENT PAUSE"),
    ("client|reply", Rule::Excluded, "replies would no longer match requests"),
    ("client|tracking", Rule::Excluded, "invalidations would mix with replies"),
    ("hello", Rule::Excluded, "used to set connections up; changes their protocol"),
    ("quit", Rule::Excluded, "ends the connection"),
    ("cluster", Rule::Excluded, "cluster mode is off"),
    ("migrate", Rule::Excluded, "needs a third server"),
    ("module", Rule::Excluded, "loads native code"),
    ("script|debug", Rule::Excluded, "starts a debugging session"),
    ("acl|log", Rule::Excluded, "ages and client descriptions"),
    ("latency|graph", Rule::Excluded, "needs measured events"),
    ("latency|history", Rule::Excluded, "needs measured events"),
    ("lolwut", Rule::Excluded, "art"),
    ("save", Rule::Excluded, "collides with a background save"),
    ("bgsave", Rule::Excluded, "whether one is already running depends on time"),
    ("bgrewriteaof", Rule::Excluded, "whether one is already running depends on time"),
    ("pfdebug", Rule::Excluded, "internal to the reference implementation"),
    ("pfselftest", Rule::Excluded, "internal to the reference implementation"),
];

/// Commands that cannot succeed in this set-up, with the reason; `--require` passes over them.
pub const CANNOT_SUCCEED: &[(&str, &str)] = &[
    ("asking", "cluster mode is off"),
    ("readonly", "cluster mode is off"),
    ("readwrite", "cluster mode is off"),
    ("auth", "no password is set"),
    ("client|caching", "tracking is off"),
    ("object|freq", "no LFU policy"),
    ("script|kill", "no script runs"),
    ("function|kill", "no function runs"),
    ("acl|load", "no ACL file"),
    ("acl|save", "no ACL file"),
];

/// The table's rule for a command or subcommand name (`object|freq`).
#[must_use]
pub fn of_name(name: &str) -> Rule {
    let find = |n: &str| RULES.iter().find(|e| e.0 == n).map(|e| e.1);
    let container = name.split('|').next().unwrap_or(name);
    find(name).or_else(|| find(container)).unwrap_or(Rule::Exact)
}

/// The rule for a command as sent.
#[must_use]
pub fn of(args: &[Vec<u8>]) -> Rule {
    let name = lower(args, 0);
    let full = format!("{name}|{}", lower(args, 1));
    let find = |n: &str| RULES.iter().find(|e| e.0 == n).map(|e| e.1);
    match find(&full).or_else(|| find(&name)).unwrap_or(Rule::Exact) {
        Rule::ByArgs(choose) => choose(args),
        rule => rule,
    }
}

/// Marks the counts stale that PFCOUNT may leave in its keys: Redis writes them, a server need not.
const FORGET_COUNTS: &str = "for _, key in ipairs(KEYS) do \
    if redis.call('TYPE', key).ok == 'string' and redis.call('GETRANGE', key, 0, 3) == 'HYLL' then \
    redis.call('SETRANGE', key, 8, '\\0\\0\\0\\0\\0\\0\\0\\128') end end";

/// What makes both datasets equal again after a command whose effect is random.
#[must_use]
pub fn repair(args: &[Vec<u8>]) -> Option<Words> {
    let del = |key: &Vec<u8>| vec![b"DEL".to_vec(), key.clone()];
    match lower(args, 0).as_str() {
        // Newer versions refuse ids that 7.0 takes.
        "spop" | "xsetid" => args.get(1).map(del),
        "pfcount" => {
            let (keys, count) = (args.get(1..)?, (args.len() - 1).to_string());
            Some([words(&["EVAL", FORGET_COUNTS, &count]), keys.to_vec()].concat())
        }
        "geosearchstore" if chooses_places(args) => args.get(1).map(del),
        "georadius" | "georadiusbymember" if chooses_places(args) => {
            let stores = |word: &Vec<u8>| is_word(word, "store") || is_word(word, "storedist");
            args.get(args.iter().rposition(stores)? + 1).map(del)
        }
        "xadd" if args.iter().skip(2).any(|a| a == b"*") => args.get(1).map(del),
        "sort" if has(args, "by") => {
            let store = args.iter().position(|a| a.eq_ignore_ascii_case(b"store"))?;
            args.get(store + 1).map(del)
        }
        _ => None,
    }
}

/// Whether what a command stores depends on the `errno` that earlier commands left to the oracle, a defect of it.
/// Reading a cursor clears that.
#[must_use]
pub fn stores_by_errno(args: &[Vec<u8>]) -> bool {
    lower(args, 0) == "sort" && has(args, "store") && !has(args, "alpha")
}

/// Whether both replies are as the rules ask; `older` says that the server under test speaks a newer
/// version than the oracle, so that the known differences between versions apply.
#[must_use]
pub fn equal(cmd: &Cmd, oracle: &Reply, tested: &Reply, newer: bool) -> bool {
    if oracle == tested {
        return true;
    }
    match (&cmd.inner, oracle, tested) {
        // The error may be the script's, or that of the command that is all of it.
        (Inner::Whole(args), Reply::Error(_), _) | (Inner::Whole(args), _, Reply::Error(_)) => {
            equal_plain(&cmd.words, oracle, tested, newer) || equal_plain(args, oracle, tested, newer)
        }
        (_, Reply::Error(_), _) | (_, _, Reply::Error(_)) | (Inner::None, ..) => {
            equal_plain(&cmd.words, oracle, tested, newer)
        }
        (Inner::Whole(args), ..) => equal_plain(args, oracle, tested, newer),
        (Inner::Each(list), Reply::Array(a), Reply::Array(b)) => {
            a.len() == b.len()
                && list
                    .iter()
                    .zip(a.iter().zip(b))
                    .all(|(args, (x, y))| equal_plain(args, x, y, newer) || is_cut_by_order(args, x, y))
        }
        (Inner::Each(_), ..) => false,
    }
}

/// In Lua a nil ends an array: which elements of a SORT without an order are left of it then is chance.
fn is_cut_by_order(args: &[Vec<u8>], a: &Reply, b: &Reply) -> bool {
    let sorts = matches!(lower(args, 0).as_str(), "sort" | "sort_ro") && has(args, "by") && has(args, "get");
    sorts && matches!((a, b), (Reply::Array(_), Reply::Array(_)))
}

/// As [`equal`], for a command without inner commands.
#[must_use]
pub fn equal_plain(args: &[Vec<u8>], oracle: &Reply, tested: &Reply, newer: bool) -> bool {
    let rule = of(args);
    if by_rule(rule, oracle, tested) {
        return true;
    }
    newer && differences::explained(args, oracle, tested, &|a, b| by_rule(rule, a, b))
}

/// Whether two replies are equal under a rule.
#[must_use]
pub fn by_rule(rule: Rule, a: &Reply, b: &Reply) -> bool {
    if a == b {
        return true;
    }
    if a.is_error() || b.is_error() {
        return false;
    }
    match rule {
        Rule::Exact | Rule::ByArgs(_) | Rule::Excluded => false,
        Rule::Any => true,
        Rule::Unordered => a.shape() == b.shape() && sorted(a) == sorted(b),
        Rule::Pairs => a.shape() == b.shape() && pairs(a) == pairs(b),
        Rule::DeepUnordered => deep_sorted(a) == deep_sorted(b),
        Rule::Words => sorted_words(a) == sorted_words(b),
        Rule::Shape => same_shape(a, b),
        Rule::Within(limit) => walk(a, b, &|x, y| x >= 0 && y >= 0 && x.abs_diff(y) <= limit.unsigned_abs()),
        Rule::EpochMs => walk(a, b, &|x, y| {
            x > EPOCH_MS_MIN && y > EPOCH_MS_MIN && x.abs_diff(y) <= CLOCK_MS.unsigned_abs()
        }),
        Rule::Idle => idle_equal(a, b),
    }
}

fn sorted(reply: &Reply) -> Vec<&Reply> {
    let mut items: Vec<&Reply> = reply.items().iter().collect();
    items.sort();
    items
}

fn pairs(reply: &Reply) -> Vec<&[Reply]> {
    let mut items: Vec<&[Reply]> = reply.items().chunks(2).collect();
    items.sort();
    items
}

fn deep_sorted(reply: &Reply) -> Reply {
    let children = |v: &[Reply]| {
        let mut items: Vec<Reply> = v.iter().map(deep_sorted).collect();
        items.sort();
        items
    };
    match reply {
        Reply::Array(v) => Reply::Array(children(v)),
        Reply::Map(v) => Reply::Map(children(v)),
        Reply::Set(v) => Reply::Set(children(v)),
        other => other.clone(),
    }
}

fn sorted_words(reply: &Reply) -> Reply {
    let all = |v: &[Reply]| v.iter().map(sorted_words).collect();
    match reply {
        Reply::Bulk(text) => {
            let mut words: Vec<&[u8]> = text.split(|b| *b == b' ').collect();
            words.sort_unstable();
            Reply::Bulk(words.join(&b' '))
        }
        Reply::Array(v) => Reply::Array(all(v)),
        Reply::Map(v) => Reply::Map(all(v)),
        Reply::Set(v) => Reply::Set(all(v)),
        other => other.clone(),
    }
}

fn same_shape(a: &Reply, b: &Reply) -> bool {
    let (x, y) = (a.items(), b.items());
    a.shape() == b.shape() && x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same_shape(a, b))
}

/// Equal but for integers that `close` accepts.
fn walk(a: &Reply, b: &Reply, close: &dyn Fn(i64, i64) -> bool) -> bool {
    if let (Reply::Int(x), Reply::Int(y)) = (a, b) {
        return x == y || close(*x, *y);
    }
    let (x, y) = (a.items(), b.items());
    if x.is_empty() || x.len() != y.len() || a.shape() != b.shape() {
        return a == b;
    }
    x.iter().zip(y).all(|(a, b)| walk(a, b, close))
}

/// XPENDING's rows are `[id, consumer, idle, count]`; XINFO CONSUMERS has a field `idle`.
fn idle_equal(a: &Reply, b: &Reply) -> bool {
    let mask = |row: &Reply| {
        let mut row = row.clone();
        if let Reply::Array(v) | Reply::Map(v) = &mut row {
            let field = v.iter().position(|i| i.bytes() == Some(b"idle")).map(|i| i + 1);
            let row_of_pending = (v.len() == 4 && matches!(v[2], Reply::Int(_))).then_some(2);
            if let Some(at) = field.or(row_of_pending)
                && let Some(Reply::Int(idle)) = v.get_mut(at)
            {
                *idle = 0;
            }
        }
        row
    };
    let (x, y) = (a.items(), b.items());
    x.len() == y.len() && !x.is_empty() && x.iter().zip(y).all(|(a, b)| mask(a) == mask(b))
}

fn spop_rule(args: &[Vec<u8>]) -> Rule {
    if args.len() > 2 { Rule::Shape } else { Rule::Any }
}

fn geo_rule(args: &[Vec<u8>]) -> Rule {
    if chooses_places(args) { Rule::Shape } else { Rule::Exact }
}

/// Whether a geo search keeps the nearest or farthest of what it finds: the order of what is as far away is chance.
fn chooses_places(args: &[Vec<u8>]) -> bool {
    lower(args, 0).starts_with("geo") && has(args, "count") && !has(args, "any")
}

fn zrandmember_rule(_: &[Vec<u8>]) -> Rule {
    Rule::Shape
}

fn deep_unordered(_: &[Vec<u8>]) -> Rule {
    Rule::DeepUnordered
}

fn xadd_rule(args: &[Vec<u8>]) -> Rule {
    if args.iter().skip(2).any(|a| a == b"*") { Rule::Shape } else { Rule::Exact }
}

fn sort_rule(args: &[Vec<u8>]) -> Rule {
    match (has(args, "by"), has(args, "limit")) {
        (false, _) => Rule::Exact,
        (true, false) => Rule::Unordered,
        (true, true) => Rule::Any,
    }
}

fn config_rule(args: &[Vec<u8>]) -> Rule {
    let pattern = args.iter().skip(2).any(|a| a.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\')));
    if pattern { Rule::Any } else { Rule::Pairs }
}

fn has(args: &[Vec<u8>], word: &str) -> bool {
    args.iter().skip(2).any(|a| is_word(a, word))
}

fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

fn lower(args: &[Vec<u8>], at: usize) -> String {
    args.get(at).map(|a| String::from_utf8_lossy(a).to_lowercase()).unwrap_or_default()
}

/// The name under which a command is counted: `object|freq` for subcommands.
#[must_use]
pub fn counted_name(args: &[Vec<u8>], is_command: &dyn Fn(&str) -> bool) -> String {
    let name = lower(args, 0);
    let full = format!("{name}|{}", lower(args, 1));
    if is_command(&full) { full } else { name }
}

/// Commands that bring a server back to an empty state, used between runs.
#[must_use]
pub fn reset_commands() -> Vec<Words> {
    vec![
        words(&["FLUSHALL"]),
        words(&["SCRIPT", "FLUSH"]),
        words(&["FUNCTION", "FLUSH"]),
        words(&["ACL", "DELUSER", "u1", "u2", "u3"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Reply {
        Reply::Array(items.iter().map(|i| Reply::Bulk(i.as_bytes().to_vec())).collect())
    }

    fn check(command: &str, oracle: &Reply, tested: &Reply, expected: bool) {
        let parts: Vec<&str> = command.split(' ').collect();
        assert_eq!(equal_plain(&words(&parts), oracle, tested, false), expected, "{command}");
    }

    #[test]
    fn compares_by_the_table() {
        check("LRANGE k 0 1", &list(&["a", "b"]), &list(&["b", "a"]), false);
        check("SMEMBERS k", &list(&["a", "b"]), &list(&["b", "a"]), true);
        check("SMEMBERS k", &list(&["a", "b"]), &list(&["b", "b"]), false);
        check("HGETALL k", &list(&["a", "1", "b", "2"]), &list(&["b", "2", "a", "1"]), true);
        check("HGETALL k", &list(&["a", "1", "b", "2"]), &list(&["a", "2", "b", "1"]), false);
        check("SRANDMEMBER k 2", &list(&["a", "b"]), &list(&["c", "d"]), true);
        check("SRANDMEMBER k 2", &list(&["a", "b"]), &list(&["c"]), false);
        check("ACL LIST", &list(&["user u +a -b"]), &list(&["user u -b +a"]), true);
        check("ACL LIST", &list(&["user u +a -b"]), &list(&["user u -b -a"]), false);
        check("PTTL k", &Reply::Int(100_000), &Reply::Int(99_990), true);
        check("PTTL k", &Reply::Int(-1), &Reply::Int(-2), false);
        check("XPENDING k g - + 9", &list(&[]), &list(&["a"]), false);
        check("XADD k 1-1 a b", &list(&["1"]), &list(&["2"]), false);
        check("GET k", &Reply::Error(b"ERR a".to_vec()), &Reply::Error(b"ERR b".to_vec()), false);
        check("INFO", &Reply::Error(b"ERR a".to_vec()), &Reply::Bulk(Vec::new()), false);
    }

    #[test]
    fn every_entry_says_why() {
        for (name, rule, why) in RULES {
            assert!(matches!(rule, Rule::Exact) || !why.is_empty(), "{name} has no reason");
        }
    }
}
