//! Keyspace events of misses and of new keys, and the counters of hits and misses, beside the installed
//! `redis-server`: the same events in the same order for every command, on keys that are there, absent, or due.

use sessile_config::{Asker, Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};
use sessile_keyspace::Gate;
use sessile_oracle::{Connection, Oracle};
use sessile_resp::encode_request;

/// Which events: all, and the two classes that `A` leaves out.
const EVENTS: &str = "KEAmn";
/// Ends the events of a command.
const END: &str = "PUBLISH __keyevent@0__:end .";

struct Theirs {
    link: Connection,
    watcher: Connection,
    _server: Oracle,
}

impl Theirs {
    fn new() -> Self {
        let server = Oracle::start(&["--notify-keyspace-events", EVENTS]);
        let mut watcher = server.connect();
        watcher.call(["PSUBSCRIBE", "__key*"]);
        Self { link: server.connect(), watcher, _server: server }
    }

    fn run(&mut self, line: &str) -> Vec<String> {
        self.link.call(line.split(' '));
        self.link.call(END.split(' '));
        let mut events = Vec::new();
        loop {
            let event = String::from_utf8(self.watcher.receive()).expect("text");
            if event.contains(":end") {
                return events;
            }
            events.push(event);
        }
    }

    fn stats(&mut self) -> String {
        counters(&String::from_utf8_lossy(&self.link.call(["INFO", "stats"])))
    }
}

struct Ours {
    engine: Engine,
    link: usize,
    watcher: usize,
}

impl Ours {
    fn new() -> Self {
        let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 0 };
        let mut config = Config::new(Persona::Sessile);
        let asker = Asker { local: true, loading: true };
        config.set(b"notify-keyspace-events", EVENTS.as_bytes(), asker).expect("it may be set");
        let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us: || 0 });
        let mut connect = || engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
        let (link, watcher) = (connect(), connect());
        let mut ours = Self { engine, link, watcher };
        ours.feed(watcher, "PSUBSCRIBE __key*");
        ours.take(watcher);
        ours
    }

    fn feed(&mut self, conn: usize, line: &str) {
        let mut request = Vec::new();
        encode_request(&mut request, &line.split(' ').collect::<Vec<_>>());
        self.engine.feed(conn, &request);
    }

    fn commit(&mut self) {
        if let Some((_, lsn)) = self.engine.take_batch() {
            self.engine.advance(Gate { written: lsn, durable: lsn });
        }
    }

    fn take(&mut self, conn: usize) -> String {
        let bytes = self.engine.released(conn).to_vec();
        self.engine.sent(conn, bytes.len());
        String::from_utf8(bytes).expect("text")
    }

    fn run(&mut self, line: &str) -> Vec<String> {
        self.feed(self.link, line);
        self.commit();
        self.take(self.link);
        let events = self.take(self.watcher);
        events
            .split_inclusive("*4\r\n")
            .map(|it| format!("*4\r\n{}", it.trim_end_matches("*4\r\n")))
            .skip(1)
            .collect()
    }

    fn stats(&mut self) -> String {
        self.feed(self.link, "INFO stats");
        counters(&self.take(self.link))
    }
}

/// Hits and misses.
fn counters(info: &str) -> String {
    let wanted = |line: &&str| line.starts_with("keyspace_hits") || line.starts_with("keyspace_misses");
    info.lines().filter(wanted).collect::<Vec<_>>().join(" ")
}

/// Runs on keys `a` and `b` that are absent, and on such that are there: `s` a string, `h`, `l`, `e`, `z`, `x`.
const LINES: &str = "\
SET a 1|DEL a|SET a 1 GET|SET a 2 GET|DEL a|SET a 1 XX|SET a 1 NX|DEL a|SETNX a 1|DEL a|GET a|GET s|MGET a s b\
|GETRANGE a 0 1|STRLEN a|GETSET a 1|DEL a|GETDEL a|GETEX a|GETEX a EX 5|APPEND a 1|DEL a|INCR a|DEL a|INCRBYFLOAT a 1|DEL a\
|SETRANGE a 1 x|DEL a|SETRANGE a 1|LCS a b|LCS s b|GETBIT a 1|SETBIT a 1 1|DEL a|BITCOUNT a|BITPOS a 1\
|BITOP AND b a s|BITOP NOT b a|DEL b|BITFIELD a GET u8 0|BITFIELD a SET u8 0 1|BITFIELD a SET u8 0 257 INCRBY u8 0 0|DEL a|BITFIELD_RO a GET u8 0|MSETNX a 1 s 2|MSET a 1|DEL a\
|EXISTS a s a|TYPE a|TYPE s|TTL a|PTTL a|EXPIRETIME a|PEXPIRETIME a|EXPIRE a 5|PERSIST a|TOUCH a s|UNLINK a\
|RENAME a b|RENAMENX a b|COPY a b|COPY s b|COPY s b|DEL b|MOVE a 1|DUMP a|OBJECT ENCODING a|OBJECT FREQ a|DBSIZE|RANDOMKEY\
|SORT a|SORT_RO a|SORT l BY w*|SORT l GET w*|SORT a STORE b|SORT l STORE b|DEL b\
|HGET a f|HMGET a f|HGETALL a|HLEN a|HEXISTS a f|HKEYS a|HVALS a|HSTRLEN a f|HRANDFIELD a|HSCAN a 0|HDEL a f|HSET a f 1|DEL a\
|HSETNX a f 1|DEL a|HINCRBY a f 1|DEL a|HINCRBYFLOAT a f 1|DEL a|HGET h f|HGET s f\
|LLEN a|LRANGE a 0 -1|LINDEX a 0|LPOS a x|LPUSH a 1|DEL a|LPUSHX a 1|LPOP a|RPOP a 2|LSET a 0 x|LREM a 0 x|LTRIM a 0 1\
|LINSERT a BEFORE x y|LMOVE a b LEFT LEFT|RPOPLPUSH a b|LMPOP 2 a b LEFT|LLEN l\
|SCARD a|SMEMBERS a|SISMEMBER a x|SMISMEMBER a x|SRANDMEMBER a|SRANDMEMBER a 3|SPOP a|SREM a x|SADD a 1|DEL a|SMOVE a b x|SSCAN a 0\
|SINTER a e|SUNION a e b|SDIFF a e|SDIFF e a|SINTERCARD 2 a e|SINTERSTORE b a e|SUNIONSTORE b a e|DEL b|SDIFFSTORE b a e|SINTER e a b\
|ZCARD a|ZSCORE a m|ZMSCORE a m|ZRANK a m|ZRANGE a 0 -1|ZRANGEBYSCORE a 0 1|ZREVRANGE a 0 1|ZCOUNT a 0 1|ZLEXCOUNT a - +|ZRANDMEMBER a\
|ZSCAN a 0|ZADD a 1 m|DEL a|ZADD a XX 1 m|ZINCRBY a 1 m|DEL a|ZREM a m|ZPOPMIN a|ZMPOP 1 a MIN|ZREMRANGEBYRANK a 0 1|ZREMRANGEBYSCORE a 0 1\
|ZUNION 2 a z|ZINTER 2 a z|ZDIFF 2 a z|ZINTERCARD 2 a z|ZUNIONSTORE b 2 a z|DEL b|ZINTERSTORE b 2 a z|ZDIFFSTORE b 2 z a|DEL b\
|ZRANGESTORE b a 0 -1|ZRANGESTORE b z 0 -1|DEL b\
|GEOPOS a m|GEODIST a m n|GEOHASH a m|GEOSEARCH a FROMLONLAT 1 1 BYRADIUS 1 km|GEOSEARCHSTORE b a FROMLONLAT 1 1 BYRADIUS 1 km\
|GEORADIUS a 1 1 1 km|GEORADIUS a 1 1 1 km STORE b|GEORADIUSBYMEMBER a m 1 km|GEOADD a 1 1 m|DEL a\
|PFADD a 1|DEL a|PFCOUNT a|PFCOUNT a b|PFMERGE b a|DEL b\
|XLEN a|XRANGE a - +|XREVRANGE a + -|XREAD STREAMS a 0|XINFO STREAM a|XINFO GROUPS a|XPENDING a g|XADD a 1-1 f v|DEL a|XADD a NOMKSTREAM 1-1 f v\
|XDEL a 1-1|XTRIM a MAXLEN 1|XACK a g 1-1|XCLAIM a g c 0 1-1|XAUTOCLAIM a g c 0 0|XREADGROUP GROUP g c STREAMS a >|XGROUP CREATE a g 0\
|XGROUP CREATE a g 0 MKSTREAM|DEL a|XGROUP SETID a g 0|XGROUP DESTROY a g|XGROUP CREATECONSUMER a g c|XSETID a 1-1\
|MEMORY USAGE a|EVAL return{redis.call('get','a'),redis.call('ttl','a'),redis.call('set','a','1')} 0|DEL a|RESTORE a 0 x|GET s|LLEN s|HGET s f|XREAD STREAMS x 0";

#[test]
fn events_are_those_of_redis() {
    let (mut ours, mut theirs) = (Ours::new(), Theirs::new());
    for line in ["SET s 1", "HSET h f 1", "RPUSH l 2 1", "SADD e 1 2", "ZADD z 1 m", "XADD x 1-1 f v"] {
        assert_eq!(ours.run(line), theirs.run(line), "{line}");
    }
    let mut wrong = Vec::new();
    for line in LINES.split('|') {
        let before = (ours.stats(), theirs.stats());
        let (actual, expected) = (ours.run(line), theirs.run(line));
        let after = (ours.stats(), theirs.stats());
        if actual != expected {
            wrong.push(format!("{line}\n  ours   {}\n  theirs {}", show(&actual), show(&expected)));
        }
        if after.0 != after.1 && before.0 == before.1 {
            wrong.push(format!("{line}\n  ours   {}\n  theirs {}", after.0, after.1));
        }
        if after.0 != after.1 {
            ours.feed(ours.link, "CONFIG RESETSTAT");
            ours.take(ours.link);
            theirs.link.call(["CONFIG", "RESETSTAT"]);
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Events as `event key`.
fn show(events: &[String]) -> String {
    let one = |event: &String| {
        let words: Vec<&str> = event.lines().skip(2).step_by(2).collect();
        words[2..].join("=")
    };
    events.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_miss_waits_for_what_it_tells() {
    let mut ours = Ours::new();
    ours.run("SET k 1");
    ours.feed(ours.link, "DEL k");
    ours.feed(ours.link, "GET k");
    assert_eq!(ours.take(ours.watcher), "", "that the key is gone is not durable yet");
    ours.commit();
    assert!(ours.take(ours.watcher).contains("keymiss"));
    ours.feed(ours.link, "GET never");
    assert!(ours.take(ours.watcher).contains("keymiss"), "nothing is pending for this key");
}

#[test]
fn an_expiry_is_told_before_the_miss() {
    let (mut ours, mut theirs) = (Ours::new(), Theirs::new());
    theirs.link.call(["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    // Both are due at once; of one the server is asked until it says so, of the other once.
    for line in ["SET k 1 PX 10", "SET j 1 PX 10"] {
        assert_eq!(ours.run(line), theirs.run(line), "{line}");
    }
    ours.engine.set_time(Now { wall_ms: 1_700_000_000_020, boot_ms: 0 });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while theirs.link.call(["OBJECT", "FREQ", "j"]) != b"" {
        assert!(std::time::Instant::now() < deadline, "the key does not expire");
    }
    theirs.run("PING");
    for line in ["GET k", "GET k"] {
        let (actual, expected) = (ours.run(line), theirs.run(line));
        assert_eq!(show(&actual), show(&expected), "{line}");
    }
}
