//! Where compact encodings end.

use super::{BYTES, HONOURED, I32, I64, accepted, int, persistence, rows};
use crate::directive::Kind;

const FIXED_BY_SIZE: &str = "this old threshold has been replaced by `list-max-listpack-size`";

rows! { from persistence::NEXT;
    HASH_MAX_LISTPACK_ENTRIES = "hash-max-listpack-entries" / "hash-max-ziplist-entries", I64, "512", [],
        HONOURED;
    HASH_MAX_LISTPACK_VALUE = "hash-max-listpack-value" / "hash-max-ziplist-value", BYTES, "64", [], HONOURED;
    LIST_MAX_LISTPACK_SIZE = "list-max-listpack-size" / "list-max-ziplist-size",
        int(i32::MIN as i64, i32::MAX as i64), "-2", [], HONOURED;
    LIST_COMPRESS_DEPTH = "list-compress-depth", I32, "0", [], accepted("nodes of a list are not compressed");
    SET_MAX_INTSET_ENTRIES = "set-max-intset-entries", I64, "512", [], HONOURED;
    SET_MAX_LISTPACK_ENTRIES = "set-max-listpack-entries", I64, "128", [], HONOURED;
    SET_MAX_LISTPACK_VALUE = "set-max-listpack-value", I64, "64", [], HONOURED;
    ZSET_MAX_LISTPACK_ENTRIES = "zset-max-listpack-entries" / "zset-max-ziplist-entries", I64, "128", [],
        HONOURED;
    ZSET_MAX_LISTPACK_VALUE = "zset-max-listpack-value" / "zset-max-ziplist-value", BYTES, "64", [], HONOURED;
    HLL_SPARSE_MAX_BYTES = "hll-sparse-max-bytes", BYTES, "3000", [], HONOURED;
    STREAM_NODE_MAX_BYTES = "stream-node-max-bytes", BYTES, "4096", [], HONOURED;
    STREAM_NODE_MAX_ENTRIES = "stream-node-max-entries", I64, "100", [], HONOURED;
    LIST_MAX_ZIPLIST_ENTRIES = "list-max-ziplist-entries", Kind::Row { min: 1, max: 1 }, "", [FILE_ONLY],
        accepted(FIXED_BY_SIZE);
    LIST_MAX_ZIPLIST_VALUE = "list-max-ziplist-value", Kind::Row { min: 1, max: 1 }, "", [FILE_ONLY],
        accepted(FIXED_BY_SIZE);
}
