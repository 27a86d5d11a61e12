//! INFO's statistics, and the fields that are named after commands, codes and dbs.

use sessile_crash::client::{Cmd, words};
use sessile_crash::server::until;

use crate::info::Row::{self, Grows, Seen, Stays};
use crate::info::Table;
use crate::support::{LIMIT, Node, Said, number, offer, send};

const NO_FORK: Row = Stays("0", "nothing forks");
const NO_REPLICAS: Row = Stays("0", "this version has no replicas");
const NO_DEFRAG: Row = Stays("0", "values are compacted when they are written");
const NO_TRACKING: Row = Stays("0", "CLIENT TRACKING is not offered");
const NO_IO_THREADS: Row = Stays("0", "commands run where they are read");
const NO_ACL: Row = Stays("0", "there is one user, who may do everything");
const NO_FIXED_BUFFER: Row = Stays("0", "a connection has one buffer, which grows with its replies");

/// Many requests in one go, so that a rate is seen.
fn in_one_go(node: &mut Node, field: &str) {
    let cmds: Vec<Cmd> = (0..5000).map(|_| words("ECHO 0123456789012345678901234567890123456789")).collect();
    let seen = until(LIMIT, || {
        node.conn.ask_all(&cmds).expect("it answers");
        (node.number(field) > 100.0).then_some(())
    });
    assert!(seen.is_some(), "{field} stays {}", node.info(field));
}

/// Keys that are due together while nothing expires by itself, and then something does.
fn due_together(node: &mut Node, field: &str) {
    let before = node.number(field);
    node.all(&["FLUSHALL", "DEBUG SET-ACTIVE-EXPIRE 0"]);
    let fill = "for i=1,20000 do redis.call('set', 'due'..i, 'x', 'px', 1) end";
    node.args(&["EVAL", fill, "0"]);
    node.all(&["DEBUG SET-ACTIVE-EXPIRE 1"]);
    node.comes_to(field, |after| after > before);
    node.becomes("db0", str::is_empty);
}

fn short_of_memory(node: &mut Node, field: &str) {
    assert_eq!(node.info("current_eviction_exceeded_time"), "0");
    node.set("maxmemory", "1");
    node.comes_to(field, |ms| ms > 0.0);
    node.set("maxmemory", "0");
    node.comes_to("current_eviction_exceeded_time", |ms| ms == 0.0);
    assert!(node.number("total_eviction_exceeded_time") > 0.0);
}

/// A listener's subscription is counted, and no longer when it goes.
fn while_listening(node: &mut Node, field: &str, line: &str) {
    assert_eq!(node.info(field), "0");
    let mut other = node.connect();
    send(&mut other, line);
    node.comes_to(field, |count| count == 2.0);
    drop(other);
    node.comes_to(field, |count| count == 0.0);
}

fn busy(node: &mut Node, field: &str) {
    let before = node.number(field);
    // Requests one by one keep the kernel busy, the script keeps the process busy.
    let seen = until(LIMIT, || {
        node.args(&["EVAL", "local t = 0 for i = 1, 300000 do t = t + i end return 1", "0"]);
        (0..300).for_each(|_| node.all(&["PING"]));
        (node.number(field) > before).then_some(())
    });
    assert!(seen.is_some(), "{field} stays {before}");
}

pub(crate) const STATS: Table = &[
    (
        "total_connections_received",
        Seen(|node, field| {
            let before = node.number(field);
            let _others = [node.connect(), node.connect()];
            node.comes_to(field, |after| after == before + 2.0);
        }),
    ),
    (
        "total_commands_processed",
        Seen(|node, field| {
            let before = node.number(field);
            node.all(&["PING", "MULTI", "SET a 1", "EXEC", "EVAL return(redis.call('GET','a')) 0"]);
            // Each command, inside of a transaction and of a script too; MULTI queues one that has not run yet. And INFO.
            assert_eq!(node.number(field), before + 7.0);
        }),
    ),
    ("instantaneous_ops_per_sec", Seen(in_one_go)),
    (
        "total_net_input_bytes",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("in", 1, 100_000);
            assert!(node.number(field) >= before + 100_000.0);
        }),
    ),
    (
        "total_net_output_bytes",
        Seen(|node, field| {
            node.fill("out", 1, 100_000);
            let before = node.number(field);
            node.all(&["GET out0"]);
            assert!(node.number(field) >= before + 100_000.0);
        }),
    ),
    ("total_net_repl_input_bytes", NO_REPLICAS),
    ("total_net_repl_output_bytes", NO_REPLICAS),
    ("instantaneous_input_kbps", Seen(in_one_go)),
    ("instantaneous_output_kbps", Seen(in_one_go)),
    ("instantaneous_input_repl_kbps", Stays("0.00", "this version has no replicas")),
    ("instantaneous_output_repl_kbps", Stays("0.00", "this version has no replicas")),
    (
        "rejected_connections",
        Seen(|node, field| {
            let before = node.number(field);
            node.set("maxclients", "1");
            let refused = node.connect().receive().expect("a refusal").text();
            assert_eq!(refused, "-ERR max number of clients reached");
            node.set("maxclients", "10000");
            assert_eq!(node.number(field), before + 1.0);
        }),
    ),
    ("sync_full", NO_REPLICAS),
    ("sync_partial_ok", NO_REPLICAS),
    ("sync_partial_err", NO_REPLICAS),
    (
        "expired_keys",
        Seen(|node, field| {
            let before = node.number(field);
            node.all(&["SET a 1 PX 1", "SET b 1 PX 1"]);
            node.comes_to(field, |after| after == before + 2.0);
        }),
    ),
    ("expired_stale_perc", Seen(due_together)),
    ("expired_time_cap_reached_count", Seen(due_together)),
    ("expire_cycle_cpu_milliseconds", Seen(due_together)),
    (
        "evicted_keys",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("evicted", 100, 1000);
            node.set("maxmemory-policy", "allkeys-random");
            node.set("maxmemory", "1");
            let _ = node.ask("SET a 1");
            assert!(node.number(field) > before);
            node.set("maxmemory", "0");
            node.set("maxmemory-policy", "noeviction");
        }),
    ),
    (
        "evicted_clients",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("long", 1, 1 << 20);
            let mut other = node.connect();
            (0..32).for_each(|_| send(&mut other, "GET long0"));
            node.set("maxmemory-clients", "4mb");
            node.comes_to(field, |after| after == before + 1.0);
            node.set("maxmemory-clients", "0");
        }),
    ),
    ("total_eviction_exceeded_time", Seen(short_of_memory)),
    ("current_eviction_exceeded_time", Seen(short_of_memory)),
    (
        "keyspace_hits",
        Seen(|node, field| {
            node.all(&["SET a 1"]);
            let before = node.number(field);
            node.all(&["GET a", "GET none", "GET a"]);
            assert_eq!(node.number(field), before + 2.0);
        }),
    ),
    ("keyspace_misses", Grows(&["GET none"])),
    ("pubsub_channels", Seen(|node, field| while_listening(node, field, "SUBSCRIBE a b"))),
    ("pubsub_patterns", Seen(|node, field| while_listening(node, field, "PSUBSCRIBE a* b*"))),
    ("pubsubshard_channels", Seen(|node, field| while_listening(node, field, "SSUBSCRIBE a b"))),
    ("latest_fork_usec", NO_FORK),
    ("total_forks", NO_FORK),
    ("migrate_cached_sockets", Stays("0", "MIGRATE is not offered")),
    ("slave_expires_tracked_keys", NO_REPLICAS),
    ("active_defrag_hits", NO_DEFRAG),
    ("active_defrag_misses", NO_DEFRAG),
    ("active_defrag_key_hits", NO_DEFRAG),
    ("active_defrag_key_misses", NO_DEFRAG),
    ("total_active_defrag_time", NO_DEFRAG),
    ("current_active_defrag_time", NO_DEFRAG),
    ("tracking_total_keys", NO_TRACKING),
    ("tracking_total_items", NO_TRACKING),
    ("tracking_total_prefixes", NO_TRACKING),
    (
        "unexpected_error_replies",
        Stays("0", "errors of a master's stream and of loading, and neither is run as commands"),
    ),
    (
        "total_error_replies",
        Seen(|node, field| {
            let before = node.number(field);
            node.ask("NOSUCH");
            node.ask("GET");
            assert_eq!(node.number(field), before + 2.0);
        }),
    ),
    (
        "dump_payload_sanitizations",
        Seen(|node, field| {
            let before = node.number(field);
            node.all(&["SET a 1"]);
            let Ok(sessile_resp::Value::Bulk(payload)) = node.conn.ask_line("DUMP a") else {
                panic!("no payload")
            };
            let restore: [&[u8]; 4] = [b"RESTORE", b"b", b"0", &payload];
            node.conn.ask(&restore).expect("an answer");
            assert_eq!(node.number(field), before + 1.0);
        }),
    ),
    ("total_reads_processed", Grows(&["PING"])),
    ("total_writes_processed", Grows(&["PING"])),
    ("io_threaded_reads_processed", NO_IO_THREADS),
    ("io_threaded_writes_processed", NO_IO_THREADS),
    (
        "client_query_buffer_limit_disconnections",
        Seen(|node, field| {
            let before = node.number(field);
            node.set("client-query-buffer-limit", "1mb");
            let mut other = node.connect();
            offer(&mut other, &format!("ECHO {}", "x".repeat(3 << 20)));
            node.comes_to(field, |after| after == before + 1.0);
            node.set("client-query-buffer-limit", "1gb");
        }),
    ),
    (
        "client_output_buffer_limit_disconnections",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("long", 1, 1 << 20);
            node.set("client-output-buffer-limit", "normal 4mb 0 0");
            let mut other = node.connect();
            (0..32).for_each(|_| send(&mut other, "GET long0"));
            node.comes_to(field, |after| after == before + 1.0);
            node.set("client-output-buffer-limit", "normal 0 0 0");
        }),
    ),
    ("reply_buffer_shrinks", NO_FIXED_BUFFER),
    ("reply_buffer_expands", NO_FIXED_BUFFER),
    (
        "acl_access_denied_auth",
        Seen(|node, field| {
            let before = node.number(field);
            node.set("requirepass", "secret");
            node.ask("AUTH wrong");
            assert_eq!(node.number(field), before + 1.0);
            node.set("requirepass", "");
        }),
    ),
    ("acl_access_denied_cmd", NO_ACL),
    ("acl_access_denied_key", NO_ACL),
    ("acl_access_denied_channel", NO_ACL),
];

pub(crate) const CPU: Table = &[
    ("used_cpu_sys", Seen(busy)),
    ("used_cpu_user", Seen(busy)),
    ("used_cpu_sys_children", Stays("0.000000", "it has no children")),
    ("used_cpu_user_children", Stays("0.000000", "it has no children")),
    ("used_cpu_sys_main_thread", Seen(busy)),
    ("used_cpu_user_main_thread", Seen(busy)),
];

/// One of the numbers of a field that holds several: `calls=1,usec=2`.
fn part(text: &str, name: &str) -> f64 {
    let value = text.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    number(value.unwrap_or_default())
}

pub(crate) const NAMED: Table = &[
    (
        "cmdstat_",
        Seen(|node, _| {
            node.all(&["CONFIG RESETSTAT", "SET a 1", "LPUSH list 1"]);
            assert_eq!(node.info("cmdstat_get"), "");
            node.all(&["GET a", "GET a"]);
            // One fails while it runs, the others before.
            node.ask("GET list");
            node.ask("GET");
            let text = node.info("cmdstat_get");
            let counts = ["calls", "failed_calls", "rejected_calls"].map(|name| part(&text, name));
            assert_eq!(counts, [3.0, 1.0, 1.0], "{text}");
            node.args(&["EVAL", "for i = 1, 300000 do redis.call('GET', 'a') end", "0"]);
            let text = node.info("cmdstat_get");
            assert!(part(&text, "calls") == 300_003.0 && part(&text, "usec") > 1000.0, "{text}");
            let mean = part(&text, "usec") / part(&text, "calls");
            assert!((part(&text, "usec_per_call") - mean).abs() <= 0.01, "{text}");
        }),
    ),
    (
        "errorstat_",
        Seen(|node, _| {
            node.all(&["CONFIG RESETSTAT", "LPUSH list 1"]);
            assert_eq!(node.info("errorstat_WRONGTYPE"), "");
            node.ask("GET list");
            node.ask("INCR list");
            assert_eq!(node.info("errorstat_WRONGTYPE"), "count=2");
        }),
    ),
    (
        "latency_percentiles_usec_",
        Seen(|node, _| {
            node.all(&["CONFIG RESETSTAT", "ECHO a"]);
            let quick = node.info("latency_percentiles_usec_echo");
            assert!(part(&quick, "p50") > 0.0 && part(&quick, "p99.9") >= part(&quick, "p50"), "{quick}");
            let slow = "for i = 1, 3000000 do local x = i end";
            node.args(&["EVAL", slow, "0"]);
            let text = node.info("latency_percentiles_usec_eval");
            let (percentile, spent) = (part(&text, "p99"), part(&node.info("cmdstat_eval"), "usec"));
            // Buckets are powers of two.
            assert!(percentile >= spent && percentile <= spent * 2.0, "{text}, {spent}");
        }),
    ),
    (
        "db",
        Seen(|node, _| {
            node.all(&["FLUSHALL", "SELECT 3", "SET a 1", "SET b 1 EX 100", "SET c 1 EX 300"]);
            let text = node.info("db3");
            assert_eq!((part(&text, "keys"), part(&text, "expires")), (3.0, 2.0), "{text}");
            let ttl = part(&text, "avg_ttl");
            assert!(ttl <= 200_000.0 && ttl > 150_000.0, "{text}");
            node.all(&["PERSIST c", "DEL a"]);
            let text = node.info("db3");
            assert_eq!((part(&text, "keys"), part(&text, "expires")), (2.0, 1.0), "{text}");
            assert!(part(&text, "avg_ttl") <= 100_000.0, "{text}");
            node.all(&["EXPIRE b 1000", "RENAME b d", "COPY d e"]);
            assert!(part(&node.info("db3"), "avg_ttl") > 900_000.0);
            node.all(&["FLUSHALL", "SELECT 0"]);
            assert_eq!(node.info("db3"), "");
        }),
    ),
];
