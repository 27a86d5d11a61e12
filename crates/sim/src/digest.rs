//! A digest of what clients can tell apart: two keyspaces with the same digest hold the same data.
//!
//! It walks values through their public interface and knows no encoding, so a value that came back from a snapshot in
//! a more compact form is still the same value.

use sessile_keyspace::{Content, Entry, Keyspace};
use sessile_values::stream::StreamId;
use sessile_values::{Stream, Value};

use crate::dice::mix;

/// Sums up byte strings and numbers in order.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    fn number(&mut self, n: u64) {
        self.0 = mix(self.0 ^ n).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            let n = u64::from_le_bytes(*chunk);
            self.0 = (self.0 ^ n).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
    }

    fn id(&mut self, id: StreamId) {
        self.number(id.ms);
        self.number(id.seq);
    }

    /// Not 0, which stands for an absent key.
    fn end(self) -> u64 {
        mix(self.0).max(1)
    }
}

/// The digest of one value with its expiry; never 0. Access bits and encodings do not count.
#[must_use]
pub fn of_entry(entry: &Entry) -> u64 {
    let mut sum = Sum(entry.expire_ms().unwrap_or(0));
    match entry.content() {
        Content::Short(text) => sum.bytes(text),
        Content::Value(Value::Text(text)) => sum.bytes(&text.to_vec()),
        Content::Value(Value::List(list)) => {
            sum.number(1);
            list.each_from(0, |item| {
                sum.bytes(item);
                true
            });
        }
        Content::Value(Value::Set(set)) => {
            let mut all = 2;
            set.each(|member| all ^= of_parts(&[member]));
            sum.number(all);
        }
        Content::Value(Value::Hash(hash)) => {
            let mut all = 3;
            hash.each(|field, value| all ^= of_parts(&[field, value]));
            sum.number(all);
        }
        Content::Value(Value::Zset(zset)) => {
            sum.number(4);
            zset.each(|score, member| {
                // Adding zero makes one of the two zeros, which compare equal.
                sum.number((score + 0.0).to_bits());
                sum.bytes(member);
            });
        }
        Content::Value(Value::Stream(stream)) => add_stream(&mut sum, stream),
    }
    sum.end()
}

/// The digest of a whole keyspace; order does not count.
#[must_use]
pub fn of_keyspace(keyspace: &Keyspace) -> u64 {
    let mut all = 0;
    for db in 0..keyspace.db_count() as u32 {
        if keyspace.db(db).is_empty() {
            continue;
        }
        for entry in keyspace.db(db).table().iter() {
            all ^= of_place(db, entry.key(), of_entry(entry));
        }
    }
    all
}

/// What an entry adds to the digest of its keyspace.
#[must_use]
pub fn of_place(db: u32, key: &[u8], digest: u64) -> u64 {
    let mut sum = Sum(digest);
    sum.number(u64::from(db));
    sum.bytes(key);
    sum.end()
}

/// The digest of byte strings in order.
#[must_use]
pub fn of_parts(parts: &[&[u8]]) -> u64 {
    let mut sum = Sum(7);
    parts.iter().for_each(|part| sum.bytes(part));
    sum.end()
}

fn add_stream(sum: &mut Sum, stream: &Stream) {
    sum.number(5);
    sum.id(stream.last_id());
    sum.id(stream.max_deleted());
    sum.number(stream.added());
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        sum.id(entry.id);
        for (field, value) in entry.fields() {
            sum.bytes(&field.to_vec());
            sum.bytes(&value.to_vec());
        }
    }
    for group in stream.groups() {
        sum.bytes(group.name());
        sum.id(group.last());
        sum.number(group.read() as u64);
        for pending in group.pending_from(StreamId::MIN) {
            sum.id(pending.id);
            sum.bytes(&pending.consumer);
            sum.number(pending.delivered_ms);
            sum.number(pending.deliveries);
        }
        for consumer in group.consumers() {
            sum.bytes(consumer.name());
            sum.number(consumer.seen_ms());
            sum.number(consumer.active_ms());
        }
    }
}
