//! Every family of metrics, by group. `docs/METRICS.md` is this table.

use sessile_engine::{JournalState, Stage, Writing};

use super::families::{COARSE, COUNTS, FINE, Family, Kind, Samples, Source};
use super::process;

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Family {
    Family { name, kind, labels, help, source }
}

/// A family with one sample, from the data thread or the journal.
macro_rules! one {
    ($kind:ident, $name:literal, $source:ident, |$from:ident| $value:expr, $help:literal) => {
        family($name, Kind::$kind, &[], Source::$source(|$from, out| out.one($value as f64)), $help)
    };
}

/// The groups, each with its heading.
pub(super) const GROUPS: &[(&str, &[Family])] = &[
    ("Process", PROCESS),
    ("Commands", COMMANDS),
    ("Memory and keys", KEYS),
    ("Journal", JOURNAL),
    ("Snapshots and dump.rdb", SAVES),
    ("Clients", CLIENTS),
];

const PROCESS: &[Family] = &[
    family(
        "sessile_build_info",
        Kind::Gauge,
        &["version", "redis_version"],
        Source::Process(|out| out.add(&[env!("CARGO_PKG_VERSION"), sessile_engine::REDIS_VERSION], 1.0)),
        "Always 1; the labels say what runs.",
    ),
    family(
        "sessile_loading",
        Kind::Gauge,
        &[],
        Source::Process(|out| out.one(f64::from(u8::from(!crate::progress::is_serving())))),
        "1 until everything is recovered or loaded, then 0.",
    ),
    family(
        "sessile_loading_ratio",
        Kind::Gauge,
        &[],
        Source::Process(|out| out.one(process::loading_ratio())),
        "How much of the journal or dump.rdb is loaded, from 0 to 1.",
    ),
    family(
        "process_resident_memory_bytes",
        Kind::Gauge,
        &[],
        Source::Process(|out| out.one(process::resident_bytes() as f64)),
        "Memory of the process that is resident (RSS).",
    ),
    family(
        "process_cpu_seconds_total",
        Kind::Counter,
        &[],
        Source::Process(|out| out.one(process::cpu_s())),
        "Processor time of all threads, user and system.",
    ),
    family(
        "process_open_fds",
        Kind::Gauge,
        &[],
        Source::Process(|out| out.one(process::open_files() as f64)),
        "Open file descriptors; each connection has one.",
    ),
    one!(
        Gauge,
        "process_start_time_seconds",
        Engine,
        |n| n.engine.started_ms / 1000,
        "When the node started, seconds since the epoch."
    ),
    one!(
        Gauge,
        "sessile_ready",
        Engine,
        |n| u8::from(n.not_ready.is_none()),
        "1 while `/health/ready` is 200, else 0."
    ),
    one!(
        Gauge,
        "sessile_clock_ahead_seconds",
        Engine,
        |n| n.engine.clock_ahead_ms as f64 / 1000.0,
        "How far the engine's clock, which never goes back, is ahead of the system's."
    ),
];

const COMMANDS: &[Family] = &[
    one!(
        Counter,
        "sessile_commands_processed_total",
        Engine,
        |n| n.engine.stats.commands,
        "Commands that ran, those inside scripts included; refused ones are not."
    ),
    family(
        "sessile_command_calls_total",
        Kind::Counter,
        &["command"],
        Source::Engine(|n, out| {
            n.engine.commands.iter().for_each(|(name, it)| out.add(&[name], it.calls as f64));
        }),
        "Times that a command ran; subcommands behind their container and a bar.",
    ),
    family(
        "sessile_command_seconds_total",
        Kind::Counter,
        &["command"],
        Source::Engine(|n, out| {
            n.engine.commands.iter().for_each(|(name, it)| out.add(&[name], it.usec as f64 / 1e6));
        }),
        "Time that a command took on the data thread, without the wait for the journal.",
    ),
    family(
        "sessile_command_rejected_total",
        Kind::Counter,
        &["command"],
        Source::Engine(|n, out| {
            n.engine.commands.iter().for_each(|(name, it)| out.add(&[name], it.rejected as f64));
        }),
        "Times that a command was refused before it ran.",
    ),
    family(
        "sessile_command_failed_total",
        Kind::Counter,
        &["command"],
        Source::Engine(|n, out| {
            n.engine.commands.iter().for_each(|(name, it)| out.add(&[name], it.failed as f64));
        }),
        "Times that a command ran and replied with an error.",
    ),
    family(
        "sessile_command_duration_seconds",
        Kind::Histogram,
        &["command"],
        Source::Engine(|n, out| {
            for (name, it) in &n.engine.commands {
                out.histogram(&[name], &it.histogram, it.usec, COARSE);
            }
        }),
        "How long single calls took on the data thread.",
    ),
    family(
        "sessile_errors_total",
        Kind::Counter,
        &["code"],
        Source::Engine(|n, out| {
            for (code, count) in &n.engine.stats.errors {
                out.add(&[&String::from_utf8_lossy(code)], *count as f64);
            }
        }),
        "Error replies by their first word, at most 128 different ones.",
    ),
];

const KEYS: &[Family] = &[
    one!(
        Gauge,
        "sessile_memory_used_bytes",
        Engine,
        |n| n.engine.used_bytes + n.clients.heap_bytes,
        "Memory of data, buffers and connections, as INFO's `used_memory`."
    ),
    one!(
        Gauge,
        "sessile_memory_data_bytes",
        Engine,
        |n| n.engine.used_bytes,
        "What is compared with the limit: data and the journal's buffer."
    ),
    one!(
        Gauge,
        "sessile_memory_entries_bytes",
        Engine,
        |n| n.engine.dataset_bytes,
        "Memory of keys and values alone."
    ),
    one!(
        Gauge,
        "sessile_memory_limit_bytes",
        Engine,
        |n| n.engine.limit_bytes,
        "`maxmemory`, or where that is 0 85 % of the machine's or control group's memory."
    ),
    one!(
        Gauge,
        "sessile_memory_clients_bytes",
        Engine,
        |n| n.clients.heap_bytes,
        "Memory of the connections' buffers."
    ),
    one!(
        Gauge,
        "sessile_memory_scripts_bytes",
        Engine,
        |n| n.engine.scripts_bytes,
        "Memory of the Lua interpreter and cached scripts."
    ),
    family(
        "sessile_keys",
        Kind::Gauge,
        &["db", "type"],
        Source::Engine(|n, out| {
            for db in &n.engine.dbs {
                let number = db.db.to_string();
                db.by_type.iter().for_each(|(kind, count)| out.add(&[&number, kind], *count as f64));
            }
        }),
        "Keys by db and type, in db 0 and the dbs that have keys.",
    ),
    family(
        "sessile_keys_expiring",
        Kind::Gauge,
        &["db"],
        Source::Engine(|n, out| {
            n.engine.dbs.iter().for_each(|db| out.add(&[&db.db.to_string()], db.expiring as f64));
        }),
        "Keys with an expiry, by db.",
    ),
    one!(Counter, "sessile_expired_keys_total", Engine, |n| n.engine.stats.expired, "Keys that expired."),
    one!(
        Counter,
        "sessile_evicted_keys_total",
        Engine,
        |n| n.engine.stats.evicted,
        "Keys evicted because memory was at its limit."
    ),
    one!(
        Counter,
        "sessile_keyspace_hits_total",
        Engine,
        |n| n.engine.stats.hits,
        "Lookups that found a key."
    ),
    one!(
        Counter,
        "sessile_keyspace_misses_total",
        Engine,
        |n| n.engine.stats.misses,
        "Lookups that found none."
    ),
];

const JOURNAL: &[Family] = &[
    family(
        "sessile_journal_state",
        Kind::Gauge,
        &["state"],
        Source::Engine(|n, out| {
            let state = match n.engine.journal_state {
                _ if !n.engine.journaled => "off",
                JournalState::Open => "ok",
                JournalState::Refusing(_) => "refusing",
                JournalState::Failed(_) => "failed",
            };
            for it in ["off", "ok", "refusing", "failed"] {
                out.add(&[it], f64::from(u8::from(it == state)));
            }
        }),
        "1 for the state it is in: off (`appendonly no`), ok, refusing (for now, as with a full disk), failed (until a restart).",
    ),
    one!(
        Counter,
        "sessile_journal_commits_total",
        Journal,
        |j| j.figures.commits,
        "Syncs that made transactions durable."
    ),
    one!(Counter, "sessile_journal_records_total", Journal, |j| j.figures.records, "Records written."),
    one!(Counter, "sessile_journal_bytes_total", Journal, |j| j.figures.bytes, "Bytes of records written."),
    family(
        "sessile_journal_commit_transactions",
        Kind::Histogram,
        &[],
        Source::Journal(|j, out| {
            let it = &j.figures.commit_transactions;
            out.histogram(&[], &it.buckets, it.sum, COUNTS);
        }),
        "Transactions that one commit made durable.",
    ),
    family(
        "sessile_journal_fsync_seconds",
        Kind::Histogram,
        &[],
        Source::Journal(|j, out| out.histogram(&[], &j.figures.sync_us.buckets, j.figures.sync_us.sum, FINE)),
        "How long fsync took, failed ones included.",
    ),
    family(
        "sessile_gate_wait_seconds",
        Kind::Histogram,
        &[],
        Source::Engine(|n, out| {
            out.histogram(&[], &n.engine.stats.held_back, n.engine.stats.held_back_us, FINE);
        }),
        "How long replies were held back for the journal; replies of one connection that wait for the same commit count once.",
    ),
    one!(
        Gauge,
        "sessile_journal_last_commit_age_seconds",
        Journal,
        |j| j.figures.since_commit.as_secs_f64(),
        "Since the last commit, or since the start. It grows while nobody writes."
    ),
    one!(
        Gauge,
        "sessile_journal_fsync_running_seconds",
        Journal,
        |j| j.figures.sync_under_way.unwrap_or_default().as_secs_f64(),
        "How long the fsync that is under way has taken so far; 0 without one."
    ),
    one!(
        Gauge,
        "sessile_journal_pending_bytes",
        Journal,
        |j| j.figures.queued_bytes,
        "Bytes handed to the journal and not yet written."
    ),
    one!(
        Gauge,
        "sessile_journal_last_lsn",
        Engine,
        |n| n.engine.last_lsn,
        "Number of the newest transaction."
    ),
    one!(
        Gauge,
        "sessile_journal_written_lsn",
        Journal,
        |j| j.progress.written,
        "Up to here a crash of the process loses nothing."
    ),
    one!(
        Gauge,
        "sessile_journal_durable_lsn",
        Journal,
        |j| j.progress.durable,
        "Up to here a power cut loses nothing."
    ),
    one!(
        Gauge,
        "sessile_journal_size_bytes",
        Journal,
        |j| j.sizes.journal_bytes,
        "Bytes of records since the last snapshot: what a recovery reads beside it."
    ),
    one!(
        Gauge,
        "sessile_journal_snapshot_bytes",
        Journal,
        |j| j.sizes.snapshot_bytes,
        "Size of the newest snapshot."
    ),
    family(
        "sessile_journal_segments",
        Kind::Gauge,
        &["state"],
        Source::Journal(|j, out| {
            out.add(&["used"], j.figures.segments as f64);
            out.add(&["ready"], j.figures.segments_ready as f64);
        }),
        "Segment files: `used` hold records, `ready` are filled with zeros for what comes.",
    ),
];

fn of_files(numbers: &super::Numbers, out: &mut Samples, value: fn(&Writing) -> f64) {
    out.add(&["snapshot"], value(&numbers.engine.snapshot));
    out.add(&["dump"], value(&numbers.engine.dump));
}

/// A family with a sample for the snapshot and one for `dump.rdb`.
macro_rules! of_files {
    ($kind:ident, $name:literal, |$it:ident| $value:expr, $help:literal) => {
        family(
            $name,
            Kind::$kind,
            &["file"],
            Source::Engine(|n, out| of_files(n, out, |$it| $value as f64)),
            $help,
        )
    };
}

const SAVES: &[Family] = &[
    of_files!(
        Gauge,
        "sessile_save_running",
        |it| u8::from(it.stage != Stage::Idle),
        "1 while the journal's snapshot, or dump.rdb, is being written or waits for its turn."
    ),
    of_files!(Gauge, "sessile_save_ok", |it| u8::from(it.ok), "1 unless the last one could not be written."),
    of_files!(Counter, "sessile_saves_total", |it| it.count, "Files written."),
    of_files!(
        Gauge,
        "sessile_save_last_timestamp_seconds",
        |it| it.ended_s,
        "When the last one was complete; for dump.rdb the start of the node before the first; 0 for no snapshot yet."
    ),
    of_files!(
        Gauge,
        "sessile_save_last_duration_seconds",
        |it| it.took_s.max(0),
        "How long the last one took."
    ),
    one!(
        Gauge,
        "sessile_save_keys_done",
        Engine,
        |n| n.engine.saving.0,
        "Keys in the file that is being written; 0 without one."
    ),
    one!(
        Gauge,
        "sessile_save_keys",
        Engine,
        |n| n.engine.saving.1,
        "Keys that there were when it began; 0 without one."
    ),
    one!(
        Gauge,
        "sessile_dump_unsaved_changes",
        Engine,
        |n| n.engine.unsaved_changes,
        "Changes that the last dump.rdb does not hold."
    ),
];

const CLIENTS: &[Family] = &[
    one!(Gauge, "sessile_clients", Engine, |n| n.engine.connected, "Connections."),
    one!(Gauge, "sessile_clients_max", Engine, |n| n.engine.maxclients, "`maxclients`."),
    one!(
        Gauge,
        "sessile_clients_blocked",
        Engine,
        |n| n.clients.blocked,
        "Connections that a blocking command holds up."
    ),
    one!(
        Gauge,
        "sessile_clients_gated",
        Engine,
        |n| n.engine.gated,
        "Connections with replies that wait for the journal."
    ),
    one!(Gauge, "sessile_clients_subscribed", Engine, |n| n.clients.subscribers, "Subscribers."),
    one!(
        Gauge,
        "sessile_clients_input_bytes",
        Engine,
        |n| n.clients.input_bytes,
        "Bytes received and not yet run."
    ),
    one!(
        Gauge,
        "sessile_clients_output_bytes",
        Engine,
        |n| n.clients.output_bytes,
        "Bytes not yet sent, those that wait for the journal included."
    ),
    one!(
        Counter,
        "sessile_connections_total",
        Engine,
        |n| n.engine.stats.connections,
        "Connections, the refused ones included."
    ),
    one!(
        Counter,
        "sessile_connections_rejected_total",
        Engine,
        |n| n.engine.stats.rejected,
        "Connections refused, for `maxclients` or protected mode."
    ),
    family(
        "sessile_connections_cut_total",
        Kind::Counter,
        &["reason"],
        Source::Engine(|n, out| {
            out.add(&["input"], n.engine.stats.input_limit_closed as f64);
            out.add(&["output"], n.engine.stats.output_limit_closed as f64);
            out.add(&["protocol"], n.engine.stats.protocol_errors as f64);
        }),
        "Connections closed: over `client-query-buffer-limit`, over `client-output-buffer-limit`, for malformed requests.",
    ),
    one!(Counter, "sessile_auth_refused_total", Engine, |n| n.engine.stats.auth_refused, "Failed AUTH."),
    one!(Counter, "sessile_net_input_bytes_total", Engine, |n| n.engine.stats.net_in, "Bytes received."),
    one!(Counter, "sessile_net_output_bytes_total", Engine, |n| n.engine.stats.net_out, "Bytes sent."),
    one!(
        Gauge,
        "sessile_pubsub_channels",
        Engine,
        |n| n.engine.channels,
        "Channels that somebody subscribes to."
    ),
    one!(
        Gauge,
        "sessile_pubsub_patterns",
        Engine,
        |n| n.engine.patterns,
        "Patterns that somebody subscribes to."
    ),
];
