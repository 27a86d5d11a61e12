//! The value codec: what DUMP, `dump.rdb` and whole-value effects hold (RDB version 10).
//!
//! A payload is a type byte and a body. Bytes come from clients too (RESTORE): whatever they hold, reading them gives
//! a value or an error, and takes no more memory than their length accounts for.
//!
//! Everything that Redis up to 7.2 ever wrote is read (types 0 to 21 without modules); what is written, Redis 7.0
//! reads. Only effects keep more: [`encode_exact`] tells when the consumers of a stream were active, which version 10
//! has no place for.

mod decode;
mod encode;
mod portions;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod ziplist;

use crate::crc64::crc64;
use crate::intset::BadIntset;
use crate::listpack::BadListpack;
use crate::stream::BadNode;
use crate::value::Value;

pub use decode::{decode, decode_prefix};
pub use encode::{Encoder, encode_exact, encode_rope, encode_text, encode_value, put_len, put_string};
pub use portions::Portions;
pub use source::take_string;
pub use ziplist::{BadZiplist, BadZipmap};

/// The RDB version that payloads are written in.
pub const VERSION: u16 = 10;
/// The newest RDB version whose payloads are read: Redis 7.2's.
pub const VERSION_MAX: u16 = 11;

/// The type bytes, as RDB files have them. 6 and 7 are values of modules, 8 is unused.
pub mod kind {
    /// A string.
    pub const STRING: u8 = 0;
    /// A list as a run of strings.
    pub const LIST: u8 = 1;
    /// A set as a run of strings.
    pub const SET: u8 = 2;
    /// A sorted set as a run of strings and scores in text.
    pub const ZSET: u8 = 3;
    /// A hash as a run of strings.
    pub const HASH: u8 = 4;
    /// A sorted set as a run of strings and scores in binary.
    pub const ZSET_2: u8 = 5;
    /// A hash of Redis 2.4.
    pub const HASH_ZIPMAP: u8 = 9;
    /// A list of Redis 3.0.
    pub const LIST_ZIPLIST: u8 = 10;
    /// A small set of integers.
    pub const SET_INTSET: u8 = 11;
    /// A small sorted set before Redis 7.0.
    pub const ZSET_ZIPLIST: u8 = 12;
    /// A small hash before Redis 7.0.
    pub const HASH_ZIPLIST: u8 = 13;
    /// A list before Redis 7.0.
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream of Redis 5.0.
    pub const STREAM_LISTPACKS: u8 = 15;
    /// A small hash.
    pub const HASH_LISTPACK: u8 = 16;
    /// A small sorted set.
    pub const ZSET_LISTPACK: u8 = 17;
    /// A list.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// A stream of Redis 7.0.
    pub const STREAM_LISTPACKS_2: u8 = 19;
    /// A small set of Redis 7.2.
    pub const SET_LISTPACK: u8 = 20;
    /// A stream of Redis 7.2, which knows when consumers were active.
    pub const STREAM_LISTPACKS_3: u8 = 21;
}

/// A quicklist's node that is one large element.
const NODE_PLAIN: u64 = 1;
/// A quicklist's node that is a listpack.
const NODE_PACKED: u64 = 2;

/// Codes that stand in place of a string's length.
const CODE_INT8: u8 = 0;
const CODE_INT16: u8 = 1;
const CODE_INT32: u8 = 2;
const CODE_LZF: u8 = 3;

/// A value as read.
pub enum Loaded {
    /// A string.
    Text(Vec<u8>),
    /// Anything else.
    Value(Value),
}

/// Why bytes are not a value.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPayload {
    /// It ends early, or a count or a length in it says more than there is.
    Truncated,
    /// Bytes follow the value.
    Trailing,
    /// The type byte is unknown.
    Kind(u8),
    /// The value belongs to a module of Redis.
    Module,
    /// A length has an unknown form.
    Length,
    /// A string does not expand to the length that it states.
    Lzf,
    /// A listpack is malformed.
    Listpack(BadListpack),
    /// A ziplist is malformed.
    Ziplist(BadZiplist),
    /// A zipmap is malformed.
    Zipmap(BadZipmap),
    /// An intset is malformed.
    Intset(BadIntset),
    /// A list's node is of an unknown kind or too large.
    ListNode,
    /// A member or a field occurs twice.
    Duplicate,
    /// A field lacks its value, or a member its score.
    Odd,
    /// A score is no number.
    Score,
    /// The members of a small sorted set are out of order.
    Order,
    /// A collection without elements, which Redis does not keep.
    Empty,
    /// A stream's node is malformed.
    StreamNode(BadNode),
    /// A stream's length is not its number of entries, or its last id is below theirs.
    StreamCounts,
    /// A group or a consumer occurs twice.
    DuplicateGroup,
    /// A group's pending entries are not those of its consumers.
    Pending,
}

impl std::fmt::Display for BadPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the value ends early",
            Self::Trailing => "bytes follow the value",
            Self::Kind(kind) => return write!(f, "values of type {kind} are unknown"),
            Self::Module => "the value belongs to a module of Redis, and modules are not supported",
            Self::Length => "a length has an unknown form",
            Self::Lzf => "a compressed string is damaged",
            Self::Listpack(bad) => return bad.fmt(f),
            Self::Ziplist(bad) => return bad.fmt(f),
            Self::Zipmap(bad) => return bad.fmt(f),
            Self::Intset(bad) => return bad.fmt(f),
            Self::ListNode => "list: a node is of an unknown kind or too large",
            Self::Duplicate => "a member or a field occurs twice",
            Self::Odd => "a field lacks its value, or a member its score",
            Self::Score => "sorted set: a score is no number",
            Self::Order => "sorted set: the members are out of order",
            Self::Empty => "the collection has no elements",
            Self::StreamNode(bad) => return bad.fmt(f),
            Self::StreamCounts => "stream: the length or the last id contradicts the entries",
            Self::DuplicateGroup => "stream: a group or a consumer occurs twice",
            Self::Pending => "stream: a group's pending entries are not those of its consumers",
        })
    }
}

impl std::error::Error for BadPayload {}

/// Not a DUMP payload: too short, of a newer version, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDump;

impl std::fmt::Display for BadDump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the payload's version or checksum is wrong")
    }
}

impl std::error::Error for BadDump {}

/// Appends DUMP's footer: the version and a checksum of everything before.
pub fn seal(payload: &mut Vec<u8>) {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

/// RESTORE's check of the footer; gives the payload before it. A checksum of 0 means that there is none.
pub fn open(dump: &[u8]) -> Result<&[u8], BadDump> {
    let (rest, sum) = dump.split_last_chunk::<8>().ok_or(BadDump)?;
    let (payload, version) = rest.split_last_chunk::<2>().ok_or(BadDump)?;
    let sum = u64::from_le_bytes(*sum);
    if u16::from_le_bytes(*version) > VERSION_MAX || sum != 0 && sum != crc64(rest) {
        return Err(BadDump);
    }
    Ok(payload)
}
