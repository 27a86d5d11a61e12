//! Random steps: which command, on which connection, with which arguments.
//!
//! A key's first letter names the type that its commands give it (`h2` is a hash), so most calls
//! meet a key of the right type although nothing is known about the state of the servers.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::arguments::{LEX_CLASS, class_of};
use crate::docs::CommandDoc;
use crate::kinds::Kind;
use crate::rng::Rng;
use crate::rules::{self, Rule};
use crate::scripts;
use crate::step::{Cmd, Step, Words, words};
use crate::values::{Values, value};

/// First letters of keys, by type.
pub const CLASSES: &[u8] = b"shltzxpgby";
/// Longer than any short time-out that is set before it, and than the servers' timer ticks.
const SLEEP_MS: u64 = 15;
/// Groups whose commands scripts and transactions call.
const DATA_GROUPS: &[&str] =
    &["string", "list", "set", "hash", "sorted-set", "stream", "generic", "bitmap", "geo", "hyperloglog"];
/// What the servers told about themselves before the run.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// SHA-1 digests of the scripts of [`scripts::preload`], in its order.
    pub digests: Vec<Vec<u8>>,
    /// DUMP payloads with the letter of their type.
    pub payloads: Vec<(u8, Vec<u8>)>,
    /// FUNCTION DUMP payloads.
    pub libraries: Vec<Vec<u8>>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// Non-error replies per command.
pub type Counts = BTreeMap<String, u64>;

/// The source of steps.
#[derive(Debug)]
pub struct Generator {
    pub(crate) rng: Rng,
    pub(crate) values: Values,
    pub(crate) material: Material,
    commands: Vec<Rc<CommandDoc>>,
    weights: Vec<usize>,
    data: Vec<usize>,
    behind: Vec<usize>,
    conns: usize,
    in_multi: Vec<bool>,
    blocked: Vec<Option<usize>>,
    /// The command with which it waits for the first of several keys, and that command's group.
    awaits_several: Vec<Option<(String, Words)>>,
    /// Keys per type.
    pub keys: usize,
    /// Clients may be left blocked: `CLIENT UNBLOCK` works on both servers.
    pub can_unblock: bool,
}

impl Generator {
    /// A generator for these commands (see [`selectable`]) over `conns` connections.
    #[must_use]
    pub fn new(seed: u64, commands: Vec<CommandDoc>, conns: usize, material: Material) -> Self {
        let commands: Vec<Rc<CommandDoc>> = commands.into_iter().map(Rc::new).collect();
        let weights = commands.iter().map(|c| weight(c)).collect();
        let data =
            (0..commands.len()).filter(|&i| DATA_GROUPS.contains(&commands[i].group.as_str())).collect();
        Self {
            rng: Rng::new(seed),
            values: Values::new(material.now_ms),
            material,
            commands,
            weights,
            data,
            behind: Vec::new(),
            conns,
            in_multi: vec![false; conns],
            blocked: vec![None; conns],
            awaits_several: vec![None; conns],
            keys: 4,
            can_unblock: true,
        }
    }

    /// Forgets the connections' states: the next step starts on empty servers.
    pub fn begin(&mut self) {
        self.in_multi = vec![false; self.conns];
        self.blocked = vec![None; self.conns];
    }

    /// Prefers the commands with fewer than `required` successes from now on; how many those are.
    pub fn prefer_behind(&mut self, counts: &Counts, required: u64) -> usize {
        let reached = |c: &CommandDoc| counts.get(&c.name).copied().unwrap_or(0) >= required;
        let excused = |c: &CommandDoc| rules::CANNOT_SUCCEED.iter().any(|e| e.0 == c.name);
        self.behind = (0..self.commands.len())
            .filter(|&i| !reached(&self.commands[i]) && !excused(&self.commands[i]))
            .collect();
        self.behind.len()
    }

    /// The names that [`Self::prefer_behind`] found.
    #[must_use]
    pub fn behind_names(&self) -> Vec<&str> {
        self.behind.iter().map(|&i| self.commands[i].name.as_str()).collect()
    }

    /// Leaves a command out from now on.
    pub fn quarantine(&mut self, name: &str) {
        if let Some(at) = self.commands.iter().position(|c| c.name == name) {
            self.weights[at] = 0;
            self.data.retain(|&i| i != at);
            self.behind.retain(|&i| i != at);
        }
    }

    /// Appends the next step (and what must follow it at once).
    pub fn next(&mut self, out: &mut Vec<Step>) {
        for conn in 0..self.conns {
            match self.blocked[conn] {
                Some(0) => {
                    self.blocked[conn] = None;
                    out.push(Step::Unblock { conn, with_error: self.rng.chance(30) });
                }
                Some(left) => self.blocked[conn] = Some(left - 1),
                None => {}
            }
        }
        let free: Vec<usize> = (0..self.conns).filter(|&c| self.blocked[c].is_none()).collect();
        let conn = *self.rng.pick(&free);
        match self.rng.below(1000) {
            0..=29 if !self.in_multi[conn] => self.transaction(conn, out),
            30..=44 if !self.in_multi[conn] => {
                self.in_multi[conn] = true;
                out.push(run(conn, vec![Cmd::plain(words(&["MULTI"]))]));
            }
            45..=48 if !self.in_multi[conn] => self.short_timeout(conn, out),
            49 if self.rng.chance(40) => self.long_stream(conn, out),
            50..=60 if self.can_unblock && !self.in_multi[conn] && free.len() > 1 => self.block(conn, out),
            100..=219 if self.in_multi[conn] => {
                self.in_multi[conn] = false;
                let end = self.end_of_transaction(85);
                out.push(run(conn, vec![end]));
            }
            _ => self.single(conn, out),
        }
    }

    /// A valid call of a data-changing command, for loading.
    pub fn write_command(&mut self) -> Cmd {
        loop {
            let at = *self.rng.pick(&self.data);
            let doc = Rc::clone(&self.commands[at]);
            if doc.write
                && !doc.blocking
                && !matches!(doc.name.as_str(), "del" | "unlink" | "move" | "getdel")
            {
                return self.call(&doc, true, false);
            }
        }
    }

    /// A valid call that writes a key of a class, to make material from.
    pub fn seed_key(&mut self, class: u8) -> Words {
        let name = match class {
            b'h' => "hset",
            b'l' => "rpush",
            b't' => "sadd",
            b'z' | LEX_CLASS => "zadd",
            b'x' => "xadd",
            _ => "set",
        };
        match self.commands.iter().find(|c| c.name == name).map(Rc::clone) {
            // A call for another class may come out, with scores that this one must not have.
            Some(doc) => loop {
                let words = self.call(&doc, true, false).words;
                if words.get(1).and_then(|k| k.first()) == Some(&class) || b"pgb".contains(&class) {
                    return words;
                }
            },
            None => Words::new(),
        }
    }

    fn single(&mut self, conn: usize, out: &mut Vec<Step>) {
        let (at, valid) = self.choose();
        let doc = Rc::clone(&self.commands[at]);
        if matches!(doc.name.as_str(), "scan" | "sscan" | "hscan" | "zscan") && self.rng.chance(70) {
            out.push(self.scan(conn, &doc));
            return;
        }
        if doc.name.starts_with("eval") && self.waits_for_several() {
            return;
        }
        let cmd = self.call(&doc, valid, false);
        if self.retypes_awaited(&cmd.words) {
            return;
        }
        let repair = rules::repair(&cmd.words);
        // A client that waits for the key would see the random result before it is repaired.
        if repair.is_some() && self.blocked.iter().any(Option::is_some) {
            return;
        }
        let mut cmds = Vec::new();
        if doc.name == "dbsize" {
            if self.in_multi[conn] {
                // What is due leaves after the whole transaction.
                return;
            }
            // Keys that are due may or may not have been removed: looking them up removes them.
            cmds.push(Cmd::plain([words(&["EXISTS", ""]), self.all_keys()].concat()));
        }
        if rules::stores_by_errno(&cmd.words) {
            cmds.push(Cmd::plain(words(&["ZSCAN", "", "0"])));
        }
        let long_key = cmd.words.get(1).filter(|_| cmd.words.len() > 100).cloned();
        cmds.push(cmd);
        // Right after growing past (or just not past) a limit, before something deletes the key.
        cmds.extend(long_key.map(|k| Cmd::plain(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), k])));
        cmds.extend(repair.map(Cmd::plain));
        if matches!(
            doc.name.as_str(),
            "script|flush" | "function|flush" | "function|delete" | "function|restore"
        ) {
            let has_functions = self.commands.iter().any(|c| c.name == "function|load");
            let wanted = scripts::preload().into_iter().filter(|w| has_functions || w[0] != b"FUNCTION");
            cmds.extend(wanted.map(Cmd::plain));
        }
        out.push(run(conn, cmds));
    }

    fn choose(&mut self) -> (usize, bool) {
        if !self.behind.is_empty() && self.rng.chance(50) {
            return (*self.rng.pick(&self.behind), true);
        }
        let total: usize = self.weights.iter().sum();
        let mut left = self.rng.below(total.max(1));
        for (at, weight) in self.weights.iter().enumerate() {
            if left < *weight {
                return (at, self.rng.chance(70));
            }
            left -= weight;
        }
        (0, true)
    }

    fn transaction(&mut self, conn: usize, out: &mut Vec<Step>) {
        let mut cmds = Vec::new();
        if self.rng.chance(40) {
            // In Redis PFCOUNT is a change of what it reads, and XGROUP and XSETID are none.
            let class = *self.rng.pick(b"shltzgby");
            let key = Some(self.key(class, true)).filter(|key| !matches!(key[0], b'p' | b'x'));
            cmds.push(Cmd::plain(vec![b"WATCH".to_vec(), key.unwrap_or_else(|| b"s0".to_vec())]));
            if self.rng.chance(30) {
                // Another connection may change the watched key before EXEC.
                out.push(run(conn, cmds));
                cmds = Vec::new();
                let mut other = Vec::new();
                self.single((conn + 1) % self.conns, &mut other);
                out.extend(other.into_iter().filter(|s| s.conn().is_some_and(|c| self.blocked[c].is_none())));
            }
        }
        cmds.push(Cmd::plain(words(&["MULTI"])));
        for _ in 0..self.rng.below(6) {
            cmds.push(self.inner());
        }
        cmds.push(self.end_of_transaction(93));
        out.push(run(conn, cmds));
    }

    fn end_of_transaction(&mut self, exec_percent: usize) -> Cmd {
        let exec = self.rng.chance(exec_percent) && !self.waits_for_several();
        Cmd::plain(words(&[if exec { "EXEC" } else { "DISCARD" }]))
    }

    /// Whether a client waits for the first of several keys. What fills more than one of them at once would show that 7.0
    /// serves the key that was filled first, and newer versions run the command again.
    fn waits_for_several(&self) -> bool {
        self.awaited().next().is_some()
    }

    fn awaited(&self) -> impl Iterator<Item = &(String, Words)> {
        self.blocked
            .iter()
            .zip(&self.awaits_several)
            .filter(|(left, _)| left.is_some())
            .filter_map(|(_, by)| by.as_ref())
    }

    /// Whether a command may give another type to one of several keys that a client waits for: newer versions run the
    /// client's command again and find that key, 7.0 looks at no key but the one that woke it.
    fn retypes_awaited(&self, words: &Words) -> bool {
        let name = String::from_utf8_lossy(&words[0]).to_lowercase();
        let doc = self.commands.iter().find(|doc| doc.name.split('|').next() == Some(&name));
        let Some(doc) = doc.filter(|doc| doc.write && doc.name != "del") else { return false };
        self.awaited().any(|(group, keys)| {
            doc.name == "swapdb" || doc.group != *group && words[1..].iter().any(|word| keys.contains(word))
        })
    }

    /// [`Self::inner`] for a script. Redis 7.0 refuses there what may block.
    pub(crate) fn scripted(&mut self) -> Words {
        loop {
            let cmd = self.inner();
            let name = String::from_utf8_lossy(&cmd.words[0]).to_lowercase();
            let waits = cmd.words.iter().any(|w| w.eq_ignore_ascii_case(b"BLOCK"));
            let blocks = |c: &Rc<CommandDoc>| c.name == name && c.blocking && (c.group != "stream" || waits);
            if !self.commands.iter().any(blocks) {
                return cmd.words;
            }
        }
    }

    /// A data command whose result needs no repair.
    pub(crate) fn inner(&mut self) -> Cmd {
        loop {
            let at = *self.rng.pick(&self.data);
            let doc = Rc::clone(&self.commands[at]);
            let valid = self.rng.chance(75);
            let cmd = self.call(&doc, valid, false);
            if rules::repair(&cmd.words).is_none() && !rules::stores_by_errno(&cmd.words) {
                return cmd;
            }
        }
    }

    fn short_timeout(&mut self, conn: usize, out: &mut Vec<Step>) {
        let class = *self.rng.pick(CLASSES);
        let key = self.key(class, true);
        let ms = self.rng.between(1, 3).to_string().into_bytes();
        let v = value(&mut self.rng, false);
        let w = |s: &str| s.as_bytes().to_vec();
        let command = match self.rng.below(4) {
            0 => vec![w("SET"), key, v, w("PX"), ms],
            1 => vec![w("PSETEX"), key, ms, v],
            2 => vec![w("GETEX"), key, w("PX"), ms],
            _ => vec![w("PEXPIRE"), key, ms],
        };
        if self.retypes_awaited(&command) {
            return;
        }
        out.push(run(conn, vec![Cmd::plain(command)]));
        out.push(Step::Sleep { ms: SLEEP_MS });
    }

    /// More entries than one node of a stream holds.
    fn long_stream(&mut self, conn: usize, out: &mut Vec<Step>) {
        let key = self.key(b'x', true);
        if self.retypes_awaited(&vec![b"XADD".to_vec(), key.clone()]) {
            return;
        }
        let count = 95 + self.rng.below(120);
        let entry = |id: Vec<u8>| vec![b"XADD".to_vec(), key.clone(), id, b"f1".to_vec(), b"v".to_vec()];
        let cmds = (0..count).map(|_| Cmd::plain(entry(self.values.fresh_id(&mut self.rng)))).collect();
        out.push(run(conn, cmds));
    }

    fn block(&mut self, conn: usize, out: &mut Vec<Step>) {
        let blocking: Vec<usize> = (0..self.commands.len())
            .filter(|&i| self.commands[i].blocking && self.commands[i].name != "wait" && self.weights[i] > 0)
            .collect();
        if blocking.is_empty() {
            return;
        }
        let doc = Rc::clone(&self.commands[*self.rng.pick(&blocking)]);
        let cmd = self.call(&doc, true, true);
        if self.retypes_awaited(&cmd.words) {
            return;
        }
        self.blocked[conn] = Some(1 + self.rng.below(12));
        let several = match doc.name.as_str() {
            "blpop" | "brpop" | "bzpopmin" | "bzpopmax" => cmd.words.len() > 3,
            "blmpop" | "bzmpop" => cmd.words.get(2).is_none_or(|numkeys| numkeys != b"1"),
            _ => false,
        };
        self.awaits_several[conn] = several.then(|| (doc.group.clone(), cmd.words.clone()));
        out.push(Step::Block { conn, cmd });
    }

    fn scan(&mut self, conn: usize, doc: &CommandDoc) -> Step {
        let mut words = vec![doc.name.to_uppercase().into_bytes()];
        if doc.name != "scan" {
            let class = class_of(doc, &mut self.rng);
            words.push(self.key(class, true));
        }
        let cursor_at = words.len();
        words.push(b"0".to_vec());
        if self.rng.chance(40) {
            words.extend([b"MATCH".to_vec(), self.values.of(Kind::Pattern, true, &mut self.rng)]);
        }
        if self.rng.chance(70) {
            words.extend([b"COUNT".to_vec(), self.rng.between(1, 30).to_string().into_bytes()]);
        }
        Step::Scan { conn, words, cursor_at }
    }
}

/// The commands that both servers have and that the rules do not leave out, with the arguments of
/// the server under test.
#[must_use]
pub fn selectable(
    oracle: &BTreeMap<String, CommandDoc>,
    tested: &BTreeMap<String, CommandDoc>,
) -> Vec<CommandDoc> {
    let both = tested.values().filter(|c| oracle.contains_key(&c.name));
    both.filter(|c| !matches!(rules::of_name(&c.name), Rule::Excluded))
        // The transaction steps send these.
        .filter(|c| !matches!(c.name.as_str(), "multi" | "exec" | "discard"))
        .cloned()
        .collect()
}

fn run(conn: usize, cmds: Vec<Cmd>) -> Step {
    Step::Run { conn, cmds }
}

fn weight(doc: &CommandDoc) -> usize {
    match (doc.name.as_str(), doc.group.as_str()) {
        ("flushall" | "flushdb", _) => 2,
        ("swapdb", _) => 3,
        ("wait", _) => 4,
        ("select" | "reset", _) => 8,
        ("script|flush" | "function|flush" | "function|delete" | "function|restore", _) => 4,
        ("set" | "del" | "unlink", _) => 150,
        ("hset" | "sadd" | "zadd" | "rpush" | "lpush" | "xadd" | "geoadd", _) => 200,
        ("eval" | "evalsha" | "fcall", _) => 100,
        (_, group) if doc.blocking && group != "stream" => 20,
        (_, group) if DATA_GROUPS.contains(&group) => 100,
        _ => 12,
    }
}
