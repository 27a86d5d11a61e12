//! A configuration file as lines, and the files that it includes.
//!
//! Reading files is the caller's: while [`Document::next_include`] asks for one, the caller reads
//! what the pattern names and hands the texts to [`Document::splice`].

use std::{collections::VecDeque, sync::Arc};

use crate::{
    directive::{Flags, find, nearest},
    error::{Place, Problem, StartError},
    table,
    words::{self, Words},
};

/// Largest file, in bytes.
pub const FILE_MAX_BYTES: usize = 16 << 20;
/// Most files included by one configuration, directly or not.
pub const INCLUDES_MAX: usize = 1000;
/// How deep files may include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// A line that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its words; the first is the directive.
    pub words: Words,
    origin: Origin,
    /// How many files include each other down to this line.
    depth: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    File { name: Arc<str>, line: usize, raw: Vec<u8> },
    Flag { raw: Vec<u8> },
}

/// The lines of a file, with those of included files in their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    lines: VecDeque<Line>,
    /// Lines before this one include nothing.
    searched: usize,
    /// Files spliced in so far.
    included: usize,
}

impl Line {
    /// A flag of the command line; `raw` is what errors show of it.
    #[must_use]
    pub fn of_flag(raw: Vec<u8>, words: Words) -> Self {
        Self { words, origin: Origin::Flag { raw }, depth: 0 }
    }

    /// Where it stands, with the line itself unless it holds a secret.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.origin {
            Origin::File { name, line, raw } => {
                Place::File { name: name.clone(), line: *line, text: shown(raw, &self.words) }
            }
            Origin::Flag { raw } => Place::Flag { text: shown(raw, &self.words) },
        }
    }
}

impl Document {
    /// Reads the text of a file; `name` is shown in errors.
    ///
    /// # Errors
    /// When the file is too large.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, StartError> {
        let lines = parse_lines(name, text, 0)?;
        Ok(Self { lines: lines.into(), searched: 0, included: 0 })
    }

    /// The next `include`: the name or pattern of files to read, as it stands in the file.
    pub fn next_include(&mut self) -> Option<&[u8]> {
        let rest = self.lines.iter().skip(self.searched);
        let found = rest.take_while(|line| include_of(line).is_none()).count();
        self.searched += found;
        self.lines.get(self.searched).and_then(include_of)
    }

    /// Puts files, each with its name and text, in place of the `include` that
    /// [`Document::next_include`] gave. No file is fine: a pattern may match none.
    ///
    /// # Errors
    /// When a file is too large, or too many files are included, or too deep.
    pub fn splice(&mut self, files: &[(&str, &[u8])]) -> Result<(), StartError> {
        let Some(line) = self.lines.get(self.searched).filter(|line| include_of(line).is_some()) else {
            return Ok(());
        };
        let depth = line.depth + 1;
        let refuse = |problem| StartError { place: line.place(), problem };
        if depth > INCLUDE_DEPTH_MAX {
            return Err(refuse(Problem::IncludeTooDeep { max: INCLUDE_DEPTH_MAX }));
        }
        self.included += files.len();
        if self.included > INCLUDES_MAX {
            return Err(refuse(Problem::TooManyIncludes { max: INCLUDES_MAX }));
        }
        let mut inner = Vec::new();
        for (name, text) in files {
            inner.extend(parse_lines(name, text, depth)?);
        }
        let after = self.lines.split_off(self.searched + 1);
        self.lines.pop_back();
        self.lines.extend(inner);
        self.lines.extend(after);
        Ok(())
    }

    /// The lines in the order in which they count.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

/// Splits a text into lines and those into words; comments and empty lines are left out.
fn parse_lines(name: &str, text: &[u8], depth: usize) -> Result<Vec<Line>, StartError> {
    let name: Arc<str> = name.into();
    if text.len() > FILE_MAX_BYTES {
        let place = Place::File { name, line: 1, text: String::new() };
        return Err(StartError { place, problem: Problem::FileTooLarge { max: FILE_MAX_BYTES } });
    }
    let mut lines = Vec::new();
    for (index, raw) in text.split(|&byte| byte == b'\n').enumerate() {
        let raw = raw.trim_ascii();
        if raw.is_empty() || raw.starts_with(b"#") {
            continue;
        }
        let words = words::split(raw);
        let origin = Origin::File { name: name.clone(), line: index + 1, raw: raw.to_vec() };
        lines.push(Line { words, origin, depth });
    }
    Ok(lines)
}

/// The line as errors show it: a secret stays out.
fn shown(raw: &[u8], words: &Words) -> String {
    let first = words.words.first().map_or(&[][..], Vec::as_slice);
    // A misspelt `requirepass` is followed by a password too.
    let meant = find(first).or_else(|| nearest(first).and_then(|name| find(name.as_bytes())));
    let secret = meant.is_some_and(|id| id.directive().flags.has(Flags::SENSITIVE));
    if secret {
        return format!("{} …", String::from_utf8_lossy(first));
    }
    String::from_utf8_lossy(raw).into_owned()
}

/// The pattern of an `include` line.
fn include_of(line: &Line) -> Option<&[u8]> {
    match line.words.words.as_slice() {
        [name, pattern, ..] if find(name) == Some(table::INCLUDE) => Some(pattern),
        _ => None,
    }
}
