//! Expiry: EXPIRE and its relatives, TTL and its relatives, PERSIST.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Effect, Entry, Error, Event, Expire, Flags, Keys, Outcome,
    ReadCx, Reply, Run, WriteCx, expire_at, is,
};

use crate::keys::delete;

const fn entry(name: &'static str, arity: Arity, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys: Keys::ONE, acl: Acl::KEYSPACE, flags: Flags::FAST, docs, run }
}

const fn docs(summary: &'static str, syntax: &'static str, since: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "generic", complexity: "O(1)" }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "expire",
        Arity::AtLeast(3),
        docs("Sets how many seconds a key has left.", "key seconds [NX | XX | GT | LT]", "1.0.0"),
        Run::Write(|cx, args, out| expire(cx, args, Unit { ms: 1000, relative: true }, "expire", out)),
    ),
    entry(
        "expireat",
        Arity::AtLeast(3),
        docs("Sets the second at which a key ends.", "key unix-time-seconds [NX | XX | GT | LT]", "1.2.0"),
        Run::Write(|cx, args, out| expire(cx, args, Unit { ms: 1000, relative: false }, "expireat", out)),
    ),
    entry(
        "expiretime",
        Arity::Exactly(2),
        docs("Gives the second at which a key ends.", "key", "7.0.0"),
        Run::Read(|cx, args, out| time_left(cx, args, Unit { ms: 1000, relative: false }, out)),
    ),
    entry("persist", Arity::Exactly(2), docs("Clears a key's expiry.", "key", "2.2.0"), Run::Write(persist)),
    entry(
        "pexpire",
        Arity::AtLeast(3),
        docs("Sets how many milliseconds a key has left.", "key milliseconds [NX | XX | GT | LT]", "2.6.0"),
        Run::Write(|cx, args, out| expire(cx, args, Unit { ms: 1, relative: true }, "pexpire", out)),
    ),
    entry(
        "pexpireat",
        Arity::AtLeast(3),
        docs(
            "Sets the millisecond at which a key ends.",
            "key unix-time-milliseconds [NX | XX | GT | LT]",
            "2.6.0",
        ),
        Run::Write(|cx, args, out| expire(cx, args, Unit { ms: 1, relative: false }, "pexpireat", out)),
    ),
    entry(
        "pexpiretime",
        Arity::Exactly(2),
        docs("Gives the millisecond at which a key ends.", "key", "7.0.0"),
        Run::Read(|cx, args, out| time_left(cx, args, Unit { ms: 1, relative: false }, out)),
    ),
    entry(
        "pttl",
        Arity::Exactly(2),
        docs("Gives how many milliseconds a key has left.", "key", "2.6.0"),
        Run::Read(|cx, args, out| time_left(cx, args, Unit { ms: 1, relative: true }, out)),
    ),
    entry(
        "ttl",
        Arity::Exactly(2),
        docs("Gives how many seconds a key has left.", "key", "1.0.0"),
        Run::Read(|cx, args, out| time_left(cx, args, Unit { ms: 1000, relative: true }, out)),
    ),
];

/// How a command counts time.
#[derive(Clone, Copy)]
struct Unit {
    ms: i64,
    /// From now on, not from the epoch.
    relative: bool,
}

/// EXPIRE's conditions.
#[derive(Default)]
struct Conditions {
    without: bool,
    with: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    fn read(args: Args<'_>) -> Result<Self, Error> {
        let mut it = Self::default();
        for option in args.iter().skip(3) {
            if is(option, "NX") {
                it.without = true;
            } else if is(option, "XX") {
                it.with = true;
            } else if is(option, "GT") {
                it.later = true;
            } else if is(option, "LT") {
                it.sooner = true;
            } else {
                return Err(Error::quoting(&["ERR Unsupported option ", ""], &[option]));
            }
        }
        if it.without && (it.with || it.later || it.sooner) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if it.later && it.sooner {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(it)
    }

    /// A key without an expiry counts as ending never.
    fn admit(&self, old_ms: Option<u64>, at_ms: u64) -> bool {
        let refused = self.without && old_ms.is_some()
            || self.with && old_ms.is_none()
            || self.later && old_ms.is_none_or(|old| at_ms <= old)
            || self.sooner && old_ms.is_some_and(|old| at_ms >= old);
        !refused
    }
}

fn expire(cx: &mut WriteCx<'_>, args: Args<'_>, unit: Unit, command: &str, out: &mut Reply<'_>) -> Outcome {
    let conditions = Conditions::read(args)?;
    let at_ms = expire_at(args.int(2)?, unit.ms, unit.relative, cx.now_ms(), false, command)?;
    let key = cx.key(&args[1]);
    let old_ms = match cx.read().lookup_in(cx.db(), key) {
        Some(entry) => entry.expire_ms(),
        None => {
            out.int(0);
            return Ok(());
        }
    };
    let admitted = conditions.admit(old_ms, at_ms);
    if admitted && at_ms <= cx.now_ms() {
        delete(cx, key);
    } else if admitted {
        cx.emit(&Effect::Expiry { key, expire: Expire::At(at_ms) }, Event::generic("expire"));
    }
    out.int(i64::from(admitted));
    Ok(())
}

fn persist(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let key = cx.key(&args[1]);
    let has_expiry = cx.read().lookup_in(cx.db(), key).is_some_and(|entry| entry.expire_ms().is_some());
    if has_expiry {
        cx.emit(&Effect::Expiry { key, expire: Expire::Never }, Event::generic("persist"));
    }
    out.int(i64::from(has_expiry));
    Ok(())
}

fn time_left(cx: ReadCx<'_>, args: Args<'_>, unit: Unit, out: &mut Reply<'_>) -> Outcome {
    let reply = match cx.lookup_still(cx.key(&args[1])).map(Entry::expire_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => {
            let ms = if unit.relative { at_ms.saturating_sub(cx.now_ms()) } else { at_ms };
            // Seconds are rounded to the nearest, as Redis does.
            (ms as i64).saturating_add(unit.ms / 2) / unit.ms
        }
    };
    out.int(reply);
    Ok(())
}
