//! HyperLogLog: PFADD, PFCOUNT, PFMERGE.

use sessile_command::{
    Acl, Args, Arity, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Key, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx,
};
use sessile_values::Value;

use crate::hll::{BadHll, Hll, Registers};

/// Changed bytes closer than this go into one effect: two headers would be longer than the gap.
const GAP_MAX: usize = 16;

const fn entry(name: &'static str, keys: Keys, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity: Arity::AtLeast(2), keys, acl: Acl::HYPERLOGLOG, flags, docs, run }
}

const fn docs(summary: &'static str, syntax: &'static str, complexity: &'static str) -> Docs {
    Docs { summary, syntax, since: "2.8.9", group: "hyperloglog", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "pfadd",
        Keys::ONE,
        Flags::DENY_OOM.and(Flags::FAST),
        docs("Adds elements to a HyperLogLog.", "key [element [element ...]]", "O(1) an element"),
        Run::Write(pfadd),
    ),
    entry(
        "pfcount",
        Keys::ALL,
        Flags::MAY_REPLICATE,
        docs(
            "Estimates how many distinct elements HyperLogLogs hold together.",
            "key [key ...]",
            "O(N) in the keys",
        ),
        Run::Read(pfcount),
    ),
    entry(
        "pfmerge",
        Keys::ALL,
        Flags::DENY_OOM,
        docs("Merges HyperLogLogs into one.", "destkey [sourcekey [sourcekey ...]]", "O(N) in the keys"),
        Run::Write(pfmerge),
    ),
];

impl From<BadHll> for Error {
    fn from(bad: BadHll) -> Self {
        match bad {
            BadHll::NotOne => Error::new("WRONGTYPE Key is not a valid HyperLogLog string value."),
            BadHll::Corrupted => Error::new("INVALIDOBJ Corrupted HLL object detected"),
        }
    }
}

fn load(cx: ReadCx<'_>, key: Key<'_>) -> Result<Option<Hll>, Error> {
    let bytes = match cx.string(key)? {
        None => return Ok(None),
        Some(Content::Short(text)) => text.to_vec(),
        Some(Content::Value(Value::Text(rope))) => rope.to_vec(),
        Some(Content::Value(_)) => return Err(Error::WRONG_TYPE),
    };
    Ok(Some(Hll::from_bytes(bytes)?))
}

/// Puts `new` where `old` was: only what differs is journaled, since a dense one has twelve kilobytes.
fn store(cx: &mut WriteCx<'_>, key: Key<'_>, old: Option<&Hll>, new: &Hll) {
    let mut event = Event::string("pfadd");
    let new = new.as_bytes();
    let old = old.map_or(&[][..], Hll::as_bytes);
    if new.len() < old.len() {
        cx.emit(&Effect::StringSet { key, value: new, expire: Expire::Keep }, event);
        return;
    }
    let differs = |at: &usize| old.get(*at) != Some(&new[*at]);
    let mut at = 0;
    while let Some(start) = (at..new.len()).find(differs) {
        let mut end = start + 1;
        while let Some(more) = (end..new.len().min(end + GAP_MAX)).find(differs) {
            end = more + 1;
        }
        at = end;
        cx.emit(&Effect::StringSetRange { key, offset: start as u64, value: &new[start..end] }, event);
        event = Event::NONE;
    }
}

fn pfadd(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let old = load(cx.read(), key)?;
    let mut new = old.clone().unwrap_or_else(Hll::new);
    let mut updated = old.is_none();
    for element in args.iter().skip(2) {
        updated |= new.add(element, cx.read().limits().hll_sparse_bytes)?;
    }
    if updated {
        new.invalidate();
        store(cx, key, old.as_ref(), &new);
    }
    out.int(i64::from(updated));
    Ok(())
}

fn pfcount(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() == 2 {
        let count = match load(cx, cx.key(&args[1]))? {
            None => 0,
            Some(hll) => match hll.cached_count() {
                Some(count) => count,
                None => hll.registers()?.count(),
            },
        };
        out.int(count as i64);
        return Ok(());
    }
    let (registers, _) = merged(cx, args)?;
    out.int(registers.count() as i64);
    Ok(())
}

/// The registers of all keys together, and whether one of them is dense.
fn merged(cx: ReadCx<'_>, args: Args<'_>) -> Result<(Registers, bool), Error> {
    let mut registers = Registers::new();
    let mut any_dense = false;
    for key in args.iter().skip(1) {
        if let Some(hll) = load(cx, cx.key(key))? {
            any_dense |= hll.is_dense();
            registers.merge(&hll.registers()?);
        }
    }
    Ok((registers, any_dense))
}

fn pfmerge(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (registers, any_dense) = merged(cx.read(), args)?;
    cx.frame().look_as_reader(false);
    let key = cx.key(&args[1]);
    let old = load(cx.read(), key)?;
    let mut new = old.clone().unwrap_or_else(Hll::new);
    if any_dense {
        new.make_dense()?;
    }
    new.raise_all(&registers, cx.read().limits().hll_sparse_bytes)?;
    new.invalidate();
    store(cx, key, old.as_ref(), &new);
    out.ok();
    Ok(())
}
