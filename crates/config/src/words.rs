//! Words of a line: the quoting that `redis.conf` shares with `redis-cli`.

/// A line, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The words, without their quotes.
    pub words: Vec<Vec<u8>>,
    /// The places of words that begin with an unquoted `#`.
    pub hashes: Vec<usize>,
    /// Whether every quote was closed and followed by a space or the end. When not, `words` holds
    /// those before the one at fault.
    pub balanced: bool,
}

/// Splits a line. Double quotes know `\n \r \t \b \a \xHH`, single quotes only `\'`; a closing
/// quote must end its word.
#[must_use]
pub fn split(line: &[u8]) -> Words {
    let mut out = Words { words: Vec::new(), hashes: Vec::new(), balanced: true };
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len());
        rest = &rest[start..];
        if rest.is_empty() {
            return out;
        }
        if rest[0] == b'#' {
            out.hashes.push(out.words.len());
        }
        let Some((word, used)) = next_word(rest) else {
            out.balanced = false;
            return out;
        };
        out.words.push(word);
        rest = &rest[used..];
    }
}

/// One word, quoted so that [`split`] gives it back.
#[must_use]
pub fn quote(word: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in word {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// The word at the start of `text` and how many bytes it takes.
fn next_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = quoted(text, at, &mut word)?;
                let ended = text.get(at).is_none_or(|&byte| is_space(byte));
                return ended.then_some((word, at));
            }
            b' ' | b'\n' | b'\r' | b'\t' => break,
            _ => word.push(byte),
        }
        at += 1;
    }
    Some((word, at))
}

/// Reads from the opening quote at `open`; the place after the closing one.
fn quoted(text: &[u8], open: usize, word: &mut Vec<u8>) -> Option<usize> {
    let mark = text[open];
    let mut at = open + 1;
    loop {
        let byte = *text.get(at)?;
        if byte == mark {
            return Some(at + 1);
        }
        if byte != b'\\' {
            word.push(byte);
            at += 1;
            continue;
        }
        let escaped = text.get(at + 1).copied();
        if mark == b'\'' {
            let (plain, used) = if escaped == Some(b'\'') { (b'\'', 2) } else { (b'\\', 1) };
            word.push(plain);
            at += used;
            continue;
        }
        if let Some(value) = hex_escape(&text[at..]) {
            word.push(value);
            at += 4;
            continue;
        }
        word.push(match escaped? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            plain => plain,
        });
        at += 2;
    }
}

/// The value of a `\xHH` at the start of `text`.
fn hex_escape(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
