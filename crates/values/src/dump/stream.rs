//! Streams as payloads, there and back.
//!
//! ```text
//! nodes: (id of 16 bytes as a string, listpack) ...
//! length | last id | first id, greatest deleted id, entries ever added       the latter from type 19 on
//! groups: name | last id | entries read | pending ... | consumers ...        entries read from type 19 on
//! pending:  id of 16 bytes | delivered at, u64 ms | deliveries
//! consumer: name | seen at, u64 ms | active at, u64 ms (type 21) | ids of 16 bytes ...
//! ```

use std::collections::BTreeMap;

use super::encode::{Encoder, put_len};
use super::portions::StreamPart;
use super::source::Source;
use super::{BadPayload, kind};
use crate::Stream;
use crate::stream::StreamId;

/// What one of these takes at least.
const NODE_BYTES_MIN: usize = 2;
const GROUP_BYTES_MIN: usize = 5;
const PENDING_BYTES_MIN: usize = 25;
const CONSUMER_BYTES_MIN: usize = 10;
const RAW_ID_BYTES: usize = 16;

impl Encoder<'_> {
    pub(super) fn stream(&mut self, stream: &Stream) {
        self.out.push(if self.exact { kind::STREAM_LISTPACKS_3 } else { kind::STREAM_LISTPACKS_2 });
        put_len(self.out, stream.node_count() as u64);
        let mut part = Some(StreamPart::Node { node: 0 });
        while let Some(it) = part {
            part = self.stream_part(stream, it, usize::MAX);
        }
    }

    /// Appends a part, or as much of it as brings the output to `end`; gives what comes next, nothing after the last.
    pub(super) fn stream_part(
        &mut self,
        stream: &Stream,
        part: StreamPart,
        end: usize,
    ) -> Option<StreamPart> {
        match part {
            StreamPart::Node { mut node } => {
                for (id, pack) in stream.nodes_from(node) {
                    self.string(&raw_id(id));
                    self.string(pack.as_bytes());
                    node += 1;
                    if self.out.len() >= end {
                        return Some(StreamPart::Node { node });
                    }
                }
                Some(StreamPart::Counters)
            }
            StreamPart::Counters => {
                put_len(self.out, stream.len() as u64);
                put_id(self.out, stream.last_id());
                put_id(self.out, stream.first_id());
                put_id(self.out, stream.max_deleted());
                put_len(self.out, stream.added());
                put_len(self.out, stream.group_count() as u64);
                Some(StreamPart::Group { group: 0 })
            }
            of_group => self.group_part(stream, of_group, end),
        }
    }

    fn group_part(&mut self, stream: &Stream, part: StreamPart, end: usize) -> Option<StreamPart> {
        match part {
            StreamPart::Node { .. } | StreamPart::Counters => unreachable!("not a group's part"),
            StreamPart::Group { group } => {
                let it = stream.groups_from(group).next()?;
                self.string(it.name());
                put_id(self.out, it.last());
                put_len(self.out, it.read() as u64);
                put_len(self.out, it.pending_len() as u64);
                Some(StreamPart::Pending { group, from: StreamId::MIN })
            }
            StreamPart::Pending { group, from } => {
                let it = stream.groups_from(group).next()?;
                for pending in it.pending_from(from) {
                    if self.out.len() >= end {
                        return Some(StreamPart::Pending { group, from: pending.id });
                    }
                    self.out.extend_from_slice(&raw_id(pending.id));
                    self.out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
                    put_len(self.out, pending.deliveries);
                }
                Some(StreamPart::Consumers { group })
            }
            StreamPart::Consumers { group } => {
                let it = stream.groups_from(group).next()?;
                put_len(self.out, it.consumer_count() as u64);
                Some(StreamPart::Consumer { group, consumer: 0 })
            }
            StreamPart::Consumer { group, consumer } => {
                let Some(it) = stream.groups_from(group).next()?.consumers_from(consumer).next() else {
                    return Some(StreamPart::Group { group: group + 1 });
                };
                self.string(it.name());
                self.out.extend_from_slice(&it.seen_ms().to_le_bytes());
                if self.exact {
                    // Redis writes -1 for never.
                    let active_ms = if it.active_ms() == 0 { -1 } else { it.active_ms() as i64 };
                    self.out.extend_from_slice(&active_ms.to_le_bytes());
                }
                put_len(self.out, it.pending_len() as u64);
                Some(StreamPart::ConsumerPending { group, consumer, from: StreamId::MIN })
            }
            StreamPart::ConsumerPending { group, consumer, from } => {
                let it = stream.groups_from(group).next()?.consumers_from(consumer).next()?;
                for id in it.pending_from(from) {
                    if self.out.len() >= end {
                        return Some(StreamPart::ConsumerPending { group, consumer, from: id });
                    }
                    self.out.extend_from_slice(&raw_id(id));
                }
                Some(StreamPart::Consumer { group, consumer: consumer + 1 })
            }
        }
    }
}

fn raw_id(id: StreamId) -> [u8; RAW_ID_BYTES] {
    let mut raw = [0; RAW_ID_BYTES];
    raw[..8].copy_from_slice(&id.ms.to_be_bytes());
    raw[8..].copy_from_slice(&id.seq.to_be_bytes());
    raw
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_len(out, id.ms);
    put_len(out, id.seq);
}

impl Source<'_> {
    pub(super) fn stream(&mut self, number: u8) -> Result<Stream, BadPayload> {
        let mut stream = Stream::default();
        for _ in 0..self.count(NODE_BYTES_MIN)? {
            let id = self.string()?;
            if id.len() != RAW_ID_BYTES {
                return Err(BadPayload::Length);
            }
            let id = Source::new(&id).raw_id()?;
            stream.push_node(id, self.listpack()?).map_err(BadPayload::StreamNode)?;
        }
        let len = self.len()?;
        let last = self.id()?;
        let (max_deleted, added) = if number == kind::STREAM_LISTPACKS {
            (StreamId::MIN, len)
        } else {
            // The first id follows from the entries.
            self.id()?;
            (self.id()?, self.len()?)
        };
        if len != stream.len() as u64 || stream.last().is_some_and(|entry| entry.id > last) {
            return Err(BadPayload::StreamCounts);
        }
        stream.set_counters(last, added, max_deleted);
        for _ in 0..self.count(GROUP_BYTES_MIN)? {
            self.group(number, &mut stream)?;
        }
        Ok(stream)
    }

    fn group(&mut self, number: u8, stream: &mut Stream) -> Result<(), BadPayload> {
        let name = self.string()?;
        let last = self.id()?;
        let read = if number == kind::STREAM_LISTPACKS {
            stream.distance(last).map_or(-1, |read| read as i64)
        } else {
            self.len()? as i64
        };
        if stream.group(&name).is_some() {
            return Err(BadPayload::DuplicateGroup);
        }
        stream.set_group(&name, last, read);
        let mut pending = BTreeMap::new();
        for _ in 0..self.count(PENDING_BYTES_MIN)? {
            let id = self.raw_id()?;
            let delivered_ms = u64::from_le_bytes(self.array()?);
            if pending.insert(id, (delivered_ms, self.len()?)).is_some() {
                return Err(BadPayload::Pending);
            }
        }
        for _ in 0..self.count(CONSUMER_BYTES_MIN)? {
            self.consumer(number, stream, &name, &mut pending)?;
        }
        if pending.is_empty() { Ok(()) } else { Err(BadPayload::Pending) }
    }

    /// A consumer; what it has pending leaves `pending`, the delivery time and the number of deliveries by id.
    fn consumer(
        &mut self,
        number: u8,
        stream: &mut Stream,
        group: &[u8],
        pending: &mut BTreeMap<StreamId, (u64, u64)>,
    ) -> Result<(), BadPayload> {
        let name = self.string()?;
        let seen_ms = u64::from_le_bytes(self.array()?);
        let active_ms = match number {
            // Redis writes -1 for never.
            kind::STREAM_LISTPACKS_3 => i64::from_le_bytes(self.array()?).max(0) as u64,
            _ => seen_ms,
        };
        if stream.group(group).is_some_and(|it| it.consumer(&name).is_some()) {
            return Err(BadPayload::DuplicateGroup);
        }
        stream.set_consumer(group, &name, seen_ms, active_ms);
        for _ in 0..self.count(RAW_ID_BYTES)? {
            // Every entry that a consumer has is one that the group has, and nobody else's.
            let id = self.raw_id()?;
            let (delivered_ms, deliveries) = pending.remove(&id).ok_or(BadPayload::Pending)?;
            stream.set_pending(group, &name, id, delivered_ms, deliveries);
        }
        Ok(())
    }
}
