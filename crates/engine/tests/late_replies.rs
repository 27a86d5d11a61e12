//! CLIENT REPLY SKIP and OFF in front of commands that are answered late: what is sent in the end is what the installed
//! `redis-server` sends.
//!
//! Seen red with a mode that the waiting command used up before its reply, and with the error of CLIENT UNBLOCK sent whatever
//! the mode.

use std::time::{Duration, Instant};

use sessile_config::{Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};
use sessile_keyspace::Gate;
use sessile_oracle::Oracle;
use sessile_resp::encode_request;

const WAITING: &[&str] = &[
    "BLPOP l 0",
    "BLMOVE l d LEFT RIGHT 0",
    "BZPOPMIN z 0",
    "XREAD BLOCK 0 STREAMS st $",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS sg >",
];

/// What ends the wait of client `ID`.
const ENDS: &[&[&str]] = &[
    &["RPUSH l v", "ZADD z 1 m", "XADD st 1-1 a b", "XADD sg 1-1 a b"],
    &["CLIENT UNBLOCK ID"],
    &["CLIENT UNBLOCK ID ERROR"],
    // A group that is put back serves nobody yet.
    &["xgroup setid sg g 0", "CLIENT UNBLOCK ID"],
];

/// Before them: a group that has read all.
const SETUP: &[&str] = &["XADD sg 0-1 a b", "XGROUP CREATE sg g $"];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// What the first connection is sent behind `CLIENT REPLY mode`, up to the last PING.
fn theirs(server: &Oracle, mode: &str, waiting: &str, ends: &[&str]) -> String {
    let (mut a, mut b) = (server.connect(), server.connect());
    b.call(["FLUSHALL"]);
    SETUP.iter().for_each(|line| _ = b.call(words(line)));
    let id = String::from_utf8(a.raw(&[b"CLIENT", b"ID"])).expect("text");
    let id = id.trim_start_matches(':').trim_end().to_owned();
    for line in [&format!("CLIENT REPLY {mode}"), waiting, "PING x"] {
        a.send(&words(line).iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !String::from_utf8_lossy(&b.call(["INFO", "clients"])).contains("blocked_clients:1") {
        assert!(Instant::now() < deadline, "{waiting} does not wait");
    }
    for line in ends {
        b.call(words(&line.replace("ID", &id)));
    }
    for line in ["CLIENT REPLY ON", "PING end"] {
        a.send(&words(line).iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    }
    let mut seen = String::new();
    while !seen.ends_with("end\r\n") {
        seen += &String::from_utf8(a.receive()).expect("text");
    }
    seen
}

fn ours(mode: &str, waiting: &str, ends: &[&str]) -> String {
    let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 0 };
    let config = Config::new(Persona::Sessile);
    let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us: || 0 });
    let mut connect = || engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
    let (a, b) = (connect(), connect());
    let id = engine.session(a).expect("it is connected").id.to_string();
    let mut feed = |conn, line: &str| {
        let mut request = Vec::new();
        encode_request(&mut request, &words(&line.replace("ID", &id)));
        engine.feed(conn, &request);
        if let Some((_, lsn)) = engine.take_batch() {
            engine.advance(Gate { written: lsn, durable: lsn });
        }
        let bytes = engine.released(conn).to_vec();
        engine.sent(conn, bytes.len());
        String::from_utf8(bytes).expect("text")
    };
    SETUP.iter().for_each(|line| _ = feed(b, line));
    let mut seen = String::new();
    for line in [&format!("CLIENT REPLY {mode}"), waiting, "PING x"] {
        seen += &feed(a, line);
    }
    ends.iter().for_each(|line| _ = feed(b, line));
    for line in ["CLIENT REPLY ON", "PING end"] {
        seen += &feed(a, line);
    }
    seen
}

#[test]
fn modes_hold_for_replies_that_come_late() {
    let server = Oracle::start(&[]);
    for mode in ["SKIP", "OFF", "ON"] {
        for waiting in WAITING {
            for ends in ENDS {
                let (ours, theirs) = (ours(mode, waiting, ends), theirs(&server, mode, waiting, ends));
                assert_eq!(ours, theirs, "{mode}, {waiting}, {ends:?}");
            }
        }
    }
}
