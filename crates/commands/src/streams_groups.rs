//! Consumer groups: XGROUP, acknowledging, and what is pending.

use sessile_command::{
    Args, ArgsExt, Arity, Command, Effect, Error, Event, Flags, Key, Keys, Outcome, ReadCx, Reply, Run,
    StreamIds, WriteCx, is,
};
use sessile_values::Stream;
use sessile_values::stream::{Consumer, Group, Pending, StreamId};

use crate::streams::{FAST, docs, end_arg, entry, id_arg, id_args, start_arg, write_id};
use crate::streams_read::no_key_or_group;

/// A key at the place behind a subcommand.
pub(crate) const SUB_KEY: Keys = Keys::Range { first: 2, last: 2, step: 1 };
/// Flags of the HELP of a container.
pub(crate) const HELP: Flags = Flags::LOADING.and(Flags::STALE);

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "xack",
        Arity::AtLeast(4),
        Keys::ONE,
        FAST,
        docs(
            "Acknowledges entries that were delivered.",
            "key group id [id ...]",
            "5.0.0",
            "O(1) for each id",
        ),
        Run::Write(xack),
    ),
    entry(
        "xgroup",
        Arity::AtLeast(2),
        Keys::None,
        Flags::NONE,
        docs("Manages the groups of a stream.", "", "5.0.0", "Depends on the subcommand"),
        Run::Container(XGROUP),
    ),
    entry(
        "xpending",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Tells what a group has pending.",
            "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
            "5.0.0",
            "O(N) in the entries looked at",
        ),
        Run::Read(xpending),
    ),
];

static XGROUP: &[Command] = &[
    entry(
        "create",
        Arity::AtLeast(5),
        SUB_KEY,
        Flags::DENY_OOM,
        docs("Creates a group.", "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]", "5.0.0", "O(1)"),
        Run::Write(create),
    ),
    entry(
        "createconsumer",
        Arity::Exactly(5),
        SUB_KEY,
        Flags::DENY_OOM,
        docs("Creates a consumer in a group.", "key group consumer", "6.2.0", "O(1)"),
        Run::Write(create_consumer),
    ),
    entry(
        "delconsumer",
        Arity::Exactly(5),
        SUB_KEY,
        Flags::NONE,
        docs(
            "Removes a consumer from a group.",
            "key group consumer",
            "5.0.0",
            "O(N) in its pending entries",
        ),
        Run::Write(delete_consumer),
    ),
    entry(
        "destroy",
        Arity::Exactly(4),
        SUB_KEY,
        Flags::NONE,
        docs("Removes a group.", "key group", "5.0.0", "O(N) in its pending entries"),
        Run::Write(destroy),
    ),
    entry(
        "help",
        Arity::Exactly(2),
        Keys::None,
        HELP,
        docs("Lists the subcommands.", "", "5.0.0", "O(1)"),
        Run::Read(|_, _, out| help(out, "XGROUP", XGROUP_HELP)),
    ),
    entry(
        "setid",
        Arity::AtLeast(5),
        SUB_KEY,
        Flags::NONE,
        docs(
            "Sets what a group was given last.",
            "key group <id | $> [ENTRIESREAD entries-read]",
            "5.0.0",
            "O(1)",
        ),
        Run::Write(set_id),
    ),
];

const XGROUP_HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];

/// The reply to a container's HELP.
pub(crate) fn help(out: &mut Reply<'_>, container: &str, lines: &[&str]) -> Outcome {
    out.array(lines.len() + 3);
    out.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| out.simple(line));
    out.simple("HELP");
    out.simple("    Prints this help.");
    Ok(())
}

/// The error for a subcommand with arguments that it does not know.
pub(crate) fn bad_subcommand(args: Args<'_>, container: &str) -> Error {
    let word = &args[1][..args[1].len().min(128)];
    let rest = format!("'. Try {container} HELP.");
    Error::quoting(&["ERR unknown subcommand or wrong number of arguments for '", &rest], &[word])
}

/// The error for a group that a stream does not have.
pub(crate) fn no_group(group: &[u8], key: &[u8]) -> Error {
    Error::quoting(&["NOGROUP No such consumer group '", "' for key name '", "'"], &[group, key])
}

/// MKSTREAM and ENTRIESREAD, which only CREATE and SETID know.
fn group_options(args: Args<'_>, may_make: bool) -> Result<(bool, i64), Error> {
    let (mut make, mut read) = (false, -1);
    let mut at = 5;
    while at < args.len() {
        if may_make && is(&args[at], "MKSTREAM") {
            make = true;
            at += 1;
        } else if is(&args[at], "ENTRIESREAD") && at + 1 < args.len() {
            read = args.int(at + 1)?;
            if read < -1 {
                return Err(Error::new("ERR value for ENTRIESREAD must be positive or -1"));
            }
            at += 2;
        } else {
            return Err(bad_subcommand(args, "XGROUP"));
        }
    }
    Ok((make, read))
}

/// The stream that a subcommand of XGROUP is about.
fn existing<'a>(cx: &'a WriteCx<'_>, key: Key<'_>) -> Result<&'a Stream, Error> {
    cx.read().stream(key)?.ok_or(Error::new(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    ))
}

fn existing_group<'a>(
    cx: &'a WriteCx<'_>,
    key: Key<'_>,
    group: &[u8],
) -> Result<(&'a Stream, &'a Group), Error> {
    let stream = existing(cx, key)?;
    stream.group(group).map(|it| (stream, it)).ok_or_else(|| no_group(group, key.bytes))
}

fn create(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (make, read) = group_options(args, true)?;
    let (key, group) = (cx.key(&args[2]), &args[3]);
    let stream = if make { cx.read().stream(key)? } else { Some(existing(cx, key)?) };
    if args.len() > 8 {
        return Err(bad_subcommand(args, "XGROUP"));
    }
    let last = match &args[4] {
        b"$" => stream.map_or(StreamId::MIN, Stream::last_id),
        _ => id_arg(args, 4)?,
    };
    if stream.is_some_and(|it| it.group(group).is_some()) {
        return Err(Error::new("BUSYGROUP Consumer Group name already exists"));
    }
    cx.emit(&Effect::StreamGroup { key, group, last, read }, Event::stream("xgroup-create"));
    out.ok();
    Ok(())
}

fn set_id(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (_, read) = group_options(args, false)?;
    let (key, group) = (cx.key(&args[2]), &args[3]);
    let (stream, _) = existing_group(cx, key, group)?;
    if args.len() != 5 && args.len() != 7 {
        return Err(bad_subcommand(args, "XGROUP"));
    }
    let last = match &args[4] {
        b"$" => stream.last_id(),
        text => StreamId::parse_bound(text, 0).ok_or(crate::streams::BAD_ID)?,
    };
    cx.emit(&Effect::StreamGroup { key, group, last, read }, Event::stream("xgroup-setid"));
    out.ok();
    Ok(())
}

fn destroy(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, group) = (cx.key(&args[2]), &args[3]);
    let found = existing(cx, key)?.group(group).is_some();
    if found {
        cx.emit(&Effect::StreamGroupDestroy { key, group }, Event::stream("xgroup-destroy"));
    }
    out.int(found.into());
    Ok(())
}

fn create_consumer(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, group, consumer) = (cx.key(&args[2]), &args[3], &args[4]);
    let (_, found) = existing_group(cx, key, group)?;
    let new = found.consumer(consumer).is_none();
    if new {
        let effect = Effect::StreamConsumer { key, group, consumer, seen_ms: cx.now_ms(), active_ms: 0 };
        cx.emit(&effect, Event::stream("xgroup-createconsumer"));
    }
    out.int(new.into());
    Ok(())
}

fn delete_consumer(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, group, consumer) = (cx.key(&args[2]), &args[3], &args[4]);
    let (_, found) = existing_group(cx, key, group)?;
    let pending = found.consumer(consumer).map(Consumer::pending_len);
    if pending.is_some() {
        let effect = Effect::StreamConsumerDelete { key, group, consumer };
        cx.emit(&effect, Event::stream("xgroup-delconsumer"));
    }
    out.int(pending.unwrap_or(0) as i64);
    Ok(())
}

fn xack(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, group) = (cx.key(&args[1]), &args[2]);
    let Some(found) = cx.read().stream(key)?.and_then(|it| it.group(group)) else {
        out.int(0);
        return Ok(());
    };
    let mut ids = id_args(args, 3)?;
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| found.pending(*id).is_some());
    if !ids.is_empty() {
        cx.emit(&Effect::StreamAck { key, group, ids: StreamIds::Slice(&ids) }, Event::NONE);
    }
    out.int(ids.len() as i64);
    Ok(())
}

fn xpending(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() != 3 && !(6..=9).contains(&args.len()) {
        return Err(Error::SYNTAX);
    }
    let mut range = None;
    if args.len() > 3 {
        let (mut at, mut idle_ms) = (3, 0);
        if is(&args[3], "IDLE") {
            idle_ms = args.int(4)?;
            if args.len() < 8 {
                return Err(Error::SYNTAX);
            }
            at = 5;
        }
        let count = args.int(at + 2)?.max(0) as usize;
        range = Some((start_arg(&args[at])?, end_arg(&args[at + 1])?, count, idle_ms, args.get(at + 3)));
    }
    let stream = cx.stream(cx.key(&args[1]))?;
    let group =
        stream.and_then(|it| it.group(&args[2])).ok_or_else(|| no_key_or_group(&args[1], &args[2], ""))?;
    let Some((start, end, count, idle_ms, consumer)) = range else {
        pending_summary(group, out);
        return Ok(());
    };
    let wanted = |pending: &&Pending| idle_ms == 0 || idle(cx.now_ms(), pending) >= idle_ms;
    match consumer {
        None => {
            let pending = group.pending_from(start).take_while(|it| it.id <= end);
            write_pending(out, cx.now_ms(), pending.filter(wanted).take(count));
        }
        Some(name) => {
            let ids = group.consumer(name).into_iter().flat_map(|it| it.pending_from(start));
            let pending = ids.take_while(|id| *id <= end).filter_map(|id| group.pending(id));
            write_pending(out, cx.now_ms(), pending.filter(wanted).take(count));
        }
    }
    Ok(())
}

/// Time since the last delivery; below 0 if a claim set it ahead.
pub(crate) fn idle(now_ms: u64, pending: &Pending) -> i64 {
    (now_ms as i64).wrapping_sub(pending.delivered_ms as i64)
}

fn write_pending<'p>(out: &mut Reply<'_>, now_ms: u64, pending: impl Iterator<Item = &'p Pending>) {
    let mark = out.mark();
    let mut count = 0;
    for it in pending {
        count += 1;
        out.array(4);
        write_id(out, it.id);
        out.bulk(&it.consumer);
        out.int(idle(now_ms, it).max(0));
        out.int(it.deliveries as i64);
    }
    out.array_at(mark, count);
}

fn pending_summary(group: &Group, out: &mut Reply<'_>) {
    out.array(4);
    out.int(group.pending_len() as i64);
    let first = group.pending_from(StreamId::MIN).next();
    let Some((first, last)) = first.zip(group.last_pending()) else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    write_id(out, first.id);
    write_id(out, last.id);
    let mark = out.mark();
    let mut count = 0;
    for consumer in group.consumers().filter(|it| it.pending_len() > 0) {
        count += 1;
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_int(consumer.pending_len() as i64);
    }
    out.array_at(mark, count);
}
