//! INFO: what clients, exporters and operators read. Every field is true.

use std::fmt::Write;

use sessile_command::{Acl, Arity, Flags, Outcome};
use sessile_config::{AppendFsync, MaxmemoryPolicy, table as names};
use sessile_keyspace::Durability;
use sessile_keyspace::snapshot::Snapshot;
use sessile_resp::{Args, Reply};

use super::{REDIS_VERSION, Stage, docs};
use crate::engine::{Engine, JournalState};
use crate::session::ConnId;
use crate::stats::SystemFacts;
use crate::table::{SessionCommand, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "info",
    Arity::AtLeast(1),
    Flags::LOADING.and(Flags::STALE),
    docs("Describes the node.", "[section [section ...]]", "1.0.0"),
    SessionRun::Do(info),
)
.acl(Acl::DANGEROUS)];

type Section = (&'static str, &'static str, fn(&mut Engine, &mut String), bool);

/// Name, heading, writer, and whether it is shown without asking.
const SECTIONS: &[Section] = &[
    ("server", "Server", server, true),
    ("clients", "Clients", clients, true),
    ("memory", "Memory", memory, true),
    ("persistence", "Persistence", persistence, true),
    ("stats", "Stats", stats, true),
    ("replication", "Replication", replication, true),
    ("cpu", "CPU", cpu, true),
    ("modules", "Modules", |_, _| {}, true),
    ("commandstats", "Commandstats", commandstats, false),
    ("errorstats", "Errorstats", errorstats, true),
    ("latencystats", "Latencystats", latencystats, false),
    ("cluster", "Cluster", |_, text| text.push_str("cluster_enabled:0\r\n"), true),
    ("keyspace", "Keyspace", keyspace, true),
    ("sessile", "Sessile", sessile, true),
];

fn info(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let asked: Vec<String> =
        args.iter().skip(1).map(|a| String::from_utf8_lossy(a).to_ascii_lowercase()).collect();
    let has = |name: &str| asked.iter().any(|a| a == name);
    let mut text = String::with_capacity(4096);
    for &(name, heading, write, default) in SECTIONS {
        let all = has("all") || has("everything");
        if all || has(name) || default && (asked.is_empty() || has("default")) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {heading}\r\n");
            write(engine, &mut text);
        }
    }
    out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Writes `name:value` lines.
macro_rules! lines {
    ($text:expr; $($name:literal $value:expr),* $(,)?) => {
        $( let _ = write!($text, concat!($name, ":{}\r\n"), $value); )*
    };
}

fn server(engine: &mut Engine, text: &mut String) {
    let uptime_s = engine.now_ms().saturating_sub(engine.stats.started_ms) / 1000;
    let now_ms = engine.now_ms();
    let port = engine.config.port(names::PORT);
    lines!(text;
        "redis_version" REDIS_VERSION,
        "redis_git_sha1" "00000000",
        "redis_git_dirty" 0,
        "redis_build_id" "0",
        "redis_mode" "standalone",
        "os" engine.server.os,
        "arch_bits" usize::BITS,
        "monotonic_clock" "POSIX clock_gettime",
        "multiplexing_api" "epoll",
        "atomicvar_api" "c11-builtin",
        "gcc_version" "0.0.0",
        "process_id" std::process::id(),
        "process_supervised" engine.server.supervised,
        "run_id" engine.run_id,
        "tcp_port" port,
        "server_time_usec" now_ms * 1000,
        "uptime_in_seconds" uptime_s,
        "uptime_in_days" uptime_s / 86400,
        "hz" 10,
        "configured_hz" engine.config.int(names::HZ),
        "lru_clock" (now_ms / 1000) & 0xff_ffff,
        "executable" engine.server.executable,
        "config_file" engine.server.config_file,
        "io_threads_active" 0,
    );
    let mut listeners = 0;
    let mut listener = |text: &mut String, what: String| {
        let _ = write!(text, "listener{listeners}:{what}\r\n");
        listeners += 1;
    };
    if port != 0 {
        let addresses: String = engine
            .config
            .bind()
            .iter()
            .map(|address| format!("bind={},", String::from_utf8_lossy(address)))
            .collect();
        listener(text, format!("name=tcp,{addresses}port={port}"));
    }
    let path = engine.config.text(names::UNIXSOCKET);
    if !path.is_empty() {
        listener(text, format!("name=unix,bind={path}"));
    }
    lines!(text; "sessile_version" env!("CARGO_PKG_VERSION"));
}

fn clients(engine: &mut Engine, text: &mut String) {
    let (mut input_max, mut output_max) = engine.stats.longest_buffers(engine.now_ms() / 1000);
    let (mut blocked, mut watching, mut pubsub) = (0, 0, 0);
    for (_, session) in engine.all_sessions() {
        input_max = input_max.max(session.input.len());
        output_max = output_max.max(session.output.len());
        blocked += usize::from(session.is_waiting());
        watching += usize::from(!session.watched.is_empty());
        pubsub += usize::from(session.is_subscriber());
    }
    lines!(text;
        "connected_clients" engine.connected,
        "cluster_connections" 0,
        "maxclients" engine.settings.maxclients,
        "client_recent_max_input_buffer" input_max,
        "client_recent_max_output_buffer" output_max,
        "blocked_clients" blocked,
        "tracking_clients" 0,
        "pubsub_clients" pubsub,
        "watching_clients" watching,
        "clients_in_timeout_table" engine.deadlines.len(),
        "total_watched_keys" engine.watchers.len(),
        "total_blocking_keys" engine.waiters.len(),
        "total_blocking_keys_on_nokey" engine.keys_whose_loss_wakes(),
    );
}

fn human(bytes: usize) -> String {
    let n = bytes as f64;
    match bytes {
        0..=1023 => format!("{bytes}B"),
        1024..=1_048_575 => format!("{:.2}K", n / 1024.0),
        1_048_576..=1_073_741_823 => format!("{:.2}M", n / 1_048_576.0),
        _ => format!("{:.2}G", n / 1_073_741_824.0),
    }
}

fn policy_name(policy: MaxmemoryPolicy) -> &'static str {
    use sessile_config::Choice;
    MaxmemoryPolicy::NAMES[policy as usize]
}

fn memory(engine: &mut Engine, text: &mut String) {
    let clients = engine.client_bytes();
    engine.stats.client_bytes = clients;
    let used = engine.used_memory_bytes() + clients;
    engine.stats.peak_bytes = engine.stats.peak_bytes.max(used);
    let peak = engine.stats.peak_bytes;
    let (burying, buried) = engine.keyspace.lazily_freed();
    let (lua, bodies, scripts) = engine
        .scripts
        .as_ref()
        .map_or((0, 0, 0), |host| (host.memory_bytes(), host.bodies_bytes(), host.len()));
    let facts = (engine.server.ask_system)();
    let maxmemory = engine.settings.maxmemory_bytes;
    let dataset = engine.keyspace.entry_bytes();
    lines!(text;
        "used_memory" used,
        "used_memory_human" human(used),
        "used_memory_rss" facts.rss_bytes,
        "used_memory_rss_human" human(facts.rss_bytes),
        "used_memory_peak" peak,
        "used_memory_peak_human" human(peak),
        "used_memory_peak_perc" format_args!("{:.2}%", used as f64 * 100.0 / peak.max(1) as f64),
        "used_memory_overhead" used - dataset,
        "used_memory_startup" engine.stats.base_bytes,
        "used_memory_dataset" dataset,
        "used_memory_dataset_perc" format_args!("{:.2}%", dataset as f64 * 100.0 / used.saturating_sub(engine.stats.base_bytes).max(1) as f64),
        "total_system_memory" facts.system_bytes,
        "total_system_memory_human" human(facts.system_bytes),
        "used_memory_lua" lua,
        "used_memory_vm_eval" lua,
        "used_memory_lua_human" human(lua),
        "used_memory_scripts_eval" bodies,
        "number_of_cached_scripts" scripts,
        "number_of_functions" 0,
        "number_of_libraries" 0,
        "used_memory_vm_functions" 0,
        "used_memory_vm_total" lua,
        "used_memory_vm_total_human" human(lua),
        "used_memory_functions" 0,
        "used_memory_scripts" bodies,
        "used_memory_scripts_human" human(bodies),
        "maxmemory" maxmemory,
        "maxmemory_human" human(maxmemory as usize),
        "maxmemory_policy" policy_name(engine.settings.policy),
        "mem_not_counted_for_evict" clients,
        "mem_replication_backlog" 0,
        "mem_total_replication_buffers" 0,
        "mem_clients_slaves" 0,
        "mem_clients_normal" clients,
        "mem_cluster_links" 0,
        "mem_aof_buffer" engine.txn.bytes.capacity() as u64 + engine.server.queued_bytes,
        "mem_allocator" "jemalloc-5.3.0",
        "active_defrag_running" 0,
        "lazyfree_pending_objects" burying,
        "lazyfreed_objects" buried - engine.stats.lazily_freed_before,
    );
    allocator(&facts, used, text);
}

/// How much more the allocator and the system hold than was asked for.
fn allocator(facts: &SystemFacts, used: usize, text: &mut String) {
    let ratio = |a: usize, b: usize| format!("{:.2}", a as f64 / b.max(1) as f64);
    let beyond = |a: usize, b: usize| a as i64 - b as i64;
    lines!(text;
        "allocator_allocated" facts.allocated_bytes,
        "allocator_active" facts.active_bytes,
        "allocator_resident" facts.resident_bytes,
        "allocator_frag_ratio" ratio(facts.active_bytes, facts.allocated_bytes),
        "allocator_frag_bytes" beyond(facts.active_bytes, facts.allocated_bytes),
        "allocator_rss_ratio" ratio(facts.resident_bytes, facts.active_bytes),
        "allocator_rss_bytes" beyond(facts.resident_bytes, facts.active_bytes),
        "rss_overhead_ratio" ratio(facts.rss_bytes, facts.resident_bytes),
        "rss_overhead_bytes" beyond(facts.rss_bytes, facts.resident_bytes),
        "mem_fragmentation_ratio" ratio(facts.rss_bytes, used),
        "mem_fragmentation_bytes" beyond(facts.rss_bytes, used),
    );
}

fn persistence(engine: &mut Engine, text: &mut String) {
    let facts = &engine.server;
    let now_ms = engine.now_ms();
    let journaled = u8::from(engine.settings.journaled);
    let ok = |good| if good { "ok" } else { "err" };
    let writes_ok = engine.journal_state == JournalState::Open;
    lines!(text;
        "loading" u8::from(facts.loading),
        "async_loading" 0,
        "current_cow_peak" 0,
        "current_cow_size" 0,
        "current_cow_size_age" 0,
        "current_fork_perc" "0.00",
        "current_save_keys_processed" engine.keyspace.snapshot().map_or(0, Snapshot::entries),
        "current_save_keys_total" engine.keyspace.snapshot().map_or(0, Snapshot::entries_at_start),
        "rdb_changes_since_last_save" engine.unsaved().0,
        // One that waits for its turn counts: who polls this field wants to know when the file is there.
        "rdb_bgsave_in_progress" u8::from(facts.dump.stage != Stage::Idle),
        "rdb_last_save_time" facts.dump.ended_s,
        "rdb_last_bgsave_status" ok(facts.dump.ok),
        "rdb_last_bgsave_time_sec" facts.dump.took_s,
        "rdb_current_bgsave_time_sec" facts.dump.running_s(now_ms),
        "rdb_saves" facts.dump.count,
        "rdb_last_cow_size" 0,
        "rdb_last_load_keys_expired" 0,
        "rdb_last_load_keys_loaded" 0,
        "aof_enabled" journaled,
        "aof_rewrite_in_progress" u8::from(matches!(facts.snapshot.stage, Stage::Running { .. })),
        "aof_rewrite_scheduled" u8::from(facts.snapshot.stage == Stage::Wanted),
        "aof_last_rewrite_time_sec" facts.snapshot.took_s,
        "aof_current_rewrite_time_sec" facts.snapshot.running_s(now_ms),
        "aof_last_bgrewrite_status" ok(facts.snapshot.ok),
        "aof_rewrites" facts.snapshot.count,
        "aof_rewrites_consecutive_failures" 0,
        "aof_last_write_status" ok(writes_ok),
        "aof_last_cow_size" 0,
        "module_fork_in_progress" 0,
        "module_fork_last_cow_size" 0,
    );
    if engine.settings.journaled {
        lines!(text;
            "aof_current_size" facts.journal_bytes + facts.snapshot_bytes,
            "aof_base_size" facts.snapshot_bytes,
            "aof_pending_rewrite" 0,
            "aof_buffer_length" engine.txn.bytes.len() as u64 + facts.queued_bytes,
            "aof_pending_bio_fsync" u8::from(facts.progress.1 < facts.progress.0),
            "aof_delayed_fsync" facts.syncs_delayed - engine.stats.syncs_delayed_before,
        );
    }
}

fn stats(engine: &mut Engine, text: &mut String) {
    let (ops, input, output) = engine.rates();
    let s = &engine.stats;
    let short_ms = s.short_ms_of(engine.now_ms());
    lines!(text;
        "total_connections_received" s.connections,
        "total_commands_processed" s.commands,
        "instantaneous_ops_per_sec" ops,
        "total_net_input_bytes" s.net_in,
        "total_net_output_bytes" s.net_out,
        "total_net_repl_input_bytes" 0,
        "total_net_repl_output_bytes" 0,
        "instantaneous_input_kbps" format_args!("{:.2}", input as f64 / 1024.0),
        "instantaneous_output_kbps" format_args!("{:.2}", output as f64 / 1024.0),
        "instantaneous_input_repl_kbps" "0.00",
        "instantaneous_output_repl_kbps" "0.00",
        "rejected_connections" s.rejected,
        "sync_full" 0,
        "sync_partial_ok" 0,
        "sync_partial_err" 0,
        "expired_keys" s.expired,
        "expired_stale_perc" format_args!("{:.2}", s.stale_percent),
        "expired_time_cap_reached_count" s.expiry_turns_full,
        "expire_cycle_cpu_milliseconds" s.expiry_us / 1000,
        "evicted_keys" s.evicted,
        "evicted_clients" s.evicted_clients,
        "total_eviction_exceeded_time" s.short_ms + short_ms,
        "current_eviction_exceeded_time" short_ms,
        "keyspace_hits" s.hits,
        "keyspace_misses" s.misses,
        "pubsub_channels" engine.pubsub.channels(),
        "pubsub_patterns" engine.pubsub.patterns(),
        "pubsubshard_channels" engine.pubsub.shard_channels(),
        "latest_fork_usec" 0,
        "total_forks" 0,
        "migrate_cached_sockets" 0,
        "slave_expires_tracked_keys" 0,
        "active_defrag_hits" 0,
        "active_defrag_misses" 0,
        "active_defrag_key_hits" 0,
        "active_defrag_key_misses" 0,
        "total_active_defrag_time" 0,
        "current_active_defrag_time" 0,
        "tracking_total_keys" 0,
        "tracking_total_items" 0,
        "tracking_total_prefixes" 0,
    );
    refusals(engine, text);
}

/// Statistics of replies, of sockets, and of what was refused.
fn refusals(engine: &Engine, text: &mut String) {
    let s = &engine.stats;
    // What RESTORE is given is always checked in full.
    let restores = engine.table.find(b"restore").map_or(0, |entry| s.by_command[entry.index].calls);
    lines!(text;
        "unexpected_error_replies" 0,
        "total_error_replies" s.error_replies,
        "dump_payload_sanitizations" restores,
        "total_reads_processed" s.reads,
        "total_writes_processed" s.writes,
        "io_threaded_reads_processed" 0,
        "io_threaded_writes_processed" 0,
        "client_query_buffer_limit_disconnections" s.input_limit_closed,
        "client_output_buffer_limit_disconnections" s.output_limit_closed,
        "reply_buffer_shrinks" 0,
        "reply_buffer_expands" 0,
        "acl_access_denied_auth" s.auth_refused,
        "acl_access_denied_cmd" 0,
        "acl_access_denied_key" 0,
        "acl_access_denied_channel" 0,
    );
}

fn replication(engine: &mut Engine, text: &mut String) {
    lines!(text;
        "role" "master",
        "connected_slaves" 0,
        "master_failover_state" "no-failover",
        "master_replid" engine.run_id,
        "master_replid2" "0000000000000000000000000000000000000000",
        "master_repl_offset" 0,
        "second_repl_offset" -1,
        "repl_backlog_active" 0,
        "repl_backlog_size" engine.config.memory_bytes(names::REPL_BACKLOG_SIZE),
        "repl_backlog_first_byte_offset" 0,
        "repl_backlog_histlen" 0,
    );
}

fn cpu(engine: &mut Engine, text: &mut String) {
    let facts = (engine.server.ask_system)();
    let ((system, user), (thread_system, thread_user)) = (facts.cpu_us, facts.thread_cpu_us);
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    lines!(text;
        "used_cpu_sys" seconds(system),
        "used_cpu_user" seconds(user),
        "used_cpu_sys_children" "0.000000",
        "used_cpu_user_children" "0.000000",
        "used_cpu_sys_main_thread" seconds(thread_system),
        "used_cpu_user_main_thread" seconds(thread_user),
    );
}

fn each_command(engine: &Engine, mut f: impl FnMut(&str, &crate::stats::CommandStats)) {
    let mut rows = Vec::new();
    for entry in engine.table.iter() {
        for it in std::iter::once(entry).chain(entry.subs.values()) {
            rows.push((&it.full_name, &engine.stats.by_command[it.index]));
        }
    }
    rows.sort_by_key(|(name, _)| *name);
    rows.into_iter().for_each(|(name, stats)| f(name, stats));
}

fn commandstats(engine: &mut Engine, text: &mut String) {
    each_command(engine, |name, stats| {
        if stats.calls + stats.rejected + stats.failed > 0 {
            let _ = write!(
                text,
                "cmdstat_{name}:calls={},usec={},usec_per_call={:.2},rejected_calls={},failed_calls={}\r\n",
                stats.calls,
                stats.usec,
                stats.usec as f64 / stats.calls.max(1) as f64,
                stats.rejected,
                stats.failed
            );
        }
    });
}

fn errorstats(engine: &mut Engine, text: &mut String) {
    for (code, count) in &engine.stats.errors {
        let _ = write!(text, "errorstat_{}:count={count}\r\n", String::from_utf8_lossy(code));
    }
}

fn latencystats(engine: &mut Engine, text: &mut String) {
    if !engine.settings.tracks_latency {
        return;
    }
    each_command(engine, |name, stats| {
        let tracked: u64 = stats.histogram.iter().sum();
        if tracked == 0 {
            return;
        }
        let percentile = |p: f64| {
            let wanted = ((tracked as f64 * p / 100.0).ceil() as u64).max(1);
            let mut sum = 0;
            let bucket = stats.histogram.iter().position(|&n| {
                sum += n;
                sum >= wanted
            });
            1u64 << bucket.unwrap_or(0)
        };
        let all: Vec<String> =
            engine.config.percentiles().iter().map(|&p| format!("p{p}={}.000", percentile(p))).collect();
        let _ = write!(text, "latency_percentiles_usec_{name}:{}\r\n", all.join(","));
    });
}

fn keyspace(engine: &mut Engine, text: &mut String) {
    for db in 0..engine.keyspace.db_count() as u32 {
        let it = engine.keyspace.db(db);
        if !it.is_empty() {
            let _ = write!(
                text,
                "db{db}:keys={},expires={},avg_ttl={}\r\n",
                it.len(),
                it.expiring(),
                it.mean_ttl_ms(engine.now_ms())
            );
        }
    }
}

fn sessile(engine: &mut Engine, text: &mut String) {
    let progress = engine.server.progress;
    let state = match &engine.journal_state {
        _ if !engine.settings.journaled => "off",
        JournalState::Open => "ok",
        JournalState::Refusing(_) => "refusing",
        JournalState::Failed(_) => "failed",
    };
    let why = match &engine.journal_state {
        JournalState::Refusing(why) | JournalState::Failed(why) => why,
        JournalState::Open => "",
    };
    lines!(text;
        "sessile_version" env!("CARGO_PKG_VERSION"),
        "acknowledgement" acknowledgement(engine),
        "journal_state" state,
        "journal_reason" why,
        "journal_last_lsn" engine.last_lsn(),
        "journal_written_lsn" progress.0,
        "journal_durable_lsn" progress.1,
        "journal_bytes_since_snapshot" engine.server.journal_bytes,
        "journal_snapshot_bytes" engine.server.snapshot_bytes,
        "snapshot_queued_bytes" engine.keyspace.snapshot().map_or(0, Snapshot::queued_bytes),
        "snapshot_holds_writers" u8::from(engine.writers_wait),
        "memory_ceiling" engine.server.memory_ceiling_bytes,
        "gated_clients" engine.gated.len(),
        "clock_ahead_ms" engine.clock.ahead_ms(),
    );
}

/// What is still there of what was acknowledged: `durable` all, after a power cut too; `everysec` and `written` all
/// after a crash of the process; `memory` what a `dump.rdb` holds.
fn acknowledgement(engine: &Engine) -> &'static str {
    match engine.settings.durability {
        Durability::Durable => "durable",
        Durability::Relaxed => match engine.config().choice(names::APPENDFSYNC) {
            AppendFsync::No => "written",
            _ => "everysec",
        },
        Durability::Volatile => "memory",
    }
}

impl Engine {
    /// Keys whose loss would wake somebody: who reads a stream for a group is told when it goes.
    fn keys_whose_loss_wakes(&self) -> usize {
        self.waiters.values().filter(|waiters| waiters.told_of_loss > 0).count()
    }

    /// Memory of the connections' buffers.
    pub(crate) fn client_bytes(&self) -> usize {
        self.all_sessions().map(|(_, session)| session.heap_bytes()).sum()
    }

    /// Commands, bytes in and bytes out a second, over the last samples.
    fn rates(&self) -> (u64, u64, u64) {
        let (Some(first), Some(last)) = (self.stats.samples.front(), self.stats.samples.back()) else {
            return (0, 0, 0);
        };
        let ms = (last.0 - first.0).max(1);
        let rate = |a: u64, b: u64| (b - a) * 1000 / ms;
        (rate(first.1, last.1), rate(first.2, last.2), rate(first.3, last.3))
    }
}
