//! Streams against a model of maps, and their listpacks against those of a real redis-server.

use std::collections::BTreeMap;

use sessile_oracle::Oracle;
use sessile_values::listpack::Listpack;
use sessile_values::stream::{Entry, Keep, StreamId};
use sessile_values::{Limits, Stream};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

type Fields = Vec<Vec<u8>>;

#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Fields>,
    added: u64,
    last: StreamId,
    max_deleted: StreamId,
    groups: BTreeMap<Vec<u8>, ModelGroup>,
}

#[derive(Default)]
struct ModelGroup {
    last: StreamId,
    read: i64,
    pending: BTreeMap<StreamId, (Vec<u8>, u64, u64)>,
    consumers: BTreeMap<Vec<u8>, (u64, u64)>,
}

fn items(entry: &Entry<'_>) -> Fields {
    entry.fields().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect()
}

fn listed<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Fields)> {
    entries.map(|entry| (entry.id, items(&entry))).collect()
}

fn check(stream: &Stream, model: &Model, rng: &mut Rng) {
    let all: Vec<_> = model.entries.iter().map(|(id, fields)| (*id, fields.clone())).collect();
    assert_eq!(stream.len(), all.len());
    assert_eq!(listed(stream.range(StreamId::MIN, StreamId::MAX)), all);
    let mut back = listed(stream.range_back(StreamId::MIN, StreamId::MAX));
    back.reverse();
    assert_eq!(back, all);
    assert_eq!(stream.first_id(), all.first().map_or(StreamId::MIN, |e| e.0));
    assert_eq!(
        (stream.last_id(), stream.added(), stream.max_deleted()),
        (model.last, model.added, model.max_deleted)
    );
    let mut pick = || StreamId { ms: rng.below(model.last.ms + 2), seq: rng.below(3) };
    let (a, b) = (pick(), pick());
    let within: Vec<_> = all.iter().filter(|e| a <= e.0 && e.0 <= b).cloned().collect();
    assert_eq!(listed(stream.range(a, b)), within);
    let mut back = listed(stream.range_back(a, b));
    back.reverse();
    assert_eq!(back, within);
    assert_eq!(stream.get(a).is_some(), model.entries.contains_key(&a));
    assert_eq!(
        stream.groups().map(|g| g.name().to_vec()).collect::<Vec<_>>(),
        model.groups.keys().cloned().collect::<Vec<_>>()
    );
    for (group, expected) in stream.groups().zip(model.groups.values()) {
        assert_eq!((group.last(), group.read()), (expected.last, expected.read));
        let pending: Vec<_> = group
            .pending_from(StreamId::MIN)
            .map(|p| (p.id, (p.consumer.to_vec(), p.delivered_ms, p.deliveries)))
            .collect();
        assert_eq!(pending, expected.pending.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(group.consumer_count(), expected.consumers.len());
        for (consumer, (name, &(seen_ms, active_ms))) in group.consumers().zip(&expected.consumers) {
            assert_eq!(
                (consumer.name(), consumer.seen_ms(), consumer.active_ms()),
                (&name[..], seen_ms, active_ms)
            );
            let own: Vec<_> = expected.pending.iter().filter(|p| p.1.0 == *name).map(|p| *p.0).collect();
            assert_eq!(consumer.pending_from(StreamId::MIN).collect::<Vec<_>>(), own);
        }
    }
}

fn text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => rng.below(1 << 40).to_string().into_bytes(),
        1 => vec![b'x'; rng.below(200) as usize],
        _ => format!("f{}", rng.below(3)).into_bytes(),
    }
}

fn random_fields(rng: &mut Rng) -> Fields {
    match rng.below(3) {
        0 => vec![b"name".to_vec(), text(rng), b"age".to_vec(), text(rng)],
        _ => (0..2 * (1 + rng.below(3))).map(|_| text(rng)).collect(),
    }
}

fn change_entries(stream: &mut Stream, model: &mut Model, limits: &Limits, rng: &mut Rng) {
    match rng.below(10) {
        0..7 => {
            let id = if rng.below(2) == 0 {
                model.last.next().expect("small ids")
            } else {
                StreamId { ms: model.last.ms + 1 + rng.below(3), seq: rng.below(3) }
            };
            let fields = random_fields(rng);
            stream.append(limits, id, fields.len() / 2, fields.iter().map(Vec::as_slice));
            model.entries.insert(id, fields);
            model.last = id;
            model.added += 1;
        }
        7 | 8 if !model.entries.is_empty() => {
            let index = rng.below(model.entries.len() as u64) as usize;
            let id = *model.entries.keys().nth(index).expect("below the length");
            assert!(stream.delete(id) && !stream.delete(id));
            model.entries.remove(&id);
            model.max_deleted = model.max_deleted.max(id);
        }
        9 if rng.below(4) == 0 => {
            let count = rng.below(model.entries.len() as u64 / 3 + 1) as usize;
            let keep = model.entries.len() - count;
            assert_eq!(stream.count_to_trim(Keep::Last(keep), false, 0), count);
            assert!(stream.count_to_trim(Keep::Last(keep), true, 0) <= count);
            if let Some(id) = model.entries.keys().nth(count) {
                assert_eq!(stream.count_to_trim(Keep::From(*id), false, 0), count);
                assert!(stream.count_to_trim(Keep::From(*id), true, 0) <= count);
            }
            stream.trim(count);
            (0..count).for_each(|_| drop(model.entries.pop_first()));
        }
        _ => {}
    }
}

fn change_groups(stream: &mut Stream, model: &mut Model, rng: &mut Rng) {
    let name = format!("g{}", rng.below(3)).into_bytes();
    let consumer = format!("c{}", rng.below(40)).into_bytes();
    let id = StreamId { ms: rng.below(model.last.ms + 1), seq: rng.below(2) };
    if rng.below(10) == 0 {
        stream.set_group(&name, id, 7);
        let group = model.groups.entry(name).or_default();
        (group.last, group.read) = (id, 7);
        return;
    }
    if rng.below(200) == 0 {
        assert_eq!(stream.destroy_group(&name), model.groups.remove(&name).is_some());
        return;
    }
    let Some(group) = model.groups.get_mut(&name) else { return };
    match rng.below(12) {
        0 => {
            stream.set_consumer(&name, &consumer, 5, 6);
            group.consumers.insert(consumer, (5, 6));
        }
        1 if rng.below(4) == 0 => {
            let before = group.pending.len();
            group.pending.retain(|_, pending| pending.0 != consumer);
            group.consumers.remove(&consumer);
            assert_eq!(stream.delete_consumer(&name, &consumer), before - group.pending.len());
        }
        2..9 if group.consumers.contains_key(&consumer) => {
            let times = (rng.below(100), rng.below(5));
            stream.set_pending(&name, &consumer, id, times.0, times.1);
            group.pending.insert(id, (consumer, times.0, times.1));
        }
        _ => assert_eq!(stream.acknowledge(&name, id), group.pending.remove(&id).is_some()),
    }
}

#[test]
fn is_what_the_model_is() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut rng = Rng(seed);
        let limits = Limits {
            stream_node_entries: [0, 1, 5, 100][rng.below(4) as usize],
            stream_node_bytes: [0, 300, 4096][rng.below(3) as usize],
            ..Limits::default()
        };
        let (mut stream, mut model) = (Stream::default(), Model::default());
        let mut snapshot: Option<(Stream, Vec<(StreamId, Fields)>)> = None;
        for step in 0..1500 {
            change_entries(&mut stream, &mut model, &limits, &mut rng);
            change_groups(&mut stream, &mut model, &mut rng);
            if step % 50 == 0 {
                check(&stream, &model, &mut rng);
                if let Some((copy, entries)) = snapshot.take() {
                    assert_eq!(listed(copy.range(StreamId::MIN, StreamId::MAX)), entries);
                }
                snapshot = Some((stream.clone(), listed(stream.range(StreamId::MIN, StreamId::MAX))));
            }
        }
        check(&rebuilt(&stream), &model, &mut rng);
        let bytes = stream.heap_bytes();
        assert!(bytes > stream.nodes().map(|n| n.1.byte_len()).sum());
        drop(snapshot);
        if let Some(mut free) = stream.dismantle() {
            while free(2) {}
        }
    }
}

/// The stream as a payload would bring it back.
fn rebuilt(stream: &Stream) -> Stream {
    let mut other = Stream::default();
    for (id, pack) in stream.nodes() {
        let pack = Listpack::from_bytes(pack.as_bytes()).expect("a listpack of a stream");
        other.push_node(id, pack).expect("a node of a stream");
    }
    other.set_counters(stream.last_id(), stream.added(), stream.max_deleted());
    for group in stream.groups() {
        other.set_group(group.name(), group.last(), group.read());
        for consumer in group.consumers() {
            other.set_consumer(group.name(), consumer.name(), consumer.seen_ms(), consumer.active_ms());
        }
        for pending in group.pending_from(StreamId::MIN) {
            let (ms, count) = (pending.delivered_ms, pending.deliveries);
            other.set_pending(group.name(), &pending.consumer, pending.id, ms, count);
        }
    }
    other
}

/// Every change of one byte is refused, or gives a stream that can be walked.
#[test]
fn foreign_nodes_are_checked() {
    let limits = Limits::default();
    let mut stream = Stream::default();
    for seq in 1..6 {
        let fields: [&[u8]; 4] = [b"name", b"value", if seq == 3 { b"other" } else { b"same" }, b"7"];
        stream.append(&limits, StreamId { ms: 1, seq }, 2, fields.into_iter());
    }
    stream.delete(StreamId { ms: 1, seq: 2 });
    let (id, pack) = stream.nodes().next().expect("one node");
    let (mut refused, mut taken) = (0, 0);
    for at in 0..pack.byte_len() {
        for value in 0..=255 {
            let mut bytes = pack.as_bytes().to_vec();
            bytes[at] = value;
            let Ok(pack) = Listpack::from_bytes(&bytes) else { continue };
            let mut other = Stream::default();
            match other.push_node(id, pack) {
                Err(_) => refused += 1,
                Ok(()) => {
                    taken += 1;
                    let forth = listed(other.range(StreamId::MIN, StreamId::MAX));
                    let mut back = listed(other.range_back(StreamId::MIN, StreamId::MAX));
                    back.reverse();
                    assert_eq!(forth, back);
                    forth.iter().for_each(|(id, _)| assert!(other.delete(*id)));
                }
            }
        }
    }
    assert!(refused > 100 && taken > 100, "{refused} {taken}");
}

/// A DUMP payload being read.
struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head
    }

    fn length(&mut self) -> usize {
        let first = self.take(1)[0];
        match first >> 6 {
            0 => usize::from(first & 63),
            1 => usize::from(first & 63) << 8 | usize::from(self.take(1)[0]),
            _ => u32::from_be_bytes(self.take(4).try_into().expect("four bytes")) as usize,
        }
    }

    fn text(&mut self) -> &'a [u8] {
        let len = self.length();
        self.take(len)
    }

    /// Ids and listpacks of a stream's nodes, uncompressed.
    fn nodes(&mut self) -> Vec<(StreamId, Vec<u8>)> {
        self.take(1);
        let count = self.length();
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let mut node = || {
            let id = self.text();
            (StreamId { ms: number(&id[..8]), seq: number(&id[8..]) }, self.text().to_vec())
        };
        (0..count).map(|_| node()).collect()
    }
}

#[test]
fn listpacks_are_those_of_redis() {
    let server = Oracle::start(&["--rdbcompression", "no"]);
    let mut oracle = server.connect();
    for seed in 0..6 {
        println!("seed {seed}");
        let mut rng = Rng(1000 + seed);
        let limits = Limits {
            stream_node_entries: [0, 3, 100][rng.below(3) as usize],
            stream_node_bytes: [0, 300, 4096][rng.below(3) as usize],
            ..Limits::default()
        };
        let (entries, bytes) = (limits.stream_node_entries.to_string(), limits.stream_node_bytes.to_string());
        let config: [&[u8]; 6] = [
            b"config",
            b"set",
            b"stream-node-max-entries",
            entries.as_bytes(),
            b"stream-node-max-bytes",
            bytes.as_bytes(),
        ];
        assert_eq!(oracle.text(&config), b"OK");
        oracle.text(&[b"flushall"]);
        let (mut stream, mut model) = (Stream::default(), Model::default());
        for _ in 0..400 {
            let before = (model.entries.clone(), model.last);
            change_entries(&mut stream, &mut model, &limits, &mut rng);
            if model.last != before.1 {
                let id = model.last.to_string();
                let mut request: Vec<&[u8]> = vec![b"xadd", b"s", id.as_bytes()];
                request.extend(model.entries[&model.last].iter().map(Vec::as_slice));
                assert_eq!(oracle.text(&request), id.as_bytes());
            } else if model.entries.len() + 1 == before.0.len() {
                let gone = before.0.keys().find(|id| !model.entries.contains_key(id)).expect("one is gone");
                assert_eq!(oracle.text(&[b"xdel", b"s", gone.to_string().as_bytes()]), b"1");
            } else if model.entries.len() < before.0.len() {
                let keep = model.entries.len().to_string();
                oracle.text(&[b"xtrim", b"s", b"maxlen", keep.as_bytes()]);
            }
        }
        let payload = oracle.text(&[b"dump", b"s"]);
        let own: Vec<_> = stream.nodes().map(|(id, pack)| (id, pack.as_bytes().to_vec())).collect();
        assert_eq!(own, Payload(&payload).nodes());
    }
}
