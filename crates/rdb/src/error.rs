//! Why a file cannot be loaded.

use std::io;

use sessile_values::dump::BadPayload;

/// A file that cannot be loaded: where, and why. Records before that place were given out; whoever took them
/// discards them.
#[derive(Debug)]
pub struct RdbError {
    /// Bytes before the part that is at fault.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a file.
#[non_exhaustive]
#[derive(Debug)]
pub enum Reason {
    /// Reading failed.
    Io(io::Error),
    /// It ends before its end mark.
    Truncated,
    /// It does not start as RDB files do.
    Magic,
    /// It is of a version that is not known.
    Version(u32),
    /// A part of unknown type.
    Opcode(u8),
    /// Data of a module.
    Module,
    /// Functions as a release candidate of Redis 7.0 saved them.
    PreReleaseFunctions,
    /// The number of a db is too large.
    Db(u64),
    /// A length, a string or the type of a value is malformed.
    Value(BadPayload),
    /// The checksum in the file is not that of its bytes.
    Checksum {
        /// As the file says.
        stored: u64,
        /// As its bytes give.
        computed: u64,
    },
    /// Whoever took the records would not take this one.
    Refused {
        /// The record's key.
        key: Vec<u8>,
        /// Why, in its own words.
        why: String,
    },
}

impl std::fmt::Display for RdbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the RDB file cannot be loaded, at byte {}: ", self.offset)?;
        match &self.reason {
            Reason::Io(error) => write!(f, "reading failed: {error}"),
            Reason::Truncated => f.write_str("the file ends early"),
            Reason::Magic => f.write_str("the file does not start with REDIS and four digits"),
            Reason::Version(version) => {
                write!(f, "the format's version is {version}, but only 1 to {} are known", crate::VERSION_MAX)
            }
            Reason::Opcode(opcode) => write!(f, "parts of type {opcode} are unknown"),
            Reason::Module => {
                f.write_str("the file holds data of a Redis module, and modules are not supported")
            }
            Reason::PreReleaseFunctions => f.write_str(
                "the file holds functions as a release candidate of Redis 7.0 saved them; save it with a later Redis",
            ),
            Reason::Db(db) => write!(f, "there is no db number {db}"),
            Reason::Value(bad) => bad.fmt(f),
            Reason::Checksum { stored, computed } => {
                write!(f, "the checksum is {stored:016x}, but the bytes give {computed:016x}: the file is damaged")
            }
            Reason::Refused { key, why } => write!(f, "the key {:?}: {why}", key.escape_ascii().to_string()),
        }
    }
}

impl std::error::Error for RdbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            Reason::Value(bad) => Some(bad),
            _ => None,
        }
    }
}
