//! All state of a shard: the tables, expiry, memory accounting, effects and how they apply, the snapshot's cursor.
//!
//! [`Keyspace::apply`] is the only way in: live commands, recovery and standbys all go through it, so a journal
//! replayed gives the state that was served. It reads state and effect, never the clock and never the configuration
//! (encoding thresholds excepted: they change no logical value).
#![deny(unsafe_code)]

mod apply;
pub mod codec;
pub mod effect;
pub mod entry;
pub mod evict;
pub mod export;
mod graveyard;
mod keyspace;
pub mod pending;
pub mod render;
pub mod snapshot;
mod snapshot_stream;
pub mod table;

pub use effect::{Cause, Effect, End, Expire, Indexes, Items, Key, Scores, StreamIds};
pub use entry::{Content, Entry};
pub use keyspace::{Applied, Db, Keyspace, STRING_MAX_BYTES};
pub use pending::{Durability, Gate, Pending};
