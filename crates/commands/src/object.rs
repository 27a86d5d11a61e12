//! OBJECT: how a value is kept.

use sessile_command::{
    Acl, Args, Arity, Command, Content, Docs, Entry, Error, Flags, Keys, Outcome, ReadCx, Reply, Run,
};
use sessile_values::digits;

const KEY: Keys = Keys::Range { first: 2, last: 2, step: 1 };

/// Longest text that Redis keeps in one allocation with its header, and names `embstr`.
const EMBEDDED_MAX: usize = 44;

/// Longest text that Redis tries as an integer.
const INT_TEXT_MAX: usize = 20;

/// Redis shares the integers below this among all keys and then gives [`SHARED_COUNT`] references.
const SHARED_INTEGERS: i64 = 10_000;
const SHARED_COUNT: i64 = i32::MAX as i64;

const fn docs(summary: &'static str, syntax: &'static str, since: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "generic", complexity: "O(1)" }
}

const fn sub(name: &'static str, docs: Docs, run: Run) -> Command {
    Command { name, arity: Arity::Exactly(3), keys: KEY, acl: Acl::KEYSPACE, flags: Flags::NONE, docs, run }
}

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[Command {
    name: "object",
    arity: Arity::AtLeast(2),
    keys: Keys::None,
    acl: Acl::NONE,
    flags: Flags::NONE,
    docs: docs("Holds the commands about how a value is kept.", "", "2.2.3"),
    run: Run::Container(SUBCOMMANDS),
}];

static SUBCOMMANDS: &[Command] = &[
    sub("encoding", docs("Gives the encoding of a value.", "key", "2.2.3"), Run::Read(encoding)),
    sub(
        "freq",
        docs("Gives how often a key was accessed, on a logarithmic scale.", "key", "4.0.0"),
        Run::Read(freq),
    ),
    Command {
        name: "help",
        arity: Arity::Exactly(2),
        keys: Keys::None,
        acl: Acl::KEYSPACE,
        flags: Flags::LOADING.and(Flags::STALE),
        docs: docs("Lists the subcommands.", "", "6.2.0"),
        run: Run::Read(help),
    },
    sub("idletime", docs("Gives the seconds since a key was accessed.", "key", "2.2.3"), Run::Read(idletime)),
    sub("refcount", docs("Gives how many references a value has.", "key", "2.2.3"), Run::Read(refcount)),
];

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

fn help(_cx: ReadCx<'_>, _args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

/// Runs `f` on the key's entry, looked up without leaving a trace; null if there is none.
fn with_entry(
    cx: ReadCx<'_>,
    args: Args<'_>,
    out: &mut Reply<'_>,
    f: impl FnOnce(&Entry, &mut Reply<'_>) -> Outcome,
) -> Outcome {
    match cx.lookup_unseen(cx.key(&args[2])) {
        Some(entry) => f(entry, out),
        None => {
            out.null();
            Ok(())
        }
    }
}

/// The integer that Redis would keep in place of the text.
fn as_integer(entry: &Entry) -> Option<i64> {
    match entry.content() {
        Content::Short(text) if text.len() <= INT_TEXT_MAX && !entry.is_appended() => digits::parse_i64(text),
        _ => None,
    }
}

fn encoding(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    with_entry(cx, args, out, |entry, out| {
        let name = match entry.content() {
            Content::Value(value) => value.encoding(),
            Content::Short(_) if as_integer(entry).is_some() => "int",
            Content::Short(text) if text.len() <= EMBEDDED_MAX && !entry.is_appended() => "embstr",
            Content::Short(_) => "raw",
        };
        out.bulk(name.as_bytes());
        Ok(())
    })
}

fn refcount(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    with_entry(cx, args, out, |entry, out| {
        let shared = as_integer(entry).is_some_and(|n| (0..SHARED_INTEGERS).contains(&n));
        out.int(if shared { SHARED_COUNT } else { 1 });
        Ok(())
    })
}

fn idletime(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let clock = &cx.keyspace().clock;
    with_entry(cx, args, out, |entry, out| {
        if clock.lfu {
            return Err(Error::new(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                 between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        out.int(clock.idle_s(entry) as i64);
        Ok(())
    })
}

fn freq(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let clock = &cx.keyspace().clock;
    with_entry(cx, args, out, |entry, out| {
        if !clock.lfu {
            return Err(Error::new(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        out.int(i64::from(clock.frequency(entry)));
        Ok(())
    })
}
