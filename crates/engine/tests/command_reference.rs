//! docs/COMMANDS.md is the command table, written out. `UPDATE=1 cargo test -p sessile-engine --test command_reference`
//! writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use sessile_engine::{Entry, Table};

const HEAD: &str = "\
# Commands

Every command that Sessile has, from its command table: what it does, its arguments, the version of Redis that brought
it, and its cost. **w** marks a command that may write: its reply leaves once the write is as durable as its class
promises, and it is refused, unexecuted, while the journal takes no writes. Differences from Redis 7.2 stand in
[COMPATIBILITY.md](COMPATIBILITY.md).

This page is generated; a test compares it with the table.
";

/// Groups in the order of the page, with their headings.
const GROUPS: &[(&str, &str)] = &[
    ("generic", "Keys"),
    ("string", "Strings"),
    ("bitmap", "Bits"),
    ("hyperloglog", "HyperLogLog"),
    ("hash", "Hashes"),
    ("list", "Lists"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("geo", "Geo indexes"),
    ("stream", "Streams"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts"),
    ("pubsub", "Pub/sub"),
    ("connection", "Connections"),
    ("server", "The node"),
];

fn reference() -> String {
    let mut groups: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in Table::get().iter().filter(|entry| !entry.is_container()) {
        groups.entry(entry.command.docs.group).or_default().push(entry);
    }
    let mut page = HEAD.to_owned();
    for (group, heading) in GROUPS {
        let mut entries = groups.remove(group).unwrap_or_default();
        entries.sort_by_key(|entry| &entry.full_name);
        write!(
            page,
            "\n## {heading}\n\n| command | | what it does | since | cost |\n| --- | --- | --- | --- | --- |\n"
        )
        .expect("a string takes everything");
        for entry in entries {
            let docs = &entry.command.docs;
            let name = entry.full_name.replace('|', " ").to_uppercase();
            let call = format!("{name} {}", docs.syntax).trim_end().replace('|', "\\|");
            let writes = if entry.may_write() { "**w**" } else { "" };
            writeln!(
                page,
                "| `{call}` | {writes} | {} | {} | {} |",
                docs.summary, docs.since, docs.complexity
            )
            .expect("a string takes everything");
        }
    }
    assert!(groups.is_empty(), "groups without a heading: {:?}", groups.keys());
    page
}

#[test]
fn the_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMMANDS.md");
    let page = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == page, "docs/COMMANDS.md is not what the table says: run this test with UPDATE=1");
}
