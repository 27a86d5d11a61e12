//! Sockets, clients and their buffers.

use super::{BOOL, HONOURED, I32, OPTIONAL, PORT_NUMBER, accepted, int, rows};
use crate::directive::Kind;

rows! { from 0;
    BIND = "bind", Kind::Bind, "127.0.0.1 -::1", [MULTI_ARG], HONOURED;
    PORT = "port", PORT_NUMBER, "6379", [], HONOURED;
    UNIXSOCKET = "unixsocket", OPTIONAL, "", [IMMUTABLE], HONOURED;
    UNIXSOCKETPERM = "unixsocketperm", Kind::Octal { max: 0o777 }, "0", [IMMUTABLE], HONOURED;
    PROTECTED_MODE = "protected-mode", BOOL, "yes", [], HONOURED;
    TCP_BACKLOG = "tcp-backlog", I32, "511", [IMMUTABLE], HONOURED;
    TCP_KEEPALIVE = "tcp-keepalive", I32, "300", [], HONOURED;
    TIMEOUT = "timeout", I32, "0", [], HONOURED;
    MAXCLIENTS = "maxclients", int(1, u32::MAX as i64), "10000", [], HONOURED;
    CLIENT_OUTPUT_BUFFER_LIMIT = "client-output-buffer-limit", Kind::ClientBufferLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", [MULTI_ARG], HONOURED;
    CLIENT_QUERY_BUFFER_LIMIT = "client-query-buffer-limit",
        Kind::Memory { min: 1 << 20, max: i64::MAX as u64 }, "1073741824", [], HONOURED;
    PROTO_MAX_BULK_LEN = "proto-max-bulk-len",
        Kind::Memory { min: 1 << 20, max: i64::MAX as u64 }, "536870912", [], HONOURED;
    TRACKING_TABLE_MAX_KEYS = "tracking-table-max-keys", super::I64, "1000000", [],
        accepted("no client tracks keys in this version");
    BIND_SOURCE_ADDR = "bind-source-addr", OPTIONAL, "", [],
        accepted("it names the address of outgoing connections, and this node makes none");
    SOCKET_MARK_ID = "socket-mark-id", int(0, u32::MAX as i64), "0", [IMMUTABLE],
        accepted("sockets are not marked; mark them by port in the firewall");
    IO_THREADS = "io-threads", int(1, 128), "1", [IMMUTABLE],
        accepted("commands run where they are read, on the data thread");
    IO_THREADS_DO_READS = "io-threads-do-reads", BOOL, "no", [IMMUTABLE],
        accepted("commands run where they are read, on the data thread");
    CLUSTER_LINK_SENDBUF_LIMIT = "cluster-link-sendbuf-limit", super::BYTES_U64, "0", [],
        accepted("there is no cluster bus");
}
