//! The script host: Lua 5.1 with the globals, libraries, conversions and error texts of Redis 7.2.
//!
//! [`ScriptHost`] caches compiled scripts and runs one at a time. What a script does to the outside goes through
//! the [`Host`] trait, which is passed in anew with each call. A script runs on a stack of its own, so it can be
//! suspended wherever it is in Lua and resumed or killed later.
//!
//! Unsafe code lives in `bridge` (the Lua API) and `fiber` (the stack switch), nowhere else. The libraries
//! are written against `bridge::Lua`; see there for the one rule that they have to keep.

mod base;
mod bit;
mod bridge;
mod cjson;
mod cmsgpack;
mod convert;
mod fiber;
mod host;
mod json_decode;
mod number;
mod pattern;
mod random;
mod redis_api;
mod sandbox;
mod script_host;
mod state;
mod strings;
mod structs;

pub use crate::host::{AclVerdict, Host, Interrupt, Options, Outcome, Progress};
pub use crate::script_host::{CompileError, Flags, Script, ScriptHost, Sha1Hex, sha1_hex};
