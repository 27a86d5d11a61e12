//! Sorted sets: ranges by place, by score and by member – giving, counting, removing and storing them.

use sessile_command::{
    Args, ArgsExt, Arity, Command, Effect, Error, Event, Flags, Items, Keys, Outcome, ReadCx, Reply, Run,
    WriteCx, is,
};
use sessile_values::{Zset, digits};

use crate::zset_store::store;
use crate::zsets::{docs, entry, reply_member, reply_members};

const FAST: Flags = Flags::FAST;

const BY_RANK: &str = "O(log(N)+M) for M members given";

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "zcount",
        Arity::Exactly(4),
        Keys::ONE,
        FAST,
        docs("Counts the members whose scores are in a range.", "key min max", "2.0.0", "O(log(N))"),
        Run::Read(|cx, args, out| count(cx, args, By::Score, out)),
    ),
    entry(
        "zlexcount",
        Arity::Exactly(4),
        Keys::ONE,
        FAST,
        docs("Counts the members that are in a range of texts.", "key min:string max:string", "2.8.9", "O(log(N))"),
        Run::Read(|cx, args, out| count(cx, args, By::Lex, out)),
    ),
    entry(
        "zrange",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members of a range of places, scores or texts.",
            "key start:string stop:string [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
            "1.2.0",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, None, None, out)),
    ),
    entry(
        "zrangebylex",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members that are in a range of texts.",
            "key min:string max:string [LIMIT offset count]",
            "2.8.9",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, Some(By::Lex), Some(false), out)),
    ),
    entry(
        "zrangebyscore",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members whose scores are in a range.",
            "key min max [WITHSCORES] [LIMIT offset count]",
            "1.0.5",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, Some(By::Score), Some(false), out)),
    ),
    entry(
        "zrangestore",
        Arity::AtLeast(5),
        Keys::Range { first: 1, last: 2, step: 1 },
        Flags::DENY_OOM,
        docs(
            "Stores the members of a range in another sorted set.",
            "dst src min:string max:string [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            "6.2.0",
            "O(log(N)+M) for M members stored",
        ),
        Run::Write(zrangestore),
    ),
    entry(
        "zremrangebylex",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Removes the members that are in a range of texts.", "key min:string max:string", "2.8.9", BY_RANK),
        Run::Write(|cx, args, out| remove(cx, args, By::Lex, "zremrangebylex", out)),
    ),
    entry(
        "zremrangebyrank",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Removes the members in a range of places.", "key start stop", "2.0.0", BY_RANK),
        Run::Write(|cx, args, out| remove(cx, args, By::Rank, "zremrangebyrank", out)),
    ),
    entry(
        "zremrangebyscore",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Removes the members whose scores are in a range.", "key min max", "1.2.0", BY_RANK),
        Run::Write(|cx, args, out| remove(cx, args, By::Score, "zremrangebyscore", out)),
    ),
    entry(
        "zrevrange",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives a range of places, from the highest score down.",
            "key start stop [WITHSCORES]",
            "1.2.0",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, Some(By::Rank), Some(true), out)),
    ),
    entry(
        "zrevrangebylex",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members that are in a range of texts, from the last down.",
            "key max:string min:string [LIMIT offset count]",
            "2.8.9",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, Some(By::Lex), Some(true), out)),
    ),
    entry(
        "zrevrangebyscore",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members whose scores are in a range, from the highest down.",
            "key max min [WITHSCORES] [LIMIT offset count]",
            "2.2.0",
            BY_RANK,
        ),
        Run::Read(|cx, args, out| give(cx, args, Some(By::Score), Some(true), out)),
    ),
];

/// What a range is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// An end of a range of texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LexEnd<'a> {
    First,
    Text(&'a [u8]),
    Last,
}

/// A range as it was asked for, the lower end first.
enum Range<'a> {
    Rank { start: i64, stop: i64 },
    Score { min: f64, min_open: bool, max: f64, max_open: bool },
    Lex { min: LexEnd<'a>, min_open: bool, max: LexEnd<'a>, max_open: bool },
}

/// Places `start..end`, counted from the lowest score.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// What LIMIT leaves of it; a negative offset leaves nothing, a negative count everything behind the offset.
    fn limit(self, offset: i64, count: i64, reverse: bool) -> Span {
        let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let keep = usize::try_from(count).unwrap_or(usize::MAX).min(self.len() - skip);
        if reverse {
            let end = self.end - skip;
            Span { start: end - keep, end }
        } else {
            let start = self.start + skip;
            Span { start, end: start + keep }
        }
    }
}

impl<'a> Range<'a> {
    fn read(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, Error> {
        match by {
            By::Rank => {
                let int = |text| digits::parse_i64(text).ok_or(Error::NOT_INTEGER);
                Ok(Range::Rank { start: int(min)?, stop: int(max)? })
            }
            By::Score => {
                let end = |text| score_end(text).ok_or(Error::new("ERR min or max is not a float"));
                let ((min, min_open), (max, max_open)) = (end(min)?, end(max)?);
                Ok(Range::Score { min, min_open, max, max_open })
            }
            By::Lex => {
                let end =
                    |text| lex_end(text).ok_or(Error::new("ERR min or max not valid string range item"));
                let ((min, min_open), (max, max_open)) = (end(min)?, end(max)?);
                Ok(Range::Lex { min, min_open, max, max_open })
            }
        }
    }

    /// The places of the members in the range. `reverse` matters to ranks, which are then counted from the highest
    /// score, and to texts, see [`walk_lex`].
    fn find(&self, zset: &Zset, reverse: bool) -> Span {
        let (start, end) = match *self {
            Range::Rank { start, stop } => {
                let Some((start, end)) = rank_range(start, stop, zset.len()) else {
                    return Span { start: 0, end: 0 };
                };
                if reverse { (zset.len() - end, zset.len() - start) } else { (start, end) }
            }
            Range::Score { min, min_open, max, max_open } => (
                zset.partition(|score, _| score < min || min_open && score == min),
                zset.partition(|score, _| score < max || !max_open && score == max),
            ),
            Range::Lex { min, min_open, max, max_open } => {
                let below = |member: &[u8]| {
                    let member = LexEnd::Text(member);
                    member < min || min_open && member == min
                };
                let not_above = |member: &[u8]| {
                    let member = LexEnd::Text(member);
                    member < max || !max_open && member == max
                };
                if min > max || min == max && (min_open || max_open) {
                    (0, 0)
                } else if zset.as_listpack().is_some() {
                    walk_lex(zset, reverse, below, not_above)
                } else {
                    (zset.partition(|_, m| below(m)), zset.partition(|_, m| not_above(m)))
                }
            }
        };
        Span { start, end: end.max(start) }
    }
}

/// A range of texts in a small sorted set. Where scores differ, texts are in no order and Redis leaves the answer
/// open; what it gives then from its compact form is what this walk gives: it starts at the first member that is
/// inside, coming from the end it goes away from, and stops at the first that is outside.
fn walk_lex(
    zset: &Zset,
    reverse: bool,
    below: impl Fn(&[u8]) -> bool,
    not_above: impl Fn(&[u8]) -> bool,
) -> (usize, usize) {
    let mut members: Vec<Vec<u8>> = Vec::with_capacity(zset.len());
    zset.each(|_, member| members.push(member.to_vec()));
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return (0, 0) };
    if below(last) || !not_above(first) {
        return (0, 0);
    }
    if reverse {
        let end = members.iter().rposition(|m| not_above(m)).map_or(0, |i| i + 1);
        let start = members[..end].iter().rposition(|m| below(m)).map_or(0, |i| i + 1);
        return (start, end);
    }
    let start = members.iter().position(|m| !below(m)).unwrap_or(members.len());
    let end = members[start..].iter().position(|m| !not_above(m)).map_or(members.len(), |i| start + i);
    (start, end)
}

/// Redis' inclusive range with negative ends counted from the back, as a half-open one; `None` if it is empty.
pub(crate) fn rank_range(start: i64, stop: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    let from_back = |i: i64| if i < 0 { len.saturating_add(i) } else { i };
    let (start, stop) = (from_back(start).max(0), from_back(stop).min(len - 1));
    (start <= stop).then(|| (start as usize, stop as usize + 1))
}

/// An end of a range of scores, and whether it is open. Redis reads it with `strtod`, which takes leading white space,
/// nothing at all for 0, and numbers beyond a double's range, and ends at a NUL byte.
fn score_end(text: &[u8]) -> Option<(f64, bool)> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (open, text) = match text {
        [b'(', text @ ..] => (true, text),
        text => (false, text),
    };
    if text.is_empty() {
        return Some((0.0, open));
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(|byte| is_space(byte)).count()..];
    let out_of_range = || str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| !value.is_nan());
    digits::parse_f64(text).or_else(out_of_range).map(|value| (value, open))
}

fn lex_end(text: &[u8]) -> Option<(LexEnd<'_>, bool)> {
    match text {
        b"-" => Some((LexEnd::First, false)),
        b"+" => Some((LexEnd::Last, false)),
        [b'(', text @ ..] => Some((LexEnd::Text(text), true)),
        [b'[', text @ ..] => Some((LexEnd::Text(text), false)),
        _ => None,
    }
}

/// A whole request for a range.
struct Query<'a> {
    range: Range<'a>,
    reverse: bool,
    limit: Option<(i64, i64)>,
    with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads what stands from index `first` (the range's first end) on. What the command's name fixes cannot be given
    /// as an option.
    fn read(
        args: Args<'a>,
        first: usize,
        by: Option<By>,
        reverse: Option<bool>,
        storing: bool,
    ) -> Result<Self, Error> {
        let (mut by, mut reverse) = (by, reverse);
        let (mut with_scores, mut limit) = (false, (0, -1));
        let mut at = first + 2;
        while at < args.len() {
            let option = &args[at];
            if !storing && is(option, "WITHSCORES") {
                with_scores = true;
            } else if is(option, "LIMIT") && at + 2 < args.len() {
                limit = (args.int(at + 1)?, args.int(at + 2)?);
                at += 2;
            } else if reverse.is_none() && is(option, "REV") {
                reverse = Some(true);
            } else if by.is_none() && is(option, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is(option, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit.1 != -1 && by == By::Rank {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (min, max) = match reverse && by != By::Rank {
            false => (args.get(first), args.get(first + 1)),
            true => (args.get(first + 1), args.get(first)),
        };
        let range = Range::read(by, min.ok_or(Error::SYNTAX)?, max.ok_or(Error::SYNTAX)?)?;
        let limit = (by != By::Rank).then_some(limit);
        Ok(Self { range, reverse, limit, with_scores })
    }

    fn find(&self, zset: &Zset) -> Span {
        let span = self.range.find(zset, self.reverse);
        match self.limit {
            Some((offset, count)) => span.limit(offset, count, self.reverse),
            None => span,
        }
    }

    /// Calls `f(score, member)` for what was asked for, in the order asked for.
    fn each(&self, zset: &Zset, span: Span, mut f: impl FnMut(f64, &[u8])) {
        let mut left = span.len();
        if left == 0 {
            return;
        }
        let step = |score: f64, member: &[u8]| {
            f(score, member);
            left -= 1;
            left > 0
        };
        if self.reverse { zset.each_back_from(span.end - 1, step) } else { zset.each_from(span.start, step) }
    }
}

/// ZRANGE and its older relatives.
fn give(
    cx: ReadCx<'_>,
    args: Args<'_>,
    by: Option<By>,
    reverse: Option<bool>,
    out: &mut Reply<'_>,
) -> Outcome {
    let query = Query::read(args, 2, by, reverse, false)?;
    let Some(zset) = cx.zset(cx.key(&args[1]))? else {
        out.array(0);
        return Ok(());
    };
    let span = query.find(zset);
    reply_members(span.len(), query.with_scores, out);
    query.each(zset, span, |score, member| reply_member(score, member, query.with_scores, out));
    Ok(())
}

fn zrangestore(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let query = Query::read(args, 3, None, None, true)?;
    let (to, from) = (cx.key(&args[1]), cx.key(&args[2]));
    let mut result = Vec::new();
    if let Some(zset) = cx.read().zset(from)? {
        query.each(zset, query.find(zset), |score, member| result.push((score, member.to_vec())));
    }
    store(cx, to, &result, "zrangestore", out);
    Ok(())
}

/// ZCOUNT and ZLEXCOUNT.
fn count(cx: ReadCx<'_>, args: Args<'_>, by: By, out: &mut Reply<'_>) -> Outcome {
    let range = Range::read(by, &args[2], &args[3])?;
    let zset = cx.zset(cx.key(&args[1]))?;
    out.int(zset.map_or(0, |zset| range.find(zset, false).len()) as i64);
    Ok(())
}

/// ZREMRANGEBY….
fn remove(cx: &mut WriteCx<'_>, args: Args<'_>, by: By, event: &'static str, out: &mut Reply<'_>) -> Outcome {
    let range = Range::read(by, &args[2], &args[3])?;
    let query = Query { range, reverse: false, limit: None, with_scores: false };
    let key = cx.key(&args[1]);
    let mut gone = Vec::new();
    if let Some(zset) = cx.read().zset(key)? {
        query.each(zset, query.find(zset), |_, member| gone.push(member.to_vec()));
    }
    if !gone.is_empty() {
        let members: Vec<&[u8]> = gone.iter().map(Vec::as_slice).collect();
        cx.emit(&Effect::ZsetRemove { key, members: Items::Slices(&members) }, Event::zset(event));
    }
    out.int(gone.len() as i64);
    Ok(())
}
