//! Sessile's own directives.

use super::{HONOURED, OPTIONAL, PORT_NUMBER, TEXT, encoding, i32_from, rows};
use crate::{
    choice::{Choice, LogFormat},
    directive::Kind,
};

/// Smallest journal segment: a few full pages of records, in bytes.
const SEGMENT_MIN: u64 = 1 << 20;
/// Largest journal segment, in bytes.
const SEGMENT_MAX: u64 = 4 << 30;
/// Smallest bound on effects that are not durable yet, in bytes.
const PENDING_MIN: u64 = 1 << 20;

rows! { from encoding::NEXT;
    REQUIREPASS_FILE = "requirepass-file", OPTIONAL, "", [IMMUTABLE], HONOURED;
    METRICS_PORT = "metrics-port", PORT_NUMBER, "0", [IMMUTABLE], HONOURED;
    METRICS_BIND = "metrics-bind", TEXT, "127.0.0.1", [IMMUTABLE], HONOURED;
    JOURNAL_PENDING_MAX = "journal-pending-max",
        Kind::Memory { min: PENDING_MIN, max: i64::MAX as u64 }, "67108864", [IMMUTABLE], HONOURED;
    JOURNAL_WAIT_MAX = "journal-wait-max", i32_from(0), "10000", [IMMUTABLE], HONOURED;
    JOURNAL_SEGMENT_SIZE = "journal-segment-size",
        Kind::Memory { min: SEGMENT_MIN, max: SEGMENT_MAX }, "16777216", [IMMUTABLE], HONOURED;
    LOG_FORMAT = "log-format", Kind::Enum(LogFormat::NAMES), "text", [IMMUTABLE], HONOURED;
    INCLUDE = "include", Kind::Row { min: 1, max: 1 }, "", [FILE_ONLY], HONOURED;
}
