//! What a command is: its table entry, its arguments, the contexts that say what a handler may touch, its errors.
//!
//! A handler's type is its permission: a `Read` handler gets a [`ReadCx`] and cannot change anything; a `Write`
//! handler gets a [`WriteCx`], whose [`WriteCx::emit`] is the only way to change anything. Every lookup passes
//! through these contexts, so the gate of a reply is computed where data is looked up.
#![forbid(unsafe_code)]

mod args;
mod context;
mod error;
mod event;
mod rng;
mod spec;
pub mod syntax;

pub use args::{ArgsExt, expire_at, is};
pub use context::{Attempt, EVERY_DB, Frame, Observed, ReadCx, Txn, WriteCx, content_len};
pub use error::{Error, Outcome};
pub use event::{Event, NotifyClass};
pub use rng::Rng;
pub use spec::{Acl, Arity, Command, Docs, Flags, Flow, Keys, Run, Wait, WaitFor, check_table};

pub use sessile_keyspace::{
    Cause, Content, Effect, End, Entry, Expire, Gate, Indexes, Items, Key, Scores, StreamIds,
};
pub use sessile_resp::{Args, Mark, OwnedArgs, Proto, Reply};
