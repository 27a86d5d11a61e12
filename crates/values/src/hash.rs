//! Hashes: a listpack of fields and values while small, a tree in the order of the fields' hash once large.
//!
//! Hash order gives HSCAN its cursor: a position that stays true however the hash grows or shrinks in between.

use std::cmp::Ordering;

use crate::bytes::Bytes;
use crate::listpack::Listpack;
use crate::size::allocated;
use crate::tree::{Item, Iter, Tree};
use crate::value::{HashKey, Limits};

/// A map from field to value.
#[derive(Clone)]
pub struct Hash(Form);

#[derive(Clone)]
enum Form {
    Packed(Listpack),
    Table(Tree<Field>),
}

#[derive(Clone)]
struct Field {
    hash: u64,
    name: Bytes,
    value: Bytes,
}

impl Item for Field {
    type Key<'a> = (u64, &'a [u8]);
    type Sep = (u64, Bytes);

    fn key(&self) -> (u64, &[u8]) {
        (self.hash, &self.name)
    }

    fn sep(&self) -> (u64, Bytes) {
        (self.hash, self.name.clone())
    }

    fn compare(&self, key: (u64, &[u8])) -> Ordering {
        compare_hashed(self.hash, &self.name, key)
    }

    fn compare_sep(sep: &(u64, Bytes), key: (u64, &[u8])) -> Ordering {
        compare_hashed(sep.0, &sep.1, key)
    }

    fn heap_bytes(&self) -> usize {
        self.name.heap_bytes() + self.value.heap_bytes()
    }
}

/// The order of hashes, and of names where these are equal, which are not looked at before.
pub(crate) fn compare_hashed(hash: u64, name: &Bytes, key: (u64, &[u8])) -> Ordering {
    hash.cmp(&key.0).then_with(|| (**name).cmp(key.1))
}

impl Default for Hash {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl Hash {
    /// An empty hash.
    pub fn new() -> Self {
        Self::default()
    }

    /// A hash over a listpack of alternating fields and values, already checked for pairs and duplicates.
    pub fn from_listpack(packed: Listpack) -> Self {
        Self(Form::Packed(packed))
    }

    /// The compact form, where the hash has it.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(packed) => Some(packed),
            Form::Table(_) => None,
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table(tree) => tree.len(),
        }
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Memory behind the hash.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_bytes(),
            Form::Table(tree) => tree.heap_bytes(),
        }
    }

    /// Calls `f` with the value of `name`, and says whether there was one.
    pub fn get<R>(&self, key: &HashKey, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match &self.0 {
            Form::Packed(packed) => {
                let value = packed.next(packed.find(name, 1)?).expect("fields have values");
                Some(f(packed.at(value).as_slice(&mut [0; 21])))
            }
            Form::Table(tree) => tree.get((key.hash(name), name)).map(|field| f(&field.value)),
        }
    }

    /// Whether the field exists.
    pub fn contains(&self, key: &HashKey, name: &[u8]) -> bool {
        self.get(key, name, |_| ()).is_some()
    }

    /// Sets a field; true if it is new.
    pub fn set(&mut self, key: &HashKey, limits: &Limits, name: &[u8], value: &[u8]) -> bool {
        if let Form::Packed(packed) = &mut self.0 {
            if name.len() <= limits.hash_value && value.len() <= limits.hash_value {
                if let Some(found) = packed.find(name, 1) {
                    let value_at = packed.next(found).expect("fields have values");
                    packed.replace(value_at, value);
                    return false;
                }
                if packed.len() / 2 < limits.hash_entries {
                    packed.push_back(name);
                    packed.push_back(value);
                    return true;
                }
            }
            self.grow(key);
        }
        let Form::Table(tree) = &mut self.0 else { unreachable!("grown above") };
        let hash = key.hash(name);
        let value = Bytes::new(value);
        match tree.find((hash, name)) {
            Ok(path) => {
                tree.update_at(path, |field| field.value = value);
                false
            }
            Err(path) => {
                tree.insert_at(path, Field { hash, name: Bytes::new(name), value });
                true
            }
        }
    }

    /// Removes a field; true if it was there.
    pub fn remove(&mut self, key: &HashKey, name: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => {
                let Some(found) = packed.find(name, 1) else { return false };
                packed.remove_range(found, 2);
                true
            }
            Form::Table(tree) => tree.remove((key.hash(name), name)).is_some(),
        }
    }

    fn grow(&mut self, key: &HashKey) {
        let Form::Packed(packed) = &self.0 else { return };
        let mut tree = Tree::new();
        let mut items = packed.iter();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            let name = Bytes::new(name.as_slice(&mut [0; 21]));
            let value = Bytes::new(value.as_slice(&mut [0; 21]));
            tree.insert(Field { hash: key.hash(&name), name, value });
        }
        self.0 = Form::Table(tree);
    }

    /// Takes the tree form even when small, as a load that meets a long field does.
    pub fn make_table(&mut self, key: &HashKey) {
        self.grow(key);
    }

    /// Calls `f(field, value)` with field number `index`, in the hash's own order.
    pub fn nth<R>(&self, index: usize, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        match &self.0 {
            Form::Packed(packed) => {
                let name = packed.seek(index * 2)?;
                let value = packed.next(name).expect("fields have values");
                Some(f(packed.at(name).as_slice(&mut [0; 21]), packed.at(value).as_slice(&mut [0; 21])))
            }
            Form::Table(tree) => tree.nth(index).map(|field| f(&field.name, &field.value)),
        }
    }

    /// Calls `f(field, value)` for every field from number `start` on, until it returns false.
    pub fn each_from(&self, start: usize, mut f: impl FnMut(&[u8], &[u8]) -> bool) {
        match &self.0 {
            Form::Packed(packed) => {
                let mut items = packed.iter().skip(start * 2);
                while let (Some(name), Some(value)) = (items.next(), items.next()) {
                    if !f(name.as_slice(&mut [0; 21]), value.as_slice(&mut [0; 21])) {
                        return;
                    }
                }
            }
            Form::Table(tree) => {
                for field in tree.iter_from(start) {
                    if !f(&field.name, &field.value) {
                        return;
                    }
                }
            }
        }
    }

    /// Calls `f(field, value)` for every field.
    pub fn each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        self.each_from(0, |name, value| {
            f(name, value);
            true
        });
    }

    /// One turn of HSCAN: calls `f` for the fields whose hash position is at least `cursor`, about `count` of them,
    /// and returns the next cursor, 0 at the end. A compact hash is given whole.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&[u8], &[u8])) -> u64 {
        match &self.0 {
            Form::Packed(_) => {
                self.each(f);
                0
            }
            Form::Table(tree) => {
                scan_by_hash(tree, cursor, count, |field| field.hash, |field| f(&field.name, &field.value))
            }
        }
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        match self.0 {
            Form::Packed(_) => None,
            Form::Table(tree) => {
                let mut parts = tree.dismantle();
                Some(Box::new(move |nodes| parts.free(nodes)))
            }
        }
    }
}

/// How many bits of a hash a cursor drops, so that it stays below 2^53 and survives clients that use doubles.
pub const CURSOR_SHIFT: u32 = 11;

/// One turn of a scan in hash order: items at or after position `cursor`, whole positions only (items that share
/// one are given together), then the next cursor, or 0.
pub(crate) fn scan_by_hash<T: for<'a> Item<Key<'a> = (u64, &'a [u8])>>(
    tree: &Tree<T>,
    cursor: u64,
    count: usize,
    hash: impl Fn(&T) -> u64,
    mut f: impl FnMut(&T),
) -> u64 {
    if cursor >> (64 - CURSOR_SHIFT) != 0 {
        return 0;
    }
    let items: Iter<'_, T> = tree.iter_from(tree.rank((cursor << CURSOR_SHIFT, &[])));
    let mut last = 0;
    for (given, item) in items.enumerate() {
        let position = hash(item) >> CURSOR_SHIFT;
        if given >= count && position != last {
            return position;
        }
        f(item);
        last = position;
    }
    0
}

/// What a field costs beyond its text, for tests of memory accounting.
pub const FIELD_BYTES: usize = allocated(size_of::<Field>());

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KEY: HashKey = HashKey(7, 9);

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    /// Everything that can be asked of `hash` says what the model says.
    fn check(hash: &Hash, model: &Model, seed: u64) {
        assert_eq!(hash.len(), model.len(), "seed {seed}");
        assert_eq!(hash.is_empty(), model.is_empty(), "seed {seed}");
        let mut all = Vec::new();
        hash.each(|name, value| all.push((name.to_vec(), value.to_vec())));
        for (index, pair) in all.iter().enumerate() {
            let nth = hash.nth(index, |name, value| (name.to_vec(), value.to_vec()));
            assert_eq!(nth.as_ref(), Some(pair), "seed {seed}");
        }
        assert_eq!(hash.nth(all.len(), |_, _| ()), None, "seed {seed}");
        let start = all.len() / 3;
        let mut tail = Vec::new();
        hash.each_from(start, |name, value| {
            tail.push((name.to_vec(), value.to_vec()));
            tail.len() < 5
        });
        assert_eq!(tail, &all[start..all.len().min(start + 5)], "seed {seed}");
        for (name, value) in model {
            assert_eq!(hash.get(&KEY, name, <[u8]>::to_vec).as_ref(), Some(value), "seed {seed}");
        }
        all.sort();
        assert!(all.iter().map(|(n, v)| (n, v)).eq(model.iter()), "seed {seed}");
    }

    /// Random edits beside a map, below and above the limit of the compact form, while a scan goes on: it gives every
    /// field that is there from its beginning to its end.
    #[test]
    fn equals_a_map() {
        for seed in 1..60u64 {
            let mut state = seed;
            let mut random = move |n: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % n
            };
            let limits = Limits { hash_entries: [4, 128, 0][seed as usize % 3], ..Limits::default() };
            let span = [6, 100, 2000][seed as usize / 3 % 3];
            let (mut hash, mut model) = (Hash::new(), Model::new());
            let (mut cursor, mut steady, mut scanned) = (0, Model::new(), Model::new());
            for step in 0..2000u64 {
                let name =
                    if random(2) == 0 { random(span).to_string() } else { format!("f{}", random(span)) };
                let name = name.as_bytes();
                if random(10) < if step / 700 % 2 == 0 { 8 } else { 3 } {
                    let value = vec![
                        b'0' + random(10) as u8;
                        if random(400) == 0 { 65 } else { random(12) as usize }
                    ];
                    assert_eq!(
                        hash.set(&KEY, &limits, name, &value),
                        model.insert(name.to_vec(), value).is_none(),
                        "seed {seed} step {step}"
                    );
                } else {
                    assert_eq!(
                        hash.remove(&KEY, name),
                        model.remove(name).is_some(),
                        "seed {seed} step {step}"
                    );
                    steady.remove(name);
                }
                if step % 20 == 0 {
                    if cursor == 0 {
                        assert!(
                            steady.keys().all(|name| scanned.contains_key(name)),
                            "seed {seed} step {step}"
                        );
                        (steady, scanned) = (model.clone(), Model::new());
                    }
                    cursor = hash.scan(cursor, 10, |name, value| {
                        scanned.insert(name.to_vec(), value.to_vec());
                    });
                    assert!(cursor < 1 << 53, "seed {seed} step {step}");
                }
                if step % 400 == 0 {
                    check(&hash, &model, seed);
                }
            }
            check(&hash, &model, seed);
            for name in model.keys() {
                assert!(hash.remove(&KEY, name), "seed {seed}");
            }
            check(&hash, &Model::new(), seed);
        }
    }

    #[test]
    fn a_scan_gives_each_field_once() {
        let limits = Limits { hash_entries: 128, ..Limits::default() };
        let mut hash = Hash::new();
        (0..1000).for_each(|i: u32| {
            hash.set(&KEY, &limits, i.to_string().as_bytes(), b"v");
        });
        let (mut found, mut cursor, mut turns) = (Vec::new(), 0, 0);
        loop {
            cursor = hash.scan(cursor, 10, |name, _| found.push(name.to_vec()));
            turns += 1;
            if cursor == 0 {
                break;
            }
        }
        let given = found.len();
        found.sort();
        found.dedup();
        assert_eq!((given, found.len(), turns), (1000, 1000, 100));
        assert_eq!(hash.scan(u64::MAX, 10, |_, _| panic!("no position is so far")), 0);
    }

    #[test]
    fn changes_form_at_the_limits() {
        let limits = Limits { hash_entries: 128, hash_value: 64, ..Limits::default() };
        let mut hash = Hash::new();
        for i in 0..128 {
            hash.set(&KEY, &limits, i.to_string().as_bytes(), b"v");
        }
        hash.set(&KEY, &limits, b"5", &[b'x'; 64]);
        assert_eq!(hash.encoding(), "listpack");
        let mut long = hash.clone();
        hash.set(&KEY, &limits, b"new", b"v");
        assert_eq!(hash.encoding(), "hashtable");
        long.set(&KEY, &limits, b"5", &[b'x'; 65]);
        assert_eq!((long.encoding(), long.len()), ("hashtable", 128));
        let mut loaded = Hash::new();
        loaded.make_table(&KEY);
        assert_eq!(loaded.encoding(), "hashtable");
    }
}
