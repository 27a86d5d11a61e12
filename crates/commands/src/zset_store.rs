//! Sorted sets: union, intersection and difference, given or stored. Sets take part with a score of 1.

use std::collections::BTreeMap;

use sessile_command::{
    Args, ArgsExt, Arity, Cause, Command, Content, Effect, Entry, Error, Event, Expire, Flags, Key, Keys,
    Outcome, ReadCx, Reply, Run, WriteCx, is,
};
use sessile_values::{HashKey, Set, Value, Zset, digits, dump};

use crate::zsets::{docs, entry, reply_member, reply_members};

const GIVEN: Keys = Keys::Counted { count: 1, also: 0 };
const STORED: Keys = Keys::Counted { count: 2, also: 1 };

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "zdiff",
        Arity::AtLeast(3),
        GIVEN,
        Flags::NONE,
        docs(
            "Gives the members of the first sorted set that no other has.",
            "numkeys key [key ...] [WITHSCORES]",
            "6.2.0",
            "O(N*K+M*log(M)) for N members of the first of K sorted sets and M given",
        ),
        Run::Read(|cx, args, out| give(cx, args, &ZDIFF, out)),
    ),
    entry(
        "zdiffstore",
        Arity::AtLeast(4),
        STORED,
        Flags::DENY_OOM,
        docs(
            "Stores the members of the first sorted set that no other has.",
            "destination numkeys key [key ...]",
            "6.2.0",
            "O(N*K+M*log(M)) for N members of the first of K sorted sets and M stored",
        ),
        Run::Write(|cx, args, out| give_to_key(cx, args, &ZDIFFSTORE, out)),
    ),
    entry(
        "zinter",
        Arity::AtLeast(3),
        GIVEN,
        Flags::NONE,
        docs(
            "Gives the members that all sorted sets have.",
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
            "6.2.0",
            "O(N*K+M*log(M)) for N members of the smallest of K sorted sets and M given",
        ),
        Run::Read(|cx, args, out| give(cx, args, &ZINTER, out)),
    ),
    entry(
        "zintercard",
        Arity::AtLeast(3),
        GIVEN,
        Flags::NONE,
        docs(
            "Counts the members that all sorted sets have.",
            "numkeys key [key ...] [LIMIT limit]",
            "7.0.0",
            "O(N*K) for N members of the smallest of K sorted sets",
        ),
        Run::Read(zintercard),
    ),
    entry(
        "zinterstore",
        Arity::AtLeast(4),
        STORED,
        Flags::DENY_OOM,
        docs(
            "Stores the members that all sorted sets have.",
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
            "2.0.0",
            "O(N*K+M*log(M)) for N members of the smallest of K sorted sets and M stored",
        ),
        Run::Write(|cx, args, out| give_to_key(cx, args, &ZINTERSTORE, out)),
    ),
    entry(
        "zunion",
        Arity::AtLeast(3),
        GIVEN,
        Flags::NONE,
        docs(
            "Gives the members that any sorted set has.",
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
            "6.2.0",
            "O(N*log(N)) for N members in all",
        ),
        Run::Read(|cx, args, out| give(cx, args, &ZUNION, out)),
    ),
    entry(
        "zunionstore",
        Arity::AtLeast(4),
        STORED,
        Flags::DENY_OOM,
        docs(
            "Stores the members that any sorted set has.",
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
            "2.0.0",
            "O(N*log(N)) for N members in all",
        ),
        Run::Write(|cx, args, out| give_to_key(cx, args, &ZUNIONSTORE, out)),
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
}

/// What distinguishes the commands of this family.
struct Kind {
    op: Op,
    name: &'static str,
    /// Index of the number of keys.
    count: usize,
    with_scores: bool,
    cardinality_only: bool,
}

impl Kind {
    const fn given(op: Op, name: &'static str) -> Self {
        Self { op, name, count: 1, with_scores: true, cardinality_only: false }
    }

    const fn stored(op: Op, name: &'static str) -> Self {
        Self { op, name, count: 2, with_scores: false, cardinality_only: false }
    }
}

static ZDIFF: Kind = Kind::given(Op::Diff, "zdiff");
static ZDIFFSTORE: Kind = Kind::stored(Op::Diff, "zdiffstore");
static ZINTER: Kind = Kind::given(Op::Inter, "zinter");
static ZINTERSTORE: Kind = Kind::stored(Op::Inter, "zinterstore");
static ZUNION: Kind = Kind::given(Op::Union, "zunion");
static ZUNIONSTORE: Kind = Kind::stored(Op::Union, "zunionstore");
static ZINTERCARD: Kind =
    Kind { op: Op::Inter, name: "zintercard", count: 1, with_scores: false, cardinality_only: true };

/// How the scores of one member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, so_far: f64, score: f64) -> f64 {
        match self {
            Aggregate::Sum => number_or_zero(so_far + score),
            Aggregate::Min if score < so_far => score,
            Aggregate::Max if score > so_far => score,
            Aggregate::Min | Aggregate::Max => so_far,
        }
    }
}

/// Infinities that cancel each other out, or that a weight of 0 takes away, leave 0.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What a key contributes.
#[derive(Clone, Copy)]
enum Source<'a> {
    Absent,
    Zset(&'a Zset),
    Set(&'a Set),
}

impl<'a> Source<'a> {
    fn at(cx: ReadCx<'a>, key: Key<'_>) -> Result<Self, Error> {
        match cx.lookup(key).map(Entry::content) {
            None => Ok(Source::Absent),
            Some(Content::Value(Value::Zset(zset))) => Ok(Source::Zset(zset)),
            Some(Content::Value(Value::Set(set))) => Ok(Source::Set(set)),
            Some(_) => Err(Error::WRONG_TYPE),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Absent => 0,
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    fn score(self, hash_key: &HashKey, member: &[u8]) -> Option<f64> {
        match self {
            Source::Absent => None,
            Source::Zset(zset) => zset.score(hash_key, member),
            Source::Set(set) => set.contains(hash_key, member).then_some(1.0),
        }
    }

    /// Calls `f(score, member)` until it returns false.
    fn each(self, mut f: impl FnMut(f64, &[u8]) -> bool) {
        match self {
            Source::Absent => {}
            Source::Zset(zset) => zset.each_from(0, f),
            Source::Set(set) => set.each_from(0, |member| f(1.0, member)),
        }
    }
}

/// A request of this family: weighted sources and options.
struct Query<'a> {
    op: Op,
    hash_key: HashKey,
    sources: Vec<(Source<'a>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

impl<'a> Query<'a> {
    fn read(cx: ReadCx<'a>, args: Args<'_>, kind: &Kind) -> Result<Self, Error> {
        let count = args.int(kind.count)?;
        if count < 1 {
            return Err(Error::text(format!(
                "ERR at least 1 input key is needed for '{}' command",
                kind.name
            )));
        }
        let first = kind.count + 1;
        let count = usize::try_from(count).ok().filter(|&n| n <= args.len() - first).ok_or(Error::SYNTAX)?;
        let mut sources = Vec::with_capacity(count);
        for at in first..first + count {
            sources.push((Source::at(cx, cx.key(&args[at]))?, 1.0));
        }
        let mut query = Self {
            op: kind.op,
            hash_key: cx.hash_key(),
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        query.read_options(args, first + count, kind)?;
        if query.op != Op::Diff {
            // The smallest first: an intersection walks over it alone.
            query.sources.sort_by_key(|(source, _)| source.len());
        }
        Ok(query)
    }

    fn read_options(&mut self, args: Args<'_>, mut at: usize, kind: &Kind) -> Result<(), Error> {
        let weighs = kind.op != Op::Diff && !kind.cardinality_only;
        while at < args.len() {
            let (option, rest) = (&args[at], args.len() - at - 1);
            if weighs && rest >= self.sources.len() && is(option, "WEIGHTS") {
                for (_, weight) in &mut self.sources {
                    at += 1;
                    *weight =
                        digits::parse_f64(&args[at]).ok_or(Error::new("ERR weight value is not a float"))?;
                }
            } else if weighs && rest >= 1 && is(option, "AGGREGATE") {
                at += 1;
                self.aggregate = match &args[at] {
                    word if is(word, "SUM") => Aggregate::Sum,
                    word if is(word, "MIN") => Aggregate::Min,
                    word if is(word, "MAX") => Aggregate::Max,
                    _ => return Err(Error::SYNTAX),
                };
            } else if kind.with_scores && is(option, "WITHSCORES") {
                self.with_scores = true;
            } else if kind.cardinality_only && rest >= 1 && is(option, "LIMIT") {
                at += 1;
                let limit = digits::parse_i64(&args[at]).and_then(|limit| u64::try_from(limit).ok());
                self.limit = match limit.ok_or(Error::new("ERR LIMIT can't be negative"))? {
                    0 => usize::MAX,
                    limit => limit as usize,
                };
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }

    /// Calls `f(score, member)` for the members that all sources have, until it returns false.
    fn each_common(&self, mut f: impl FnMut(f64, &[u8]) -> bool) {
        let Some(((first, weight), others)) = self.sources.split_first() else { return };
        first.each(|score, member| {
            let mut sum = number_or_zero(score * weight);
            for (source, weight) in others {
                let Some(score) = source.score(&self.hash_key, member) else { return true };
                sum = self.aggregate.of(sum, score * weight);
            }
            f(sum, member)
        });
    }

    fn union(&self) -> BTreeMap<Vec<u8>, f64> {
        let mut sums: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        for (source, weight) in &self.sources {
            source.each(|score, member| {
                let score = number_or_zero(score * weight);
                match sums.get_mut(member) {
                    Some(sum) => *sum = self.aggregate.of(*sum, score),
                    None => {
                        sums.insert(member.to_vec(), score);
                    }
                }
                true
            });
        }
        sums
    }

    /// The result in the order of a sorted set.
    fn result(&self) -> Vec<(f64, Vec<u8>)> {
        let mut result: Vec<(f64, Vec<u8>)> = Vec::new();
        match self.op {
            Op::Union => result.extend(self.union().into_iter().map(|(member, score)| (score, member))),
            Op::Inter => self.each_common(|score, member| {
                result.push((score, member.to_vec()));
                true
            }),
            Op::Diff => self.sources[0].0.each(|score, member| {
                if self.sources[1..].iter().all(|(other, _)| other.score(&self.hash_key, member).is_none()) {
                    result.push((score, member.to_vec()));
                }
                true
            }),
        }
        result.sort_by(|a, b| a.partial_cmp(b).expect("a score is never NaN"));
        result
    }
}

fn give(cx: ReadCx<'_>, args: Args<'_>, kind: &Kind, out: &mut Reply<'_>) -> Outcome {
    let query = Query::read(cx, args, kind)?;
    let result = query.result();
    reply_members(result.len(), query.with_scores, out);
    for (score, member) in &result {
        reply_member(*score, member, query.with_scores, out);
    }
    Ok(())
}

fn give_to_key(cx: &mut WriteCx<'_>, args: Args<'_>, kind: &Kind, out: &mut Reply<'_>) -> Outcome {
    let result = Query::read(cx.read(), args, kind)?.result();
    let to = cx.key(&args[1]);
    store(cx, to, &result, kind.name, out);
    Ok(())
}

fn zintercard(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let query = Query::read(cx, args, &ZINTERCARD)?;
    let mut count = 0;
    query.each_common(|_, _| {
        count += 1;
        count < query.limit
    });
    out.int(count as i64);
    Ok(())
}

/// Puts a result under a key, whatever the key held, and replies with its size; an empty one removes the key.
pub(crate) fn store(
    cx: &mut WriteCx<'_>,
    key: Key<'_>,
    result: &[(f64, Vec<u8>)],
    event: &'static str,
    out: &mut Reply<'_>,
) {
    let present = cx.read().lookup_in(cx.db(), key).is_some();
    if !result.is_empty() {
        let (hash_key, mut limits) = (cx.read().hash_key(), cx.read().limits().clone());
        if result.len() > limits.zset_entries || result.iter().any(|(_, m)| m.len() > limits.zset_value) {
            // It does not start out compact either, where a score of -0 would become 0.
            limits.zset_entries = 0;
        }
        let mut zset = Zset::new();
        for (score, member) in result {
            zset.add(&hash_key, &limits, *score, member);
        }
        let mut payload = Vec::new();
        dump::encode_value(&Value::Zset(zset), &mut payload);
        let effect = Effect::Restore { key, payload: &payload, expire: Expire::Never, access: 0 };
        cx.emit(&effect, Event::zset(event));
    } else if present {
        cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::DEL);
    }
    out.int(result.len() as i64);
}
