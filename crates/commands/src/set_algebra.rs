//! Sets: intersections, unions and differences, given, counted or stored.

use std::ops::Range;

use sessile_command::{
    Args, Arity, Cause, Command, Effect, Error, Event, Expire, Flags, Keys, Outcome, ReadCx, Reply, Run,
    WriteCx, is,
};
use sessile_values::{HashKey, Limits, Set, Value, digits, dump};

use crate::sets::{docs, entry};

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "sdiff",
        Arity::AtLeast(2),
        Keys::ALL,
        Flags::NONE,
        docs(
            "Gives the members of the first set that no other set has.",
            "key [key ...]",
            "1.0.0",
            "O(N*K) for N members of the first of K sets",
        ),
        Run::Read(|cx, args, out| give(cx, args, Op::Diff, out)),
    ),
    entry(
        "sdiffstore",
        Arity::AtLeast(3),
        Keys::ALL,
        Flags::DENY_OOM,
        docs(
            "Stores the members of the first set that no other set has.",
            "destination key [key ...]",
            "1.0.0",
            "O(N*K) for N members of the first of K sets",
        ),
        Run::Write(|cx, args, out| store(cx, args, Op::Diff, "sdiffstore", out)),
    ),
    entry(
        "sinter",
        Arity::AtLeast(2),
        Keys::ALL,
        Flags::NONE,
        docs(
            "Gives the members that all sets have.",
            "key [key ...]",
            "1.0.0",
            "O(N*K) for N members of the smallest of K sets",
        ),
        Run::Read(|cx, args, out| give(cx, args, Op::Inter, out)),
    ),
    entry(
        "sintercard",
        Arity::AtLeast(3),
        Keys::Counted { count: 1, also: 0 },
        Flags::NONE,
        docs(
            "Counts the members that all sets have, up to a limit.",
            "numkeys key [key ...] [LIMIT limit]",
            "7.0.0",
            "O(N*K) for N members of the smallest of K sets",
        ),
        Run::Read(sintercard),
    ),
    entry(
        "sinterstore",
        Arity::AtLeast(3),
        Keys::ALL,
        Flags::DENY_OOM,
        docs(
            "Stores the members that all sets have.",
            "destination key [key ...]",
            "1.0.0",
            "O(N*K) for N members of the smallest of K sets",
        ),
        Run::Write(|cx, args, out| store(cx, args, Op::Inter, "sinterstore", out)),
    ),
    entry(
        "sunion",
        Arity::AtLeast(2),
        Keys::ALL,
        Flags::NONE,
        docs("Gives the members that any set has.", "key [key ...]", "1.0.0", "O(N) in all members"),
        Run::Read(|cx, args, out| give(cx, args, Op::Union, out)),
    ),
    entry(
        "sunionstore",
        Arity::AtLeast(3),
        Keys::ALL,
        Flags::DENY_OOM,
        docs(
            "Stores the members that any set has.",
            "destination key [key ...]",
            "1.0.0",
            "O(N) in all members",
        ),
        Run::Write(|cx, args, out| store(cx, args, Op::Union, "sunionstore", out)),
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Diff,
    Inter,
    Union,
}

/// The sets of a request; an absent one is empty.
struct Query<'a> {
    hash_key: HashKey,
    limits: &'a Limits,
    sets: Vec<Option<&'a Set>>,
}

impl<'a> Query<'a> {
    /// Looks all keys up: a wrong type is an error even where another key decides the result.
    fn read(cx: ReadCx<'a>, args: Args<'_>, keys: Range<usize>) -> Result<Self, Error> {
        let sets = keys.map(|at| cx.set(cx.key(&args[at]))).collect::<Result<_, _>>()?;
        Ok(Self { hash_key: cx.hash_key(), limits: cx.limits(), sets })
    }

    /// Calls `f` for each member of the result, until it returns false.
    fn each(self, op: Op, f: impl FnMut(&[u8]) -> bool) {
        match op {
            Op::Diff => self.each_unshared(f),
            Op::Inter => self.each_common(f),
            Op::Union => self.union().each_from(0, f),
        }
    }

    fn each_common(self, mut f: impl FnMut(&[u8]) -> bool) {
        let Some(mut sets) = self.sets.into_iter().collect::<Option<Vec<&Set>>>() else { return };
        // The smallest first: only its members can be in all of them.
        sets.sort_by_key(|set| set.len());
        let Some((first, others)) = sets.split_first() else { return };
        first.each_from(0, |member| {
            let common = others.iter().all(|set| set.contains(&self.hash_key, member));
            !common || f(member)
        });
    }

    fn each_unshared(self, mut f: impl FnMut(&[u8]) -> bool) {
        let mut sets = self.sets.into_iter();
        let Some(first) = sets.next().flatten() else { return };
        let others: Vec<&Set> = sets.flatten().collect();
        first.each_from(0, |member| {
            let shared = others.iter().any(|set| set.contains(&self.hash_key, member));
            shared || f(member)
        });
    }

    fn union(self) -> Set {
        let mut union = Set::new();
        for set in self.sets.into_iter().flatten() {
            set.each(|member| {
                union.add(&self.hash_key, self.limits, member);
            });
        }
        union
    }

    /// The result as a set of its own.
    fn result(self, op: Op) -> Set {
        if op == Op::Union {
            return self.union();
        }
        let (hash_key, limits) = (self.hash_key, self.limits);
        let mut result = Set::new();
        self.each(op, |member| {
            result.add(&hash_key, limits, member);
            true
        });
        result
    }
}

fn give(cx: ReadCx<'_>, args: Args<'_>, op: Op, out: &mut Reply<'_>) -> Outcome {
    let query = Query::read(cx, args, 1..args.len())?;
    let start = out.mark();
    let mut given = 0;
    query.each(op, |member| {
        given += 1;
        out.bulk(member);
        true
    });
    out.set_at(start, given);
    Ok(())
}

/// Puts the result under the destination, whatever that held, and replies with its size; an empty one removes the key.
fn store(cx: &mut WriteCx<'_>, args: Args<'_>, op: Op, event: &'static str, out: &mut Reply<'_>) -> Outcome {
    let result = Query::read(cx.read(), args, 2..args.len())?.result(op);
    let key = cx.key(&args[1]);
    let present = cx.read().lookup_in(cx.db(), key).is_some();
    out.int(result.len() as i64);
    if !result.is_empty() {
        let mut payload = Vec::new();
        dump::encode_value(&Value::Set(result), &mut payload);
        let effect = Effect::Restore { key, payload: &payload, expire: Expire::Never, access: 0 };
        cx.emit(&effect, Event::set(event));
    } else if present {
        cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::DEL);
    }
    Ok(())
}

fn sintercard(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key_count = digits::parse_i64(&args[1])
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count > 0)
        .ok_or(Error::new("ERR numkeys should be greater than 0"))?;
    if key_count > args.len() - 2 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut at = 2 + key_count;
    while at < args.len() {
        if !is(&args[at], "LIMIT") || at + 1 == args.len() {
            return Err(Error::SYNTAX);
        }
        limit = digits::parse_i64(&args[at + 1])
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or(Error::new("ERR LIMIT can't be negative"))?;
        at += 2;
    }
    let mut count = 0;
    Query::read(cx, args, 2..2 + key_count)?.each_common(|_| {
        count += 1;
        count != limit
    });
    out.int(count as i64);
    Ok(())
}
