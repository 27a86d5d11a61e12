//! Error replies, in Redis' own texts.

use std::borrow::Cow;

use sessile_resp::c_text;

/// An error reply: code and text, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Cow<'static, [u8]>);

/// What a handler gives back; its reply is in the sink.
pub type Outcome = Result<(), Error>;

impl Error {
    /// The key holds another type.
    pub const WRONG_TYPE: Error =
        Error::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// The arguments make no sense.
    pub const SYNTAX: Error = Error::new("ERR syntax error");
    /// An argument is no i64.
    pub const NOT_INTEGER: Error = Error::new("ERR value is not an integer or out of range");
    /// An argument is no double.
    pub const NOT_FLOAT: Error = Error::new("ERR value is not a valid float");
    /// The key does not exist.
    pub const NO_KEY: Error = Error::new("ERR no such key");
    /// The index is outside of the list.
    pub const INDEX: Error = Error::new("ERR index out of range");
    /// A count or offset is out of its range.
    pub const OUT_OF_RANGE: Error = Error::new("ERR value is out of range, must be positive");
    /// An increment leaves the range of an i64.
    pub const OVERFLOW: Error = Error::new("ERR increment or decrement would overflow");
    /// An increment leaves the range of a float.
    pub const NAN_OR_INF: Error = Error::new("ERR increment would produce NaN or Infinity");
    /// A negative time-out.
    pub const NEGATIVE_TIMEOUT: Error = Error::new("ERR timeout is negative");
    /// A time-out that is no number.
    pub const BAD_TIMEOUT: Error = Error::new("ERR timeout is not a float or out of range");
    /// A scan cursor that is no number.
    pub const BAD_CURSOR: Error = Error::new("ERR invalid cursor");
    /// A string would grow beyond proto-max-bulk-len.
    pub const STRING_TOO_LONG: Error =
        Error::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    /// A fixed text.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// A text made at run time.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// A text with words of the client between its parts, each up to its first zero byte, as Redis prints them.
    pub fn quoting(parts: &[&str], words: &[&[u8]]) -> Self {
        debug_assert_eq!(parts.len(), words.len() + 1, "words stand between parts");
        let mut text = Vec::new();
        for (part, word) in parts.iter().zip(words) {
            text.extend_from_slice(part.as_bytes());
            text.extend_from_slice(c_text(word));
        }
        text.extend_from_slice(parts.last().map_or(&b""[..], |part| part.as_bytes()));
        Self::text(text)
    }

    /// Wrong number of arguments for `name`, which may be `container|sub`.
    pub fn arity(name: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// An expiry out of range, in a command.
    pub fn invalid_expire(command: &str) -> Self {
        Self::text(format!("ERR invalid expire time in '{command}' command"))
    }

    /// The reply's bytes, without `-` and line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first word.
    pub fn code(&self) -> &[u8] {
        self.0.split(|&b| b == b' ').next().unwrap_or_default()
    }
}
