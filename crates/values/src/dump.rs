//! The value codec: what DUMP, `dump.rdb` and whole-value effects hold (RDB version 10).
//!
//! A payload is a type byte and a body. Bytes come from clients too (RESTORE): whatever they hold, reading them gives
//! a value or an error, and takes no more memory than their length accounts for.

use crate::crc64::crc64;
use crate::digits;
use crate::intset::Intset;
use crate::listpack::Listpack;
use crate::lzf;
use crate::stream::StreamId;
use crate::value::{HashKey, Limits, Value};
use crate::{Hash, List, Set, Stream, Text, Zset};

/// The RDB version that payloads are written in.
pub const VERSION: u16 = 10;
/// The newest RDB version whose payloads are read: Redis 7.2's.
const VERSION_MAX: u16 = 11;

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const HASH: u8 = 4;
const ZSET_2: u8 = 5;
const SET_INTSET: u8 = 11;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_QUICKLIST_2: u8 = 18;
const STREAM_LISTPACKS_2: u8 = 19;
const SET_LISTPACK: u8 = 20;
const STREAM_LISTPACKS_3: u8 = 21;

/// A quicklist node that is a listpack, not one large element.
const NODE_PACKED: u64 = 2;
const NODE_PLAIN: u64 = 1;

/// A value as read.
pub enum Loaded {
    /// A string.
    Text(Vec<u8>),
    /// Anything else.
    Value(Value),
}

/// Not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPayload;

/// Not a DUMP payload: too short, of a newer version, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDump;

/// Appends a string.
pub fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(STRING);
    put_string(out, text);
}

/// Appends any other value.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => encode_rope(text, out),
        Value::List(list) => encode_list(list, out),
        Value::Set(set) => encode_set(set, out),
        Value::Hash(hash) => encode_hash(hash, out),
        Value::Zset(zset) => encode_zset(zset, out),
        Value::Stream(stream) => encode_stream(stream, out),
    }
}

/// Appends a long string.
pub fn encode_rope(text: &Text, out: &mut Vec<u8>) {
    out.push(STRING);
    put_len(out, text.len() as u64);
    text.pieces(0, text.len()).for_each(|piece| out.extend_from_slice(piece));
}

fn encode_list(list: &List, out: &mut Vec<u8>) {
    let nodes = list.nodes();
    out.push(LIST_QUICKLIST_2);
    put_len(out, nodes.len() as u64);
    for node in nodes {
        put_len(out, NODE_PACKED);
        put_string(out, node.as_bytes());
    }
}

fn encode_set(set: &Set, out: &mut Vec<u8>) {
    if let Some(ints) = set.as_intset() {
        out.push(SET_INTSET);
        put_string(out, ints.as_bytes());
        return;
    }
    // Version 10 has no listpack sets.
    out.push(SET);
    put_len(out, set.len() as u64);
    set.each(|member| put_string(out, member));
}

fn encode_hash(hash: &Hash, out: &mut Vec<u8>) {
    if let Some(packed) = hash.as_listpack() {
        out.push(HASH_LISTPACK);
        put_string(out, packed.as_bytes());
        return;
    }
    out.push(HASH);
    put_len(out, hash.len() as u64);
    hash.each(|field, value| {
        put_string(out, field);
        put_string(out, value);
    });
}

fn encode_zset(zset: &Zset, out: &mut Vec<u8>) {
    if let Some(packed) = zset.as_listpack() {
        out.push(ZSET_LISTPACK);
        put_string(out, packed.as_bytes());
        return;
    }
    out.push(ZSET_2);
    put_len(out, zset.len() as u64);
    let mut members: Vec<(f64, Vec<u8>)> = Vec::with_capacity(zset.len());
    zset.each(|score, member| members.push((score, member.to_vec())));
    // From the highest down, as Redis does: its skip list is quicker to build so.
    for (score, member) in members.iter().rev() {
        put_string(out, member);
        out.extend_from_slice(&score.to_le_bytes());
    }
}

fn encode_stream(stream: &Stream, out: &mut Vec<u8>) {
    out.push(STREAM_LISTPACKS_2);
    put_len(out, stream.node_count() as u64);
    for (id, node) in stream.nodes() {
        put_string(out, &raw_id(id));
        put_string(out, node.as_bytes());
    }
    put_len(out, stream.len() as u64);
    put_id(out, stream.last_id());
    put_id(out, stream.first_id());
    put_id(out, stream.max_deleted());
    put_len(out, stream.added());
    put_len(out, stream.group_count() as u64);
    for group in stream.groups() {
        put_string(out, group.name());
        put_id(out, group.last());
        put_len(out, group.read() as u64);
        put_len(out, group.pending_len() as u64);
        for pending in group.pending_from(StreamId::MIN) {
            out.extend_from_slice(&raw_id(pending.id));
            out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            put_len(out, pending.deliveries);
        }
        put_len(out, group.consumer_count() as u64);
        for consumer in group.consumers() {
            put_string(out, consumer.name());
            out.extend_from_slice(&consumer.seen_ms().to_le_bytes());
            put_len(out, consumer.pending_len() as u64);
            for id in consumer.pending_from(StreamId::MIN) {
                out.extend_from_slice(&raw_id(id));
            }
        }
    }
}

fn raw_id(id: StreamId) -> [u8; 16] {
    let mut raw = [0; 16];
    raw[..8].copy_from_slice(&id.ms.to_be_bytes());
    raw[8..].copy_from_slice(&id.seq.to_be_bytes());
    raw
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_len(out, id.ms);
    put_len(out, id.seq);
}

/// Appends a length in RDB's form: 6, 14, 32 or 64 bits.
pub fn put_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..=63 => out.push(len as u8),
        64..=16383 => out.extend([0x40 | (len >> 8) as u8, len as u8]),
        16384..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

/// Appends a byte string in RDB's form; short integers are packed.
pub fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= 11
        && let Some(n) = digits::parse_i64(text)
    {
        if let Ok(n) = i8::try_from(n) {
            out.extend([0xc0, n as u8]);
            return;
        }
        if let Ok(n) = i16::try_from(n) {
            out.push(0xc1);
            out.extend_from_slice(&n.to_le_bytes());
            return;
        }
        if let Ok(n) = i32::try_from(n) {
            out.push(0xc2);
            out.extend_from_slice(&n.to_le_bytes());
            return;
        }
    }
    put_len(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// DUMP's footer: the version and a checksum of everything before.
pub fn seal(payload: &mut Vec<u8>) {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

/// RESTORE's check of the footer; gives the payload before it. A checksum of 0 means that there is none.
pub fn open(dump: &[u8]) -> Result<&[u8], BadDump> {
    let (rest, sum) = dump.split_last_chunk::<8>().ok_or(BadDump)?;
    let (payload, version) = rest.split_last_chunk::<2>().ok_or(BadDump)?;
    let sum = u64::from_le_bytes(*sum);
    if u16::from_le_bytes(*version) > VERSION_MAX || sum != 0 && sum != crc64(rest) {
        return Err(BadDump);
    }
    Ok(payload)
}

/// Reads a payload, all of it.
pub fn decode(payload: &[u8], key: &HashKey, limits: &Limits) -> Result<Loaded, BadPayload> {
    match decode_prefix(payload, key, limits)? {
        (loaded, used) if used == payload.len() => Ok(loaded),
        _ => Err(BadPayload),
    }
}

/// Reads a value from the front of `bytes`; gives how many bytes it took.
pub fn decode_prefix(bytes: &[u8], key: &HashKey, limits: &Limits) -> Result<(Loaded, usize), BadPayload> {
    let mut source = Source { rest: bytes };
    let kind = source.u8()?;
    let loaded = match kind {
        STRING => Loaded::Text(source.string()?),
        LIST | LIST_QUICKLIST_2 => Loaded::Value(Value::List(read_list(&mut source, kind, limits)?)),
        SET | SET_INTSET | SET_LISTPACK => Loaded::Value(Value::Set(read_set(&mut source, kind, key, limits)?)),
        HASH | HASH_LISTPACK => Loaded::Value(Value::Hash(read_hash(&mut source, kind, key, limits)?)),
        ZSET_2 | ZSET_LISTPACK => Loaded::Value(Value::Zset(read_zset(&mut source, kind, key, limits)?)),
        15 | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 => {
            Loaded::Value(Value::Stream(Box::new(read_stream(&mut source, kind)?)))
        }
        _ => return Err(BadPayload),
    };
    if matches!(&loaded, Loaded::Value(value) if value.is_empty()) {
        return Err(BadPayload);
    }
    Ok((loaded, bytes.len() - source.rest.len()))
}

struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    fn u8(&mut self) -> Result<u8, BadPayload> {
        self.take(1).map(|b| b[0])
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], BadPayload> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BadPayload)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPayload> {
        self.take(N).map(|bytes| bytes.try_into().expect("just so many were taken"))
    }

    /// A length, or the code of a special string.
    fn len_or_code(&mut self) -> Result<Result<u64, u8>, BadPayload> {
        let first = self.u8()?;
        Ok(Ok(match first >> 6 {
            0 => u64::from(first),
            1 => u64::from(first & 0x3f) << 8 | u64::from(self.u8()?),
            2 if first == 0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            2 if first == 0x81 => u64::from_be_bytes(self.array()?),
            3 => return Ok(Err(first & 0x3f)),
            _ => return Err(BadPayload),
        }))
    }

    fn len(&mut self) -> Result<u64, BadPayload> {
        self.len_or_code()?.map_err(|_| BadPayload)
    }

    /// A number of things of at least `bytes` each: more than what is left cannot be.
    fn count(&mut self, bytes: usize) -> Result<usize, BadPayload> {
        let count = usize::try_from(self.len()?).map_err(|_| BadPayload)?;
        if count > self.rest.len() / bytes.max(1) { Err(BadPayload) } else { Ok(count) }
    }

    fn string(&mut self) -> Result<Vec<u8>, BadPayload> {
        let int = |n: i64| digits::format_i64(n, &mut [0; 21]).to_vec();
        match self.len_or_code()? {
            Ok(len) => self.take(usize::try_from(len).map_err(|_| BadPayload)?).map(<[u8]>::to_vec),
            Err(0) => Ok(int(i64::from(self.u8()? as i8))),
            Err(1) => Ok(int(i64::from(i16::from_le_bytes(self.array()?)))),
            Err(2) => Ok(int(i64::from(i32::from_le_bytes(self.array()?)))),
            Err(3) => {
                let packed = usize::try_from(self.len()?).map_err(|_| BadPayload)?;
                let len = usize::try_from(self.len()?).map_err(|_| BadPayload)?;
                lzf::decompress(self.take(packed)?, len).map_err(|_| BadPayload)
            }
            Err(_) => Err(BadPayload),
        }
    }

    fn raw_id(&mut self) -> Result<StreamId, BadPayload> {
        Ok(StreamId { ms: u64::from_be_bytes(self.array()?), seq: u64::from_be_bytes(self.array()?) })
    }

    fn id(&mut self) -> Result<StreamId, BadPayload> {
        Ok(StreamId { ms: self.len()?, seq: self.len()? })
    }

    fn listpack(&mut self) -> Result<Listpack, BadPayload> {
        Listpack::from_bytes(self.string()?).map_err(|_| BadPayload)
    }
}

fn read_list(source: &mut Source<'_>, kind: u8, limits: &Limits) -> Result<List, BadPayload> {
    let mut list = List::new();
    for _ in 0..source.count(1)? {
        if kind == LIST {
            list.push(limits, false, &source.string()?);
            continue;
        }
        match source.len()? {
            NODE_PLAIN => list.push(limits, false, &source.string()?),
            NODE_PACKED => {
                let node = source.listpack()?;
                if node.is_empty() {
                    return Err(BadPayload);
                }
                node.iter().for_each(|item| list.push(limits, false, item.as_slice(&mut [0; 21])));
            }
            _ => return Err(BadPayload),
        }
    }
    Ok(list)
}

fn read_set(source: &mut Source<'_>, kind: u8, key: &HashKey, limits: &Limits) -> Result<Set, BadPayload> {
    let mut set = Set::new();
    if kind == SET_INTSET {
        let ints = Intset::from_bytes(source.string()?).map_err(|_| BadPayload)?;
        if ints.len() <= limits.set_intset_entries {
            return Ok(Set::from_intset(ints));
        }
        ints.iter().for_each(|n| {
            set.add(key, limits, digits::format_i64(n, &mut [0; 21]));
        });
        return Ok(set);
    }
    let mut add = |member: &[u8]| if set.add(key, limits, member) { Ok(()) } else { Err(BadPayload) };
    if kind == SET_LISTPACK {
        source.listpack()?.iter().try_for_each(|item| add(item.as_slice(&mut [0; 21])))?;
    } else {
        for _ in 0..source.count(1)? {
            add(&source.string()?)?;
        }
    }
    Ok(set)
}

fn read_hash(source: &mut Source<'_>, kind: u8, key: &HashKey, limits: &Limits) -> Result<Hash, BadPayload> {
    let mut hash = Hash::new();
    let mut set =
        |name: &[u8], value: &[u8]| if hash.set(key, limits, name, value) { Ok(()) } else { Err(BadPayload) };
    if kind == HASH_LISTPACK {
        let packed = source.listpack()?;
        let mut items = packed.iter();
        while let Some(name) = items.next() {
            let value = items.next().ok_or(BadPayload)?;
            set(name.as_slice(&mut [0; 21]), value.as_slice(&mut [0; 21]))?;
        }
    } else {
        for _ in 0..source.count(2)? {
            let (name, value) = (source.string()?, source.string()?);
            set(&name, &value)?;
        }
    }
    Ok(hash)
}

fn read_zset(source: &mut Source<'_>, kind: u8, key: &HashKey, limits: &Limits) -> Result<Zset, BadPayload> {
    let mut zset = Zset::new();
    let mut add = |score: f64, member: &[u8]| {
        if !score.is_nan() && zset.add(key, limits, score, member) { Ok(()) } else { Err(BadPayload) }
    };
    if kind == ZSET_LISTPACK {
        let packed = source.listpack()?;
        let mut items = packed.iter();
        while let Some(member) = items.next() {
            let score = items.next().ok_or(BadPayload)?;
            let score = digits::parse_f64(score.as_slice(&mut [0; 21])).ok_or(BadPayload)?;
            add(score, member.as_slice(&mut [0; 21]))?;
        }
    } else {
        for _ in 0..source.count(9)? {
            let member = source.string()?;
            add(f64::from_le_bytes(source.array()?), &member)?;
        }
    }
    Ok(zset)
}

fn read_stream(source: &mut Source<'_>, kind: u8) -> Result<Stream, BadPayload> {
    let mut stream = Stream::default();
    for _ in 0..source.count(2)? {
        let id = source.string()?;
        let id = Source { rest: &id }.raw_id()?;
        stream.push_node(id, source.listpack()?).map_err(|_| BadPayload)?;
    }
    let len = source.len()?;
    let last = source.id()?;
    let (max_deleted, added) = if kind == 15 {
        (StreamId::MIN, len)
    } else {
        source.id()?;
        (source.id()?, source.len()?)
    };
    if len != stream.len() as u64 || stream.last().is_some_and(|entry| entry.id > last) {
        return Err(BadPayload);
    }
    stream.set_counters(last, added, max_deleted);
    for _ in 0..source.count(4)? {
        read_group(source, kind, &mut stream)?;
    }
    Ok(stream)
}

fn read_group(source: &mut Source<'_>, kind: u8, stream: &mut Stream) -> Result<(), BadPayload> {
    let name = source.string()?;
    let last = source.id()?;
    let read = if kind == 15 { -1 } else { source.len()? as i64 };
    if stream.group(&name).is_some() {
        return Err(BadPayload);
    }
    stream.set_group(&name, last, read);
    let mut pending = std::collections::BTreeMap::new();
    for _ in 0..source.count(25)? {
        let id = source.raw_id()?;
        let delivered_ms = u64::from_le_bytes(source.array()?);
        if pending.insert(id, (delivered_ms, source.len()?)).is_some() {
            return Err(BadPayload);
        }
    }
    for _ in 0..source.count(10)? {
        let consumer = source.string()?;
        let seen_ms = u64::from_le_bytes(source.array()?);
        let active_ms = if kind == STREAM_LISTPACKS_3 { u64::from_le_bytes(source.array()?) } else { seen_ms };
        stream.set_consumer(&name, &consumer, seen_ms, active_ms);
        for _ in 0..source.count(16)? {
            // Every entry that a consumer has is one that the group has, and nobody else's.
            let id = source.raw_id()?;
            let (delivered_ms, deliveries) = pending.remove(&id).ok_or(BadPayload)?;
            stream.set_pending(&name, &consumer, id, delivered_ms, deliveries);
        }
    }
    if pending.is_empty() { Ok(()) } else { Err(BadPayload) }
}
