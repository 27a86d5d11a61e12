//! DUMP and RESTORE: a value as bytes that Redis reads as well.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Cause, Command, Content, Docs, Effect, Error, Event, Expire, Flags, Keys,
    Outcome, ReadCx, Reply, Run, WriteCx, is,
};
use sessile_values::Value;
use sessile_values::dump;

const fn docs(summary: &'static str, syntax: &'static str) -> Docs {
    Docs { summary, syntax, since: "2.6.0", group: "generic", complexity: "O(N) in the value's size" }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "dump",
        arity: Arity::Exactly(2),
        keys: Keys::ONE,
        acl: Acl::KEYSPACE,
        flags: Flags::NONE,
        docs: docs("Gives a value as bytes that RESTORE takes.", "key"),
        run: Run::Read(dump),
    },
    Command {
        name: "restore",
        arity: Arity::AtLeast(4),
        keys: Keys::ONE,
        acl: Acl::KEYSPACE.and(Acl::DANGEROUS),
        flags: Flags::DENY_OOM,
        docs: docs(
            "Makes a key from what DUMP gave.",
            "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        ),
        run: Run::Write(restore),
    },
];

/// A value as it stands in effects.
pub(crate) fn exact_payload_of(content: Content<'_>) -> Vec<u8> {
    let Content::Value(value @ Value::Stream(_)) = content else { return payload_of(content) };
    let mut payload = Vec::new();
    dump::encode_exact(value, &mut payload);
    payload
}

/// A value as it stands, sealed, in DUMP.
fn payload_of(content: Content<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    match content {
        Content::Short(text) => dump::encode_text(text, &mut payload),
        Content::Value(Value::Text(rope)) => dump::encode_rope(rope, &mut payload),
        Content::Value(value) => dump::encode_value(value, &mut payload),
    }
    payload
}

fn dump(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    match cx.lookup(cx.key(&args[1])) {
        None => out.null(),
        Some(entry) => {
            let mut payload = payload_of(entry.content());
            dump::seal(&mut payload);
            out.bulk(&payload);
        }
    }
    Ok(())
}

/// RESTORE's options.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn read(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut at = 4;
        while at < args.len() {
            let option = &args[at];
            let has_value = at + 1 < args.len();
            if is(option, "REPLACE") {
                options.replace = true;
            } else if is(option, "ABSTTL") {
                options.absolute = true;
            } else if is(option, "IDLETIME") && has_value && options.frequency.is_none() {
                at += 1;
                let idle_s = args.int(at)?;
                if idle_s < 0 {
                    return Err(Error::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_s = Some(idle_s);
            } else if is(option, "FREQ") && has_value && options.idle_s.is_none() {
                at += 1;
                let frequency = args.int(at)?;
                if !(0..=255).contains(&frequency) {
                    return Err(Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                options.frequency = Some(frequency);
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// The access bits that the options ask for; 0 for those of a new entry.
    fn access(&self, cx: ReadCx<'_>) -> u32 {
        let clock = &cx.keyspace().clock;
        match (self.idle_s, self.frequency) {
            (_, Some(frequency)) if clock.lfu => {
                ((clock.now_s / 60) as u32) << 8 & 0xff_ff00 | frequency as u32
            }
            (Some(idle_s), _) if !clock.lfu => clock.now_s.saturating_sub(idle_s as u64).max(1) as u32,
            _ => 0,
        }
    }
}

fn restore(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let options = Options::read(args)?;
    let key = cx.key(&args[1]);
    let exists = cx.read().lookup_in(cx.db(), key).is_some();
    if exists && !options.replace {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = args.int(2)?;
    if ttl_ms < 0 {
        return Err(Error::new("ERR Invalid TTL value, must be >= 0"));
    }
    let payload =
        dump::open(&args[3]).map_err(|_| Error::new("ERR DUMP payload version or checksum are wrong"))?;
    let read = cx.read();
    dump::decode(payload, &read.hash_key(), read.limits()).map_err(|_| Error::new("ERR Bad data format"))?;
    let base_ms = if options.absolute { 0 } else { cx.now_ms() };
    let at_ms = (ttl_ms > 0).then(|| (ttl_ms as u64).saturating_add(base_ms));
    // In Redis a time beyond 2^63 ms wraps around and has passed long ago.
    if at_ms.is_some_and(|at_ms| at_ms <= cx.now_ms() || at_ms > i64::MAX as u64) {
        if exists {
            cx.emit(&Effect::Delete { key, cause: Cause::Command }, Event::DEL);
        }
    } else {
        let access = options.access(cx.read());
        let expire = at_ms.map_or(Expire::Never, Expire::At);
        cx.emit(&Effect::Restore { key, payload, expire, access }, Event::generic("restore"));
    }
    out.ok();
    Ok(())
}
