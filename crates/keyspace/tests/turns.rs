//! Snapshots in turns: each turn's work is bounded, and what comes out is the state at the beginning, whatever is
//! written, renamed, flushed or swapped in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sessile_keyspace::export::{Framing, Piece};
use sessile_keyspace::snapshot::{SAVED_BYTES_MAX, Snapshot};
use sessile_keyspace::{Cause, Content, Effect, End, Entry, Expire, Items, Key, Keyspace, Scores, StreamIds};
use sessile_values::stream::StreamId;
use sessile_values::{HashKey, Stream, Value};

const DBS: usize = 3;

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A key's type, elements in a comparable order, and expiry.
type Shown = (&'static str, Vec<Vec<u8>>, Option<u64>);

/// All of a keyspace, in a form that does not depend on encodings.
fn show(keyspace: &Keyspace, exact: bool) -> BTreeMap<(u32, Vec<u8>), Shown> {
    for db in (0..DBS as u32).map(|db| keyspace.db(db)) {
        let walked =
            |name| db.table().iter().filter(move |it| it.value().map_or("string", Value::type_name) == name);
        db.keys_by_type()
            .for_each(|(name, count)| assert_eq!(count, walked(name).count(), "keys of type {name}"));
    }
    let entries = (0..DBS as u32).flat_map(|db| keyspace.db(db).table().iter().map(move |entry| (db, entry)));
    entries
        .map(|(db, entry)| {
            let (kind, elements) = match entry.content() {
                Content::Short(text) => ("string", vec![text.to_vec()]),
                Content::Value(value) => show_value(value, exact),
            };
            ((db, entry.key().to_vec()), (kind, elements, entry.expire_ms()))
        })
        .collect()
}

fn show_value(value: &Value, exact: bool) -> (&'static str, Vec<Vec<u8>>) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut add = |item: &[u8]| all.push(item.to_vec());
    match value {
        Value::Text(text) => ("string", vec![text.to_vec()]),
        Value::List(list) => {
            list.each_from(0, |item| {
                add(item);
                true
            });
            ("list", all)
        }
        Value::Zset(zset) => {
            zset.each(|score, member| add(&[&score.to_bits().to_be_bytes()[..], member].concat()));
            ("zset", all)
        }
        Value::Hash(hash) => {
            hash.each(|field, value| add(&[field, b"=", value].concat()));
            all.sort();
            ("hash", all)
        }
        Value::Set(set) => {
            set.each(&mut add);
            all.sort();
            ("set", all)
        }
        Value::Stream(stream) => ("stream", show_stream(stream, exact)),
    }
}

fn show_stream(stream: &Stream, exact: bool) -> Vec<Vec<u8>> {
    let counters = (stream.first_id(), stream.last_id(), stream.max_deleted(), stream.added(), stream.len());
    let mut all = vec![format!("{counters:?}")];
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let fields: Vec<_> = entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
        all.push(format!("{:?} {fields:?}", entry.id));
    }
    for group in stream.groups() {
        all.push(format!("group {:?} {:?} {}", group.name(), group.last(), group.read()));
        for it in group.pending_from(StreamId::MIN) {
            all.push(format!("{:?} {:?} {} {}", it.id, &*it.consumer, it.delivered_ms, it.deliveries));
        }
        for it in group.consumers() {
            let pending: Vec<StreamId> = it.pending_from(StreamId::MIN).collect();
            // Files of RDB version 10 have no place for it.
            let active_ms = if exact { it.active_ms() } else { it.seen_ms() };
            all.push(format!("{:?} {} {} {pending:?}", it.name(), it.seen_ms(), active_ms));
        }
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// A random effect on a stream whose last id is `last`; `fill` gives it to the keyspace.
fn stream_effect(
    rng: &mut Rng,
    key: Key<'_>,
    last: StreamId,
    values: Items<'_>,
    fill: impl FnOnce(&Effect<'_>),
) {
    let mut any = || StreamId { ms: rng.below(last.ms + 2), seq: 0 };
    let ids = [any(), any(), any()];
    let (group, consumer) = ([&b"g"[..], b"h"][rng.below(2) as usize], format!("consumer {}", rng.below(40)));
    let (consumer, at_ms) = (consumer.as_bytes(), 1 + rng.below(1000));
    match rng.below(12) {
        0 => fill(&Effect::StreamDelete { key, ids: StreamIds::Slice(&ids) }),
        1 => fill(&Effect::StreamTrim { key, count: rng.below(3) }),
        2 => fill(&Effect::StreamGroup { key, group, last: ids[0], read: at_ms as i64 - 2 }),
        3 | 4 => fill(&Effect::StreamConsumer {
            key,
            group,
            consumer,
            seen_ms: at_ms + 5,
            active_ms: if at_ms % 3 == 0 { 0 } else { at_ms },
        }),
        5 | 6 => fill(&Effect::StreamPending {
            key,
            group,
            consumer,
            ids: StreamIds::Slice(&ids),
            delivered_ms: at_ms,
            deliveries: rng.below(4),
        }),
        7 => fill(&Effect::StreamAck { key, group, ids: StreamIds::Slice(&ids[..1]) }),
        8 => fill(&Effect::StreamSetId { key, last, added: last.ms + at_ms, max_deleted: ids[0] }),
        _ => fill(&Effect::StreamAdd {
            key,
            id: StreamId { ms: last.ms + 1 + at_ms % 2, seq: 0 },
            pairs: values,
        }),
    }
}

fn last_id(keyspace: &Keyspace, db: u32, key: Key<'_>) -> StreamId {
    match keyspace.entry(db, key).map(Entry::content) {
        Some(Content::Value(Value::Stream(stream))) => stream.last_id(),
        _ => StreamId::MIN,
    }
}

/// Applies one random effect to all of `keyspaces` alike. A key's first letter says its type.
fn disturb(rng: &mut Rng, keyspaces: &mut [&mut Keyspace], keys: u64) {
    let db = rng.below(DBS as u64) as u32;
    let kind = [b's', b'h', b'e', b'l', b'z', b'x'][rng.below(6) as usize];
    // A few keys of each type grow large.
    let number = if rng.below(4) == 0 { rng.below(2) } else { rng.below(keys) };
    let name = format!("{}{number}", kind as char).into_bytes();
    let other = format!("{}{}", kind as char, rng.below(keys)).into_bytes();
    let size = if number < 2 { 40 + rng.below(60) } else { 1 + rng.below(3) };
    let items: Vec<Vec<u8>> =
        (0..size * 2).map(|_| format!("item {:030}", rng.below(3000)).into_bytes()).collect();
    let slices: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    let scores: Vec<(f64, &[u8])> = slices.iter().map(|member| (rng.below(1000) as f64, *member)).collect();
    let (choice, swap, at_ms) = (rng.below(100), rng.below(DBS as u64) as u32, rng.below(1 << 40));
    let stream_seed = rng.next();
    for keyspace in keyspaces {
        let hash_key = keyspace.hash_key();
        let (key, to) = (keyspace.key(&name), Key::new(&hash_key, &other));
        let exists = keyspace.entry(db, key).is_some();
        let values = Items::Slices(&slices);
        let effect = match choice {
            0 if at_ms % 4 == 0 => Effect::FlushAll {},
            0 => Effect::FlushDb {},
            1 => Effect::SwapDb { other: swap },
            2..=9 if exists => Effect::Delete { key, cause: Cause::Command },
            10..=19 if exists && name != other => Effect::Rename { key, to },
            20..=27 if exists => Effect::Expiry { key, expire: Expire::At(at_ms) },
            28..=30 if exists => Effect::Expiry { key, expire: Expire::Never },
            _ => match (kind, choice % 3 == 0 && exists) {
                (b's', true) => Effect::StringAppend { key, value: &items[0].repeat(size as usize * 4) },
                (b's', false) => Effect::StringSet { key, value: &items[0], expire: Expire::Never },
                (b'h', true) => Effect::HashDelete { key, fields: values },
                (b'h', false) => Effect::HashSet { key, pairs: values },
                (b'e', true) => Effect::SetRemove { key, members: values },
                (b'e', false) => Effect::SetAdd { key, members: values },
                (b'l', true) => Effect::ListPop { key, end: End::Left, count: 1 },
                (b'l', false) => Effect::ListPush { key, end: End::Right, values },
                (b'z', true) => Effect::ZsetRemove { key, members: values },
                (b'z', false) => Effect::ZsetAdd { key, scores: Scores::Slice(&scores) },
                _ => {
                    // A stream takes more to grow large than others do.
                    let mut rng = Rng(stream_seed);
                    for _ in 0..if number < 2 { 20 } else { 2 } {
                        let key = Key::new(&hash_key, &name);
                        let last = last_id(keyspace, db, key);
                        stream_effect(&mut rng, key, last, values, |effect| {
                            keyspace.apply(db, effect).unwrap_or_else(|why| panic!("{effect:?}: {why:?}"));
                        });
                    }
                    continue;
                }
            },
        };
        keyspace.apply(db, &effect).unwrap_or_else(|why| panic!("{effect:?}: {why:?}"));
    }
}

/// An exported entry: its db, its key, its expiry and its payload.
type ExportedEntry = (u32, Vec<u8>, Option<u64>, Vec<u8>);

/// Takes an export apart: an entry's pieces are put together, and must stand together.
#[derive(Clone, Default)]
struct Exported(Rc<RefCell<Vec<ExportedEntry>>>);

impl Framing for Exported {
    fn piece(&mut self, _: &mut Vec<u8>, piece: Piece<'_>) {
        let mut entries = self.0.borrow_mut();
        if piece.first {
            entries.push((piece.db, piece.key.to_vec(), piece.expire_ms, piece.payload.to_vec()));
            return;
        }
        let last = entries.last_mut().expect("an entry begins before it goes on");
        assert_eq!((last.0, &last.1[..]), (piece.db, piece.key), "an entry's pieces stand together");
        last.3.extend_from_slice(piece.payload);
    }
}

impl Exported {
    fn restore(&self, keyspace: &mut Keyspace) {
        for (db, key, expire_ms, payload) in &*self.0.borrow() {
            let expire = expire_ms.map_or(Expire::Never, Expire::At);
            let key = keyspace.key(key);
            assert!(keyspace.entry(*db, key).is_none(), "no key is exported twice");
            keyspace.apply(*db, &Effect::Restore { key, payload, expire, access: 0 }).expect("a payload");
        }
    }
}

/// Writes, snapshots and writes on; what the snapshot holds is the state at its beginning.
fn check_point_in_time(seed: u64) {
    let mut rng = Rng(seed);
    let mut keyspace = Keyspace::new(DBS, HashKey(seed, 1));
    let mut undisturbed = Keyspace::new(DBS, HashKey(seed, 1));
    let keys = 1 + rng.below(3000);
    let (before, budget, writes_a_turn) = (rng.below(6000), 64 << rng.below(9), rng.below(30));
    (0..before).for_each(|_| disturb(&mut rng, &mut [&mut keyspace, &mut undisturbed], keys));
    for round in 0..4 {
        let exported = Exported::default();
        let exports = round % 2 == 1;
        let wanted = show(&keyspace, !exports);
        if exports {
            keyspace.export_begin(Box::new(exported.clone()), round == 3);
        } else {
            keyspace.snapshot_begin();
        }
        let mut run = Vec::new();
        let entries = loop {
            (0..writes_a_turn).for_each(|_| disturb(&mut rng, &mut [&mut keyspace, &mut undisturbed], keys));
            let (bytes, complete) = keyspace.snapshot_turn(budget);
            run.extend(bytes);
            if let Some(entries) = complete {
                break entries;
            }
        };
        let case =
            format!("seed {seed} round {round} ({budget} bytes a turn, {writes_a_turn} writes a turn)");
        let mut replayed = Keyspace::new(DBS, HashKey(7, 7));
        if exports {
            exported.restore(&mut replayed);
        }
        replayed.replay(&run, |_, _| {}).unwrap_or_else(|why| panic!("{case}: {why:?}"));
        assert_eq!(entries, wanted.len() as u64, "{case}: entries");
        let found = show(&replayed, !exports);
        for (key, shown) in &wanted {
            assert_eq!(found.get(key), Some(shown), "{case}: {}", String::from_utf8_lossy(&key.1));
        }
        assert_eq!(found.len(), wanted.len(), "{case}: keys that were born later stay out");
        // A graveyard that is never emptied would hide what a turn frees too early.
        while keyspace.free_some(1000) {}
        assert!(show(&keyspace, true) == show(&undisturbed, true), "{case}: a snapshot changes nothing");
        assert_eq!(keyspace.memory_bytes(), undisturbed.memory_bytes(), "{case}: accounted memory");
    }
}

#[test]
fn a_snapshot_is_the_state_at_its_beginning() {
    let first =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    (0..40).for_each(|n| check_point_in_time(first.wrapping_add(n)));
}

/// A stream with as many entries, most of them pending, and half as many consumers.
fn fill_stream(keyspace: &mut Keyspace, entries: u64) {
    let hash_key = keyspace.hash_key();
    let key = Key::new(&hash_key, b"stream");
    let mut apply = |effect: Effect<'_>| {
        keyspace.apply(0, &effect).expect("the effect fits");
    };
    for n in 1..=entries {
        let (id, value) = (StreamId { ms: n, seq: 0 }, format!("value:{n}"));
        let pairs = Items::Slices(&[b"field", value.as_bytes()]);
        apply(Effect::StreamAdd { key, id, pairs });
    }
    apply(Effect::StreamGroup {
        key,
        group: b"g",
        last: StreamId { ms: entries, seq: 0 },
        read: entries as i64,
    });
    for n in 1..=entries {
        let consumer = format!("consumer:{}", n / 2);
        let (consumer, ids) = (consumer.as_bytes(), [StreamId { ms: n, seq: 0 }]);
        apply(Effect::StreamConsumer { key, group: b"g", consumer, seen_ms: n, active_ms: n / 2 });
        let ids = StreamIds::Slice(&ids);
        apply(Effect::StreamPending { key, group: b"g", consumer, ids, delivered_ms: n, deliveries: 1 });
    }
}

/// Loads much, and counts what the largest turn does while others write.
fn check_work(keys: u64, members: u64, writes_a_turn: u64, budget: usize) {
    let mut keyspace = Keyspace::new(DBS, HashKey(1, 2));
    for n in 0..keys {
        let name = format!("key:{n}").into_bytes();
        let effect =
            Effect::StringSet { key: keyspace.key(&name), value: b"a small value", expire: Expire::Never };
        keyspace.apply(0, &effect).expect("a string is set");
    }
    for n in 0..members {
        let member = format!("member:{n}").into_bytes();
        let key = keyspace.key(b"zset");
        let scores = [(n as f64, member.as_slice())];
        keyspace
            .apply(0, &Effect::ZsetAdd { key, scores: Scores::Slice(&scores) })
            .expect("a member is added");
    }
    fill_stream(&mut keyspace, members);
    keyspace.snapshot_begin();
    let mut rng = Rng(5);
    let (mut turns, mut looked_before, mut looked_most, mut bytes_most) = (0u64, 0, 0, 0);
    loop {
        for _ in 0..writes_a_turn {
            let n = rng.below(keys * 2);
            let (name, member) = (format!("key:{n}").into_bytes(), format!("member:{n}").into_bytes());
            let effect = match rng.below(3) {
                0 => Effect::Delete { key: keyspace.key(&name), cause: Cause::Command },
                1 => Effect::StringSet {
                    key: keyspace.key(&name),
                    value: b"another value",
                    expire: Expire::Never,
                },
                _ => Effect::ZsetAdd { key: keyspace.key(b"zset"), scores: Scores::Slice(&[(0.5, &member)]) },
            };
            let queued = keyspace.snapshot().map_or(0, Snapshot::encoded_bytes);
            keyspace.apply(0, &effect).expect("the effect fits");
            let saved = keyspace.snapshot().map_or(0, Snapshot::encoded_bytes) - queued;
            assert!(saved < 1024, "a write saved {saved} bytes: a large value is shared, not copied");
        }
        let queued = keyspace.snapshot().map_or(0, Snapshot::encoded_bytes);
        let (bytes, complete) = keyspace.snapshot_turn(budget);
        turns += 1;
        bytes_most = bytes_most.max(bytes.len() - queued);
        let Some(looked) = keyspace.snapshot().map(Snapshot::looked) else {
            assert!(complete.is_some(), "a snapshot ends when it is complete");
            break;
        };
        looked_most = looked_most.max(looked - looked_before);
        looked_before = looked;
    }
    // A turn ends at its budget, one entry or one part (64 KiB and an element) later.
    let bytes_bound = budget + 64 * 1024 + 1024;
    assert!(bytes_most <= bytes_bound, "{bytes_most} bytes in one turn of {budget}");
    // One segment of the table is looked at whole.
    let looked_bound = budget as u64 / 64 + sessile_keyspace::table::SEGMENT_MAX as u64;
    assert!(looked_most <= looked_bound, "{looked_most} entries looked at in one turn of {budget} bytes");
    assert!(turns >= keys * 20 / budget as u64, "only {turns} turns");
}

#[test]
fn a_turn_does_a_bounded_amount_of_work() {
    check_work(300_000, 100_000, 50, 64 * 1024);
    check_work(300_000, 100_000, 5, 8 * 1024);
}

#[test]
fn what_writers_save_is_counted_until_it_is_taken() {
    const LARGE: usize = 700;
    for exports in [false, true] {
        let mut keyspace = Keyspace::new(DBS, HashKey(1, 2));
        let value = vec![b'v'; 100_000];
        let names: Vec<Vec<u8>> = (0..LARGE).map(|n| format!("key:{n}").into_bytes()).collect();
        for name in &names {
            let key = keyspace.key(name);
            let effect = Effect::StringSet { key, value: &value, expire: Expire::Never };
            keyspace.apply(0, &effect).expect("a string is set");
        }
        if exports {
            keyspace.export_begin(Box::new(Exported::default()), false);
        } else {
            keyspace.snapshot_begin();
        }
        let mut full_at = None;
        for (n, name) in names.iter().enumerate() {
            let key = keyspace.key(name);
            keyspace.apply(0, &Effect::Delete { key, cause: Cause::Command }).expect("a key goes");
            if keyspace.snapshot().is_some_and(Snapshot::is_full) {
                full_at.get_or_insert(n);
            }
        }
        // A large value counts as one part, whether it is encoded or only kept.
        let bound = SAVED_BYTES_MAX / (64 * 1024);
        assert!(full_at.is_some_and(|n| (bound - 2..=bound).contains(&n)), "full after {full_at:?}");
        loop {
            let (_, complete) = keyspace.snapshot_turn(64 * 1024);
            if complete.is_some() {
                break;
            }
            let left = keyspace.snapshot().map_or(0, Snapshot::queued_bytes);
            assert!(left > 0, "nothing is counted, and something is left");
        }
        assert!(keyspace.snapshot().is_none());
    }
}
