//! What an entry can hold beside a short string, the thresholds of the compact encodings, and the keyed hash.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::thin::ThinBox;
use crate::{Hash, List, Set, Stream, Text, Zset};

/// The seed of the table's hash. It is journaled, so positions in hash order survive a restart and a fail-over.
///
/// SipHash-1-3: keys come from users, and whoever can choose colliding keys can stall the data thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// The keyed hash of `bytes`.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// Up to where a value keeps its compact form: the `*-max-*` directives of redis.conf.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `hash-max-listpack-entries`.
    pub hash_entries: usize,
    /// `hash-max-listpack-value`, in bytes.
    pub hash_value: usize,
    /// `set-max-intset-entries`.
    pub set_intset_entries: usize,
    /// `set-max-listpack-entries`.
    pub set_entries: usize,
    /// `set-max-listpack-value`, in bytes.
    pub set_value: usize,
    /// `zset-max-listpack-entries`.
    pub zset_entries: usize,
    /// `zset-max-listpack-value`, in bytes.
    pub zset_value: usize,
    /// `list-max-listpack-size`: elements of a node if positive, else -1…-5 for 4, 8, 16, 32, 64 KiB.
    pub list_size: i64,
    /// `stream-node-max-bytes`; 0 means no limit.
    pub stream_node_bytes: usize,
    /// `stream-node-max-entries`; 0 means no limit.
    pub stream_node_entries: usize,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value: 64,
            set_intset_entries: 512,
            set_entries: 128,
            set_value: 64,
            zset_entries: 128,
            zset_value: 64,
            list_size: -2,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            hll_sparse_bytes: 3000,
        }
    }
}

/// A value that does not live inside its entry.
#[derive(Clone)]
pub enum Value {
    /// A string too long to stand in the entry.
    Text(Text),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(ThinBox<Stream>),
}

/// Every small collection pays for this.
const _: () = assert!(size_of::<Value>() == 10, "a pointer, the form's tag and the type's tag");

impl Value {
    /// The names that TYPE gives, in the order of [`Value::type_number`].
    pub const TYPE_NAMES: [&'static str; 6] = ["string", "list", "set", "hash", "zset", "stream"];

    /// Counts the types from 0.
    pub fn type_number(&self) -> usize {
        match self {
            Value::Text(_) => 0,
            Value::List(_) => 1,
            Value::Set(_) => 2,
            Value::Hash(_) => 3,
            Value::Zset(_) => 4,
            Value::Stream(_) => 5,
        }
    }

    /// Has the processor fetch the first bytes of a compact value, and does not wait for them.
    pub fn prefetch(&self) {
        let packed = match self {
            Value::List(list) => list.as_listpack(),
            Value::Set(set) => set.as_listpack(),
            Value::Hash(hash) => hash.as_listpack(),
            Value::Zset(zset) => zset.as_listpack(),
            Value::Text(_) | Value::Stream(_) => None,
        };
        packed.inspect(|packed| packed.prefetch());
    }

    /// The name that TYPE gives.
    pub fn type_name(&self) -> &'static str {
        Self::TYPE_NAMES[self.type_number()]
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::Text(_) => "raw",
            Value::List(list) => list.encoding(),
            Value::Set(set) => set.encoding(),
            Value::Hash(hash) => hash.encoding(),
            Value::Zset(zset) => zset.encoding(),
            Value::Stream(_) => "stream",
        }
    }

    /// Memory behind the value, as the allocator counts it.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.heap_bytes(),
            Value::List(list) => list.heap_bytes(),
            Value::Set(set) => set.heap_bytes(),
            Value::Hash(hash) => hash.heap_bytes(),
            Value::Zset(zset) => zset.heap_bytes(),
            Value::Stream(stream) => stream.heap_bytes(),
        }
    }

    /// Whether the value holds nothing and its key must go. A stream may be empty.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Text(_) | Value::Stream(_) => false,
            Value::List(list) => list.len() == 0,
            Value::Set(set) => set.len() == 0,
            Value::Hash(hash) => hash.len() == 0,
            Value::Zset(zset) => zset.len() == 0,
        }
    }

    /// The value's nodes, to be freed a few at a time; `None` if it is small enough to be dropped at once.
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        match self {
            Value::Text(text) => text.dismantle(),
            Value::List(list) => list.dismantle(),
            Value::Set(set) => set.dismantle(),
            Value::Hash(hash) => hash.dismantle(),
            Value::Zset(zset) => zset.dismantle(),
            Value::Stream(stream) => stream.into_inner().dismantle(),
        }
    }
}
