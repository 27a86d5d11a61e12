//! The program `crash`: options, and the closing line `N passed, N failed`.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sessile_crash::{disk, memory, rounds, saves, snapshot};

const HELP: &str = "\
crash loop --bin PATH [options]        kill -9 the server round after round, compare with what it acknowledged
crash control [options]                the same for redis-server with appendfsync always
crash disk --bin PATH                  full, locked, read-only and damaged disks (mounts small tmpfs: needs root)
crash saves --bin PATH                 dump.rdb beside commands, disks whose fsync is stuck or fails (builds a shim: needs cc)
crash snapshot --bin PATH [--keys N]   a large dataset, a snapshot under writes, kill -9, a sampled comparison
crash memory --bin PATH [--keys N]     INFO's used_memory compared with the allocator, by type and encoding

  --bin PATH             the server; started as PATH server --port N --dir TMP, or with Redis' own flags where
                         its name starts with redis-server
  --rounds N             kills (100)
  --acks N               acknowledgements before a kill, at least (1000)
  --seed N               replays a run's choices; a new one each time by default
  --keys N               keys (snapshot: 200000, memory: 250000)
  --members N            members of the sorted set (snapshot: 100000)
  --dir PATH             where temporary directories are created
  --cut-bytes N          self-test of control: before each restart, cut so many bytes off the append-only file
";

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| arguments.run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("crash: {why}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    verb: String,
    bin: Option<PathBuf>,
    dir: PathBuf,
    rounds: u64,
    acks: u64,
    seed: u64,
    keys: Option<u64>,
    members: u64,
    cut_bytes: u64,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let clock_seed =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| u64::from(d.subsec_nanos()));
        let mut arguments = Self {
            verb: words.next().unwrap_or_default(),
            bin: None,
            dir: std::env::temp_dir(),
            rounds: 100,
            acks: 1000,
            seed: clock_seed,
            keys: None,
            members: 100_000,
            cut_bytes: 0,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} wants a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} wants a number, not {value:?}"));
            match name.as_str() {
                "--bin" => arguments.bin = Some(PathBuf::from(&value)),
                "--dir" => arguments.dir = PathBuf::from(&value),
                "--rounds" => arguments.rounds = number()?,
                "--acks" => arguments.acks = number()?,
                "--seed" => arguments.seed = number()?,
                "--keys" => arguments.keys = Some(number()?),
                "--members" => arguments.members = number()?,
                "--cut-bytes" => arguments.cut_bytes = number()?,
                _ => return Err(format!("unknown option {name}\n{HELP}")),
            }
        }
        Ok(arguments)
    }

    fn bin(&self) -> Result<&Path, String> {
        self.bin.as_deref().ok_or_else(|| "--bin is missing".to_owned())
    }

    /// Does what was asked; true if nothing failed.
    fn run(&self) -> Result<bool, String> {
        let began = Instant::now();
        let (passed, failed) = match self.verb.as_str() {
            "loop" => return self.kill(self.bin()?),
            "control" => return self.kill(self.bin.as_deref().unwrap_or(Path::new("redis-server"))),
            "disk" => disk::run(&disk::SCENARIOS, self.bin()?, &self.dir),
            "saves" => disk::run(&saves::SCENARIOS, self.bin()?, &self.dir),
            "snapshot" => {
                let keys = self.keys.unwrap_or(200_000);
                snapshot::run(self.bin()?, &self.dir, keys, self.members, self.seed)?
            }
            // Enough that what start-up leaves in the allocator's caches, some 600 KB that the load uses up, does not count.
            "memory" => memory::run(self.bin()?, &self.dir, self.keys.unwrap_or(250_000))?,
            "" | "--help" | "-h" => {
                print!("{HELP}");
                return Ok(true);
            }
            other => return Err(format!("unknown command {other}\n{HELP}")),
        };
        println!("{passed} passed, {failed} failed in {:.1} s", began.elapsed().as_secs_f64());
        Ok(failed == 0)
    }

    fn kill(&self, bin: &Path) -> Result<bool, String> {
        println!("seed {}", self.seed);
        let began = Instant::now();
        let outcome = rounds::run(&rounds::Options {
            bin: bin.to_owned(),
            base: self.dir.clone(),
            rounds: self.rounds,
            seed: self.seed,
            acks_min: self.acks,
            cut_bytes: self.cut_bytes,
        })?;
        println!(
            "{} passed, {} failed in {:.1} s, {} acknowledgements per round",
            outcome.passed,
            outcome.failed,
            began.elapsed().as_secs_f64(),
            outcome.acks / self.rounds.max(1),
        );
        Ok(outcome.failed == 0)
    }
}
