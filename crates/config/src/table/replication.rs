//! Replicas in and out: this version has neither, so what would protect by them stops the start.

use super::{BOOL, I32, I64, OPTIONAL, PORT_NUMBER, accepted, i32_from, own, rows, stops};
use crate::directive::Kind;

const NO_REPLICAS: &str = "this node serves no replicas";
const NO_MASTER: &str = "this node follows no master";

rows! { from own::NEXT;
    REPLICAOF = "replicaof" / "slaveof", Kind::ReplicaOf, "", [IMMUTABLE MULTI_ARG],
        stops("this version does not follow a master, and would serve other data than it",
            "remove the line");
    MASTERUSER = "masteruser", OPTIONAL, "", [SENSITIVE], accepted(NO_MASTER);
    MASTERAUTH = "masterauth", OPTIONAL, "", [SENSITIVE], accepted(NO_MASTER);
    MIN_REPLICAS_TO_WRITE = "min-replicas-to-write" / "min-slaves-to-write", I32, "0", [],
        stops("it asks for replicas before a write, and this node serves none",
            "remove the line; a reply already waits until its write is durable");
    MIN_REPLICAS_MAX_LAG = "min-replicas-max-lag" / "min-slaves-max-lag", I32, "10", [],
        accepted(NO_REPLICAS);
    REPLICA_SERVE_STALE_DATA = "replica-serve-stale-data" / "slave-serve-stale-data", BOOL, "yes", [],
        accepted(NO_MASTER);
    REPLICA_READ_ONLY = "replica-read-only" / "slave-read-only", BOOL, "yes", [], accepted(NO_MASTER);
    REPLICA_LAZY_FLUSH = "replica-lazy-flush" / "slave-lazy-flush", BOOL, "no", [], accepted(NO_MASTER);
    REPLICA_IGNORE_MAXMEMORY = "replica-ignore-maxmemory" / "slave-ignore-maxmemory", BOOL, "yes", [],
        accepted(NO_MASTER);
    REPLICA_IGNORE_DISK_WRITE_ERRORS = "replica-ignore-disk-write-errors", BOOL, "no", [],
        accepted(NO_MASTER);
    REPLICA_PRIORITY = "replica-priority" / "slave-priority", I32, "100", [], accepted(NO_MASTER);
    REPLICA_ANNOUNCED = "replica-announced", BOOL, "yes", [], accepted(NO_MASTER);
    REPLICA_ANNOUNCE_IP = "replica-announce-ip" / "slave-announce-ip", OPTIONAL, "", [], accepted(NO_MASTER);
    REPLICA_ANNOUNCE_PORT = "replica-announce-port" / "slave-announce-port", PORT_NUMBER, "0", [],
        accepted(NO_MASTER);
    REPL_TIMEOUT = "repl-timeout", i32_from(1), "60", [], accepted(NO_REPLICAS);
    REPL_PING_REPLICA_PERIOD = "repl-ping-replica-period" / "repl-ping-slave-period", i32_from(1), "10", [],
        accepted(NO_REPLICAS);
    REPL_BACKLOG_SIZE = "repl-backlog-size", Kind::Memory { min: 1, max: i64::MAX as u64 }, "1048576", [],
        accepted(NO_REPLICAS);
    REPL_BACKLOG_TTL = "repl-backlog-ttl", I64, "3600", [], accepted(NO_REPLICAS);
    REPL_DISABLE_TCP_NODELAY = "repl-disable-tcp-nodelay", BOOL, "no", [], accepted(NO_REPLICAS);
    REPL_DISKLESS_SYNC = "repl-diskless-sync", BOOL, "yes", [], accepted(NO_REPLICAS);
    REPL_DISKLESS_SYNC_DELAY = "repl-diskless-sync-delay", I32, "5", [], accepted(NO_REPLICAS);
    REPL_DISKLESS_SYNC_MAX_REPLICAS = "repl-diskless-sync-max-replicas", I32, "0", [], accepted(NO_REPLICAS);
    REPL_DISKLESS_LOAD = "repl-diskless-load", Kind::Enum(&["disabled", "on-empty-db", "swapdb"]),
        "disabled", [DENY_LOADING], accepted(NO_MASTER);
    PROPAGATION_ERROR_BEHAVIOR = "propagation-error-behavior",
        Kind::Enum(&["ignore", "panic", "panic-on-replicas"]), "ignore", [],
        accepted("effects are journaled, not commands, and an effect does not fail");
}
