//! The memory limit, eviction, expiry, lazy freeing.

use super::{BOOL, BYTES_U64, HONOURED, I32, accepted, i32_from, int, rows, security};
use crate::{
    choice::{Choice, MaxmemoryPolicy},
    directive::Kind,
};

const NO_DEFRAG: &str = "values are compacted when they are written";

rows! { from security::NEXT;
    MAXMEMORY = "maxmemory", BYTES_U64, "0", [], HONOURED;
    MAXMEMORY_CLIENTS = "maxmemory-clients", Kind::MemoryOrPercent, "0", [], HONOURED;
    MAXMEMORY_POLICY = "maxmemory-policy", Kind::Enum(MaxmemoryPolicy::NAMES), "noeviction", [], HONOURED;
    MAXMEMORY_SAMPLES = "maxmemory-samples", int(1, 64), "5", [], HONOURED;
    MAXMEMORY_EVICTION_TENACITY = "maxmemory-eviction-tenacity", int(0, 100), "10", [],
        accepted("eviction takes at most 0.1 ms of a turn");
    LFU_LOG_FACTOR = "lfu-log-factor", I32, "10", [], HONOURED;
    LFU_DECAY_TIME = "lfu-decay-time", I32, "1", [], HONOURED;
    ACTIVE_EXPIRE_EFFORT = "active-expire-effort", int(1, 10), "1", [],
        accepted("expiry takes at most 0.1 ms of a turn");
    LAZYFREE_LAZY_EVICTION = "lazyfree-lazy-eviction", BOOL, "no", [],
        accepted("large values are always freed in bounded turns");
    LAZYFREE_LAZY_EXPIRE = "lazyfree-lazy-expire", BOOL, "no", [],
        accepted("large values are always freed in bounded turns");
    LAZYFREE_LAZY_SERVER_DEL = "lazyfree-lazy-server-del", BOOL, "no", [],
        accepted("large values are always freed in bounded turns");
    LAZYFREE_LAZY_USER_DEL = "lazyfree-lazy-user-del", BOOL, "no", [],
        accepted("large values are always freed in bounded turns");
    LAZYFREE_LAZY_USER_FLUSH = "lazyfree-lazy-user-flush", BOOL, "no", [],
        accepted("large values are always freed in bounded turns");
    ACTIVEREHASHING = "activerehashing", BOOL, "yes", [], accepted("a table never rehashes as a whole");
    ACTIVEDEFRAG = "activedefrag", BOOL, "no", [], accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_CYCLE_MIN = "active-defrag-cycle-min", int(1, 99), "1", [], accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_CYCLE_MAX = "active-defrag-cycle-max", int(1, 99), "25", [], accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_THRESHOLD_LOWER = "active-defrag-threshold-lower", int(0, 1000), "10", [],
        accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_THRESHOLD_UPPER = "active-defrag-threshold-upper", int(0, 1000), "100", [],
        accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_MAX_SCAN_FIELDS = "active-defrag-max-scan-fields", int(1, i64::MAX), "1000", [],
        accepted(NO_DEFRAG);
    ACTIVE_DEFRAG_IGNORE_BYTES = "active-defrag-ignore-bytes",
        Kind::Memory { min: 1, max: i64::MAX as u64 }, "104857600", [], accepted(NO_DEFRAG);
    JEMALLOC_BG_THREAD = "jemalloc-bg-thread", BOOL, "yes", [],
        accepted("the allocator has no thread of its own to switch");
    KEY_LOAD_DELAY = "key-load-delay", int(i32::MIN as i64, i32::MAX as i64), "0", [HIDDEN],
        accepted("loading is not slowed down for tests");
    LOADING_PROCESS_EVENTS_INTERVAL_BYTES = "loading-process-events-interval-bytes",
        i32_from(1024), "2097152", [HIDDEN], accepted("connections are taken in once all data is loaded");
}
