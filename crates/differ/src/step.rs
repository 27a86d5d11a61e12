//! What a run consists of: steps, each of which stays meaningful when others are removed.

use std::fmt::Write as _;

/// One command's words, the name included.
pub type Words = Vec<Vec<u8>>;

/// What a script or function call runs inside, so that its reply is compared by the right rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inner {
    /// The reply is the command's own.
    #[default]
    None,
    /// The reply is that of one inner command.
    Whole(Words),
    /// The reply is an array with one element per inner command.
    Each(Vec<Words>),
}

/// One command as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmd {
    /// The words on the wire.
    pub words: Words,
    /// The commands that a script runs.
    pub inner: Inner,
}

impl Cmd {
    /// A command without inner commands.
    #[must_use]
    pub fn plain(words: Words) -> Self {
        Self { words, inner: Inner::None }
    }

    /// The words as a RESP array of bulk strings, appended to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(&self.words, out);
    }
}

/// One atom of a run: the minimiser keeps or removes it as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commands that belong together on one connection (a random change and its repair, say).
    Run {
        /// Index of the connection.
        conn: usize,
        /// Sent in this order.
        cmds: Vec<Cmd>,
    },
    /// A blocking command whose reply is read only when the connection is unblocked.
    Block {
        /// Index of the connection.
        conn: usize,
        /// The blocking command.
        cmd: Cmd,
    },
    /// Ends a block with `CLIENT UNBLOCK`, where it has not ended by itself.
    Unblock {
        /// Index of the connection.
        conn: usize,
        /// `CLIENT UNBLOCK id ERROR` instead of `TIMEOUT`.
        with_error: bool,
    },
    /// A whole SCAN-like iteration, compared as a set.
    Scan {
        /// Index of the connection.
        conn: usize,
        /// The first call; its cursor is replaced in the later ones.
        words: Words,
        /// Index of the cursor among the words.
        cursor_at: usize,
    },
    /// Both servers' clocks pass the short time-outs set just before.
    Sleep {
        /// Duration.
        ms: u64,
    },
}

impl Step {
    /// The connection that this step uses.
    #[must_use]
    pub fn conn(&self) -> Option<usize> {
        match self {
            Self::Run { conn, .. }
            | Self::Block { conn, .. }
            | Self::Unblock { conn, .. }
            | Self::Scan { conn, .. } => Some(*conn),
            Self::Sleep { .. } => None,
        }
    }
}

/// Words from text, for fixed commands.
#[must_use]
pub fn words(parts: &[&str]) -> Words {
    parts.iter().map(|p| p.as_bytes().to_vec()).collect()
}

/// RESP encoding of one request, appended to `out`.
pub fn encode(words: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The steps as a script that can be typed into `redis-cli`, one prompt per connection.
#[must_use]
pub fn render(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Run { conn, cmds } => {
                for cmd in cmds {
                    let _ = writeln!(out, "{}> {}", name(*conn), render_words(&cmd.words));
                }
            }
            Step::Block { conn, cmd } => {
                let _ = writeln!(
                    out,
                    "{}> {}   # do not wait for the reply",
                    name(*conn),
                    render_words(&cmd.words)
                );
            }
            Step::Unblock { conn, with_error } => {
                let how = if *with_error { "ERROR" } else { "TIMEOUT" };
                let _ = writeln!(out, "# CLIENT UNBLOCK <id of {}> {how}; read its reply", name(*conn));
            }
            Step::Scan { conn, words, .. } => {
                let _ = writeln!(
                    out,
                    "{}> {}   # and on until the cursor is 0",
                    name(*conn),
                    render_words(words)
                );
            }
            Step::Sleep { ms } => {
                let _ = writeln!(out, "# sleep {ms} ms");
            }
        }
    }
    out
}

/// One command's words, quoted where `redis-cli` needs it.
#[must_use]
pub fn render_words(words: &[Vec<u8>]) -> String {
    let mut out = String::new();
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(&quote(word));
    }
    out
}

/// A word in `redis-cli`'s double-quote notation, bare when it needs no quotes.
#[must_use]
pub fn quote(word: &[u8]) -> String {
    let bare = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(bare) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut out = String::from("\"");
    for &b in word {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(b as char),
            _ => {
                let _ = write!(out, "\\x{b:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// Connections with an odd index speak RESP3 (see `execute`).
fn name(conn: usize) -> String {
    format!("{conn}{}", if conn % 2 == 1 { "(RESP3)" } else { "" })
}
