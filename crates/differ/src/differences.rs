//! Known, intended differences between the oracle's version (7.0) and newer ones (7.2 and later).
//! They apply only when the server under test reports a newer `redis_version` than the oracle.
//!
//! | difference | where | how it is handled |
//! | --- | --- | --- |
//! | doubles are written in the shortest form that reads back; 7.0 writes 17 digits | scores, ZINCRBY, GEOPOS | both texts must be the same number |
//! | small sets and short lists are `listpack` | OBJECT ENCODING | `ENCODINGS` |
//! | XINFO shows `inactive` and `active-time` | XINFO CONSUMERS, XINFO STREAM FULL | `NEW_FIELDS` are dropped |
//! | `seen-time` counts attempts to read too | XINFO CONSUMERS, XINFO STREAM FULL | a time, see `rules` |
//! | more help lines | `* HELP` | not compared |
//! | more commands, tips and summaries | COMMAND, COMMAND DOCS/INFO/LIST/COUNT | not compared (see `rules`) |
//! | arguments added later (ZRANK … WITHSCORE) | | not generated (see `docs`) |
//! | the radix tree of a stream is the server's own | XINFO STREAM | `OWN_FIELDS` may differ |
//! | a consumer exists as soon as it is named, not once it is given something | XREADGROUP, XCLAIM, XAUTOCLAIM | idle consumers and their number are not compared |
//! | ZRANK and ZREVRANK take WITHSCORE | ZRANK, ZREVRANK | not generated; COMMAND GETKEYS admits one argument more |
//! | PFCOUNT does not write what it found into the value | HyperLogLogs | written over (see `rules::repair`) |
//! | PFMERGE with one key has a key (a defect of the oracle) | COMMAND GETKEYS | that error of the oracle is not compared |
//! | a number of keys may be followed or led by more (the oracle falls back on `atoi`) | COMMAND GETKEYS | any keys |
//! | a woken client's command runs again and takes its first key that has something; 7.0 takes the one that woke it | blocking commands on several keys | nothing fills several keys at once or gives one another type meanwhile (see `generate`) |
//! | a key whose time has come is absent; the oracle tells its size until something removes it | MEMORY USAGE | no size |
//! | a time-out that is too great is told from a negative one | blocking commands | `ERRORS` |
//! | SORT may take an earlier command's `errno` for its own (a defect of the oracle) | SORT | that error of the oracle is not compared |
//! | SORT ALPHA takes texts up to a zero byte only, so those that go on differently behind it have no order (a defect of the oracle) | SORT, SORT_RO | the same texts up to there, and the same elements |
//! | scripts have `os.clock`, as from 7.4 on | EVAL | `NO_OS` |
//! | a group's waiting reader is told why its stream is gone | XREADGROUP | `ERRORS` |
//! | a waiting reader gets all streams that are ready, not the first only | XREAD | more streams are allowed |
//! | a stream's last id cannot be below a deleted one | XSETID | `BAD_LAST_ID`; the key is deleted |
//! | the smallest integer is no rank | LPOS | `BAD_RANK` |
//! | WATCH sees a stream's groups and last id change, and no PFCOUNT | EXEC | such keys are not watched |
//! | XREAD that waits is not served with an entry that its own XADD trims | XREAD | the oracle's reply has no entries |
//! | another text for streams without ids | XREAD, XREADGROUP | `ERRORS` |
//! | blocking commands are allowed in scripts | EVAL, FCALL | not generated there (see `generate`) |
//! | SETBIT of a bit that is set turns a string into a raw one | OBJECT ENCODING | `ENCODINGS` |
//! | a set of integers that COPY made is an intset, whatever its source was | OBJECT ENCODING | `ENCODINGS` |
//! | SORT turns a sorted set into a skip list | OBJECT ENCODING | `ENCODINGS` |
//! | a sorted set forgets the sign of zero; Redis keeps it in a skip list | scores | both are the same number |
//! | the text of an integer that INCRBYFLOAT made is kept as any other | OBJECT ENCODING | `ENCODINGS` |

use std::collections::BTreeSet;

use crate::reply::Reply;

/// `(7.0, newer)` names of the same logical encoding.
pub const ENCODINGS: &[(&str, &str)] = &[
    ("hashtable", "listpack"),
    ("quicklist", "listpack"),
    ("embstr", "int"),
    ("skiplist", "listpack"),
    ("raw", "embstr"),
    ("raw", "int"),
    ("hashtable", "intset"),
];

/// Fields that newer versions add to XINFO replies.
pub const NEW_FIELDS: &[&str] = &["inactive", "active-time"];

/// Fields that describe internals.
pub const OWN_FIELDS: &[&str] = &["radix-tree-keys", "radix-tree-nodes"];

/// How many consumers a group has depends on who was named, see above.
const CONSUMER_COUNT: &str = "consumers";

/// Errors that newer versions word differently: how the oracle's begins, how the tested one does.
pub const ERRORS: &[(&str, &str)] = &[
    ("ERR timeout is negative", "ERR timeout is out of range"),
    ("UNBLOCKED the stream key no longer exists", "NOGROUP "),
    ("UNBLOCKED the stream key no longer exists", "WRONGTYPE "),
    ("NOGROUP the consumer group this client was blocked on no longer exists", "NOGROUP No such key "),
    ("ERR Unbalanced XREAD list of streams", "ERR Unbalanced 'xread"),
];

/// What 7.0 says of a script that looks for the clock.
const NO_OS: &str = "nonexistent global variable 'os'";

/// What the oracle says of scores that are good, if an earlier command read a number that was not.
const BAD_SORT: &str = "ERR One or more scores can't be converted into double";

/// What newer versions say of a last id below a deleted one.
const BAD_LAST_ID: &str = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";

/// What newer versions say of LPOS' smallest rank.
const BAD_RANK: &str = "ERR value is out of range, value must between -9223372036854775807";

/// Whether a difference between two unequal replies is one of the table; `same` is the command's rule.
pub fn explained(
    args: &[Vec<u8>],
    oracle: &Reply,
    tested: &Reply,
    same: &dyn Fn(&Reply, &Reply) -> bool,
) -> bool {
    let is = |at: usize, word: &str| args.get(at).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()));
    if is(1, "help") {
        return !oracle.is_error() && !tested.is_error();
    }
    if oracle.is_error() && (oracle.text().contains(NO_OS) || oracle.text().contains(BAD_SORT)) {
        return true;
    }
    if (is(0, "sort") || is(0, "sort_ro")) && args.iter().any(|a| a.eq_ignore_ascii_case(b"alpha")) {
        return same_before_zero(oracle, tested);
    }
    // Checks that 7.0 lacks come before others that both have.
    if (is(0, "xsetid") || is(0, "lpos")) && tested.is_error() {
        return [BAD_LAST_ID, BAD_RANK].iter().any(|begin| tested.text().starts_with(begin));
    }
    if let (Reply::Error(_), Reply::Error(_)) = (oracle, tested) {
        let (old, new) = (oracle.text(), tested.text());
        return ERRORS.iter().any(|(a, b)| old.starts_with(a) && new.starts_with(b));
    }
    if is(0, "command") && is(2, "pfmerge") {
        return oracle.text() == "ERR Invalid arguments specified for command" && args.len() == 4;
    }
    if is(0, "memory") && is(1, "usage") {
        return matches!(oracle, Reply::Int(_)) && matches!(tested, Reply::Null | Reply::NullBulk);
    }
    if is(0, "command") && tested.text() == "ERR Invalid arguments specified for command" {
        let loosely = |arg: &Vec<u8>| {
            let text = String::from_utf8_lossy(arg);
            let digits = text.trim_start().trim_start_matches('+');
            digits.starts_with(|c: char| c.is_ascii_digit())
                && text.parse::<i64>().map(|n| n.to_string()) != Ok(text.to_string())
        };
        return !oracle.is_error() && args.iter().skip(3).any(loosely);
    }
    if is(0, "command") && (is(2, "zrank") || is(2, "zrevrank")) {
        return oracle.text() == "ERR Invalid number of arguments specified for command" && args.len() == 6;
    }
    if is(0, "xgroup") && is(1, "createconsumer") {
        return (oracle, tested) == (&Reply::Int(1), &Reply::Int(0));
    }
    if is(0, "object") && is(1, "encoding") {
        let (old, new) = (oracle.text(), tested.text());
        return ENCODINGS.contains(&(old.as_str(), new.as_str()));
    }
    if is(0, "xread") {
        return serves_less(oracle, tested);
    }
    if is(0, "xinfo") {
        return same(&without_fields(oracle), &without_fields(tested));
    }
    let name = args.first().map(|a| String::from_utf8_lossy(a).to_lowercase()).unwrap_or_default();
    let scores = ["z", "bz", "geo"].iter().any(|p| name.starts_with(p));
    scores && same(&canonical_numbers(oracle), &canonical_numbers(tested))
}

/// Whether streams are served as in the newer version, but fewer of them; or with no entries, where it serves none.
fn serves_less(oracle: &Reply, newer: &Reply) -> bool {
    let (served, all) = (oracle.items(), newer.items());
    let none = |entries: Option<&Reply>| entries.is_some_and(|entries| entries.items().is_empty());
    let serves_nothing = match oracle {
        Reply::Map(flat) => flat.chunks(2).all(|stream| none(stream.get(1))),
        _ => served.iter().all(|stream| none(stream.items().get(1))),
    };
    !served.is_empty()
        && (all.is_empty() && serves_nothing || served.iter().all(|stream| all.contains(stream)))
}

/// Whether both are the same elements, in an order that differs only behind zero bytes.
fn same_before_zero(oracle: &Reply, tested: &Reply) -> bool {
    let cut = |item: &Reply| item.bytes().and_then(|text| text.split(|b| *b == 0).next()).map(<[u8]>::to_vec);
    let in_order = |reply: &Reply| reply.items().iter().map(cut).collect::<Vec<_>>();
    let all = |reply: &Reply| reply.items().iter().cloned().collect::<BTreeSet<_>>();
    !oracle.is_error() && in_order(oracle) == in_order(tested) && all(oracle) == all(tested)
}

fn without_fields(reply: &Reply) -> Reply {
    let keep = |v: &[Reply]| -> Vec<Reply> {
        let dropped = |r: &Reply| {
            let text = r.text();
            NEW_FIELDS.contains(&text.as_str()) || OWN_FIELDS.contains(&text.as_str())
        };
        let mut out = Vec::with_capacity(v.len());
        let mut items = v.iter().filter(|item| !is_idle_consumer(item));
        while let Some(item) = items.next() {
            if item.text() == CONSUMER_COUNT {
                out.extend(items.next().filter(|value| !matches!(value, Reply::Int(_))).map(without_fields));
            } else if dropped(item) {
                items.next();
            } else {
                out.push(without_fields(item));
            }
        }
        out
    };
    match reply {
        Reply::Array(v) => Reply::Array(keep(v)),
        Reply::Map(v) => Reply::Map(keep(v)),
        other => other.clone(),
    }
}

/// Whether it is XINFO's row of a consumer that has nothing pending.
fn is_idle_consumer(row: &Reply) -> bool {
    let is_consumer = row.field("seen-time").or_else(|| row.field("idle")).is_some();
    is_consumer && row.field("pel-count").or_else(|| row.field("pending")) == Some(&Reply::Int(0))
}

/// Every text that looks like a fraction or a large number in one notation. Members that look so are
/// rewritten too, on both sides alike.
fn canonical_numbers(reply: &Reply) -> Reply {
    let text = |b: &[u8]| -> Vec<u8> {
        let looks = b.iter().any(u8::is_ascii_digit)
            && b.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'+' | b'-'));
        match std::str::from_utf8(b).ok().filter(|_| looks).and_then(|s| s.parse::<f64>().ok()) {
            Some(number) => format!("{number:?}").into_bytes(),
            None => b.to_vec(),
        }
    };
    let all = |v: &[Reply]| v.iter().map(canonical_numbers).collect::<Vec<_>>();
    match reply {
        Reply::Bulk(b) if b == b"-0" => Reply::Bulk(b"0".to_vec()),
        Reply::Double(b) if b == b"-0" => Reply::Double(text(b"0")),
        Reply::Bulk(b) if b.len() > 14 || b.contains(&b'.') || b.contains(&b'e') => Reply::Bulk(text(b)),
        Reply::Double(b) => Reply::Double(text(b)),
        Reply::Array(v) => Reply::Array(all(v)),
        Reply::Map(v) => Reply::Map(all(v)),
        Reply::Set(v) => Reply::Set(all(v)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::words;

    fn check(command: &[&str], oracle: &str, tested: &str, expected: bool) {
        let bulk = |s: &str| Reply::Bulk(s.as_bytes().to_vec());
        let got = explained(&words(command), &bulk(oracle), &bulk(tested), &|a, b| a == b);
        assert_eq!(got, expected, "{command:?}: {oracle} and {tested}");
    }

    #[test]
    fn explains_only_what_the_table_says() {
        check(&["ZSCORE", "k", "m"], "0.10000000000000001", "0.1", true);
        check(&["ZSCORE", "k", "m"], "0.10000000000000001", "0.2", false);
        check(&["ZSCORE", "k", "m"], "1.0000000000000001e+300", "1e+300", true);
        check(&["OBJECT", "ENCODING", "k"], "hashtable", "listpack", true);
        check(&["OBJECT", "ENCODING", "k"], "listpack", "hashtable", false);
        check(&["GET", "k"], "1.0", "1.00", false);
        let bulks = |items: &[&str]| {
            Reply::Array(items.iter().map(|item| Reply::Bulk(item.as_bytes().to_vec())).collect())
        };
        let sorts = |oracle: &[&str], tested: &[&str]| {
            let command = words(&["SORT", "k", "ALPHA"]);
            explained(&command, &bulks(oracle), &bulks(tested), &|a, b| a == b)
        };
        assert!(sorts(&["\0", "", "a"], &["", "\0", "a"]));
        assert!(!sorts(&["b", "a"], &["a", "b"]) && !sorts(&["\0", ""], &["\0", "\0"]));
        let error = |text: &str| Reply::Error(text.as_bytes().to_vec());
        let explains = |oracle: &str, tested: &str, expected: bool| {
            let got = explained(&words(&["X"]), &error(oracle), &error(tested), &|a, b| a == b);
            assert_eq!(got, expected, "{oracle} and {tested}");
        };
        explains("ERR timeout is negative", "ERR timeout is out of range", true);
        explains("ERR timeout is out of range", "ERR timeout is negative", false);
    }

    #[test]
    fn forgets_idle_consumers() {
        let row = |name: &str, pending: i64| {
            let bulk = |s: &str| Reply::Bulk(s.as_bytes().to_vec());
            let fields =
                [bulk("name"), bulk(name), bulk("pending"), Reply::Int(pending), bulk("idle"), Reply::Int(9)];
            Reply::Array(fields.to_vec())
        };
        let check = |oracle: &[Reply], tested: &[Reply], expected: bool| {
            let command = words(&["XINFO", "CONSUMERS", "k", "g"]);
            let (oracle, tested) = (Reply::Array(oracle.to_vec()), Reply::Array(tested.to_vec()));
            assert_eq!(explained(&command, &oracle, &tested, &|a, b| a == b), expected);
        };
        check(&[], &[row("a", 0)], true);
        check(&[row("a", 1)], &[row("a", 1), row("b", 0)], true);
        check(&[], &[row("a", 1)], false);
    }
}
