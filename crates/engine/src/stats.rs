//! Counters and facts behind INFO, SLOWLOG, LATENCY and the metrics page.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sessile_command::{Error, Flags};
use sessile_config::Config;
use sessile_resp::Args;

use crate::admin::Writing;
use crate::dispatch::Ended;
use crate::engine::Engine;
use crate::session::ConnId;
use crate::table::Entry;

/// Most arguments of a slow command that are kept, and most bytes of each: Redis' own bounds.
const SLOW_ARGS_MAX: usize = 32;
const SLOW_ARG_BYTES_MAX: usize = 128;
/// Samples kept for one latency event: Redis' own bound.
const LATENCY_SAMPLES_MAX: usize = 160;
/// Seconds for which the longest buffers are remembered: Redis' own bound.
const BUFFERS_SECONDS: usize = 8;
/// Kinds of error replies counted apart, so that a client cannot make up codes without end.
const ERROR_KINDS_MAX: usize = 128;

/// The place of a value in a histogram by power of two: that of its number of bits.
fn bucket_of(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()).min(31) as usize
}

/// Counters of one command.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Time it took in all, in microseconds.
    pub usec: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and replied with an error.
    pub failed: u64,
    /// Durations by power of two of microseconds.
    pub histogram: [u64; 32],
}

/// One line of SLOWLOG.
#[derive(Clone, Debug)]
pub struct Slow {
    /// Its number.
    pub id: u64,
    /// When it ran, milliseconds since the epoch.
    pub at_ms: u64,
    /// How long it took, in microseconds.
    pub usec: u64,
    /// Its arguments, cut.
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// CLIENT SETNAME of who sent it.
    pub name: Vec<u8>,
}

/// One event of LATENCY: samples of (second, milliseconds), and the worst ever.
#[derive(Clone, Debug, Default)]
pub struct LatencyEvent {
    /// The newest samples.
    pub samples: VecDeque<(u64, u64)>,
    /// The worst, in milliseconds.
    pub max_ms: u64,
}

/// Writes the directives into the configuration file; an error is one sentence.
pub(crate) type RewriteConfig = fn(&str, &Config) -> Result<(), String>;

/// Applies directives that CONFIG SET has changed to the process. An error names the directive and says why.
pub(crate) type ApplyConfig = fn(&Config, &[&'static str]) -> Result<(), (&'static str, String)>;

/// What the system says about the process, read when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFacts {
    /// Memory that the allocator handed out, in bytes; 0 where unknown.
    pub allocated_bytes: usize,
    /// Memory of the pages that hold it.
    pub active_bytes: usize,
    /// Memory that the allocator has resident, what it keeps for later included.
    pub resident_bytes: usize,
    /// Resident memory, in bytes.
    pub rss_bytes: usize,
    /// Memory of the machine or its cgroup, in bytes.
    pub system_bytes: usize,
    /// Processor time of the process, system and user, in microseconds.
    pub cpu_us: (u64, u64),
    /// The same of the data thread alone.
    pub thread_cpu_us: (u64, u64),
}

/// What the server knows and INFO tells, and what it does for commands; the server keeps it true.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// CONFIG REWRITE.
    pub rewrite_config: RewriteConfig,
    /// CONFIG SET.
    pub apply_config: ApplyConfig,
    /// Asks the system.
    pub ask_system: fn() -> SystemFacts,
    /// Name, release and machine of the system.
    pub os: String,
    /// The service manager that is told of readiness, or `no`.
    pub supervised: &'static str,
    /// How many clients the system has descriptors for, if so many are asked for: at most as many.
    pub room_for_clients: fn(usize) -> usize,
    /// The executable.
    pub executable: String,
    /// The configuration file, or nothing.
    pub config_file: String,
    /// What the data may take where `maxmemory` is not set, in bytes; 0 for no bound.
    pub memory_ceiling_bytes: u64,
    /// `dump.rdb`.
    pub dump: Writing,
    /// The journal's snapshot.
    pub snapshot: Writing,
    /// Journal: written and durable LSN.
    pub progress: (u64, u64),
    /// Journal: syncs that took so long that relaxed writes, too, had to wait for them.
    pub syncs_delayed: u64,
    /// Journal: bytes that were handed over and are not written.
    pub queued_bytes: u64,
    /// Journal: bytes since the last snapshot.
    pub journal_bytes: u64,
    /// Journal: size of the last snapshot.
    pub snapshot_bytes: u64,
    /// Whether anything is still being loaded.
    pub loading: bool,
}

impl Default for ServerFacts {
    fn default() -> Self {
        Self {
            rewrite_config: |_, _| Err("this node writes no files".into()),
            apply_config: |_, _| Ok(()),
            ask_system: SystemFacts::default,
            os: std::env::consts::OS.to_owned(),
            supervised: "no",
            room_for_clients: |asked| asked,
            executable: String::new(),
            config_file: String::new(),
            memory_ceiling_bytes: 0,
            dump: Writing::default(),
            snapshot: Writing::default(),
            progress: (0, 0),
            syncs_delayed: 0,
            queued_bytes: 0,
            journal_bytes: 0,
            snapshot_bytes: 0,
            loading: false,
        }
    }
}

/// Counters since the start or CONFIG RESETSTAT.
#[derive(Clone, Debug)]
pub struct Stats {
    /// When the engine started, milliseconds since the epoch.
    pub started_ms: u64,
    /// Memory that is there before any data, in bytes.
    pub base_bytes: usize,
    /// Connections taken in.
    pub connections: u64,
    /// Connections refused.
    pub rejected: u64,
    /// Most connections at once.
    pub connected_max: usize,
    /// Commands processed.
    pub commands: u64,
    /// Reads from sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Failed AUTH.
    pub auth_refused: u64,
    /// Most memory ever used.
    pub peak_bytes: usize,
    /// Bytes received.
    pub net_in: u64,
    /// Bytes sent.
    pub net_out: u64,
    /// Lookups that found a key.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Keys expired.
    pub expired: u64,
    /// Turns of expiry that were used up with keys still due.
    pub expiry_turns_full: u64,
    /// Time that expiry by itself took, in microseconds.
    pub expiry_us: u64,
    /// Share of due keys among those that expiry looked at, in percent, the newest turns weighing most.
    pub stale_percent: f64,
    /// Keys evicted.
    pub evicted: u64,
    /// Connections closed for `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Time that memory was above its limit, in milliseconds, up to `short_since_ms`.
    pub short_ms: u64,
    /// Since when it is; 0 for not.
    pub short_since_ms: u64,
    /// Memory of the connections when it was last looked at, in bytes.
    pub client_bytes: usize,
    /// Values and entries that were freed in turns before the counters were set to zero.
    pub lazily_freed_before: u64,
    /// The same for syncs that were delayed.
    pub syncs_delayed_before: u64,
    /// The longest input and output of a connection in each of the last seconds, with that second.
    pub buffers: VecDeque<(u64, usize, usize)>,
    /// Malformed requests.
    pub protocol_errors: u64,
    /// Connections closed for their input.
    pub input_limit_closed: u64,
    /// Connections closed for their output.
    pub output_limit_closed: u64,
    /// Error replies by code.
    pub errors: BTreeMap<Vec<u8>, u64>,
    /// Error replies in all.
    pub error_replies: u64,
    /// How long runs of replies were held back for the journal, by power of two of microseconds.
    pub held_back: [u64; 32],
    /// The sum of these times, in microseconds.
    pub held_back_us: u64,
    /// By command, in the table's order.
    pub by_command: Vec<CommandStats>,
    /// SLOWLOG, newest first.
    pub slow: VecDeque<Slow>,
    /// The next line's number.
    pub slow_next: u64,
    /// LATENCY.
    pub latency: HashMap<&'static str, LatencyEvent>,
    /// Commands in each of the last 16 tenths of a second, for `instantaneous_ops_per_sec`.
    pub samples: VecDeque<(u64, u64, u64, u64)>,
}

impl Stats {
    /// All zero.
    pub fn new(entries: usize) -> Self {
        Self {
            started_ms: 0,
            base_bytes: 0,
            connections: 0,
            rejected: 0,
            connected_max: 0,
            commands: 0,
            reads: 0,
            writes: 0,
            auth_refused: 0,
            peak_bytes: 0,
            net_in: 0,
            net_out: 0,
            hits: 0,
            misses: 0,
            expired: 0,
            expiry_turns_full: 0,
            expiry_us: 0,
            stale_percent: 0.0,
            evicted: 0,
            evicted_clients: 0,
            short_ms: 0,
            short_since_ms: 0,
            client_bytes: 0,
            lazily_freed_before: 0,
            syncs_delayed_before: 0,
            buffers: VecDeque::new(),
            protocol_errors: 0,
            input_limit_closed: 0,
            output_limit_closed: 0,
            errors: BTreeMap::new(),
            error_replies: 0,
            held_back: [0; 32],
            held_back_us: 0,
            by_command: vec![CommandStats::default(); entries],
            slow: VecDeque::new(),
            slow_next: 0,
            latency: HashMap::new(),
            samples: VecDeque::new(),
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        let fresh = Stats::new(self.by_command.len());
        let kept = std::mem::replace(self, fresh);
        self.started_ms = kept.started_ms;
        self.base_bytes = kept.base_bytes;
        self.peak_bytes = kept.peak_bytes;
        self.client_bytes = kept.client_bytes;
        self.short_since_ms = kept.short_since_ms;
        (self.slow, self.slow_next, self.latency) = (kept.slow, kept.slow_next, kept.latency);
    }

    /// A run of replies was held back for the journal.
    pub(crate) fn note_held_back(&mut self, usec: u64) {
        self.held_back[bucket_of(usec)] += 1;
        self.held_back_us += usec;
    }

    /// How long memory has been above its limit this time, in milliseconds.
    pub fn short_ms_of(&self, now_ms: u64) -> u64 {
        if self.short_since_ms == 0 { 0 } else { now_ms.saturating_sub(self.short_since_ms) }
    }

    /// Notes how long a connection's input and output are.
    pub fn note_buffers(&mut self, now_s: u64, input: usize, output: usize) {
        match self.buffers.back_mut() {
            Some((second, most_input, most_output)) if *second == now_s => {
                *most_input = input.max(*most_input);
                *most_output = output.max(*most_output);
            }
            _ => {
                self.buffers.push_back((now_s, input, output));
                if self.buffers.len() > BUFFERS_SECONDS {
                    self.buffers.pop_front();
                }
            }
        }
    }

    /// The longest input and output of a connection in the last seconds.
    pub fn longest_buffers(&self, now_s: u64) -> (usize, usize) {
        let recent = self.buffers.iter().filter(|(second, ..)| second + BUFFERS_SECONDS as u64 > now_s);
        recent.fold((0, 0), |(input, output), &(_, i, o)| (input.max(i), output.max(o)))
    }

    fn count_error(&mut self, error: &Error) {
        self.error_replies += 1;
        let code = error.code();
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_KINDS_MAX {
            self.errors.insert(code.to_vec(), 1);
        }
    }

    /// A command ran and replied with an error.
    pub fn note_error(&mut self, index: usize, error: &Error) {
        self.by_command[index].failed += 1;
        self.count_error(error);
    }

    /// A command was refused before it ran.
    pub fn note_refusal(&mut self, index: Option<usize>, error: &Error) {
        if let Some(index) = index {
            self.by_command[index].rejected += 1;
        }
        self.count_error(error);
    }

    /// Adds a sample to LATENCY's history of an event.
    pub fn note_latency(&mut self, event: &'static str, at_s: u64, ms: u64) {
        let it = self.latency.entry(event).or_default();
        it.max_ms = it.max_ms.max(ms);
        match it.samples.back_mut() {
            Some((second, worst)) if *second == at_s => *worst = (*worst).max(ms),
            _ => it.samples.push_back((at_s, ms)),
        }
        if it.samples.len() > LATENCY_SAMPLES_MAX {
            it.samples.pop_front();
        }
    }
}

impl Engine {
    /// Notes how long a command took, and keeps it in the slow log where that is too long.
    pub(crate) fn note_time(
        &mut self,
        conn: ConnId,
        entry: &'static Entry,
        args: Args<'_>,
        usec: u64,
        ended: &Ended,
    ) {
        if matches!(ended, Ended::Waits(_)) {
            return;
        }
        self.stats.commands += 1;
        let it = &mut self.stats.by_command[entry.index];
        it.calls += 1;
        it.usec += usec;
        if self.settings.tracks_latency {
            it.histogram[bucket_of(usec)] += 1;
        }
        if self.settings.slow_us >= 0
            && usec as i64 >= self.settings.slow_us
            && !entry.command.flags.has(Flags::SKIP_SLOWLOG)
        {
            self.note_slow(conn, args, usec);
        }
        if self.settings.latency_ms > 0 && usec / 1000 >= self.settings.latency_ms {
            let event = if entry.command.flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.stats.note_latency(event, self.clock.now_ms() / 1000, usec / 1000);
        }
    }

    fn note_slow(&mut self, conn: ConnId, args: Args<'_>, usec: u64) {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for (index, arg) in args.iter().enumerate() {
            if index == SLOW_ARGS_MAX - 1 && args.len() > SLOW_ARGS_MAX {
                kept.push(format!("... ({} more arguments)", args.len() - index).into_bytes());
                break;
            }
            let mut cut = arg[..arg.len().min(SLOW_ARG_BYTES_MAX)].to_vec();
            if arg.len() > SLOW_ARG_BYTES_MAX {
                cut.extend_from_slice(
                    format!("... ({} more bytes)", arg.len() - SLOW_ARG_BYTES_MAX).as_bytes(),
                );
            }
            kept.push(cut);
        }
        let (addr, name) =
            self.session(conn).map_or_else(Default::default, |s| (s.peer.addr.clone(), s.name.clone()));
        let id = self.stats.slow_next;
        self.stats.slow_next += 1;
        self.stats.slow.push_front(Slow { id, at_ms: self.clock.now_ms(), usec, args: kept, addr, name });
        self.stats.slow.truncate(self.settings.slow_max);
    }
}
