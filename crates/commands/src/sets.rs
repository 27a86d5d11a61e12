//! Sets: adding, removing, looking at members, random ones, and walking.

use std::collections::BTreeSet;

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Cause, Command, Docs, Effect, Error, Event, Flags, Items, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx,
};
use sessile_values::Set;

use crate::choice::{Choice, places, random_count, reading_rng};
use crate::hashes::{len_now, scan_value};

const FAST: Flags = Flags::FAST;

/// An entry of the sets' families.
pub(crate) const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: Run,
) -> Command {
    Command { name, arity, keys, acl: Acl::SET, flags, docs, run }
}

/// The documentation of a command on sets.
pub(crate) const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "set", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "sadd",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::DENY_OOM.and(Flags::FAST),
        docs(
            "Adds members to a set; creates it.",
            "key member [member ...]",
            "1.0.0",
            "O(N) in the members named",
        ),
        Run::Write(sadd),
    ),
    entry(
        "scard",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives the number of members of a set.", "key", "1.0.0", "O(1)"),
        Run::Read(scard),
    ),
    entry(
        "sismember",
        Arity::Exactly(3),
        Keys::ONE,
        FAST,
        docs("Tells whether a set has a member.", "key member", "1.0.0", "O(1)"),
        Run::Read(sismember),
    ),
    entry(
        "smembers",
        Arity::Exactly(2),
        Keys::ONE,
        Flags::NONE,
        docs("Gives all members of a set.", "key", "1.0.0", "O(N) in the set's size"),
        Run::Read(smembers),
    ),
    entry(
        "smismember",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs(
            "Tells which members a set has.",
            "key member [member ...]",
            "6.2.0",
            "O(N) in the members named",
        ),
        Run::Read(smismember),
    ),
    entry(
        "smove",
        Arity::Exactly(4),
        Keys::Range { first: 1, last: 2, step: 1 },
        FAST,
        docs("Moves a member from one set to another.", "source destination member", "1.0.0", "O(1)"),
        Run::Write(smove),
    ),
    entry(
        "spop",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Gives random members of a set and removes them.",
            "key [count]",
            "1.0.0",
            "O(N) in the members given",
        ),
        Run::Write(spop),
    ),
    entry(
        "srandmember",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives random members of a set; with a negative count they may repeat.",
            "key [count]",
            "1.0.0",
            "O(N) in the members given",
        ),
        Run::Read(srandmember),
    ),
    entry(
        "srem",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs("Removes members of a set.", "key member [member ...]", "1.0.0", "O(N) in the members named"),
        Run::Write(srem),
    ),
    entry(
        "sscan",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members of a set a few at a time.",
            "key cursor [MATCH pattern] [COUNT count]",
            "2.8.0",
            "O(1) a call, O(N) in the members for all calls",
        ),
        Run::Read(sscan),
    ),
];

fn sadd(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let set = cx.read().set(key)?;
    let before = set.map_or(0, Set::len);
    let is_new = |member: &&[u8]| set.is_none_or(|set| !set.contains(&hash_key, member));
    let members: Vec<&[u8]> = args.iter().skip(2).filter(is_new).collect();
    if members.is_empty() {
        out.int(0);
        return Ok(());
    }
    cx.emit(&Effect::SetAdd { key, members: Items::Slices(&members) }, Event::set("sadd"));
    // A member that is named twice is new once, so the sizes are asked, not the arguments.
    out.int((len_now(cx, key) - before) as i64);
    Ok(())
}

fn srem(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let hash_key = cx.read().hash_key();
    let Some(set) = cx.read().set(key)? else {
        out.int(0);
        return Ok(());
    };
    let before = set.len();
    let members: Vec<&[u8]> = args.iter().skip(2).filter(|member| set.contains(&hash_key, member)).collect();
    if members.is_empty() {
        out.int(0);
        return Ok(());
    }
    cx.emit(&Effect::SetRemove { key, members: Items::Slices(&members) }, Event::set("srem"));
    out.int((before - len_now(cx, key)) as i64);
    Ok(())
}

fn smove(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (from, to) = (cx.key(&args[1]), cx.key(&args[2]));
    let hash_key = cx.read().hash_key();
    let Some(source) = cx.read().set(from)? else {
        // Without a source, the destination's type does not matter.
        out.int(0);
        return Ok(());
    };
    let moves = source.contains(&hash_key, &args[3]);
    let there = cx.read().set(to)?.is_some_and(|set| set.contains(&hash_key, &args[3]));
    if moves && from.bytes != to.bytes {
        let members = Items::Slices(&[&args[3]]);
        cx.emit(&Effect::SetRemove { key: from, members }, Event::set("srem"));
        if !there {
            cx.emit(&Effect::SetAdd { key: to, members }, Event::set("sadd"));
        }
    }
    out.int(i64::from(moves));
    Ok(())
}

fn sismember(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let set = cx.set(cx.key(&args[1]))?;
    out.int(i64::from(set.is_some_and(|set| set.contains(&cx.hash_key(), &args[2]))));
    Ok(())
}

fn smismember(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let set = cx.set(cx.key(&args[1]))?;
    out.array(args.len() - 2);
    for member in args.iter().skip(2) {
        out.int(i64::from(set.is_some_and(|set| set.contains(&cx.hash_key(), member))));
    }
    Ok(())
}

fn scard(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(cx.set(cx.key(&args[1]))?.map_or(0, Set::len) as i64);
    Ok(())
}

fn smembers(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let set = cx.set(cx.key(&args[1]))?;
    out.set(set.map_or(0, Set::len));
    if let Some(set) = set {
        set.each(|member| out.bulk(member));
    }
    Ok(())
}

fn spop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let has_count = args.len() == 3;
    let count = if has_count {
        args.int(2).ok().and_then(|count| usize::try_from(count).ok()).ok_or(Error::OUT_OF_RANGE)?
    } else {
        1
    };
    let key = cx.key(&args[1]);
    let len = cx.read().set(key)?.map_or(0, Set::len);
    let mut members: Vec<Vec<u8>> = Vec::new();
    let chosen = if count < len { places(cx.rng(), count, len) } else { BTreeSet::new() };
    if let Some(set) = cx.read().set(key)? {
        if count < len {
            members.extend(chosen.into_iter().filter_map(|place| set.nth(place, <[u8]>::to_vec)));
        } else {
            set.each(|member| members.push(member.to_vec()));
        }
    }
    if has_count {
        out.set(members.len());
    } else if members.is_empty() {
        out.null();
    }
    members.iter().for_each(|member| out.bulk(member));
    if members.is_empty() {
        return Ok(());
    }
    if members.len() == len {
        cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::set("spop"));
        cx.announce(key, Event::DEL);
    } else {
        let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
        cx.emit(&Effect::SetRemove { key, members: Items::Slices(&members) }, Event::set("spop"));
    }
    Ok(())
}

fn srandmember(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let key = cx.key(&args[1]);
    if args.len() == 2 {
        match cx.set(key)? {
            None => out.null(),
            Some(set) => {
                let place = reading_rng(cx).below(set.len() as u64) as usize;
                set.nth(place, |member| out.bulk(member));
            }
        }
        return Ok(());
    }
    let count = random_count(args, 2)?;
    let Some(set) = cx.set(key)?.filter(|_| count != 0) else {
        out.array(0);
        return Ok(());
    };
    match Choice::of(cx, count, set.len())? {
        Choice::All => {
            out.array(set.len());
            set.each(|member| out.bulk(member));
        }
        Choice::Some(wanted, places) => {
            out.array(wanted);
            for place in places {
                set.nth(place, |member| out.bulk(member));
            }
        }
    }
    Ok(())
}

fn sscan(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    scan_value(cx.set(cx.key(&args[1])), args, out, |set, options, sink, given| {
        set.scan(options.cursor, options.count, |member| {
            if options.admits(member) {
                *given += 1;
                sink.bulk(member);
            }
        })
    })
}
