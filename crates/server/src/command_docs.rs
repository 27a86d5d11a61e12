//! The command table as the client's prompt shows it, where the server that it talks to does not say.

use sessile_cli::CommandDoc;
use sessile_engine::{Entry, Table};

/// Every command and subcommand.
pub(crate) fn all() -> Vec<CommandDoc> {
    let table = Table::get();
    table.iter().flat_map(|entry| std::iter::once(entry).chain(entry.subs.values())).map(doc).collect()
}

fn doc(entry: &Entry) -> CommandDoc {
    let docs = &entry.command.docs;
    CommandDoc {
        name: entry.full_name.replace('|', " ").to_uppercase(),
        // The table writes `[NX | XX]`; a prompt has no room for the blanks.
        syntax: entry.syntax().replace(" | ", "|"),
        summary: docs.summary.to_owned(),
        since: docs.since.to_owned(),
        group: docs.group.to_owned(),
    }
}
