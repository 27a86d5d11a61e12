//! The command line of `redis-server`.

use crate::{
    error::{Place, Problem, StartError},
    file::Line,
    words::{self, Words},
};

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the server.
    Run(Run),
    /// Show the version.
    Version,
    /// Show the help.
    Help,
    /// Test memory.
    TestMemory {
        /// How much, in megabytes.
        megabytes: u64,
    },
    /// Look for settings of the system that hurt.
    CheckSystem,
}

/// How to start the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The configuration file.
    pub file: Option<Vec<u8>>,
    /// Whether standard input is read as a second configuration file.
    pub stdin: bool,
    /// The flags, as lines that follow the files.
    pub flags: Vec<Line>,
}

/// Reads the arguments that follow the program's name: a file or `-` first, then flags with their
/// values, then perhaps `-`.
///
/// # Errors
/// When `--test-memory` has no number.
pub fn parse(args: &[Vec<u8>]) -> Result<Action, StartError> {
    match args.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => return Ok(Action::Version),
        Some(b"-h" | b"--help") => return Ok(Action::Help),
        Some(b"--check-system") => return Ok(Action::CheckSystem),
        Some(b"--test-memory") => return test_memory(args),
        _ => {}
    }
    let mut run = Run::default();
    let mut at = 0;
    if let Some(first) = args.first().filter(|first| !first.starts_with(b"-")) {
        run.file = Some(first.clone());
        at = 1;
    }
    let mut flags: Vec<Words> = Vec::new();
    // Right after a flag's name even a word with dashes is its value: a password may have them.
    let mut value_next = false;
    while at < args.len() {
        let (arg, next) = (&args[at], args.get(at + 1));
        at += 1;
        if arg == b"-" && (at == 1 || next.is_none()) {
            run.stdin = true;
        } else if let Some(name) = arg.strip_prefix(b"--").filter(|_| !value_next) {
            let mut words = words::split(name);
            value_next = words.balanced && words.words.len() == 1;
            let bare = next.is_none_or(|next| next.starts_with(b"--"));
            if value_next && bare && takes_nothing(name) {
                if name.eq_ignore_ascii_case(b"save") {
                    words.words.push(Vec::new());
                }
                value_next = false;
            }
            flags.push(words);
        } else {
            value_next = false;
            match flags.last_mut() {
                Some(flag) => flag.words.push(arg.clone()),
                None => flags.push(Words { words: vec![arg.clone()], hashes: Vec::new(), balanced: true }),
            }
        }
    }
    run.flags = flags.into_iter().filter(|words| !words.words.is_empty()).map(line).collect();
    Ok(Action::Run(run))
}

/// Flags that may stand without a value: `--save` then means no save points.
fn takes_nothing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"save") || name.eq_ignore_ascii_case(b"sentinel")
}

fn line(mut words: Words) -> Line {
    // The shell has taken quotes and comments already, so a `#` is part of a value here.
    words.hashes.clear();
    let text: Vec<String> =
        words.words.iter().enumerate().map(|(place, word)| shown_word(place, word)).collect();
    Line::of_flag(text.join(" ").into_bytes(), words)
}

/// A word as errors show it: quoted where it has to be.
fn shown_word(place: usize, word: &[u8]) -> String {
    let plain =
        !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
    if place == 0 || plain { String::from_utf8_lossy(word).into_owned() } else { words::quote(word) }
}

fn test_memory(args: &[Vec<u8>]) -> Result<Action, StartError> {
    let number = match args {
        [_, number] => std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()),
        _ => None,
    };
    match number {
        Some(megabytes) => Ok(Action::TestMemory { megabytes }),
        None => Err(StartError {
            place: Place::Flag { text: String::from("test-memory") },
            problem: Problem::TestMemory,
        }),
    }
}
