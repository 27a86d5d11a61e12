//! The scenarios of `crash disk`, a short kill loop, and the loop's own test: a loss is noticed.
//!
//! The server is the program that `CRASH_TEST_BIN` names, otherwise it is built. Full and read-only disks need the
//! right to mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use sessile_crash::{disk, rounds};

fn server() -> PathBuf {
    if let Some(bin) = std::env::var_os("CRASH_TEST_BIN") {
        return bin.into();
    }
    let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "sessile-server"]).status();
    assert!(built.is_ok_and(|status| status.success()), "the server does not build");
    let test = std::env::current_exe().expect("a test knows where it is");
    test.ancestors().nth(2).expect("a test lies two levels below the build").join("sessile")
}

fn options(bin: PathBuf, rounds: u64, cut_bytes: u64) -> rounds::Options {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = clock.map_or(1, |d| u64::from(d.subsec_nanos()));
    rounds::Options { bin, base: std::env::temp_dir(), rounds, seed, acks_min: 500, cut_bytes }
}

#[test]
fn disks_fill_and_break() {
    let (_, failed) = disk::run(&disk::SCENARIOS, &server(), &std::env::temp_dir());
    assert_eq!(failed, 0, "scenarios that failed are printed above");
}

#[test]
fn a_kill_loses_nothing() {
    let options = options(server(), 10, 0);
    let outcome = rounds::run(&options).expect("the server starts");
    assert_eq!(outcome.failed, 0, "seed {}: {:#?}", options.seed, outcome.violations);
}

#[test]
fn a_loss_is_noticed() {
    // Redis' own file, cut: the bytes of the last few acknowledged commands are gone. That shows in about two rounds of
    // three, where these commands are not the ones that leave no trace.
    let options = options(Path::new("redis-server").to_owned(), 16, 2_000);
    let outcome = rounds::run(&options).expect("redis-server starts");
    assert!(outcome.failed > 0, "seed {}: a cut append-only file went unnoticed", options.seed);
    for line in &outcome.violations {
        let round = line.split([' ', ':']).nth(1).unwrap_or_default();
        let kept = options.base.join(format!("sessile-crash-failed-{}-{round}", options.seed));
        let _ = std::fs::remove_dir_all(kept);
    }
}
