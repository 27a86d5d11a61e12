//! Differential tester: the same random commands go to a reference `redis-server` (the oracle) and
//! to the server under test, and every reply and the resulting datasets are compared.
//!
//! The generator knows no command by heart: it reads the argument trees from `COMMAND DOCS` and
//! fills them in by the names that the arguments have there. Everything that cannot be compared
//! byte for byte is named, with its reason, in [`rules`] or [`differences`].

#![forbid(unsafe_code)]

mod arguments;
pub mod dataset;
pub mod differences;
pub mod docs;
pub mod execute;
pub mod generate;
pub mod kinds;
pub mod minimise;
pub mod reply;
pub mod rng;
pub mod rules;
pub mod run;
pub mod scripts;
pub mod server;
pub mod step;
pub mod values;
