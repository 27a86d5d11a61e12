//! Known, intended differences between the oracle's version (7.0) and newer ones (7.2 and later).
//! They apply only when the server under test reports a newer `redis_version` than the oracle.
//!
//! | difference | where | how it is handled |
//! | --- | --- | --- |
//! | doubles are written in the shortest form that reads back; 7.0 writes 17 digits | scores, ZINCRBY, GEOPOS | both texts must be the same number |
//! | small sets and short lists are `listpack` | OBJECT ENCODING | [`ENCODINGS`] |
//! | XINFO shows `inactive` and `active-time` | XINFO CONSUMERS, XINFO STREAM FULL | [`NEW_FIELDS`] are dropped |
//! | `seen-time` counts attempts to read too | XINFO CONSUMERS, XINFO STREAM FULL | a time, see `rules` |
//! | more help lines | `* HELP` | not compared |
//! | more commands, tips and summaries | COMMAND, COMMAND DOCS/INFO/LIST/COUNT | not compared (see `rules`) |
//! | arguments added later (ZRANK … WITHSCORE) | | not generated (see `docs`) |
//! | the radix tree of a stream is the server's own | XINFO STREAM | [`OWN_FIELDS`] may differ |

use crate::reply::Reply;

/// `(7.0, newer)` names of the same logical encoding.
pub const ENCODINGS: &[(&str, &str)] = &[("hashtable", "listpack"), ("quicklist", "listpack")];

/// Fields that newer versions add to XINFO replies.
pub const NEW_FIELDS: &[&str] = &["inactive", "active-time"];

/// Fields that describe internals.
pub const OWN_FIELDS: &[&str] = &["radix-tree-keys", "radix-tree-nodes"];

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
    if is(0, "object") && is(1, "encoding") {
        let (old, new) = (oracle.text(), tested.text());
        return ENCODINGS.contains(&(old.as_str(), new.as_str()));
    }
    if is(0, "xinfo") {
        return same(&without_fields(oracle), &without_fields(tested));
    }
    let name = args.first().map(|a| String::from_utf8_lossy(a).to_lowercase()).unwrap_or_default();
    let scores = ["z", "bz", "geo"].iter().any(|p| name.starts_with(p));
    scores && same(&canonical_numbers(oracle), &canonical_numbers(tested))
}

fn without_fields(reply: &Reply) -> Reply {
    let keep = |v: &[Reply]| -> Vec<Reply> {
        let dropped = |r: &Reply| {
            let text = r.text();
            NEW_FIELDS.contains(&text.as_str()) || OWN_FIELDS.contains(&text.as_str())
        };
        let mut out = Vec::with_capacity(v.len());
        let mut items = v.iter();
        while let Some(item) = items.next() {
            if dropped(item) {
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
    }
}
