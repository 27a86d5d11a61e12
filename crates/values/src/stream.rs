//! Streams: a log of entries under rising ids, in a tree of Redis' own listpacks, and the groups that read it.
//!
//! A node keeps what its first entry's fields were called, so that entries alike hold only values. Deleting marks an
//! entry; a node goes when its last live entry does. The tree's weight is the number of live entries, so a stream
//! knows its length and finds its n-th entry without counting.

mod group;
mod id;
mod node;

pub use group::{Consumer, Group, Pending};
pub use id::StreamId;
pub use node::{BadNode, Entry, Fields};

use crate::listpack::Listpack;
use crate::size::allocated;
use crate::tree::Tree;
use crate::value::Limits;
use group::{Free, free};
use node::Node;

/// A log of entries, and the groups that read it.
#[derive(Clone, Default)]
pub struct Stream {
    nodes: Tree<Node>,
    first: StreamId,
    last: StreamId,
    max_deleted: StreamId,
    added: u64,
    groups: Tree<Group>,
}

/// Which entries a trim removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All but the last so many.
    Last(usize),
    /// All below this id.
    From(StreamId),
}

/// Reading.
impl Stream {
    /// Number of live entries.
    pub fn len(&self) -> usize {
        self.nodes.weight()
    }

    /// Whether there is no live entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last id that was ever added (or set).
    pub fn last_id(&self) -> StreamId {
        self.last
    }

    /// The first live entry's id; `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first
    }

    /// The greatest id that was ever deleted by name; `0-0` if none was.
    pub fn max_deleted(&self) -> StreamId {
        self.max_deleted
    }

    /// How many entries were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The live entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The first live entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last live entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_back(StreamId::MIN, StreamId::MAX).next()
    }

    /// Live entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let nodes = self.nodes.iter_from(self.node_of(start)).flat_map(Node::entries);
        nodes.skip_while(move |entry| entry.id < start).take_while(move |entry| entry.id <= end)
    }

    /// Live entries from `end` down to `start`, both included.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let nodes = self.nodes.iter_back(self.node_of(end)).flat_map(Node::entries_back);
        nodes.skip_while(move |entry| entry.id > end).take_while(move |entry| entry.id >= start)
    }

    /// Number of the node that has `id`, if any has.
    fn node_of(&self, id: StreamId) -> usize {
        match self.nodes.find(id) {
            Ok(path) => self.nodes.index_of(path),
            Err(path) => self.nodes.index_of(path).saturating_sub(1),
        }
    }

    /// How many entries a trim has to remove. `approximate`: only whole nodes, and not more than `limit` entries
    /// (0: any number).
    pub fn count_to_trim(&self, keep: Keep, approximate: bool, limit: usize) -> usize {
        if let (Keep::Last(len), false) = (keep, approximate) {
            return self.len().saturating_sub(len);
        }
        let mut count = 0;
        for node in self.nodes.iter() {
            let whole = match keep {
                Keep::Last(len) => self.len() - count >= len.saturating_add(node.live()),
                Keep::From(id) => node.last_id() < id,
            };
            let over = matches!(keep, Keep::Last(len) if self.len() - count <= len);
            if over || limit > 0 && count + node.live() > limit {
                break;
            }
            if !whole {
                return match keep {
                    Keep::From(id) if !approximate => {
                        count + node.entries().take_while(|e| e.id < id).count()
                    }
                    _ => count,
                };
            }
            count += node.live();
        }
        count
    }

    /// Number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Groups in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// As [`groups`](Self::groups), from the group of this number on.
    pub fn groups_from(&self, number: usize) -> impl Iterator<Item = &Group> {
        self.groups.iter_from(number)
    }

    /// The group with this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes as they stand in a DUMP payload.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &Listpack)> {
        self.nodes_from(0)
    }

    /// The nodes as they stand in a DUMP payload, id and listpack, from the one with this index on.
    pub fn nodes_from(&self, index: usize) -> impl Iterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter_from(index).map(|node| (node.id, node.pack()))
    }

    /// Memory behind the stream, its own box included.
    pub fn heap_bytes(&self) -> usize {
        allocated(size_of::<Self>()) + self.nodes.heap_bytes() + self.groups.heap_bytes()
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Free> {
        if self.nodes.len() <= 1 && self.groups.is_empty() {
            return None;
        }
        let mut parts: Vec<Free> = self.groups().flat_map(Group::dismantle).collect();
        // The last part is freed first: what holds the others must go before them.
        parts.extend([free(self.nodes), free(self.groups)]);
        Some(Box::new(move |nodes| {
            while let Some(part) = parts.last_mut() {
                if part(nodes) {
                    return true;
                }
                parts.pop();
            }
            false
        }))
    }
}

/// Counting what groups have read.
impl Stream {
    /// How many entries had been added when `id` was, if that can still be known.
    pub fn distance(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last || self.is_empty() && id < self.last {
            return Some(self.added);
        }
        if id > self.last || self.max_deleted != StreamId::MIN && self.max_deleted >= self.first {
            return None;
        }
        let before = self.added.wrapping_sub(self.len() as u64);
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Whether an entry at or after `start` and behind the first was deleted, as far as is known.
    pub fn has_deleted_from(&self, start: StreamId) -> bool {
        !self.is_empty() && self.max_deleted >= self.first && self.max_deleted >= start
    }

    /// How many entries a group has yet to read, if that can be known.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        if group.read() != -1 && !self.has_deleted_from(group.last()) {
            return Some((self.added as i64).wrapping_sub(group.read()));
        }
        self.distance(group.last()).map(|read| self.added.wrapping_sub(read) as i64)
    }
}

/// Changing.
impl Stream {
    /// Adds an entry at the end; `items` are `pair_count` names and values, alternating. False, and nothing
    /// done, if `id` is not above the last.
    pub fn append<'a>(
        &mut self,
        limits: &Limits,
        id: StreamId,
        pair_count: usize,
        items: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        if id <= self.last {
            return false;
        }
        let bytes = items.clone().map(<[u8]>::len).sum();
        if self.nodes.last().is_none_or(|node| !node.has_room(limits, bytes)) {
            let mut node = Node::new(id, items.clone().step_by(2));
            node.push(id, pair_count, items);
            self.nodes.push(node);
        } else {
            let path = self.nodes.path_at(self.nodes.len() - 1);
            self.nodes.update_at(path, |node| node.push(id, pair_count, items));
        }
        self.added = self.added.wrapping_add(1);
        self.last = id;
        if self.len() == 1 {
            self.first = id;
        }
        true
    }

    /// Deletes the entry with this id; false if there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if self.nodes.is_empty() {
            return false;
        }
        let path = self.nodes.path_at(self.node_of(id));
        let Some(live) =
            self.nodes.at(path).filter(|node| node.entries().any(|e| e.id == id)).map(Node::live)
        else {
            return false;
        };
        if live == 1 {
            self.nodes.remove_at(path);
        } else {
            self.nodes.update_at(path, |node| node.delete(id));
        }
        self.max_deleted = self.max_deleted.max(id);
        if id == self.first {
            self.first = self.first().map_or(StreamId::MIN, |entry| entry.id);
        }
        true
    }

    /// Removes the first `count` entries.
    pub fn trim(&mut self, mut count: usize) {
        if count == 0 {
            return;
        }
        while count > 0
            && let Some(live) = self.nodes.first().map(Node::live)
        {
            let path = self.nodes.path_at(0);
            if live <= count {
                self.nodes.remove_at(path);
                count -= live;
            } else {
                self.nodes.update_at(path, |node| node.trim(count));
                count = 0;
            }
        }
        self.first = self.first().map_or(StreamId::MIN, |entry| entry.id);
    }

    /// Sets what XSETID sets.
    pub fn set_counters(&mut self, last: StreamId, added: u64, max_deleted: StreamId) {
        (self.last, self.added, self.max_deleted) = (last, added, max_deleted);
    }

    /// Adds a node of a foreign payload behind all others. A node without live entries is left out.
    pub fn push_node(&mut self, id: StreamId, pack: Listpack) -> Result<(), BadNode> {
        let (node, last) = Node::check(id, self.nodes.last().map(Node::last_id), pack)?;
        if node.live() > 0 {
            self.nodes.push(node);
            self.last = self.last.max(last);
            if self.nodes.len() == 1 {
                self.first = self.first().map_or(StreamId::MIN, |entry| entry.id);
            }
        }
        Ok(())
    }

    /// Creates a group or sets its position; `read` is -1 where unknown.
    pub fn set_group(&mut self, group: &[u8], last: StreamId, read: i64) {
        match self.groups.find(group) {
            Ok(path) => self.groups.update_at(path, |it| it.set_position(last, read)),
            Err(path) => self.groups.insert_at(path, Group::new(group, last, read)),
        }
    }

    /// Removes a group; false if there is none.
    pub fn destroy_group(&mut self, group: &[u8]) -> bool {
        self.groups.remove(group).is_some()
    }

    /// Creates a consumer or sets its times; `active_ms` is 0 for never.
    pub fn set_consumer(&mut self, group: &[u8], consumer: &[u8], seen_ms: u64, active_ms: u64) {
        self.edit_group(group, |it| it.set_consumer(consumer, seen_ms, active_ms));
    }

    /// Removes a consumer with what it has pending; says how many that were.
    pub fn delete_consumer(&mut self, group: &[u8], consumer: &[u8]) -> usize {
        self.edit_group(group, |it| it.delete_consumer(consumer)).unwrap_or(0)
    }

    /// Makes an entry pending for a consumer, taking it from whoever had it.
    pub fn set_pending(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        id: StreamId,
        delivered_ms: u64,
        deliveries: u64,
    ) {
        self.edit_group(group, |it| it.set_pending(consumer, id, delivered_ms, deliveries));
    }

    /// Takes an entry from the pending ones; false if it is not among them.
    pub fn acknowledge(&mut self, group: &[u8], id: StreamId) -> bool {
        self.edit_group(group, |it| it.acknowledge(id)).unwrap_or(false)
    }

    fn edit_group<R>(&mut self, name: &[u8], edit: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let path = self.groups.find(name).ok()?;
        Some(self.groups.update_at(path, edit))
    }
}
