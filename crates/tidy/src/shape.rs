//! The shape of Rust files: head comments, and ratchets on the length of files and functions.

use crate::{Complaint, Source};

/// Lines that a file may have.
pub const FILE_LINES_MAX: usize = 700;
/// Lines that a function may have. Test functions may have more: a table of cases is data.
pub const FUNCTION_LINES_MAX: usize = 60;

/// A function as its text shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`.
    pub line: usize,
    /// Lines from there to its closing brace.
    pub lines: usize,
}

/// Complains about a Rust file that does not begin with what lives there.
pub fn check_head(source: &Source) -> Vec<Complaint> {
    let has_head = source.text.lines().next().is_some_and(|line| line.starts_with("//! "));
    let missing = || source.complain(1, "begins without `//! ` and a sentence that says what lives here");
    if has_head { Vec::new() } else { vec![missing()] }
}

/// Complains about a file over the limit; `known` are the ones that may only shrink.
pub fn check_file_length(source: &Source, known: &[(&str, usize)]) -> Vec<Complaint> {
    let lines = source.text.lines().count();
    let listed = known.iter().find(|(path, _)| *path == source.path).map(|(_, lines)| *lines);
    let limit = listed.unwrap_or(FILE_LINES_MAX);
    if lines > limit {
        return vec![source.complain(0, format!("{lines} lines, {limit} are allowed: split it by subject"))];
    }
    if listed.is_some() && lines <= FILE_LINES_MAX {
        return vec![source.complain(0, "is short enough now: take it off the list of long files")];
    }
    Vec::new()
}

/// Complains about functions over the limit; `known` are `(path, name, lines)` of those that may only shrink.
pub fn check_function_lengths(source: &Source, known: &[(&str, &str, usize)]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for function in functions(source) {
        let entry = known.iter().find(|(path, name, _)| *path == source.path && *name == function.name);
        let limit = entry.map_or(FUNCTION_LINES_MAX, |(_, _, lines)| *lines);
        if function.lines > limit {
            let what =
                format!("`{}` has {} lines, {limit} are allowed: split it", function.name, function.lines);
            complaints.push(source.complain(function.line, what));
        }
    }
    complaints
}

/// Entries of the list of long functions that are long no more, or gone.
pub fn stale_functions(sources: &[Source], known: &[(&str, &str, usize)]) -> Vec<Complaint> {
    let is_long = |path: &str, name: &str| {
        let mut found = sources.iter().filter(|source| source.path == path).flat_map(functions);
        found.any(|function| function.name == name && function.lines > FUNCTION_LINES_MAX)
    };
    let stale = known.iter().filter(|(path, name, _)| !is_long(path, name));
    let complaint = |(path, name, _): &(&str, &str, usize)| Complaint {
        path: (*path).to_owned(),
        line: 0,
        what: format!("`{name}` is short enough now, or gone: take it off the list of long functions"),
    };
    stale.map(complaint).collect()
}

/// The functions of a formatted file, tests apart: each ends at the first closing brace that is indented as its `fn` is.
pub fn functions(source: &Source) -> Vec<Function> {
    let unit_tests = source.text.lines().position(|line| line.trim() == "#[cfg(test)]");
    let end = if source.is_test() { 0 } else { unit_tests.unwrap_or(usize::MAX) };
    let lines: Vec<&str> = source.text.lines().take(end).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let is_end = |line: &&str| {
            let own = line.len() - line.trim_start().len();
            own == indent && (line.trim_start().starts_with('}') || line.trim_end().ends_with(';'))
        };
        // A body on one line, or a declaration without one.
        if line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        if let Some(length) = lines[index + 1..].iter().position(is_end) {
            found.push(Function { name: name.to_owned(), line: index + 1, lines: length + 2 });
        }
    }
    found
}

/// The name in a line that begins a function.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            return Some(&after[..end]).filter(|name| !name.is_empty());
        }
        let word = rest.split_whitespace().next()?;
        let is_modifier =
            matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" | "\"C-unwind\"");
        if !is_modifier && !word.starts_with("pub(") {
            return None;
        }
        rest = rest[word.len()..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(name: &str, lines: usize) -> String {
        format!(
            "    pub(crate) const fn {name}<T>(\n        x: u8,\n    ) {{\n{}    }}\n",
            "        x;\n".repeat(lines - 4)
        )
    }

    #[test]
    fn functions_are_found_and_measured() {
        let text = format!(
            "fn short() {{}}\ntrait A {{\n    fn declared(&self);\n{}}}\nfn b() {{\n}}\n",
            long("a", 9)
        );
        let names: Vec<_> =
            functions(&Source::new("a.rs", &text)).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(names, [("a".to_owned(), 4, 9), ("b".to_owned(), 14, 2)]);
        assert!(functions(&Source::new("a.rs", &format!("#[cfg(test)]\n{}", long("a", 9)))).is_empty());
        assert!(functions(&Source::new("a/tests/a.rs", &long("a", 9))).is_empty());
    }

    #[test]
    fn long_functions_fail_unless_listed_and_then_only_shrink() {
        let check = |lines: usize, known: &[(&str, &str, usize)]| {
            let source = Source::new("a.rs", &long("f", lines));
            check_function_lengths(&source, known).len() + stale_functions(&[source], known).len()
        };
        assert_eq!(check(FUNCTION_LINES_MAX, &[]), 0);
        assert_eq!(check(FUNCTION_LINES_MAX + 1, &[]), 1);
        assert_eq!(check(80, &[("a.rs", "f", 80)]), 0);
        assert_eq!(check(81, &[("a.rs", "f", 80)]), 1);
        assert_eq!(check(FUNCTION_LINES_MAX, &[("a.rs", "f", 80)]), 1);
        assert_eq!(check(10, &[("a.rs", "gone", 80)]), 1);
    }

    #[test]
    fn long_files_fail_unless_listed_and_then_only_shrink() {
        let check = |lines: usize, known: &[(&str, usize)]| {
            check_file_length(&Source::new("a.rs", &"x\n".repeat(lines)), known).len()
        };
        assert_eq!(check(FILE_LINES_MAX, &[]), 0);
        assert_eq!(check(FILE_LINES_MAX + 1, &[]), 1);
        assert_eq!(check(900, &[("a.rs", 900)]), 0);
        assert_eq!(check(901, &[("a.rs", 900)]), 1);
        assert_eq!(check(FILE_LINES_MAX, &[("a.rs", 900)]), 1);
    }

    #[test]
    fn a_file_says_what_lives_there() {
        assert!(check_head(&Source::new("a.rs", "//! Things.\n")).is_empty());
        for text in ["", "//!\n", "use a;\n", "// Things.\n"] {
            assert_eq!(check_head(&Source::new("a.rs", text)).len(), 1, "{text:?}");
        }
    }
}
