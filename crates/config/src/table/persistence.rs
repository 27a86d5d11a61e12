//! Journal, append-only file, dump.

use super::{BOOL, BYTES, HONOURED, I32, accepted, checked, int, memory, rows};
use crate::{
    choice::{AppendFsync, Choice},
    directive::{Check, Kind},
};

const JOURNAL_FORMAT: &str = "the journal has a format of its own";

rows! { from memory::NEXT;
    DIR = "dir", checked(Check::Any), "./sessile-data", [PROTECTED DENY_LOADING], HONOURED;
    DBFILENAME = "dbfilename", checked(Check::DbFileName), "dump.rdb", [PROTECTED], HONOURED;
    // Without a journal the default is Redis', see `load`: then dump.rdb is all that stays.
    SAVE = "save", Kind::Save, "", [MULTI_ARG], HONOURED;
    STOP_WRITES_ON_BGSAVE_ERROR = "stop-writes-on-bgsave-error", BOOL, "yes", [], HONOURED;
    RDBCOMPRESSION = "rdbcompression", BOOL, "yes", [], HONOURED;
    RDBCHECKSUM = "rdbchecksum", BOOL, "yes", [IMMUTABLE], HONOURED;
    RDB_DEL_SYNC_FILES = "rdb-del-sync-files", BOOL, "no", [],
        accepted("no file is left behind by replication");
    RDB_SAVE_INCREMENTAL_FSYNC = "rdb-save-incremental-fsync", BOOL, "yes", [],
        accepted("a snapshot is always synced as it grows");
    RDB_KEY_SAVE_DELAY = "rdb-key-save-delay", int(i32::MIN as i64, i32::MAX as i64), "0", [HIDDEN],
        accepted("saving is not slowed down for tests");
    APPENDONLY = "appendonly", BOOL, "yes", [DENY_LOADING], HONOURED;
    APPENDFSYNC = "appendfsync", Kind::Enum(AppendFsync::NAMES), "always", [], HONOURED;
    APPENDFILENAME = "appendfilename", checked(Check::AppendFileName), "appendonly.aof", [IMMUTABLE],
        accepted(JOURNAL_FORMAT);
    APPENDDIRNAME = "appenddirname", checked(Check::AppendDirName), "appendonlydir", [IMMUTABLE], HONOURED;
    AUTO_AOF_REWRITE_PERCENTAGE = "auto-aof-rewrite-percentage", I32, "100", [], HONOURED;
    AUTO_AOF_REWRITE_MIN_SIZE = "auto-aof-rewrite-min-size", BYTES, "67108864", [], HONOURED;
    NO_APPENDFSYNC_ON_REWRITE = "no-appendfsync-on-rewrite", BOOL, "no", [],
        accepted("a snapshot never holds back the journal's sync");
    AOF_REWRITE_INCREMENTAL_FSYNC = "aof-rewrite-incremental-fsync", BOOL, "yes", [],
        accepted("a snapshot is always synced as it grows");
    AOF_LOAD_TRUNCATED = "aof-load-truncated", BOOL, "yes", [],
        accepted("a torn tail was never acknowledged and is cut off, any other damage stops the start");
    AOF_USE_RDB_PREAMBLE = "aof-use-rdb-preamble", BOOL, "yes", [], accepted(JOURNAL_FORMAT);
    AOF_TIMESTAMP_ENABLED = "aof-timestamp-enabled", BOOL, "no", [], accepted(JOURNAL_FORMAT);
    AOF_DISABLE_AUTO_GC = "aof-disable-auto-gc", BOOL, "no", [], accepted(JOURNAL_FORMAT);
}
