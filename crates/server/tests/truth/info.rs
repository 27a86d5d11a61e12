//! Every field of INFO: how to change what it names and what is then seen, or why it stays as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use sessile_crash::client::Conn;
use sessile_crash::server::until;
use sessile_resp::Value;

use crate::support::{Fields, LIMIT, Node, SlowDisk, Start, each, number, program, send};
use crate::{info_memory, info_stats};

/// What is known of a field.
pub(crate) enum Row {
    /// It has this value, for this reason.
    Stays(&'static str, &'static str),
    /// These commands make its number larger.
    Grows(&'static [&'static str]),
    /// It follows from others of the same INFO.
    Follows(fn(&Fields) -> String),
    /// What it names is changed, and the field is looked at; gets the field's name.
    Seen(fn(&mut Node, &str)),
    /// On a disk that can be held and made to fail.
    OnSlowDisk(fn(&SlowDisk, &str)),
}

pub(crate) type Table = &'static [(&'static str, Row)];

/// Fields of the state of dump.rdb and of rewriting, which have tests beside SAVE and BGREWRITEAOF.
fn is_elsewhere(field: &str) -> bool {
    field.starts_with("rdb_") || field.starts_with("aof_") && field.contains("rewrite")
}

use Row::{Follows, Grows, OnSlowDisk, Seen, Stays};

const NO_FORK: Row = Stays("0", "nothing forks");
const NO_REPLICATION: Row = Stays("0", "this version has no replicas");
const NO_BUILD: Row = Stays("0", "releases are told apart by sessile_version");

const SERVER: Table = &[
    ("redis_version", Stays("7.2.4", "the version whose behaviour this is")),
    ("redis_git_sha1", Stays("00000000", "releases are told apart by sessile_version")),
    ("redis_git_dirty", NO_BUILD),
    ("redis_build_id", NO_BUILD),
    ("redis_mode", Stays("standalone", "neither cluster mode nor Sentinel is offered")),
    (
        "os",
        Seen(|node, field| {
            let uname = std::process::Command::new("uname").arg("-srm").output().expect("uname runs");
            assert_eq!(node.info(field), String::from_utf8_lossy(&uname.stdout).trim_end());
        }),
    ),
    ("arch_bits", Seen(|node, field| assert_eq!(node.info(field), usize::BITS.to_string()))),
    ("monotonic_clock", Stays("POSIX clock_gettime", "the clock that is read")),
    ("multiplexing_api", Stays("epoll", "what the runtime waits with on Linux")),
    ("atomicvar_api", Stays("c11-builtin", "the machine's own atomic operations, as C11's are")),
    ("gcc_version", Stays("0.0.0", "no C compiler builds the server")),
    ("process_id", Seen(|node, field| assert_eq!(node.info(field), node.server.pid().to_string()))),
    (
        "process_supervised",
        Seen(|node, field| {
            assert_eq!(node.info(field), "no");
            let socket = node.temp.0.join("notify").display().to_string();
            let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
            let mut told = Start { environment: &[("NOTIFY_SOCKET", &socket)], ..Start::default() }.node();
            assert_eq!(told.info(field), "systemd");
            let mut message = [0; 64];
            let len = manager.recv(&mut message).expect("the manager is told");
            assert_eq!(&message[..len], b"READY=1\n");
        }),
    ),
    (
        "run_id",
        Seen(|node, field| {
            let mine = node.info(field);
            assert!(mine.len() == 40 && mine.bytes().all(|b| b.is_ascii_hexdigit()), "{mine}");
            assert_ne!(Node::start(&[]).info(field), mine);
        }),
    ),
    (
        "tcp_port",
        Seen(|node, field| {
            let port = node.server.port.to_string();
            assert_eq!(node.info(field), port);
            let free =
                std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
            node.set("port", &free.port().to_string());
            assert_eq!(node.info(field), free.port().to_string());
            node.set("port", &port);
        }),
    ),
    (
        "server_time_usec",
        Seen(|node, field| {
            let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_micros() as f64;
            let theirs = node.number(field);
            assert!((theirs - now).abs() < 60e6, "{theirs} is not {now}");
            node.comes_to(field, |later| later > theirs);
        }),
    ),
    (
        "uptime_in_seconds",
        Seen(|node, field| {
            let before = node.number(field);
            node.comes_to(field, |after| after > before);
        }),
    ),
    ("uptime_in_days", Follows(|all| (number(&all["uptime_in_seconds"]) as u64 / 86400).to_string())),
    ("hz", Stays("10", "the engine has a turn at least every 100 ms")),
    ("configured_hz", Seen(|node, field| configured(node, field, "hz", &["20", "10"]))),
    ("lru_clock", Follows(|all| ((number(&all["server_time_usec"]) / 1e6) as u64 & 0xff_ffff).to_string())),
    (
        "executable",
        Seen(|node, field| {
            let whole = |path: &std::path::Path| path.canonicalize().expect("a path");
            assert_eq!(whole(node.info(field).as_ref()), whole(&program()));
        }),
    ),
    (
        "config_file",
        Seen(|node, field| {
            assert_eq!(node.info(field), "");
            let mut other = Start { file: Some("maxclients 77\n"), ..Start::default() }.node();
            let path = other.temp.0.join("node.conf");
            assert_eq!(other.info(field), path.display().to_string());
            other.set("maxclients", "78");
            other.all(&["CONFIG REWRITE"]);
            assert!(std::fs::read_to_string(path).expect("the file").contains("maxclients 78"));
        }),
    ),
    ("io_threads_active", Stays("0", "commands run where they are read")),
    (
        "listener",
        Seen(|node, _| {
            let port = node.server.port;
            assert_eq!(node.info("listener0"), format!("name=tcp,bind=127.0.0.1,port={port}"));
            node.set("bind", "127.0.0.1 127.0.0.2");
            assert_eq!(node.info("listener0"), format!("name=tcp,bind=127.0.0.1,bind=127.0.0.2,port={port}"));
            node.set("bind", "127.0.0.1");
            let path = node.temp.0.join("socket").display().to_string();
            let mut unix = Node::start(&["--unixsocket", &path]);
            assert_eq!(unix.info("listener1"), format!("name=unix,bind={path}"));
        }),
    ),
    ("sessile_version", Seen(|node, field| assert_eq!(node.info(field), env!("CARGO_PKG_VERSION")))),
    ("cluster_enabled", Stays("0", "cluster mode stops the start")),
];

const PERSISTENCE: Table = &[
    ("loading", Stays("0", "connections are taken in once all data is loaded")),
    ("async_loading", Stays("0", "there is no master to load from")),
    ("current_cow_peak", NO_FORK),
    ("current_cow_size", NO_FORK),
    ("current_cow_size_age", NO_FORK),
    ("current_fork_perc", Stays("0.00", "nothing forks")),
    ("current_save_keys_processed", Seen(during_a_snapshot)),
    ("current_save_keys_total", Seen(during_a_snapshot)),
    (
        "aof_enabled",
        Seen(|node, field| {
            assert_eq!(node.info(field), "1");
            assert_eq!(Node::start(&["--appendonly", "no", "--save", ""]).info(field), "0");
        }),
    ),
    ("aof_last_write_status", OnSlowDisk(|disk, field| failing(disk, field, "ok", "err"))),
    ("aof_last_cow_size", NO_FORK),
    ("module_fork_in_progress", NO_FORK),
    ("module_fork_last_cow_size", NO_FORK),
    (
        "aof_current_size",
        Seen(|node, field| {
            let before = node.number(field);
            node.fill("size", 10, 10_000);
            node.comes_to(field, |after| after >= before + 100_000.0);
        }),
    ),
    ("aof_base_size", Seen(after_a_snapshot)),
    ("aof_buffer_length", OnSlowDisk(|disk, field| held(disk, field, |waiting| waiting > 100_000.0))),
    ("aof_pending_bio_fsync", OnSlowDisk(|disk, field| held(disk, field, |waiting| waiting == 1.0))),
    (
        "aof_delayed_fsync",
        OnSlowDisk(|disk, field| {
            let mut node = disk.node(&["--appendfsync", "everysec"]);
            assert_eq!(node.number(field), 0.0);
            disk.switch("stuck", true);
            node.all(&["SET a 1"]);
            // A write is answered once it has left the process, unless a sync takes too long: then there is silence.
            let mut other = Conn::open(node.server.port, Duration::from_secs(3)).expect("a connection");
            let silent = until(LIMIT, || other.ask_line("SET a 2").is_err().then_some(()));
            assert!(silent.is_some(), "no write ever waited for the disk");
            disk.switch("stuck", false);
            node.comes_to(field, |delayed| delayed >= 1.0);
        }),
    ),
];

const SESSILE: Table = &[
    ("journal_state", OnSlowDisk(|disk, field| failing(disk, field, "ok", "failed"))),
    (
        "journal_reason",
        OnSlowDisk(|disk, field| {
            failing(disk, "journal_state", "ok", "failed");
            let mut node = disk.node(&[]);
            assert_eq!(node.info(field), "");
            disk.switch("fail", true);
            let _ = node.conn.ask_line("SET a 1");
            node.conn = node.connect();
            node.becomes(field, |why| why.contains("restart once the disk is well"));
            disk.switch("fail", false);
        }),
    ),
    (
        "acknowledgement",
        Seen(|node, field| {
            assert_eq!(node.info(field), "durable");
            node.set("appendfsync", "everysec");
            assert_eq!(node.info(field), "everysec");
            node.set("appendfsync", "no");
            assert_eq!(node.info(field), "written");
            node.set("appendfsync", "always");
        }),
    ),
    ("journal_last_lsn", Grows(&["SET a 1"])),
    ("journal_written_lsn", Grows(&["SET a 1"])),
    ("journal_durable_lsn", Grows(&["SET a 1"])),
    ("journal_bytes_since_snapshot", Grows(&["SET a 1"])),
    ("journal_snapshot_bytes", Seen(after_a_snapshot)),
    (
        "snapshot_queued_bytes",
        OnSlowDisk(|disk, field| behind_a_snapshot(disk, field, |bytes| bytes > 32e6 && bytes < 36e6)),
    ),
    (
        "snapshot_holds_writers",
        OnSlowDisk(|disk, field| behind_a_snapshot(disk, field, |holds| holds == 1.0)),
    ),
    (
        "memory_ceiling",
        Follows(|all| (all["total_system_memory"].parse::<u64>().expect("a number") / 100 * 85).to_string()),
    ),
    ("gated_clients", OnSlowDisk(|disk, field| held(disk, field, |waiting| waiting == 1.0))),
    (
        "clock_ahead_ms",
        Seen(|node, field| {
            // The wall clock is not set back meanwhile, the engine's own tests do that: the two differ by their steps.
            node.comes_to(field, |ms| ms < 1000.0);
        }),
    ),
];

const REPLICATION: Table = &[
    ("role", Stays("master", "it follows nobody")),
    ("connected_slaves", NO_REPLICATION),
    ("master_failover_state", Stays("no-failover", "FAILOVER is not offered")),
    ("master_replid", Follows(|all| all["run_id"].clone())),
    ("master_replid2", Stays("0000000000000000000000000000000000000000", "it followed nobody before")),
    ("master_repl_offset", NO_REPLICATION),
    ("second_repl_offset", Stays("-1", "it followed nobody before")),
    ("repl_backlog_active", NO_REPLICATION),
    (
        "repl_backlog_size",
        Seen(|node, field| configured(node, field, "repl-backlog-size", &["2097152", "1048576"])),
    ),
    ("repl_backlog_first_byte_offset", NO_REPLICATION),
    ("repl_backlog_histlen", NO_REPLICATION),
];

/// A field that shows a directive.
pub(crate) fn configured(node: &mut Node, field: &str, directive: &str, values: &[&str]) {
    for value in values {
        node.set(directive, value);
        assert_eq!(node.info(field), *value);
    }
}

fn during_a_snapshot(node: &mut Node, field: &str) {
    assert_eq!(node.info(field), "0");
    let fill = "for i=1,60000 do redis.call('set', 's'..i, string.rep('x', 300)) end";
    node.args(&["EVAL", fill, "0"]);
    let seen = until(LIMIT, || {
        node.ask("BGREWRITEAOF");
        (0..200).find_map(|_| (node.number(field) > 0.0).then_some(()))
    });
    assert!(seen.is_some(), "{field} stays 0 during snapshots");
    node.becomes(field, |keys| keys == "0");
    node.all(&["FLUSHALL"]);
}

fn after_a_snapshot(_: &mut Node, field: &str) {
    let mut node = Node::start(&[]);
    let before = node.number(field);
    // Random text: it stays as long as it is.
    node.fill(field, 100, 1000);
    node.becomes("aof_rewrite_in_progress", |it| it == "0");
    node.all(&["BGREWRITEAOF"]);
    node.comes_to(field, |after| after >= before + 50_000.0);
}

/// While no sync ends, a client that wrote waits.
pub(crate) fn held(disk: &SlowDisk, field: &str, wanted: fn(f64) -> bool) {
    let mut node = disk.node(&[]);
    node.all(&["SET a 1"]);
    assert!(!wanted(node.number(field)), "{field} before");
    disk.switch("stuck", true);
    let mut other = node.connect();
    send(&mut other, "SET a 2");
    node.comes_to("gated_clients", |clients| clients == 1.0);
    // What comes while a sync is in flight is queued.
    send(&mut other, &format!("SET a {}", "x".repeat(200_000)));
    node.comes_to(field, wanted);
    disk.switch("stuck", false);
    node.comes_to(field, |value| !wanted(value));
    let replies = [other.receive(), other.receive()];
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
}

/// While a snapshot finds no way to the disk, what writers save for it gathers, up to a bound.
fn behind_a_snapshot(disk: &SlowDisk, field: &str, wanted: fn(f64) -> bool) {
    const KEYS: usize = 80_000;
    let mut node = disk.node(&["--appendfsync", "no", "--auto-aof-rewrite-percentage", "0"]);
    let fill = format!("for i=0,{KEYS}-1 do redis.call('set', 'k'..i, string.rep('x', 1000)) end");
    node.args(&["EVAL", &fill, "0"]);
    assert!(!wanted(node.number(field)), "{field} before");
    disk.switch("stuck", true);
    node.ask("BGREWRITEAOF");
    node.becomes("current_save_keys_total", |keys| keys == KEYS.to_string());
    let mut other = node.connect();
    for first in (0..KEYS).step_by(100) {
        let keys: Vec<_> = (first..first + 100).map(|n| format!("k{n}")).collect();
        send(&mut other, &format!("DEL {}", keys.join(" ")));
    }
    node.comes_to(field, wanted);
    disk.switch("stuck", false);
    node.comes_to(field, |value| value == 0.0);
    let replies: Vec<_> = (0..KEYS / 100).map(|_| other.receive()).collect();
    assert!(replies.iter().all(|it| *it == Ok(Value::Int(100))), "every DEL was answered in the end");
}

fn failing(disk: &SlowDisk, field: &str, before: &str, after: &str) {
    let mut node = disk.node(&[]);
    node.all(&["SET a 1"]);
    assert_eq!(node.info(field), before);
    disk.switch("fail", true);
    let _ = node.conn.ask_line("SET a 2");
    node.conn = node.connect();
    node.becomes(field, |value| value == after);
    disk.switch("fail", false);
}

/// One row per kind of field where names are made from commands, codes and dbs.
fn row_of(field: &str) -> &str {
    let kinds = ["cmdstat_", "errorstat_", "latency_percentiles_usec_", "listener"];
    if let Some(kind) = kinds.into_iter().find(|kind| field.starts_with(kind)) {
        return kind;
    }
    match field.strip_prefix("db") {
        Some(rest) if rest.bytes().all(|byte| byte.is_ascii_digit()) => "db",
        _ => field,
    }
}

fn check(node: &mut Node, field: &str, row: &Row) {
    match row {
        Stays(value, why) => assert_eq!(node.info(field), *value, "{field}: {why}"),
        Grows(lines) => {
            let before = node.number(field);
            node.all(lines);
            node.comes_to(field, |after| after > before);
        }
        Follows(rule) => {
            let fields = node.fields();
            assert_eq!(fields[field], rule(&fields), "{field}");
        }
        Seen(act) => act(node, field),
        OnSlowDisk(act) => act(&SlowDisk::build(), field),
    }
}

const GROUPS: &[&[Table]] = &[
    &[SERVER, REPLICATION],
    &[PERSISTENCE, SESSILE],
    &[info_memory::CLIENTS, info_memory::MEMORY],
    &[info_stats::STATS, info_stats::CPU, info_stats::NAMED],
];

const FLAGS: &[&str] = &["--enable-debug-command", "yes"];

fn check_group(group: &[Table]) {
    let mut node = Node::start(FLAGS);
    let mut left_behind = false;
    each(group.iter().copied().flatten().map(|(field, row)| (*field, row)), |field, row| {
        // One that failed may have left anything behind.
        if std::mem::replace(&mut left_behind, true) {
            node = Node::start(FLAGS);
        }
        check(&mut node, field, row);
        left_behind = false;
    });
}

#[test]
fn server_and_replication() {
    check_group(GROUPS[0]);
}

#[test]
fn persistence_and_journal() {
    check_group(GROUPS[1]);
}

#[test]
fn clients_and_memory() {
    check_group(GROUPS[2]);
}

#[test]
fn statistics() {
    check_group(GROUPS[3]);
}

#[test]
fn every_field_has_a_row_and_every_row_a_field() {
    let mut node = Node::start(&["--save", ""]);
    node.all(&["SET a 1"]);
    node.ask("NOSUCH");
    let shown: BTreeSet<String> = node
        .fields()
        .keys()
        .filter(|field| !is_elsewhere(field))
        .map(|field| row_of(field).to_owned())
        .collect();
    let known: BTreeSet<String> = GROUPS
        .iter()
        .copied()
        .flatten()
        .copied()
        .flatten()
        .map(|(field, _)| row_of(field).to_owned())
        .collect();
    let difference: Vec<_> = shown.symmetric_difference(&known).collect();
    assert!(difference.is_empty(), "without a row, or without a field: {difference:?}");
}
