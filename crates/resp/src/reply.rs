//! The client's side: encodes requests, decodes replies of both protocol versions into owned values.

use memchr::memchr;

use crate::{error::ProtocolError, number::parse_i64, writer::Proto, writer::Reply};

/// One decoded reply. Texts are bytes: a server may send any.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A status such as `OK`.
    Simple(Vec<u8>),
    /// An error, code first; a bulk error as well.
    Error(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// No value; RESP2's null string as well.
    Null,
    /// RESP2's null array.
    NullArray,
    /// An array.
    Array(Vec<Value>),
    /// Pairs in the order they arrived.
    Map(Vec<(Value, Value)>),
    /// A set in the order it arrived.
    Set(Vec<Value>),
    /// A message that answers no request.
    Push(Vec<Value>),
    /// A double, and the text it arrived as.
    Double(f64, Vec<u8>),
    /// A truth value.
    Bool(bool),
    /// The digits of an integer of any size.
    BigNumber(Vec<u8>),
    /// A text to be shown as it is, after the name of its format.
    Verbatim([u8; 3], Vec<u8>),
}

/// What a reply may hold.
#[derive(Clone, Copy, Debug)]
pub struct ReplyLimits {
    /// The longest string, in bytes.
    pub max_bulk_len: usize,
    /// The most elements of one aggregate.
    pub max_elements: usize,
    /// How deep aggregates may nest.
    pub max_depth: usize,
    /// The longest line (status, error, number), in bytes.
    pub max_line: usize,
}

/// Decodes one reply after another and keeps its progress between calls.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: ReplyLimits,
    stack: Vec<Frame>,
    pos: usize,
    /// No line that starts at `pos` ends before this offset.
    scanned: usize,
}

/// An aggregate that is being filled.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    remaining: usize,
    items: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

enum Token {
    Value(Value),
    Aggregate(Kind, usize),
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { max_bulk_len: 4 << 30, max_elements: 1 << 32, max_depth: 128, max_line: 1 << 20 }
    }
}

/// Decodes the reply at the start of `buf`: the value and its length in bytes; `None` if it is not all there.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    Decoder::default().next(buf)
}

/// Appends a request made of `args`, the command's name first.
pub fn encode_request<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    let mut writer = Reply::new(out, Proto::Resp2);
    writer.array(args.len());
    args.iter().for_each(|arg| writer.bulk(arg.as_ref()));
}

impl Decoder {
    /// A decoder at the start of a reply.
    pub fn new(limits: ReplyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Looks for a whole reply at the start of `buf`: the value and its length in bytes; the next call then
    /// starts a new one behind it. `None`: call again with the same bytes and more behind them. After an
    /// error the connection cannot be read any further.
    pub fn next(&mut self, buf: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
        while let Some(token) = self.token(buf)? {
            match token {
                Token::Aggregate(kind, remaining) => {
                    if self.stack.len() >= self.limits.max_depth {
                        return Err(ProtocolError::ReplyTooDeep);
                    }
                    self.stack.push(Frame { kind, remaining, items: Vec::new() });
                }
                Token::Value(value) => {
                    if let Some(value) = self.place(value) {
                        return Ok(Some(self.finish(value)));
                    }
                    continue;
                }
            }
            if let Some(value) = self.close() {
                return Ok(Some(self.finish(value)));
            }
        }
        Ok(None)
    }

    fn finish(&mut self, value: Value) -> (Value, usize) {
        self.scanned = 0;
        (value, std::mem::take(&mut self.pos))
    }

    /// Puts a value where it belongs; gives back the whole reply if that completes it.
    fn place(&mut self, value: Value) -> Option<Value> {
        let Some(frame) = self.stack.last_mut() else { return Some(value) };
        frame.items.push(value);
        frame.remaining -= 1;
        self.close()
    }

    /// Closes the aggregates that are full.
    fn close(&mut self) -> Option<Value> {
        while self.stack.last().is_some_and(|frame| frame.remaining == 0) {
            let frame = self.stack.pop()?;
            let value = match frame.kind {
                // Attributes describe the value behind them; nobody here asks for them.
                Kind::Attribute => return None,
                Kind::Array => Value::Array(frame.items),
                Kind::Set => Value::Set(frame.items),
                Kind::Push => Value::Push(frame.items),
                Kind::Map => Value::Map(pairs(frame.items)),
            };
            match self.stack.last_mut() {
                None => return Some(value),
                Some(parent) => {
                    parent.items.push(value);
                    parent.remaining -= 1;
                }
            }
        }
        None
    }

    fn token(&mut self, buf: &[u8]) -> Result<Option<Token>, ProtocolError> {
        let Some((line, next)) = self.line(buf)? else { return Ok(None) };
        let (&sigil, text) = line.split_first().ok_or(ProtocolError::MalformedReply)?;
        let value = match sigil {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Int(integer(text)?),
            b'(' => Value::BigNumber(text.to_vec()),
            b',' => Value::Double(double(text)?, text.to_vec()),
            b'_' if text.is_empty() => Value::Null,
            b'#' if text == b"t" => Value::Bool(true),
            b'#' if text == b"f" => Value::Bool(false),
            b'$' | b'!' | b'=' => match self.string(buf, sigil, text, next)? {
                None => return Ok(None),
                Some(value) => return Ok(Some(Token::Value(value))),
            },
            b'*' if text == b"-1" => Value::NullArray,
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                let token = self.aggregate(sigil, text)?;
                self.advance(next);
                return Ok(Some(token));
            }
            b'_' | b'#' => return Err(ProtocolError::MalformedReply),
            _ => return Err(ProtocolError::UnknownReplyType(sigil)),
        };
        self.advance(next);
        Ok(Some(Token::Value(value)))
    }

    fn advance(&mut self, next: usize) {
        self.pos = next;
        self.scanned = next;
    }

    /// The line at the cursor without its end, and where the next one starts.
    fn line<'b>(&mut self, buf: &'b [u8]) -> Result<Option<(&'b [u8], usize)>, ProtocolError> {
        let newline = memchr(b'\n', &buf[self.scanned..]).map(|at| self.scanned + at);
        if newline.unwrap_or(buf.len()) - self.pos > self.limits.max_line {
            return Err(ProtocolError::ReplyTooBig);
        }
        let Some(newline) = newline else {
            self.scanned = buf.len();
            return Ok(None);
        };
        let line = buf[self.pos..newline].strip_suffix(b"\r").ok_or(ProtocolError::MalformedReply)?;
        Ok(Some((line, newline + 1)))
    }

    fn string(
        &mut self,
        buf: &[u8],
        sigil: u8,
        len: &[u8],
        start: usize,
    ) -> Result<Option<Value>, ProtocolError> {
        if sigil == b'$' && len == b"-1" {
            self.advance(start);
            return Ok(Some(Value::Null));
        }
        let len = self.length(len, self.limits.max_bulk_len)?;
        let Some(text) = buf.get(start..start.saturating_add(len).saturating_add(2)) else { return Ok(None) };
        let text = text.strip_suffix(b"\r\n").ok_or(ProtocolError::MalformedReply)?;
        let value = match (sigil, text) {
            (b'$', _) => Value::Bulk(text.to_vec()),
            (b'!', _) => Value::Error(text.to_vec()),
            (_, [a, b, c, b':', text @ ..]) => Value::Verbatim([*a, *b, *c], text.to_vec()),
            _ => return Err(ProtocolError::MalformedReply),
        };
        self.advance(start + len + 2);
        Ok(Some(value))
    }

    fn aggregate(&self, sigil: u8, len: &[u8]) -> Result<Token, ProtocolError> {
        let len = self.length(len, self.limits.max_elements)?;
        let (kind, len) = match sigil {
            b'*' => (Kind::Array, len),
            b'~' => (Kind::Set, len),
            b'>' => (Kind::Push, len),
            b'%' => (Kind::Map, len.saturating_mul(2)),
            _ => (Kind::Attribute, len.saturating_mul(2)),
        };
        Ok(Token::Aggregate(kind, len))
    }

    fn length(&self, text: &[u8], max: usize) -> Result<usize, ProtocolError> {
        let len = usize::try_from(integer(text)?).map_err(|_| ProtocolError::MalformedReply)?;
        if len > max { Err(ProtocolError::ReplyTooBig) } else { Ok(len) }
    }
}

fn integer(text: &[u8]) -> Result<i64, ProtocolError> {
    parse_i64(text).ok_or(ProtocolError::MalformedReply)
}

fn double(text: &[u8]) -> Result<f64, ProtocolError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(ProtocolError::MalformedReply)
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}
