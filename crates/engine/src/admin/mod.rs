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

use sessile_command::{Docs, Error, Flags, Outcome};
use sessile_resp::{Args, Reply};

use crate::table::SessionCommand;

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
