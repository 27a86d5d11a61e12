//! What a script sees of a set that it sorts `BY nosort` does not depend on how the set is kept, as in Redis.

use sessile_config::{Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};
use sessile_resp::encode_request;

#[test]
fn a_set_that_a_script_does_not_sort_is_in_order_all_the_same() {
    let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 0 };
    let config = Config::new(Persona::Sessile);
    let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us: || 0 });
    let conn = engine.connect(Peer { loopback: true, ..Peer::default() }).expect("there is room");
    let mut check = |request: &[&str], expected: &str| {
        let mut bytes = Vec::new();
        encode_request(&mut bytes, request);
        engine.feed(conn, &bytes);
        if let Some((_, lsn)) = engine.take_batch() {
            engine.advance(sessile_keyspace::Gate { written: lsn, durable: lsn });
        }
        let reply = String::from_utf8_lossy(engine.released(conn)).into_owned();
        engine.sent(conn, reply.len());
        assert_eq!(reply, expected, "{request:?}");
    };
    check(&["SADD", "s", "b", "10", "a", "9"], ":4\r\n");
    let sort = "return redis.call('SORT_RO', 's', 'BY', 'nosort', unpack(ARGV))";
    check(&["EVAL", sort, "0"], "*4\r\n$2\r\n10\r\n$1\r\n9\r\n$1\r\na\r\n$1\r\nb\r\n");
    check(&["EVAL", sort, "0", "DESC"], "*4\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\n9\r\n$2\r\n10\r\n");
    // Without a script it is as it lies.
    check(&["SORT_RO", "s", "BY", "nosort"], "*4\r\n$1\r\nb\r\n$2\r\n10\r\n$1\r\na\r\n$1\r\n9\r\n");
}
