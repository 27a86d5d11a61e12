//! The configuration as the engine uses it on every command: parsed once, kept true by CONFIG SET.

use std::collections::HashMap;

use sessile_config::{
    AppendFsync, AppendOnly, Config, MaxmemoryPolicy, MemoryLimit, NotifyFlags, OutputLimit, Value,
    table as names,
};
use sessile_keyspace::Durability;
use sessile_resp::Limits;

use crate::engine::Engine;
use crate::session::ClientClass;

/// What an unprotected remote client is told.
pub(crate) const PROTECTED_MODE_REPLY: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted from the loopback \
interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) \
Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by \
connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible \
from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable \
the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then \
restarting the server. 3) If you started the server manually just for testing, restart it with the \
'--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You only need to do \
one of the above things in order for the server to start accepting connections from the outside.\r\n";

/// Parsed directives.
pub(crate) struct Settings {
    /// `databases`.
    pub databases: usize,
    /// Whether there is a journal: not with `appendonly no`.
    pub journaled: bool,
    /// What the default class promises.
    pub durability: Durability,
    /// `maxclients`.
    pub maxclients: usize,
    /// `requirepass`, if set.
    pub password: Option<Vec<u8>>,
    /// Whether remote clients are refused.
    pub protected: bool,
    /// `proto-max-bulk-len` and the protocol's own bounds.
    pub parse_limits: Limits,
    /// `rename-command`: a lower-case name to the command's own, or to nothing.
    pub renamed: HashMap<Vec<u8>, Option<String>>,
    /// `notify-keyspace-events`.
    pub notify: NotifyFlags,
    /// `client-output-buffer-limit`, by class.
    pub output_limits: [OutputLimit; 3],
    /// What a reply may have before it is given up: the hard limit of normal clients.
    pub reply_max_bytes: usize,
    /// `client-query-buffer-limit`.
    pub input_limit_bytes: u64,
    /// `maxmemory`; 0 for none.
    pub maxmemory_bytes: u64,
    /// `maxmemory-policy`.
    pub policy: MaxmemoryPolicy,
    /// `maxmemory-samples`.
    pub samples: usize,
    /// `timeout`, in seconds; 0 for none.
    pub idle_timeout_s: u64,
    /// `slowlog-log-slower-than`, in microseconds; negative for never.
    pub slow_us: i64,
    /// `slowlog-max-len`.
    pub slow_max: usize,
    /// `latency-monitor-threshold`, in milliseconds; 0 for off.
    pub latency_ms: u64,
    /// `busy-reply-threshold`, in milliseconds; 0 or less is for ever.
    pub busy_ms: u64,
    /// `stop-writes-on-bgsave-error`.
    pub stops_writes: bool,
    /// `maxmemory-clients`, in bytes; 0 for none.
    pub clients_bytes: u64,
    /// `latency-tracking`.
    pub tracks_latency: bool,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
}

impl Settings {
    /// Reads what the engine needs.
    pub(crate) fn new(config: &Config) -> Self {
        let password = Some(config.bytes(names::REQUIREPASS).to_vec()).filter(|p| !p.is_empty());
        let journaled = config.append_only() != AppendOnly::No;
        let durability = match config.choice(names::APPENDFSYNC) {
            // Without a word about it, the default is durable, not Redis' everysec.
            _ if !config.is_explicit(names::APPENDFSYNC) => Durability::Durable,
            AppendFsync::Always => Durability::Durable,
            AppendFsync::EverySec | AppendFsync::No => Durability::Relaxed,
        };
        let output_limits = config.output_limits();
        Self {
            databases: config.int(names::DATABASES) as usize,
            journaled,
            durability: if journaled { durability } else { Durability::Volatile },
            maxclients: config.int(names::MAXCLIENTS) as usize,
            protected: config.bool(names::PROTECTED_MODE) && password.is_none(),
            password,
            parse_limits: Limits {
                max_bulk_len: config.memory_bytes(names::PROTO_MAX_BULK_LEN) as usize,
                ..Limits::default()
            },
            renamed: renamed(config),
            notify: config.notify_flags(),
            output_limits,
            reply_max_bytes: match output_limits[ClientClass::Normal as usize].hard_bytes {
                0 => usize::MAX,
                bytes => bytes as usize,
            },
            input_limit_bytes: config.memory_bytes(names::CLIENT_QUERY_BUFFER_LIMIT),
            maxmemory_bytes: config.memory_bytes(names::MAXMEMORY),
            policy: config.choice(names::MAXMEMORY_POLICY),
            samples: config.int(names::MAXMEMORY_SAMPLES) as usize,
            idle_timeout_s: config.int(names::TIMEOUT) as u64,
            slow_us: config.int(names::SLOWLOG_LOG_SLOWER_THAN),
            slow_max: config.int(names::SLOWLOG_MAX_LEN) as usize,
            latency_ms: config.int(names::LATENCY_MONITOR_THRESHOLD) as u64,
            busy_ms: u64::try_from(config.int(names::BUSY_REPLY_THRESHOLD))
                .ok()
                .filter(|ms| *ms > 0)
                .unwrap_or(u64::MAX),
            stops_writes: config.bool(names::STOP_WRITES_ON_BGSAVE_ERROR),
            clients_bytes: match config.maxmemory_clients() {
                MemoryLimit::Bytes(bytes) => bytes,
                MemoryLimit::Percent(percent) => {
                    let whole = config.memory_bytes(names::MAXMEMORY);
                    (u128::from(whole) * u128::from(percent) / 100) as u64
                }
            },
            tracks_latency: config.bool(names::LATENCY_TRACKING),
            active_expire: true,
        }
    }
}

fn renamed(config: &Config) -> HashMap<Vec<u8>, Option<String>> {
    let mut renamed = HashMap::new();
    for row in config.rows(names::RENAME_COMMAND) {
        let [from, to] = &row[..] else { continue };
        let from = String::from_utf8_lossy(from).to_ascii_lowercase();
        // A command renamed twice: the later line names it by its new name.
        let original = match renamed.insert(from.clone().into_bytes(), None) {
            Some(Some(original)) => original,
            _ => from,
        };
        if !to.is_empty() {
            renamed.insert(to.to_ascii_lowercase(), Some(original));
        }
    }
    renamed
}

impl Engine {
    /// Reads the configuration again after CONFIG SET, and brings the keyspace in line.
    pub(crate) fn reload_settings(&mut self) {
        let active_expire = self.settings.active_expire;
        let databases = self.settings.databases;
        self.settings = Settings { active_expire, databases, ..Settings::new(&self.config) };
        self.apply_settings();
    }

    pub(crate) fn apply_settings(&mut self) {
        let config = &self.config;
        let size = |id| match config.value(id) {
            Value::Memory(bytes) => *bytes as usize,
            _ => config.int(id) as usize,
        };
        let limits = &mut self.keyspace.limits;
        limits.hash_entries = size(names::HASH_MAX_LISTPACK_ENTRIES);
        limits.hash_value = size(names::HASH_MAX_LISTPACK_VALUE);
        limits.set_intset_entries = size(names::SET_MAX_INTSET_ENTRIES);
        limits.set_entries = size(names::SET_MAX_LISTPACK_ENTRIES);
        limits.set_value = size(names::SET_MAX_LISTPACK_VALUE);
        limits.zset_entries = size(names::ZSET_MAX_LISTPACK_ENTRIES);
        limits.zset_value = size(names::ZSET_MAX_LISTPACK_VALUE);
        limits.list_size = config.int(names::LIST_MAX_LISTPACK_SIZE);
        limits.stream_node_bytes = config.memory_bytes(names::STREAM_NODE_MAX_BYTES) as usize;
        limits.stream_node_entries = size(names::STREAM_NODE_MAX_ENTRIES);
        limits.hll_sparse_bytes = size(names::HLL_SPARSE_MAX_BYTES);
        // What is lowered later must not keep what is there from being read.
        self.keyspace.string_max_bytes =
            config.memory_bytes(names::PROTO_MAX_BULK_LEN).max(sessile_keyspace::STRING_MAX_BYTES);
        self.txn.durability = self.settings.durability;
        let clock = &mut self.keyspace.clock;
        clock.lfu =
            matches!(self.settings.policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
        clock.log_factor = config.int(names::LFU_LOG_FACTOR) as u32;
        clock.decay_min = config.int(names::LFU_DECAY_TIME) as u32;
        clock.now_s = self.clock.now_ms() / 1000;
    }
}
