//! The tester against itself: two equal servers agree, and each kind of fault is found and minimised.
//! Needs `redis-server` in the path, as the tester itself does.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sessile_differ::execute::{FailureKind, Fault, Setup};
use sessile_differ::minimise::{minimise, replay_once};
use sessile_differ::run::{Options, Outcome, run};
use sessile_differ::server::{Launch, Server};
use sessile_differ::step::{Cmd, Step, words};

fn options(seed: u64, commands: u64, fault: Option<Fault>) -> Options {
    let redis = Path::new("redis-server");
    Options {
        oracle: Launch::new(redis, false),
        tested: Launch::new(redis, false),
        base: std::env::temp_dir(),
        seed,
        commands,
        conns: 4,
        check_every: 2_000,
        stop_after: 1,
        require: 0,
        restart_kill: false,
        minimise_s: 60,
        fault,
    }
}

/// The same for every run, so that one can be compared with the last; TEST_SEED gives another.
fn seed_of_run() -> u64 {
    std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn outcome(options: &Options) -> Outcome {
    run(options).expect("redis-server starts")
}

/// With the fault, the first failure blames `command` and takes at most `steps` steps.
fn check(fault: &Fault, kind: FailureKind, command: &str, steps: usize) {
    let seed = seed_of_run();
    let outcome = outcome(&options(seed, 20_000, Some(fault.clone())));
    let [minimal] = outcome.failures.as_slice() else { panic!("seed {seed}: {fault:?} is not found") };
    assert!(minimal.reproduced, "seed {seed}: {minimal:?}");
    assert_eq!((minimal.failure.kind, minimal.failure.command.as_str()), (kind, command), "seed {seed}");
    assert!(minimal.steps.len() <= steps, "seed {seed}: {} steps", minimal.steps.len());
}

#[test]
fn equal_servers_agree() {
    let seed = seed_of_run();
    let outcome = outcome(&options(seed, 10_000, None));
    assert_eq!(outcome.failed(), 0, "seed {seed}: {:?}", outcome.failures);
    assert!(outcome.passed >= 10_000, "seed {seed}: only {} replies", outcome.passed);
}

#[test]
fn equal_servers_agree_after_kill() {
    let seed = seed_of_run();
    let mut options = options(seed, 3_000, None);
    options.tested = Launch::new(Path::new("redis-server"), true);
    options.restart_kill = true;
    let outcome = outcome(&options);
    assert_eq!(outcome.failed(), 0, "seed {seed}: {:?} {:?}", outcome.failures, outcome.complaints);
}

#[test]
fn a_volatile_server_is_found_after_kill() {
    let seed = seed_of_run();
    let mut options = options(seed, 3_000, None);
    options.restart_kill = true;
    assert_eq!(outcome(&options).failed(), 1, "seed {seed}: the lost data went unnoticed");
}

#[test]
fn a_wrong_reply_is_minimised() {
    check(&Fault::Corrupt("getrange".to_owned()), FailureKind::Reply, "getrange", 2);
}

#[test]
fn a_wrong_unordered_reply_is_minimised() {
    check(&Fault::Corrupt("smembers".to_owned()), FailureKind::Reply, "smembers", 3);
}

#[test]
fn a_lost_write_is_minimised() {
    let seed = seed_of_run();
    let outcome = outcome(&options(seed, 40_000, Some(Fault::Drop("ltrim".to_owned()))));
    let [minimal] = outcome.failures.as_slice() else { panic!("seed {seed}: not found") };
    // A reply may show it before the datasets are compared; then the loss has to come first.
    let words = |step: &Step| match step {
        Step::Run { cmds, .. } => cmds.iter().map(|c| c.words[0].to_ascii_lowercase()).collect(),
        _ => Vec::new(),
    };
    assert!(minimal.steps.iter().flat_map(words).any(|w| w == b"ltrim"), "seed {seed}: {:?}", minimal.steps);
    assert!(minimal.steps.len() <= 20, "seed {seed}: {} steps", minimal.steps.len());
}

#[test]
fn different_datasets_are_found() {
    let launch = Launch::new(Path::new("redis-server"), false);
    let start =
        |label| Server::start(launch.clone(), &std::env::temp_dir(), label).expect("redis-server starts");
    let (oracle, tested) = (start("oracle"), start("tested"));
    let setup = Setup {
        ports: [oracle.port, tested.port],
        conns: 1,
        newer: false,
        names: BTreeSet::new(),
        fault: Some(Fault::Drop("ltrim".to_owned())),
    };
    let step = |text: &str| {
        let parts: Vec<&str> = text.split(' ').collect();
        Step::Run { conn: 0, cmds: vec![Cmd::plain(words(&parts))] }
    };
    let steps = ["SET s x", "RPUSH l a b", "INCR n", "LTRIM l 1 1", "SADD t 1"].map(step);
    assert!(replay_once(&setup, &steps, false).is_none(), "no reply shows it");
    let failure = replay_once(&setup, &steps, true).expect("the datasets differ");
    assert_eq!(failure.kind, FailureKind::Dataset);
    let mut replay = |steps: &[Step], deep: bool| replay_once(&setup, steps, deep);
    let minimal = minimise(&steps, failure, Duration::from_secs(60), &mut replay);
    assert_eq!(minimal.steps, ["RPUSH l a", "LTRIM l 1 1"].map(step));
}

#[test]
fn an_unmet_requirement_fails_the_run() {
    let mut options = options(seed_of_run(), 300, None);
    options.require = 50;
    assert!(!outcome(&options).complaints.is_empty(), "hardly any command can have 50 replies by then");
}
