//! COMMAND DOCS: what commands are for, and their arguments as trees.

use sessile_command::syntax::{self, Argument, ArgumentKind};
use sessile_resp::Reply;

use super::Told;
use super::specs::{self, Begin, KeySpec};

/// The reply for these commands.
pub(super) fn reply(commands: &[Told], out: &mut Reply<'_>) {
    out.map(commands.len());
    for it in commands {
        out.bulk(it.full_name.as_bytes());
        one(it, out);
    }
}

fn one(it: &Told, out: &mut Reply<'_>) {
    let docs = &it.command.docs;
    let arguments = syntax::parse(docs.syntax).unwrap_or_default();
    out.map(4 + usize::from(!arguments.is_empty()) + usize::from(!it.subs.is_empty()));
    text("summary", docs.summary, out);
    text("since", docs.since, out);
    text("group", docs.group, out);
    text("complexity", docs.complexity, out);
    if !arguments.is_empty() {
        let specs = specs::of(&it.full_name, it.command);
        out.bulk(b"arguments");
        tree(&arguments, &mut KeyCount::of(&specs), out);
    }
    if !it.subs.is_empty() {
        out.bulk(b"subcommands");
        reply(&it.subs, out);
    }
}

/// Gives key arguments their key specs, in order.
struct KeyCount {
    specs: usize,
    /// The spec of keys that patterns make up from data.
    from_patterns: Option<usize>,
    seen: usize,
}

impl KeyCount {
    fn of(specs: &[KeySpec]) -> Self {
        let from_patterns = specs.iter().position(|spec| spec.begin == Begin::Unknown);
        Self { specs: specs.len(), from_patterns, seen: 0 }
    }

    fn spec(&mut self, kind: ArgumentKind) -> Option<usize> {
        match kind {
            ArgumentKind::Pattern => self.from_patterns,
            ArgumentKind::Key if self.specs > 0 => {
                self.seen += usize::from(self.from_patterns == Some(self.seen));
                self.seen += 1;
                Some(self.seen.min(self.specs) - 1)
            }
            _ => None,
        }
    }
}

fn tree(arguments: &[Argument], keys: &mut KeyCount, out: &mut Reply<'_>) {
    out.array(arguments.len());
    arguments.iter().for_each(|argument| node(argument, keys, out));
}

fn node(it: &Argument, keys: &mut KeyCount, out: &mut Reply<'_>) {
    let spec = keys.spec(it.kind);
    let flags = [("optional", it.optional), ("multiple", it.multiple), ("multiple_token", it.multiple_token)];
    let flags: Vec<&str> = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    let is_group = matches!(it.kind, ArgumentKind::OneOf | ArgumentKind::Block);
    let fields = [!is_group, spec.is_some(), it.token.is_some(), !flags.is_empty(), is_group];
    out.map(2 + fields.into_iter().filter(|&there| there).count());
    text("name", &it.name, out);
    text("type", it.kind.name(), out);
    if !is_group {
        text("display_text", &it.name, out);
    }
    if let Some(spec) = spec {
        out.bulk(b"key_spec_index");
        out.int(spec as i64);
    }
    if let Some(token) = &it.token {
        text("token", token, out);
    }
    if !flags.is_empty() {
        out.bulk(b"flags");
        out.set(flags.len());
        flags.iter().for_each(|flag| out.simple(flag));
    }
    if is_group {
        out.bulk(b"arguments");
        tree(&it.children, keys, out);
    }
}

fn text(name: &str, value: &str, out: &mut Reply<'_>) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}
