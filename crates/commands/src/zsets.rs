//! Sorted sets: adding, removing, looking at single members, and walking.

use std::collections::{BTreeMap, BTreeSet};

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Effect, Error, Event, Flags, Items, Keys, Outcome, Proto,
    ReadCx, Reply, Run, Scores, WriteCx, is,
};
use sessile_values::Zset;

use crate::choice::{Choice, random_count, reading_rng};
use crate::scan::ScanOptions;

const FAST: Flags = Flags::FAST;
const WRITE_FAST: Flags = Flags::DENY_OOM.and(Flags::FAST);

/// An entry of the sorted sets' families.
pub(crate) const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: Run,
) -> Command {
    Command { name, arity, keys, acl: Acl::SORTED_SET, flags, docs, run }
}

/// The documentation of a command on sorted sets.
pub(crate) const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "sorted-set", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "zadd",
        Arity::AtLeast(4),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Adds members to a sorted set or changes their scores; creates it.",
            "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
            "1.2.0",
            "O(log(N)) for each member",
        ),
        Run::Write(|cx, args, out| add(cx, args, false, out)),
    ),
    entry(
        "zcard",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives the number of members.", "key", "1.2.0", "O(1)"),
        Run::Read(zcard),
    ),
    entry(
        "zincrby",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Adds an amount to a member's score; an absent member counts as 0.",
            "key increment member",
            "1.2.0",
            "O(log(N))",
        ),
        Run::Write(|cx, args, out| add(cx, args, true, out)),
    ),
    entry(
        "zmscore",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs(
            "Gives the scores of several members.",
            "key member [member ...]",
            "6.2.0",
            "O(N) in the members asked",
        ),
        Run::Read(zmscore),
    ),
    entry(
        "zrandmember",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives members chosen at random.",
            "key [count [WITHSCORES]]",
            "6.2.0",
            "O(N) in the members given",
        ),
        Run::Read(zrandmember),
    ),
    entry(
        "zrank",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs(
            "Gives a member's place, counted from the lowest score.",
            "key member [WITHSCORE]",
            "2.0.0",
            "O(log(N))",
        ),
        Run::Read(|cx, args, out| rank(cx, args, false, out)),
    ),
    entry(
        "zrem",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs("Removes members.", "key member [member ...]", "1.2.0", "O(M*log(N)) for M members"),
        Run::Write(zrem),
    ),
    entry(
        "zrevrank",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs(
            "Gives a member's place, counted from the highest score.",
            "key member [WITHSCORE]",
            "2.0.0",
            "O(log(N))",
        ),
        Run::Read(|cx, args, out| rank(cx, args, true, out)),
    ),
    entry(
        "zscan",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Walks over members and scores, some at a time.",
            "key cursor [MATCH pattern] [COUNT count]",
            "2.8.0",
            "O(1) for each turn, O(N) for a whole walk",
        ),
        Run::Read(zscan),
    ),
    entry(
        "zscore",
        Arity::Exactly(3),
        Keys::ONE,
        FAST,
        docs("Gives a member's score.", "key member", "1.2.0", "O(1)"),
        Run::Read(zscore),
    ),
];

/// Replies with a member, and its score if wanted: a pair of its own in RESP3, two elements in RESP2.
pub(crate) fn reply_member(score: f64, member: &[u8], with_scores: bool, out: &mut Reply<'_>) {
    if with_scores && out.proto() == Proto::Resp3 {
        out.array(2);
    }
    out.bulk(member);
    if with_scores {
        out.double(score);
    }
}

/// Announces `count` members in the form of [`reply_member`].
pub(crate) fn reply_members(count: usize, with_scores: bool, out: &mut Reply<'_>) {
    let flat = with_scores && out.proto() == Proto::Resp2;
    out.array(if flat { count * 2 } else { count });
}

/// ZADD's options.
#[derive(Default)]
struct AddOptions {
    only_new: bool,
    only_known: bool,
    greater: bool,
    less: bool,
    changed: bool,
    increment: bool,
}

impl AddOptions {
    /// Reads the options and gives the index of the first score.
    fn read(args: Args<'_>, increment: bool) -> Result<(Self, usize), Error> {
        let mut options = Self { increment, ..Self::default() };
        let mut at = 2;
        while at < args.len() {
            match &args[at] {
                option if is(option, "NX") => options.only_new = true,
                option if is(option, "XX") => options.only_known = true,
                option if is(option, "CH") => options.changed = true,
                option if is(option, "INCR") => options.increment = true,
                option if is(option, "GT") => options.greater = true,
                option if is(option, "LT") => options.less = true,
                _ => break,
            }
            at += 1;
        }
        let rest = args.len() - at;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(Error::SYNTAX);
        }
        if options.only_new && options.only_known {
            return Err(Error::new("ERR XX and NX options at the same time are not compatible"));
        }
        if u8::from(options.only_new) + u8::from(options.greater) + u8::from(options.less) > 1 {
            return Err(Error::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if options.increment && rest > 2 {
            return Err(Error::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok((options, at))
    }

    /// The member's score from now on; `None` if the options forbid the change.
    fn score(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else {
            return Ok((!self.only_known).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increment { old + given } else { given };
        if new.is_nan() {
            return Err(Error::new("ERR resulting score is not a number (NaN)"));
        }
        let forbidden = self.less && new >= old || self.greater && new <= old;
        Ok((!forbidden).then_some(new))
    }
}

/// ZADD and ZINCRBY.
fn add(cx: &mut WriteCx<'_>, args: Args<'_>, increment: bool, out: &mut Reply<'_>) -> Outcome {
    let (options, first) = AddOptions::read(args, increment)?;
    let given: Vec<f64> =
        (first..args.len()).step_by(2).map(|at| args.float(at)).collect::<Result<_, _>>()?;
    let key = cx.key(&args[1]);
    let zset = cx.read().zset(key)?;
    let hash_key = cx.read().hash_key();
    let mut scores: Vec<(f64, &[u8])> = Vec::new();
    // A member that is given twice sees its own first change.
    let mut changes: BTreeMap<&[u8], f64> = BTreeMap::new();
    let (mut added, mut updated, mut last) = (0, 0, None);
    for (index, &amount) in given.iter().enumerate() {
        let member = &args[first + index * 2 + 1];
        let stored = || zset.and_then(|zset| zset.score(&hash_key, member));
        let old = changes.get(member).copied().or_else(stored);
        last = options.score(old, amount)?;
        match last {
            Some(new) if old != Some(new) => {
                added += i64::from(old.is_none());
                updated += i64::from(old.is_some());
                scores.push((new, member));
                if given.len() > 1 {
                    changes.insert(member, new);
                }
            }
            _ => {}
        }
    }
    if !scores.is_empty() {
        let event = if options.increment { "zincr" } else { "zadd" };
        cx.emit(&Effect::ZsetAdd { key, scores: Scores::Slice(&scores) }, Event::zset(event));
    }
    match last {
        _ if !options.increment => out.int(if options.changed { added + updated } else { added }),
        Some(score) => out.double(score),
        None => out.null(),
    }
    Ok(())
}

fn zrem(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let mut gone: Vec<&[u8]> = Vec::new();
    if let Some(zset) = cx.read().zset(key)? {
        let hash_key = cx.read().hash_key();
        let mut seen = BTreeSet::new();
        gone = args.slices(2);
        gone.retain(|&member| zset.score(&hash_key, member).is_some() && seen.insert(member));
    }
    if !gone.is_empty() {
        cx.emit(&Effect::ZsetRemove { key, members: Items::Slices(&gone) }, Event::zset("zrem"));
    }
    out.int(gone.len() as i64);
    Ok(())
}

fn zcard(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(cx.zset(cx.key(&args[1]))?.map_or(0, Zset::len) as i64);
    Ok(())
}

fn reply_score(score: Option<f64>, out: &mut Reply<'_>) {
    match score {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

fn zscore(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let zset = cx.zset(cx.key(&args[1]))?;
    reply_score(zset.and_then(|zset| zset.score(&cx.hash_key(), &args[2])), out);
    Ok(())
}

fn zmscore(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let zset = cx.zset(cx.key(&args[1]))?;
    out.array(args.len() - 2);
    for member in args.iter().skip(2) {
        reply_score(zset.and_then(|zset| zset.score(&cx.hash_key(), member)), out);
    }
    Ok(())
}

/// ZRANK and ZREVRANK.
fn rank(cx: ReadCx<'_>, args: Args<'_>, reverse: bool, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 4 {
        return Err(Error::arity(if reverse { "zrevrank" } else { "zrank" }));
    }
    let with_score = args.len() == 4;
    if with_score && !is(&args[3], "WITHSCORE") {
        return Err(Error::SYNTAX);
    }
    let zset = cx.zset(cx.key(&args[1]))?;
    let found = zset.and_then(|zset| Some((zset.rank(&cx.hash_key(), &args[2])?, zset.len())));
    match found {
        None if with_score => out.null_array(),
        None => out.null(),
        Some(((rank, score), len)) => {
            if with_score {
                out.array(2);
            }
            out.int(if reverse { len - 1 - rank } else { rank } as i64);
            if with_score {
                out.double(score);
            }
        }
    }
    Ok(())
}

fn zscan(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    // The cursor is checked before the key is looked up, the options only if there is something to scan.
    let options = ScanOptions::read(args, 2, false);
    if options.as_ref().is_err_and(|error| *error == Error::BAD_CURSOR) {
        return Err(Error::BAD_CURSOR);
    }
    let Some(zset) = cx.zset(cx.key(&args[1]))? else {
        out.array(2);
        out.bulk(b"0");
        out.array(0);
        return Ok(());
    };
    let options = options?;
    let compact = zset.as_listpack().is_some();
    let (mut elements, mut given) = (Vec::new(), 0);
    let mut sink = Reply::new(&mut elements, out.proto());
    let next = zset.scan(options.cursor, options.count, |score, member| {
        if options.admits(member) {
            given += 2;
            sink.bulk(member);
            sink.bulk(&scan_score(score, compact));
        }
    });
    out.array(2);
    out.bulk(next.to_string().as_bytes());
    out.array(given);
    out.raw(&elements);
    Ok(())
}

fn zrandmember(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    if args.len() == 2 {
        match cx.zset(key)? {
            None => out.null(),
            Some(zset) => {
                let place = reading_rng(cx).below(zset.len() as u64) as usize;
                zset.nth(place, |_, member| out.bulk(member));
            }
        }
        return Ok(());
    }
    let count = random_count(args, 2)?;
    let with_scores = args.len() == 4 && is(&args[3], "WITHSCORES");
    if args.len() > 3 && !with_scores {
        return Err(Error::SYNTAX);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::new("ERR value is out of range"));
    }
    let Some(zset) = cx.zset(key)?.filter(|_| count != 0) else {
        out.array(0);
        return Ok(());
    };
    let reply =
        |score: f64, member: &[u8], out: &mut Reply<'_>| reply_member(score, member, with_scores, out);
    match Choice::of(cx, count, zset.len())? {
        Choice::All => {
            reply_members(zset.len(), with_scores, out);
            // From the highest score down, as Redis does.
            zset.each_back_from(zset.len() - 1, |score, member| {
                reply(score, member, out);
                true
            });
        }
        Choice::Some(wanted, places) => {
            reply_members(wanted, with_scores, out);
            for place in places {
                zset.nth(place, |score, member| reply(score, member, out));
            }
        }
    }
    Ok(())
}

/// A score as ZSCAN gives it: a string in both protocols; from a large sorted set with 17 digits, as C's `%.17g`.
fn scan_score(score: f64, compact: bool) -> Vec<u8> {
    if compact || score == 0.0 || score.is_infinite() {
        let mut text = Vec::new();
        sessile_resp::format_double(score, &mut text);
        return text;
    }
    let scientific = format!("{score:.16e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is an integer");
    if (-4..17).contains(&exponent) {
        let places = (16 - exponent) as usize;
        let text = format!("{score:.places$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.as_bytes().to_vec();
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::scan_score;

    #[test]
    fn scan_scores_have_seventeen_digits() {
        let check = |score: f64, expected: &str| {
            assert_eq!(String::from_utf8_lossy(&scan_score(score, false)), expected);
        };
        check(0.1, "0.10000000000000001");
        check(-1.5, "-1.5");
        check(100.0, "100");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(1e-4, "0.0001");
        check(2.5e-5, "2.5000000000000001e-05");
        check(1e300, "1.0000000000000001e+300");
        check(f64::NEG_INFINITY, "-inf");
    }
}
