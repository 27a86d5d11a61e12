//! The engine: what the connections of a shard ask for, and what the keyspace answers.
//!
//! A deterministic state machine without I/O. See [`Engine`] for its surface, `dispatch` for the way of a command.
#![forbid(unsafe_code)]

mod admin;
mod blocking;
mod clock;
mod cut_offs;
mod digest;
mod dispatch;
mod engine;
mod figures;
mod limits;
mod observe;
mod output;
mod pipeline;
mod pubsub;
mod scripts;
mod session;
mod settings;
mod stats;
mod table;
mod timers;
mod transaction;

pub use admin::{FileKind, REDIS_VERSION, Stage, Writing};
pub use clock::{Clock, Now};
pub use engine::{Action, Engine, JournalState, Options};
pub use figures::{ClientSums, DbFigures, Figures, Refusal};
pub use session::{ClientClass, ConnId, Peer, Session};
pub use stats::{CommandStats, ServerFacts, Stats, SystemFacts};
pub use table::{Entry, Table};
