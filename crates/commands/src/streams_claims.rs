//! XCLAIM and XAUTOCLAIM: taking over what others left pending.

use std::collections::BTreeMap;

use sessile_command::{
    Args, ArgsExt, Arity, Command, Effect, Error, Event, Key, Keys, Outcome, Reply, Run, StreamIds, WriteCx,
    is,
};
use sessile_values::stream::StreamId;

use crate::streams::{FAST, docs, entry, id_arg, start_arg, write_entry, write_id};
use crate::streams_groups::idle;
use crate::streams_read::{Deliveries, SEEN_GRAIN_MS, emit_pending, no_key_or_group, touch};

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "xautoclaim",
        Arity::AtLeast(6),
        Keys::ONE,
        FAST,
        docs(
            "Gives a consumer pending entries that were idle for too long, a number at a time.",
            "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
            "6.2.0",
            "O(1) if COUNT is small",
        ),
        Run::Write(xautoclaim),
    ),
    entry(
        "xclaim",
        Arity::AtLeast(6),
        Keys::ONE,
        FAST,
        docs(
            "Gives a consumer entries that are pending with others.",
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT \
             count] [FORCE] [JUSTID] [LASTID lastid]",
            "5.0.0",
            "O(log N) in the pending entries, for each id",
        ),
        Run::Write(xclaim),
    ),
];

/// What XCLAIM does to an entry.
#[derive(Clone, Copy)]
enum Claim {
    /// It is gone from the stream.
    Drop,
    /// It is the claimer's, delivered so often.
    Take(u64),
}

/// XCLAIM's options.
struct ClaimOptions {
    delivered_ms: u64,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last: StreamId,
}

impl ClaimOptions {
    fn parse(args: Args<'_>, first: usize, now_ms: u64) -> Result<Self, Error> {
        let mut it = Self {
            delivered_ms: now_ms,
            retry_count: None,
            force: false,
            just_id: false,
            last: StreamId::MIN,
        };
        let mut delivered = None;
        let mut at = first;
        while at < args.len() {
            let more = at + 1 < args.len();
            let number = |text: &'static str| args.int(at + 1).map_err(|_| Error::new(text));
            let word = &args[at];
            let mut width = 2;
            if is(word, "FORCE") {
                it.force = true;
                width = 1;
            } else if is(word, "JUSTID") {
                it.just_id = true;
                width = 1;
            } else if is(word, "IDLE") && more {
                let idle_ms = number("ERR Invalid IDLE option argument for XCLAIM")?;
                delivered = Some((now_ms as i64).wrapping_sub(idle_ms));
            } else if is(word, "TIME") && more {
                delivered = Some(number("ERR Invalid TIME option argument for XCLAIM")?);
            } else if is(word, "RETRYCOUNT") && more {
                it.retry_count =
                    u64::try_from(number("ERR Invalid RETRYCOUNT option argument for XCLAIM")?).ok();
            } else if is(word, "LASTID") && more {
                it.last = id_arg(args, at + 1)?;
            } else {
                return Err(Error::quoting(&["ERR Unrecognized XCLAIM option '", "'"], &[word]));
            }
            at += width;
        }
        // A time that makes no sense counts as now: clients compute it from clocks of their own.
        if let Some(delivered) = delivered.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms <= now_ms) {
            it.delivered_ms = delivered;
        }
        Ok(it)
    }
}

fn min_idle(args: Args<'_>, text: &'static str) -> Result<i64, Error> {
    Ok(args.int(4).map_err(|_| Error::new(text))?.max(0))
}

fn xclaim(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (key, group, consumer) = (cx.key(&args[1]), &args[2], &args[3]);
    let now_ms = cx.now_ms();
    let found = cx.read().stream(key)?.and_then(|it| Some((it, it.group(group)?)));
    let (stream, state) = found.ok_or_else(|| no_key_or_group(key.bytes, group, ""))?;
    let min_idle_ms = min_idle(args, "ERR Invalid min-idle-time argument for XCLAIM")?;
    // Ids go on up to the first argument that is none.
    let ids: Vec<StreamId> = args.from(5).iter().map_while(|text| StreamId::parse(text, 0)).collect();
    let options = ClaimOptions::parse(args, 5 + ids.len(), now_ms)?;

    // An id may be given twice; the second time it is what the first made of it.
    let mut claims: BTreeMap<StreamId, Claim> = BTreeMap::new();
    let mark = out.mark();
    let mut count = 0;
    for &id in &ids {
        let pending = match claims.get(&id) {
            Some(Claim::Drop) => None,
            Some(Claim::Take(deliveries)) => Some((options.delivered_ms, *deliveries)),
            None => state.pending(id).map(|it| (it.delivered_ms, it.deliveries)),
        };
        let Some(entry) = stream.get(id) else {
            if pending.is_some() {
                claims.insert(id, Claim::Drop);
            }
            continue;
        };
        let deliveries = match pending {
            Some((delivered_ms, _))
                if min_idle_ms > 0 && (now_ms as i64).wrapping_sub(delivered_ms as i64) < min_idle_ms =>
            {
                continue;
            }
            Some((_, deliveries)) => deliveries,
            None if options.force => 1,
            None => continue,
        };
        let again = u64::from(!options.just_id);
        claims.insert(id, Claim::Take(options.retry_count.unwrap_or(deliveries.wrapping_add(again))));
        count += 1;
        if options.just_id { write_id(out, id) } else { write_entry(out, &entry) }
    }
    out.array_at(mark, count);

    let (last, read) = (state.last(), state.read());
    touch(cx, key, group, consumer, count > 0, SEEN_GRAIN_MS)?;
    if options.last > last {
        cx.emit(&Effect::StreamGroup { key, group, last: options.last, read }, Event::NONE);
    }
    let (mut gone, mut taken) = (Vec::new(), Deliveries::new());
    for (id, claim) in claims {
        match claim {
            Claim::Drop => gone.push(id),
            Claim::Take(deliveries) => taken.entry(deliveries).or_default().push(id),
        }
    }
    emit_claims(cx, key, group, consumer, &gone, &taken, options.delivered_ms);
    Ok(())
}

fn emit_claims(
    cx: &mut WriteCx<'_>,
    key: Key<'_>,
    group: &[u8],
    consumer: &[u8],
    gone: &[StreamId],
    taken: &Deliveries,
    delivered_ms: u64,
) {
    if !gone.is_empty() {
        cx.emit(&Effect::StreamAck { key, group, ids: StreamIds::Slice(gone) }, Event::NONE);
    }
    emit_pending(cx, key, group, consumer, taken, delivered_ms);
}

/// How many to claim at most, and whether to give ids alone.
fn autoclaim_options(args: Args<'_>) -> Result<(u64, bool), Error> {
    const COUNT_MAX: i64 = i64::MAX / size_of::<StreamId>() as i64;
    let (mut count, mut just_id) = (100, false);
    let mut at = 6;
    while at < args.len() {
        if is(&args[at], "COUNT") && at + 1 < args.len() {
            let given = args.int(at + 1).ok().filter(|count| (1..=COUNT_MAX).contains(count));
            count = given.ok_or(Error::new("ERR COUNT must be > 0"))? as u64;
            at += 2;
        } else if is(&args[at], "JUSTID") {
            just_id = true;
            at += 1;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok((count, just_id))
}

fn xautoclaim(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    /// Pending entries looked at for each that may be claimed.
    const ATTEMPTS: u64 = 10;
    let min_idle_ms = min_idle(args, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = start_arg(&args[5])?;
    let (mut count, just_id) = autoclaim_options(args)?;
    let (key, group, consumer) = (cx.key(&args[1]), &args[2], &args[3]);
    let now_ms = cx.now_ms();
    let found = cx.read().stream(key)?.and_then(|it| Some((it, it.group(group)?)));
    let (stream, state) = found.ok_or_else(|| no_key_or_group(key.bytes, group, ""))?;

    let mut pending = state.pending_from(start);
    let mut attempts = count * ATTEMPTS;
    let (mut gone, mut taken, mut claimed) = (Vec::new(), Deliveries::new(), Vec::new());
    while attempts > 0
        && count > 0
        && let Some(it) = pending.next()
    {
        attempts -= 1;
        let Some(entry) = stream.get(it.id) else {
            gone.push(it.id);
            count -= 1;
            continue;
        };
        if min_idle_ms > 0 && idle(now_ms, it) < min_idle_ms {
            continue;
        }
        taken.entry(it.deliveries.wrapping_add(u64::from(!just_id))).or_default().push(it.id);
        claimed.push(entry);
        count -= 1;
    }
    out.array(3);
    write_id(out, pending.next().map_or(StreamId::MIN, |it| it.id));
    out.array(claimed.len());
    for entry in &claimed {
        if just_id { write_id(out, entry.id) } else { write_entry(out, entry) }
    }
    out.array(gone.len());
    gone.iter().for_each(|id| write_id(out, *id));
    drop(pending);

    let active = !claimed.is_empty();
    touch(cx, key, group, consumer, active, SEEN_GRAIN_MS)?;
    emit_claims(cx, key, group, consumer, &gone, &taken, now_ms);
    Ok(())
}
