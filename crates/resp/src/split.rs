//! Splits a line into arguments by Redis' quoting rules: inline commands, `redis.conf`, the prompt.

use memchr::memchr3;

use crate::args::Span;

/// What cannot be split: a quote that is not closed, or is closed in the middle of a word.
#[derive(Debug)]
pub(crate) struct Unbalanced;

/// Splits `line` into arguments.
///
/// Words are separated by blanks. Between double quotes `\n`, `\r`, `\t`, `\b`, `\a` and `\xHH` are one byte
/// each, and a backslash takes any other byte as it is; between single quotes only `\'` is special. A
/// closing quote must end its word. A zero byte ends the line. `None`: the quotes do not match.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut cursor = Cursor { rest: line };
    while cursor.skip_blanks() {
        let mut arg = Vec::new();
        cursor.word(&mut arg).ok()?;
        args.push(arg);
    }
    Some(args)
}

/// Splits `line`, which starts at `start` of the caller's buffer. Arguments are spans of that buffer where
/// the line quotes nothing; otherwise they are unquoted into `unquoted`, the spans count from there, and the
/// answer is true.
pub(crate) fn split_spans(
    line: &[u8],
    start: usize,
    unquoted: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<bool, Unbalanced> {
    let quotes = memchr3(b'"', b'\'', 0, line).is_some();
    let mut cursor = Cursor { rest: line };
    while cursor.skip_blanks() {
        if quotes {
            let from = unquoted.len();
            cursor.word(unquoted)?;
            spans.push(Span::new(from, unquoted.len() - from));
        } else {
            let from = line.len() - cursor.rest.len();
            let len = cursor.rest.iter().position(|&byte| ends_word(byte)).unwrap_or(cursor.rest.len());
            cursor.rest = &cursor.rest[len..];
            spans.push(Span::new(start + from, len));
        }
    }
    Ok(quotes)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    /// Whether another word follows.
    fn skip_blanks(&mut self) -> bool {
        let blanks = self.rest.iter().take_while(|&&byte| is_space(byte)).count();
        self.rest = &self.rest[blanks..];
        self.peek() != 0
    }

    /// The next byte; zero at the end, because a zero byte ends the line as well.
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn take(&mut self) -> u8 {
        let byte = self.peek();
        self.rest = self.rest.get(1..).unwrap_or_default();
        byte
    }

    fn word(&mut self, out: &mut Vec<u8>) -> Result<(), Unbalanced> {
        while !ends_word(self.peek()) {
            match self.take() {
                quote @ (b'"' | b'\'') => {
                    self.quoted(quote, out)?;
                    return if self.peek() == 0 || is_space(self.peek()) { Ok(()) } else { Err(Unbalanced) };
                }
                byte => out.push(byte),
            }
        }
        Ok(())
    }

    fn quoted(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), Unbalanced> {
        loop {
            match self.take() {
                0 => return Err(Unbalanced),
                byte if byte == quote => return Ok(()),
                b'\\' if quote == b'"' && self.peek() != 0 => {
                    let byte = self.escape();
                    out.push(byte);
                }
                b'\\' if quote == b'\'' && self.peek() == b'\'' => out.push(self.take()),
                byte => out.push(byte),
            }
        }
    }

    /// The byte that an escape sequence between double quotes stands for; the backslash is taken.
    fn escape(&mut self) -> u8 {
        if let [b'x', high, low, ..] = *self.rest
            && let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low))
        {
            self.rest = &self.rest[3..];
            return high << 4 | low;
        }
        match self.take() {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            byte => byte,
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Vertical tabs and form feeds separate words but do not end one: Redis does it like this.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&str]>) {
        let split = split_args(line.as_bytes());
        let expected =
            expected.map(|args| args.iter().map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(split, expected, "{line:?}");
        let (mut unquoted, mut spans) = (Vec::new(), Vec::new());
        let buf = format!("..{line}");
        let spanned = split_spans(line.as_bytes(), 2, &mut unquoted, &mut spans).ok().map(|quotes| {
            let buf = if quotes { &unquoted[..] } else { buf.as_bytes() };
            crate::Args::new(buf, &spans).iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        assert_eq!(spanned, expected, "{line:?}");
    }

    #[test]
    fn words_and_quotes() {
        check("", Some(&[]));
        check(" \t ", Some(&[]));
        check("set  key\tvalue ", Some(&["set", "key", "value"]));
        check(r#""" ''"#, Some(&["", ""]));
        check(r#""a\"b\x41\n\q" 'it\'s\n'"#, Some(&["a\"bA\nq", "it's\\n"]));
        check(r#"a"b c" d"#, Some(&["ab c", "d"]));
        check(r#""\x4" "\xzz""#, Some(&["x4", "xzz"]));
        check("a\u{b}b \u{b}c", Some(&["a\u{b}b", "c"]));
        check("a b\0 c", Some(&["a", "b"]));
        check(r"a\ b", Some(&["a\\", "b"]));
        check("\"a", None);
        check("'a", None);
        check("\"a\"b", None);
        check("'a'b", None);
        check("\"a\\", None);
        check("\"a\0\"", None);
    }
}
