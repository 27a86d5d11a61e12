//! Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. BITFIELD stands in a file of its own.
//!
//! Bit 0 is the highest bit of the first byte. A long string is read piece by piece, never copied as a whole.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx, content_len, is,
};
use sessile_values::{Value, digits};

use crate::bitfield;
use crate::keys::delete;

const WRITE: Flags = Flags::DENY_OOM;
const BAD_OFFSET: Error = Error::new("ERR bit offset is not an integer or out of range");
const BAD_BIT: Error = Error::new("ERR bit is not an integer or out of range");

const fn entry(name: &'static str, arity: Arity, keys: Keys, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys, acl: Acl::BITMAP, flags, docs, run }
}

const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "bitmap", complexity }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "bitcount",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Counts the bits that are set.",
            "key [start end [BYTE | BIT]]",
            "2.6.0",
            "O(N) in the range's length",
        ),
        Run::Read(bitcount),
    ),
    entry(
        "bitfield",
        Arity::AtLeast(2),
        Keys::ONE,
        WRITE,
        docs(
            "Reads, sets and increments integers of any width at any bit.",
            "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value:integer | INCRBY \
             encoding offset increment>> ...]",
            "3.2.0",
            "O(1) an operation",
        ),
        Run::Write(bitfield::bitfield),
    ),
    entry(
        "bitfield_ro",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::FAST,
        docs(
            "Reads integers of any width at any bit.",
            "key [GET encoding offset [GET encoding offset ...]]",
            "6.0.0",
            "O(1) an operation",
        ),
        Run::Read(bitfield::bitfield_ro),
    ),
    entry(
        "bitop",
        Arity::AtLeast(4),
        Keys::Range { first: 2, last: -1, step: 1 },
        WRITE,
        docs(
            "Combines strings bit by bit and stores the result.",
            "<AND | OR | XOR | NOT> destkey key [key ...]",
            "2.6.0",
            "O(N) in the strings' lengths",
        ),
        Run::Write(bitop),
    ),
    entry(
        "bitpos",
        Arity::AtLeast(3),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Finds the first bit that is set or clear.",
            "key bit [start [end [BYTE | BIT]]]",
            "2.8.7",
            "O(N) in the range's length",
        ),
        Run::Read(bitpos),
    ),
    entry(
        "getbit",
        Arity::Exactly(3),
        Keys::ONE,
        Flags::FAST,
        docs("Gives a bit.", "key offset", "2.2.0", "O(1)"),
        Run::Read(getbit),
    ),
    entry(
        "setbit",
        Arity::Exactly(4),
        Keys::ONE,
        WRITE,
        docs("Sets or clears a bit and gives the old one.", "key offset value:integer", "2.2.0", "O(1)"),
        Run::Write(setbit),
    ),
];

/// A string as bytes to look at.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(Option<Content<'a>>);

impl<'a> Bytes<'a> {
    /// An absent string is empty.
    pub(crate) fn new(content: Option<Content<'a>>) -> Self {
        Self(content)
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.map_or(0, content_len)
    }

    /// The byte at `index`; zero beyond the end.
    pub(crate) fn at(&self, index: usize) -> u8 {
        match self.0 {
            Some(Content::Short(text)) => text.get(index).copied().unwrap_or(0),
            Some(Content::Value(Value::Text(rope))) if index < rope.len() => rope.byte(index).unwrap_or(0),
            _ => 0,
        }
    }

    /// The bytes `start..end`, cut at the end of the string, in order and piece by piece.
    pub(crate) fn pieces(&self, start: usize, end: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let end = end.min(self.len());
        let start = start.min(end);
        let (short, rope) = match self.0 {
            Some(Content::Short(text)) => (Some(&text[start..end]), None),
            Some(Content::Value(Value::Text(rope))) => (None, Some(rope.pieces(start, end))),
            _ => (None, None),
        };
        short.into_iter().chain(rope.into_iter().flatten())
    }
}

/// A bit's offset; `width` is that of the field where `#` may count in fields.
pub(crate) fn bit_offset(text: &[u8], width: Option<u32>, string_max_bytes: usize) -> Result<u64, Error> {
    let (unit, text) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (i64::from(width), rest),
        _ => (1, text),
    };
    let offset = digits::parse_i64(text).and_then(|n| n.checked_mul(unit)).ok_or(BAD_OFFSET)?;
    let offset = u64::try_from(offset).map_err(|_| BAD_OFFSET)?;
    if offset >> 3 >= string_max_bytes as u64 { Err(BAD_OFFSET) } else { Ok(offset) }
}

fn setbit(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let offset = bit_offset(&args[2], None, cx.frame().string_max_bytes)?;
    let on = match digits::parse_i64(&args[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BAD_BIT),
    };
    let key = cx.key(&args[1]);
    let bytes = Bytes::new(cx.read().string(key)?);
    let index = (offset >> 3) as usize;
    let mask = 0x80 >> (offset & 7);
    let old = bytes.at(index);
    let was_on = old & mask != 0;
    if was_on != on || index >= bytes.len() {
        let new = if on { old | mask } else { old & !mask };
        cx.emit(
            &Effect::StringSetRange { key, offset: index as u64, value: &[new] },
            Event::string("setbit"),
        );
    }
    out.int(i64::from(was_on));
    Ok(())
}

fn getbit(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let offset = bit_offset(&args[2], None, cx.frame().string_max_bytes)?;
    let byte = Bytes::new(cx.string(cx.key(&args[1]))?).at((offset >> 3) as usize);
    out.int(i64::from(byte >> (7 - (offset & 7)) & 1));
    Ok(())
}

/// A range of bits, both ends included.
#[derive(Clone, Copy)]
struct BitRange {
    first: u64,
    last: u64,
}

impl BitRange {
    /// Redis' range over `len` bytes: negative ends count from the back, in bytes or bits; `None` if it is empty.
    fn new(start: i64, end: i64, in_bits: bool, len: usize) -> Option<Self> {
        let total = if in_bits { len as i64 * 8 } else { len as i64 };
        let from_back = |i: i64| if i < 0 { total.saturating_add(i).max(0) } else { i };
        let (start, end) = (from_back(start), from_back(end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(if in_bits {
            Self { first: start, last: end }
        } else {
            Self { first: start * 8, last: end * 8 + 7 }
        })
    }

    /// The bytes that hold the range: first, and the one behind the last.
    fn bytes(self) -> (usize, usize) {
        ((self.first >> 3) as usize, (self.last >> 3) as usize + 1)
    }

    /// Which bits of byte `index`, one of [`BitRange::bytes`], belong to the range.
    fn mask(self, index: usize) -> u8 {
        let (first, end) = self.bytes();
        let head = if index == first { 0xff >> (self.first & 7) } else { 0xff };
        let tail = if index + 1 == end { 0xff << (7 - (self.last & 7)) } else { 0xff };
        head & tail
    }
}

fn reads_bits(unit: &[u8]) -> Result<bool, Error> {
    if is(unit, "BIT") {
        Ok(true)
    } else if is(unit, "BYTE") {
        Ok(false)
    } else {
        Err(Error::SYNTAX)
    }
}

fn bitcount(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let Some(content) = cx.string(cx.key(&args[1]))? else {
        out.int(0);
        return Ok(());
    };
    let bytes = Bytes::new(Some(content));
    let range = match args.len() {
        2 => BitRange::new(0, -1, false, bytes.len()),
        4 | 5 => {
            let (start, end) = (args.int(2)?, args.int(3)?);
            if start < 0 && end < 0 && start > end {
                None
            } else {
                let in_bits = args.len() == 5 && reads_bits(&args[4])?;
                BitRange::new(start, end, in_bits, bytes.len())
            }
        }
        _ => return Err(Error::SYNTAX),
    };
    out.int(range.map_or(0, |range| count(bytes, range)) as i64);
    Ok(())
}

fn count(bytes: Bytes<'_>, range: BitRange) -> u64 {
    let (first, end) = range.bytes();
    let whole: u64 = bytes.pieces(first, end).map(popcount).sum();
    let outside = |index: usize| u64::from((bytes.at(index) & !range.mask(index)).count_ones());
    let edges = if first + 1 == end { outside(first) } else { outside(first) + outside(end - 1) };
    whole - edges
}

fn popcount(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

fn bitpos(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let wanted = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let Some(content) = cx.string(cx.key(&args[1]))? else {
        out.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let bytes = Bytes::new(Some(content));
    let has_end = args.len() > 4;
    let range = match args.len() {
        3 => BitRange::new(0, -1, false, bytes.len()),
        4..=6 => {
            let start = args.int(3)?;
            let in_bits = args.len() == 6 && reads_bits(&args[5])?;
            let end = if has_end { args.int(4)? } else { -1 };
            BitRange::new(start, end, in_bits, bytes.len())
        }
        _ => return Err(Error::SYNTAX),
    };
    let position = range.map_or(-1, |range| match find(bytes, range, wanted) {
        Some(at) => at as i64,
        // Without an end the string goes on with zeros, so the first clear bit is right behind it.
        None if !wanted && !has_end => bytes.len() as i64 * 8,
        None => -1,
    });
    out.int(position);
    Ok(())
}

fn find(bytes: Bytes<'_>, range: BitRange, wanted: bool) -> Option<u64> {
    let (first, end) = range.bytes();
    let flip = if wanted { 0 } else { 0xff };
    let mut index = first;
    for piece in bytes.pieces(first, end) {
        for (inside, byte) in piece.iter().enumerate().filter(|(_, byte)| **byte != flip) {
            let hits = (byte ^ flip) & range.mask(index + inside);
            if hits != 0 {
                return Some((index + inside) as u64 * 8 + u64::from(hits.leading_zeros()));
            }
        }
        index += piece.len();
    }
    None
}

#[derive(Clone, Copy)]
enum Op {
    And,
    Or,
    Xor,
    Not,
}

fn bitop(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let name = &args[1];
    let op = [("AND", Op::And), ("OR", Op::Or), ("XOR", Op::Xor), ("NOT", Op::Not)]
        .into_iter()
        .find(|(text, _)| is(name, text))
        .map(|(_, op)| op)
        .ok_or(Error::SYNTAX)?;
    if matches!(op, Op::Not) && args.len() != 4 {
        return Err(Error::new("ERR BITOP NOT must be called with a single source key."));
    }
    let result = {
        let read = cx.read();
        let mut sources = Vec::with_capacity(args.len() - 3);
        for key in args.iter().skip(3) {
            sources.push(Bytes::new(read.string(read.key(key))?));
        }
        combine(op, &sources)
    };
    let key = cx.key(&args[2]);
    if !result.is_empty() {
        // In two steps, so that OBJECT ENCODING shows the result as changed in place, whatever it looks like.
        cx.emit(&Effect::StringSet { key, value: b"", expire: Expire::Never }, Event::NONE);
        cx.emit(&Effect::StringAppend { key, value: &result }, Event::string("set"));
    } else if cx.read().lookup_in(cx.db(), key).is_some() {
        delete(cx, key);
    }
    out.int(result.len() as i64);
    Ok(())
}

/// All sources together, the shorter ones filled up with zeros.
fn combine(op: Op, sources: &[Bytes<'_>]) -> Vec<u8> {
    let len = sources.iter().map(Bytes::len).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    let (first, others) = sources.split_first().expect("arity demands a source");
    first.pieces(0, first.len()).for_each(|piece| result.extend_from_slice(piece));
    result.resize(len, 0);
    if matches!(op, Op::Not) {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for source in others {
        let mut at = 0;
        for piece in source.pieces(0, source.len()) {
            let target = result[at..at + piece.len()].iter_mut().zip(piece);
            match op {
                Op::And | Op::Not => target.for_each(|(a, b)| *a &= b),
                Op::Or => target.for_each(|(a, b)| *a |= b),
                Op::Xor => target.for_each(|(a, b)| *a ^= b),
            }
            at += piece.len();
        }
        if matches!(op, Op::And) {
            result[at..].fill(0);
        }
    }
    result
}
