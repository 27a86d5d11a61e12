//! What rules look at, and what they say.

use std::fmt;
use std::io;
use std::path::Path;

/// What is built, installed or recorded, not written; a fuzzer's corpus is any bytes. In a second work tree `.git` is a file.
const SKIPPED: &[&str] =
    &["target", ".git", "node_modules", ".venv", "__pycache__", ".pytest_cache", "sessile-data", "corpus"];

/// A text file of the tree.
pub struct Source {
    /// Path below the root of the tree, with `/` between its parts.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// A source made up by a test.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is test code: it lies in a folder `tests`.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/")
    }

    /// The lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// A complaint about one of its lines; 0 is the file as a whole.
    pub fn complain(&self, line: usize, what: impl Into<String>) -> Complaint {
        Complaint { path: self.path.clone(), line, what: what.into() }
    }
}

/// One sentence about one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// The file.
    pub path: String,
    /// The line from 1; 0 where it is about the whole file.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// All text files below `root`, by path.
pub fn read_tree(root: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder)? {
            let item = item?;
            let (path, kind) = (item.path(), item.file_type()?);
            let name = item.file_name();
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                // What is no UTF-8 is no text: golden files, archives.
                if let Ok(text) = String::from_utf8(std::fs::read(&path)?) {
                    let below = path.strip_prefix(root).unwrap_or(&path);
                    sources.push(Source { path: below.to_string_lossy().replace('\\', "/"), text });
                }
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}
