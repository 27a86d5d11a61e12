//! The table of one db: an extendible directory of small hash tables.
//!
//! A hash table that doubles moves every entry at once: hundreds of milliseconds at ten million keys. Here the top
//! bits of the hash choose a segment of at most [`SEGMENT_MAX`] entries; a full segment splits in two, which is the
//! most that one insertion pays. Segments follow each other in hash order, so a position in that order is a cursor
//! for SCAN and for the snapshot, whatever is inserted, removed or split in between.
//!
//! **Invariant**: segment `s` holds exactly the entries whose hash starts with its `prefix` of `depth` bits, and
//! every directory slot that starts so points to it.

use hashbrown::HashTable;
use sessile_values::HashKey;
use sessile_values::size::allocated;

use crate::entry::Entry;

/// Entries in a full segment: seven eighths of 512 places.
pub const SEGMENT_MAX: usize = 448;
/// From so many entries on, a segment splits where it would otherwise only get rid of the traces of removed entries,
/// which would soon be due again.
const NEARLY_FULL: usize = SEGMENT_MAX / 4 * 3;
/// Deepest directory: 2^22 slots, a billion keys in full segments. Beyond it segments grow instead.
const DEPTH_MAX: u32 = 22;

/// How many bits of a hash a position drops, so that cursors stay below 2^53.
pub const POSITION_SHIFT: u32 = 11;

/// The position in hash order at which a hash stands.
pub fn position(hash: u64) -> u64 {
    hash >> POSITION_SHIFT
}

/// All entries of one db.
pub struct Table {
    key: HashKey,
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment>,
    len: usize,
    /// Memory of the segments' places, kept so that nobody has to add it up.
    place_bytes: usize,
    /// Memory of directory and segment list, kept likewise: every write asks for the sum over all dbs.
    list_bytes: usize,
}

struct Segment {
    entries: HashTable<Entry>,
    prefix: u64,
    depth: u32,
    /// No entry here expires before this time; may be too early, never too late.
    expires_from_ms: u64,
}

impl Segment {
    /// Memory of its places: hashbrown keeps a power of two of them, a word and a control byte each.
    fn place_bytes(&self) -> usize {
        match self.entries.num_buckets() {
            0 | 1 => 0,
            places => allocated(places * 9 + 16),
        }
    }

    /// Whether one more entry is to split it.
    fn is_full(&self) -> bool {
        let len = self.entries.len();
        let has_place = len < self.entries.capacity();
        len >= SEGMENT_MAX || !has_place && len >= NEARLY_FULL && self.entries.num_buckets() > SEGMENT_MAX
    }

    /// Has the processor fetch every entry's key, before all of them are hashed: waiting for one after the other would be
    /// most of the time that it takes to move a segment's entries.
    fn prefetch_keys(&self) {
        self.entries.iter().for_each(Entry::prefetch_key);
    }

    /// Makes sure of a place for one more entry.
    fn make_room(&mut self, key: &HashKey) {
        let len = self.entries.len();
        if len < self.entries.capacity() {
            return;
        }
        self.prefetch_keys();
        if self.entries.num_buckets() > SEGMENT_MAX && len < NEARLY_FULL {
            // Removed entries leave traces that take places. hashbrown would double a table that is more than half full.
            let old = std::mem::replace(&mut self.entries, HashTable::with_capacity(SEGMENT_MAX));
            for entry in old {
                self.entries.insert_unique(inner(key.hash(entry.key())), entry, |e| inner(key.hash(e.key())));
            }
        } else {
            self.entries.reserve(1, |e| inner(key.hash(e.key())));
        }
    }

    fn new(prefix: u64, depth: u32) -> Self {
        Self { entries: HashTable::new(), prefix, depth, expires_from_ms: u64::MAX }
    }
}

/// The segment's own table would see the directory's bits again as its tag; it gets others first.
fn inner(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl Table {
    /// An empty table.
    pub fn new(key: HashKey) -> Self {
        let (directory, segments) = (vec![0], vec![Segment::new(0, 0)]);
        let mut table = Self { key, directory, depth: 0, segments, len: 0, place_bytes: 0, list_bytes: 0 };
        table.list_bytes = table.count_lists();
        table
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory of directory and segments; entries count themselves.
    pub fn heap_bytes(&self) -> usize {
        self.place_bytes + self.list_bytes
    }

    fn count_lists(&self) -> usize {
        allocated(self.directory.capacity() * 4) + allocated(self.segments.capacity() * size_of::<Segment>())
    }

    fn slot(&self, hash: u64) -> usize {
        // A shift by 64 would be undefined; a directory of depth 0 has one slot.
        if self.depth == 0 { 0 } else { (hash >> (64 - self.depth)) as usize }
    }

    fn segment(&self, hash: u64) -> &Segment {
        &self.segments[self.directory[self.slot(hash)] as usize]
    }

    fn segment_mut(&mut self, hash: u64) -> &mut Segment {
        let index = self.directory[self.slot(hash)] as usize;
        &mut self.segments[index]
    }

    /// The entry with this key, whose hash is `hash`.
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.segment(hash).entries.find(inner(hash), |e| e.key() == key)
    }

    /// Has the processor fetch what are probably the entries with these hashes, and what their values point to. It goes
    /// in steps, so that it waits for all of them at once and not for one after the other.
    pub fn prefetch(&self, hashes: &[u64]) {
        const AT_ONCE: usize = 16;
        for hashes in hashes.chunks(AT_ONCE) {
            let mut entries = [None; AT_ONCE];
            for (place, &hash) in entries.iter_mut().zip(hashes) {
                *place = self.segment(hash).entries.find(inner(hash), |_| true);
                place.inspect(|entry| entry.prefetch());
            }
            for entry in entries.into_iter().flatten() {
                entry.value().inspect(|value| value.prefetch());
            }
        }
    }

    /// The entry for changing.
    pub fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.segment_mut(hash).entries.find_mut(inner(hash), |e| e.key() == key)
    }

    /// Adds an entry whose key is not in the table.
    pub fn insert(&mut self, hash: u64, entry: Entry) -> &mut Entry {
        debug_assert!(self.get(hash, entry.key()).is_none(), "keys are unique");
        while self.segment(hash).is_full() && self.segment(hash).depth < DEPTH_MAX {
            self.split(hash);
        }
        self.len += 1;
        let key = self.key;
        let index = self.directory[self.slot(hash)] as usize;
        let segment = &mut self.segments[index];
        if let Some(at_ms) = entry.expire_ms() {
            segment.expires_from_ms = segment.expires_from_ms.min(at_ms);
        }
        if segment.entries.len() == segment.entries.capacity() {
            self.place_bytes -= segment.place_bytes();
            segment.make_room(&key);
            self.place_bytes += segment.place_bytes();
        }
        segment.entries.insert_unique(inner(hash), entry, |e| inner(key.hash(e.key()))).into_mut()
    }

    /// Removes an entry.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let hash_key = self.key;
        let index = self.directory[self.slot(hash)] as usize;
        let segment = &mut self.segments[index];
        let found = segment.entries.find_entry(inner(hash), |e| e.key() == key).ok()?;
        let (entry, _) = found.remove();
        // Give memory back once a segment is mostly empty; the wide gap keeps it from flapping.
        if segment.entries.num_buckets() > 64 && segment.entries.len() * 8 < segment.entries.num_buckets() {
            self.place_bytes -= segment.place_bytes();
            segment.prefetch_keys();
            segment.entries.shrink_to(segment.entries.len() * 2, |e| inner(hash_key.hash(e.key())));
            self.place_bytes += segment.place_bytes();
        }
        self.len -= 1;
        Some(entry)
    }

    /// Tells the table that the entry with this hash now expires at `at_ms`.
    pub fn note_expire(&mut self, hash: u64, at_ms: u64) {
        let segment = self.segment_mut(hash);
        segment.expires_from_ms = segment.expires_from_ms.min(at_ms);
    }

    fn split(&mut self, hash: u64) {
        let index = self.directory[self.slot(hash)];
        let (depth, prefix) = (self.segments[index as usize].depth, self.segments[index as usize].prefix);
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&s| [s, s]).collect();
            self.depth += 1;
        }
        let new = self.segments.len() as u32;
        let mut right = Segment::new(prefix << 1 | 1, depth + 1);
        let left = &mut self.segments[index as usize];
        self.place_bytes -= left.place_bytes();
        left.prefetch_keys();
        (left.prefix, left.depth) = (prefix << 1, depth + 1);
        right.expires_from_ms = left.expires_from_ms;
        let bit = 63 - depth;
        let key = self.key;
        // Both halves are made anew: an entry that leaves a table leaves a trace that takes a place.
        let half = || HashTable::with_capacity(SEGMENT_MAX / 2);
        right.entries = half();
        for entry in std::mem::replace(&mut left.entries, half()) {
            let hash = key.hash(entry.key());
            let side = if hash >> bit & 1 == 1 { &mut right.entries } else { &mut left.entries };
            side.insert_unique(inner(hash), entry, |e| inner(key.hash(e.key())));
        }
        self.place_bytes += left.place_bytes() + right.place_bytes();
        let span = 1usize << (self.depth - depth - 1);
        let first = (right.prefix as usize) * span;
        self.directory[first..first + span].fill(new);
        self.segments.push(right);
        self.list_bytes = self.count_lists();
    }

    /// The entries of the segment that covers `position`, and the first position behind it; `None` at the end.
    pub fn segment_at(&self, position: u64) -> (impl Iterator<Item = &Entry>, Option<u64>) {
        let segment = self.segment(position << POSITION_SHIFT);
        (segment.entries.iter(), self.end_of(segment))
    }

    fn end_of(&self, segment: &Segment) -> Option<u64> {
        let next = segment.prefix + 1;
        if segment.depth == 0 || next >> segment.depth != 0 {
            return None;
        }
        Some(next << (64 - segment.depth - POSITION_SHIFT))
    }

    /// One turn of SCAN: calls `f` for entries from position `cursor` on, in hash order, about `count` of them but
    /// whole positions only; returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&Entry)) -> u64 {
        if cursor >> (64 - POSITION_SHIFT) != 0 {
            return 0;
        }
        let mut cursor = cursor;
        let mut given = 0;
        let mut here: Vec<(u64, &Entry)> = Vec::new();
        loop {
            let (entries, next) = self.segment_at(cursor);
            here.clear();
            here.extend(
                entries.map(|e| (position(self.key.hash(e.key())), e)).filter(|(at, _)| *at >= cursor),
            );
            here.sort_unstable_by_key(|(at, _)| *at);
            let mut last = None;
            for &(at, entry) in &here {
                if given >= count && last != Some(at) {
                    return at;
                }
                f(entry);
                given += 1;
                last = Some(at);
            }
            match next {
                None => return 0,
                Some(next) if given >= count => return next,
                Some(next) => cursor = next,
            }
        }
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|s| s.entries.iter())
    }

    /// A random entry that `wanted` admits, looking from a random place on. Near-uniform: segments differ in size by
    /// at most a factor of two or so. `random` yields independent 64-bit numbers. `expiring`: only entries that expire are
    /// wanted, so that segments without any are passed over.
    pub fn sample<'a>(
        &'a self,
        random: &mut dyn FnMut() -> u64,
        expiring: bool,
        mut wanted: impl FnMut(&Entry) -> bool,
    ) -> Option<&'a Entry> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..64 {
            let segment = self.segment(random());
            if segment.entries.is_empty() || expiring && segment.expires_from_ms == u64::MAX {
                continue;
            }
            let skip = (random() % segment.entries.len() as u64) as usize;
            if let Some(entry) = segment.entries.iter().nth(skip).filter(|e| wanted(e)) {
                return Some(entry);
            }
        }
        // Few entries in many emptied segments, or few that are wanted: take the next in order.
        let mut at = position(random());
        for _ in 0..=self.segments.len() {
            let segment = self.segment(at << POSITION_SHIFT);
            if !(expiring && segment.expires_from_ms == u64::MAX)
                && let Some(entry) = segment.entries.iter().find(|e| wanted(e))
            {
                return Some(entry);
            }
            at = self.end_of(segment).unwrap_or(0);
        }
        None
    }

    /// One step of active expiry: looks at the segment that covers `cursor` if something in it may be due, calls
    /// `due` for each entry that is, and returns the next cursor with the number of entries looked at.
    pub fn expire_step(
        &mut self,
        cursor: u64,
        now_ms: u64,
        mut due: impl FnMut(&Entry),
    ) -> (Option<u64>, usize) {
        let index = self.directory[self.slot(cursor << POSITION_SHIFT)] as usize;
        let next = self.end_of(&self.segments[index]);
        let segment = &mut self.segments[index];
        if segment.expires_from_ms > now_ms {
            return (next, 0);
        }
        let mut from_ms = u64::MAX;
        for entry in &segment.entries {
            match entry.expire_ms() {
                // What is due leaves through its own effect; until then it keeps the segment marked.
                Some(at_ms) if at_ms <= now_ms => {
                    from_ms = from_ms.min(at_ms);
                    due(entry);
                }
                Some(at_ms) => from_ms = from_ms.min(at_ms),
                None => {}
            }
        }
        segment.expires_from_ms = from_ms;
        (next, segment.entries.len())
    }

    /// Takes up to `count` entries out, from any place; for freeing a flushed table bit by bit.
    pub fn drain_some(&mut self, count: usize) -> Vec<Entry> {
        let mut out = Vec::new();
        while out.len() < count {
            let Some(segment) = self.segments.last_mut() else { break };
            let before = out.len();
            out.extend(segment.entries.extract_if(|_| true).take(count - before));
            if segment.entries.is_empty() {
                self.segments.pop();
            }
        }
        self.len -= out.len();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    const KEY: HashKey = HashKey(1, 2);

    fn name(i: u64) -> Vec<u8> {
        format!("key:{i}").into_bytes()
    }

    #[test]
    fn equals_a_map_and_scans_whole_while_it_changes() {
        let mut table = Table::new(KEY);
        let mut model = BTreeMap::new();
        for i in 0..20_000u64 {
            let key = name(i);
            table.insert(KEY.hash(&key), Entry::short(&key, &i.to_le_bytes()));
            model.insert(key, i);
            if i % 3 == 0 {
                let gone = name(i / 2);
                assert_eq!(table.remove(KEY.hash(&gone), &gone).is_some(), model.remove(&gone).is_some());
            }
        }
        assert_eq!(table.len(), model.len());
        assert_eq!(table.place_bytes, table.segments.iter().map(Segment::place_bytes).sum::<usize>());
        assert!(model.keys().all(|k| table.get(KEY.hash(k), k).is_some()));
        assert!(table.segments.iter().all(|s| s.entries.len() <= SEGMENT_MAX));

        let stable: HashSet<Vec<u8>> = model.keys().cloned().collect();
        let mut seen = HashSet::new();
        let mut twice = 0;
        let mut cursor = 0;
        let mut next = 1_000_000;
        loop {
            cursor = table.scan(cursor, 10, |e| twice += usize::from(!seen.insert(e.key().to_vec())));
            if cursor == 0 {
                break;
            }
            for _ in 0..20 {
                let key = name(next);
                table.insert(KEY.hash(&key), Entry::short(&key, b""));
                next += 1;
            }
        }
        assert!(stable.is_subset(&seen), "SCAN gives every key that stays");
        assert_eq!(twice, 0, "and none twice");
    }

    /// Places a key, however many there are and however long keys have come and gone; 9 bytes each.
    #[test]
    fn keeps_few_places_a_key() {
        let mut table = Table::new(KEY);
        let check = |table: &Table| {
            let places: usize = table.segments.iter().map(|s| s.entries.num_buckets()).sum();
            assert!(places * 10 < table.len() * 23, "{places} places for {} keys", table.len());
            assert_eq!(table.place_bytes, table.segments.iter().map(Segment::place_bytes).sum::<usize>());
        };
        let add = |table: &mut Table, i| {
            let key = name(i);
            table.insert(KEY.hash(&key), Entry::short(&key, b""));
        };
        for count in [30_000, 40_000, 50_000, 60_000] {
            (table.len() as u64..count).for_each(|i| add(&mut table, i));
            check(&table);
        }
        for i in 0..400_000 {
            let key = name(i);
            assert!(table.remove(KEY.hash(&key), &key).is_some());
            add(&mut table, i + 60_000);
            if i % 50_000 == 0 {
                check(&table);
            }
        }
    }

    #[test]
    fn finds_what_is_due_and_skips_the_rest() {
        let mut table = Table::new(KEY);
        for i in 0..5_000u64 {
            let key = name(i);
            let mut entry = Entry::short(&key, b"");
            entry.set_expire(Some(1000 + i));
            table.insert(KEY.hash(&key), entry);
        }
        let mut pass = |now_ms| {
            let (mut due, mut looked, mut cursor) = (0, 0, 0);
            loop {
                let (next, seen) = table.expire_step(cursor, now_ms, |_| due += 1);
                looked += seen;
                match next {
                    Some(at) => cursor = at,
                    None => return (due, looked),
                }
            }
        };
        assert_eq!(pass(999), (0, 0));
        assert_eq!(pass(1000).0, 1);
        assert_eq!(pass(2000).0, 1001);
    }

    #[test]
    fn an_insertion_moves_at_most_one_segment() {
        let mut table = Table::new(KEY);
        for i in 0..100_000u64 {
            let before = table.segments.len();
            let key = name(i);
            table.insert(KEY.hash(&key), Entry::short(&key, b""));
            assert!(table.segments.len() - before <= 3);
        }
    }
}
