//! What a handler sees: the keyspace through lookups that raise the gate, and effects as the only way to change it.

use std::cell::{Cell, RefCell};

use sessile_keyspace::snapshot::END_OF_TRANSACTION;
use sessile_keyspace::{Applied, Cause, Content, Db, Durability, Effect, Entry, Gate, Key, Keyspace};
use sessile_values::{Hash, HashKey, Limits, List, Set, Stream, Value, Zset};

use crate::error::Error;
use crate::event::Event;
use crate::rng::Rng;

/// Whether a blocking handler may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// First or woken: it may wait.
    MayWait,
    /// Inside MULTI or a script: it must answer.
    MustAnswer,
    /// Its time is over: it must answer, with a null array if it still finds nothing.
    TimedOut,
}

/// What one execution shares between reads and writes.
pub struct Frame {
    /// The db that the connection selected.
    pub db: u32,
    /// The engine's clock, milliseconds since the epoch.
    pub now_ms: u64,
    /// Whether a blocking handler may wait.
    pub attempt: Attempt,
    /// `proto-max-bulk-len`.
    pub string_max_bytes: usize,
    /// While the journal refuses writes, due keys read as absent, ungated, and are not noted.
    pub journal_refuses: bool,
    /// Who asks, for CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// A script asks: what has no order of its own is ordered for it.
    pub in_script: bool,
    /// Whether keys that a reader misses are noted, for whoever watches for them.
    pub notes_misses: bool,
    /// Whether lookups are a reader's: they count as hits and misses.
    reads: Cell<bool>,
    gate: Cell<Gate>,
    due: RefCell<Vec<(u32, Vec<u8>)>>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    missed: RefCell<Vec<(u32, Vec<u8>)>>,
}

impl Frame {
    /// A frame for one command.
    pub fn new(db: u32, now_ms: u64, attempt: Attempt) -> Self {
        Self {
            db,
            now_ms,
            attempt,
            string_max_bytes: 512 << 20,
            journal_refuses: false,
            no_touch: false,
            in_script: false,
            notes_misses: false,
            reads: Cell::new(true),
            gate: Cell::new(Gate::OPEN),
            due: RefCell::new(Vec::new()),
            hits: Cell::new(0),
            misses: Cell::new(0),
            missed: RefCell::new(Vec::new()),
        }
    }

    /// What the reply waits for so far.
    pub fn gate(&self) -> Gate {
        self.gate.get()
    }

    /// Makes the reply wait for more.
    pub fn raise(&self, gate: Gate) {
        self.gate.set(self.gate.get().and(gate));
    }

    /// Keys that were found due and still wait for their expiry effect.
    pub fn take_due(&self) -> Vec<(u32, Vec<u8>)> {
        self.due.take()
    }

    /// Lookups that found a key, and that found none.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }

    /// Says whether lookups from now on are a reader's, which count as hits and misses.
    pub fn look_as_reader(&self, reads: bool) {
        self.reads.set(reads);
    }

    /// Keys that were missed, in order, where they are noted.
    pub fn take_missed(&self) -> Vec<(u32, Vec<u8>)> {
        self.missed.take()
    }

    fn count(&self, found: bool, db: u32, key: Key<'_>) {
        if !self.reads.get() {
            return;
        }
        let count = if found { &self.hits } else { &self.misses };
        count.set(count.get() + 1);
        if !found && self.notes_misses {
            self.missed.borrow_mut().push((db, key.bytes.to_vec()));
        }
    }
}

/// What a read handler may do: look up.
#[derive(Clone, Copy)]
pub struct ReadCx<'a> {
    keyspace: &'a Keyspace,
    frame: &'a Frame,
}

impl<'a> ReadCx<'a> {
    /// A context over this state.
    pub fn new(keyspace: &'a Keyspace, frame: &'a Frame) -> Self {
        Self { keyspace, frame }
    }

    /// The execution's frame.
    pub fn frame(&self) -> &'a Frame {
        self.frame
    }

    /// The engine's clock, milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.frame.now_ms
    }

    /// The selected db.
    pub fn db(&self) -> u32 {
        self.frame.db
    }

    /// Number of dbs.
    pub fn db_count(&self) -> usize {
        self.keyspace.db_count()
    }

    /// Thresholds of the compact encodings.
    pub fn limits(&self) -> &'a Limits {
        &self.keyspace.limits
    }

    /// The keyed hash that tables and large values are ordered by.
    pub fn hash_key(&self) -> HashKey {
        self.keyspace.hash_key()
    }

    /// Hashes a key; do it once a command.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.keyspace.key(bytes)
    }

    /// The entry under a key of the selected db: absent if due. Counts as an access.
    pub fn lookup(&self, key: Key<'_>) -> Option<&'a Entry> {
        let found = self.lookup_still(key);
        if let Some(entry) = found
            && !self.frame.no_touch
        {
            self.keyspace.clock.touch(entry);
        }
        found
    }

    /// As [`ReadCx::lookup`], but not an access that eviction goes by (EXISTS, TYPE, TTL).
    pub fn lookup_still(&self, key: Key<'_>) -> Option<&'a Entry> {
        let found = self.lookup_in(self.frame.db, key);
        self.frame.count(found.is_some(), self.frame.db, key);
        found
    }

    /// As [`ReadCx::lookup_still`], and nobody is told of a miss (OBJECT).
    pub fn lookup_unseen(&self, key: Key<'_>) -> Option<&'a Entry> {
        let found = self.lookup_in(self.frame.db, key);
        let count = if found.is_some() { &self.frame.hits } else { &self.frame.misses };
        count.set(count.get() + 1);
        found
    }

    /// As [`ReadCx::lookup`], in any db, and without counting as an access (DEBUG, and writers).
    pub fn lookup_in(&self, db: u32, key: Key<'_>) -> Option<&'a Entry> {
        let entry = self.keyspace.entry(db, key);
        if entry.and_then(Entry::expire_ms).is_some_and(|at_ms| at_ms <= self.frame.now_ms) {
            if !self.frame.journal_refuses {
                self.frame.raise(self.keyspace.pending.of(key.hash));
                self.frame.due.borrow_mut().push((db, key.bytes.to_vec()));
            }
            return None;
        }
        self.frame.raise(self.keyspace.pending.of(key.hash));
        entry
    }

    /// A db as a whole, for SCAN, KEYS, DBSIZE, RANDOMKEY: the reply waits for the last LSN. Due entries are to be
    /// filtered with [`ReadCx::is_due`].
    pub fn whole_db(&self, db: u32) -> &'a Db {
        self.frame.raise(self.keyspace.pending.newest());
        self.keyspace.db(db)
    }

    /// Whether an entry's time has come.
    pub fn is_due(&self, entry: &Entry) -> bool {
        entry.expire_ms().is_some_and(|at_ms| at_ms <= self.frame.now_ms)
    }

    /// The keyspace, for what is no data: memory, encodings, access bits.
    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    /// The hash under a key.
    pub fn hash(&self, key: Key<'_>) -> Result<Option<&'a Hash>, Error> {
        self.typed(key, |value| match value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        })
    }

    /// The set under a key.
    pub fn set(&self, key: Key<'_>) -> Result<Option<&'a Set>, Error> {
        self.typed(key, |value| match value {
            Value::Set(set) => Some(set),
            _ => None,
        })
    }

    /// The sorted set under a key.
    pub fn zset(&self, key: Key<'_>) -> Result<Option<&'a Zset>, Error> {
        self.typed(key, |value| match value {
            Value::Zset(zset) => Some(zset),
            _ => None,
        })
    }

    /// The list under a key.
    pub fn list(&self, key: Key<'_>) -> Result<Option<&'a List>, Error> {
        self.typed(key, |value| match value {
            Value::List(list) => Some(list),
            _ => None,
        })
    }

    /// The stream under a key.
    pub fn stream(&self, key: Key<'_>) -> Result<Option<&'a Stream>, Error> {
        self.typed(key, |value| match value {
            Value::Stream(stream) => Some(&**stream),
            _ => None,
        })
    }

    fn typed<T>(
        &self,
        key: Key<'_>,
        pick: impl FnOnce(&'a Value) -> Option<&'a T>,
    ) -> Result<Option<&'a T>, Error> {
        match self.lookup(key) {
            None => Ok(None),
            Some(entry) => entry.value().and_then(pick).map(Some).ok_or(Error::WRONG_TYPE),
        }
    }

    /// The string under a key; a long one as a rope.
    pub fn string(&self, key: Key<'_>) -> Result<Option<Content<'a>>, Error> {
        match self.lookup(key).map(Entry::content) {
            None => Ok(None),
            Some(content @ (Content::Short(_) | Content::Value(Value::Text(_)))) => Ok(Some(content)),
            Some(_) => Err(Error::WRONG_TYPE),
        }
    }
}

/// The db of an [`Observed`] that concerns all of them.
pub const EVERY_DB: u32 = u32::MAX;

/// An effect as observers see it: WATCH, notifications, blocked clients.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Its db; [`EVERY_DB`] for all.
    pub db: u32,
    /// The key it touched; `None` for a whole db or the node.
    pub key: Option<Vec<u8>>,
    /// What it is called.
    pub event: Event,
    /// What it did to the key.
    pub applied: Applied,
}

/// Room that a new batch begins with, at most.
const KEPT_BATCH_BYTES: usize = 64 * 1024;

/// What one transaction may take until it ends, in bytes: as much as the largest MULTI brings along, with
/// `client-query-buffer-limit` as it is by default.
const TRANSACTION_MAX_BYTES: usize = 1 << 30;

/// What an effect takes that observers are to see, with a key of usual length, about.
const OBSERVED_BYTES: usize = 128;

/// The transaction being built.
pub struct Txn {
    /// The batch that the journal takes next; this transaction's effects are at its end.
    pub bytes: Vec<u8>,
    /// Whether effects are journaled at all.
    pub journaled: bool,
    /// What the class promises.
    pub durability: Durability,
    /// The LSN that the transaction will have.
    pub lsn: u64,
    /// Effects emitted, as `rdb_changes_since_last_save` counts them.
    pub changes: u64,
    /// Whether anybody observes.
    pub observing: bool,
    /// What observers are to see, in order.
    pub observed: Vec<Observed>,
    /// What the open transaction may take before a script or EXEC is stopped.
    pub max_bytes: usize,
    dirty: bool,
    /// Bytes of transactions that ended; what follows belongs to the open one.
    finished: usize,
}

impl Txn {
    /// No effect yet.
    pub fn new(journaled: bool, durability: Durability) -> Self {
        Self {
            bytes: Vec::new(),
            journaled,
            durability,
            lsn: 1,
            changes: 0,
            observing: false,
            observed: Vec::new(),
            max_bytes: TRANSACTION_MAX_BYTES,
            dirty: false,
            finished: 0,
        }
    }

    /// Whether the transaction has an effect.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Ends the transaction; true if it had effects and its LSN is used up.
    pub fn finish(&mut self) -> bool {
        if !std::mem::take(&mut self.dirty) {
            return false;
        }
        if self.journaled {
            self.bytes.push(END_OF_TRANSACTION);
            self.finished = self.bytes.len();
        }
        self.lsn += 1;
        true
    }

    /// Adds an effect that is applied already, or needs no applying.
    pub fn journal(&mut self, db: u32, effect: &Effect<'_>) {
        if self.journaled {
            effect.encode(db, &mut self.bytes);
        }
        self.dirty = true;
    }

    /// Whether the open transaction has more effects than may be kept until it ends.
    pub fn is_too_large(&self) -> bool {
        self.bytes.len() - self.finished + self.observed.len() * OBSERVED_BYTES > self.max_bytes
    }

    /// Bytes of transactions that ended and were not taken.
    pub fn finished_bytes(&self) -> usize {
        self.finished
    }

    /// Takes the transactions that ended; an open one stays.
    pub fn take_finished(&mut self) -> Vec<u8> {
        // What an open transaction has written is not to be copied for nothing.
        if self.finished == 0 {
            return Vec::new();
        }
        // The next batch is likely as large: growing to that step by step would copy it several times.
        let mut open = Vec::with_capacity(self.finished.min(KEPT_BATCH_BYTES));
        open.extend(self.bytes.drain(self.finished..));
        self.finished = 0;
        std::mem::replace(&mut self.bytes, open)
    }
}

/// What a write handler may do: look up, and emit effects.
pub struct WriteCx<'a> {
    keyspace: &'a mut Keyspace,
    frame: &'a Frame,
    txn: &'a mut Txn,
    rng: &'a mut Rng,
}

impl<'a> WriteCx<'a> {
    /// A context over this state and transaction.
    pub fn new(keyspace: &'a mut Keyspace, frame: &'a Frame, txn: &'a mut Txn, rng: &'a mut Rng) -> Self {
        Self { keyspace, frame, txn, rng }
    }

    /// The reading side.
    pub fn read(&self) -> ReadCx<'_> {
        ReadCx { keyspace: self.keyspace, frame: self.frame }
    }

    /// The execution's frame.
    pub fn frame(&self) -> &'a Frame {
        self.frame
    }

    /// The engine's clock, milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.frame.now_ms
    }

    /// The selected db.
    pub fn db(&self) -> u32 {
        self.frame.db
    }

    /// Hashes a key; do it once a command.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.keyspace.key(bytes)
    }

    /// The shard's generator.
    pub fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// Applies an effect in the selected db and adds it to the transaction.
    pub fn emit(&mut self, effect: &Effect<'_>, event: Event) -> Applied {
        self.emit_in(self.frame.db, effect, event)
    }

    /// Applies an effect in any db and adds it to the transaction. A due key that it touches expires first, so the
    /// effect finds what the handler saw: nothing.
    pub fn emit_in(&mut self, db: u32, effect: &Effect<'_>, event: Event) -> Applied {
        if !matches!(effect, Effect::Delete { .. }) {
            for key in effect.keys().into_iter().flatten() {
                self.expire_if_due(db, key);
            }
        }
        self.put(db, effect, event)
    }

    /// Announces a further event of an effect that was emitted, as SET does for its expiry.
    pub fn announce(&mut self, key: Key<'_>, event: Event) {
        if self.txn.observing {
            let applied = Applied { created: false, removed: false };
            self.txn.observed.push(Observed {
                db: self.frame.db,
                key: Some(key.bytes.to_vec()),
                event,
                applied,
            });
        }
    }

    fn expire_if_due(&mut self, db: u32, key: Key<'_>) {
        if self.keyspace.db(db).expiring() == 0 {
            return;
        }
        let due =
            self.keyspace.entry(db, key).and_then(Entry::expire_ms).is_some_and(|at| at <= self.frame.now_ms);
        if due {
            self.put(db, &Effect::Delete { key, cause: Cause::Expired }, Event::EXPIRED);
        }
    }

    fn put(&mut self, db: u32, effect: &Effect<'_>, event: Event) -> Applied {
        let applied =
            self.keyspace.apply(db, effect).expect("a handler emits only effects that fit what it saw");
        let txn = &mut *self.txn;
        txn.dirty = true;
        txn.changes += 1;
        if txn.journaled {
            effect.encode(db, &mut txn.bytes);
            let gate = txn.durability.gate(txn.lsn);
            self.frame.raise(gate);
            let [first, second] = effect.keys();
            match first {
                None => self.keyspace.pending.mark_all(gate),
                Some(key) => self.keyspace.pending.mark(key.hash, gate),
            }
            if let Some(key) = second {
                self.keyspace.pending.mark(key.hash, gate);
            }
        }
        if txn.observing {
            observe(txn, db, effect, event, applied);
        }
        applied
    }

    /// Emits the expiry of a key that a lookup found due, if it still is.
    pub fn expire(&mut self, db: u32, key: &[u8]) {
        let key = self.key(key);
        self.expire_if_due(db, key);
    }
}

fn observe(txn: &mut Txn, db: u32, effect: &Effect<'_>, event: Event, applied: Applied) {
    let mut push = |key: Option<Key<'_>>, event: Event, applied: Applied| {
        txn.observed.push(Observed { db, key: key.map(|k| k.bytes.to_vec()), event, applied });
    };
    match *effect {
        Effect::Rename { key, to } => {
            let gone = Applied { created: false, removed: true };
            push(Some(key), Event::generic("rename_from"), gone);
            push(Some(to), Event::generic("rename_to"), Applied { created: true, removed: false });
        }
        Effect::SwapDb { other } => {
            push(None, event, applied);
            txn.observed.push(Observed { db: other, key: None, event, applied });
        }
        Effect::FlushAll {} => {
            txn.observed.push(Observed { db: EVERY_DB, key: None, event, applied });
        }
        _ => {
            let key = effect.keys()[0];
            push(key, event, applied);
            // An effect that takes the last element takes the key along, and Redis announces both.
            if applied.removed && !matches!(effect, Effect::Delete { .. }) {
                push(key, Event::DEL, applied);
            }
        }
    }
}

/// Length of a string, short or long.
pub fn content_len(content: Content<'_>) -> usize {
    match content {
        Content::Short(text) => text.len(),
        Content::Value(Value::Text(rope)) => rope.len(),
        Content::Value(_) => 0,
    }
}
