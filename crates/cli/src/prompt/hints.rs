//! Hints and completions for what is being typed.

use sessile_resp::split_args;

use crate::docs::CommandDoc;

/// What may follow `line`: the arguments that are not typed yet.
pub(super) fn hint(docs: &[CommandDoc], line: &str) -> Option<String> {
    let words = split_args(line.as_bytes())?;
    let doc = docs.iter().filter(|doc| is_command(doc, &words)).max_by_key(|doc| name_len(doc))?;
    let ends_with_blank = line.ends_with(char::is_whitespace);
    let mut rest: &str = &doc.syntax;
    for _ in name_len(doc)..words.len() {
        // What is optional may be what was typed, or may be left out: it stays, and so does all behind it.
        if rest.starts_with('[') {
            break;
        }
        rest = rest[word_len(rest)..].trim_start();
    }
    match rest {
        "" => None,
        rest if ends_with_blank => Some(rest.to_owned()),
        rest => Some(format!(" {rest}")),
    }
}

/// Lines that `line` may become.
pub(super) fn completions(docs: &[CommandDoc], line: &str) -> Vec<String> {
    let (help, typed) = match line.get(..5) {
        Some(word) if word.eq_ignore_ascii_case("help ") => (word, line[5..].trim_start()),
        _ => ("", line),
    };
    let mut groups: Vec<String> = Vec::new();
    if !help.is_empty() {
        groups = docs.iter().map(|doc| format!("@{}", doc.group)).filter(|group| group.len() > 1).collect();
        groups.sort();
        groups.dedup();
    }
    let names = docs.iter().map(|doc| &doc.name).chain(&groups);
    names.filter(|name| begins(name, typed)).map(|name| format!("{help}{name}")).collect()
}

/// The length of the first word, with blanks that are within `<…>`.
fn word_len(syntax: &str) -> usize {
    let mut depth = 0_i32;
    let end = syntax.find(|c| {
        depth += i32::from(matches!(c, '[' | '<')) - i32::from(matches!(c, ']' | '>'));
        c == ' ' && depth == 0
    });
    end.unwrap_or(syntax.len())
}

fn begins(name: &str, typed: &str) -> bool {
    name.get(..typed.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(typed))
}

fn name_len(doc: &CommandDoc) -> usize {
    doc.name.split(' ').count()
}

fn is_command(doc: &CommandDoc, words: &[Vec<u8>]) -> bool {
    let mut words = words.iter();
    doc.name
        .split(' ')
        .all(|part| words.next().is_some_and(|word| word.eq_ignore_ascii_case(part.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs() -> Vec<CommandDoc> {
        [
            ("CONFIG", "", "server"),
            ("CONFIG GET", "parameter [parameter ...]", "server"),
            ("GET", "key", "string"),
            ("SET", "key value [NX|XX] [GET]", "string"),
            ("SETNX", "key value", "string"),
            ("XTRIM", "key <MAXLEN n|MINID id> [LIMIT n]", "stream"),
        ]
        .map(|(name, syntax, group)| CommandDoc {
            name: name.to_owned(),
            syntax: syntax.to_owned(),
            summary: String::new(),
            since: String::new(),
            group: group.to_owned(),
        })
        .to_vec()
    }

    #[test]
    fn a_hint_is_what_is_not_typed_yet() {
        for (line, expected) in [
            ("se", None),
            ("set", Some(" key value [NX|XX] [GET]")),
            ("set ", Some("key value [NX|XX] [GET]")),
            ("SET k", Some(" value [NX|XX] [GET]")),
            ("set k v ", Some("[NX|XX] [GET]")),
            ("set k v nx ", Some("[NX|XX] [GET]")),
            ("get k", None),
            ("get \"k", None),
            ("xtrim k", Some(" <MAXLEN n|MINID id> [LIMIT n]")),
            ("xtrim k maxlen", Some(" [LIMIT n]")),
            ("config", None),
            ("config get", Some(" parameter [parameter ...]")),
            ("config get a", Some(" [parameter ...]")),
            ("", None),
        ] {
            assert_eq!(hint(&docs(), line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn completions_are_commands_and_topics() {
        for (line, expected) in [
            ("se", &["SET", "SETNX"][..]),
            ("config g", &["CONFIG GET"]),
            ("help g", &["help GET"]),
            ("HELP @", &["HELP @server", "HELP @stream", "HELP @string"]),
            ("nothing", &[]),
        ] {
            assert_eq!(completions(&docs(), line), expected, "{line}");
        }
    }
}
