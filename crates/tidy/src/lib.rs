//! Rules about the tree itself that no compiler checks, each a function from sources to complaints.
//!
//! The rules are applied to the whole workspace by `tests/workspace.rs`; here they know nothing of it but the lists
//! in [`lists`], so that each has a small test of its own.
#![forbid(unsafe_code)]

pub mod graph;
pub mod lists;
pub mod shape;
pub mod source;
pub mod unsafety;
pub mod words;

pub use source::{Complaint, Source};
