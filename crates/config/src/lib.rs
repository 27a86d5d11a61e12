//! The grammar of `redis.conf` and the table of its directives, as data.
//!
//! Nothing here reads a file, looks at the environment or changes the world: text comes in, a
//! [`Config`] and its [`Notice`]s come out. The server reads files, hands their text to
//! [`file::Document::parse`], flags to [`args::parse`], and everything to [`load`].
#![forbid(unsafe_code)]

pub mod args;
mod choice;
mod config;
mod directive;
mod error;
pub mod file;
mod load;
mod number;
mod rewrite;
pub mod table;
mod value;
pub mod words;

pub use choice::{
    AclPubsubDefault, AppendFsync, Choice, LogFormat, LogLevel, MaxmemoryPolicy, ProtectedAction,
    SanitizeDump,
};
pub use config::{AppendOnly, Asker, Change, Config};
pub use directive::{Check, Directive, Flags, Id, Kind, Persona, Standing, directives, find, nearest};
pub use error::{ConfigError, Notice, Place, Problem, Reason, SetError, StartError};
pub use load::{Sources, load};
pub use rewrite::rewrite;
pub use value::{Master, MemoryLimit, NotifyFlags, OutputLimit, SavePoint, ShutdownOptions, Value};
