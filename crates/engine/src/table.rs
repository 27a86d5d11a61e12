//! The assembled command table: the data families of `sessile-commands` and the engine's own session commands.

use std::collections::HashMap;
use std::sync::OnceLock;

use sessile_command::{Acl, Arity, Command, Docs, Flags, Keys, Outcome, Run};
use sessile_resp::{Args, Reply};

use crate::engine::Engine;
use crate::session::ConnId;

/// A handler of the engine's own: it may touch connections and the node.
pub(crate) type SessionFn = fn(&mut Engine, ConnId, Args<'_>, &mut Reply<'_>) -> Outcome;

/// The engine's own table entry: what the command is, and its handler.
pub(crate) struct SessionCommand {
    /// What it is; `run` is [`Run::Session`].
    pub command: Command,
    /// Its handler.
    pub run: SessionRun,
    /// Whether it runs inside MULTI instead of being queued.
    pub runs_in_multi: bool,
    /// Whether a RESP2 connection that subscribed may send it.
    pub runs_subscribed: bool,
}

impl SessionCommand {
    /// An entry without keys and categories, as most are; the other methods say what is different.
    pub(crate) const fn new(
        name: &'static str,
        arity: Arity,
        flags: Flags,
        docs: Docs,
        run: SessionRun,
    ) -> Self {
        let command =
            Command { name, arity, keys: Keys::None, acl: Acl::NONE, flags, docs, run: Run::Session };
        Self { command, run, runs_in_multi: false, runs_subscribed: false }
    }

    /// With keys.
    pub(crate) const fn keys(mut self, keys: Keys) -> Self {
        self.command.keys = keys;
        self
    }

    /// With ACL categories.
    pub(crate) const fn acl(mut self, acl: Acl) -> Self {
        self.command.acl = acl;
        self
    }

    /// It runs inside MULTI instead of being queued.
    pub(crate) const fn in_multi(mut self) -> Self {
        self.runs_in_multi = true;
        self
    }

    /// A RESP2 connection that subscribed may send it.
    pub(crate) const fn subscribed(mut self) -> Self {
        self.runs_subscribed = true;
        self
    }
}

/// How a session command runs.
#[derive(Clone, Copy)]
pub(crate) enum SessionRun {
    /// By itself.
    Do(SessionFn),
    /// By its second word.
    Container(&'static [SessionCommand]),
    /// By its second word, or by itself where there is none.
    Both(SessionFn, &'static [SessionCommand]),
}

/// Commands that write and look up as readers do: what they miss counts, and is told of.
const READERS: &[&str] = &[
    "bitop",
    "copy",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "getdel",
    "getex",
    "getset",
    "pfcount",
    "pfmerge",
    "sdiffstore",
    "set",
    "sinterstore",
    "sort",
    "sunionstore",
    "xack",
    "xautoclaim",
    "xclaim",
    "xreadgroup",
    "zdiffstore",
    "zinterstore",
    "zrangestore",
    "zunionstore",
];

/// An entry of the assembled table.
pub struct Entry {
    /// `name`, or `container|name`.
    pub full_name: String,
    /// What it is.
    pub command: &'static Command,
    /// The handler, where it is the engine's own.
    pub session: Option<SessionFn>,
    /// Whether it runs inside MULTI instead of being queued.
    pub runs_in_multi: bool,
    /// Whether a RESP2 connection that subscribed may send it.
    pub runs_subscribed: bool,
    /// Whether its lookups are a reader's, which count as hits and misses.
    pub reads: bool,
    /// Its place among the counters of INFO commandstats.
    pub index: usize,
    /// Its subcommands.
    pub subs: HashMap<&'static str, Entry>,
}

impl Entry {
    /// Its arguments in the usual notation, for readers.
    pub fn syntax(&self) -> String {
        sessile_command::syntax::plain(self.command.docs.syntax)
    }

    /// Whether it emits effects, by itself or through what it runs.
    pub fn may_write(&self) -> bool {
        self.command.is_write() || self.command.flags.has(Flags::MAY_REPLICATE) || self.full_name == "exec"
    }

    /// Whether this is the top-level command of that name, whatever its case.
    pub fn is_named(&self, name: &[u8]) -> bool {
        // A subcommand's full name is longer: `config|get` is no command's name.
        self.full_name.len() == self.command.name.len()
            && name.eq_ignore_ascii_case(self.full_name.as_bytes())
    }

    /// Whether it does nothing without a second word.
    pub(crate) fn only_chooses(&self) -> bool {
        self.is_container() && self.session.is_none()
    }

    /// Whether a second word chooses the handler.
    pub fn is_container(&self) -> bool {
        !self.subs.is_empty()
    }
}

/// Longest command name, so that a lookup needs no allocation.
const NAME_MAX: usize = 32;

/// All commands by name.
pub struct Table {
    by_name: HashMap<&'static str, Entry, std::hash::BuildHasherDefault<NameHasher>>,
    entries: usize,
}

/// FNV-1a: names are short and ours, so nobody can choose colliding ones to insert.
#[derive(Default)]
struct NameHasher(u64);

impl std::hash::Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl Table {
    /// The table of this binary.
    pub fn get() -> &'static Table {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Table::build)
    }

    fn build() -> Self {
        let mut table = Self { by_name: HashMap::default(), entries: 0 };
        for command in sessile_commands::all() {
            let entry = table.data_entry(command.name.to_owned(), command);
            table.add(command.name, entry);
        }
        for command in crate::admin::all() {
            let entry = table.session_entry(command.command.name.to_owned(), command);
            table.add(command.command.name, entry);
        }
        table
    }

    fn add(&mut self, name: &'static str, entry: Entry) {
        let before = self.by_name.insert(name, entry);
        assert!(before.is_none(), "command `{name}` has two entries");
    }

    fn next_index(&mut self) -> usize {
        self.entries += 1;
        self.entries - 1
    }

    fn data_entry(&mut self, full_name: String, command: &'static Command) -> Entry {
        let index = self.next_index();
        let subs = match command.run {
            Run::Container(subs) => subs
                .iter()
                .map(|sub| (sub.name, self.data_entry(format!("{full_name}|{}", sub.name), sub)))
                .collect(),
            _ => HashMap::new(),
        };
        let reads = !command.is_write() || READERS.contains(&command.name);
        let (runs_in_multi, runs_subscribed) = (false, false);
        Entry { full_name, command, session: None, runs_in_multi, runs_subscribed, reads, index, subs }
    }

    fn session_entry(&mut self, full_name: String, it: &'static SessionCommand) -> Entry {
        let index = self.next_index();
        let (session, subs) = match it.run {
            SessionRun::Do(run) => (Some(run), &[][..]),
            SessionRun::Container(subs) => (None, subs),
            SessionRun::Both(run, subs) => (Some(run), subs),
        };
        let sub = |s: &'static SessionCommand| {
            (s.command.name, self.session_entry(format!("{full_name}|{}", s.command.name), s))
        };
        let subs = subs.iter().map(sub).collect();
        let (runs_in_multi, runs_subscribed) = (it.runs_in_multi, it.runs_subscribed);
        Entry {
            full_name,
            command: &it.command,
            session,
            runs_in_multi,
            runs_subscribed,
            reads: true,
            index,
            subs,
        }
    }

    /// The entry with this name, whatever its case.
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        self.by_name.get(lower(name, &mut [0; NAME_MAX])?)
    }

    /// The subcommand of a container.
    pub fn find_sub<'a>(&self, container: &'a Entry, name: &[u8]) -> Option<&'a Entry> {
        container.subs.get(lower(name, &mut [0; NAME_MAX])?)
    }

    /// Every top-level entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_name.values()
    }

    /// Number of entries, subcommands included.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

fn lower<'a>(name: &[u8], room: &'a mut [u8; NAME_MAX]) -> Option<&'a str> {
    let room = room.get_mut(..name.len())?;
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    std::str::from_utf8(room).ok()
}
