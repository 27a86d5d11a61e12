//! COMMAND: the table itself.

mod docs;
mod info;
mod specs;

use sessile_command::{Acl, Arity, Command, Docs, Error, Flags, Keys, Outcome, is};
use sessile_resp::{Args, Reply};
use sessile_values::glob;

use crate::engine::Engine;
use crate::session::ConnId;
use crate::table::{Entry, SessionCommand, SessionRun, Table};

const PLAIN: Flags = Flags::LOADING.and(Flags::STALE);

const fn entry(name: &'static str, arity: Arity, docs: Docs, run: SessionRun) -> SessionCommand {
    SessionCommand::new(name, arity, PLAIN, docs, run).acl(Acl::CONNECTION)
}

const fn text(summary: &'static str, syntax: &'static str, since: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "server", complexity: "O(N) in the commands told about" }
}

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[entry(
    "command",
    Arity::AtLeast(1),
    text("Describes all commands.", "", "2.8.13"),
    SessionRun::Both(|engine, _, _, out| all(engine.table, out), SUBCOMMANDS),
)];

static SUBCOMMANDS: &[SessionCommand] = &[
    entry(
        "count",
        Arity::Exactly(2),
        text("Counts the commands.", "", "2.8.13"),
        SessionRun::Do(|engine, _, _, out| {
            out.int(engine.table.iter().count() as i64);
            Ok(())
        }),
    ),
    entry(
        "docs",
        Arity::AtLeast(2),
        text("Documents commands.", "[command-name [command-name ...]]", "7.0.0"),
        SessionRun::Do(|engine, _, args, out| {
            docs::reply(&chosen(engine.table, args.from(2)), out);
            Ok(())
        }),
    ),
    entry(
        "getkeys",
        Arity::AtLeast(4),
        text("Finds the keys of a request.", "command [arg [arg ...]]", "2.8.13"),
        SessionRun::Do(|engine, _, args, out| get_keys(engine.table, args.from(2), false, out)),
    ),
    entry(
        "getkeysandflags",
        Arity::AtLeast(4),
        text("Finds the keys of a request and what it does to them.", "command [arg [arg ...]]", "7.0.0"),
        SessionRun::Do(|engine, _, args, out| get_keys(engine.table, args.from(2), true, out)),
    ),
    entry(
        "help",
        Arity::Exactly(2),
        text("Lists the subcommands.", "", "5.0.0"),
        SessionRun::Do(|_, _, _, out| super::help(out, "COMMAND", HELP)),
    ),
    entry(
        "info",
        Arity::AtLeast(2),
        text("Describes commands.", "[command-name [command-name ...]]", "2.8.13"),
        SessionRun::Do(|engine, _, args, out| {
            if args.len() == 2 {
                return all(engine.table, out);
            }
            out.array(args.len() - 2);
            for name in args.iter().skip(2) {
                match named(engine.table, name) {
                    Some(it) => info::reply(&it, out),
                    None => out.null(),
                }
            }
            Ok(())
        }),
    ),
    entry(
        "list",
        Arity::AtLeast(2),
        text(
            "Lists commands.",
            "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
            "7.0.0",
        ),
        SessionRun::Do(list),
    ),
];

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
];

/// A command as COMMAND tells about it.
struct Told {
    full_name: String,
    command: &'static Command,
    /// Whether it does nothing but choose a subcommand.
    only_chooses: bool,
    /// Sorted by name.
    subs: Vec<Told>,
}

impl Told {
    fn of(entry: &Entry) -> Self {
        let mut subs: Vec<Told> = entry.subs.values().map(Told::of).collect();
        subs.sort_by(|a, b| a.full_name.cmp(&b.full_name));
        let (full_name, only_chooses) = (entry.full_name.clone(), entry.only_chooses());
        Told { full_name, command: entry.command, only_chooses, subs }
    }
}

/// Every top-level command, sorted.
fn everything(table: &Table) -> Vec<Told> {
    let mut all: Vec<Told> = table.iter().map(Told::of).collect();
    all.sort_by(|a, b| a.full_name.cmp(&b.full_name));
    all
}

fn all(table: &Table, out: &mut Reply<'_>) -> Outcome {
    let all = everything(table);
    out.array(all.len());
    all.iter().for_each(|it| info::reply(it, out));
    Ok(())
}

/// The command with this name: `name`, or `container|name`.
fn named(table: &Table, name: &[u8]) -> Option<Told> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let top = Told::of(table.find(parts.next()?)?);
    match parts.next() {
        None => Some(top),
        Some(_) => top.subs.into_iter().find(|sub| sub.full_name.as_bytes().eq_ignore_ascii_case(name)),
    }
}

/// The commands with these names as far as they are there, each once; all if no name is given.
fn chosen(table: &Table, names: Args<'_>) -> Vec<Told> {
    if names.is_empty() {
        return everything(table);
    }
    let mut chosen: Vec<Told> = names.iter().filter_map(|name| named(table, name)).collect();
    chosen.sort_by(|a, b| a.full_name.cmp(&b.full_name));
    chosen.dedup_by(|a, b| a.full_name == b.full_name);
    chosen
}

fn list(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let all = everything(engine.table);
    let keep: Box<dyn Fn(&Told) -> bool> = match args.len() {
        2 => Box::new(|_| true),
        5 if is(&args[2], "FILTERBY") => {
            let value = &args[4];
            if is(&args[3], "MODULE") {
                Box::new(|_| false)
            } else if is(&args[3], "ACLCAT") {
                let wanted = value.to_ascii_lowercase();
                Box::new(move |it| {
                    info::categories(it)
                        .iter()
                        .any(|category| category.as_bytes().get(1..) == Some(&wanted[..]))
                })
            } else if is(&args[3], "PATTERN") {
                Box::new(|it| glob::matches(value, it.full_name.as_bytes(), true))
            } else {
                return Err(Error::SYNTAX);
            }
        }
        _ => return Err(Error::SYNTAX),
    };
    let with_subs = args.len() == 5;
    let mut names = Vec::new();
    for it in &all {
        let subs = it.subs.iter().filter(|_| with_subs);
        names.extend([it].into_iter().chain(subs).filter(|it| keep(it)).map(|it| it.full_name.as_str()));
    }
    names.sort_unstable();
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name.as_bytes()));
    Ok(())
}

/// The keys of the request in `args`, with what it does to them if `flags`.
fn get_keys(table: &Table, args: Args<'_>, flags: bool, out: &mut Reply<'_>) -> Outcome {
    let unknown = || Error::new("ERR Invalid command specified");
    let mut told = table.find(&args[0]).map(Told::of).ok_or_else(unknown)?;
    if told.only_chooses {
        let sub = args.get(1).map(<[u8]>::to_ascii_lowercase);
        let sub = sub.and_then(|sub| told.subs.into_iter().find(|it| it.command.name.as_bytes() == sub));
        told = sub.ok_or_else(unknown)?;
    }
    let command = told.command;
    if matches!(command.keys, Keys::None) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.arity.admits(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let optional = specs::keys_optional(command);
    let invalid = || Error::new("ERR Invalid arguments specified for command");
    let found = match command.keys.find(args) {
        Ok(found) => found,
        Err(_) if optional => Vec::new(),
        Err(_) => return Err(invalid()),
    };
    if found.is_empty() && !optional {
        return Err(invalid());
    }
    let specs = specs::of(&told.full_name, command);
    out.array(found.len());
    for &index in &found {
        if !flags {
            out.bulk(&args[index]);
            continue;
        }
        out.array(2);
        out.bulk(&args[index]);
        let access =
            specs::narrowed(&told.full_name, args).unwrap_or_else(|| specs::access(&specs, index, &found));
        out.set(access.len());
        access.iter().for_each(|flag| out.simple(flag));
    }
    Ok(())
}
