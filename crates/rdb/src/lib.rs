//! RDB files, the exchange format of Redis: reading what Redis up to 7.2 wrote, writing what Redis 7.0 loads.
//!
//! ```text
//! "REDIS" | version, four digits | part ... | 0xFF | CRC-64 of all before, u64 (0: none; from version 5 on)
//! part:   0xFA name value                        a fact about the file
//!         0xF5 code                              a library of functions
//!         0xFE db                                what follows belongs to this db
//!         0xFB entries, expiring                 sizes to make room for
//!         [0xFC ms i64 | 0xFD s i32] [0xF8 idle seconds] [0xF9 frequency u8] type key body          an entry
//! ```
//!
//! An entry's type and body are a payload of [`sessile_values::dump`]. Here they are only measured, so that a file
//! passes through without its values being built; no more memory is taken than the largest entry has bytes.
#![forbid(unsafe_code)]

mod body;
mod error;
mod input;
mod reader;
mod writer;

pub use error::{RdbError, Reason};
pub use reader::{Record, Summary, read};
pub use writer::{Facts, Writer, put_entry_head, put_select_db};

const MAGIC: &[u8; 5] = b"REDIS";
/// The newest version that is read, that of Redis 7.2.
const VERSION_MAX: u32 = sessile_values::dump::VERSION_MAX as u32;
/// From here on a checksum ends the file.
const VERSION_WITH_CHECKSUM: u32 = 5;

mod opcode {
    pub(crate) const FUNCTION: u8 = 0xF5;
    pub(crate) const FUNCTION_PRE_RELEASE: u8 = 0xF6;
    pub(crate) const MODULE: u8 = 0xF7;
    pub(crate) const IDLE: u8 = 0xF8;
    pub(crate) const FREQUENCY: u8 = 0xF9;
    pub(crate) const AUX: u8 = 0xFA;
    pub(crate) const RESIZE_DB: u8 = 0xFB;
    pub(crate) const EXPIRE_MS: u8 = 0xFC;
    pub(crate) const EXPIRE_S: u8 = 0xFD;
    pub(crate) const SELECT_DB: u8 = 0xFE;
    pub(crate) const EOF: u8 = 0xFF;
    /// The first of all these, known or not; below are the types of values.
    pub(crate) const FIRST: u8 = 0xF0;
}

/// What a file says of an entry's last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    #[default]
    Unknown,
    /// Seconds since then, where Redis evicted by last use.
    IdleSeconds(u64),
    /// The logarithmic counter, where Redis evicted by frequency.
    Frequency(u8),
}
