//! SORT and SORT_RO: the elements of a list, set or sorted set in order, by themselves or by what other keys hold.

use std::cmp::Ordering;

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx, is,
};
use sessile_resp::c_text;
use sessile_values::{List, Value, digits, dump};

use crate::keys::delete;

const ACL: Acl = Acl::SET.and(Acl::SORTED_SET).and(Acl::LIST).and(Acl::DANGEROUS);
const COMPLEXITY: &str = "O(N+M*log(M)) in the elements N and those returned M";
const NOT_NUMBER: Error = Error::new("ERR One or more scores can't be converted into double");

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "sort",
        arity: Arity::AtLeast(2),
        keys: Keys::Dynamic(sort_keys),
        acl: ACL,
        flags: Flags::DENY_OOM,
        docs: Docs {
            summary: "Gives or stores the elements of a list, set or sorted set in order.",
            syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE \
                     destination]",
            since: "1.0.0",
            group: "generic",
            complexity: COMPLEXITY,
        },
        run: Run::Write(sort),
    },
    Command {
        name: "sort_ro",
        arity: Arity::AtLeast(2),
        keys: Keys::ONE,
        acl: ACL,
        flags: Flags::NONE,
        docs: Docs {
            summary: "Gives the elements of a list, set or sorted set in order.",
            syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
            since: "7.0.0",
            group: "generic",
            complexity: COMPLEXITY,
        },
        run: Run::Read(sort_ro),
    },
];

/// The key to sort, and the last STORE's destination.
fn sort_keys(args: Args<'_>) -> Result<Vec<usize>, Error> {
    let mut keys = vec![1];
    let mut at = 2;
    while at < args.len() {
        if is(&args[at], "LIMIT") {
            at += 2;
        } else if is(&args[at], "GET") || is(&args[at], "BY") {
            at += 1;
        } else if is(&args[at], "STORE") && at + 1 < args.len() {
            keys.truncate(1);
            keys.push(at + 1);
        }
        at += 1;
    }
    Ok(keys)
}

/// What SORT is asked for.
#[derive(Default)]
struct Options<'a> {
    by: Option<Pattern<'a>>,
    /// BY a pattern without a star: keep the order.
    keep_order: bool,
    limit: Option<(i64, i64)>,
    get: Vec<Pattern<'a>>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn read(args: Args<'a>, may_store: bool) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut at = 2;
        while at < args.len() {
            let option = &args[at];
            let value = args.get(at + 1);
            match value {
                _ if is(option, "ASC") => options.descending = false,
                _ if is(option, "DESC") => options.descending = true,
                _ if is(option, "ALPHA") => options.alpha = true,
                Some(_) if is(option, "LIMIT") && at + 2 < args.len() => {
                    options.limit = Some((args.int(at + 1)?, args.int(at + 2)?));
                    at += 2;
                }
                Some(key) if is(option, "STORE") && may_store => {
                    options.store = Some(key);
                    at += 1;
                }
                Some(pattern) if is(option, "BY") => {
                    options.keep_order |= !pattern.contains(&b'*');
                    options.by = Some(Pattern::new(pattern));
                    at += 1;
                }
                Some(pattern) if is(option, "GET") => {
                    options.get.push(Pattern::new(pattern));
                    at += 1;
                }
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }

    /// The part of `len` elements that LIMIT leaves.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset).unwrap_or(0).min(len);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}

/// Where BY and GET look: `#` is the element itself, otherwise a key with the element in place of the star, or a
/// field of it.
struct Pattern<'a> {
    is_self: bool,
    /// Before and behind the star; `None` without a star.
    around: Option<(&'a [u8], &'a [u8])>,
    field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    fn new(text: &'a [u8]) -> Self {
        let is_self = text == b"#";
        let Some(star) = text.iter().position(|&byte| byte == b'*') else {
            return Self { is_self, around: None, field: None };
        };
        let (before, behind) = (&text[..star], &text[star + 1..]);
        let arrow = behind.windows(2).position(|two| two == b"->").filter(|at| at + 2 < behind.len());
        match arrow {
            Some(at) => {
                Self { is_self, around: Some((before, &behind[..at])), field: Some(&behind[at + 2..]) }
            }
            None => Self { is_self, around: Some((before, behind)), field: None },
        }
    }

    /// What is found for an element; `None` where there is nothing or another type.
    fn look_up(&self, cx: ReadCx<'_>, element: &[u8]) -> Option<Vec<u8>> {
        if self.is_self {
            return Some(element.to_vec());
        }
        let (before, behind) = self.around?;
        let name = [before, element, behind].concat();
        match (cx.lookup(cx.key(&name))?.content(), self.field) {
            (Content::Value(Value::Hash(hash)), Some(field)) => {
                hash.get(&cx.hash_key(), field, <[u8]>::to_vec)
            }
            (Content::Short(text), None) => Some(text.to_vec()),
            (Content::Value(Value::Text(rope)), None) => Some(rope.to_vec()),
            _ => None,
        }
    }
}

/// The elements in the value's own order.
fn elements(value: Option<&Value>) -> Result<Vec<Vec<u8>>, Error> {
    let mut elements = Vec::new();
    match value {
        Some(Value::List(list)) => list.each_from(0, |element| {
            elements.push(element.to_vec());
            true
        }),
        Some(Value::Set(set)) => set.each(|member| elements.push(member.to_vec())),
        Some(Value::Zset(zset)) => zset.each(|_, member| elements.push(member.to_vec())),
        _ => return Err(Error::WRONG_TYPE),
    }
    Ok(elements)
}

/// A number as `strtod` reads it: up to a zero byte, with spaces before it, and the empty text is 0. Unlike other
/// commands SORT refuses what `strtod` reports as too small to be exact.
fn score(text: &[u8]) -> Result<f64, Error> {
    let text = c_text(text);
    if text.is_empty() {
        return Ok(0.0);
    }
    digits::parse_f64(text.trim_ascii_start()).filter(|value| !value.is_subnormal()).ok_or(NOT_NUMBER)
}

/// What an element is ordered by.
enum Weight {
    Number(f64),
    Text(Option<Vec<u8>>),
    /// The element itself.
    Own,
}

fn weigh(cx: ReadCx<'_>, options: &Options<'_>, element: &[u8]) -> Result<Weight, Error> {
    Ok(match (&options.by, options.alpha) {
        (None, true) => Weight::Own,
        (None, false) => Weight::Number(score(element)?),
        (Some(by), true) => Weight::Text(by.look_up(cx, element)),
        (Some(by), false) => Weight::Number(match by.look_up(cx, element) {
            Some(text) => score(&text)?,
            None => 0.0,
        }),
    })
}

fn compare(a: &(Weight, Vec<u8>), b: &(Weight, Vec<u8>)) -> Ordering {
    match (&a.0, &b.0) {
        // Equal numbers are told apart by the elements, so that the order is always the same.
        (Weight::Number(x), Weight::Number(y)) => {
            x.partial_cmp(y).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
        }
        (Weight::Text(x), Weight::Text(y)) => x.cmp(y),
        _ => a.1.cmp(&b.1),
    }
}

/// What SORT replies, in order; `None` where GET found nothing.
fn results(cx: ReadCx<'_>, args: Args<'_>, mut options: Options<'_>) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let Some(entry) = cx.lookup(cx.key(&args[1])) else { return Ok(Vec::new()) };
    let mut elements = elements(entry.value())?;
    // A set has no order to keep: what is stored, or what a script sees, must not depend on how it is kept.
    let needs_order = options.store.is_some() || cx.frame().in_script;
    if options.keep_order && needs_order && matches!(entry.value(), Some(Value::Set(_))) {
        (options.keep_order, options.alpha, options.by) = (false, true, None);
    }
    if !options.keep_order {
        elements = in_order(cx, &options, elements)?;
    } else if options.descending && !matches!(entry.value(), Some(Value::Set(_))) {
        elements.reverse();
    }
    let range = options.range(elements.len());
    let chosen = elements.drain(range);
    if options.get.is_empty() {
        return Ok(chosen.map(Some).collect());
    }
    Ok(chosen
        .flat_map(|element| options.get.iter().map(move |pattern| pattern.look_up(cx, &element)))
        .collect())
}

fn in_order(cx: ReadCx<'_>, options: &Options<'_>, elements: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        weighed.push((weigh(cx, options, &element)?, element));
    }
    weighed.sort_by(|a, b| if options.descending { compare(b, a) } else { compare(a, b) });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn reply(results: &[Option<Vec<u8>>], out: &mut Reply<'_>) {
    out.array(results.len());
    for result in results {
        match result {
            Some(text) => out.bulk(text),
            None => out.null(),
        }
    }
}

fn sort_ro(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    reply(&results(cx, args, Options::read(args, false)?)?, out);
    Ok(())
}

fn sort(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let options = Options::read(args, true)?;
    let store = options.store;
    let results = results(cx.read(), args, options)?;
    let Some(store) = store else {
        reply(&results, out);
        return Ok(());
    };
    let key = cx.key(store);
    if results.is_empty() {
        if cx.read().lookup_in(cx.db(), key).is_some() {
            delete(cx, key);
        }
    } else {
        let mut list = List::new();
        let limits = cx.read().limits().clone();
        results.iter().for_each(|text| list.push(&limits, false, text.as_deref().unwrap_or_default()));
        let mut payload = Vec::new();
        dump::encode_value(&Value::List(list), &mut payload);
        let effect = Effect::Restore { key, payload: &payload, expire: Expire::Never, access: 0 };
        cx.emit(&effect, Event::list("sortstore"));
    }
    out.int(results.len() as i64);
    Ok(())
}
