//! Consumer groups: what was delivered to whom and is not yet acknowledged.

use std::cmp::Ordering;
use std::rc::Rc;

use super::StreamId;
use crate::bytes::Bytes;
use crate::size::allocated;
use crate::tree::{Item, Tree};

/// A group with its name, as it stands in a stream; copying it copies two words.
#[derive(Clone)]
pub struct Group {
    name: Bytes,
    state: Rc<State>,
}

/// A consumer with its name; copying it copies two words.
#[derive(Clone)]
pub struct Consumer {
    name: Bytes,
    state: Rc<ConsumerState>,
}

/// An entry that was delivered and is not yet acknowledged.
#[derive(Clone)]
pub struct Pending {
    /// The entry.
    pub id: StreamId,
    /// Who has it.
    pub consumer: Bytes,
    /// When it was delivered last, in milliseconds since the epoch.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

#[derive(Clone, Default)]
struct State {
    last: StreamId,
    read: i64,
    pending: Tree<Pending>,
    consumers: Tree<Consumer>,
}

#[derive(Clone, Default)]
struct ConsumerState {
    seen_ms: u64,
    active_ms: u64,
    pending: Tree<StreamId>,
}

/// Frees something in bounded steps; false once nothing is left.
pub(super) type Free = Box<dyn FnMut(usize) -> bool>;

macro_rules! by_name {
    ($type:ident, $state:ident) => {
        impl Item for $type {
            type Key<'a> = &'a [u8];
            type Sep = Bytes;

            fn key(&self) -> &[u8] {
                &self.name
            }

            fn sep(&self) -> Bytes {
                self.name.clone()
            }

            fn compare(&self, key: &[u8]) -> Ordering {
                (*self.name).cmp(key)
            }

            fn compare_sep(sep: &Bytes, key: &[u8]) -> Ordering {
                (**sep).cmp(key)
            }

            fn heap_bytes(&self) -> usize {
                self.name.heap_bytes()
                    + allocated(2 * size_of::<usize>() + size_of::<$state>())
                    + self.state.heap_bytes()
            }
        }
    };
}

by_name!(Group, State);
by_name!(Consumer, ConsumerState);

macro_rules! by_id {
    ($type:ident, |$item:ident| $id:expr) => {
        impl Item for $type {
            type Key<'a> = StreamId;
            type Sep = StreamId;

            fn key(&self) -> StreamId {
                let $item = self;
                $id
            }

            fn sep(&self) -> StreamId {
                self.key()
            }

            fn compare(&self, key: StreamId) -> Ordering {
                self.key().cmp(&key)
            }

            fn compare_sep(sep: &StreamId, key: StreamId) -> Ordering {
                sep.cmp(&key)
            }

            fn heap_bytes(&self) -> usize {
                // A pending entry shares the consumer's name.
                0
            }
        }
    };
}

by_id!(Pending, |item| item.id);
by_id!(StreamId, |item| *item);

impl State {
    fn heap_bytes(&self) -> usize {
        self.pending.heap_bytes() + self.consumers.heap_bytes()
    }
}

impl ConsumerState {
    fn heap_bytes(&self) -> usize {
        self.pending.heap_bytes()
    }
}

/// Reading.
impl Group {
    /// The group's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The last id that was delivered.
    pub fn last(&self) -> StreamId {
        self.state.last
    }

    /// How many of the stream's entries were ever read, deleted ones included; -1 where unknown.
    pub fn read(&self) -> i64 {
        self.state.read
    }

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.state.pending.len()
    }

    /// The pending entry with this id.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.state.pending.get(id)
    }

    /// Pending entries from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = &Pending> {
        self.state.pending.iter_from(self.state.pending.rank(start))
    }

    /// The last pending entry.
    pub fn last_pending(&self) -> Option<&Pending> {
        self.state.pending.last()
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.state.consumers.len()
    }

    /// Consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.state.consumers.iter()
    }

    /// As [`consumers`](Self::consumers), from the consumer of this number on.
    pub fn consumers_from(&self, number: usize) -> impl Iterator<Item = &Consumer> {
        self.state.consumers.iter_from(number)
    }

    /// The consumer with this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.state.consumers.get(name)
    }
}

/// Changing.
impl Group {
    pub(super) fn new(name: &[u8], last: StreamId, read: i64) -> Self {
        Self { name: Bytes::new(name), state: Rc::new(State { last, read, ..State::default() }) }
    }

    pub(super) fn set_position(&mut self, last: StreamId, read: i64) {
        let state = Rc::make_mut(&mut self.state);
        (state.last, state.read) = (last, read);
    }

    pub(super) fn set_consumer(&mut self, name: &[u8], seen_ms: u64, active_ms: u64) {
        let consumers = &mut Rc::make_mut(&mut self.state).consumers;
        let state = || ConsumerState { seen_ms, active_ms, ..ConsumerState::default() };
        match consumers.find(name) {
            Err(path) => {
                consumers.insert_at(path, Consumer { name: Bytes::new(name), state: Rc::new(state()) });
            }
            Ok(path) => consumers.update_at(path, |consumer| {
                let state = Rc::make_mut(&mut consumer.state);
                (state.seen_ms, state.active_ms) = (seen_ms, active_ms);
            }),
        }
    }

    pub(super) fn delete_consumer(&mut self, name: &[u8]) -> usize {
        let state = Rc::make_mut(&mut self.state);
        let Some(consumer) = state.consumers.remove(name) else { return 0 };
        for &id in consumer.state.pending.iter() {
            state.pending.remove(id);
        }
        consumer.pending_len()
    }

    pub(super) fn set_pending(&mut self, name: &[u8], id: StreamId, delivered_ms: u64, deliveries: u64) {
        if self.consumer(name).is_none() {
            self.set_consumer(name, delivered_ms, 0);
        }
        let state = Rc::make_mut(&mut self.state);
        let consumer = state.consumers.get(name).expect("made above if absent").name.clone();
        match state.pending.find(id) {
            Err(path) => state.pending.insert_at(path, Pending { id, consumer, delivered_ms, deliveries }),
            Ok(path) => {
                let old = state.pending.update_at(path, |pending| {
                    (pending.delivered_ms, pending.deliveries) = (delivered_ms, deliveries);
                    std::mem::replace(&mut pending.consumer, consumer)
                });
                if *old == *name {
                    return;
                }
                state.edit_consumer(&old, |it| it.pending.remove(id));
            }
        }
        state.edit_consumer(name, |it| it.pending.insert(id));
    }

    pub(super) fn acknowledge(&mut self, id: StreamId) -> bool {
        if self.pending(id).is_none() {
            return false;
        }
        let state = Rc::make_mut(&mut self.state);
        let pending = state.pending.remove(id).expect("looked up above");
        state.edit_consumer(&pending.consumer, |it| it.pending.remove(id));
        true
    }

    /// What must be freed once the group's place in the stream is gone, last part first.
    pub(super) fn dismantle(&self) -> Vec<Free> {
        let mut parts: Vec<Free> =
            self.consumers().map(|consumer| free(consumer.state.pending.clone())).collect();
        parts.extend([free(self.state.consumers.clone()), free(self.state.pending.clone())]);
        parts
    }
}

impl State {
    fn edit_consumer<R>(&mut self, name: &[u8], edit: impl FnOnce(&mut ConsumerState) -> R) {
        if let Ok(path) = self.consumers.find(name) {
            self.consumers.update_at(path, |consumer| edit(Rc::make_mut(&mut consumer.state)));
        }
    }
}

impl Consumer {
    /// The consumer's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it last tried to read or claim, in milliseconds since the epoch.
    pub fn seen_ms(&self) -> u64 {
        self.state.seen_ms
    }

    /// When it last got an entry, in milliseconds since the epoch; 0 for never.
    pub fn active_ms(&self) -> u64 {
        self.state.active_ms
    }

    /// Number of entries pending with it.
    pub fn pending_len(&self) -> usize {
        self.state.pending.len()
    }

    /// Ids of the entries pending with it, from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.state.pending.iter_from(self.state.pending.rank(start)).copied()
    }
}

/// A tree, to be freed a few nodes at a time.
pub(super) fn free<T: Item + 'static>(tree: Tree<T>) -> Free {
    let mut parts = tree.dismantle();
    Box::new(move |nodes| parts.free(nodes))
}
