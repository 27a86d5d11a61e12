//! Sorted sets: popping the lowest or highest scores, and waiting for something to pop.

use std::ops::Range;

use sessile_command::{
    Args, ArgsExt, Arity, Attempt, Command, Effect, Error, Event, Flags, Flow, Items, Keys, Outcome, Proto,
    Reply, Run, Wait, WaitFor, WriteCx, is,
};
use sessile_values::digits;

use crate::zsets::{docs, entry};

const FAST: Flags = Flags::FAST;
const BLOCKING: Keys = Keys::Range { first: 1, last: -2, step: 1 };

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "bzmpop",
        Arity::AtLeast(5),
        Keys::Counted { count: 2, also: 0 },
        Flags::NONE,
        docs(
            "Pops members from the first sorted set that has any; waits for one.",
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "7.0.0",
            "O(K)+O(M*log(N)) for K keys and M members popped",
        ),
        Run::BlockingWrite(bzmpop),
    ),
    entry(
        "bzpopmax",
        Arity::AtLeast(3),
        BLOCKING,
        FAST,
        docs(
            "Pops the highest score of the first sorted set that has any; waits for one.",
            "key [key ...] timeout",
            "5.0.0",
            "O(log(N))",
        ),
        Run::BlockingWrite(|cx, args, out| blocking_pop(cx, args, true, out)),
    ),
    entry(
        "bzpopmin",
        Arity::AtLeast(3),
        BLOCKING,
        FAST,
        docs(
            "Pops the lowest score of the first sorted set that has any; waits for one.",
            "key [key ...] timeout",
            "5.0.0",
            "O(log(N))",
        ),
        Run::BlockingWrite(|cx, args, out| blocking_pop(cx, args, false, out)),
    ),
    entry(
        "zmpop",
        Arity::AtLeast(4),
        Keys::Counted { count: 1, also: 0 },
        Flags::NONE,
        docs(
            "Pops members from the first sorted set that has any.",
            "numkeys key [key ...] <MIN | MAX> [COUNT count]",
            "7.0.0",
            "O(K)+O(M*log(N)) for K keys and M members popped",
        ),
        Run::Write(zmpop),
    ),
    entry(
        "zpopmax",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Pops the members with the highest scores.",
            "key [count]",
            "5.0.0",
            "O(M*log(N)) for M members popped",
        ),
        Run::Write(|cx, args, out| pop(cx, args, true, out)),
    ),
    entry(
        "zpopmin",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Pops the members with the lowest scores.",
            "key [count]",
            "5.0.0",
            "O(M*log(N)) for M members popped",
        ),
        Run::Write(|cx, args, out| pop(cx, args, false, out)),
    ),
];

/// What was popped, and the index of its key among the arguments.
struct Popped {
    key_at: usize,
    members: Vec<(f64, Vec<u8>)>,
}

/// Pops from the first of the keys that is there.
fn pop_first(
    cx: &mut WriteCx<'_>,
    args: Args<'_>,
    keys: Range<usize>,
    max: bool,
    count: usize,
) -> Result<Option<Popped>, Error> {
    for key_at in keys {
        let key = cx.key(&args[key_at]);
        let Some(zset) = cx.read().zset(key)? else { continue };
        let mut members: Vec<(f64, Vec<u8>)> = Vec::new();
        let step = |score: f64, member: &[u8]| {
            members.push((score, member.to_vec()));
            members.len() < count
        };
        if max {
            zset.each_back_from(zset.len() - 1, step);
        } else {
            zset.each_from(0, step);
        }
        let names: Vec<&[u8]> = members.iter().map(|(_, member)| member.as_slice()).collect();
        let event = Event::zset(if max { "zpopmax" } else { "zpopmin" });
        cx.emit(&Effect::ZsetRemove { key, members: Items::Slices(&names) }, event);
        return Ok(Some(Popped { key_at, members }));
    }
    Ok(None)
}

/// ZPOPMIN and ZPOPMAX.
fn pop(cx: &mut WriteCx<'_>, args: Args<'_>, max: bool, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let count = match args.get(2) {
        None => 1,
        Some(count) => digits::parse_i64(count)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(Error::OUT_OF_RANGE)?,
    };
    let members = if count == 0 {
        cx.read().zset(cx.key(&args[1]))?;
        Vec::new()
    } else {
        pop_first(cx, args, 1..2, max, count)?.map(|popped| popped.members).unwrap_or_default()
    };
    // Pairs of their own only where RESP3 asked for a number of them.
    let nested = args.len() == 3 && out.proto() == Proto::Resp3;
    out.array(if nested { members.len() } else { members.len() * 2 });
    for (score, member) in &members {
        if nested {
            out.array(2);
        }
        out.bulk(member);
        out.double(*score);
    }
    Ok(())
}

/// What a blocking pop does when there is nothing.
fn wait_or_answer(cx: &WriteCx<'_>, timeout_ms: u64, out: &mut Reply<'_>) -> Flow {
    if cx.frame().attempt != Attempt::MayWait {
        out.null_array();
        return Flow::Done;
    }
    Flow::Wait(Wait { until: WaitFor::Zset, timeout_ms, keys_max: usize::MAX, again: None })
}

/// BZPOPMIN and BZPOPMAX.
fn blocking_pop(cx: &mut WriteCx<'_>, args: Args<'_>, max: bool, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let last = args.len() - 1;
    let timeout_ms = args.timeout_ms(last)?;
    let Some(popped) = pop_first(cx, args, 1..last, max, 1)? else {
        return Ok(wait_or_answer(cx, timeout_ms, out));
    };
    let (score, member) = &popped.members[0];
    out.array(3);
    out.bulk(&args[popped.key_at]);
    out.bulk(member);
    out.double(*score);
    Ok(Flow::Done)
}

/// What ZMPOP and BZMPOP share: `numkeys key [key ...] <MIN | MAX> [COUNT count]`, also with other names for the ends.
pub(crate) struct ManyPop {
    /// The indexes of the keys.
    pub(crate) keys: Range<usize>,
    /// Whether the second of the two ends was named.
    pub(crate) second_end: bool,
    /// How many to pop, at least 1.
    pub(crate) count: usize,
}

impl ManyPop {
    /// Reads it; `at` is the index of the number of keys.
    pub(crate) fn read(args: Args<'_>, at: usize, ends: [&str; 2]) -> Result<Self, Error> {
        let positive = |at: usize, what: &'static str| {
            let number = digits::parse_i64(&args[at]).filter(|&number| number > 0);
            number.map(|number| number as usize).ok_or(Error::new(what))
        };
        let key_count = positive(at, "ERR numkeys should be greater than 0")?;
        let end_at = key_count.saturating_add(at + 1);
        let end = args.get(end_at).ok_or(Error::SYNTAX)?;
        let second_end = match ends.iter().position(|name| is(end, name)) {
            Some(index) => index == 1,
            None => return Err(Error::SYNTAX),
        };
        let count = match args.len() - end_at - 1 {
            0 => 1,
            2.. if is(&args[end_at + 1], "COUNT") => {
                positive(end_at + 2, "ERR count should be greater than 0")?
            }
            _ => return Err(Error::SYNTAX),
        };
        if args.len() > end_at + 3 {
            return Err(Error::SYNTAX);
        }
        Ok(Self { keys: at + 1..end_at, second_end, count })
    }
}

fn reply_popped(popped: &Popped, args: Args<'_>, out: &mut Reply<'_>) {
    out.array(2);
    out.bulk(&args[popped.key_at]);
    out.array(popped.members.len());
    for (score, member) in &popped.members {
        out.array(2);
        out.bulk(member);
        out.double(*score);
    }
}

fn zmpop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let ManyPop { keys, second_end, count } = ManyPop::read(args, 1, ["MIN", "MAX"])?;
    match pop_first(cx, args, keys, second_end, count)? {
        Some(popped) => reply_popped(&popped, args, out),
        None => out.null_array(),
    }
    Ok(())
}

fn bzmpop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let ManyPop { keys, second_end, count } = ManyPop::read(args, 2, ["MIN", "MAX"])?;
    let timeout_ms = args.timeout_ms(1)?;
    match pop_first(cx, args, keys, second_end, count)? {
        Some(popped) => reply_popped(&popped, args, out),
        None => return Ok(wait_or_answer(cx, timeout_ms, out)),
    }
    Ok(Flow::Done)
}
