//! Lists: pushing, popping, looking and editing. What moves or waits is in `list_blocking`.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Effect, End, Error, Event, Flags, Indexes, Items, Keys,
    Outcome, ReadCx, Reply, Run, WriteCx, is,
};
use sessile_values::{List, digits};

use crate::zset_ranges::rank_range;

const FAST: Flags = Flags::FAST;
const WRITE: Flags = Flags::DENY_OOM;
const WRITE_FAST: Flags = Flags::DENY_OOM.and(Flags::FAST);

/// An entry of the lists' families.
pub(crate) const fn entry(
    name: &'static str,
    arity: Arity,
    keys: Keys,
    flags: Flags,
    docs: Docs,
    run: Run,
) -> Command {
    Command { name, arity, keys, acl: Acl::LIST, flags, docs, run }
}

/// The documentation of a command on lists.
pub(crate) const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "list", complexity }
}

const PUSHED: &str = "O(1) for each element";

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "lindex",
        Arity::Exactly(3),
        Keys::ONE,
        Flags::NONE,
        docs("Gives the element at an index.", "key index", "1.0.0", "O(log(N))"),
        Run::Read(lindex),
    ),
    entry(
        "linsert",
        Arity::Exactly(5),
        Keys::ONE,
        WRITE,
        docs(
            "Inserts an element beside another one.",
            "key <BEFORE | AFTER> pivot element",
            "2.2.0",
            "O(N) in the elements before the pivot",
        ),
        Run::Write(linsert),
    ),
    entry(
        "llen",
        Arity::Exactly(2),
        Keys::ONE,
        FAST,
        docs("Gives the number of elements.", "key", "1.0.0", "O(1)"),
        Run::Read(llen),
    ),
    entry(
        "lpop",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Removes the first elements and gives them.",
            "key [count]",
            "1.0.0",
            "O(N) in the elements given",
        ),
        Run::Write(|cx, args, out| pop(cx, args, End::Left, "lpop", out)),
    ),
    entry(
        "lpos",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Finds the indexes of elements with a given text.",
            "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
            "6.0.6",
            "O(N) in the elements compared",
        ),
        Run::Read(lpos),
    ),
    entry(
        "lpush",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Puts elements before the first; creates the list.",
            "key element [element ...]",
            "1.0.0",
            PUSHED,
        ),
        Run::Write(|cx, args, out| push(cx, args, End::Left, false, out)),
    ),
    entry(
        "lpushx",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Puts elements before the first if the list exists.",
            "key element [element ...]",
            "2.2.0",
            PUSHED,
        ),
        Run::Write(|cx, args, out| push(cx, args, End::Left, true, out)),
    ),
    entry(
        "lrange",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Gives a range of elements.", "key start stop", "1.0.0", "O(log(N)+M) for M elements given"),
        Run::Read(lrange),
    ),
    entry(
        "lrem",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Removes elements with a given text, from an end or all of them.",
            "key count element",
            "1.0.0",
            "O(N+M*log(N)) for M elements removed",
        ),
        Run::Write(lrem),
    ),
    entry(
        "lset",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE,
        docs("Replaces the element at an index.", "key index element", "1.0.0", "O(log(N))"),
        Run::Write(lset),
    ),
    entry(
        "ltrim",
        Arity::Exactly(4),
        Keys::ONE,
        Flags::NONE,
        docs("Keeps a range of elements only.", "key start stop", "1.0.0", "O(N) in the elements removed"),
        Run::Write(ltrim),
    ),
    entry(
        "rpop",
        Arity::AtLeast(2),
        Keys::ONE,
        FAST,
        docs(
            "Removes the last elements and gives them.",
            "key [count]",
            "1.0.0",
            "O(N) in the elements given",
        ),
        Run::Write(|cx, args, out| pop(cx, args, End::Right, "rpop", out)),
    ),
    entry(
        "rpush",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Puts elements behind the last; creates the list.",
            "key element [element ...]",
            "1.0.0",
            PUSHED,
        ),
        Run::Write(|cx, args, out| push(cx, args, End::Right, false, out)),
    ),
    entry(
        "rpushx",
        Arity::AtLeast(3),
        Keys::ONE,
        WRITE_FAST,
        docs(
            "Puts elements behind the last if the list exists.",
            "key element [element ...]",
            "2.2.0",
            PUSHED,
        ),
        Run::Write(|cx, args, out| push(cx, args, End::Right, true, out)),
    ),
];

/// What a push at this end is called.
pub(crate) fn push_event(end: End) -> Event {
    Event::list(if end == End::Left { "lpush" } else { "rpush" })
}

/// What a pop at this end is called.
pub(crate) fn pop_event(end: End) -> Event {
    Event::list(if end == End::Left { "lpop" } else { "rpop" })
}

/// Up to `count` elements from an end, in the order they are popped.
pub(crate) fn peek(list: &List, end: End, count: usize) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    let step = |element: &[u8]| {
        elements.push(element.to_vec());
        elements.len() < count
    };
    match end {
        End::Left => list.each_from(0, step),
        End::Right => list.each_back_from(list.len() - 1, step),
    }
    elements
}

/// Replies with an array of strings.
pub(crate) fn reply_elements(elements: &[Vec<u8>], out: &mut Reply<'_>) {
    out.array(elements.len());
    elements.iter().for_each(|element| out.bulk(element));
}

fn push(cx: &mut WriteCx<'_>, args: Args<'_>, end: End, only_present: bool, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let len = match cx.read().list(key)? {
        None if only_present => {
            out.int(0);
            return Ok(());
        }
        list => list.map_or(0, List::len),
    };
    let values = args.slices(2);
    cx.emit(&Effect::ListPush { key, end, values: Items::Slices(&values) }, push_event(end));
    out.int((len + values.len()) as i64);
    Ok(())
}

fn pop(cx: &mut WriteCx<'_>, args: Args<'_>, end: End, name: &str, out: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Error::arity(name));
    }
    let count = match args.get(2) {
        None => None,
        Some(count) => {
            let count = digits::parse_i64(count).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Error::OUT_OF_RANGE)?)
        }
    };
    let key = cx.key(&args[1]);
    let Some(list) = cx.read().list(key)? else {
        if count.is_some() {
            out.null_array();
        } else {
            out.null();
        }
        return Ok(());
    };
    if count == Some(0) {
        out.array(0);
        return Ok(());
    }
    let elements = peek(list, end, count.unwrap_or(1));
    cx.emit(&Effect::ListPop { key, end, count: elements.len() as u64 }, pop_event(end));
    if count.is_some() {
        reply_elements(&elements, out);
    } else {
        out.bulk(&elements[0]);
    }
    Ok(())
}

fn llen(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.int(cx.list(cx.key(&args[1]))?.map_or(0, List::len) as i64);
    Ok(())
}

/// An index that counts from the back if negative; `None` if it is outside of the list.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { (len as i64).checked_add(index)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

fn lindex(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let Some(list) = cx.list(cx.key(&args[1]))? else {
        out.null();
        return Ok(());
    };
    match resolve(args.int(2)?, list.len()) {
        None => out.null(),
        Some(index) => {
            list.get(index, |element| out.bulk(element));
        }
    }
    Ok(())
}

fn lset(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let len = cx.read().list(key)?.ok_or(Error::NO_KEY)?.len();
    let index = resolve(args.int(2)?, len).ok_or(Error::INDEX)? as u64;
    cx.emit(&Effect::ListSet { key, index, value: &args[3] }, Event::list("lset"));
    out.ok();
    Ok(())
}

fn linsert(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let after = is(&args[2], "AFTER");
    if !after && !is(&args[2], "BEFORE") {
        return Err(Error::SYNTAX);
    }
    let key = cx.key(&args[1]);
    let Some(list) = cx.read().list(key)? else {
        out.int(0);
        return Ok(());
    };
    let (len, mut index, mut found) = (list.len(), 0, false);
    list.each_from(0, |element| {
        found = element == &args[3];
        index += u64::from(!found);
        !found
    });
    if !found {
        out.int(-1);
        return Ok(());
    }
    let index = index + u64::from(after);
    cx.emit(&Effect::ListInsert { key, index, value: &args[4] }, Event::list("linsert"));
    out.int(len as i64 + 1);
    Ok(())
}

fn lrange(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let list = cx.list(cx.key(&args[1]))?;
    let found = list.and_then(|list| Some((list, rank_range(start, stop, list.len())?)));
    let Some((list, (start, end))) = found else {
        out.array(0);
        return Ok(());
    };
    let mut left = end - start;
    out.array(left);
    list.each_from(start, |element| {
        out.bulk(element);
        left -= 1;
        left > 0
    });
    Ok(())
}

fn ltrim(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let key = cx.key(&args[1]);
    if let Some(list) = cx.read().list(key)? {
        let len = list.len();
        let (start, end) = rank_range(start, stop, len).unwrap_or((0, 0));
        let event = Event::list("ltrim");
        if (start, end) == (0, len) {
            cx.announce(key, event);
        } else {
            cx.emit(&Effect::ListTrim { key, start: start as u64, len: (end - start) as u64 }, event);
        }
    }
    out.ok();
    Ok(())
}

fn lrem(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let count = args.int(2)?;
    let key = cx.key(&args[1]);
    let mut indexes: Vec<u64> = Vec::new();
    if let Some(list) = cx.read().list(key)? {
        let wanted = if count == 0 { u64::MAX } else { count.unsigned_abs() };
        let (len, mut seen) = (list.len() as u64, 0);
        let step = |element: &[u8]| {
            if element == &args[3] {
                indexes.push(if count < 0 { len - 1 - seen } else { seen });
            }
            seen += 1;
            (indexes.len() as u64) < wanted
        };
        if count < 0 { list.each_back_from(list.len() - 1, step) } else { list.each_from(0, step) }
    }
    if count < 0 {
        indexes.reverse();
    }
    if !indexes.is_empty() {
        cx.emit(&Effect::ListRemove { key, indexes: Indexes::Slice(&indexes) }, Event::list("lrem"));
    }
    out.int(indexes.len() as i64);
    Ok(())
}

/// LPOS's options.
struct PosOptions {
    rank: i64,
    count: Option<usize>,
    compare_max: usize,
}

impl PosOptions {
    fn read(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Self { rank: 1, count: None, compare_max: usize::MAX };
        let number = |at: usize, what: &'static str| {
            let number = digits::parse_i64(&args[at]).and_then(|number| usize::try_from(number).ok());
            number.ok_or(Error::new(what))
        };
        for at in (3..args.len()).step_by(2) {
            if at + 1 == args.len() {
                return Err(Error::SYNTAX);
            }
            if is(&args[at], "RANK") {
                options.rank = match args.int(at + 1)? {
                    0 => {
                        return Err(Error::new(
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                             negative to start from the end of the list",
                        ));
                    }
                    i64::MIN => {
                        return Err(Error::new(
                            "ERR value is out of range, value must between -9223372036854775807 and \
                             9223372036854775807",
                        ));
                    }
                    rank => rank,
                };
            } else if is(&args[at], "COUNT") {
                options.count = Some(number(at + 1, "ERR COUNT can't be negative")?);
            } else if is(&args[at], "MAXLEN") {
                options.compare_max = match number(at + 1, "ERR MAXLEN can't be negative")? {
                    0 => usize::MAX,
                    max => max,
                };
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// The indexes of the matches wanted.
    fn find(&self, list: &List, wanted: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let matches_max = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let (len, backward) = (list.len(), self.rank < 0);
        let mut skip = self.rank.unsigned_abs() - 1;
        let mut compared = 0;
        let step = |element: &[u8]| {
            if element == wanted {
                if skip > 0 {
                    skip -= 1;
                } else {
                    found.push(if backward { len - 1 - compared } else { compared });
                }
            }
            compared += 1;
            found.len() < matches_max && compared < self.compare_max
        };
        if backward {
            list.each_back_from(len - 1, step);
        } else {
            list.each_from(0, step);
        }
        found
    }
}

fn lpos(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let options = PosOptions::read(args)?;
    let list = cx.list(cx.key(&args[1]))?;
    let found = list.map(|list| options.find(list, &args[2])).unwrap_or_default();
    if options.count.is_some() {
        out.array(found.len());
        found.iter().for_each(|&index| out.int(index as i64));
        return Ok(());
    }
    match found.first() {
        Some(&index) => out.int(index as i64),
        None => out.null(),
    }
    Ok(())
}
