//! The lines that were typed, kept from one session to the next; what holds a password is not among them.

use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use sessile_resp::split_args;

/// How many lines are kept.
pub(super) const LINES_MAX: usize = 1000;

/// The lines, oldest first, in a file of one line each, as `redis-cli` has them.
pub(super) struct History {
    lines: VecDeque<String>,
    path: Option<PathBuf>,
}

impl History {
    /// Reads what is at `path`.
    pub(super) fn load(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let newest = lines.len().saturating_sub(LINES_MAX);
        Self { lines: lines[newest..].iter().map(|line| (*line).to_owned()).collect(), path }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Keeps a line, unless it is the same as the last one or not to be kept; says whether it did.
    pub(super) fn add(&mut self, line: &str) -> bool {
        if is_sensitive(line) || self.lines.back().is_some_and(|last| last == line) {
            return false;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
        // A home that cannot be written to is no reason to refuse commands.
        let _ = self.save();
        true
    }

    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    }
}

/// Whether a line holds a password, a key or a rule that sets one.
fn is_sensitive(line: &str) -> bool {
    let words = split_args(line.as_bytes()).unwrap_or_default();
    let mut words: Vec<String> =
        words.iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
    // It may be told to run several times.
    if words.first().is_some_and(|word| word.parse::<i64>().is_ok()) {
        words.remove(0);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["auth", ..] | ["acl", "setuser", _, _, ..] => true,
        ["hello" | "migrate", rest @ ..] => rest.iter().any(|word| matches!(*word, "auth" | "auth2")),
        ["config", "set", parameters @ ..] => parameters.iter().step_by(2).any(|name| is_secret(name)),
        ["sentinel", "set", _, options @ ..] => options.iter().step_by(2).any(|name| is_secret(name)),
        ["sentinel", "config", "set", options @ ..] => options.iter().step_by(2).any(|name| is_secret(name)),
        _ => false,
    }
}

fn is_secret(parameter: &str) -> bool {
    parameter.contains("pass") || parameter.contains("auth") || parameter.ends_with("-user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        for (line, sensitive) in [
            ("auth x", true),
            ("AUTH user x", true),
            ("3 auth x", true),
            ("hello 3", false),
            ("hello 3 AUTH default x", true),
            ("acl setuser a on >x", true),
            ("acl setuser a", false),
            ("acl list", false),
            ("config set requirepass x", true),
            ("config set maxmemory 1 MasterAuth x", true),
            ("config set maxmemory 1", false),
            ("config get requirepass", false),
            ("migrate h 1 k 0 1 auth2 u p", true),
            ("migrate h 1 k 0 1 copy", false),
            ("sentinel set m auth-pass x", true),
            ("sentinel config set sentinel-pass x", true),
            ("set auth x", false),
        ] {
            assert_eq!(is_sensitive(line), sensitive, "{line}");
        }
    }

    #[test]
    fn lines_are_kept_in_a_private_file() {
        use std::os::unix::fs::PermissionsExt;

        let path = std::env::temp_dir().join(format!("sessile-cli-history-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut history = History::load(Some(path.clone()));
        assert!(history.add("get a"));
        assert!(!history.add("get a"));
        assert!(!history.add("auth secret"));
        for n in 0..LINES_MAX {
            history.add(&format!("get {n}"));
        }
        let again: Vec<String> = History::load(Some(path.clone())).lines().map(str::to_owned).collect();
        assert_eq!((again.len(), &again[0][..]), (LINES_MAX, "get 0"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
    }
}
