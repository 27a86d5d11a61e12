//! XINFO: what there is to know about a stream, its groups and their consumers.

use sessile_command::{Args, ArgsExt, Arity, Command, Error, Flags, Keys, Outcome, ReadCx, Reply, Run, is};
use sessile_values::Stream;
use sessile_values::stream::{Group, StreamId};

use crate::streams::{docs, entry, write_entries, write_entry, write_id};
use crate::streams_groups::{HELP, SUB_KEY, bad_subcommand, help, no_group};

/// Entries that XINFO STREAM FULL gives of each kind unless told otherwise.
const FULL_COUNT: usize = 10;
/// Beyond so many nodes their number in a radix tree is estimated: counting them looks at every one.
const COUNTED_NODES_MAX: usize = 1024;

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[entry(
    "xinfo",
    Arity::AtLeast(2),
    Keys::None,
    Flags::NONE,
    docs("Describes streams, groups and consumers.", "", "5.0.0", "Depends on the subcommand"),
    Run::Container(XINFO),
)];

static XINFO: &[Command] = &[
    entry(
        "consumers",
        Arity::Exactly(4),
        SUB_KEY,
        Flags::NONE,
        docs("Lists the consumers of a group.", "key group", "5.0.0", "O(N) in the consumers"),
        Run::Read(consumers),
    ),
    entry(
        "groups",
        Arity::Exactly(3),
        SUB_KEY,
        Flags::NONE,
        docs("Lists the groups of a stream.", "key", "5.0.0", "O(N) in the groups"),
        Run::Read(groups),
    ),
    entry(
        "help",
        Arity::Exactly(2),
        Keys::None,
        HELP,
        docs("Lists the subcommands.", "", "5.0.0", "O(1)"),
        Run::Read(|_, _, out| help(out, "XINFO", XINFO_HELP)),
    ),
    entry(
        "stream",
        Arity::AtLeast(3),
        SUB_KEY,
        Flags::NONE,
        docs(
            "Describes a stream.",
            "key [FULL [COUNT count]]",
            "5.0.0",
            "O(N) in the entries and consumers given",
        ),
        Run::Read(stream),
    ),
];

const XINFO_HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];

fn existing<'a>(cx: ReadCx<'a>, args: Args<'_>) -> Result<&'a Stream, Error> {
    cx.stream(cx.key(&args[2]))?.ok_or(Error::NO_KEY)
}

fn consumers(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let group = existing(cx, args)?.group(&args[3]).ok_or_else(|| no_group(&args[3], &args[2]))?;
    let since = |ms: u64| (cx.now_ms() as i64).wrapping_sub(ms as i64);
    out.array(group.consumer_count());
    for consumer in group.consumers() {
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.int(consumer.pending_len() as i64);
        out.bulk(b"idle");
        out.int(since(consumer.seen_ms()).max(0));
        out.bulk(b"inactive");
        out.int(if consumer.active_ms() == 0 { -1 } else { since(consumer.active_ms()) });
    }
    Ok(())
}

fn groups(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let stream = existing(cx, args)?;
    out.array(stream.group_count());
    for group in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(group.name());
        out.bulk(b"consumers");
        out.int(group.consumer_count() as i64);
        out.bulk(b"pending");
        out.int(group.pending_len() as i64);
        write_position(out, stream, group);
    }
    Ok(())
}

/// Three pairs: what the group was given last, how many it read, how many are left.
fn write_position(out: &mut Reply<'_>, stream: &Stream, group: &Group) {
    out.bulk(b"last-delivered-id");
    write_id(out, group.last());
    out.bulk(b"entries-read");
    match group.read() {
        -1 => out.null(),
        read => out.int(read),
    }
    out.bulk(b"lag");
    match stream.lag(group) {
        None => out.null(),
        Some(lag) => out.int(lag),
    }
}

fn stream(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let stream = existing(cx, args)?;
    let count = match args.len() {
        3 => None,
        4 | 6 if is(&args[3], "FULL") => Some(full_count(args)?),
        _ => return Err(bad_subcommand(args, "XINFO")),
    };
    out.map(if count.is_some() { 9 } else { 10 });
    out.bulk(b"length");
    out.int(stream.len() as i64);
    out.bulk(b"radix-tree-keys");
    out.int(stream.node_count() as i64);
    out.bulk(b"radix-tree-nodes");
    out.int(radix_nodes(stream) as i64);
    out.bulk(b"last-generated-id");
    write_id(out, stream.last_id());
    out.bulk(b"max-deleted-entry-id");
    write_id(out, stream.max_deleted());
    out.bulk(b"entries-added");
    out.int(stream.added() as i64);
    out.bulk(b"recorded-first-entry-id");
    write_id(out, stream.first_id());
    let Some(count) = count else {
        out.bulk(b"groups");
        out.int(stream.group_count() as i64);
        for (name, entry) in [("first-entry", stream.first()), ("last-entry", stream.last())] {
            out.bulk(name.as_bytes());
            match entry {
                None => out.null(),
                Some(entry) => write_entry(out, &entry),
            }
        }
        return Ok(());
    };
    out.bulk(b"entries");
    write_entries(out, stream.range(StreamId::MIN, StreamId::MAX).take(count));
    out.bulk(b"groups");
    out.array(stream.group_count());
    for group in stream.groups() {
        write_group(out, stream, group, count);
    }
    Ok(())
}

/// How many of each kind FULL asks for; 0 means all, and a negative number what stands for none.
fn full_count(args: Args<'_>) -> Result<usize, Error> {
    if args.len() == 4 {
        return Ok(FULL_COUNT);
    }
    if !is(&args[4], "COUNT") {
        return Err(bad_subcommand(args, "XINFO"));
    }
    Ok(match args.int(5)? {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(FULL_COUNT),
    })
}

fn write_group(out: &mut Reply<'_>, stream: &Stream, group: &Group, count: usize) {
    out.map(7);
    out.bulk(b"name");
    out.bulk(group.name());
    write_position(out, stream, group);
    out.bulk(b"pel-count");
    out.int(group.pending_len() as i64);
    out.bulk(b"pending");
    out.array(group.pending_len().min(count));
    for pending in group.pending_from(StreamId::MIN).take(count) {
        out.array(4);
        write_id(out, pending.id);
        out.bulk(&pending.consumer);
        out.int(pending.delivered_ms as i64);
        out.int(pending.deliveries as i64);
    }
    out.bulk(b"consumers");
    out.array(group.consumer_count());
    for consumer in group.consumers() {
        out.map(5);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"seen-time");
        out.int(consumer.seen_ms() as i64);
        out.bulk(b"active-time");
        out.int(if consumer.active_ms() == 0 { -1 } else { consumer.active_ms() as i64 });
        out.bulk(b"pel-count");
        out.int(consumer.pending_len() as i64);
        out.bulk(b"pending");
        out.array(consumer.pending_len().min(count));
        let ids = consumer.pending_from(StreamId::MIN).take(count);
        for pending in ids.filter_map(|id| group.pending(id)) {
            out.array(3);
            write_id(out, pending.id);
            out.int(pending.delivered_ms as i64);
            out.int(pending.deliveries as i64);
        }
    }
}

/// How many nodes Redis' compressed radix tree would have for the stream's nodes.
fn radix_nodes(stream: &Stream) -> usize {
    let count = stream.node_count();
    if count == 0 {
        return 1;
    }
    if count > COUNTED_NODES_MAX {
        return 2 * count;
    }
    let key = |id: StreamId| (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes();
    let keys: Vec<[u8; 16]> = stream.nodes().map(|(id, _)| key(id)).collect();
    radix_nodes_below(&keys, 0)
}

/// Nodes for keys that share their first `depth` bytes: a chain of what else they share, then a fork or a leaf.
fn radix_nodes_below(keys: &[[u8; 16]], depth: usize) -> usize {
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    let fork = (depth..16).find(|&at| first[at] != last[at]).unwrap_or(16);
    let chain = usize::from(fork > depth);
    if fork == 16 {
        return chain + 1;
    }
    let groups = keys.chunk_by(|a, b| a[fork] == b[fork]);
    chain + 1 + groups.map(|group| radix_nodes_below(group, fork + 1)).sum::<usize>()
}
