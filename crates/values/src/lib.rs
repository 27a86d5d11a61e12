//! The value types, their compact encodings, large values, and the value codec (DUMP payloads).
//!
//! Each type has two forms, as in Redis: one compact allocation while it is small, and a tree of shared nodes
//! ([`tree`]) once it is large. Types know their domain (fields, members, scores, ids); they know nothing of keys,
//! clients, time or the journal.
#![deny(unsafe_code)]

pub mod bytes;
pub mod crc64;
pub mod digits;
pub mod dump;
pub mod glob;
pub mod hash;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod lzf;
mod prefetch;
pub mod set;
pub mod size;
pub mod stream;
pub mod text;
mod thin;
pub mod tree;
pub mod value;
pub mod zset;

pub use bytes::Bytes;
pub use hash::Hash;
pub use list::List;
pub use prefetch::prefetch;
pub use set::Set;
pub use stream::Stream;
pub use text::Text;
pub use thin::ThinBox;
pub use value::{HashKey, Limits, Value};
pub use zset::Zset;
