//! XREAD and XREADGROUP: what a stream got since, perhaps after waiting for it.

use std::collections::BTreeMap;

use sessile_command::{
    Args, ArgsExt, Arity, Attempt, Command, Effect, Error, Event, Flags, Flow, Key, Keys, OwnedArgs, Proto,
    ReadCx, Reply, Run, StreamIds, Wait, WaitFor, WriteCx, is,
};
use sessile_values::Stream;
use sessile_values::stream::{Group, StreamId};

use crate::streams::{docs, entry, id_arg, write_entries, write_entry, write_id};

/// A consumer that only asks is noted as seen no more often than this: a poll that finds nothing shall not cost a
/// commit each time.
pub(crate) const SEEN_GRAIN_MS: u64 = 100;
/// As [`SEEN_GRAIN_MS`] while it waits. (Each note wakes the others that wait; without a grain they would wake each
/// other for ever.)
const SEEN_GRAIN_WAITING_MS: u64 = 1000;

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "xread",
        Arity::AtLeast(4),
        Keys::Dynamic(keys::<1>),
        Flags::NONE,
        docs(
            "Gives the entries of streams behind given ids, waiting for some if asked to.",
            "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
            "5.0.0",
            "O(N) in the entries given",
        ),
        Run::BlockingRead(xread),
    ),
    entry(
        "xreadgroup",
        Arity::AtLeast(7),
        Keys::Dynamic(keys::<4>),
        Flags::NONE,
        docs(
            "Gives a consumer the next entries of streams for its group, or those it has pending; may wait.",
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
            "5.0.0",
            "O(N) in the entries given",
        ),
        Run::BlockingWrite(xreadgroup),
    ),
];

/// The arguments of either command.
struct Request<'a> {
    block_ms: Option<u64>,
    /// 0 for all.
    count: usize,
    noack: bool,
    group: Option<(&'a [u8], &'a [u8])>,
    /// Index of the first key; as many ids follow as there are keys.
    first: usize,
    streams: usize,
}

/// Where a reader stands in one stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind an id.
    After(StreamId),
    /// Behind what the group was given (`>`).
    New,
}

/// The keys behind STREAMS, which stands at `FROM` or later: the first half of what follows it. A look by position
/// only, as Redis' own key specification has it; whether the request is sound is not asked here.
fn keys<const FROM: usize>(args: Args<'_>) -> Result<Vec<usize>, Error> {
    let first = (FROM..args.len()).find(|&at| is(&args[at], "STREAMS")).map(|at| at + 1);
    match first.map(|first| (first, (args.len() - first) / 2)) {
        Some((first, count)) if count > 0 => Ok((first..first + count).collect()),
        _ => Err(Error::new("ERR Invalid arguments specified for command")),
    }
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, name: &str, may_group: bool) -> Result<Self, Error> {
        let mut it = Self { block_ms: None, count: 0, noack: false, group: None, first: 0, streams: 0 };
        let mut at = 1;
        while let Some(word) = args.get(at) {
            let more = args.len() - at - 1;
            if is(word, "BLOCK") && more > 0 {
                it.block_ms = Some(block_ms(args, at + 1)?);
                at += 2;
            } else if is(word, "COUNT") && more > 0 {
                it.count = args.int(at + 1)?.max(0) as usize;
                at += 2;
            } else if is(word, "STREAMS") && more > 0 {
                if !more.is_multiple_of(2) {
                    let symbol = if may_group { '>' } else { '$' };
                    return Err(Error::text(format!(
                        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
                         specified."
                    )));
                }
                (it.first, it.streams) = (at + 1, more / 2);
                break;
            } else if is(word, "GROUP") && more >= 2 {
                if !may_group {
                    return Err(Error::new(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                it.group = args.get(at + 1).zip(args.get(at + 2));
                at += 3;
            } else if is(word, "NOACK") {
                if !may_group {
                    return Err(Error::new(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                it.noack = true;
                at += 1;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if it.first == 0 { Err(Error::SYNTAX) } else { Ok(it) }
    }

    fn id_index(&self, stream: usize) -> usize {
        self.first + self.streams + stream
    }

    fn limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }

    /// The end of a read that found nothing.
    fn nothing(&self, attempt: Attempt, out: &mut Reply<'_>, again: Option<OwnedArgs>) -> Flow {
        match self.block_ms {
            Some(timeout_ms) if attempt == Attempt::MayWait => {
                Flow::Wait(Wait { until: WaitFor::Stream, timeout_ms, keys_max: usize::MAX, again })
            }
            _ => {
                out.null_array();
                Flow::Done
            }
        }
    }
}

fn block_ms(args: Args<'_>, at: usize) -> Result<u64, Error> {
    let ms = args.int(at).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    match u64::try_from(ms) {
        Err(_) => Err(Error::NEGATIVE_TIMEOUT),
        Ok(ms) if ms > i64::MAX as u64 / 2 => Err(Error::new("ERR timeout is out of range")),
        Ok(ms) => Ok(ms),
    }
}

/// Before the entries of one stream: its key.
fn begin_stream(out: &mut Reply<'_>, key: &[u8]) {
    if out.proto() == Proto::Resp2 {
        out.array(2);
    }
    out.bulk(key);
}

/// Around all streams: an array of pairs, or a map.
fn end_streams(out: &mut Reply<'_>, mark: sessile_command::Mark, count: usize) {
    if out.proto() == Proto::Resp2 { out.array_at(mark, count) } else { out.map_at(mark, count) }
}

fn xread(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let request = Request::parse(args, "xread", false)?;
    let mut after = Vec::with_capacity(request.streams);
    let mut streams: Vec<Option<&Stream>> = Vec::with_capacity(request.streams);
    for index in 0..request.streams {
        let stream = cx.stream(cx.key(&args[request.first + index]))?;
        let at = request.id_index(index);
        after.push(match &args[at] {
            b"$" => stream.map_or(StreamId::MIN, Stream::last_id),
            b">" => {
                return Err(Error::new(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            _ => id_arg(args, at)?,
        });
        streams.push(stream);
    }
    let mark = out.mark();
    let mut served = 0;
    for (index, (stream, after)) in streams.into_iter().zip(&after).enumerate() {
        // As in Redis, which looks at the types first: each stream counts twice, and is missed twice.
        cx.lookup_still(cx.key(&args[request.first + index]));
        let Some(stream) = stream else { continue };
        if stream.last().is_none_or(|top| top.id <= *after) {
            continue;
        }
        served += 1;
        begin_stream(out, &args[request.first + index]);
        let start = after.next().expect("an entry is behind it");
        write_entries(out, stream.range(start, StreamId::MAX).take(request.limit()));
    }
    if served > 0 {
        end_streams(out, mark, served);
        return Ok(Flow::Done);
    }
    Ok(request.nothing(cx.frame().attempt, out, resolved(args, &request, &after)))
}

/// The request with `$` replaced by what it means now; `None` if there is none.
fn resolved(args: Args<'_>, request: &Request<'_>, after: &[StreamId]) -> Option<OwnedArgs> {
    let first = request.id_index(0);
    if !args.from(first).iter().any(|id| id == b"$") {
        return None;
    }
    let mut again: OwnedArgs = args.iter().take(first).collect();
    again.extend(after.iter().map(StreamId::to_string));
    Some(again)
}

fn xreadgroup(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Result<Flow, Error> {
    let request = Request::parse(args, "xreadgroup", true)?;
    let (group, consumer) = request.group.ok_or(Error::new("ERR Missing GROUP option for XREADGROUP"))?;
    let mut from = Vec::with_capacity(request.streams);
    for index in 0..request.streams {
        let key = &args[request.first + index];
        let stream = cx.read().stream(cx.key(key))?;
        if stream.and_then(|it| it.group(group)).is_none() {
            return Err(no_key_or_group(key, group, " in XREADGROUP with GROUP option"));
        }
        let at = request.id_index(index);
        from.push(match &args[at] {
            b">" => From::New,
            b"$" => {
                return Err(Error::new(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                     consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just \
                     return an empty result set.",
                ));
            }
            _ => match id_arg(args, at)? {
                // Redis lets the greatest id stand for `>`.
                StreamId::MAX => From::New,
                id => From::After(id),
            },
        });
    }
    let attempt = cx.frame().attempt;
    // There may be something all the same: XGROUP SETID, which puts a group back, ends no wait.
    if request.block_ms.is_some() && attempt == Attempt::TimedOut {
        return Ok(request.nothing(attempt, out, None));
    }
    let waits = request.block_ms.is_some() && attempt == Attempt::MayWait;
    let mark = out.mark();
    let mut served = 0;
    for (index, from) in from.into_iter().enumerate() {
        let key = cx.key(&args[request.first + index]);
        let reader = Reader { key, group, consumer, limit: request.limit(), noack: request.noack, waits };
        served += usize::from(reader.read(cx, from, out)?);
    }
    if served > 0 {
        end_streams(out, mark, served);
        return Ok(Flow::Done);
    }
    Ok(request.nothing(attempt, out, None))
}

/// The error that a group reader, claimer or inspector gets without a group.
pub(crate) fn no_key_or_group(key: &[u8], group: &[u8], rest: &str) -> Error {
    let rest = format!("'{rest}");
    Error::quoting(&["NOGROUP No such key '", "' or consumer group '", &rest], &[key, group])
}

/// A consumer that reads one stream.
struct Reader<'a> {
    key: Key<'a>,
    group: &'a [u8],
    consumer: &'a [u8],
    limit: usize,
    noack: bool,
    waits: bool,
}

impl Reader<'_> {
    /// Writes what there is, and emits what that changes; false if there is nothing new.
    fn read(&self, cx: &mut WriteCx<'_>, from: From, out: &mut Reply<'_>) -> Result<bool, Error> {
        let now_ms = cx.now_ms();
        let read = cx.read();
        let Some((stream, group)) = read.stream(self.key)?.and_then(|it| Some((it, it.group(self.group)?)))
        else {
            return Ok(false);
        };
        match from {
            From::After(id) => {
                begin_stream(out, self.key.bytes);
                let again = self.write_history(stream, group, id, out);
                touch(cx, self.key, self.group, self.consumer, false, SEEN_GRAIN_MS)?;
                emit_pending(cx, self.key, self.group, self.consumer, &again, now_ms);
            }
            From::New if stream.last().is_some_and(|top| top.id > group.last()) => {
                begin_stream(out, self.key.bytes);
                let (ids, counted) = self.write_new(stream, group, out);
                let last = *ids.last().expect("the last entry is new");
                touch(cx, self.key, self.group, self.consumer, !self.noack, SEEN_GRAIN_MS)?;
                let effect = Effect::StreamGroup { key: self.key, group: self.group, last, read: counted };
                cx.emit(&effect, Event::NONE);
                if !self.noack {
                    let pending = BTreeMap::from([(1, ids)]);
                    emit_pending(cx, self.key, self.group, self.consumer, &pending, now_ms);
                }
            }
            From::New => {
                let grain_ms = if self.waits { SEEN_GRAIN_WAITING_MS } else { SEEN_GRAIN_MS };
                touch(cx, self.key, self.group, self.consumer, false, grain_ms)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the entries that the group has not had; gives their ids, and the group's counter after them.
    fn write_new(&self, stream: &Stream, group: &Group, out: &mut Reply<'_>) -> (Vec<StreamId>, i64) {
        let mut counted = group.read();
        let mut ids = Vec::new();
        let start = group.last().next().expect("an entry is behind it");
        let entries = stream.range(start, StreamId::MAX).take(self.limit).inspect(|entry| {
            ids.push(entry.id);
            if counted != -1 && !stream.has_deleted_from(entry.id) {
                counted = counted.wrapping_add(1);
            } else if stream.added() > 0 {
                counted = stream.distance(entry.id).map_or(-1, |read| read as i64);
            }
        });
        write_entries(out, entries);
        (ids, counted)
    }

    /// Writes what the consumer has pending behind `after`; gives those that still exist, by how often they are
    /// delivered now.
    fn write_history(
        &self,
        stream: &Stream,
        group: &Group,
        after: StreamId,
        out: &mut Reply<'_>,
    ) -> Deliveries {
        let mut again = Deliveries::new();
        let mark = out.mark();
        let mut count = 0;
        let consumer = group.consumer(self.consumer);
        let start = after.next().expect("the greatest id stands for new entries");
        for id in consumer.into_iter().flat_map(|it| it.pending_from(start)).take(self.limit) {
            count += 1;
            match (stream.get(id), group.pending(id)) {
                (Some(entry), Some(pending)) => {
                    write_entry(out, &entry);
                    again.entry(pending.deliveries.wrapping_add(1)).or_default().push(id);
                }
                _ => {
                    out.array(2);
                    write_id(out, id);
                    out.null_array();
                }
            }
        }
        out.array_at(mark, count);
        again
    }
}

/// Ids by how often they were delivered.
pub(crate) type Deliveries = BTreeMap<u64, Vec<StreamId>>;

/// Emits deliveries to a consumer.
pub(crate) fn emit_pending(
    cx: &mut WriteCx<'_>,
    key: Key<'_>,
    group: &[u8],
    consumer: &[u8],
    ids: &Deliveries,
    delivered_ms: u64,
) {
    for (&deliveries, ids) in ids {
        let ids = StreamIds::Slice(ids);
        cx.emit(&Effect::StreamPending { key, group, consumer, ids, delivered_ms, deliveries }, Event::NONE);
    }
}

/// Creates the consumer, or notes that it was seen, unless it was less than `grain_ms` ago; `active`: it got
/// something.
pub(crate) fn touch(
    cx: &mut WriteCx<'_>,
    key: Key<'_>,
    group: &[u8],
    consumer: &[u8],
    active: bool,
    grain_ms: u64,
) -> Result<(), Error> {
    let now_ms = cx.now_ms();
    let found = cx.read().stream(key)?.and_then(|it| it.group(group)).and_then(|it| it.consumer(consumer));
    let (event, active_ms) = match found {
        None => (Event::stream("xgroup-createconsumer"), 0),
        Some(it) if !active && now_ms < it.seen_ms().saturating_add(grain_ms) => return Ok(()),
        Some(it) => (Event::NONE, it.active_ms()),
    };
    let active_ms = if active { now_ms } else { active_ms };
    cx.emit(&Effect::StreamConsumer { key, group, consumer, seen_ms: now_ms, active_ms }, event);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{OwnedArgs, Request, StreamId, keys, resolved};

    fn args(line: &str) -> OwnedArgs {
        line.split(' ').collect()
    }

    #[test]
    fn keys_are_found_behind_options() {
        let check = |line: &str, expected: Option<&[usize]>| {
            let args = args(line);
            let found = if line.starts_with("xreadgroup") { keys::<4> } else { keys::<1> };
            assert_eq!(found(args.as_args()).ok().as_deref(), expected, "{line}");
        };
        check("xread streams a b 0 0", Some(&[2, 3]));
        check("xread COUNT 1 BLOCK 1 STREAMS a 0", Some(&[6]));
        check("xreadgroup GROUP streams c NOACK STREAMS a >", Some(&[6]));
        check("xread streams a b 0", Some(&[2]));
        check("xread streams", None);
        check("xread count 1 block 5", None);
    }

    #[test]
    fn the_end_is_resolved_once() {
        let check = |line: &str, expected: Option<&str>| {
            let owned = args(line);
            let request = Request::parse(owned.as_args(), "xread", false).expect("a good request");
            let after = [StreamId { ms: 5, seq: 6 }, StreamId { ms: 7, seq: 0 }];
            assert_eq!(resolved(owned.as_args(), &request, &after), expected.map(args), "{line}");
        };
        check("xread block 0 streams a b $ 7", Some("xread block 0 streams a b 5-6 7-0"));
        check("xread block 0 streams $ b 5-6 7-0", None);
    }
}
