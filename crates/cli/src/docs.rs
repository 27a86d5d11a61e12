//! What is known of commands: from the server, or from the table that the program brings along.

use sessile_resp::Value;

use crate::session::Session;

/// What a command is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandDoc {
    /// Upper case; a subcommand behind its container: `CONFIG GET`.
    pub name: String,
    /// Its arguments: `key value [NX|XX]`.
    pub syntax: String,
    /// One sentence.
    pub summary: String,
    /// The Redis version that brought it.
    pub since: String,
    /// The group in the command reference.
    pub group: String,
}

/// All commands, by name.
#[derive(Default)]
pub(crate) struct Library {
    docs: Option<Vec<CommandDoc>>,
}

impl Session<'_> {
    /// All commands by name. The first time the server is asked: it knows its own best, modules included.
    pub(crate) fn docs(&mut self) -> &[CommandDoc] {
        // Within MULTI the question would only be queued.
        let may_ask = self.transaction.is_none() && self.connection.is_some();
        if self.library.docs.is_none() {
            let answer = may_ask.then(|| self.ask(&["COMMAND", "DOCS"]));
            let mut docs = match answer {
                Some(Ok(reply)) => from_reply(&reply),
                _ => Vec::new(),
            };
            if docs.is_empty() {
                docs = (self.console.commands)();
            }
            docs.sort_by(|a, b| a.name.cmp(&b.name));
            self.library.docs = Some(docs);
        }
        self.library.docs.as_deref().unwrap_or_default()
    }
}

/// The answer to `COMMAND DOCS`; empty if it is none.
fn from_reply(reply: &Value) -> Vec<CommandDoc> {
    let mut docs = Vec::new();
    add_commands(reply, &mut docs);
    docs
}

fn add_commands(commands: &Value, docs: &mut Vec<CommandDoc>) {
    for (name, fields) in pairs(commands) {
        let field = |name: &str| pairs(fields).find(|(key, _)| text(key) == name).map(|(_, value)| value);
        let line = |name: &str| field(name).map(|value| text(value).into_owned()).unwrap_or_default();
        docs.push(CommandDoc {
            name: text(name).replace('|', " ").to_uppercase(),
            syntax: field("arguments").map(|arguments| syntax(arguments, " ")).unwrap_or_default(),
            summary: line("summary"),
            since: line("since"),
            group: line("group"),
        });
        if let Some(subcommands) = field("subcommands") {
            add_commands(subcommands, docs);
        }
    }
}

/// Arguments in the usual notation, `separator` between them.
fn syntax(arguments: &Value, separator: &str) -> String {
    let parts: Vec<String> = items(arguments).iter().map(argument).collect();
    parts.join(separator)
}

fn argument(it: &Value) -> String {
    let field = |name: &str| pairs(it).find(|(key, _)| text(key) == name).map(|(_, value)| value);
    let flags = field("flags").map(items).unwrap_or_default();
    let has = |flag: &str| flags.iter().any(|value| text(value) == flag);
    let token = field("token").map(text);
    let children = |separator| field("arguments").map(|it| syntax(it, separator)).unwrap_or_default();
    let display = || field("display_text").or_else(|| field("name")).map(text).unwrap_or_default();
    let value = match field("type").map(text).as_deref() {
        Some("pure-token") => String::new(),
        Some("oneof") => children("|"),
        Some("block") => children(" "),
        _ => display().into_owned(),
    };
    // An empty token is one that is written as "".
    let token = token.map(|token| if token.is_empty() { "\"\"".to_owned() } else { token.into_owned() });
    let once: Vec<&str> =
        token.as_deref().into_iter().chain(Some(&value[..])).filter(|it| !it.is_empty()).collect();
    let once = once.join(" ");
    let shown = match (has("multiple"), has("multiple_token")) {
        (true, true) => format!("{once} [{once} ...]"),
        (true, false) => format!("{once} [{value} ...]"),
        (false, _) => once,
    };
    if has("optional") { format!("[{shown}]") } else { shown }
}

/// The pairs of a map, which RESP2 has as an array.
fn pairs(value: &Value) -> Box<dyn Iterator<Item = (&Value, &Value)> + '_> {
    match value {
        Value::Map(pairs) => Box::new(pairs.iter().map(|(key, value)| (key, value))),
        Value::Array(items) => Box::new(items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))),
        _ => Box::new(std::iter::empty()),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

fn text(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::Bulk(text) | Value::Simple(text) | Value::Verbatim(_, text) => String::from_utf8_lossy(text),
        _ => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    /// An argument whose fields are words: `name=key type=key flags=optional,multiple`.
    fn node(fields: &str, children: Vec<Value>) -> Value {
        let mut map: Vec<(Value, Value)> = fields
            .split(' ')
            .map(|field| match field.split_once('=').unwrap() {
                ("flags", flags) => (bulk("flags"), Value::Set(flags.split(',').map(bulk).collect())),
                (name, value) => (bulk(name), bulk(value)),
            })
            .collect();
        if !children.is_empty() {
            map.push((bulk("arguments"), Value::Array(children)));
        }
        Value::Map(map)
    }

    fn check(argument: Value, expected: &str) {
        assert_eq!(syntax(&Value::Array(vec![argument]), " "), expected);
    }

    #[test]
    fn arguments_are_written_in_the_usual_notation() {
        check(node("name=key type=key", vec![]), "key");
        check(node("name=key type=key flags=multiple", vec![]), "key [key ...]");
        check(node("name=n type=integer token=COUNT flags=optional", vec![]), "[COUNT n]");
        check(
            node("name=p type=string token=GET flags=optional,multiple,multiple_token", vec![]),
            "[GET p [GET p ...]]",
        );
        let choice =
            || vec![node("name=a type=pure-token token=A", vec![]), node("name=b type=string", vec![])];
        check(node("name=c type=oneof flags=optional", choice()), "[A|b]");
        check(node("name=c type=block flags=multiple", choice()), "A b [A b ...]");
    }
}
