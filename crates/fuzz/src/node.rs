//! An engine without a journal, and a connection to it.

use std::cell::Cell;

use sessile_config::file::Document;
use sessile_config::{Persona, Sources};
use sessile_engine::{ConnId, Engine, Now, Options, Peer};
use sessile_resp::encode_request;

/// Turns that a script past its time gets until somebody kills it.
const SCRIPT_TURNS: usize = 8;

pub(crate) struct Node {
    pub(crate) engine: Engine,
    conn: ConnId,
    killer: ConnId,
}

thread_local! {
    static STOPWATCH_US: Cell<u64> = const { Cell::new(0) };
}

/// Every look is a millisecond later: endless loops come to their end after the same number of steps on every machine.
fn stopwatch_us() -> u64 {
    STOPWATCH_US.set(STOPWATCH_US.get() + 1000);
    STOPWATCH_US.get()
}

/// An engine as configured for the fuzzers.
pub(crate) fn engine() -> Engine {
    let text =
        b"appendonly no\nsave \"\"\nenable-debug-command yes\nbusy-reply-threshold 20\nmaxmemory 256mb\n";
    let documents = [Document::parse("fuzz.conf", text).expect("the file is small")];
    let sources = Sources { persona: Persona::Sessile, environment: &[], documents: &documents, flags: &[] };
    let (config, _) = sessile_config::load(sources).expect("the fuzzers' configuration is right");
    let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 5_000 };
    Engine::new(Options { config, seed: 1, now, stopwatch_us })
}

impl Node {
    pub(crate) fn new() -> Self {
        let mut engine = engine();
        let mut connect = || {
            let addr = "127.0.0.1:1".to_owned();
            let peer = Peer { addr: addr.clone(), local_addr: addr, fd: 3, unix: false, loopback: true };
            engine.connect(peer).expect("there is room for two")
        };
        let (conn, killer) = (connect(), connect());
        Self { engine, conn, killer }
    }

    /// Sends a request and gives the reply; `None` if a script that has written never ends, after which the node is of no use.
    pub(crate) fn ask(&mut self, args: &[&[u8]]) -> Option<Vec<u8>> {
        self.send(self.conn, args);
        for _ in 0..SCRIPT_TURNS {
            if !self.engine.released(self.conn).is_empty() {
                break;
            }
            self.engine.tick();
        }
        if self.engine.released(self.conn).is_empty() {
            self.send(self.killer, &[b"SCRIPT", b"KILL"]);
            self.engine.tick();
            self.take(self.killer);
        }
        let reply = self.take(self.conn);
        (!reply.is_empty()).then_some(reply)
    }

    fn send(&mut self, conn: ConnId, args: &[&[u8]]) {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.engine.feed(conn, &request);
    }

    fn take(&mut self, conn: ConnId) -> Vec<u8> {
        let reply = self.engine.released(conn).to_vec();
        self.engine.sent(conn, reply.len());
        reply
    }
}
