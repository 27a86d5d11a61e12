//! Effects as commands that a real server takes, where what the effect holds is more than the server can read.
//!
//! Seen red with `render` passing the payload on as it is.

use sessile_keyspace::{Effect, Expire, Keyspace, render};
use sessile_oracle::Oracle;
use sessile_values::stream::StreamId;
use sessile_values::{HashKey, Limits, Stream, ThinBox, Value, dump};

#[test]
fn a_whole_stream_is_rendered_as_redis_reads_it() {
    let mut stream = Stream::default();
    let id = StreamId { ms: 5, seq: 1 };
    stream.append(&Limits::default(), id, 1, [&b"field"[..], b"value"].into_iter());
    stream.set_group(b"g", id, 1);
    stream.set_consumer(b"g", b"c", 70, 60);
    stream.set_pending(b"g", b"c", id, 60, 2);
    let mut payload = Vec::new();
    dump::encode_exact(&Value::Stream(ThinBox::new(stream)), &mut payload);
    let mut keyspace = Keyspace::new(1, HashKey(1, 2));
    let key = keyspace.key(b"s");
    let effect = Effect::Restore { key, payload: &payload, expire: Expire::Never, access: 0 };
    keyspace.apply(0, &effect).expect("the payload is ours");
    let server = Oracle::start(&[]);
    let mut link = server.connect();
    for command in render::commands(&effect, 0, &keyspace) {
        assert_eq!(link.call(command), b"OK");
    }
    assert_eq!(link.call(["XRANGE", "s", "-", "+"]), b"5-1 field value");
    assert_eq!(link.call(["XPENDING", "s", "g"]), b"1 5-1 5-1 c 1");
}
