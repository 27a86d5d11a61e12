//! The snapshot's cursor: a point-in-time copy of all entries, made a little at a time beside the writers.
//!
//! A cursor walks the tables that existed at the start, in hash order. A write to an entry that is not yet saved
//! saves the old value first. An entry's epoch says that this snapshot has it or does not want it: it is stamped at
//! birth, when saved and when passed. So a split, a rename, SWAPDB, FLUSHALL or a key deleted and made again neither
//! skip nor repeat a key, and keys born later stay out. Saving a large value clones its root; its nodes are encoded
//! in later turns.
//!
//! What comes out is a run of transactions like the journal's: one effect for a small value, several of bounded
//! size for a large one. Or it is an [export](crate::export).

use std::collections::VecDeque;

use sessile_values::{Value, dump};

use crate::codec::{BadEffect, put_varint};
use crate::effect::{Cause, Effect, End, Expire, Items, Key, Scores};
use crate::entry::{Content, Entry};
use crate::export::{Export, Framing};
use crate::keyspace::{Db, Keyspace};
use crate::snapshot_stream;

/// Bytes that one step of a large value writes, about.
pub(crate) const PART_BYTES: usize = 64 * 1024;
/// Values with a compact form beyond this size are shared and encoded later.
pub(crate) const WHOLE_BYTES: usize = 16 * 1024;
/// What is saved and not yet taken may take this much; a large value that waits to be encoded counts as one part.
/// Writers that would save more have to wait: see [`Snapshot::is_full`].
pub const SAVED_BYTES_MAX: usize = 32 << 20;
/// The byte that ends a transaction in a run.
pub const END_OF_TRANSACTION: u8 = 0;

/// A snapshot in progress.
pub struct Snapshot {
    epoch: u16,
    sources: VecDeque<Source>,
    position: u64,
    out: Vec<u8>,
    sink: Box<dyn Sink>,
    entries_at_start: u64,
    entries: u64,
    looked: u64,
}

/// What saved entries are written as.
pub(crate) trait Sink {
    /// Appends an entry, or keeps a large one (its shared root) for later steps.
    fn save(&mut self, out: &mut Vec<u8>, db: u32, entry: &Entry);

    /// Appends the next part of what is kept; gives the value back after its last part.
    ///
    /// # Panics
    /// If nothing is kept.
    fn step(&mut self, out: &mut Vec<u8>) -> Option<Value>;

    /// Whether something is kept.
    fn has_waiting(&self) -> bool;

    /// What is kept, as [`SAVED_BYTES_MAX`] counts.
    fn waiting_bytes(&self) -> usize;
}

/// Writes transactions of effects, as the journal has them.
#[derive(Default)]
struct Effects {
    large: VecDeque<Large>,
    large_bytes: usize,
}

/// What a value that is kept for later counts.
pub(crate) fn kept_bytes(key: &[u8], value: &Value) -> usize {
    key.len() + value.heap_bytes().min(PART_BYTES)
}

struct Source {
    table_id: u64,
    /// The number that the db had when the snapshot began.
    db: u32,
    /// The db itself, once it was flushed.
    flushed: Option<Db>,
}

/// A large value on its way: its shared tree and how far it is encoded.
struct Large {
    db: u32,
    key: Vec<u8>,
    value: Value,
    expire: Expire,
    begun: bool,
    next: usize,
    /// As `next`, of a stream.
    next_in_stream: snapshot_stream::Next,
}

impl Snapshot {
    fn source(&self, table_id: u64) -> Option<&Source> {
        self.sources.iter().find(|s| s.table_id == table_id)
    }

    /// Whether nothing of this table remains to be saved.
    pub(crate) fn has_passed(&self, table_id: u64) -> bool {
        self.source(table_id).is_none()
    }

    /// Keeps a flushed db until its entries are saved.
    pub(crate) fn keep(&mut self, db: Db) {
        if let Some(source) = self.sources.iter_mut().find(|s| s.table_id == db.table_id) {
            source.flushed = Some(db);
        }
    }

    pub(crate) fn save_before_change(&mut self, table_id: u64, entry: &Entry) {
        if entry.epoch() == self.epoch {
            return;
        }
        if let Some(db) = self.source(table_id).map(|s| s.db) {
            self.save(db, entry);
        }
    }

    fn save(&mut self, db: u32, entry: &Entry) {
        entry.set_epoch(self.epoch);
        self.entries += 1;
        self.sink.save(&mut self.out, db, entry);
    }

    /// Bytes that are encoded and not yet taken.
    pub fn encoded_bytes(&self) -> usize {
        self.out.len()
    }

    /// What is saved and not yet taken, as [`SAVED_BYTES_MAX`] counts.
    pub fn queued_bytes(&self) -> usize {
        self.out.len() + self.sink.waiting_bytes()
    }

    /// Whether nothing more may be changed before a turn: changing what is not yet saved saves it.
    pub fn is_full(&self) -> bool {
        self.queued_bytes() >= SAVED_BYTES_MAX
    }

    /// Entries that its turns have looked at so far, whether they were to be saved or not.
    pub fn looked(&self) -> u64 {
        self.looked
    }

    /// Entries that there were when it began: it has all of them when it is complete.
    pub fn entries_at_start(&self) -> u64 {
        self.entries_at_start
    }

    /// Entries saved so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

impl Sink for Effects {
    fn save(&mut self, out: &mut Vec<u8>, db: u32, entry: &Entry) {
        let expire = entry.expire_ms().map_or(Expire::Never, Expire::At);
        // The hash of a key is not part of an effect's bytes.
        let key = Key { bytes: entry.key(), hash: 0 };
        match entry.content() {
            Content::Short(value) => {
                Effect::StringSet { key, value, expire }.encode(db, out);
                out.push(END_OF_TRANSACTION);
            }
            Content::Value(value) if value.heap_bytes() <= WHOLE_BYTES => {
                encode_whole(out, db, key, value, expire, entry.access());
                out.push(END_OF_TRANSACTION);
            }
            Content::Value(value) => {
                let large = Large {
                    db,
                    key: entry.key().to_vec(),
                    value: value.clone(),
                    expire,
                    begun: false,
                    next: 0,
                    next_in_stream: snapshot_stream::Next::START,
                };
                // The copy's, which is what is taken off again: it may be tighter than the original.
                self.large_bytes += kept_bytes(&large.key, &large.value);
                self.large.push_back(large);
            }
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Option<Value> {
        let more = self.large.front_mut().expect("something waits").encode_part(out);
        if more {
            return None;
        }
        let large = self.large.pop_front()?;
        self.large_bytes -= kept_bytes(&large.key, &large.value);
        Some(large.value)
    }

    fn has_waiting(&self) -> bool {
        !self.large.is_empty()
    }

    fn waiting_bytes(&self) -> usize {
        self.large_bytes
    }
}

/// Appends one effect that holds the whole value.
pub fn encode_whole(out: &mut Vec<u8>, db: u32, key: Key<'_>, value: &Value, expire: Expire, access: u32) {
    let mut payload = Vec::new();
    dump::encode_exact(value, &mut payload);
    Effect::Restore { key, payload: &payload, expire, access }.encode(db, out);
}

impl Keyspace {
    /// Starts a snapshot of the state as it is now.
    ///
    /// # Panics
    /// If one is running.
    pub fn snapshot_begin(&mut self) {
        let mut out = Vec::new();
        let seed = self.hash_key();
        Effect::HashSeed { high: seed.0, low: seed.1 }.encode(0, &mut out);
        out.push(END_OF_TRANSACTION);
        self.snapshot_into(out, Box::new(Effects::default()));
    }

    /// Starts a snapshot in another form; its turns are the same. `compress`: long strings take their LZF form.
    ///
    /// # Panics
    /// If one is running.
    pub fn export_begin(&mut self, framing: Box<dyn Framing>, compress: bool) {
        self.snapshot_into(Vec::new(), Box::new(Export::new(framing, compress)));
    }

    fn snapshot_into(&mut self, out: Vec<u8>, sink: Box<dyn Sink>) {
        assert!(self.snapshot.is_none(), "one snapshot at a time");
        self.epoch = self.epoch.wrapping_add(1);
        let source = |(db, it): (usize, &Db)| Source { table_id: it.table_id, db: db as u32, flushed: None };
        let sources = self.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()).map(source).collect();
        let entries_at_start = self.dbs.iter().map(|db| db.len() as u64).sum();
        self.snapshot = Some(Snapshot {
            epoch: self.epoch,
            sources,
            position: 0,
            out,
            sink,
            entries_at_start,
            entries: 0,
            looked: 0,
        });
    }

    /// The running snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Gives up the running snapshot.
    pub fn snapshot_abort(&mut self) {
        self.snapshot_end();
    }

    fn snapshot_end(&mut self) -> u64 {
        let Some(snapshot) = self.snapshot.take() else { return 0 };
        for source in snapshot.sources {
            if let Some(db) = source.flushed {
                self.graveyard.bury_table(db.table);
            }
        }
        snapshot.entries
    }

    /// One turn: encodes about `budget_bytes` and gives them with whatever writers saved since the last turn; with
    /// them, the number of entries once the snapshot is complete.
    ///
    /// # Panics
    /// If no snapshot is running.
    pub fn snapshot_turn(&mut self, budget_bytes: usize) -> (Vec<u8>, Option<u64>) {
        let mut snapshot = self.snapshot.take().expect("a snapshot is running");
        let start = snapshot.out.len();
        let mut looked = 0;
        while snapshot.out.len() - start < budget_bytes && looked < budget_bytes / 64 {
            if snapshot.sink.has_waiting() {
                if let Some(written) = snapshot.sink.step(&mut snapshot.out) {
                    self.graveyard.bury(written);
                }
            } else if !self.snapshot_walk(&mut snapshot, start + budget_bytes, &mut looked) {
                break;
            }
        }
        snapshot.looked += looked as u64;
        let bytes = std::mem::take(&mut snapshot.out);
        let complete = snapshot.sources.is_empty() && !snapshot.sink.has_waiting();
        self.snapshot = Some(snapshot);
        (bytes, complete.then(|| self.snapshot_end()))
    }

    /// The same state, written as a snapshot and read back into a keyspace of its own. Takes as long as all data takes.
    ///
    /// # Panics
    /// If a snapshot is running.
    pub fn reloaded(&mut self) -> Result<Keyspace, BadEffect> {
        let mut fresh = Keyspace::new(self.db_count(), self.hash_key());
        fresh.limits = self.limits.clone();
        fresh.clock = self.clock.clone();
        self.snapshot_begin();
        loop {
            let (bytes, complete) = self.snapshot_turn(PART_BYTES);
            fresh.replay(&bytes, |_, _| {})?;
            if complete.is_some() {
                break;
            }
        }
        fresh.pending = std::mem::take(&mut self.pending);
        Ok(fresh)
    }

    /// Saves entries of one segment until the output is `until` long; false when every table is done.
    fn snapshot_walk(&mut self, snapshot: &mut Snapshot, until: usize, looked: &mut usize) -> bool {
        let Some(mut source) = snapshot.sources.pop_front() else { return false };
        let live = self.dbs.iter().find(|db| db.table_id == source.table_id);
        let db = source.flushed.as_ref().or(live).expect("a table is live or kept");
        let (entries, next) = db.table.segment_at(snapshot.position);
        let mut done = true;
        for entry in entries {
            *looked += 1;
            if entry.epoch() == snapshot.epoch {
                continue;
            }
            if snapshot.out.len() >= until {
                done = false;
                break;
            }
            snapshot.save(source.db, entry);
        }
        match (done, next) {
            (false, _) => snapshot.sources.push_front(source),
            (true, Some(next)) => {
                snapshot.position = next;
                snapshot.sources.push_front(source);
            }
            (true, None) => {
                snapshot.position = 0;
                if let Some(db) = source.flushed.take() {
                    self.graveyard.bury_table(db.table);
                }
            }
        }
        true
    }
}

impl Large {
    /// Appends the next transaction; false after the last.
    fn encode_part(&mut self, out: &mut Vec<u8>) -> bool {
        let key = Key { bytes: &self.key, hash: 0 };
        let end = out.len() + PART_BYTES;
        if !std::mem::replace(&mut self.begun, true) {
            // The parts add to what is there; a key left by an older snapshot's reader must not be.
            Effect::Delete { key, cause: Cause::Command }.encode(self.db, out);
        }
        let mut parts = Parts { db: self.db, key, out, end };
        let more = match &self.value {
            Value::Text(text) => {
                let piece: Vec<u8> =
                    text.pieces(self.next, self.next + PART_BYTES).flatten().copied().collect();
                Effect::StringAppend { key, value: &piece }.encode(self.db, parts.out);
                self.next += piece.len();
                self.next < text.len()
            }
            Value::List(list) => parts.items(
                &mut self.next,
                list.len(),
                1,
                |from, f| list.each_from(from, f),
                |k, v| Effect::ListPush { key: k, end: End::Right, values: v },
            ),
            Value::Set(set) => parts.items(
                &mut self.next,
                set.len(),
                1,
                |from, f| set.each_from(from, f),
                |k, v| Effect::SetAdd { key: k, members: v },
            ),
            Value::Hash(hash) => parts.items(
                &mut self.next,
                hash.len(),
                2,
                |from, f| hash.each_from(from, |name, value| f(name) && f(value)),
                |k, v| Effect::HashSet { key: k, pairs: v },
            ),
            Value::Zset(zset) => {
                let mut scores: Vec<(f64, Vec<u8>)> = Vec::new();
                let mut bytes = 0;
                zset.each_from(self.next, |score, member| {
                    bytes += member.len() + 10;
                    scores.push((score, member.to_vec()));
                    bytes < PART_BYTES
                });
                self.next += scores.len();
                let scores: Vec<(f64, &[u8])> = scores.iter().map(|(s, m)| (*s, &m[..])).collect();
                Effect::ZsetAdd { key, scores: Scores::Slice(&scores) }.encode(self.db, parts.out);
                self.next < zset.len()
            }
            Value::Stream(stream) => {
                let mut out = snapshot_stream::Out { db: self.db, key, bytes: parts.out, end };
                self.next_in_stream.encode_part(stream, &mut out)
            }
        };
        if !more && self.expire != Expire::Never {
            Effect::Expiry { key, expire: self.expire }.encode(self.db, out);
        }
        out.push(END_OF_TRANSACTION);
        more
    }
}

struct Parts<'a> {
    db: u32,
    key: Key<'a>,
    out: &'a mut Vec<u8>,
    end: usize,
}

impl Parts<'_> {
    /// Encodes a part of a collection of byte strings, `width` of them an element; true if more follow.
    fn items(
        &mut self,
        next: &mut usize,
        len: usize,
        width: usize,
        each_from: impl FnOnce(usize, &mut dyn FnMut(&[u8]) -> bool),
        effect: impl for<'k> FnOnce(Key<'k>, Items<'k>) -> Effect<'k>,
    ) -> bool {
        let mut encoded = Vec::new();
        let mut count = 0;
        let room = self.end - self.out.len();
        each_from(*next, &mut |item| {
            put_varint(&mut encoded, item.len() as u64);
            encoded.extend_from_slice(item);
            count += 1;
            // A part ends only between elements.
            encoded.len() < room || count % width != 0
        });
        *next += count / width;
        effect(self.key, Items::Encoded { count, bytes: &encoded }).encode(self.db, self.out);
        *next < len
    }
}
