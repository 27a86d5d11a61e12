//! The program `differ`: options, and the closing line `N passed, N failed`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use sessile_differ::execute::Fault;
use sessile_differ::run::{self, Options};
use sessile_differ::server::Launch;

const HELP: &str = "\
differ --bin PATH [options]            compare a server with a reference redis-server
differ load --port N [options]         load a random dataset into a running server
differ rules                           print how replies are compared, and why

  --bin PATH             the server under test; started as PATH server --port N --dir TMP, or with
                         Redis' own flags where its name starts with redis-server
  --bin-args \"WORDS\"     how to start it instead; {port} and {dir} are replaced
  --oracle PATH          the reference (redis-server)
  --seed N               replays a run; a new one each time by default
  --commands N           commands to compare (100000)
  --jobs N               so many runs beside each other, with seeds counted up, that share the commands (1)
  --connections N        clients, every second one in RESP3 (4)
  --check-every N        commands between two comparisons of the datasets (10000)
  --stop-after N         different failures after which the run ends, 0 for never (1)
  --require N            fail unless every command got N non-error replies (0)
  --restart kill         at the end kill -9 the server under test, restart it, compare the datasets
  --minimise-seconds N   time for minimising one failure (60)
  --dir PATH             where temporary data directories are created
  --corrupt COMMAND      self-test: change this command's replies before they are compared
  --drop COMMAND         self-test: do not send this command to the server under test
  --counts               print replies per command at the end
  --count N, --port N    for load: commands, and the server's port (10000, 6379)
";

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments.run().unwrap_or_else(|e| {
            eprintln!("differ: {e}");
            ExitCode::from(2)
        }),
        Err(why) => {
            eprintln!("differ: {why}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    mode: String,
    bin: Option<PathBuf>,
    bin_args: Option<String>,
    oracle: PathBuf,
    restart: bool,
    counts: bool,
    count: u64,
    port: u16,
    jobs: u64,
    options: Options,
}

impl Arguments {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words.peekable();
        let mode = words.next_if(|w| !w.starts_with('-')).unwrap_or_else(|| "compare".to_owned());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| u64::from(d.subsec_nanos()));
        let placeholder = Launch { program: PathBuf::new(), args: Vec::new() };
        let mut all = Self {
            mode,
            bin: None,
            bin_args: None,
            oracle: PathBuf::from("redis-server"),
            restart: false,
            counts: false,
            count: 10_000,
            port: 6379,
            jobs: 1,
            options: Options {
                oracle: placeholder.clone(),
                tested: placeholder,
                base: std::env::temp_dir(),
                seed: clock,
                commands: 100_000,
                conns: 4,
                check_every: 10_000,
                stop_after: 1,
                require: 0,
                restart_kill: false,
                minimise_s: 60,
                fault: None,
            },
        };
        while let Some(flag) = words.next() {
            all.flag(&flag, &mut words)?;
        }
        Ok(all)
    }

    fn flag(&mut self, flag: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        if flag == "--counts" {
            self.counts = true;
            return Ok(());
        }
        if flag == "--help" {
            return Err("options:".to_owned());
        }
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let options = &mut self.options;
        match flag {
            "--bin" => self.bin = Some(PathBuf::from(value)),
            "--bin-args" => self.bin_args = Some(value),
            "--oracle" => self.oracle = PathBuf::from(value),
            "--seed" => options.seed = number(flag, &value)?,
            "--commands" => options.commands = number(flag, &value)?,
            "--jobs" => self.jobs = number::<u64>(flag, &value)?.clamp(1, 64),
            "--connections" => options.conns = number::<usize>(flag, &value)?.clamp(1, 64),
            "--check-every" => options.check_every = number::<u64>(flag, &value)?.max(1),
            "--stop-after" => options.stop_after = number(flag, &value)?,
            "--require" => options.require = number(flag, &value)?,
            "--minimise-seconds" => options.minimise_s = number(flag, &value)?,
            "--dir" => options.base = PathBuf::from(value),
            "--corrupt" => options.fault = Some(Fault::Corrupt(value.to_lowercase())),
            "--drop" => options.fault = Some(Fault::Drop(value.to_lowercase())),
            "--restart" if value == "kill" => self.restart = true,
            "--restart" => return Err(format!("--restart {value}: only kill is known")),
            "--count" => self.count = number(flag, &value)?,
            "--port" => self.port = number(flag, &value)?,
            _ => return Err(format!("{flag} is no option")),
        }
        Ok(())
    }

    fn run(mut self) -> std::io::Result<ExitCode> {
        match self.mode.as_str() {
            "compare" => {}
            "load" => {
                let (accepted, refused) = run::load(self.port, self.count, self.options.seed)?;
                println!("seed {}, {refused} commands refused by the server's own rules", self.options.seed);
                println!("{accepted} passed, 0 failed");
                return Ok(ExitCode::SUCCESS);
            }
            "rules" => {
                for (name, rule, why) in sessile_differ::rules::RULES {
                    let rule = format!("{rule:?}");
                    println!("{name:24} {:14} {why}", rule.split('(').next().unwrap_or_default());
                }
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(std::io::Error::other(format!("{other}: only load and rules are known"))),
        }
        let bin = self.bin.take().ok_or_else(|| std::io::Error::other("--bin PATH is missing"))?;
        self.options.oracle = Launch::new(&self.oracle, false);
        self.options.tested = Launch::new(&bin, self.restart);
        if let Some(text) = &self.bin_args {
            self.options.tested.args = text.split(' ').map(str::to_owned).collect();
        }
        self.options.restart_kill = self.restart;
        let outcome = run::run_beside(&self.options, self.jobs)?;
        if self.counts {
            for (name, seen) in &outcome.totals.seen {
                println!("{name:28} {seen:9} {:9}", outcome.totals.succeeded.get(name).unwrap_or(&0));
            }
        }
        outcome.complaints.iter().for_each(|c| println!("{c}"));
        println!("{} passed, {} failed", outcome.passed, outcome.failed());
        Ok(if outcome.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} {value}: not a number in range"))
}
