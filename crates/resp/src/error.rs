//! What can be wrong with the bytes of a peer.

use std::fmt;

/// A violation of the protocol. The connection it came from cannot be read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// The number after `*` is no number, or above the limit.
    InvalidMultibulkLength,
    /// The number after `$` is no number, negative, or above the limit.
    InvalidBulkLength,
    /// The line that starts with `*` does not end.
    TooBigMbulkCount,
    /// The line that starts with `$` does not end.
    TooBigBulkCount,
    /// An inline command does not end.
    TooBigInline,
    /// An argument starts with this byte instead of `$`.
    ExpectedDollar(u8),
    /// More arguments than a client may send before it has authenticated.
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before it has authenticated.
    UnauthenticatedBulkLength,
    /// The quotes of an inline command do not match.
    UnbalancedQuotes,
    /// A reply starts with a byte that names no type.
    UnknownReplyType(u8),
    /// A reply's line is not what its type requires, or is too long.
    MalformedReply,
    /// A reply nests deeper than the limit.
    ReplyTooDeep,
    /// A length within a reply is above the limit.
    ReplyTooBig,
}

impl ProtocolError {
    /// The text for the peer, without error code: Redis' words for requests. It is bytes because it may
    /// quote one byte of the input.
    pub fn message(&self) -> Vec<u8> {
        let mut text = b"Protocol error: ".to_vec();
        text.extend_from_slice(self.reason().as_bytes());
        if let Self::ExpectedDollar(byte) | Self::UnknownReplyType(byte) = *self {
            text.extend_from_slice(&[b'\'', byte, b'\'']);
        }
        text
    }

    fn reason(self) -> &'static str {
        match self {
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::TooBigMbulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::TooBigInline => "too big inline request",
            Self::ExpectedDollar(_) => "expected '$', got ",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::UnknownReplyType(_) => "unknown reply type ",
            Self::MalformedReply => "malformed reply",
            Self::ReplyTooDeep => "reply nested too deeply",
            Self::ReplyTooBig => "reply too big",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for ProtocolError {}
