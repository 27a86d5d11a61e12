//! BITFIELD: integers of any width at any bit of a string.

use sessile_command::{Args, ArgsExt, Effect, Error, Event, Key, Outcome, ReadCx, Reply, WriteCx, is};
use sessile_values::digits;

use crate::bits::{Bytes, bit_offset};

/// The width and signedness of a field: `i1` … `i64`, `u1` … `u63`.
#[derive(Clone, Copy)]
struct Kind {
    signed: bool,
    width: u32,
}

/// What to do with a result that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

#[derive(Clone, Copy)]
struct Operation {
    action: Action,
    kind: Kind,
    offset: u64,
    overflow: Overflow,
}

impl Kind {
    fn read(text: &[u8]) -> Result<Self, Error> {
        let invalid = || {
            Error::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        };
        let (signed, width) = match text {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(invalid()),
        };
        let width_max = if signed { 64 } else { 63 };
        match digits::parse_i64(width) {
            Some(width @ 1..) if width <= width_max => Ok(Self { signed, width: width as u32 }),
            _ => Err(invalid()),
        }
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        if self.signed { (1 << (self.width - 1)) - 1 } else { (1 << self.width) - 1 }
    }

    /// The lowest bits of `value` as this kind of integer.
    fn wrap(self, value: i128) -> i128 {
        let low = value & ((1 << self.width) - 1);
        if low > self.max() { low - (1 << self.width) } else { low }
    }

    /// Redis finds out by a subtraction whether a value to SET is too large, and that overflows for the smallest values:
    /// saturated they come to the greatest.
    fn seems_too_large(self, value: i64) -> bool {
        self.width < 64 && (self.max() as i64).checked_sub(value).is_none()
    }

    /// The value to store, or `None` if it does not fit and must.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        if (self.min()..=self.max()).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrap(value)),
            Overflow::Saturate => Some(value.clamp(self.min(), self.max())),
            Overflow::Fail => None,
        }
    }
}

impl Operation {
    /// The bytes that hold the field: first, and the one behind the last.
    fn bytes(&self) -> (usize, usize) {
        ((self.offset >> 3) as usize, ((self.offset + u64::from(self.kind.width) - 1) >> 3) as usize + 1)
    }

    /// How far the field is from the low end of its bytes, as a big-endian number.
    fn shift(&self) -> u32 {
        let (first, end) = self.bytes();
        ((end - first) * 8) as u32 - (self.offset & 7) as u32 - self.kind.width
    }

    /// The field's bytes as one number. They are at most nine.
    fn window(&self, bytes: Bytes<'_>) -> u128 {
        let (first, end) = self.bytes();
        (first..end).fold(0, |window, index| window << 8 | u128::from(bytes.at(index)))
    }

    fn get(&self, bytes: Bytes<'_>) -> i128 {
        self.kind.wrap((self.window(bytes) >> self.shift()) as i128)
    }

    /// The field's bytes with another value in it.
    fn with(&self, bytes: Bytes<'_>, value: i128) -> Vec<u8> {
        let (first, end) = self.bytes();
        let mask = ((1u128 << self.kind.width) - 1) << self.shift();
        let window = self.window(bytes) & !mask | (value as u128) << self.shift() & mask;
        window.to_be_bytes()[16 - (end - first)..].to_vec()
    }

    /// What SET and INCRBY reply and store, if it fits.
    fn change(&self, old: i128) -> Option<(i128, i128)> {
        match self.action {
            Action::Get => None,
            Action::Set(value) => {
                // An unsigned field sees a negative value as the large number that its bits are.
                let value = match self.kind.signed {
                    true if self.overflow == Overflow::Saturate && self.kind.seems_too_large(value) => {
                        self.kind.max()
                    }
                    true => i128::from(value),
                    false => i128::from(value as u64),
                };
                self.kind.fit(value, self.overflow).map(|new| (old, new))
            }
            Action::Increment(by) => self.kind.fit(old + i128::from(by), self.overflow).map(|new| (new, new)),
        }
    }
}

fn read_overflow(text: &[u8]) -> Result<Overflow, Error> {
    if is(text, "WRAP") {
        Ok(Overflow::Wrap)
    } else if is(text, "SAT") {
        Ok(Overflow::Saturate)
    } else if is(text, "FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(Error::new("ERR Invalid OVERFLOW type specified"))
    }
}

fn operations(args: Args<'_>, string_max_bytes: usize) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        let name = &args[at];
        let (is_get, is_set) = (is(name, "GET") && left >= 2, is(name, "SET") && left >= 3);
        if is(name, "OVERFLOW") && left >= 1 {
            overflow = read_overflow(&args[at + 1])?;
            at += 2;
            continue;
        }
        if !(is_get || is_set || is(name, "INCRBY") && left >= 3) {
            return Err(Error::SYNTAX);
        }
        let kind = Kind::read(&args[at + 1])?;
        let offset = bit_offset(&args[at + 2], Some(kind.width), string_max_bytes)?;
        let action = if is_get {
            Action::Get
        } else if is_set {
            Action::Set(args.int(at + 3)?)
        } else {
            Action::Increment(args.int(at + 3)?)
        };
        operations.push(Operation { action, kind, offset, overflow });
        at += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

fn is_get(operation: &Operation) -> bool {
    matches!(operation.action, Action::Get)
}

fn reply_gets(operations: &[Operation], bytes: Bytes<'_>, out: &mut Reply<'_>) {
    out.array(operations.len());
    operations.iter().for_each(|operation| out.int(operation.get(bytes) as i64));
}

/// BITFIELD_RO.
pub(crate) fn bitfield_ro(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let operations = operations(args, cx.frame().string_max_bytes)?;
    if !operations.iter().all(is_get) {
        return Err(Error::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    reply_gets(&operations, Bytes::new(cx.string(cx.key(&args[1]))?), out);
    Ok(())
}

/// BITFIELD.
pub(crate) fn bitfield(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let operations = operations(args, cx.frame().string_max_bytes)?;
    let key = cx.key(&args[1]);
    let len = Bytes::new(cx.read().string(key)?).len();
    let Some(end) = operations.iter().filter(|it| !is_get(it)).map(|it| it.bytes().1).max() else {
        cx.frame().look_as_reader(true);
        reply_gets(&operations, Bytes::new(cx.read().string(key)?), out);
        return Ok(());
    };
    let mut event = Event::string("setbit");
    // The string grows to hold every field that is written, even one that fails to take its value.
    if end > len {
        let last = end as u64 - 1;
        cx.emit(
            &Effect::StringSetRange { key, offset: last, value: &[0] },
            std::mem::replace(&mut event, Event::NONE),
        );
    }
    out.array(operations.len());
    for operation in &operations {
        perform(cx, key, operation, &mut event, out);
    }
    Ok(())
}

/// Does one operation on the string, whose type is known; the first one that changes it is announced.
fn perform(
    cx: &mut WriteCx<'_>,
    key: Key<'_>,
    operation: &Operation,
    event: &mut Event,
    out: &mut Reply<'_>,
) {
    let bytes = Bytes::new(cx.read().string(key).unwrap_or(None));
    let old = operation.get(bytes);
    if is_get(operation) {
        out.int(old as i64);
        return;
    }
    let Some((reply, new)) = operation.change(old) else {
        out.null();
        return;
    };
    if new != old {
        let value = operation.with(bytes, new);
        let offset = operation.bytes().0 as u64;
        cx.emit(
            &Effect::StringSetRange { key, offset, value: &value },
            std::mem::replace(event, Event::NONE),
        );
    }
    out.int(reply as i64);
}
