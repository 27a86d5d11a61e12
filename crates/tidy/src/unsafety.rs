//! Where unsafe code may stand: in the files of the inventory, and nowhere else. That each block there has its
//! `// SAFETY:` comment is for clippy to see.

use crate::{Complaint, Source};

/// Complains about unsafe code outside of the inventory.
pub fn check(source: &Source, inventory: &[(&str, &str)]) -> Vec<Complaint> {
    if inventory.iter().any(|(place, _)| is_in(&source.path, place)) {
        return Vec::new();
    }
    let found = source.lines().filter(|(_, line)| has_unsafe(line));
    found
        .map(|(number, _)| source.complain(number, "unsafe code in a file that is not in the inventory"))
        .collect()
}

/// Complains about the root of a crate that does not forbid unsafe code. With files in the inventory it cannot: then
/// the workspace's lint denies it, and each of these files says why it is needed.
pub fn check_root(source: &Source, inventory: &[(&str, &str)]) -> Vec<Complaint> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let holds_some = inventory.iter().any(|(place, _)| place.starts_with(&format!("{folder}/")));
    let forbids = source.lines().any(|(_, line)| line.trim() == "#![forbid(unsafe_code)]");
    if holds_some || forbids {
        return Vec::new();
    }
    vec![source.complain(0, "the root of a crate says `#![forbid(unsafe_code)]`")]
}

/// Places of the inventory that hold no unsafe code any more.
pub fn stale(sources: &[Source], inventory: &[(&str, &str)]) -> Vec<Complaint> {
    let holds = |path: &str| sources.iter().any(|s| is_in(&s.path, path) && s.text.lines().any(has_unsafe));
    let complaint = |(path, _): &(&str, &str)| Complaint {
        path: (*path).to_owned(),
        line: 0,
        what: "holds no unsafe code any more: take it out of the inventory".to_owned(),
    };
    inventory.iter().filter(|(path, _)| !holds(path)).map(complaint).collect()
}

/// Whether a file is a place of the inventory, or lies in one that ends with `/`.
fn is_in(path: &str, place: &str) -> bool {
    path == place || (place.ends_with('/') && path.starts_with(place))
}

/// Whether a line has the keyword in code: not in a comment, a string or the name of a lint.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let edge = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == '(' || c == '{');
        edge(before) && edge(after) && code[..at].matches('"').count().is_multiple_of(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "fn f() {\n    unsafe { g() }\n}\n";

    #[test]
    fn unsafe_code_needs_a_place() {
        let check =
            |text: &str, inventory: &[(&str, &str)]| check(&Source::new("a/b.rs", text), inventory).len();
        assert_eq!(check(BLOCK, &[]), 1);
        assert_eq!(check(BLOCK, &[("a/b.rs", "")]), 0);
        assert_eq!(check(BLOCK, &[("a/", "")]), 0);
        assert_eq!(check(BLOCK, &[("a", "")]), 1);
        assert_eq!(check("// unsafe\nlet unsafe_code = \"unsafe \";\n", &[]), 0);
    }

    #[test]
    fn roots_forbid_unless_the_inventory_knows_why_not() {
        let check = |text: &str, inventory: &[(&str, &str)]| {
            check_root(&Source::new("c/src/lib.rs", text), inventory).len()
        };
        assert_eq!(check("#![forbid(unsafe_code)]\n", &[]), 0);
        assert_eq!(check("#![deny(unsafe_code)]\n", &[]), 1);
        assert_eq!(check("", &[("c/src/a.rs", "")]), 0);
        assert_eq!(check("", &[("d/src/a.rs", "")]), 1);
    }

    #[test]
    fn the_inventory_is_true() {
        let sources = [Source::new("a.rs", BLOCK), Source::new("b.rs", "")];
        assert_eq!(stale(&sources, &[("a.rs", ""), ("b.rs", ""), ("gone.rs", "")]).len(), 2);
    }
}
