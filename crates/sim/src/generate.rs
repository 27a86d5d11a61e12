//! Random commands over few keys, so that they meet. A family that the table lacks is skipped.

use sessile_engine::Table;

use crate::dice::Dice;

/// Templates: words, with places in braces that [`fill`] knows. Only requests that are valid whatever the data; what
/// depends on data may still fail, and that reveals data.
const DATA: &[&str] = &[
    "SET {s} {v}",
    "SET {s} {v}",
    "SET {s} {v} PX {ms}",
    "SET {s} {v} NX",
    "SET {s} {v} XX GET",
    "SET {s} {v} KEEPTTL",
    "SET {s} {big}",
    "GET {s}",
    "GET {s}",
    "GET {k}",
    "GETSET {s} {v}",
    "GETDEL {s}",
    "GETEX {s} PX {ms}",
    "APPEND {s} {v}",
    "APPEND {s} {big}",
    "SETRANGE {s} {n} {v}",
    "GETRANGE {s} 0 5",
    "STRLEN {k}",
    "INCR {c}",
    "INCRBY {c} {n}",
    "DECR {c}",
    "INCRBYFLOAT {c} 1.5",
    "SETNX {s} {v}",
    "PSETEX {s} {ms} {v}",
    "MSET {s} {v} {s} {v}",
    "MSETNX {s} {v} {s} {v}",
    "MGET {s} {k} {c}",
    "SETBIT {s} {n} 1",
    "GETBIT {s} {n}",
    "BITCOUNT {s}",
    "BITOP OR {s} {s} {s}",
    "BITFIELD {s} INCRBY u8 {n} 3",
    "PFADD {p} {m} {m}",
    "PFCOUNT {p}",
    "PFMERGE {p} {p}",
    "HSET {h} {f} {v}",
    "HSET {h} {f} {v} {f} {v}",
    "HSETNX {h} {f} {v}",
    "HGET {h} {f}",
    "HMGET {h} {f} {f}",
    "HGETALL {h}",
    "HDEL {h} {f}",
    "HLEN {k}",
    "HEXISTS {h} {f}",
    "HINCRBY {h} n {n}",
    "HRANDFIELD {h} 2",
    "HKEYS {h}",
    "HSET {h} {f} {wide}",
    "HSCAN {h} 0",
    "SADD {e} {m}",
    "SADD {e} {m} {n}",
    "SADD {e} {n} {n}",
    "SREM {e} {m} {n}",
    "SPOP {e}",
    "SPOP {e} 2",
    "SMOVE {e} {e} {m}",
    "SISMEMBER {e} {m}",
    "SMEMBERS {e}",
    "SCARD {k}",
    "SRANDMEMBER {e} 2",
    "SINTER {e} {e}",
    "SUNION {e} {e}",
    "SDIFF {e} {e}",
    "SUNIONSTORE {e} {e} {e}",
    "SINTERSTORE {e} {e} {e}",
    "SDIFFSTORE {e} {e} {e}",
    "SINTERCARD 2 {e} {e}",
    "LPUSH {l} {v}",
    "RPUSH {l} {v} {v}",
    "RPUSH {l} {m} {big}",
    "LPUSHX {l} {v}",
    "LPOP {l}",
    "RPOP {l} 2",
    "LLEN {k}",
    "LRANGE {l} 0 -1",
    "LINDEX {l} 0",
    "LSET {l} 0 {v}",
    "LINSERT {l} BEFORE {m} {v}",
    "RPUSH {l} {m} {m}",
    "LREM {l} 0 {m}",
    "LREM {l} 1 {m}",
    "LTRIM {l} 0 3",
    "LTRIM {l} 1 2",
    "LMOVE {l} {l} LEFT RIGHT",
    "RPOPLPUSH {l} {l}",
    "LPOS {l} {m}",
    "LMPOP 2 {l} {l} LEFT COUNT 2",
    "ZADD {z} {sc} {m}",
    "ZADD {z} {sc} {m} {sc} {v}",
    "ZADD {z} NX {sc} {m}",
    "ZINCRBY {z} 2 {m}",
    "ZREM {z} {m}",
    "ZSCORE {z} {m}",
    "ZRANGE {z} 0 -1 WITHSCORES",
    "ZRANK {z} {m}",
    "ZCARD {k}",
    "ZPOPMIN {z}",
    "ZPOPMAX {z} 2",
    "ZRANGEBYSCORE {z} -inf +inf",
    "ZREMRANGEBYRANK {z} 0 1",
    "ZREMRANGEBYSCORE {z} 3 5",
    "ZUNIONSTORE {z} 2 {z} {z}",
    "ZINTERSTORE {z} 2 {z} {z}",
    "ZRANGESTORE {z} {z} 0 2",
    "ZMPOP 2 {z} {z} MIN",
    "ZCOUNT {z} 2 6",
    "GEOADD {z} 13.4 52.5 {m}",
    "XADD t0 * {f} {v}",
    "XADD {x} 0-* {f} {v}",
    "XADD {x} 0-* {f} {v}",
    "XADD {x} 0-* {f} {v}",
    "XADD {x} MAXLEN 3 0-* {f} {v}",
    "XLEN {x}",
    "XRANGE {x} - +",
    "XREAD COUNT 2 STREAMS {x} 0",
    "XDEL {x} {id}",
    "XTRIM {x} MAXLEN 2",
    "XSETID {x} 0-20",
    "XGROUP CREATE {x} g 0 MKSTREAM",
    "XGROUP CREATE {x} g 0 MKSTREAM",
    "XGROUP SETID {x} g 0",
    "XGROUP DESTROY {x} g",
    "XGROUP CREATECONSUMER {x} g a",
    "XGROUP DELCONSUMER {x} g a",
    "XREADGROUP GROUP g a COUNT 2 STREAMS {x} >",
    "XREADGROUP GROUP g b STREAMS {x} 0",
    "XACK {x} g {id} 0-21 0-22",
    "XREADGROUP GROUP g a STREAMS {x} >",
    "XCLAIM {x} g a 0 0-1 0-2",
    "XDEL {x} 0-1 0-2 0-21",
    "XCLAIM {x} g b 0 {id}",
    "XAUTOCLAIM {x} g b 0 0",
    "XPENDING {x} g",
    "XADD {x} {id} {f} {v}",
    "XACK {x} g 0-1 0-2 0-3 0-4 0-5 0-21 0-22 0-23 0-24",
    "DEL {k}",
    "DEL {k} {k}",
    "UNLINK {k}",
    "EXISTS {k} {k}",
    "TYPE {k}",
    "TTL {k}",
    "PTTL {k}",
    "EXPIRE {k} 1",
    "PEXPIRE {k} {ms}",
    "PEXPIRE {k} {ms}",
    "PEXPIREAT {k} 1",
    "PERSIST {k}",
    "RENAME {k} {k}",
    "RENAMENX {k} {k}",
    "COPY {k} {k} REPLACE",
    "COPY {k} {k} DB 1 REPLACE",
    "MOVE {k} 1",
    "DUMP {k}",
    "SORT {l} ALPHA",
    "SORT {l} ALPHA STORE {l}",
    "TOUCH {k}",
    "OBJECT ENCODING {k}",
    "EVAL {script} 1 {s}",
    "EVAL {script} 1 {s}",
    "EVALSHA_RO 0000000000000000000000000000000000000000 1 {s}",
];

/// Over whole dbs, and beside the data.
const WIDE: &[&str] = &[
    "KEYS *",
    "SCAN 0",
    "DBSIZE",
    "RANDOMKEY",
    "PUBLISH {ch} {v}",
    "PUBLISH {ch} {v}",
    "SPUBLISH {ch} {v}",
    "PING",
];

/// Seldom.
const RARE: &[&str] = &[
    "FLUSHDB",
    "FLUSHALL",
    "FLUSHDB ASYNC",
    "FLUSHALL ASYNC",
    "SWAPDB 0 1",
    "SELECT 1",
    "SELECT 0",
    "INFO",
    "CLIENT LIST",
];

/// They may wait.
const BLOCKING: &[&str] = &[
    "BLPOP {l} {l} {t}",
    "BRPOP {l} {t}",
    "BLMOVE {l} {l} LEFT RIGHT {t}",
    "BLMPOP {t} 1 {l} LEFT",
    "BZPOPMIN {z} {t}",
    "BZPOPMAX {z} {z} {t}",
    "BZMPOP {t} 1 {z} MIN",
    "XREAD BLOCK {bt} STREAMS {x} $",
    "XREADGROUP GROUP g a BLOCK {bt} STREAMS {x} >",
];

/// Refused before they look at data: by their names, their number of words, or the word [`BROKEN_WORD`].
const BROKEN: &[&str] = &[
    "GET",
    "SET {s} {v} BROKEN",
    "NOSUCH {k}",
    "EXPIRE {k} BROKEN",
    "ZADD {z} BROKEN {m}",
    "EXEC",
    "DISCARD",
];

/// A request with it is refused before it looks at data.
pub const BROKEN_WORD: &[u8] = b"BROKEN";

const SCRIPTS: &[&str] = &[
    "local v = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[1], 'script'); return v",
    "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DEL', KEYS[1]) end return 0",
    "redis.call('SET', KEYS[1], '1'); redis.call('APPEND', KEYS[1], '2'); return redis.error_reply('FAILED on purpose')",
];

/// Which kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Single keys.
    Data,
    /// Whole dbs, channels.
    Wide,
    /// Flushes, other dbs.
    Rare,
    /// May wait.
    Blocking,
    /// Fails before it sees data.
    Broken,
}

/// The next request of a family; `None` if the table lacks it.
pub fn request(dice: &mut Dice, family: Family) -> Option<Vec<Vec<u8>>> {
    let templates = match family {
        Family::Data => DATA,
        Family::Wide => WIDE,
        Family::Rare => RARE,
        Family::Blocking => BLOCKING,
        Family::Broken => BROKEN,
    };
    let template = dice.pick(templates);
    let args: Vec<Vec<u8>> = template.split(' ').map(|word| fill(dice, word)).collect();
    (family == Family::Broken || Table::get().find(&args[0]).is_some()).then_some(args)
}

fn fill(dice: &mut Dice, word: &str) -> Vec<u8> {
    let numbered =
        |dice: &mut Dice, prefix: &str, count: u64| format!("{prefix}{}", dice.below(count)).into_bytes();
    // A tenth of the keys are of another family's type.
    let key = |dice: &mut Dice, prefix: &str| {
        if dice.chance(8) { any_key(dice) } else { numbered(dice, prefix, 2) }
    };
    match word {
        "{s}" => key(dice, "s"),
        "{h}" => key(dice, "h"),
        "{e}" => key(dice, "e"),
        "{l}" => key(dice, "l"),
        "{z}" => key(dice, "z"),
        "{x}" => key(dice, "x"),
        "{c}" => key(dice, "c"),
        "{p}" => key(dice, "p"),
        "{k}" => any_key(dice),
        "{v}" => numbered(dice, "value", 1000),
        "{m}" | "{f}" => numbered(dice, "m", 6),
        "{n}" => dice.below(40).to_string().into_bytes(),
        "{sc}" => dice.below(9).to_string().into_bytes(),
        "{id}" => format!("0-{}", 1 + dice.below(9)).into_bytes(),
        "{ms}" => (1 + dice.below(60)).to_string().into_bytes(),
        "{t}" => format!("0.0{}", 1 + dice.below(9)).into_bytes(),
        "{bt}" => (1 + dice.below(90)).to_string().into_bytes(),
        "{ch}" => numbered(dice, "ch", 2),
        "{wide}" => vec![b'w'; 70],
        // Beyond a record, and now and then beyond what an entry holds in place.
        "{big}" => vec![
            b'a' + dice.below(26) as u8;
            200 + dice.below(3000) as usize + usize::from(dice.chance(5)) * 17_000
        ],
        "{script}" => dice.pick(SCRIPTS).as_bytes().to_vec(),
        plain => plain.as_bytes().to_vec(),
    }
}

/// A key of any family.
pub fn any_key(dice: &mut Dice) -> Vec<u8> {
    let prefix = dice.pick(&["s", "h", "e", "l", "z", "x", "c"]);
    format!("{prefix}{}", dice.below(2)).into_bytes()
}

/// A request as it goes over the wire.
#[must_use]
pub fn wire(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
