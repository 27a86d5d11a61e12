//! What the fuzzers do with arbitrary bytes: a function a target, for cargo-fuzz (`fuzz/`) and for a plain test, which runs
//! the saved corpus so that no target rots where cargo-fuzz is not installed.
//!
//! Each function panics if what it says of the bytes does not hold. That memory stays small and that nothing hangs is up to
//! whoever runs it: the fuzzer has limits for both, and the test looks at the process.
#![forbid(unsafe_code)]

mod config;
mod glob;
mod input;
mod journal;
mod lua;
mod node;
mod rdb;
mod resp;
mod value;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus and of its program in `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Target)] = &[
    ("resp_request", resp::request),
    ("resp_reply", resp::reply),
    ("journal", journal::files),
    ("effects", journal::effects),
    ("value", value::restore),
    ("rdb", rdb::file),
    ("config_file", config::file),
    ("config_set", config::set),
    ("glob", glob::pattern),
    ("lua_script", lua::script),
    ("lua_codec", lua::codec),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is none, or as the target does.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name);
    target.expect("the target exists").1(data);
}
