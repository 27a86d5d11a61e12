//! What a run can do other than commands, one file for each.

mod big_keys;
mod hot_keys;
mod intrinsic_latency;
mod latency;
mod latency_distribution;
mod pipe;
mod polling;
mod scan;
mod stat;
