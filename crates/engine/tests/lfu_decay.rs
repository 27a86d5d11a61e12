//! `lfu-decay-time`: how fast an LFU counter sinks. It needs minutes, which only a test of the engine can let go by.

use sessile_config::{Asker, Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};

/// The counter of a key that was read often, three minutes later.
fn after_three_minutes(decay_time: &str) -> i64 {
    let mut config = Config::new(Persona::RedisServer);
    let pairs: [(&[u8], &[u8]); 4] = [
        (b"appendonly", b"no"),
        (b"maxmemory-policy", b"allkeys-lfu"),
        (b"lfu-log-factor", b"0"),
        (b"lfu-decay-time", decay_time.as_bytes()),
    ];
    config.set_all(&pairs, Asker { local: true, loading: false }).expect("values of these directives");
    let at = |minutes: u64| Now { wall_ms: 1_700_000_040_000 + minutes * 60_000, boot_ms: minutes * 60_000 };
    let mut engine = Engine::new(Options { config, seed: 1, now: at(0), stopwatch_us: || 0 });
    let conn = engine.connect(Peer { loopback: true, ..Peer::default() }).expect("there is room");
    let ask = |engine: &mut Engine, line: &str| {
        engine.feed(conn, format!("{line}\r\n").as_bytes());
        let reply = String::from_utf8_lossy(engine.released(conn)).into_owned();
        engine.sent(conn, reply.len());
        reply
    };
    ask(&mut engine, "SET a 1");
    (0..20).for_each(|_| drop(ask(&mut engine, "GET a")));
    assert_eq!(ask(&mut engine, "OBJECT FREQ a"), ":25\r\n");
    engine.set_time(at(3));
    ask(&mut engine, "OBJECT FREQ a").trim().trim_start_matches(':').parse().expect("a number")
}

#[test]
fn a_counter_sinks_by_one_each_decay_time() {
    for (decay_time, expected) in [("1", 22), ("3", 24), ("4", 25), ("0", 25)] {
        assert_eq!(after_three_minutes(decay_time), expected, "lfu-decay-time {decay_time}");
    }
}
