//! One node of a stream: a listpack of entries, byte for byte as Redis has it.
//!
//! ```text
//! master entry: live · deleted · fields · name ... · 0
//! entry:        flags · ms and seq, less those of the node's id · [fields] · [name] value ... · elements before this
//! ```
//!
//! An entry with the master entry's names has flag 2 and only values. A deleted entry keeps its place and has flag 1.
//! The last element of an entry is how one walks backwards.

use std::cmp::Ordering;
use std::rc::Rc;

use super::StreamId;
use crate::listpack::{self, Listpack, Pos};
use crate::size::allocated;
use crate::tree::Item;
use crate::value::Limits;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Flags and the two parts of the id.
const FIXED: usize = 3;
/// A node never grows beyond this, whatever the limits say.
const NODE_BYTES_MAX: usize = 1 << 30;

/// A run of entries whose ids follow the node's id.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) id: StreamId,
    live: usize,
    pack: Rc<Listpack>,
}

/// Why a listpack is no node of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNode {
    /// The master entry or an entry is malformed.
    Entry,
    /// The counts in the master entry are wrong.
    Count,
    /// Ids do not rise.
    Order,
}

impl std::fmt::Display for BadNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Entry => "stream: an entry is malformed",
            Self::Count => "stream: a node's counts are wrong",
            Self::Order => "stream: ids do not rise",
        })
    }
}

impl std::error::Error for BadNode {}

/// One entry, borrowed from its stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    pack: &'a Listpack,
    count: usize,
    /// Where names start; `values` has its own place if the names are the master entry's.
    names: Pos,
    values: Option<Pos>,
}

/// Names and values of an entry, in order.
pub struct Fields<'a> {
    names: listpack::Iter<'a>,
    values: Option<listpack::Iter<'a>>,
    left: usize,
}

impl Item for Node {
    type Key<'a> = StreamId;
    type Sep = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }

    fn sep(&self) -> StreamId {
        self.id
    }

    fn compare(&self, key: StreamId) -> Ordering {
        self.id.cmp(&key)
    }

    fn compare_sep(sep: &StreamId, key: StreamId) -> Ordering {
        sep.cmp(&key)
    }

    fn weight(&self) -> usize {
        self.live
    }

    fn heap_bytes(&self) -> usize {
        allocated(2 * size_of::<usize>() + size_of::<Listpack>()) + self.pack.heap_bytes()
    }
}

impl<'a> Entry<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no field; only foreign payloads hold such entries.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values.
    pub fn fields(&self) -> Fields<'a> {
        let pack = self.pack;
        Fields {
            names: pack.iter_from(self.names),
            values: self.values.map(|p| pack.iter_from(p)),
            left: self.count,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (listpack::Item<'a>, listpack::Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.names.next()?;
        let value = match &mut self.values {
            Some(values) => values.next()?,
            None => self.names.next()?,
        };
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl Node {
    /// A node whose first entry is about to be added.
    pub(super) fn new<'a>(id: StreamId, names: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut pack = Listpack::new();
        pack.push_back_int(0);
        pack.push_back_int(0);
        pack.push_back_int(names.clone().count() as i64);
        names.for_each(|name| pack.push_back(name));
        pack.push_back_int(0);
        Self { id, live: 0, pack: Rc::new(pack) }
    }

    /// Takes a foreign listpack after checking it; ids must rise from `after` on. Gives the node and its last id,
    /// deleted entries included.
    pub(super) fn check(
        id: StreamId,
        after: Option<StreamId>,
        pack: Listpack,
    ) -> Result<(Self, StreamId), BadNode> {
        let mut items = pack.iter();
        let mut number = || items.next().and_then(|item| item.as_i64()).ok_or(BadNode::Entry);
        let (live, deleted, names) = (number()?, number()?, number()?);
        let (live, deleted) = (count_of(live)?, count_of(deleted)?);
        let names = count_of(names)?;
        skip(&mut items, names)?;
        if items.next().and_then(|item| item.as_i64()) != Some(0) {
            return Err(BadNode::Entry);
        }
        let (mut last, mut seen, mut seen_deleted) = (after, 0, 0);
        while let Some(flags) = items.next() {
            let flags = flags.as_i64().ok_or(BadNode::Entry)?;
            let mut number = || items.next().and_then(|item| item.as_i64()).ok_or(BadNode::Entry);
            let own = id_at(id, number()?, number()?);
            let (elements, extra) = if flags & SAME_FIELDS != 0 {
                (names, 0)
            } else {
                (count_of(number()?)?.checked_mul(2).ok_or(BadNode::Entry)?, 1)
            };
            skip(&mut items, elements)?;
            let before = items.next().and_then(|item| item.as_i64()).ok_or(BadNode::Entry)?;
            if before != (elements + FIXED + extra) as i64 {
                return Err(BadNode::Entry);
            }
            if own < id || last.is_some_and(|last| own <= last) {
                return Err(BadNode::Order);
            }
            last = Some(own);
            seen += 1;
            seen_deleted += usize::from(flags & DELETED != 0);
        }
        if seen_deleted != deleted || live.checked_add(deleted) != Some(seen) {
            return Err(BadNode::Count);
        }
        let last = last.ok_or(BadNode::Count)?;
        Ok((Self { id, live, pack: Rc::new(pack) }, last))
    }

    /// Number of live entries.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The listpack as Redis has it.
    pub(super) fn pack(&self) -> &Listpack {
        &self.pack
    }

    /// Whether `bytes` more of fields and values still belong here.
    pub(super) fn has_room(&self, limits: &Limits, bytes: usize) -> bool {
        let bytes_max = match limits.stream_node_bytes {
            0 => NODE_BYTES_MAX,
            max => max.min(NODE_BYTES_MAX),
        };
        if self.pack.byte_len() + bytes >= bytes_max {
            return false;
        }
        limits.stream_node_entries == 0 || self.live + self.header(1) < limits.stream_node_entries
    }

    /// Adds an entry behind all others. `items` are names and values, alternating.
    pub(super) fn push<'a>(
        &mut self,
        id: StreamId,
        pairs: usize,
        items: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        let names = self.names();
        let same = self.header(2) == pairs
            && self.pack.iter_from(names).zip(items.clone().step_by(2)).all(|(own, name)| own.eq_bytes(name));
        let pack = Rc::make_mut(&mut self.pack);
        pack.push_back_int(if same { SAME_FIELDS } else { 0 });
        pack.push_back_int(id.ms.wrapping_sub(self.id.ms) as i64);
        pack.push_back_int(id.seq.wrapping_sub(self.id.seq) as i64);
        if same {
            items.skip(1).step_by(2).for_each(|value| pack.push_back(value));
            pack.push_back_int((FIXED + pairs) as i64);
        } else {
            pack.push_back_int(pairs as i64);
            items.for_each(|item| pack.push_back(item));
            pack.push_back_int((FIXED + 1 + 2 * pairs) as i64);
        }
        self.live += 1;
        let live = self.live;
        set_header(pack, 0, live);
    }

    /// Marks the entry as deleted; false if there is no such live entry.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let found = self.walk().find(|(_, entry)| entry.id >= id);
        let Some((flags_at, entry)) = found else { return false };
        if entry.id != id {
            return false;
        }
        self.mark(&[flags_at]);
        true
    }

    /// Marks the first `count` live entries as deleted.
    pub(super) fn trim(&mut self, count: usize) {
        let marks: Vec<Pos> = self.walk().take(count).map(|(flags_at, _)| flags_at).collect();
        self.mark(&marks);
    }

    fn mark(&mut self, flags_at: &[Pos]) {
        let deleted = self.header(1) + flags_at.len();
        self.live -= flags_at.len();
        let live = self.live;
        let pack = Rc::make_mut(&mut self.pack);
        for &at in flags_at {
            // Flags take one byte before and after, so that the other positions stay good.
            let flags = integer(pack, at);
            pack.replace_int(at, flags | DELETED);
        }
        set_header(pack, 0, live);
        set_header(pack, 1, deleted);
    }

    /// The last id, of a deleted entry too.
    pub(super) fn last_id(&self) -> StreamId {
        self.walk_back(true).next().map_or(self.id, |entry| entry.id)
    }

    /// Live entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        self.walk().map(|(_, entry)| entry)
    }

    /// Live entries in falling order.
    pub(super) fn entries_back(&self) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        self.walk_back(false)
    }

    /// Live entries in order, each with the place of its flags.
    fn walk(&self) -> impl Iterator<Item = (Pos, Entry<'_>)> + use<'_> {
        let names = self.names();
        let count = self.header(2);
        // Behind the names stands the master entry's terminator.
        let mut next = forth(&self.pack, names, count + 1);
        std::iter::from_fn(move || {
            loop {
                let at = next?;
                let (flags, entry) = self.read(at, names, count);
                let first = entry.values.unwrap_or(entry.names);
                let elements = if entry.values.is_some() { entry.count } else { 2 * entry.count };
                next = forth(&self.pack, first, elements + 1);
                if flags & DELETED == 0 {
                    return Some((at, entry));
                }
            }
        })
    }

    fn walk_back(&self, with_deleted: bool) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        let names = self.names();
        let count = self.header(2);
        let mut last = self.pack.last();
        std::iter::from_fn(move || {
            loop {
                let at = last?;
                let before = integer(&self.pack, at);
                if before == 0 {
                    // This is the master entry's terminator.
                    return None;
                }
                let flags_at = back(&self.pack, at, before as usize)?;
                last = self.pack.prev(flags_at);
                let (flags, entry) = self.read(flags_at, names, count);
                if with_deleted || flags & DELETED == 0 {
                    return Some(entry);
                }
            }
        })
    }

    fn read(&self, at: Pos, names: Pos, master_count: usize) -> (i64, Entry<'_>) {
        let pack = &*self.pack;
        let mut items = pack.iter_from(at);
        let mut number =
            || items.next().and_then(|item| item.as_i64()).expect("a node is checked when it comes in");
        let (flags, ms, seq) = (number(), number(), number());
        let id = id_at(self.id, ms, seq);
        let entry = if flags & SAME_FIELDS != 0 {
            let values = forth(pack, at, FIXED);
            Entry { id, pack, count: master_count, names, values }
        } else {
            let count = number() as usize;
            let names = forth(pack, at, FIXED + 1).expect("an entry ends with its length");
            Entry { id, pack, count, names, values: None }
        };
        (flags, entry)
    }

    /// A number of the master entry: live, deleted, fields.
    fn header(&self, index: usize) -> usize {
        integer(&self.pack, element(&self.pack, index)) as usize
    }

    /// Where the master entry's names start.
    fn names(&self) -> Pos {
        element(&self.pack, 3)
    }
}

fn id_at(base: StreamId, ms: i64, seq: i64) -> StreamId {
    StreamId { ms: base.ms.wrapping_add(ms as u64), seq: base.seq.wrapping_add(seq as u64) }
}

/// An element of the master entry. (A listpack that does not know its length finds others slowly.)
fn element(pack: &Listpack, index: usize) -> Pos {
    pack.first().and_then(|first| forth(pack, first, index)).expect("a node has a master entry")
}

fn integer(pack: &Listpack, at: Pos) -> i64 {
    pack.at(at).as_i64().expect("a node is checked when it comes in")
}

fn set_header(pack: &mut Listpack, index: usize, value: usize) {
    pack.replace_int(element(pack, index), value as i64);
}

fn forth(pack: &Listpack, from: Pos, steps: usize) -> Option<Pos> {
    (0..steps).try_fold(from, |at, _| pack.next(at))
}

fn back(pack: &Listpack, from: Pos, steps: usize) -> Option<Pos> {
    (0..steps).try_fold(from, |at, _| pack.prev(at))
}

fn count_of(number: i64) -> Result<usize, BadNode> {
    usize::try_from(number).map_err(|_| BadNode::Entry)
}

fn skip(items: &mut listpack::Iter<'_>, count: usize) -> Result<(), BadNode> {
    match count.checked_sub(1) {
        None => Ok(()),
        Some(last) => items.nth(last).map(|_| ()).ok_or(BadNode::Entry),
    }
}
