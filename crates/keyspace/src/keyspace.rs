//! The dbs of a shard with everything that belongs to all of them.

use sessile_values::{HashKey, Limits, Value};

use crate::codec::{BadEffect, Reader};
use crate::effect::{Effect, Key};
use crate::entry::Entry;
use crate::evict::AccessClock;
use crate::graveyard::Graveyard;
use crate::pending::Pending;
use crate::snapshot::{END_OF_TRANSACTION, Snapshot};
use crate::table::Table;

/// One db.
pub struct Db {
    pub(crate) table: Table,
    pub(crate) table_id: u64,
    pub(crate) expiring: usize,
    /// Sum of the expiry times of all keys that have one, in milliseconds since the epoch.
    pub(crate) expire_sum_ms: u128,
    /// Memory of the entries, as the allocator counts it.
    pub(crate) bytes: usize,
    /// Keys of each type, by [`Value::type_number`].
    pub(crate) by_type: [usize; Value::TYPE_NAMES.len()],
}

impl Db {
    /// Number of keys, expired ones that are still there included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it has no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys with an expiry.
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// Number of keys of each type, with the name that TYPE gives; O(1).
    pub fn keys_by_type(&self) -> impl Iterator<Item = (&'static str, usize)> {
        Value::TYPE_NAMES.into_iter().zip(self.by_type)
    }

    /// Mean time until the keys with an expiry end, in milliseconds; 0 where all are due, or none has one.
    pub fn mean_ttl_ms(&self, now_ms: u64) -> u64 {
        let mean = self.expire_sum_ms.checked_div(self.expiring as u128).unwrap_or(0);
        u64::try_from(mean).unwrap_or(u64::MAX).saturating_sub(now_ms)
    }

    /// Notes that an entry's expiry went from one to the other.
    pub(crate) fn move_expire(&mut self, from_ms: Option<u64>, to_ms: Option<u64>) {
        self.expiring = self.expiring - usize::from(from_ms.is_some()) + usize::from(to_ms.is_some());
        let sum = self.expire_sum_ms - u128::from(from_ms.unwrap_or(0));
        self.expire_sum_ms = sum + u128::from(to_ms.unwrap_or(0));
    }

    /// The table, for walking.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

/// What applying an effect did, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The key came to be.
    pub created: bool,
    /// The key went, because the effect removed it or emptied it.
    pub removed: bool,
}

/// All state of a shard.
pub struct Keyspace {
    pub(crate) hash_key: HashKey,
    pub(crate) dbs: Vec<Db>,
    /// None of the dbs from this number on has ever had a key, so that sums over all need not look at them.
    pub(crate) used_dbs: usize,
    pub(crate) next_table_id: u64,
    pub(crate) graveyard: Graveyard,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) epoch: u16,
    /// Thresholds of the compact encodings.
    pub limits: Limits,
    /// The longest string that [`Keyspace::replay`] makes out of a number alone.
    pub string_max_bytes: u64,
    /// The gate's memory.
    pub pending: Pending,
    /// What an access leaves in an entry.
    pub clock: AccessClock,
}

/// The longest string that commands make unless they are told otherwise.
pub const STRING_MAX_BYTES: u64 = 512 << 20;

impl Keyspace {
    /// An empty keyspace of `dbs` dbs. The seed comes from chance on a first start, from the journal later.
    pub fn new(dbs: usize, hash_key: HashKey) -> Self {
        let mut keyspace = Self {
            hash_key,
            dbs: Vec::new(),
            used_dbs: 0,
            next_table_id: 0,
            graveyard: Graveyard::default(),
            snapshot: None,
            epoch: 0,
            limits: Limits::default(),
            string_max_bytes: STRING_MAX_BYTES,
            pending: Pending::default(),
            clock: AccessClock::default(),
        };
        for _ in 0..dbs {
            let db = keyspace.new_db();
            keyspace.dbs.push(db);
        }
        keyspace
    }

    pub(crate) fn new_db(&mut self) -> Db {
        self.next_table_id += 1;
        Db {
            table: Table::new(self.hash_key),
            table_id: self.next_table_id,
            expiring: 0,
            expire_sum_ms: 0,
            bytes: 0,
            by_type: Default::default(),
        }
    }

    /// The seed of the table's hash.
    pub fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Hashes a key.
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key::new(&self.hash_key, bytes)
    }

    /// Number of dbs.
    pub fn db_count(&self) -> usize {
        self.dbs.len()
    }

    /// One db. `db` must be below [`Keyspace::db_count`].
    pub fn db(&self, db: u32) -> &Db {
        &self.dbs[db as usize]
    }

    /// The entry under a key, due or not. Commands look up through their context instead, which knows the time.
    pub fn entry(&self, db: u32, key: Key<'_>) -> Option<&Entry> {
        self.dbs[db as usize].table.get(key.hash, key.bytes)
    }

    /// Has the processor fetch what lookups of the keys with these hashes will read.
    pub fn prefetch(&self, db: u32, hashes: &[u64]) {
        self.dbs[db as usize].table.prefetch(hashes);
    }

    /// Memory of tables and entries, as the allocator counts it.
    pub fn memory_bytes(&self) -> usize {
        self.entry_bytes() + self.table_bytes()
    }

    /// Memory of entries alone; O(dbs that are used).
    pub fn entry_bytes(&self) -> usize {
        self.dbs[..self.used_dbs].iter().map(|db| db.bytes).sum()
    }

    /// Memory of the tables alone; O(dbs that are used).
    pub fn table_bytes(&self) -> usize {
        let (used, unused) = self.dbs.split_at(self.used_dbs);
        let fresh_bytes = unused.first().map_or(0, |db| db.table.heap_bytes());
        used.iter().map(|db| db.table.heap_bytes()).sum::<usize>() + fresh_bytes * unused.len()
    }

    /// Applies a run of transactions, as it stands in a record or a snapshot; gives their number.
    pub fn replay(
        &mut self,
        run: &[u8],
        mut observe: impl FnMut(u32, &Effect<'_>),
    ) -> Result<u64, BadEffect> {
        let mut reader = Reader::new(run);
        let mut transactions = 0;
        while let Some(&next) = reader.rest().first() {
            if next == END_OF_TRANSACTION {
                reader.u8()?;
                transactions += 1;
                continue;
            }
            let (db, effect) = Effect::decode(&mut reader, &self.hash_key)?;
            if let Effect::HashSeed { high, low } = effect {
                self.reseed(HashKey(high, low))?;
                continue;
            }
            if db as usize >= self.dbs.len() {
                return Err(BadEffect::Mismatch("db is beyond `databases`"));
            }
            // A few bytes of a damaged or forged journal must not ask for all memory.
            if let Effect::StringSetRange { offset, value, .. } = effect
                && offset.saturating_add(value.len() as u64) > self.string_max_bytes
            {
                return Err(BadEffect::TooLong);
            }
            self.apply(db, &effect)?;
            observe(db, &effect);
        }
        Ok(transactions)
    }

    fn reseed(&mut self, hash_key: HashKey) -> Result<(), BadEffect> {
        if self.dbs.iter().any(|db| !db.table.is_empty()) {
            return if hash_key == self.hash_key {
                Ok(())
            } else {
                Err(BadEffect::Mismatch("the hash seed changes under existing keys"))
            };
        }
        self.hash_key = hash_key;
        for index in 0..self.dbs.len() {
            self.dbs[index] = self.new_db();
        }
        Ok(())
    }

    /// Frees about `steps` nodes of what was unlinked or flushed; true while more waits.
    pub fn free_some(&mut self, steps: usize) -> bool {
        self.graveyard.free(steps)
    }

    /// Values and entries that wait to be freed, and those that were freed that way.
    pub fn lazily_freed(&self) -> (usize, u64) {
        (self.graveyard.len(), self.graveyard.freed())
    }

    /// Looks for due keys from `cursor` (db, position) on, up to `budget` entries; calls `due` for each, and returns
    /// the next cursor.
    pub fn expire_turn(
        &mut self,
        cursor: (u32, u64),
        now_ms: u64,
        budget: usize,
        mut due: impl FnMut(u32, &Entry),
    ) -> (u32, u64) {
        let (mut db, mut position) = cursor;
        let mut left = budget as isize;
        for _ in 0..budget {
            if db as usize >= self.dbs.len() {
                return (0, 0);
            }
            let next = if self.dbs[db as usize].expiring == 0 {
                None
            } else {
                let (next, seen) = self.dbs[db as usize].table.expire_step(position, now_ms, |e| due(db, e));
                left -= seen as isize;
                next
            };
            match next {
                Some(next) => position = next,
                None => (db, position) = (db + 1, 0),
            }
            if left <= 0 {
                break;
            }
        }
        (db, position)
    }
}
