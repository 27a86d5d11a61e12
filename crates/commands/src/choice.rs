//! Elements chosen at random: what HRANDFIELD, SRANDMEMBER, ZRANDMEMBER and SPOP share.

use std::collections::BTreeSet;

use sessile_command::{Args, ArgsExt, Error, ReadCx, Rng};

/// The most elements that a random choice with repetitions gives: a count costs a few bytes to ask for, but the
/// reply has to fit into memory.
const REPEATED_CHOICES_MAX: usize = 1 << 24;

/// How many random elements a command wants; what it says is checked, but for the memory that they take.
pub(crate) fn random_count(args: Args<'_>, at: usize) -> Result<i64, Error> {
    match args.int(at)? {
        i64::MIN => Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        count => Ok(count),
    }
}

/// A generator for a handler that only reads: it leaves the shard's own alone, whose numbers end up in the journal.
pub(crate) fn reading_rng(cx: ReadCx<'_>) -> Rng {
    let coin = &cx.keyspace().clock.coin;
    let mut rng = Rng::new(coin.get());
    coin.set(rng.next_u64() | 1);
    rng
}

/// `count` different places below `len`, which is larger. Each draw is from a range that is longer by one; a place
/// that is taken already stands for the range's new last one, which is not. So every choice is equally likely.
pub(crate) fn places(rng: &mut Rng, count: usize, len: usize) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let drawn = rng.below(last as u64 + 1) as usize;
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    chosen
}

/// What a reader gives at random from a value.
pub(crate) enum Choice {
    /// Everything, in the value's own order.
    All,
    /// So many elements, at these places.
    Some(usize, Box<dyn Iterator<Item = usize>>),
}

impl Choice {
    /// `count` different elements of `len`, or as many that may repeat if it is negative.
    pub(crate) fn of(cx: ReadCx<'_>, count: i64, len: usize) -> Result<Self, Error> {
        let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count > 0 && wanted >= len {
            return Ok(Choice::All);
        }
        let mut rng = reading_rng(cx);
        if count > 0 {
            return Ok(Choice::Some(wanted, Box::new(places(&mut rng, wanted, len).into_iter())));
        }
        if wanted > REPEATED_CHOICES_MAX {
            return Err(Error::new("ERR value is out of range"));
        }
        Ok(Choice::Some(wanted, Box::new((0..wanted).map(move |_| rng.below(len as u64) as usize))))
    }
}
