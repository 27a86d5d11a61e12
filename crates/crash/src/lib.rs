//! Tests of the real program on a real machine: it is killed, its disk filled, its files damaged; then what it
//! holds is compared with what it had acknowledged and with what anybody had read from it.
//!
//! `crash loop` kills a server round after round, `crash control` does the same to `redis-server`, `crash disk` is
//! about full and damaged disks, `crash saves` about `dump.rdb` and failing ones, `crash snapshot` about large datasets,
//! `crash memory` about memory accounting.

#![forbid(unsafe_code)]

pub mod client;
pub mod disk;
pub mod lane;
pub mod memory;
pub mod model;
pub mod queues;
pub mod rng;
pub mod rounds;
pub mod saves;
pub mod server;
pub mod shared;
pub mod snapshot;
