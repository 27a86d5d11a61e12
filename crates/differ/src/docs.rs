//! The argument trees of `COMMAND DOCS` and the flags of `COMMAND INFO`, as the generator uses them.

use std::collections::BTreeMap;

use crate::reply::Reply;
use crate::server::{Conn, LinkError};
use crate::step::words;

/// The type of an argument in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// A key name.
    Key,
    /// An integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A Unix time, in seconds or milliseconds as its name says.
    UnixTime,
    /// A glob pattern.
    Pattern,
    /// Only the token itself.
    PureToken,
    /// Exactly one of the children.
    OneOf,
    /// All of the children, in order.
    Block,
    /// Anything else.
    Text,
}

/// One argument of a command.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The name in the docs.
    pub name: String,
    /// What it is.
    pub kind: ArgType,
    /// The word that precedes it.
    pub token: Option<Vec<u8>>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// The token is repeated too.
    pub multiple_token: bool,
    /// Children of a `OneOf` or `Block`.
    pub children: Vec<Arg>,
}

/// One command or subcommand.
#[derive(Clone, Debug)]
pub struct CommandDoc {
    /// Lower case; a subcommand is `container|sub`.
    pub name: String,
    /// The docs' group (`string`, `sorted-set`, …).
    pub group: String,
    /// The arguments after the name.
    pub args: Vec<Arg>,
    /// It may change data.
    pub write: bool,
    /// It may block its client.
    pub blocking: bool,
    /// The hints about its replies (`nondeterministic_output`, …).
    pub tips: Vec<String>,
}

/// Reads every command that a server has, with arguments no newer than `version`: an option that
/// the oracle does not know can only give its syntax error.
pub fn read(conn: &mut Conn, version: Version) -> Result<BTreeMap<String, CommandDoc>, LinkError> {
    let docs = conn.call(&words(&["COMMAND", "DOCS"]))?;
    let info = conn.call(&words(&["COMMAND"]))?;
    let mut commands = BTreeMap::new();
    for pair in docs.items().chunks_exact(2) {
        add_docs(&pair[0].text().to_lowercase(), &pair[1], version, &mut commands);
    }
    for entry in info.items() {
        add_info(entry, &mut commands);
    }
    Ok(commands)
}

/// A server's version, comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// From `7.0.15`; missing or odd parts count as 0.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.trim().split('.').map(|p| p.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Self(next(), next(), next())
    }

    /// The `redis_version` that a server reports.
    pub fn of(conn: &mut Conn) -> Result<Self, LinkError> {
        let info = conn.call(&words(&["INFO", "server"]))?.text();
        let version = info.lines().find_map(|l| l.split_once("redis_version:")).map_or("", |(_, v)| v);
        Ok(Self::parse(version))
    }
}

fn add_docs(name: &str, doc: &Reply, version: Version, out: &mut BTreeMap<String, CommandDoc>) {
    let subcommands = doc.field("subcommands").map(Reply::items).unwrap_or_default();
    for pair in subcommands.chunks_exact(2) {
        let sub = pair[0].text().to_lowercase();
        let full = if sub.contains('|') { sub } else { format!("{name}|{sub}") };
        add_docs(&full, &pair[1], version, out);
    }
    if !subcommands.is_empty() {
        return;
    }
    let command = CommandDoc {
        name: name.to_owned(),
        group: doc.field("group").map(Reply::text).unwrap_or_default(),
        args: args(doc, version),
        write: false,
        blocking: false,
        tips: Vec::new(),
    };
    out.insert(name.to_owned(), command);
}

fn args(doc: &Reply, version: Version) -> Vec<Arg> {
    let list = doc.field("arguments").map(Reply::items).unwrap_or_default();
    list.iter().filter(|a| known(a, version)).map(|a| arg(a, version)).collect()
}

fn known(arg: &Reply, version: Version) -> bool {
    arg.field("since").is_none_or(|since| Version::parse(&since.text()) <= version)
}

fn arg(doc: &Reply, version: Version) -> Arg {
    let kind = match doc.field("type").map(Reply::text).unwrap_or_default().as_str() {
        "key" => ArgType::Key,
        "integer" => ArgType::Integer,
        "double" => ArgType::Double,
        "unix-time" => ArgType::UnixTime,
        "pattern" => ArgType::Pattern,
        "pure-token" => ArgType::PureToken,
        "oneof" => ArgType::OneOf,
        "block" => ArgType::Block,
        _ => ArgType::Text,
    };
    let flags: Vec<String> =
        doc.field("flags").map(|f| f.items().iter().map(Reply::text).collect()).unwrap_or_default();
    let has = |flag: &str| flags.iter().any(|f| f.replace('-', "_") == flag);
    Arg {
        name: doc.field("name").map(Reply::text).unwrap_or_default(),
        kind,
        token: doc.field("token").and_then(|t| t.bytes().map(<[u8]>::to_vec)),
        optional: has("optional"),
        multiple: has("multiple"),
        multiple_token: has("multiple_token"),
        children: args(doc, version),
    }
}

fn add_info(entry: &Reply, out: &mut BTreeMap<String, CommandDoc>) {
    let items = entry.items();
    let (Some(name), Some(flags)) = (items.first(), items.get(2)) else { return };
    if let Some(command) = out.get_mut(&name.text().to_lowercase()) {
        let has = |flag: &str| flags.items().iter().any(|f| f.text() == flag);
        command.write = has("write");
        command.blocking = has("blocking");
        command.tips = items.get(7).map(|t| t.items().iter().map(Reply::text).collect()).unwrap_or_default();
    }
    for sub in items.get(9).map(Reply::items).unwrap_or_default() {
        add_info(sub, out);
    }
}
