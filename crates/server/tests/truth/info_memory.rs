//! INFO's clients and memory.

use std::io::Write;
use std::net::TcpStream;

use sessile_crash::client::{bytes, items, number as whole};
use sessile_crash::server::until;

use crate::info::Row::{self, Follows, OnSlowDisk, Seen, Stays};
use crate::info::{Table, configured, held};
use crate::support::{Fields, LIMIT, Node, number, send};

/// A connection that has sent half of a long request.
fn half_sent(node: &Node, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", node.server.port)).expect("it takes connections");
    stream.write_all(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", bytes * 2).as_bytes()).expect("it reads");
    stream.write_all(&vec![b'x'; bytes]).expect("it reads");
    stream
}

/// Another connection does this, the field goes up by `by`, and down again when the connection ends.
fn while_connected(node: &mut Node, field: &str, lines: &[&str], by: f64) {
    let before = node.number(field);
    let mut other = node.connect();
    for line in lines {
        send(&mut other, line);
    }
    node.comes_to(field, |now| now == before + by);
    drop(other);
    node.comes_to(field, |now| now == before);
}

pub(crate) const CLIENTS: Table = &[
    ("connected_clients", Seen(|node, field| while_connected(node, field, &[], 1.0))),
    ("cluster_connections", Stays("0", "there is no cluster bus")),
    ("maxclients", Seen(|node, field| configured(node, field, "maxclients", &["123", "10000"]))),
    (
        "client_recent_max_input_buffer",
        Seen(|node, field| {
            let _stream = half_sent(node, 300_000);
            node.comes_to(field, |bytes| bytes >= 300_000.0);
        }),
    ),
    (
        "client_recent_max_output_buffer",
        Seen(|node, field| {
            node.fill("out", 1, 1 << 20);
            let mut other = node.connect();
            (0..16).for_each(|_| send(&mut other, "GET out0"));
            node.comes_to(field, |bytes| bytes >= f64::from(1 << 20));
        }),
    ),
    (
        "blocked_clients",
        Seen(|node, field| {
            while_connected(node, field, &["BLPOP none 0"], 1.0);
            while_connected(node, field, &["WAITAOF 0 1 0"], 1.0);
        }),
    ),
    ("tracking_clients", Stays("0", "CLIENT TRACKING is not offered")),
    ("pubsub_clients", Seen(|node, field| while_connected(node, field, &["SUBSCRIBE c"], 1.0))),
    ("watching_clients", Seen(|node, field| while_connected(node, field, &["WATCH a b"], 1.0))),
    ("clients_in_timeout_table", Seen(|node, field| while_connected(node, field, &["BLPOP none 100"], 1.0))),
    ("total_watched_keys", Seen(|node, field| while_connected(node, field, &["WATCH a b"], 2.0))),
    ("total_blocking_keys", Seen(|node, field| while_connected(node, field, &["BLPOP none nil 0"], 2.0))),
    (
        "total_blocking_keys_on_nokey",
        Seen(|node, field| {
            node.all(&["XGROUP CREATE stream g $ MKSTREAM"]);
            while_connected(node, field, &["XREADGROUP GROUP g c BLOCK 0 STREAMS stream >"], 1.0);
            while_connected(node, field, &["XREAD BLOCK 0 STREAMS stream $"], 0.0);
        }),
    ),
];

/// The same on a node of its own, for memory that does not go back to the system at once.
fn on_a_fresh_node(_: &mut Node, field: &str) {
    with_and_without_data(&mut Node::start(&[]), field);
}

/// With many megabytes more the field is larger, and without them smaller again.
fn with_data(node: &mut Node, field: &str) {
    let before = node.number(field);
    node.fill("data", 32, 1 << 20);
    let more = f64::from(24 << 20);
    node.comes_to(field, |now| now >= before + more);
}

fn with_and_without_data(node: &mut Node, field: &str) {
    let before = node.number(field);
    with_data(node, field);
    node.all(&["FLUSHALL"]);
    node.comes_to(field, |now| now < before + f64::from(8 << 20));
}

fn with_scripts(node: &mut Node, field: &str) {
    let before = node.number(field);
    for i in 0..50 {
        let body = format!("return '{}{}'", "y".repeat(1000), i);
        node.args(&["SCRIPT", "LOAD", &body]);
    }
    let after = node.number(field);
    assert!(after >= before + 40_000.0, "{field}: {before}, {after}");
    node.all(&["SCRIPT FLUSH"]);
    node.comes_to(field, |now| now < after);
}

fn with_long_input(node: &mut Node, field: &str) {
    let before = node.number(field);
    let stream = half_sent(node, 1 << 20);
    node.comes_to(field, |now| now >= before + f64::from(1 << 20));
    drop(stream);
    node.comes_to(field, |now| now < before + f64::from(1 << 20));
}

fn at(all: &Fields, field: &str) -> f64 {
    number(&all[field])
}

/// Bytes as Redis writes them for people.
fn human(all: &Fields, field: &str) -> String {
    let bytes = at(all, field);
    let units = [("G", 1_073_741_824.0), ("M", 1_048_576.0), ("K", 1024.0)];
    match units.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.2}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

fn ratio(all: &Fields, of: &str, to: &str) -> String {
    format!("{:.2}", at(all, of) / at(all, to).max(1.0))
}

fn beyond(all: &Fields, of: &str, than: &str) -> String {
    (at(all, of) as i64 - at(all, than) as i64).to_string()
}

const NO_FUNCTIONS: Row = Stays("0", "FUNCTION is not offered");
const NO_REPLICAS: Row = Stays("0", "this version has no replicas");

pub(crate) const MEMORY: Table = &[
    ("used_memory", Seen(with_and_without_data)),
    ("used_memory_human", Follows(|all| human(all, "used_memory"))),
    (
        "used_memory_rss",
        Seen(|_, field| {
            let mut node = Node::start(&[]);
            with_data(&mut node, field);
            let statm = std::fs::read_to_string(format!("/proc/{}/statm", node.server.pid())).expect("Linux");
            let pages = number(statm.split(' ').nth(1).unwrap_or_default());
            let rss = node.number(field);
            assert!((pages * 4096.0 / rss - 1.0).abs() < 0.2, "{pages} pages, {rss}");
        }),
    ),
    ("used_memory_rss_human", Follows(|all| human(all, "used_memory_rss"))),
    (
        "used_memory_peak",
        Seen(|_, field| {
            // It is noted when nobody asks INFO for it, too; MEMORY STATS only shows what was noted.
            let mut node = Node::start(&[]);
            node.fill("data", 32, 1 << 20);
            let noted = until(LIMIT, || {
                let stats = node.value("MEMORY STATS");
                let peak =
                    items(&stats).windows(2).find(|pair| bytes(&pair[0]) == Some(b"peak.allocated"))?;
                (whole(&peak[1])? >= 32 << 20).then_some(())
            });
            assert!(noted.is_some(), "the peak is noted by nobody");
            node.all(&["FLUSHALL"]);
            node.comes_to("used_memory", |now| now < f64::from(16 << 20));
            assert!(node.number(field) >= f64::from(32 << 20));
        }),
    ),
    ("used_memory_peak_human", Follows(|all| human(all, "used_memory_peak"))),
    (
        "used_memory_peak_perc",
        Follows(|all| format!("{:.2}%", at(all, "used_memory") * 100.0 / at(all, "used_memory_peak"))),
    ),
    (
        "used_memory_overhead",
        Seen(|node, field| {
            let fields = node.fields();
            assert_eq!(fields[field], beyond(&fields, "used_memory", "used_memory_dataset"));
            with_long_input(node, field);
        }),
    ),
    (
        "used_memory_startup",
        Seen(|node, field| {
            let fields = Node::start(&[]).fields();
            let (startup, used) = (at(&fields, field), at(&fields, "used_memory"));
            assert!(startup > 100_000.0 && startup <= used, "{startup}, {used}");
            assert!(
                used - startup < f64::from(4 << 20),
                "a node without data takes {used}, {startup} of it at its start"
            );
            assert!(node.number(field) > 100_000.0);
        }),
    ),
    ("used_memory_dataset", Seen(with_and_without_data)),
    (
        "used_memory_dataset_perc",
        Follows(|all| {
            let net = at(all, "used_memory") - at(all, "used_memory_startup");
            format!("{:.2}%", at(all, "used_memory_dataset") * 100.0 / net)
        }),
    ),
    ("allocator_allocated", Seen(on_a_fresh_node)),
    ("allocator_active", Seen(on_a_fresh_node)),
    ("allocator_resident", Seen(|_, field| with_data(&mut Node::start(&[]), field))),
    (
        "total_system_memory",
        Seen(|node, field| {
            let text = std::fs::read_to_string("/proc/meminfo").expect("Linux");
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a total");
            let kib = number(line.trim().trim_end_matches(" kB"));
            let bytes = node.number(field);
            // A control group may have less.
            assert!(bytes > f64::from(64 << 20) && bytes <= kib * 1024.0, "{bytes} of {kib} KiB");
        }),
    ),
    ("total_system_memory_human", Follows(|all| human(all, "total_system_memory"))),
    ("used_memory_lua", Seen(with_scripts)),
    ("used_memory_vm_eval", Seen(with_scripts)),
    ("used_memory_lua_human", Follows(|all| human(all, "used_memory_lua"))),
    ("used_memory_scripts_eval", Seen(with_scripts)),
    (
        "number_of_cached_scripts",
        Seen(|node, field| {
            node.all(&["SCRIPT FLUSH", "SCRIPT LOAD return(1)", "SCRIPT LOAD return(2)"]);
            assert_eq!(node.info(field), "2");
            node.all(&["SCRIPT FLUSH"]);
            assert_eq!(node.info(field), "0");
        }),
    ),
    ("number_of_functions", NO_FUNCTIONS),
    ("number_of_libraries", NO_FUNCTIONS),
    ("used_memory_vm_functions", NO_FUNCTIONS),
    ("used_memory_functions", NO_FUNCTIONS),
    ("used_memory_vm_total", Follows(|all| all["used_memory_vm_eval"].clone())),
    ("used_memory_vm_total_human", Follows(|all| human(all, "used_memory_vm_total"))),
    ("used_memory_scripts", Seen(with_scripts)),
    ("used_memory_scripts_human", Follows(|all| human(all, "used_memory_scripts"))),
    ("maxmemory", Seen(|node, field| configured(node, field, "maxmemory", &["900000000", "0"]))),
    ("maxmemory_human", Follows(|all| human(all, "maxmemory"))),
    (
        "maxmemory_policy",
        Seen(|node, field| {
            configured(node, field, "maxmemory-policy", &["allkeys-lru", "volatile-ttl", "noeviction"]);
        }),
    ),
    ("allocator_frag_ratio", Follows(|all| ratio(all, "allocator_active", "allocator_allocated"))),
    ("allocator_frag_bytes", Follows(|all| beyond(all, "allocator_active", "allocator_allocated"))),
    ("allocator_rss_ratio", Follows(|all| ratio(all, "allocator_resident", "allocator_active"))),
    ("allocator_rss_bytes", Follows(|all| beyond(all, "allocator_resident", "allocator_active"))),
    ("rss_overhead_ratio", Follows(|all| ratio(all, "used_memory_rss", "allocator_resident"))),
    ("rss_overhead_bytes", Follows(|all| beyond(all, "used_memory_rss", "allocator_resident"))),
    ("mem_fragmentation_ratio", Follows(|all| ratio(all, "used_memory_rss", "used_memory"))),
    ("mem_fragmentation_bytes", Follows(|all| beyond(all, "used_memory_rss", "used_memory"))),
    ("mem_not_counted_for_evict", Seen(with_long_input)),
    ("mem_replication_backlog", NO_REPLICAS),
    ("mem_total_replication_buffers", NO_REPLICAS),
    ("mem_clients_slaves", NO_REPLICAS),
    ("mem_clients_normal", Seen(with_long_input)),
    ("mem_cluster_links", Stays("0", "there is no cluster bus")),
    ("mem_aof_buffer", OnSlowDisk(|disk, field| held(disk, field, |waiting| waiting > 100_000.0))),
    ("mem_allocator", Stays("jemalloc-5.3.0", "the one that is built in")),
    ("active_defrag_running", Stays("0", "values are compacted when they are written")),
    (
        "lazyfree_pending_objects",
        Seen(|node, field| {
            let fill = "for i=1,200000 do redis.call('set', 's'..i, 'x') end";
            node.args(&["EVAL", fill, "0"]);
            node.all(&["FLUSHALL ASYNC"]);
            node.comes_to(field, |waiting| waiting > 0.0);
            node.comes_to(field, |waiting| waiting == 0.0);
        }),
    ),
    (
        "lazyfreed_objects",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("many", 2000, 1);
            node.all(&["FLUSHALL ASYNC"]);
            node.comes_to(field, |after| after >= before + 2000.0);
            node.all(&["CONFIG RESETSTAT"]);
            assert_eq!(node.info(field), "0");
        }),
    ),
];
