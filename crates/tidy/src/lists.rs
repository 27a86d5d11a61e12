//! What the rules are told about this tree. Lists of exceptions only shrink.

use crate::graph::Room;

const fn room(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, is_planned: false }
}

const fn planned(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, is_planned: true }
}

/// The crate graph, from the inside out.
pub const GRAPH: &[Room] = &[
    room("resp", &[]),
    room("values", &[]),
    room("config", &[]),
    room("journal", &[]),
    room("keyspace", &["values"]),
    planned("acl", &[]),
    room("rdb", &["values"]),
    room("command", &["acl", "keyspace", "resp", "values"]),
    room("commands", &["command", "resp", "values"]),
    room("script", &["resp"]),
    room("engine", &["acl", "command", "commands", "config", "keyspace", "resp", "script", "values"]),
    planned("topology", &["journal"]),
    planned("journal-postgres", &["journal"]),
    planned("replication", &["engine", "rdb"]),
    planned("console", &["engine"]),
    room("cli", &["resp"]),
    room(
        "server",
        &[
            "cli",
            "config",
            "console",
            "engine",
            "journal",
            "journal-postgres",
            "keyspace",
            "rdb",
            "replication",
            "topology",
            "values",
        ],
    ),
    // Test tools: nothing depends on them.
    planned("sim", &["command", "config", "engine", "journal", "keyspace", "resp", "values"]),
    planned("crash", &["resp"]),
    room("differ", &[]),
    room("fuzz", &["config", "engine", "journal", "keyspace", "rdb", "resp", "values"]),
    room("tidy", &[]),
    room("oracle", &[]),
];

/// The engine and what is below it.
pub const INNER: &[&str] = &[
    "resp", "values", "config", "journal", "keyspace", "acl", "rdb", "command", "commands", "script",
    "engine",
];

/// What inner crates never see, with all that begins so.
pub const OUTER_PACKAGES: &[&str] = &["tokio", "mio", "rustls", "native", "openssl", "serde", "hyper"];

/// Places that may hold unsafe code, and for what: files, and folders with a `/` at their end.
pub const UNSAFE_INVENTORY: &[(&str, &str)] = &[
    ("crates/values/src/bytes.rs", "a byte string in one allocation, one word wide"),
    ("crates/values/src/prefetch.rs", "an instruction that reads nothing"),
    ("crates/values/src/thin.rs", "a buffer and a box of eight bytes without alignment"),
    ("crates/keyspace/src/entry.rs", "an entry in one allocation, one word in the table"),
    ("crates/script/src/bridge.rs", "the C API of Lua"),
    ("crates/script/src/bridge/", "the C API of Lua: its allocator, its buffer, loading a script"),
    ("crates/script/src/fiber.rs", "the switch between a script's stack and the caller's"),
];

/// `(path, word, reason)`: banned words that may stand.
pub const WORDS_ALLOWED: &[(&str, &str, &str)] = &[];

/// Files longer than [`crate::shape::FILE_LINES_MAX`], with the lines that they may have.
pub const LONG_FILES: &[(&str, usize)] = &[];

/// Functions longer than [`crate::shape::FUNCTION_LINES_MAX`], with the lines that they may have.
pub const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[
    ("crates/crash/src/rounds.rs", "work", 71),
    ("crates/engine/src/admin/connection.rs", "hello", 65),
    ("crates/journal/src/log.rs", "open_locked", 70),
    ("crates/keyspace/src/snapshot.rs", "encode_part", 61),
    ("crates/keyspace/src/render.rs", "of_stream", 70),
    ("crates/script/src/structs.rs", "unpack", 72),
];
