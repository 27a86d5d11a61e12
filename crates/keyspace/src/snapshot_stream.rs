//! A large stream's way into a snapshot: the effects that make it again, a part at a time.

use sessile_values::Stream;
use sessile_values::stream::{Entry, Group, StreamId};

use crate::codec::put_bytes;
use crate::effect::{Effect, Items, Key, StreamIds};

/// What an id takes in an effect, at most.
const ID_BYTES_MAX: usize = 20;

/// What comes next: entries, then the counters, then group after group with its consumers and what they have pending.
#[derive(Clone, Copy)]
pub(crate) enum Next {
    /// The first entry at or after an id.
    Entry(StreamId),
    /// The group of this number.
    Group(usize),
    /// A consumer of a group, by their numbers.
    Consumer(usize, usize),
    /// The first pending entry of a group at or after an id.
    Pending(usize, StreamId),
}

/// Where effects go, and how long it may become before a part ends.
pub(crate) struct Out<'a> {
    pub(crate) db: u32,
    pub(crate) key: Key<'a>,
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) end: usize,
}

impl Next {
    pub(crate) const START: Self = Self::Entry(StreamId::MIN);

    /// Appends effects until a part is full; false after the last.
    pub(crate) fn encode_part(&mut self, stream: &Stream, out: &mut Out<'_>) -> bool {
        loop {
            let (next, stopped) = match *self {
                Self::Entry(from) => out.entries(stream, from),
                Self::Group(number) => match stream.groups_from(number).next() {
                    Some(group) => out.group(number, group),
                    None => return false,
                },
                Self::Consumer(number, from) => out.consumers(number, &group_of(stream, number), from),
                Self::Pending(number, from) => out.pending(number, &group_of(stream, number), from),
            };
            *self = next;
            let is_done = matches!(next, Self::Group(number) if number == stream.group_count());
            if is_done || stopped || out.is_full() {
                return !is_done;
            }
        }
    }
}

fn group_of(stream: &Stream, number: usize) -> Group {
    stream.groups_from(number).next().expect("a shared stream does not change").clone()
}

/// Each gives what comes next, and whether it stopped because the part is full.
impl Out<'_> {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.end
    }

    fn put(&mut self, effect: &Effect<'_>) {
        effect.encode(self.db, self.bytes);
    }

    fn entries(&mut self, stream: &Stream, from: StreamId) -> (Next, bool) {
        for entry in stream.range(from, StreamId::MAX) {
            if self.is_full() {
                return (Next::Entry(entry.id), true);
            }
            self.entry(&entry);
        }
        let (last, added, max_deleted) = (stream.last_id(), stream.added(), stream.max_deleted());
        self.put(&Effect::StreamSetId { key: self.key, last, added, max_deleted });
        (Next::Group(0), false)
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let mut bytes = Vec::new();
        let mut count = 0;
        for (field, value) in entry.fields() {
            put_bytes(&mut bytes, &field.to_vec());
            put_bytes(&mut bytes, &value.to_vec());
            count += 2;
        }
        let pairs = Items::Encoded { count, bytes: &bytes };
        self.put(&Effect::StreamAdd { key: self.key, id: entry.id, pairs });
    }

    fn group(&mut self, number: usize, group: &Group) -> (Next, bool) {
        let (last, read) = (group.last(), group.read());
        self.put(&Effect::StreamGroup { key: self.key, group: group.name(), last, read });
        (Next::Consumer(number, 0), false)
    }

    fn consumers(&mut self, number: usize, group: &Group, from: usize) -> (Next, bool) {
        for (at, consumer) in (from..).zip(group.consumers_from(from)) {
            if self.is_full() {
                return (Next::Consumer(number, at), true);
            }
            self.put(&Effect::StreamConsumer {
                key: self.key,
                group: group.name(),
                consumer: consumer.name(),
                seen_ms: consumer.seen_ms(),
                active_ms: consumer.active_ms(),
            });
        }
        (Next::Pending(number, StreamId::MIN), false)
    }

    /// Entries of one delivery are one effect: XREADGROUP gives a consumer many at a time.
    fn pending(&mut self, number: usize, group: &Group, from: StreamId) -> (Next, bool) {
        let mut all = group.pending_from(from).peekable();
        let mut ids = Vec::new();
        while let Some(first) = all.next() {
            if self.is_full() {
                return (Next::Pending(number, first.id), true);
            }
            let same = |it: &&sessile_values::stream::Pending| {
                let delivery = (it.delivered_ms, it.deliveries);
                it.consumer == first.consumer && delivery == (first.delivered_ms, first.deliveries)
            };
            ids.clear();
            ids.push(first.id);
            while self.bytes.len() + ids.len() * ID_BYTES_MAX < self.end
                && let Some(another) = all.next_if(same)
            {
                ids.push(another.id);
            }
            self.put(&Effect::StreamPending {
                key: self.key,
                group: group.name(),
                consumer: &first.consumer,
                ids: StreamIds::Slice(&ids),
                delivered_ms: first.delivered_ms,
                deliveries: first.deliveries,
            });
        }
        (Next::Group(number + 1), false)
    }
}
