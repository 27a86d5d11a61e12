//! The engine's own commands: connections, the node, transactions, pub/sub.

mod client;
mod command;
mod config;
mod connection;
mod debug;
mod info;
mod latency;
mod memory;
mod save;
mod server;
mod slowlog;

pub use connection::REDIS_VERSION;
pub use save::{FileKind, Stage, Writing};

use sessile_command::{Acl, Arity, Command, Docs, Error, Flags, Keys, Outcome, Run};
use sessile_resp::{Args, Reply};

use crate::table::{SessionCommand, SessionRun};

/// Every session command of the engine, by family.
const FAMILIES: &[&[SessionCommand]] = &[
    client::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    save::COMMANDS,
    server::COMMANDS,
    slowlog::COMMANDS,
    crate::scripts::COMMANDS,
    crate::transaction::COMMANDS,
    crate::pubsub::COMMANDS,
];

/// A session command of an admin family; see [`crate::table::SessionCommand`].
pub(crate) const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    docs: Docs,
    run: SessionRun,
) -> SessionCommand {
    let command = Command { name, arity, keys: Keys::None, acl: Acl::NONE, flags, docs, run: Run::Session };
    SessionCommand { command, run, runs_in_multi: false, runs_subscribed: false }
}

/// Documentation of a command in the `server` group.
pub(crate) const fn docs(summary: &'static str, syntax: &'static str, since: &'static str) -> Docs {
    Docs { summary, syntax, since, group: "server", complexity: "O(1)" }
}

/// Flags of commands for operators.
pub(crate) const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT).and(Flags::LOADING).and(Flags::STALE);

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static SessionCommand> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The error for a subcommand that got more words than it takes.
pub(crate) fn bad_subcommand(args: Args<'_>, container: &str) -> Error {
    let word = String::from_utf8_lossy(&args[1]);
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
    ))
}

/// The reply to a container's HELP.
pub(crate) fn help(out: &mut Reply<'_>, container: &str, lines: &[&str]) -> Outcome {
    out.array(lines.len() + 3);
    out.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| out.simple(line));
    out.simple("HELP");
    out.simple("    Prints this help.");
    Ok(())
}
