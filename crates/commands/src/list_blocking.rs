//! Lists: moving from one to another, popping from the first of several, and waiting for something to pop.

use std::ops::Range;

use sessile_command::{
    Args, ArgsExt, Arity, Attempt, Command, Effect, End, Error, Flags, Flow, Items, Keys, Outcome, Reply,
    Run, Wait, WaitFor, WriteCx, is,
};

use crate::lists::{docs, entry, peek, pop_event, push_event, reply_elements};
use crate::zset_pops::ManyPop;

const WRITE: Flags = Flags::DENY_OOM;
const BLOCKING: Keys = Keys::Range { first: 1, last: -2, step: 1 };
const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "blmove",
        Arity::Exactly(6),
        TWO,
        WRITE,
        docs(
            "Moves an element from an end of a list to an end of another; waits for one.",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
            "6.2.0",
            "O(1)",
        ),
        Run::BlockingWrite(blmove),
    ),
    entry(
        "blmpop",
        Arity::AtLeast(5),
        Keys::Counted { count: 2, also: 0 },
        Flags::NONE,
        docs(
            "Pops elements from the first list that has any; waits for one.",
            "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            "7.0.0",
            "O(K+M) for K keys and M elements popped",
        ),
        Run::BlockingWrite(blmpop),
    ),
    entry(
        "blpop",
        Arity::AtLeast(3),
        BLOCKING,
        Flags::NONE,
        docs(
            "Pops the first element of the first list that has any; waits for one.",
            "key [key ...] timeout",
            "2.0.0",
            "O(K) for K keys",
        ),
        Run::BlockingWrite(|cx, args, out| blocking_pop(cx, args, End::Left, out)),
    ),
    entry(
        "brpop",
        Arity::AtLeast(3),
        BLOCKING,
        Flags::NONE,
        docs(
            "Pops the last element of the first list that has any; waits for one.",
            "key [key ...] timeout",
            "2.0.0",
            "O(K) for K keys",
        ),
        Run::BlockingWrite(|cx, args, out| blocking_pop(cx, args, End::Right, out)),
    ),
    entry(
        "brpoplpush",
        Arity::Exactly(4),
        TWO,
        WRITE,
        docs(
            "Moves the last element of a list before the first of another; waits for one.",
            "source destination timeout",
            "2.2.0",
            "O(1)",
        ),
        Run::BlockingWrite(|cx, args, out| {
            let timeout_ms = args.timeout_ms(3)?;
            blocking_shift(cx, args, End::Right, End::Left, timeout_ms, out)
        }),
    ),
    entry(
        "lmove",
        Arity::Exactly(5),
        TWO,
        WRITE,
        docs(
            "Moves an element from an end of a list to an end of another.",
            "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
            "6.2.0",
            "O(1)",
        ),
        Run::Write(lmove),
    ),
    entry(
        "lmpop",
        Arity::AtLeast(4),
        Keys::Counted { count: 1, also: 0 },
        Flags::NONE,
        docs(
            "Pops elements from the first list that has any.",
            "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
            "7.0.0",
            "O(K+M) for K keys and M elements popped",
        ),
        Run::Write(lmpop),
    ),
    entry(
        "rpoplpush",
        Arity::Exactly(3),
        TWO,
        WRITE,
        docs(
            "Moves the last element of a list before the first of another.",
            "source destination",
            "1.2.0",
            "O(1)",
        ),
        Run::Write(|cx, args, out| {
            if !shift(cx, args, End::Right, End::Left, out)? {
                out.null();
            }
            Ok(())
        }),
    ),
];

fn end_of(arg: &[u8]) -> Result<End, Error> {
    match arg {
        _ if is(arg, "LEFT") => Ok(End::Left),
        _ if is(arg, "RIGHT") => Ok(End::Right),
        _ => Err(Error::SYNTAX),
    }
}

/// Moves an element from the list at argument 1 to the one at argument 2 and replies with it; false if there is none.
fn shift(
    cx: &mut WriteCx<'_>,
    args: Args<'_>,
    from: End,
    to: End,
    out: &mut Reply<'_>,
) -> Result<bool, Error> {
    let (source, destination) = (cx.key(&args[1]), cx.key(&args[2]));
    let Some(list) = cx.read().list(source)? else { return Ok(false) };
    let element = peek(list, from, 1).swap_remove(0);
    cx.read().list(destination)?;
    // Pushing first leaves the right list behind also where source and destination are one.
    let values: &[&[u8]] = &[&element];
    cx.emit(&Effect::ListPush { key: destination, end: to, values: Items::Slices(values) }, push_event(to));
    cx.emit(&Effect::ListPop { key: source, end: from, count: 1 }, pop_event(from));
    out.bulk(&element);
    Ok(true)
}

/// A move that waits for its source only.
fn blocking_shift(
    cx: &mut WriteCx<'_>,
    args: Args<'_>,
    from: End,
    to: End,
    timeout_ms: u64,
    out: &mut Reply<'_>,
) -> Result<Flow, Error> {
    if shift(cx, args, from, to, out)? {
        return Ok(Flow::Done);
    }
    if cx.frame().attempt == Attempt::MustAnswer {
        // As the commands that do not block reply.
        out.null();
        return Ok(Flow::Done);
    }
    Ok(wait_or_answer(cx, timeout_ms, 1, out))
}

/// What a blocking command does when there is nothing.
fn wait_or_answer(cx: &WriteCx<'_>, timeout_ms: u64, keys_max: usize, out: &mut Reply<'_>) -> Flow {
    if cx.frame().attempt != Attempt::MayWait {
        out.null_array();
        return Flow::Done;
    }
    Flow::Wait(Wait { until: WaitFor::List, timeout_ms, keys_max, again: None })
}

fn lmove(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (from, to) = (end_of(&args[3])?, end_of(&args[4])?);
    if !shift(cx, args, from, to, out)? {
        out.null();
    }
    Ok(())
}

fn blmove(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let (from, to) = (end_of(&args[3])?, end_of(&args[4])?);
    let timeout_ms = args.timeout_ms(5)?;
    blocking_shift(cx, args, from, to, timeout_ms, out)
}

/// What was popped, and the index of its key among the arguments.
struct Popped {
    key_at: usize,
    elements: Vec<Vec<u8>>,
}

/// Pops from the first of the keys that is there.
fn pop_first(
    cx: &mut WriteCx<'_>,
    args: Args<'_>,
    keys: Range<usize>,
    end: End,
    count: usize,
) -> Result<Option<Popped>, Error> {
    for key_at in keys {
        let key = cx.key(&args[key_at]);
        let Some(list) = cx.read().list(key)? else { continue };
        let elements = peek(list, end, count);
        cx.emit(&Effect::ListPop { key, end, count: elements.len() as u64 }, pop_event(end));
        return Ok(Some(Popped { key_at, elements }));
    }
    Ok(None)
}

/// BLPOP and BRPOP.
fn blocking_pop(cx: &mut WriteCx<'_>, args: Args<'_>, end: End, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let last = args.len() - 1;
    let timeout_ms = args.timeout_ms(last)?;
    let Some(popped) = pop_first(cx, args, 1..last, end, 1)? else {
        return Ok(wait_or_answer(cx, timeout_ms, usize::MAX, out));
    };
    out.array(2);
    out.bulk(&args[popped.key_at]);
    out.bulk(&popped.elements[0]);
    Ok(Flow::Done)
}

fn reply_popped(popped: &Popped, args: Args<'_>, out: &mut Reply<'_>) {
    out.array(2);
    out.bulk(&args[popped.key_at]);
    reply_elements(&popped.elements, out);
}

fn lmpop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let ManyPop { keys, second_end, count } = ManyPop::read(args, 1, ["LEFT", "RIGHT"])?;
    let end = if second_end { End::Right } else { End::Left };
    match pop_first(cx, args, keys, end, count)? {
        Some(popped) => reply_popped(&popped, args, out),
        None => out.null_array(),
    }
    Ok(())
}

fn blmpop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let ManyPop { keys, second_end, count } = ManyPop::read(args, 2, ["LEFT", "RIGHT"])?;
    let timeout_ms = args.timeout_ms(1)?;
    let end = if second_end { End::Right } else { End::Left };
    match pop_first(cx, args, keys, end, count)? {
        Some(popped) => reply_popped(&popped, args, out),
        None => return Ok(wait_or_answer(cx, timeout_ms, usize::MAX, out)),
    }
    Ok(Flow::Done)
}
