//! Effects: what a command changed, resolved, as it is journaled, replayed and observed.
//!
//! An effect holds all it needs: absolute times, chosen members, results. Applying it reads state and effect and
//! nothing else. Its bytes are `kind u8 · db varint · fields`, in the order of the enum's fields; byte strings are
//! `len varint · bytes`. **Kinds are frozen** by a golden test: a journal written today must be readable for ever.

use sessile_values::HashKey;
use sessile_values::stream::StreamId;

use crate::codec::{BadEffect, Reader, put_bytes, put_f64, put_varint};

/// A key with its hash, computed once a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key's text.
    pub bytes: &'a [u8],
    /// Its keyed hash.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Hashes `bytes`.
    pub fn new(hash_key: &HashKey, bytes: &'a [u8]) -> Self {
        Self { bytes, hash: hash_key.hash(bytes) }
    }
}

/// What an effect does to a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expire {
    /// Leaves it.
    Keep,
    /// Clears it.
    Never,
    /// Sets it, in milliseconds since the epoch.
    At(u64),
}

/// Why a key was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A command removed it.
    Command,
    /// Its time had come.
    Expired,
    /// `maxmemory` needed the room.
    Evicted,
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head, index 0.
    Left,
    /// The tail.
    Right,
}

/// A run of byte strings: as the handler has them, or as they stand in a record.
#[derive(Clone, Copy, Debug)]
pub enum Items<'a> {
    /// Borrowed from arguments.
    Slices(&'a [&'a [u8]]),
    /// `(len varint · bytes)*`, checked when it was decoded.
    Encoded {
        /// How many.
        count: usize,
        /// Their encoding.
        bytes: &'a [u8],
    },
}

impl<'a> Items<'a> {
    /// How many byte strings there are.
    pub fn len(&self) -> usize {
        match self {
            Items::Slices(slices) => slices.len(),
            Items::Encoded { count, .. } => *count,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The byte strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let (slices, mut reader): (&'a [&'a [u8]], Reader<'a>) = match *self {
            Items::Slices(slices) => (slices, Reader::new(&[])),
            Items::Encoded { bytes, .. } => (&[], Reader::new(bytes)),
        };
        slices.iter().copied().chain(std::iter::from_fn(move || reader.bytes().ok()))
    }

    /// The byte strings two by two.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut items = self.iter();
        std::iter::from_fn(move || Some((items.next()?, items.next()?)))
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        match self {
            Items::Slices(slices) => slices.iter().for_each(|s| put_bytes(out, s)),
            Items::Encoded { bytes, .. } => out.extend_from_slice(bytes),
        }
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, BadEffect> {
        let count = reader.varint()? as usize;
        let start = reader.rest();
        for _ in 0..count {
            reader.bytes()?;
        }
        Ok(Items::Encoded { count, bytes: &start[..start.len() - reader.rest().len()] })
    }
}

/// Numbers or ids: as the handler has them, or as they stand in a record.
macro_rules! run_of {
    ($name:ident, $item:ty, $doc:literal, $put:expr, $read:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub enum $name<'a> {
            /// Borrowed from the handler.
            Slice(&'a [$item]),
            /// As encoded, checked when it was decoded.
            Encoded {
                /// How many.
                count: usize,
                /// Their encoding.
                bytes: &'a [u8],
            },
        }

        impl<'a> $name<'a> {
            /// How many there are.
            pub fn len(&self) -> usize {
                match self {
                    Self::Slice(slice) => slice.len(),
                    Self::Encoded { count, .. } => *count,
                }
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The items in order.
            pub fn iter(&self) -> impl Iterator<Item = $item> + use<'a> {
                let (slice, mut reader): (&'a [$item], Reader<'a>) = match *self {
                    Self::Slice(slice) => (slice, Reader::new(&[])),
                    Self::Encoded { bytes, .. } => (&[], Reader::new(bytes)),
                };
                slice.iter().copied().chain(std::iter::from_fn(move || $read(&mut reader).ok()))
            }

            fn put(&self, out: &mut Vec<u8>) {
                put_varint(out, self.len() as u64);
                self.iter().for_each(|item| $put(out, item));
            }

            fn read(reader: &mut Reader<'a>) -> Result<Self, BadEffect> {
                let count = reader.varint()? as usize;
                let start = reader.rest();
                for _ in 0..count {
                    $read(reader)?;
                }
                Ok(Self::Encoded { count, bytes: &start[..start.len() - reader.rest().len()] })
            }
        }
    };
}

run_of!(
    Scores,
    (f64, &'a [u8]),
    "Members with their scores.",
    |out: &mut Vec<u8>, (score, member): (f64, &[u8])| {
        put_f64(out, score);
        put_bytes(out, member);
    },
    |reader: &mut Reader<'a>| -> Result<(f64, &'a [u8]), BadEffect> { Ok((reader.f64()?, reader.bytes()?)) }
);
run_of!(
    Indexes,
    u64,
    "Positions in a list, ascending, as they were before the effect.",
    put_varint,
    |reader: &mut Reader<'a>| reader.varint()
);
run_of!(
    StreamIds,
    StreamId,
    "Ids of stream entries.",
    |out: &mut Vec<u8>, id: StreamId| {
        put_varint(out, id.ms);
        put_varint(out, id.seq);
    },
    |reader: &mut Reader<'a>| reader.stream_id()
);

/// A field of an effect: how it is written and read.
trait Part<'a>: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'a>, hash_key: &HashKey) -> Result<Self, BadEffect>;
}

macro_rules! part {
    ($lt:lifetime, $type:ty, |$self:ident, $out:ident| $put:expr, |$reader:ident, $key:ident| $read:expr) => {
        impl<$lt> Part<$lt> for $type {
            fn put(&$self, $out: &mut Vec<u8>) {
                $put;
            }
            fn read($reader: &mut Reader<$lt>, $key: &HashKey) -> Result<Self, BadEffect> {
                $read
            }
        }
    };
}

part!('a, Key<'a>, |self, out| put_bytes(out, self.bytes), |reader, key| Ok(Key::new(key, reader.bytes()?)));
part!('a, &'a [u8], |self, out| put_bytes(out, self), |reader, _key| reader.bytes());
part!('a, u64, |self, out| put_varint(out, *self), |reader, _key| reader.varint());
part!('a, u32, |self, out| put_varint(out, u64::from(*self)), |reader, _key| {
    u32::try_from(reader.varint()?).map_err(|_| BadEffect::Number)
});
part!('a, i64, |self, out| put_varint(out, zigzag(*self)), |reader, _key| Ok(unzigzag(reader.varint()?)));
part!('a, Items<'a>, |self, out| Items::put(self, out), |reader, _key| Items::read(reader));
part!('a, Scores<'a>, |self, out| Scores::put(self, out), |reader, _key| Scores::read(reader));
part!('a, Indexes<'a>, |self, out| Indexes::put(self, out), |reader, _key| Indexes::read(reader));
part!('a, StreamIds<'a>, |self, out| StreamIds::put(self, out), |reader, _key| StreamIds::read(reader));
part!('a, StreamId, |self, out| { put_varint(out, self.ms); put_varint(out, self.seq) }, |reader, _key| reader.stream_id());
part!('a, Expire, |self, out| match self {
    Expire::Keep => put_varint(out, 0),
    Expire::Never => put_varint(out, 1),
    Expire::At(at_ms) => put_varint(out, at_ms.saturating_add(2)),
}, |reader, _key| Ok(match reader.varint()? {
    0 => Expire::Keep,
    1 => Expire::Never,
    at_ms => Expire::At(at_ms - 2),
}));
part!('a, Cause, |self, out| put_varint(out, *self as u64), |reader, _key| match reader.varint()? {
    0 => Ok(Cause::Command),
    1 => Ok(Cause::Expired),
    2 => Ok(Cause::Evicted),
    _ => Err(BadEffect::Number),
});
part!('a, End, |self, out| put_varint(out, *self as u64), |reader, _key| match reader.varint()? {
    0 => Ok(End::Left),
    1 => Ok(End::Right),
    _ => Err(BadEffect::Number),
});

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Declares the effects once: the enum, its kinds, and both directions of the codec.
macro_rules! effects {
    ($( $(#[$doc:meta])* $id:literal $name:ident { $( $(#[$fdoc:meta])* $field:ident: $type:ty ),* $(,)? } )*) => {
        /// One resolved change. Key scope unless said otherwise.
        #[derive(Clone, Copy, Debug)]
        #[expect(missing_docs, reason = "an effect's sentence names its fields")]
        pub enum Effect<'a> {
            $( $(#[$doc])* $name { $( $(#[$fdoc])* $field: $type ),* }, )*
        }

        /// Every kind with its frozen id.
        pub const KINDS: &[(u8, &str)] = &[$( ($id, stringify!($name)) ),*];

        impl<'a> Effect<'a> {
            /// The frozen id.
            pub fn kind(&self) -> u8 {
                match self { $( Effect::$name { .. } => $id, )* }
            }

            /// Appends the effect's bytes, `db` included.
            pub fn encode(&self, db: u32, out: &mut Vec<u8>) {
                out.push(self.kind());
                put_varint(out, u64::from(db));
                match self { $( Effect::$name { $($field),* } => { $( Part::put($field, out); )* } )* }
            }

            /// Reads one effect and its db from the front of `reader`.
            pub fn decode(reader: &mut Reader<'a>, hash_key: &HashKey) -> Result<(u32, Self), BadEffect> {
                let kind = reader.u8()?;
                let db = <u32 as Part>::read(reader, hash_key)?;
                let effect = match kind {
                    $( $id => Effect::$name { $( $field: Part::read(reader, hash_key)? ),* }, )*
                    unknown => return Err(BadEffect::UnknownKind(unknown)),
                };
                Ok((db, effect))
            }
        }
    };
}

effects! {
    /// Sets a string, whatever the key held.
    1 StringSet { key: Key<'a>, value: &'a [u8], expire: Expire }
    /// Adds to the end of a string; creates it.
    2 StringAppend { key: Key<'a>, value: &'a [u8] }
    /// Overwrites part of a string, zero-padded up to the offset; creates it.
    3 StringSetRange { key: Key<'a>, offset: u64, value: &'a [u8] }
    /// Removes a key.
    4 Delete { key: Key<'a>, cause: Cause }
    /// Sets or clears the expiry of an existing key.
    5 Expiry { key: Key<'a>, expire: Expire }
    /// Moves a value with its expiry to another key of the db, replacing it.
    6 Rename { key: Key<'a>, to: Key<'a> }
    /// A whole value, encoded as in a DUMP payload without its footer; replaces the key.
    7 Restore { key: Key<'a>, payload: &'a [u8], expire: Expire, access: u32 }
    /// Sets fields of a hash; creates it.
    10 HashSet { key: Key<'a>, pairs: Items<'a> }
    /// Removes fields of a hash.
    11 HashDelete { key: Key<'a>, fields: Items<'a> }
    /// Adds members to a set; creates it.
    20 SetAdd { key: Key<'a>, members: Items<'a> }
    /// Removes members of a set.
    21 SetRemove { key: Key<'a>, members: Items<'a> }
    /// Pushes elements one after the other at an end; creates the list.
    30 ListPush { key: Key<'a>, end: End, values: Items<'a> }
    /// Removes elements from an end.
    31 ListPop { key: Key<'a>, end: End, count: u64 }
    /// Replaces one element.
    32 ListSet { key: Key<'a>, index: u64, value: &'a [u8] }
    /// Inserts before the element that is at `index`.
    33 ListInsert { key: Key<'a>, index: u64, value: &'a [u8] }
    /// Removes the elements at some positions.
    34 ListRemove { key: Key<'a>, indexes: Indexes<'a> }
    /// Keeps `len` elements from `start` on.
    35 ListTrim { key: Key<'a>, start: u64, len: u64 }
    /// Adds members or changes their scores; creates the sorted set.
    40 ZsetAdd { key: Key<'a>, scores: Scores<'a> }
    /// Removes members of a sorted set.
    41 ZsetRemove { key: Key<'a>, members: Items<'a> }
    /// Adds an entry at the end of a stream; creates it.
    50 StreamAdd { key: Key<'a>, id: StreamId, pairs: Items<'a> }
    /// Removes entries of a stream.
    51 StreamDelete { key: Key<'a>, ids: StreamIds<'a> }
    /// Removes the first `count` entries.
    52 StreamTrim { key: Key<'a>, count: u64 }
    /// Sets a stream's counters; creates it empty.
    53 StreamSetId { key: Key<'a>, last: StreamId, added: u64, max_deleted: StreamId }
    /// Creates a group or sets its position; `read` is -1 where unknown.
    54 StreamGroup { key: Key<'a>, group: &'a [u8], last: StreamId, read: i64 }
    /// Removes a group.
    55 StreamGroupDestroy { key: Key<'a>, group: &'a [u8] }
    /// Creates a consumer or notes when it was seen and active (0: never).
    56 StreamConsumer { key: Key<'a>, group: &'a [u8], consumer: &'a [u8], seen_ms: u64, active_ms: u64 }
    /// Removes a consumer with what it has pending.
    57 StreamConsumerDelete { key: Key<'a>, group: &'a [u8], consumer: &'a [u8] }
    /// Makes entries pending for a consumer, taking them from whoever had them.
    58 StreamPending {
        key: Key<'a>, group: &'a [u8], consumer: &'a [u8], ids: StreamIds<'a>, delivered_ms: u64, deliveries: u64
    }
    /// Acknowledges entries, or drops them because they are gone.
    59 StreamAck { key: Key<'a>, group: &'a [u8], ids: StreamIds<'a> }
    /// Db scope: removes all keys.
    70 FlushDb {}
    /// Node scope: removes all keys of all dbs.
    71 FlushAll {}
    /// Node scope: exchanges two dbs; `db` is the first.
    72 SwapDb { other: u32 }
    /// Node scope: the seed of the table's hash, the first effect of a journal.
    80 HashSeed { high: u64, low: u64 }
    /// Node scope: something opaque to the keyspace, for its owner: functions, users, classes.
    81 Note { owner: u32, bytes: &'a [u8] }
}

impl<'a> Effect<'a> {
    /// The keys it touches: none for db and node scope, two for a rename.
    pub fn keys(&self) -> [Option<Key<'a>>; 2] {
        match *self {
            Effect::Rename { key, to } => [Some(key), Some(to)],
            Effect::FlushDb {}
            | Effect::FlushAll {}
            | Effect::SwapDb { .. }
            | Effect::HashSeed { .. }
            | Effect::Note { .. } => [None, None],
            Effect::StringSet { key, .. }
            | Effect::StringAppend { key, .. }
            | Effect::StringSetRange { key, .. }
            | Effect::Delete { key, .. }
            | Effect::Expiry { key, .. }
            | Effect::Restore { key, .. }
            | Effect::HashSet { key, .. }
            | Effect::HashDelete { key, .. }
            | Effect::SetAdd { key, .. }
            | Effect::SetRemove { key, .. }
            | Effect::ListPush { key, .. }
            | Effect::ListPop { key, .. }
            | Effect::ListSet { key, .. }
            | Effect::ListInsert { key, .. }
            | Effect::ListRemove { key, .. }
            | Effect::ListTrim { key, .. }
            | Effect::ZsetAdd { key, .. }
            | Effect::ZsetRemove { key, .. }
            | Effect::StreamAdd { key, .. }
            | Effect::StreamDelete { key, .. }
            | Effect::StreamTrim { key, .. }
            | Effect::StreamSetId { key, .. }
            | Effect::StreamGroup { key, .. }
            | Effect::StreamGroupDestroy { key, .. }
            | Effect::StreamConsumer { key, .. }
            | Effect::StreamConsumerDelete { key, .. }
            | Effect::StreamPending { key, .. }
            | Effect::StreamAck { key, .. } => [Some(key), None],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(effect: Effect<'_>, expected: &[u8]) {
        let mut bytes = Vec::new();
        effect.encode(3, &mut bytes);
        assert_eq!(bytes, expected, "{effect:?}");
        let mut reader = Reader::new(&bytes);
        let (db, back) = Effect::decode(&mut reader, &HashKey(1, 2)).expect("what was written is readable");
        assert!(db == 3 && reader.rest().is_empty());
        let mut again = Vec::new();
        back.encode(3, &mut again);
        assert_eq!(again, bytes);
        for cut in 0..bytes.len() {
            assert!(Effect::decode(&mut Reader::new(&bytes[..cut]), &HashKey(1, 2)).is_err());
        }
    }

    /// A journal written today must be readable for ever: these bytes may be added to, never changed.
    #[test]
    fn bytes_are_frozen() {
        let key = Key { bytes: b"k", hash: HashKey(1, 2).hash(b"k") };
        check(
            Effect::StringSet { key, value: b"v", expire: Expire::At(300) },
            &[1, 3, 1, b'k', 1, b'v', 0xae, 2],
        );
        check(Effect::Delete { key, cause: Cause::Expired }, &[4, 3, 1, b'k', 1]);
        check(
            Effect::HashSet { key, pairs: Items::Slices(&[b"f", b"v"]) },
            &[10, 3, 1, b'k', 2, 1, b'f', 1, b'v'],
        );
        check(
            Effect::ZsetAdd { key, scores: Scores::Slice(&[(1.0, b"m")]) },
            &[40, 3, 1, b'k', 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 1, b'm'],
        );
        check(
            Effect::StreamAck { key, group: b"g", ids: StreamIds::Slice(&[StreamId { ms: 5, seq: 1 }]) },
            &[59, 3, 1, b'k', 1, b'g', 1, 5, 1],
        );
        check(
            Effect::StreamGroup { key, group: b"g", last: StreamId { ms: 1, seq: 0 }, read: -1 },
            &[54, 3, 1, b'k', 1, b'g', 1, 0, 1],
        );
        check(Effect::SwapDb { other: 5 }, &[72, 3, 5]);
        let ids: Vec<u8> = KINDS.iter().map(|k| k.0).collect();
        let frozen = [
            1, 2, 3, 4, 5, 6, 7, 10, 11, 20, 21, 30, 31, 32, 33, 34, 35, 40, 41, 50, 51, 52, 53, 54, 55, 56,
            57, 58, 59, 70, 71, 72, 80, 81,
        ];
        assert_eq!(ids, frozen);
    }
}
