//! Bytes that no handler wrote: replaying them is an error at worst, and takes no more memory than they have a right to.

use sessile_keyspace::codec::{BadEffect, put_bytes, put_varint};
use sessile_keyspace::effect::KINDS;
use sessile_keyspace::{Cause, Effect, End, Expire, Items, Keyspace, Scores, StreamIds};
use sessile_oracle::Random;
use sessile_values::stream::StreamId;
use sessile_values::{HashKey, Value};

const DBS: usize = 2;
const TYPES: [&[u8]; 7] = [b"short", b"text", b"hash", b"set", b"list", b"zset", b"stream"];

/// A key of each type, each with a few elements.
fn filled() -> Keyspace {
    let mut keyspace = Keyspace::new(DBS, HashKey(1, 2));
    let items: &[&[u8]] = &[b"a", b"b", b"c", b"d"];
    let long = vec![b'x'; 100_000];
    for name in TYPES {
        let key = keyspace.key(name);
        let (values, id) = (Items::Slices(items), StreamId { ms: 5, seq: 1 });
        let effects: &[Effect<'_>] = match name {
            b"short" => &[Effect::StringSet { key, value: b"short", expire: Expire::Never }],
            b"text" => &[Effect::StringSet { key, value: &long, expire: Expire::Never }],
            b"hash" => &[Effect::HashSet { key, pairs: values }],
            b"set" => &[Effect::SetAdd { key, members: values }],
            b"list" => &[Effect::ListPush { key, end: End::Right, values }],
            b"zset" => &[Effect::ZsetAdd { key, scores: Scores::Slice(&[(1.0, b"a"), (2.0, b"b")]) }],
            _ => &[
                Effect::StreamAdd { key, id, pairs: values },
                Effect::StreamGroup { key, group: b"g", last: id, read: 1 },
                Effect::StreamConsumer { key, group: b"g", consumer: b"c", seen_ms: 1, active_ms: 1 },
                Effect::StreamPending {
                    key,
                    group: b"g",
                    consumer: b"c",
                    ids: StreamIds::Slice(&[id]),
                    delivered_ms: 1,
                    deliveries: 1,
                },
            ],
        };
        for effect in effects {
            keyspace.apply(0, effect).expect("the effect fits");
        }
    }
    keyspace
}

/// An effect of a kind, its fields numbers at the limits and short strings, in an order that fits some of the kinds.
fn hostile(rng: &mut Random, kind: u8) -> Vec<u8> {
    const NUMBERS: [u64; 14] =
        [0, 1, 2, 3, 4, 5, 127, 255, 70_000, 1 << 20, 1 << 32, 1 << 40, i64::MAX as u64, u64::MAX];
    let mut out = vec![kind];
    put_varint(&mut out, rng.pick(&[0, 0, 0, 0, 1, 2, 1 << 40]));
    put_bytes(&mut out, rng.pick(&[TYPES.as_slice(), &[b"new"]].concat()));
    for _ in 0..rng.below(8) {
        match rng.below(3) {
            0 => put_bytes(&mut out, rng.pick(&[b"g".as_slice(), b"c", b"a", b"", b"\0\x02ab", b"text"])),
            1 => out.push(rng.next() as u8),
            _ => put_varint(&mut out, rng.pick(&NUMBERS)),
        }
    }
    out.push(0);
    out
}

#[test]
fn any_bytes_are_an_error_at_worst_and_take_little() {
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
    println!("seed {seed}");
    let mut rng = Random::new(seed);
    let (mut applied, mut refused) = (0, 0);
    for round in 0..300 {
        let mut keyspace = filled();
        keyspace.string_max_bytes = 1 << 20;
        for _ in 0..200 {
            let kind = rng.pick(KINDS).0;
            let bytes = hostile(&mut rng, kind);
            let before = keyspace.memory_bytes();
            match keyspace.replay(&bytes, |_, _| {}) {
                Ok(_) => applied += 1,
                Err(_) => refused += 1,
            }
            let grown = keyspace.memory_bytes().saturating_sub(before);
            assert!(grown < 3 << 20, "seed {seed} round {round}: {bytes:?} took {grown} bytes");
        }
    }
    assert!(applied > 1000 && refused > 1000, "{applied} applied, {refused} refused");
}

#[test]
fn no_string_grows_beyond_what_commands_allow() {
    let mut keyspace = filled();
    keyspace.string_max_bytes = 1 << 20;
    let mut run = |name: &[u8], offset: u64| {
        let key = keyspace.key(name);
        let mut bytes = Vec::new();
        Effect::StringSetRange { key, offset, value: b"end" }.encode(0, &mut bytes);
        bytes.push(0);
        keyspace.replay(&bytes, |_, _| {})
    };
    for name in [b"short".as_slice(), b"text", b"new"] {
        for offset in [(1 << 20) - 2, 1 << 33, u64::MAX - 2, u64::MAX] {
            assert_eq!(run(name, offset), Err(BadEffect::TooLong), "{offset}");
        }
        assert_eq!(run(name, (1 << 20) - 3), Ok(1));
    }
    let key = keyspace.key(b"new");
    let delete = Effect::Delete { key, cause: Cause::Command };
    keyspace.apply(0, &delete).expect("it is there");
    let value = keyspace.entry(0, keyspace.key(b"text")).and_then(|entry| entry.value());
    assert!(matches!(value, Some(Value::Text(text)) if text.len() == 1 << 20));
}
