//! A whole run: start both servers, generate, compare, minimise, report.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dataset;
use crate::docs::{self, Version};
use crate::execute::{Executor, Failure, FailureKind, Fault, Setup, Side, Totals};
use crate::generate::{CLASSES, Generator, Material, selectable};
use crate::minimise::{Minimal, minimise, replay_once};
use crate::reply::Reply;
use crate::scripts;
use crate::server::{Conn, Launch, LinkError, Server};
use crate::step::{Step, render, words};

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The reference server.
    pub oracle: Launch,
    /// The server under test.
    pub tested: Launch,
    /// Where data directories are created.
    pub base: PathBuf,
    /// Seed of everything.
    pub seed: u64,
    /// Commands to compare.
    pub commands: u64,
    /// Connections.
    pub conns: usize,
    /// Commands between two comparisons of the datasets; both servers are emptied there.
    pub check_every: u64,
    /// Different failures after which the run ends; 0 is no limit.
    pub stop_after: usize,
    /// Non-error replies that every command must reach.
    pub require: u64,
    /// Kill the server under test at the end, and compare what is left.
    pub restart_kill: bool,
    /// Time for minimising one failure.
    pub minimise_s: u64,
    /// A deliberate fault.
    pub fault: Option<Fault>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Replies found equal.
    pub passed: u64,
    /// The failures, minimised.
    pub failures: Vec<Minimal>,
    /// Other failed checks, in words.
    pub complaints: Vec<String>,
    /// Non-error replies per command.
    pub totals: Totals,
}

impl Outcome {
    /// Number of failed checks.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failures.len() + self.complaints.len()
    }
}

/// Failures of one command after which it is left out.
const PER_COMMAND_MAX: usize = 3;
/// A line about progress is printed this often.
const PROGRESS_S: u64 = 10;

impl Outcome {
    fn absorb(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.complaints.extend(other.complaints);
        self.totals.absorb(&other.totals);
    }
}

/// Splits the commands over `jobs` runs beside each other, each with servers and a seed of its own, counted up from
/// the given one: a single run waits for its servers most of the time.
///
/// # Panics
/// If a run does.
pub fn run_beside(options: &Options, jobs: u64) -> io::Result<Outcome> {
    let share = |of: u64| of.div_ceil(jobs);
    let one = |job: u64| Options {
        seed: options.seed.wrapping_add(job),
        commands: share(options.commands),
        require: share(options.require),
        ..options.clone()
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs).map(|job| scope.spawn(move || run(&one(job)))).collect();
        let mut whole = Outcome::default();
        for job in jobs {
            whole.absorb(job.join().expect("a run does not panic")?);
        }
        Ok(whole)
    })
}

/// Runs and reports to standard output as it goes.
pub fn run(options: &Options) -> io::Result<Outcome> {
    println!("seed {}", options.seed);
    let mut run = Run::start(options)?;
    run.epochs();
    if options.restart_kill && run.outcome.failures.is_empty() {
        run.restart()?;
    }
    run.requirements();
    Ok(run.outcome)
}

struct Run<'a> {
    options: &'a Options,
    oracle: Server,
    tested: Server,
    setup: Setup,
    generator: Generator,
    outcome: Outcome,
    known: BTreeMap<String, usize>,
}

impl<'a> Run<'a> {
    fn start(options: &'a Options) -> io::Result<Self> {
        let oracle = Server::start(options.oracle.clone(), &options.base, "oracle")?;
        let tested = Server::start(options.tested.clone(), &options.base, "tested")?;
        let (mut a, mut b) = (Conn::open(oracle.port)?, Conn::open(tested.port)?);
        let failed = |e| io::Error::other(format!("{e}"));
        a.call(&words(&["HELLO", "3"])).map_err(failed)?;
        b.call(&words(&["HELLO", "3"])).map_err(failed)?;
        let version = Version::of(&mut a).map_err(failed)?;
        let newer = Version::of(&mut b).map_err(failed)? > version;
        let docs_a = docs::read(&mut a, version).map_err(failed)?;
        let mut docs_b = docs::read(&mut b, version).map_err(failed)?;
        if docs_b.is_empty() {
            println!("the server under test has no COMMAND DOCS: using the oracle's");
            docs_b = docs_a.clone();
        }
        let missing = missing(&mut b, &selectable(&docs_a, &docs_a)).map_err(failed)?;
        docs_b.retain(|name, _| !missing.contains(name));
        if !missing.is_empty() {
            println!("not in the server under test: {}", missing.join(" "));
        }
        let commands = selectable(&docs_a, &docs_b);
        println!("{} commands and subcommands, arguments from COMMAND DOCS", commands.len());
        let material = material(&mut a, commands.clone(), options.seed).map_err(failed)?;
        let setup = Setup {
            ports: [oracle.port, tested.port],
            conns: options.conns,
            newer,
            names: docs_a.keys().cloned().collect::<BTreeSet<_>>(),
            fault: options.fault.clone(),
        };
        let mut generator = Generator::new(options.seed, commands, options.conns, material);
        generator.can_unblock = b.call(&words(&["CLIENT", "UNBLOCK", "0"])).map_err(failed)? == Reply::Int(0);
        if !generator.can_unblock {
            println!("no CLIENT UNBLOCK in the server under test: no client is left blocked");
        }
        let (outcome, known) = (Outcome::default(), BTreeMap::new());
        Ok(Self { options, oracle, tested, setup, generator, outcome, known })
    }

    fn epochs(&mut self) {
        let mut progress = Instant::now();
        let start = Instant::now();
        loop {
            let behind = self.generator.prefer_behind(&self.outcome.totals.succeeded, self.options.require);
            let done = self.outcome.passed;
            // A command that is still behind gets as many commands again to catch up.
            let limit = self.options.commands * if behind > 0 && self.options.require > 0 { 2 } else { 1 };
            if done >= limit {
                return;
            }
            if progress.elapsed() > Duration::from_secs(PROGRESS_S) {
                progress = Instant::now();
                let per_s = done * 1000 / (start.elapsed().as_millis() as u64).max(1);
                let seed = self.options.seed;
                println!("seed {seed}: {done} compared, {per_s} per second, {behind} commands behind");
            }
            if let Some(minimal) = self.epoch(self.options.check_every.min(limit - done))
                && !self.record(minimal)
            {
                return;
            }
        }
    }

    /// One run from empty servers to a comparison of the datasets.
    fn epoch(&mut self, commands: u64) -> Option<Minimal> {
        let steps = self.steps(commands);
        let failure = match self.revive() {
            Ok(()) => self.compare(&steps),
            Err(failure) => Some(failure),
        };
        failure.map(|failure| self.shorten(&steps, failure))
    }

    /// New steps for emptied servers, with at least this many commands.
    fn steps(&mut self, commands: u64) -> Vec<Step> {
        self.generator.begin();
        let mut steps = Vec::new();
        let mut size = 0;
        while size < commands {
            let before = steps.len();
            self.generator.next(&mut steps);
            let of = |s: &Step| if let Step::Run { cmds, .. } = s { cmds.len() as u64 } else { 1 };
            size += steps[before..].iter().map(of).sum::<u64>();
        }
        steps
    }

    fn compare(&mut self, steps: &[Step]) -> Option<Failure> {
        let mut executor = match Executor::fresh(&self.setup) {
            Ok(executor) => executor,
            Err(failure) => return Some(failure),
        };
        let result = executor.run(steps, &mut self.outcome.totals);
        self.outcome.passed = self.outcome.totals.passed;
        match result {
            Ok(()) => dataset::compare(&mut executor, steps.len(), self.setup.newer).err(),
            Err(failure) => Some(failure),
        }
    }

    fn shorten(&mut self, steps: &[Step], failure: Failure) -> Minimal {
        println!(
            "\nFAILURE with seed {} in {} ({:?}), minimising {} steps",
            self.options.seed,
            failure.command,
            failure.kind,
            failure.step + 1
        );
        let mut revive = || revive(&mut self.oracle, &mut self.tested);
        let setup = &self.setup;
        let mut replay = |steps: &[Step], deep: bool| match revive() {
            Ok(()) => replay_once(setup, steps, deep),
            Err(failure) => Some(failure),
        };
        minimise(steps, failure, Duration::from_secs(self.options.minimise_s), &mut replay)
    }

    /// Reports a failure; false when the run must end.
    fn record(&mut self, minimal: Minimal) -> bool {
        let culprit = culprit(&minimal);
        // Printed as one, since others may print meanwhile.
        let detail = &minimal.failure.detail;
        if minimal.reproduced {
            println!("minimal script, {} steps:\n{}{detail}", minimal.steps.len(), render(&minimal.steps));
        } else {
            let tail = &minimal.steps[minimal.steps.len().saturating_sub(20)..];
            println!(
                "not reproduced by a replay on emptied servers; the last {} steps were:\n{}{detail}",
                tail.len(),
                render(tail)
            );
        }
        if minimal.failure.kind == FailureKind::Broken(Side::Tested) {
            println!("log of the tested server, its end:\n{}", self.tested.log_tail());
        }
        let seen = self.known.entry(culprit.clone()).or_default();
        *seen += 1;
        if *seen >= PER_COMMAND_MAX {
            println!("{culprit} is left out from now on");
            self.generator.quarantine(&culprit);
        }
        let hopeless = *seen > 4 * PER_COMMAND_MAX || minimal.failure.command == "restart";
        self.outcome.failures.push(minimal);
        !hopeless && (self.options.stop_after == 0 || self.outcome.failures.len() < self.options.stop_after)
    }

    fn revive(&mut self) -> Result<(), Failure> {
        revive(&mut self.oracle, &mut self.tested)
    }

    /// One more run; then kills the server under test, starts it again and compares.
    fn restart(&mut self) -> io::Result<()> {
        let steps = self.steps(self.options.check_every);
        if let Some(failure) = replay_once(&self.setup, &steps, true) {
            self.outcome.complaints.push(format!("before the restart: {}", failure.detail));
            return Ok(());
        }
        self.tested.kill()?;
        self.tested.restart()?;
        // Not `Executor::fresh`, which empties the servers.
        let failed = |e| io::Error::other(format!("{e}"));
        let before = dataset::snapshot(&mut Conn::open(self.oracle.port)?).map_err(failed)?;
        let after = dataset::snapshot(&mut Conn::open(self.tested.port)?).map_err(failed)?;
        // Encodings may change when data is loaded again; values may not.
        match dataset::snapshot_difference(&before, &after, self.setup.newer) {
            Some(detail) => self.outcome.complaints.push(format!("after kill -9 and a restart:\n{detail}")),
            None => {
                let keys: usize = before.iter().map(BTreeMap::len).sum();
                println!("after kill -9 and a restart: the same {keys} keys");
                self.outcome.passed += 1;
            }
        }
        Ok(())
    }

    fn requirements(&mut self) {
        let required = self.options.require;
        if required == 0 || self.generator.prefer_behind(&self.outcome.totals.succeeded, required) == 0 {
            return;
        }
        for name in self.generator.behind_names() {
            let count = |of: &BTreeMap<String, u64>| of.get(name).copied().unwrap_or(0);
            let (got, seen) = (count(&self.outcome.totals.succeeded), count(&self.outcome.totals.seen));
            self.outcome
                .complaints
                .push(format!("{name}: {got} of {required} required non-error replies ({seen} replies)"));
        }
    }
}

/// Starts a server again that has ended; the failure of the oracle is the tester's own.
fn revive(oracle: &mut Server, tested: &mut Server) -> Result<(), Failure> {
    for (server, side) in [(oracle, Side::Oracle), (tested, Side::Tested)] {
        if !server.alive()
            && let Err(e) = server.restart()
        {
            let detail = format!("  cannot restart: {e}");
            return Err(Failure {
                step: 0,
                command: "restart".to_owned(),
                kind: FailureKind::Broken(side),
                detail,
            });
        }
    }
    Ok(())
}

/// The command to blame: the failing one, or the last of a sequence that leaves different data.
fn culprit(minimal: &Minimal) -> String {
    let last = minimal.steps.iter().rev().find_map(|s| match s {
        Step::Run { cmds, .. } => cmds.last().map(|c| c.words.clone()),
        Step::Block { cmd, .. } => Some(cmd.words.clone()),
        _ => None,
    });
    match (minimal.failure.kind, last) {
        (FailureKind::Dataset | FailureKind::Broken(_) | FailureKind::Silent(_), Some(words))
            if minimal.reproduced =>
        {
            let word = |i: usize| {
                words.get(i).map(|w| String::from_utf8_lossy(w).to_lowercase()).unwrap_or_default()
            };
            match word(0).as_str() {
                "xgroup" | "function" | "script" => format!("{}|{}", word(0), word(1)),
                name => name.to_owned(),
            }
        }
        _ => minimal.failure.command.clone(),
    }
}

/// The commands that a server does not know, whatever its docs say.
fn missing(tested: &mut Conn, commands: &[docs::CommandDoc]) -> Result<Vec<String>, LinkError> {
    let mut missing = Vec::new();
    for command in commands {
        let parts: Vec<&str> = command.name.split('|').collect();
        let reply = tested.call(&words(&parts))?.text().to_lowercase();
        if reply.starts_with("err unknown command") || reply.starts_with("err unknown subcommand") {
            missing.push(command.name.clone());
        }
    }
    Ok(missing)
}

/// Digests, payloads and libraries, made on the oracle.
fn material(oracle: &mut Conn, commands: Vec<docs::CommandDoc>, seed: u64) -> Result<Material, LinkError> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    let mut material = Material { now_ms, ..Material::default() };
    for reply in oracle.call_many(&scripts::preload())? {
        // A script that does not compile keeps its place with a digest of nothing.
        if let Reply::Bulk(digest) | Reply::Error(digest) = reply {
            let digest = if digest.len() == 40 { digest } else { b"0".repeat(40) };
            material.digests.push(digest);
        }
    }
    // The last one is the library's name, not a digest.
    material.digests.truncate(scripts::PURE.len() + 2);
    if let Reply::Bulk(dump) = oracle.call(&words(&["FUNCTION", "DUMP"]))? {
        material.libraries.push(dump);
    }
    let mut source = Generator::new(seed ^ 0x5eed, commands, 1, material.clone());
    for class in CLASSES {
        for _ in 0..8 {
            oracle.call(&words(&["FLUSHALL"]))?;
            let mut write = source.seed_key(*class);
            if write.len() > 1 {
                write[1] = b"k".to_vec();
                oracle.call(&write)?;
            }
            if let Reply::Bulk(payload) = oracle.call(&words(&["DUMP", "k"]))? {
                material.payloads.push((*class, payload));
            }
        }
    }
    oracle.call(&words(&["FLUSHALL"]))?;
    Ok(material)
}

/// Loads a random dataset into a running server: commands accepted and refused.
pub fn load(port: u16, count: u64, seed: u64) -> io::Result<(u64, u64)> {
    let failed = |e| io::Error::other(format!("{e}"));
    let mut conn = Conn::open(port)?;
    conn.call(&words(&["HELLO", "3"])).map_err(failed)?;
    let commands = docs::read(&mut conn, Version(7, 0, 15)).map_err(failed)?;
    let mut generator = Generator::new(seed, selectable(&commands, &commands), 1, Material::default());
    generator.keys = usize::try_from(count / 40).unwrap_or(usize::MAX).max(4);
    let (mut accepted, mut refused) = (0, 0);
    let mut left = count;
    while left > 0 {
        let run = left.min(1000);
        let batch: Vec<_> = (0..run).map(|_| generator.write_command().words).collect();
        for reply in conn.call_many(&batch).map_err(failed)? {
            *(if reply.is_error() { &mut refused } else { &mut accepted }) += 1;
        }
        left -= run;
    }
    Ok((accepted, refused))
}
