//! Cluster mode, which this version does not have.

use super::{BOOL, I32, I64, OPTIONAL, PORT_NUMBER, TEXT, accepted, replication, rows, stops};
use crate::directive::{Check, Kind};

const NO_CLUSTER: &str = "this node is not part of a cluster";

rows! { from replication::NEXT;
    CLUSTER_ENABLED = "cluster-enabled", BOOL, "no", [IMMUTABLE],
        stops("this version has no cluster mode", "set it to `no` and let clients connect to a single node");
    CLUSTER_CONFIG_FILE = "cluster-config-file", TEXT, "nodes.conf", [IMMUTABLE], accepted(NO_CLUSTER);
    CLUSTER_PORT = "cluster-port", PORT_NUMBER, "0", [IMMUTABLE], accepted(NO_CLUSTER);
    CLUSTER_NODE_TIMEOUT = "cluster-node-timeout", I64, "15000", [], accepted(NO_CLUSTER);
    CLUSTER_PING_INTERVAL = "cluster-ping-interval", I32, "1000", [HIDDEN], accepted(NO_CLUSTER);
    CLUSTER_MIGRATION_BARRIER = "cluster-migration-barrier", I32, "1", [], accepted(NO_CLUSTER);
    CLUSTER_REQUIRE_FULL_COVERAGE = "cluster-require-full-coverage", BOOL, "yes", [], accepted(NO_CLUSTER);
    CLUSTER_REPLICA_NO_FAILOVER = "cluster-replica-no-failover" / "cluster-slave-no-failover", BOOL, "no", [],
        accepted(NO_CLUSTER);
    CLUSTER_REPLICA_VALIDITY_FACTOR = "cluster-replica-validity-factor" / "cluster-slave-validity-factor",
        I32, "10", [], accepted(NO_CLUSTER);
    CLUSTER_ALLOW_REPLICA_MIGRATION = "cluster-allow-replica-migration", BOOL, "yes", [],
        accepted(NO_CLUSTER);
    CLUSTER_ALLOW_READS_WHEN_DOWN = "cluster-allow-reads-when-down", BOOL, "no", [], accepted(NO_CLUSTER);
    CLUSTER_ALLOW_PUBSUBSHARD_WHEN_DOWN = "cluster-allow-pubsubshard-when-down", BOOL, "yes", [],
        accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_IP = "cluster-announce-ip", OPTIONAL, "", [], accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_PORT = "cluster-announce-port", PORT_NUMBER, "0", [], accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_TLS_PORT = "cluster-announce-tls-port", PORT_NUMBER, "0", [], accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_BUS_PORT = "cluster-announce-bus-port", PORT_NUMBER, "0", [], accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_HOSTNAME = "cluster-announce-hostname",
        Kind::Text { empty_is_none: true, check: Check::Hostname }, "", [], accepted(NO_CLUSTER);
    CLUSTER_ANNOUNCE_HUMAN_NODENAME = "cluster-announce-human-nodename",
        Kind::Text { empty_is_none: true, check: Check::NodeName }, "", [], accepted(NO_CLUSTER);
    CLUSTER_PREFERRED_ENDPOINT_TYPE = "cluster-preferred-endpoint-type",
        Kind::Enum(&["ip", "hostname", "unknown-endpoint"]), "ip", [], accepted(NO_CLUSTER);
}
