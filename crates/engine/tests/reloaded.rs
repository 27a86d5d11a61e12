//! What a snapshot, a copy and a replay keep of a stream: all that XINFO tells, and when consumers were active.
//!
//! Seen red with `encode_exact` writing what DUMP has, and with `Next::encode_part` leaving out the counters.

use sessile_config::{Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};
use sessile_resp::{Value, decode, encode_request};

const BEGIN_MS: u64 = 1_700_000_000_000;

struct Node {
    engine: Engine,
    conn: usize,
}

impl Node {
    fn new(seed: u64) -> Self {
        let now = Now { wall_ms: BEGIN_MS, boot_ms: 0 };
        let config = Config::new(Persona::RedisServer);
        let mut engine = Engine::new(Options { config, seed, now, stopwatch_us: || 0 });
        let conn = engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room for one");
        Self { engine, conn }
    }

    fn at(&mut self, after_ms: u64) {
        self.engine.set_time(Now { wall_ms: BEGIN_MS + after_ms, boot_ms: 0 });
    }

    fn ask(&mut self, line: &str) -> Value {
        let words: Vec<&str> = line.split(' ').collect();
        let mut request = Vec::new();
        encode_request(&mut request, &words);
        self.engine.feed(self.conn, &request);
        if let Some((_, lsn)) = self.engine.take_batch() {
            self.engine.advance(sessile_keyspace::Gate { written: lsn, durable: lsn });
        }
        let reply = self.engine.released(self.conn).to_vec();
        self.engine.sent(self.conn, reply.len());
        decode(&reply).expect("a reply").expect("a whole reply").0
    }

    /// All that is told of a stream, but for the shape of the tree that holds it.
    fn told(&mut self, key: &str) -> String {
        let Value::Array(mut all) = self.ask(&format!("XINFO STREAM {key} FULL COUNT 0")) else {
            panic!("{key} is a stream")
        };
        let shape = all.iter().position(|it| *it == Value::Bulk(b"radix-tree-keys".to_vec()));
        let shape = shape.expect("XINFO tells of the tree");
        all.drain(shape..shape + 4);
        format!("{all:?}")
    }
}

/// A stream of `entries`, with groups whose consumers were seen and active at different times, or never.
fn fill(node: &mut Node, key: &str, entries: u64) {
    node.at(0);
    for n in 1..=entries {
        node.ask(&format!("XADD {key} {n}-1 name value:{n} other {}", n * n));
    }
    node.ask(&format!("XDEL {key} 2-1 {entries}-1"));
    node.ask(&format!("XGROUP CREATE {key} first 0"));
    node.ask(&format!("XGROUP CREATE {key} second 3-1 ENTRIESREAD 3"));
    node.ask(&format!("XGROUP CREATECONSUMER {key} second idle"));
    node.at(10);
    node.ask(&format!("XREADGROUP GROUP first a COUNT {} STREAMS {key} >", entries / 2));
    node.at(20);
    node.ask(&format!("XREADGROUP GROUP first b COUNT 3 STREAMS {key} >"));
    node.ask(&format!("XCLAIM {key} first c 0 1-1 3-1"));
    node.ask(&format!("XDEL {key} 4-1"));
    node.at(30);
    // It finds nothing, so the consumer was seen and not active.
    node.ask(&format!("XREADGROUP GROUP first a STREAMS {key} 9999999"));
    node.ask(&format!("XREADGROUP GROUP second idle STREAMS {key} 9999999"));
    node.ask(&format!("XACK {key} first 5-1"));
}

#[test]
fn a_stream_comes_back_as_it_was() {
    for entries in [6, 40, 2000, 20_000] {
        let mut node = Node::new(1);
        fill(&mut node, "s", entries);
        node.ask("COPY s copy");
        node.ask("COPY s moved DB 3");
        let wanted = node.told("s");
        assert_eq!(node.told("copy"), wanted, "COPY of {entries} entries");
        let keyspace = node.engine.keyspace_mut();
        keyspace.snapshot_begin();
        let (mut run, mut turns) = (Vec::new(), 0);
        loop {
            let (bytes, complete) = keyspace.snapshot_turn(1024);
            run.extend(bytes);
            turns += 1;
            if complete.is_some() {
                break;
            }
        }
        assert!(entries < 20_000 || turns > 10, "a large stream is encoded in parts, not in {turns} turns");
        let mut other = Node::new(2);
        other.engine.recover(&run, 100, BEGIN_MS).expect("a snapshot is readable");
        other.at(30);
        assert_eq!(other.told("s"), wanted, "snapshot of {entries} entries");
        assert_eq!(other.told("copy"), wanted, "snapshot of the copy of {entries} entries");
        other.ask("SELECT 3");
        assert_eq!(other.told("moved"), wanted, "snapshot of the copy in another db of {entries} entries");
    }
}
