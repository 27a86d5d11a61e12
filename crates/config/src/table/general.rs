//! The process, the log, the clock's ticks, observation.

use super::{BOOL, HONOURED, I32, I64, OPTIONAL, TEXT, accepted, checked, int, network, rows, stops};
use crate::{
    choice::{Choice, LogLevel},
    directive::{Check, Kind},
};

/// Most databases. Each takes memory and is looked at in turns, whether it is used or not.
const DATABASES_MAX: i64 = 1 << 16;

rows! { from network::NEXT;
    DAEMONIZE = "daemonize", BOOL, "no", [IMMUTABLE],
        accepted("the process stays in the foreground, as a container or a service manager wants it");
    SUPERVISED = "supervised", Kind::Enum(&["upstart", "systemd", "auto", "no"]), "no", [IMMUTABLE],
        accepted("a service manager is told of readiness when it asks for that in the environment");
    PIDFILE = "pidfile", OPTIONAL, "", [IMMUTABLE], HONOURED;
    LOGLEVEL = "loglevel", Kind::Enum(LogLevel::NAMES), "notice", [], HONOURED;
    LOGFILE = "logfile", TEXT, "", [IMMUTABLE], HONOURED;
    SYSLOG_ENABLED = "syslog-enabled", BOOL, "no", [IMMUTABLE],
        accepted("the log goes to `logfile` or to standard output");
    SYSLOG_IDENT = "syslog-ident", TEXT, "redis", [IMMUTABLE],
        accepted("the log goes to `logfile` or to standard output");
    SYSLOG_FACILITY = "syslog-facility",
        Kind::Enum(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]),
        "local0", [IMMUTABLE], accepted("the log goes to `logfile` or to standard output");
    CRASH_LOG_ENABLED = "crash-log-enabled", BOOL, "yes", [],
        accepted("a crash is one line in the log, and the journal has what was acknowledged");
    CRASH_MEMCHECK_ENABLED = "crash-memcheck-enabled", BOOL, "yes", [],
        accepted("a crash runs no memory test");
    USE_EXIT_ON_PANIC = "use-exit-on-panic", BOOL, "no", [HIDDEN], accepted("a panic always ends the process");
    WATCHDOG_PERIOD = "watchdog-period", I32, "0", [HIDDEN],
        accepted("long turns are counted by the latency monitor");
    DATABASES = "databases", int(1, DATABASES_MAX), "16", [IMMUTABLE], HONOURED;
    ALWAYS_SHOW_LOGO = "always-show-logo", BOOL, "no", [IMMUTABLE], accepted("there is no logo");
    SET_PROC_TITLE = "set-proc-title", BOOL, "yes", [IMMUTABLE], accepted("the process keeps its title");
    PROC_TITLE_TEMPLATE = "proc-title-template", checked(Check::ProcTitle),
        "{title} {listen-addr} {server-mode}", [], accepted("the process keeps its title");
    LOCALE_COLLATE = "locale-collate", TEXT, "", [],
        accepted("text is compared by its bytes, so that every node sorts alike");
    SERVER_CPULIST = "server_cpulist", OPTIONAL, "", [IMMUTABLE],
        accepted("threads are not pinned; start the process under `taskset`");
    BIO_CPULIST = "bio_cpulist", OPTIONAL, "", [IMMUTABLE],
        accepted("threads are not pinned; start the process under `taskset`");
    AOF_REWRITE_CPULIST = "aof_rewrite_cpulist", OPTIONAL, "", [IMMUTABLE],
        accepted("no process is forked to rewrite the journal");
    BGSAVE_CPULIST = "bgsave_cpulist", OPTIONAL, "", [IMMUTABLE],
        accepted("no process is forked to save a snapshot");
    IGNORE_WARNINGS = "ignore-warnings", TEXT, "", [], accepted("these warnings of the kernel are not given");
    DISABLE_THP = "disable-thp", BOOL, "yes", [IMMUTABLE],
        accepted("huge pages hurt forked snapshots, and nothing forks here");
    OOM_SCORE_ADJ = "oom-score-adj", Kind::Enum(&["no", "yes", "relative", "absolute"]), "no", [],
        accepted("the kernel's score is the service manager's to set");
    OOM_SCORE_ADJ_VALUES = "oom-score-adj-values", Kind::OomScores, "0 200 800", [MULTI_ARG],
        accepted("the kernel's score is the service manager's to set");
    HZ = "hz", Kind::Hz, "10", [], accepted("background work is paced by turns, not by ticks");
    DYNAMIC_HZ = "dynamic-hz", BOOL, "yes", [], accepted("background work is paced by turns, not by ticks");
    SHUTDOWN_TIMEOUT = "shutdown-timeout", I32, "10", [],
        accepted("it is the time for replicas to catch up, and there are none");
    SHUTDOWN_ON_SIGINT = "shutdown-on-sigint", Kind::Shutdown, "default", [MULTI_ARG], HONOURED;
    SHUTDOWN_ON_SIGTERM = "shutdown-on-sigterm", Kind::Shutdown, "default", [MULTI_ARG], HONOURED;
    NOTIFY_KEYSPACE_EVENTS = "notify-keyspace-events", Kind::NotifyFlags, "", [], HONOURED;
    SLOWLOG_LOG_SLOWER_THAN = "slowlog-log-slower-than", int(-1, i64::MAX), "10000", [], HONOURED;
    SLOWLOG_MAX_LEN = "slowlog-max-len", I64, "128", [], HONOURED;
    LATENCY_MONITOR_THRESHOLD = "latency-monitor-threshold", I64, "0", [], HONOURED;
    LATENCY_TRACKING = "latency-tracking", BOOL, "yes", [], HONOURED;
    LATENCY_TRACKING_INFO_PERCENTILES = "latency-tracking-info-percentiles", Kind::Percentiles,
        "50 99 99.9", [MULTI_ARG], HONOURED;
    BUSY_REPLY_THRESHOLD = "busy-reply-threshold" / "lua-time-limit", I64, "5000", [], HONOURED;
    LUA_ENABLE_DEPRECATED_API = "lua-enable-deprecated-api", BOOL, "no", [IMMUTABLE HIDDEN],
        stops("the deprecated Lua interface lets scripts change what other scripts see",
            "remove it and port the script");
    LUA_REPLICATE_COMMANDS = "lua-replicate-commands", Kind::Row { min: 1, max: 1 }, "", [FILE_ONLY],
        accepted("scripts are always journaled by their effects");
    LOADMODULE = "loadmodule", Kind::Row { min: 1, max: usize::MAX }, "", [FILE_ONLY],
        stops("modules are not loaded", "remove the line; commands of the module would be missing");
    SENTINEL = "sentinel", Kind::Row { min: 0, max: usize::MAX }, "", [FILE_ONLY],
        stops("this is no Sentinel process", "start it without `--sentinel` and without a sentinel.conf");
}
