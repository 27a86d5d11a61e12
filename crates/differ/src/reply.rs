//! A reply as it came over the wire, RESP2 or RESP3, kept exact enough to compare byte for byte.

use std::fmt;

use crate::step::quote;

/// Replies nest at most this deep; deeper ones are a protocol error.
const DEPTH_MAX: usize = 64;
/// A single bulk or aggregate of more than this is a protocol error.
const LENGTH_MAX: i64 = 1 << 30;

/// One decoded reply. The three nulls and the two kinds of text stay distinct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// `+`
    Simple(Vec<u8>),
    /// `-` and `!`
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*`
    Array(Vec<Reply>),
    /// `%`, keys and values alternating
    Map(Vec<Reply>),
    /// `~`
    Set(Vec<Reply>),
    /// `>`
    Push(Vec<Reply>),
    /// `,` as written
    Double(Vec<u8>),
    /// `#`
    Bool(bool),
    /// `(` as written
    BigNumber(Vec<u8>),
    /// `=` with its format prefix
    Verbatim(Vec<u8>),
}

/// Bytes that are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub &'static str);

impl Reply {
    /// Whether it is an error reply.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// The children of an aggregate; none for a scalar.
    #[must_use]
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Array(v) | Self::Map(v) | Self::Set(v) | Self::Push(v) => v,
            _ => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(b)
            | Self::Error(b)
            | Self::Bulk(b)
            | Self::Double(b)
            | Self::BigNumber(b)
            | Self::Verbatim(b) => Some(b),
            _ => None,
        }
    }

    /// The text of a scalar, lossily as UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        self.bytes().map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default()
    }

    /// The value under a key of a map, whether it came as a map or as a flat array.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Reply> {
        self.items().chunks_exact(2).find(|p| p[0].bytes() == Some(key.as_bytes())).map(|p| &p[1])
    }

    /// The number that stands for the type, for comparisons of shape.
    #[must_use]
    pub fn shape(&self) -> u8 {
        match self {
            Self::Simple(_) => b'+',
            Self::Error(_) => b'-',
            Self::Int(_) => b':',
            Self::Bulk(_) => b'$',
            Self::NullBulk => b'n',
            Self::NullArray => b'N',
            Self::Null => b'_',
            Self::Array(_) => b'*',
            Self::Map(_) => b'%',
            Self::Set(_) => b'~',
            Self::Push(_) => b'>',
            Self::Double(_) => b',',
            Self::Bool(_) => b'#',
            Self::BigNumber(_) => b'(',
            Self::Verbatim(_) => b'=',
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(b) => write!(f, "+{}", quote(b)),
            Self::Error(b) => write!(f, "(error) {}", String::from_utf8_lossy(b)),
            Self::Int(n) => write!(f, "(integer) {n}"),
            Self::Bulk(b) => write!(f, "{}", quote(b)),
            Self::NullBulk => f.write_str("(nil)"),
            Self::NullArray => f.write_str("(nil array)"),
            Self::Null => f.write_str("(null)"),
            Self::Double(b) => write!(f, "(double) {}", String::from_utf8_lossy(b)),
            Self::Bool(b) => write!(f, "({b})"),
            Self::BigNumber(b) => write!(f, "(big number) {}", String::from_utf8_lossy(b)),
            Self::Verbatim(b) => write!(f, "(verbatim) {}", quote(b)),
            Self::Array(v) | Self::Map(v) | Self::Set(v) | Self::Push(v) => {
                write!(f, "{}[", char::from(self.shape()))?;
                for (i, item) in v.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    if i == 200 {
                        write!(f, "… {} more", v.len() - i)?;
                        break;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Decodes one reply from the start of `buf`: the reply and its length in bytes, or `None` when
/// bytes are missing.
pub fn decode(buf: &[u8]) -> Result<Option<(Reply, usize)>, ProtocolError> {
    let mut decoder = Decoder { buf, at: 0 };
    Ok(decoder.value(0)?.map(|reply| (reply, decoder.at)))
}

struct Decoder<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Reply>, ProtocolError> {
        if depth > DEPTH_MAX {
            return Err(ProtocolError("nested too deep"));
        }
        let Some(&kind) = self.buf.get(self.at) else { return Ok(None) };
        self.at += 1;
        let Some(line) = self.line() else { return Ok(None) };
        let reply = match kind {
            b'+' => Reply::Simple(line.to_vec()),
            b'-' => Reply::Error(line.to_vec()),
            b':' => Reply::Int(number(line)?),
            b',' => Reply::Double(line.to_vec()),
            b'(' => Reply::BigNumber(line.to_vec()),
            b'_' if line.is_empty() => Reply::Null,
            b'#' if line == b"t" => Reply::Bool(true),
            b'#' if line == b"f" => Reply::Bool(false),
            b'$' if line == b"-1" => Reply::NullBulk,
            b'*' if line == b"-1" => Reply::NullArray,
            b'$' | b'=' | b'!' => {
                let Some(body) = self.bulk(length(line)?)? else { return Ok(None) };
                match kind {
                    b'$' => Reply::Bulk(body),
                    b'=' => Reply::Verbatim(body),
                    _ => Reply::Error(body),
                }
            }
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                let per = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                let Some(items) = self.many(length(line)? * per, depth)? else { return Ok(None) };
                match kind {
                    b'*' => Reply::Array(items),
                    b'%' => Reply::Map(items),
                    b'~' => Reply::Set(items),
                    b'>' => Reply::Push(items),
                    // An attribute only precedes the real reply.
                    _ => return self.value(depth + 1),
                }
            }
            _ => return Err(ProtocolError("unknown reply type")),
        };
        Ok(Some(reply))
    }

    fn many(&mut self, count: usize, depth: usize) -> Result<Option<Vec<Reply>>, ProtocolError> {
        let mut items = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let Some(item) = self.value(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(items))
    }

    fn bulk(&mut self, len: usize) -> Result<Option<Vec<u8>>, ProtocolError> {
        let Some(body) = self.buf.get(self.at..self.at + len) else { return Ok(None) };
        let Some(end) = self.buf.get(self.at + len..self.at + len + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(ProtocolError("bulk without its line end"));
        }
        self.at += len + 2;
        Ok(Some(body.to_vec()))
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.buf[self.at..];
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

fn number(line: &[u8]) -> Result<i64, ProtocolError> {
    std::str::from_utf8(line).ok().and_then(|s| s.parse().ok()).ok_or(ProtocolError("bad integer"))
}

fn length(line: &[u8]) -> Result<usize, ProtocolError> {
    match number(line)? {
        n @ 0..=LENGTH_MAX => usize::try_from(n).map_err(|_| ProtocolError("bad length")),
        _ => Err(ProtocolError("bad length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &Result<Option<(Reply, usize)>, ProtocolError>) {
        assert_eq!(&decode(input), expected, "{}", String::from_utf8_lossy(input));
    }

    #[test]
    fn decodes_each_type() {
        let nested =
            Reply::Map(vec![Reply::Bulk(b"a".to_vec()), Reply::Set(vec![Reply::Int(1), Reply::Null])]);
        let wire = b"%1\r\n$1\r\na\r\n~2\r\n:1\r\n_\r\n";
        check(wire, &Ok(Some((nested, wire.len()))));
        check(b"$-1\r\n", &Ok(Some((Reply::NullBulk, 5))));
        check(b"*-1\r\n", &Ok(Some((Reply::NullArray, 5))));
        check(b"|1\r\n+k\r\n+v\r\n:7\r\n", &Ok(Some((Reply::Int(7), 16))));
        check(b"?\r\n", &Err(ProtocolError("unknown reply type")));
        check(b"$2\r\nabc\r\n", &Err(ProtocolError("bulk without its line end")));
        for cut in 0..wire.len() {
            check(&wire[..cut], &Ok(None));
        }
    }
}
