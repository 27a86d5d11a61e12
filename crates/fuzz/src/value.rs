//! The value codec: a payload is an error or a value, and a value comes back from what it is dumped as.

use std::cell::RefCell;

use sessile_resp::{Value, decode};
use sessile_values::dump::{self, Encoder, Loaded};
use sessile_values::{HashKey, Limits};

use crate::node::Node;

thread_local! {
    static NODE: RefCell<Node> = RefCell::new(Node::new());
}

/// Reads of every type, that walk through all of a value, and writes, that change what the payload laid out.
const WALKS: &[&[&str]] = &[
    &["STRLEN", "a"],
    &["GETRANGE", "a", "-20", "-1"],
    &["LRANGE", "a", "0", "-1"],
    &["LINDEX", "a", "-1"],
    &["SMEMBERS", "a"],
    &["SRANDMEMBER", "a", "-3"],
    &["HGETALL", "a"],
    &["ZRANGE", "a", "0", "-1", "WITHSCORES"],
    &["ZRANGEBYSCORE", "a", "-inf", "+inf", "LIMIT", "0", "3"],
    &["XRANGE", "a", "-", "+"],
    &["XREVRANGE", "a", "+", "-"],
    &["XINFO", "STREAM", "a", "FULL"],
    &["OBJECT", "ENCODING", "a"],
    &["MEMORY", "USAGE", "a", "SAMPLES", "0"],
    &["SORT", "a", "BY", "nosort"],
    &["APPEND", "a", "x"],
    &["LINSERT", "a", "BEFORE", "x", "y"],
    &["LREM", "a", "0", "1"],
    &["LPUSH", "a", "z"],
    &["LPOP", "a"],
    &["RPOP", "a", "3"],
    &["SADD", "a", "1", "x", "18446744073709551616"],
    &["SPOP", "a"],
    &["HSET", "a", "f", "v", "g", "w"],
    &["HDEL", "a", "f"],
    &["ZADD", "a", "1", "x", "-inf", "y"],
    &["ZREMRANGEBYRANK", "a", "0", "0"],
    &["ZPOPMAX", "a"],
    &["XADD", "a", "*", "f", "v"],
    &["XTRIM", "a", "MAXLEN", "3"],
    &["XAUTOCLAIM", "a", "g", "c", "0", "0"],
    &["XGROUP", "CREATE", "a", "g2", "0"],
    &["XREADGROUP", "GROUP", "g2", "c", "COUNT", "5", "STREAMS", "a", ">"],
    &["COPY", "a", "c", "REPLACE"],
    &["DEBUG", "DIGEST-VALUE", "a", "c"],
    &["DUMP", "a"],
];

/// A payload as DUMP gives it, without its footer.
pub(crate) fn restore(data: &[u8]) {
    let _ = dump::open(data);
    let (key, limits) = (HashKey(1, 2), Limits::default());
    let Ok(loaded) = dump::decode(data, &key, &limits) else { return };
    for compress in [false, true] {
        let once_more = |bytes: &[u8]| {
            let again = dump::decode(bytes, &key, &limits);
            encode(&again.unwrap_or_else(|error| panic!("{error}: {bytes:?}")), compress)
        };
        let mut first = encode(&loaded, compress);
        if matches!(loaded, Loaded::Value(sessile_values::Value::Set(_))) {
            // Numbers that come before the first word are an intset until then, and sorted.
            first = once_more(&first);
        }
        assert_eq!(first, once_more(&first));
    }
    let mut payload = data.to_vec();
    dump::seal(&mut payload);
    NODE.with_borrow_mut(|node| walk(node, &payload));
}

fn encode(loaded: &Loaded, compress: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, compress);
    match loaded {
        Loaded::Text(text) => encoder.text(text),
        Loaded::Value(value) => encoder.value(value),
    }
    out
}

fn walk(node: &mut Node, payload: &[u8]) {
    let mut ask = |args: &[&[u8]]| node.ask(args).expect("only scripts do not end");
    assert_eq!(ask(&[b"RESTORE", b"a", b"0", payload]), b"+OK\r\n", "it was decoded a moment ago");
    let dumped = bulk(&ask(&[b"DUMP", b"a"]));
    assert_eq!(ask(&[b"RESTORE", b"b", b"0", &dumped]), b"+OK\r\n");
    let digests = decode(&ask(&[b"DEBUG", b"DIGEST-VALUE", b"a", b"b"]));
    let Ok(Some((Value::Array(digests), _))) = digests else { panic!("{digests:?}") };
    assert_eq!(digests[0], digests[1], "the content is the same");
    for words in WALKS {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        assert!(matches!(decode(&ask(&args)), Ok(Some(_))), "{words:?}");
    }
    ask(&[b"FLUSHALL"]);
}

fn bulk(reply: &[u8]) -> Vec<u8> {
    match decode(reply) {
        Ok(Some((Value::Bulk(bytes), _))) => bytes,
        other => panic!("{other:?}"),
    }
}
