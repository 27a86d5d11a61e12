//! Streams: adding, trimming, deleting and ranges. Their groups and readers have files of their own.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Effect, Error, Event, Flags, Items, Key, Keys, Outcome, ReadCx,
    Reply, Run, StreamIds, WriteCx, is,
};
use sessile_values::Stream;
use sessile_values::digits::{I64_TEXT_MAX, format_u64};
use sessile_values::stream::{Entry, Keep, StreamId};

/// An argument is no id.
pub(crate) const BAD_ID: Error = Error::new("ERR Invalid stream ID specified as stream command argument");
const BAD_START: Error = Error::new("ERR invalid start ID for the interval");
const BAD_END: Error = Error::new("ERR invalid end ID for the interval");
const TWO_TRIMS: Error =
    Error::new("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
/// More bytes of names and values do not fit a node.
const ENTRY_BYTES_MAX: usize = 1 << 30;

pub(crate) const FAST: Flags = Flags::FAST;
const WRITE_FAST: Flags = Flags::DENY_OOM.and(Flags::FAST);

pub(crate) const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: Run,
) -> Command {
    Command { name, arity, keys, acl: Acl::STREAM, flags, docs, run }
}

pub(crate) const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "stream", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "xadd",
        Arity::AtLeast(5),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Adds an entry to the end of a stream; creates it.",
            "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value \
             ...]",
            "5.0.0",
            "O(1), and O(N) in the entries trimmed",
        ),
        Run::Write(xadd),
    ),
    entry(
        "xdel",
        Arity::AtLeast(3),
        Keys::ONE,
        FAST,
        docs("Deletes entries of a stream.", "key id [id ...]", "5.0.0", "O(1) for each entry"),
        Run::Write(xdel),
    ),
    entry(
        "xlen",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Counts the entries of a stream.", "key", "5.0.0", "O(1)"),
        Run::Read(xlen),
    ),
    entry(
        "xrange",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the entries between two ids.",
            "key start:string end:string [COUNT count]",
            "5.0.0",
            "O(N) in the entries given",
        ),
        Run::Read(|cx, args, out| range(cx, args, false, out)),
    ),
    entry(
        "xrevrange",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the entries between two ids, the last first.",
            "key end:string start:string [COUNT count]",
            "5.0.0",
            "O(N) in the entries given",
        ),
        Run::Read(|cx, args, out| range(cx, args, true, out)),
    ),
    entry(
        "xsetid",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Sets the last id of a stream and its counters.",
            "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
            "5.0.0",
            "O(1)",
        ),
        Run::Write(xsetid),
    ),
    entry(
        "xtrim",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Removes the oldest entries of a stream.",
            "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
            "5.0.0",
            "O(N) in the entries removed",
        ),
        Run::Write(xtrim),
    ),
];

/// Argument `index` as an id; `-` and `+` are none.
pub(crate) fn id_arg(args: Args<'_>, index: usize) -> Result<StreamId, Error> {
    StreamId::parse(&args[index], 0).ok_or(BAD_ID)
}

/// Arguments from `first` on as ids.
pub(crate) fn id_args(args: Args<'_>, first: usize) -> Result<Vec<StreamId>, Error> {
    (first..args.len()).map(|index| id_arg(args, index)).collect()
}

/// Where an interval starts: `-`, an id, or `(` and the id before.
pub(crate) fn start_arg(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => StreamId::parse(id, 0).ok_or(BAD_ID)?.next().ok_or(BAD_START),
        _ => StreamId::parse_bound(text, 0).ok_or(BAD_ID),
    }
}

/// Where an interval ends: `+`, an id, or `(` and the id behind.
pub(crate) fn end_arg(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            StreamId::parse(id, u64::MAX).ok_or(BAD_ID)?.prev().ok_or(BAD_END)
        }
        _ => StreamId::parse_bound(text, u64::MAX).ok_or(BAD_ID),
    }
}

/// An id as clients write it.
pub(crate) fn write_id(out: &mut Reply<'_>, id: StreamId) {
    let mut text = [0; 2 * I64_TEXT_MAX + 1];
    let mut len = 0;
    let mut put = |part: &[u8]| {
        text[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    };
    put(format_u64(id.ms, &mut [0; I64_TEXT_MAX]));
    put(b"-");
    put(format_u64(id.seq, &mut [0; I64_TEXT_MAX]));
    out.bulk(&text[..len]);
}

/// An entry: its id, and a flat array of names and values.
pub(crate) fn write_entry(out: &mut Reply<'_>, entry: &Entry<'_>) {
    out.array(2);
    write_id(out, entry.id);
    out.array(2 * entry.len());
    for (name, value) in entry.fields() {
        out.bulk(name.as_slice(&mut [0; 21]));
        out.bulk(value.as_slice(&mut [0; 21]));
    }
}

/// An array of entries; says how many there were.
pub(crate) fn write_entries<'e>(out: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'e>>) -> usize {
    let mark = out.mark();
    let count = entries.map(|entry| write_entry(out, &entry)).count();
    out.array_at(mark, count);
    count
}

/// What XADD and XTRIM were told to remove.
#[derive(Default)]
struct Trim {
    keep: Option<Keep>,
    approximate: bool,
    limit: i64,
    limit_given: bool,
}

impl Trim {
    /// Reads the option at `at`, if it is one of these; gives the index behind it.
    fn option(&mut self, args: Args<'_>, at: usize) -> Result<Option<usize>, Error> {
        let more = args.len() - 1 - at;
        let (by_len, by_id) = (is(&args[at], "MAXLEN"), is(&args[at], "MINID"));
        if (by_len || by_id) && more > 0 {
            if self.keep.is_some() {
                return Err(TWO_TRIMS);
            }
            self.approximate = more >= 2 && &args[at + 1] == b"~";
            let value = at + 1 + usize::from(more >= 2 && matches!(&args[at + 1], b"~" | b"="));
            self.keep = Some(if by_len {
                let len = args.int(value)?;
                let negative = Error::new("ERR The MAXLEN argument must be >= 0.");
                Keep::Last(usize::try_from(len).map_err(|_| negative)?)
            } else {
                Keep::From(id_arg(args, value)?)
            });
            return Ok(Some(value + 1));
        }
        if is(&args[at], "LIMIT") && more > 0 {
            self.limit = args.int(at + 1)?;
            if self.limit < 0 {
                return Err(Error::new("ERR The LIMIT argument must be >= 0."));
            }
            self.limit_given = true;
            return Ok(Some(at + 2));
        }
        Ok(None)
    }

    /// Checks the options together, once all are read. `required`: the command does nothing else.
    fn finish(&mut self, required: bool, node_entries: usize) -> Outcome {
        if self.limit != 0 && self.keep.is_none() {
            return Err(Error::new(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if required && self.keep.is_none() {
            return Err(Error::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if self.limit_given && !self.approximate {
            return Err(Error::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        if !self.limit_given && self.approximate {
            // A hundred nodes' worth: an approximate trim is meant to be cheap.
            self.limit = match node_entries.saturating_mul(100) {
                0 => 10_000,
                limit => limit.min(1_000_000) as i64,
            };
        }
        Ok(())
    }

    /// Emits what is to be trimmed from a stream; says how many entries that were.
    fn apply(&self, cx: &mut WriteCx<'_>, key: Key<'_>) -> Result<usize, Error> {
        let Some(keep) = self.keep else { return Ok(0) };
        let stream = cx.read().stream(key)?;
        let count = stream.map_or(0, |it| it.count_to_trim(keep, self.approximate, self.limit as usize));
        if count > 0 {
            cx.emit(&Effect::StreamTrim { key, count: count as u64 }, Event::stream("xtrim"));
        }
        Ok(count)
    }
}

fn xadd(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut trim = Trim::default();
    let (mut must_exist, mut given) = (false, None);
    let mut at = 2;
    while at < args.len() {
        if &args[at] == b"*" {
            break;
        }
        if let Some(next) = trim.option(args, at)? {
            at = next;
        } else if is(&args[at], "NOMKSTREAM") {
            must_exist = true;
            at += 1;
        } else {
            given = Some(StreamId::parse_new(&args[at]).ok_or(BAD_ID)?);
            break;
        }
    }
    trim.finish(false, cx.read().limits().stream_node_entries)?;
    // The options may have eaten the id.
    let pairs = args.from(at + 1).len();
    if pairs < 2 || pairs % 2 == 1 {
        return Err(Error::arity("xadd"));
    }
    if given == Some((StreamId::MIN, true)) {
        return Err(Error::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = cx.key(&args[1]);
    let stream = cx.read().stream(key)?;
    if stream.is_none() && must_exist {
        out.null();
        return Ok(());
    }
    let last = stream.map_or(StreamId::MIN, Stream::last_id);
    let id = new_id(last, given, cx.now_ms())?;
    let items = args.slices(at + 1);
    if items.iter().map(|item| item.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(Error::new("ERR Elements are too large to be stored"));
    }
    cx.emit(&Effect::StreamAdd { key, id, pairs: Items::Slices(&items) }, Event::stream("xadd"));
    trim.apply(cx, key)?;
    write_id(out, id);
    Ok(())
}

/// The id of a new entry: as given, with its sequence left open, or from the clock.
fn new_id(last: StreamId, given: Option<(StreamId, bool)>, now_ms: u64) -> Result<StreamId, Error> {
    const TOO_SMALL: Error =
        Error::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    let Some(after_last) = last.next() else {
        return Err(Error::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    };
    let id = match given {
        Some((id, true)) => id,
        Some((id, false)) if id.ms == last.ms && last.seq == u64::MAX => return Err(TOO_SMALL),
        Some((id, false)) if id.ms == last.ms => after_last,
        Some((id, false)) => id,
        None if now_ms > last.ms => StreamId { ms: now_ms, seq: 0 },
        None => after_last,
    };
    if id > last { Ok(id) } else { Err(TOO_SMALL) }
}

fn xtrim(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut trim = Trim::default();
    let mut at = 2;
    while at < args.len() {
        at = trim.option(args, at)?.ok_or(Error::SYNTAX)?;
    }
    trim.finish(true, cx.read().limits().stream_node_entries)?;
    let key = cx.key(&args[1]);
    let count = trim.apply(cx, key)?;
    out.int(count as i64);
    Ok(())
}

fn xdel(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let Some(stream) = cx.read().stream(key)? else {
        out.int(0);
        return Ok(());
    };
    let mut ids = id_args(args, 2)?;
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| stream.get(*id).is_some());
    if !ids.is_empty() {
        cx.emit(&Effect::StreamDelete { key, ids: StreamIds::Slice(&ids) }, Event::stream("xdel"));
    }
    out.int(ids.len() as i64);
    Ok(())
}

fn xlen(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let stream = cx.stream(cx.key(&args[1]))?;
    out.int(stream.map_or(0, Stream::len) as i64);
    Ok(())
}

fn range(cx: ReadCx<'_>, args: Args<'_>, back: bool, out: &mut Reply<'_>) -> Outcome {
    let (start, end) = if back { (3, 2) } else { (2, 3) };
    let start = start_arg(&args[start])?;
    let end = end_arg(&args[end])?;
    let mut count = usize::MAX;
    let mut at = 4;
    while at < args.len() {
        if !is(&args[at], "COUNT") || at + 1 == args.len() {
            return Err(Error::SYNTAX);
        }
        count = args.int(at + 1)?.max(0) as usize;
        at += 2;
    }
    let Some(stream) = cx.stream(cx.key(&args[1]))? else {
        out.array(0);
        return Ok(());
    };
    if count == 0 {
        out.null_array();
    } else if back {
        write_entries(out, stream.range_back(start, end).take(count));
    } else {
        write_entries(out, stream.range(start, end).take(count));
    }
    Ok(())
}

fn xsetid(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let last = id_arg(args, 2)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut at = 3;
    while at < args.len() {
        if at + 1 == args.len() {
            return Err(Error::SYNTAX);
        } else if is(&args[at], "ENTRIESADDED") {
            let negative = Error::new("ERR entries_added must be positive");
            added = Some(u64::try_from(args.int(at + 1)?).map_err(|_| negative)?);
        } else if is(&args[at], "MAXDELETEDID") {
            max_deleted = id_arg(args, at + 1)?;
            if last < max_deleted {
                return Err(Error::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::SYNTAX);
        }
        at += 2;
    }
    let key = cx.key(&args[1]);
    let stream = cx.read().stream(key)?.ok_or(Error::NO_KEY)?;
    if last < stream.max_deleted() {
        return Err(Error::new(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if let Some(top) = stream.last() {
        if last < top.id {
            return Err(Error::new(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| (stream.len() as u64) > added) {
            return Err(Error::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    let added = added.unwrap_or(stream.added());
    let max_deleted = if max_deleted == StreamId::MIN { stream.max_deleted() } else { max_deleted };
    cx.emit(&Effect::StreamSetId { key, last, added, max_deleted }, Event::stream("xsetid"));
    out.ok();
    Ok(())
}
