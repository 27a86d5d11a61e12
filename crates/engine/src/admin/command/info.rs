//! COMMAND INFO: what a command needs, forbids and touches, as clients read it.

use sessile_command::{Acl, Flags};
use sessile_resp::Reply;

use super::Told;
use super::specs::{self, Begin, Find, KeySpec};

/// Flags and categories in the order in which Redis gives them.
const FLAG_ORDER: &[&str] = &[
    "write",
    "readonly",
    "denyoom",
    "admin",
    "pubsub",
    "noscript",
    "blocking",
    "loading",
    "stale",
    "skip_monitor",
    "skip_slowlog",
    "fast",
    "no_auth",
    "no_mandatory_keys",
    "no_async_loading",
    "no_multi",
    "movablekeys",
    "allow_busy",
];
const CATEGORY_ORDER: &[&str] = &[
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

/// One element of COMMAND's reply.
pub(super) fn reply(it: &Told, out: &mut Reply<'_>) {
    let specs = specs::of(&it.full_name, it.command);
    let (first, last, step) = specs::legacy(it.command, &specs);
    out.array(10);
    out.bulk(it.full_name.as_bytes());
    out.int(it.command.arity.signed());
    statuses(&flags(it), out);
    out.int(first);
    out.int(last);
    out.int(step);
    statuses(&categories(it), out);
    out.set(0);
    out.set(specs.len());
    specs.iter().for_each(|spec| key_spec(spec, out));
    out.set(it.subs.len());
    it.subs.iter().for_each(|sub| reply(sub, out));
}

fn statuses(names: &[&str], out: &mut Reply<'_>) {
    out.set(names.len());
    names.iter().for_each(|name| out.simple(name));
}

fn flags(it: &Told) -> Vec<&'static str> {
    if it.only_chooses {
        return Vec::new();
    }
    let command = it.command;
    let declared: Vec<&str> = command.flags.names().collect();
    let has = |name: &&&str| match **name {
        "write" => command.is_write(),
        "readonly" => reads(it),
        "blocking" => command.is_blocking(),
        "movablekeys" => specs::is_movable(&it.full_name, command),
        name => declared.contains(&name),
    };
    FLAG_ORDER.iter().filter(has).copied().collect()
}

/// The engine's own commands that only read data: their handlers' type does not say it.
const SESSION_READS: &[&str] = &["eval_ro", "evalsha_ro", "fcall_ro", "lolwut", "memory|usage"];

/// Whether it only reads data. HELP is a handler like any other, but reads nothing.
fn reads(it: &Told) -> bool {
    it.command.is_read() && it.command.name != "help" || SESSION_READS.contains(&it.full_name.as_str())
}

/// The ACL categories of a command.
pub(super) fn categories(it: &Told) -> Vec<&'static str> {
    if it.only_chooses {
        return vec!["@slow"];
    }
    let command = it.command;
    let declared: Vec<&str> = command.acl.names().collect();
    let has = |flag| command.flags.has(flag);
    let in_it = |name: &&&str| match **name {
        "@read" => reads(it) && !command.acl.has(Acl::SCRIPTING),
        "@write" => command.is_write(),
        "@pubsub" => has(Flags::PUBSUB),
        "@admin" => has(Flags::ADMIN) || command.acl.has(Acl::ADMIN),
        "@dangerous" => has(Flags::ADMIN) || command.acl.has(Acl::DANGEROUS),
        "@fast" => has(Flags::FAST),
        "@slow" => !has(Flags::FAST),
        "@blocking" => command.is_blocking(),
        name => declared.contains(&name),
    };
    CATEGORY_ORDER.iter().filter(in_it).copied().collect()
}

fn key_spec(spec: &KeySpec, out: &mut Reply<'_>) {
    out.map(3);
    out.bulk(b"flags");
    statuses(&spec.flags, out);
    out.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => {
            step("index", 1, out);
            field("index", index, out);
        }
        Begin::Keyword(word, from) => {
            step("keyword", 2, out);
            out.bulk(b"keyword");
            out.bulk(word.as_bytes());
            field("startfrom", from, out);
        }
        Begin::Unknown => step("unknown", 0, out),
    }
    out.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step: every, limit } => {
            step("range", 3, out);
            field("lastkey", last, out);
            field("keystep", every, out);
            field("limit", limit, out);
        }
        Find::Counted => {
            step("keynum", 3, out);
            field("keynumidx", 0, out);
            field("firstkey", 1, out);
            field("keystep", 1, out);
        }
        Find::Unknown => step("unknown", 0, out),
    }
}

/// The head of one step of a key search, whose `fields` follow.
fn step(kind: &str, fields: usize, out: &mut Reply<'_>) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(fields);
}

fn field(name: &str, value: i64, out: &mut Reply<'_>) {
    out.bulk(name.as_bytes());
    out.int(value);
}
