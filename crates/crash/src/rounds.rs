//! The kill loop: writers on many connections, a `kill -9` at a random moment, a restart, the comparison.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Conn, bytes};
use crate::lane::{ACCOUNTS, Lane, read_others};
use crate::queues::{self, MOVERS, Queues};
use crate::rng::Rng;
use crate::server::{Launch, Server, Temp};
use crate::shared::{self, Shared};

const LANES: usize = 8;
const READERS: usize = 2;
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 3;
const COUNTERS: usize = 3;
const SWAPPERS: usize = 2;
/// A round that has not got its acknowledgements by then has failed.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

/// What a run does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub bin: PathBuf,
    /// Where its temporary directory is created.
    pub base: PathBuf,
    /// How often it is killed.
    pub rounds: u64,
    /// Replays the choices of a run; threads still interleave as they like.
    pub seed: u64,
    /// Acknowledgements before the kill, at least.
    pub acks_min: u64,
    /// A self-test: before each restart so many bytes are cut off the newest journal file, which must be noticed.
    pub cut_bytes: u64,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rounds without a violation.
    pub passed: u64,
    /// Rounds with one.
    pub failed: u64,
    /// Acknowledgements of all rounds.
    pub acks: u64,
    /// The violations, each with its round.
    pub violations: Vec<String>,
}

/// How a round is run; chosen by the seed.
#[derive(Debug)]
struct Manner {
    flags: Vec<String>,
    rewrites: bool,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Kill,
    /// Killed, and killed again while it recovers.
    KillTwice,
    Term,
}

impl Manner {
    fn choose(rng: &mut Rng, is_redis: bool) -> Self {
        let mut flags: Vec<String> = Vec::new();
        let mut flag = |name: &str, value: &str| flags.extend([format!("--{name}"), value.to_owned()]);
        let is_relaxed = rng.one_in(4);
        if is_redis {
            flag("save", "");
            flag("appendonly", "yes");
            flag("appendfsync", "always");
        } else {
            if is_relaxed {
                flag("appendfsync", "everysec");
            }
            if rng.one_in(2) {
                flag("journal-segment-size", "1mb");
            }
        }
        if rng.one_in(2) {
            flag("auto-aof-rewrite-min-size", "64kb");
        }
        let ending = match rng.below(12) {
            0 => Ending::Term,
            1 | 2 => Ending::KillTwice,
            _ => Ending::Kill,
        };
        Self { flags, rewrites: rng.one_in(3), ending }
    }
}

/// The dataset that lives through the rounds.
struct Dataset {
    lanes: Vec<Lane>,
    shared: Shared,
    queues: Queues,
}

impl Dataset {
    fn new(rng: &mut Rng, scripts: bool) -> Self {
        let lanes = (0..LANES).map(|id| Lane::new(id, scripts, rng.fork())).collect();
        Self { lanes, shared: Shared::default(), queues: Queues::default() }
    }
}

/// What the connections of one round have done and found.
#[derive(Default)]
struct Work {
    shared: Vec<shared::Deeds>,
    queues: Vec<queues::Deeds>,
    wrong: Vec<String>,
}

/// Runs all rounds; prints a line for each that fails.
pub fn run(options: &Options) -> Result<Outcome, String> {
    let temp = Temp::new(&options.base, "loop").map_err(|e| format!("no temporary directory: {e}"))?;
    let mut rng = Rng::new(options.seed);
    let mut launch =
        Launch { bin: options.bin.clone(), dir: temp.0.join("data0"), flags: Vec::new(), env: Vec::new() };
    let scripts = begin(&launch)?;
    let mut data = Dataset::new(&mut rng, scripts);
    let mut outcome = Outcome::default();
    for round in 0..options.rounds {
        let manner = Manner::choose(&mut rng, launch.is_redis());
        launch.flags.clone_from(&manner.flags);
        let acks = AtomicU64::new(0);
        let wrong = one_round(options, &launch, &manner, round, &mut data, &mut rng, &acks);
        outcome.acks += acks.into_inner();
        if wrong.is_empty() {
            outcome.passed += 1;
            continue;
        }
        outcome.failed += 1;
        let kept = options.base.join(format!("sessile-crash-failed-{}-{round}", options.seed));
        let _ = std::fs::rename(&launch.dir, &kept);
        println!("round {round} failed ({manner:?}); its directory is kept as {}", kept.display());
        for line in wrong {
            println!("  {line}");
            outcome.violations.push(format!("round {round}: {line}"));
        }
        // The models no longer say what is there: the next round begins with nothing.
        launch.dir = temp.0.join(format!("data{}", round + 1));
        begin(&launch)?;
        data = Dataset::new(&mut rng, scripts);
    }
    Ok(outcome)
}

/// Makes the directory, and asks a server on it whether it knows scripts.
fn begin(launch: &Launch) -> Result<bool, String> {
    std::fs::create_dir_all(&launch.dir).map_err(|e| format!("no data directory: {e}"))?;
    let mut launch = launch.clone();
    launch.flags = if launch.is_redis() { vec!["--appendonly".into(), "yes".into()] } else { Vec::new() };
    let server = launch.start()?;
    let reply = server.connect()?.ask(&["EVAL", "return 'yes'", "0"]);
    Ok(reply.is_ok_and(|reply| bytes(&reply) == Some(b"yes")))
}

fn one_round(
    options: &Options,
    launch: &Launch,
    manner: &Manner,
    round: u64,
    data: &mut Dataset,
    rng: &mut Rng,
    acks: &AtomicU64,
) -> Vec<String> {
    let server = match launch.start() {
        Ok(server) => server,
        Err(why) => return vec![why],
    };
    let began = Instant::now();
    let seen: Vec<AtomicU64> = (0..LANES).map(|_| AtomicU64::new(0)).collect();
    let mut work = work(options, server, manner, round, data, rng, (acks, &seen));
    cut_tail(launch, options.cut_bytes);
    if manner.ending == Ending::KillTwice
        && let Ok((mut child, _)) = launch.spawn()
    {
        std::thread::sleep(Duration::from_micros(rng.below(30_000)));
        let _ = child.kill();
        let _ = child.wait();
    }
    match launch.start() {
        Ok(server) => compare(&server, began, data, &seen, &mut work),
        Err(why) => work.wrong.push(why),
    }
    work.wrong
}

/// Lets all connections work until the server is ended under them. They are opened before, so that none comes when the
/// server is gone already.
fn work(
    options: &Options,
    server: Server,
    manner: &Manner,
    round: u64,
    data: &mut Dataset,
    rng: &mut Rng,
    (acks, seen): (&AtomicU64, &[AtomicU64]),
) -> Work {
    let port = server.port;
    let open_for = |limit| Conn::open(port, limit).map_err(|e| format!("cannot connect: {e:?}"));
    let open = || open_for(Duration::from_secs(20));
    // Blocking pops may wait for as long as the round lasts.
    let open_long = || open_for(ROUND_LIMIT * 2);
    let mut work = Work::default();
    std::thread::scope(|scope| {
        let mut plain: Vec<ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
        let mut on_shared = Vec::new();
        let mut on_queues = Vec::new();
        for (lane, conn) in data.lanes.iter_mut().zip(std::iter::repeat_with(open)) {
            plain.push(scope.spawn(move || lane.write(&mut conn?, acks)));
        }
        for _ in 0..READERS {
            let (mut rng, conn) = (rng.fork(), open());
            plain.push(scope.spawn(move || read_others(&mut conn?, &mut rng, seen)));
        }
        if let Some(conn) = manner.rewrites.then(open) {
            plain.push(scope.spawn(move || rewrite(&mut conn?)));
        }
        for n in 0..COUNTERS + SWAPPERS {
            let (mut rng, conn) = (rng.fork(), open());
            on_shared.push(scope.spawn(move || {
                let mut deeds = shared::Deeds::default();
                let ended = conn.and_then(|mut conn| match n {
                    0..COUNTERS => deeds.count_and_set(&format!("r{round}w{n}"), &mut conn, &mut rng, acks),
                    _ => deeds.compare_and_set(&mut conn, acks),
                });
                (deeds, ended)
            }));
        }
        for n in 0..PRODUCERS + CONSUMERS + MOVERS {
            let (mut rng, conn) = (rng.fork(), open_long());
            on_queues.push(scope.spawn(move || {
                let mut deeds = queues::Deeds::default();
                let ended = conn.and_then(|mut conn| {
                    if n < MOVERS {
                        deeds.relay(n, &mut conn, &mut rng, acks)
                    } else if n < MOVERS + PRODUCERS {
                        deeds.produce(&format!("r{round}p{n}"), &mut conn, &mut rng, acks)
                    } else {
                        deeds.consume(&mut conn, acks)
                    }
                });
                (deeds, ended)
            }));
        }
        work.wrong.extend(wait_and_end(options, server, manner, rng, acks));
        for handle in plain {
            work.wrong.extend(handle.join().unwrap_or_else(|_| Err("a thread panicked".into())).err());
        }
        for (deeds, ended) in on_shared.into_iter().filter_map(|handle| handle.join().ok()) {
            work.shared.push(deeds);
            work.wrong.extend(ended.err());
        }
        for (deeds, ended) in on_queues.into_iter().filter_map(|handle| handle.join().ok()) {
            work.queues.push(deeds);
            work.wrong.extend(ended.err());
        }
    });
    work
}

/// Ends the server at a random moment after enough acknowledgements.
fn wait_and_end(
    options: &Options,
    mut server: Server,
    manner: &Manner,
    rng: &mut Rng,
    acks: &AtomicU64,
) -> Option<String> {
    let began = Instant::now();
    let mut wrong = None;
    while acks.load(Ordering::Relaxed) < options.acks_min {
        if began.elapsed() > ROUND_LIMIT || !server.is_running() {
            let got = acks.load(Ordering::Relaxed);
            wrong = Some(format!("only {got} acknowledgements (process runs: {})", server.is_running()));
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(rng.below(100_000)));
    match manner.ending {
        Ending::Kill | Ending::KillTwice => server.kill(),
        Ending::Term => {
            let is_good = server.stop();
            wrong = wrong.or((!is_good).then(|| "the stop by a signal gave no exit code 0".into()));
        }
    }
    wrong
}

/// Asks for one snapshot after the other until the connection ends.
fn rewrite(conn: &mut Conn) -> Result<(), String> {
    // A refusal because one is being written already is an answer like any other.
    while conn.ask_line("BGREWRITEAOF").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn compare(server: &Server, began: Instant, data: &mut Dataset, seen: &[AtomicU64], work: &mut Work) {
    let mut conn = match server.connect() {
        Ok(conn) => conn,
        Err(why) => return work.wrong.push(why),
    };
    for (lane, seen) in data.lanes.iter_mut().zip(seen) {
        work.wrong.extend(lane.settle(&mut conn, seen.load(Ordering::Relaxed)).err());
    }
    if work.wrong.is_empty() {
        for account in 0..ACCOUNTS {
            let wanted: i64 = data.lanes.iter().map(|lane| lane.share(account)).sum();
            let reply = conn.ask_line(&format!("GET acc:{account}"));
            let found = reply.ok().and_then(|reply| crate::client::number(&reply)).unwrap_or(0);
            if found != wanted {
                work.wrong.push(format!(
                    "account {account} holds {found}, the transfers that are there sum to {wanted}"
                ));
            }
        }
    }
    work.wrong.extend(data.shared.settle(&mut conn, began, &work.shared));
    work.wrong.extend(data.queues.settle(&mut conn, &work.queues));
}

/// The self-test's damage: cuts the end off the newest file of an append-only file.
fn cut_tail(launch: &Launch, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let entries = std::fs::read_dir(launch.dir.join("appendonlydir")).into_iter().flatten().flatten();
    let newest = entries
        .filter(|e| e.path().to_string_lossy().ends_with(".incr.aof"))
        .max_by_key(|e| e.metadata().and_then(|m| m.modified()).ok());
    if let Some(entry) = newest
        && let Ok(file) = std::fs::OpenOptions::new().write(true).open(entry.path())
        && let Ok(meta) = file.metadata()
    {
        let _ = file.set_len(meta.len().saturating_sub(bytes));
    }
}
