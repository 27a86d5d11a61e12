//! Configuration as Redis understands it: every boundary has one `check`, and a real
//! `redis-server` on loopback is asked wherever it can be.

mod args;
mod defaults;
mod files;
mod oracle;
mod rewrite;
mod set;
