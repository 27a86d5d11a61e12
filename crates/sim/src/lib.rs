//! A seeded simulator of a whole node: the real engine over the real journal on a disk in memory, or over a journal
//! in a far-away database, with time, chance, faults and crashes all from one seed.
//!
//! Its oracle is DESIGN §5's: whenever a reply leaves, a copy of what is stored is crashed and recovered, and all that
//! the reply revealed must be there. What a reply reveals is found by comparing values before and after every
//! transaction ([`model`]) and from the request's own arguments ([`reveal`]), never by asking the gate.
#![forbid(unsafe_code)]

pub mod backend;
pub mod dice;
pub mod digest;
pub mod disk;
pub mod generate;
pub mod model;
pub mod node;
pub mod remote;
pub mod reveal;
pub mod run;
mod tail;
pub mod tally;
