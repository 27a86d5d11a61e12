//! Words that do not stay in the tree, each with what to write instead; tabs and trailing spaces.
//!
//! Words are kept in two parts, so that this file passes its own rule.

use crate::{Complaint, Source};

/// Where a word is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In all text files.
    Everywhere,
    /// In Rust.
    Rust,
    /// In Rust test code: folders `tests`, modules under `#[cfg(test)]`.
    RustTests,
}

/// A banned word.
pub struct Banned {
    /// Its two parts; found where the second follows the first.
    pub parts: [&'static str; 2],
    /// Where it is banned.
    pub scope: Scope,
    /// What to do instead.
    pub instead: &'static str,
}

const fn banned(first: &'static str, second: &'static str, scope: Scope, instead: &'static str) -> Banned {
    Banned { parts: [first, second], scope, instead }
}

/// The list.
pub const BANNED: &[Banned] = &[
    banned("dbg", "!(", Scope::Rust, "look with a debugger or a test, then take it out"),
    banned("todo", "!(", Scope::Rust, "build it, or return a typed error that says it is missing"),
    banned("unimplemented", "!(", Scope::Rust, "build it, or return a typed error that says it is missing"),
    banned(
        "#[",
        "allow(",
        Scope::Rust,
        "write #[expect(.., reason = \"..\")], which says when it is no longer needed",
    ),
    banned(
        "#![",
        "allow(",
        Scope::Rust,
        "write #![expect(.., reason = \"..\")], which says when it is no longer needed",
    ),
    banned("std::mem::", "transmute", Scope::Rust, "use from_le_bytes, bytes of known layout, or an enum"),
    banned("Box<dyn ", "Error", Scope::Rust, "say in an enum what can go wrong"),
    banned("FIX", "ME", Scope::Everywhere, "mend it, or open an issue"),
    banned("XX", "X:", Scope::Everywhere, "mend it, or open an issue"),
    banned("TO", "DO:", Scope::Everywhere, "do it, or open an issue"),
    banned("sle", "ep(", Scope::RustTests, "wait for the event itself, with a limit"),
    banned("/wo", "rk/", Scope::Everywhere, "use a path below the tree: no machine has all of them"),
    banned("/ro", "ot/", Scope::Everywhere, "use a path below the tree: no machine has all of them"),
    banned("/ho", "me/", Scope::Everywhere, "use a path below the tree: no machine has all of them"),
    banned("registry.npm", "js", Scope::Everywhere, "leave the choice of the registry to the machine"),
    banned("registry.yarn", "pkg", Scope::Everywhere, "leave the choice of the registry to the machine"),
    banned("pypi", ".org", Scope::Everywhere, "leave the choice of the registry to the machine"),
    banned("files.python", "hosted", Scope::Everywhere, "leave the choice of the registry to the machine"),
    banned("static.crates", ".io", Scope::Everywhere, "leave the choice of the registry to the machine"),
    banned("index.crates", ".io", Scope::Everywhere, "leave the choice of the registry to the machine"),
];

/// Complains about banned words. `exempt` are pairs of a path and the word that may stand there.
pub fn check(source: &Source, exempt: &[(&str, &str, &str)]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for rule in BANNED {
        let word = rule.parts.concat();
        let free = exempt.iter().any(|(path, allowed, _)| *path == source.path && *allowed == word);
        if free || (rule.scope != Scope::Everywhere && !source.is_rust()) {
            continue;
        }
        for (number, line) in scope_lines(source, rule.scope) {
            if contains_word(line, &word) {
                complaints.push(source.complain(number, format!("`{word}`: {}", rule.instead)));
            }
        }
    }
    complaints
}

/// Complains about tabs and trailing spaces. Go's formatter indents with tabs, and leaves no choice.
pub fn check_spaces(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let is_go = source.path.ends_with(".go") || source.path.ends_with("go.mod");
    for (number, line) in source.lines() {
        if line.ends_with([' ', '\t']) {
            complaints.push(source.complain(number, "space at the end of the line"));
        }
        let text = if is_go { line.trim_start_matches('\t') } else { line };
        if text.contains('\t') {
            complaints.push(source.complain(number, "a tab: write spaces, or \\t in a string"));
        }
    }
    if !source.text.is_empty() && (!source.text.ends_with('\n') || source.text.ends_with("\n\n")) {
        complaints.push(source.complain(0, "ends with no or with more than one line feed"));
    }
    complaints
}

/// The lines that a scope covers. Unit tests stand last in a file, so their scope is from `#[cfg(test)]` on.
fn scope_lines(source: &Source, scope: Scope) -> impl Iterator<Item = (usize, &str)> {
    let begin = match scope {
        Scope::Everywhere | Scope::Rust => 0,
        Scope::RustTests if source.is_test() => 0,
        Scope::RustTests => {
            source.lines().find(|(_, line)| line.trim() == "#[cfg(test)]").map_or(usize::MAX, |(n, _)| n)
        }
    };
    source.lines().skip_while(move |(number, _)| *number < begin)
}

/// Whether `word` stands in `line` and is not the end of a longer identifier.
fn contains_word(line: &str, word: &str) -> bool {
    let is_identifier = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !(word.starts_with(is_identifier) && before.is_some_and(is_identifier))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_words(path: &str, text: &str, expected: &[usize]) {
        let lines: Vec<usize> = check(&Source::new(path, text), &[]).iter().map(|c| c.line).collect();
        assert_eq!(lines, expected, "{path}: {text}");
    }

    #[test]
    fn every_word_is_found_where_it_is_banned_and_nowhere_else() {
        for rule in BANNED {
            let word = rule.parts.concat();
            let text = format!("a\n{word} b\n");
            check_words("crates/a/tests/b.rs", &text, &[2]);
            check_words("crates/a/src/b.rs", &text, if rule.scope == Scope::RustTests { &[] } else { &[2] });
            check_words("docs/A.md", &text, if rule.scope == Scope::Everywhere { &[2] } else { &[] });
        }
    }

    #[test]
    fn unit_tests_are_tests() {
        let nap = ["std::thread::sle", "ep(x);\n"].concat();
        check_words("crates/a/src/b.rs", &format!("{nap}#[cfg(test)]\n{nap}"), &[3]);
    }

    #[test]
    fn a_longer_name_is_another_word() {
        check_words("crates/a/src/b.rs", &["my_db", "g!(x)"].concat(), &[]);
    }

    #[test]
    fn an_exemption_holds_for_its_file_and_word() {
        let source = Source::new("a/b.rs", &["db", "g!(x)\n"].concat());
        let word = ["db", "g!("].concat();
        assert!(check(&source, &[("a/b.rs", &word, "")]).is_empty());
        assert_eq!(check(&source, &[("a/c.rs", &word, ""), ("a/b.rs", "other", "")]).len(), 1);
    }

    #[test]
    fn spaces_are_seen() {
        let lines =
            |text: &str| check_spaces(&Source::new("a", text)).iter().map(|c| c.line).collect::<Vec<_>>();
        assert_eq!(lines("a\nb\n"), Vec::<usize>::new());
        assert_eq!(lines("a \n\tb\n"), [1, 2]);
        assert_eq!(lines("a"), [0]);
        assert_eq!(lines("a\n\n"), [0]);
        assert_eq!(lines(""), Vec::<usize>::new());
    }

    #[test]
    fn only_go_is_indented_with_tabs() {
        for (path, count) in [("a/b.go", 1), ("a/go.mod", 1), ("a/b.rs", 2), ("run", 2)] {
            assert_eq!(check_spaces(&Source::new(path, "\t\tindented\nwith\ttab\n")).len(), count, "{path}");
        }
    }
}
