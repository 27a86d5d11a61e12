//! Sets: sorted integers or a listpack while small, a tree in the order of the members' hash once large.

use std::cmp::Ordering;

use crate::bytes::Bytes;
use crate::digits;
use crate::hash::{compare_hashed, scan_by_hash};
use crate::intset::Intset;
use crate::listpack::Listpack;
use crate::tree::{Item, Tree};
use crate::value::{HashKey, Limits};

/// A set of byte strings.
#[derive(Clone)]
pub struct Set(Form);

#[derive(Clone)]
enum Form {
    Ints(Intset),
    Packed(Listpack),
    Table(Tree<Member>),
}

#[derive(Clone)]
struct Member {
    hash: u64,
    name: Bytes,
}

impl Item for Member {
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
        self.name.heap_bytes()
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(Form::Ints(Intset::new()))
    }
}

impl Set {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set over integers, as a payload holds them.
    pub fn from_intset(ints: Intset) -> Self {
        Self(Form::Ints(ints))
    }

    /// A set over a listpack of members, already checked for duplicates.
    pub fn from_listpack(packed: Listpack) -> Self {
        Self(Form::Packed(packed))
    }

    /// The integers, where the set has that form.
    pub fn as_intset(&self) -> Option<&Intset> {
        match &self.0 {
            Form::Ints(ints) => Some(ints),
            _ => None,
        }
    }

    /// The listpack, where the set has that form.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(packed) => Some(packed),
            _ => None,
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.len(),
            Form::Packed(packed) => packed.len(),
            Form::Table(tree) => tree.len(),
        }
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Ints(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Memory behind the set.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.heap_bytes(),
            Form::Packed(packed) => packed.heap_bytes(),
            Form::Table(tree) => tree.heap_bytes(),
        }
    }

    /// Whether it holds the member.
    pub fn contains(&self, key: &HashKey, member: &[u8]) -> bool {
        match &self.0 {
            Form::Ints(ints) => digits::parse_i64(member).is_some_and(|n| ints.contains(n)),
            Form::Packed(packed) => packed.find(member, 0).is_some(),
            Form::Table(tree) => tree.get((key.hash(member), member)).is_some(),
        }
    }

    /// Adds a member; true if it is new.
    pub fn add(&mut self, key: &HashKey, limits: &Limits, member: &[u8]) -> bool {
        if let Form::Ints(ints) = &mut self.0 {
            if let Some(n) = digits::parse_i64(member) {
                let added = ints.insert(n);
                if added && ints.len() > limits.set_intset_entries.min(1 << 30) {
                    self.leave_ints(key, limits, 0);
                }
                return added;
            }
            self.leave_ints(key, limits, member.len());
        }
        if let Form::Packed(packed) = &mut self.0 {
            if packed.find(member, 0).is_some() {
                return false;
            }
            if packed.len() < limits.set_entries && member.len() <= limits.set_value {
                packed.push_back(member);
                return true;
            }
            self.make_table(key);
        }
        let Form::Table(tree) = &mut self.0 else { unreachable!("turned into a table above") };
        let hash = key.hash(member);
        match tree.find((hash, member)) {
            Ok(_) => false,
            Err(path) => {
                tree.insert_at(path, Member { hash, name: Bytes::new(member) });
                true
            }
        }
    }

    /// Removes a member; true if it was there.
    pub fn remove(&mut self, key: &HashKey, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => digits::parse_i64(member).is_some_and(|n| ints.remove(n)),
            Form::Packed(packed) => match packed.find(member, 0) {
                Some(at) => {
                    packed.remove_range(at, 1);
                    true
                }
                None => false,
            },
            Form::Table(tree) => tree.remove((key.hash(member), member)).is_some(),
        }
    }

    /// Leaves the integer form for a listpack, or for a table where a listpack may not hold what comes.
    fn leave_ints(&mut self, key: &HashKey, limits: &Limits, member_len: usize) {
        let Form::Ints(ints) = &self.0 else { return };
        let longest = ints.iter().map(|n| digits::format_i64(n, &mut [0; 21]).len()).max().unwrap_or(0);
        if ints.len() < limits.set_entries && longest.max(member_len) <= limits.set_value {
            let mut packed = Listpack::new();
            for n in ints.iter() {
                packed.push_back(digits::format_i64(n, &mut [0; 21]));
            }
            self.0 = Form::Packed(packed);
        } else {
            self.make_table(key);
        }
    }

    /// Takes the table form even when small, as a load that meets a long member does.
    pub fn make_table(&mut self, key: &HashKey) {
        if matches!(self.0, Form::Table(_)) {
            return;
        }
        let mut tree = Tree::new();
        self.each(|member| {
            tree.insert(Member { hash: key.hash(member), name: Bytes::new(member) });
        });
        self.0 = Form::Table(tree);
    }

    /// Calls `f` with member number `index`, in the set's own order.
    pub fn nth<R>(&self, index: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match &self.0 {
            Form::Ints(ints) => ints.get(index).map(|n| f(digits::format_i64(n, &mut [0; 21]))),
            Form::Packed(packed) => packed.seek(index).map(|at| f(packed.at(at).as_slice(&mut [0; 21]))),
            Form::Table(tree) => tree.nth(index).map(|m| f(&m.name)),
        }
    }

    /// Calls `f` for every member from number `start` on, until it returns false.
    pub fn each_from(&self, start: usize, mut f: impl FnMut(&[u8]) -> bool) {
        match &self.0 {
            Form::Ints(ints) => {
                let _ = ints.iter().skip(start).all(|n| f(digits::format_i64(n, &mut [0; 21])));
            }
            Form::Packed(packed) => {
                let _ = packed.iter().skip(start).all(|item| f(item.as_slice(&mut [0; 21])));
            }
            Form::Table(tree) => {
                let _ = tree.iter_from(start).all(|member| f(&member.name));
            }
        }
    }

    /// Calls `f` for every member.
    pub fn each(&self, mut f: impl FnMut(&[u8])) {
        self.each_from(0, |member| {
            f(member);
            true
        });
    }

    /// One turn of SSCAN; see [`crate::Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&[u8])) -> u64 {
        match &self.0 {
            Form::Table(tree) => scan_by_hash(tree, cursor, count, |m| m.hash, |m| f(&m.name)),
            _ => {
                self.each(f);
                0
            }
        }
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        let Form::Table(tree) = self.0 else { return None };
        let mut parts = tree.dismantle();
        Some(Box::new(move |nodes| parts.free(nodes)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KEY: HashKey = HashKey(7, 9);

    type Model = BTreeSet<Vec<u8>>;

    /// Everything that can be asked of `set` says what the model says.
    fn check(set: &Set, model: &Model, seed: u64) {
        assert_eq!(set.len(), model.len(), "seed {seed}");
        assert_eq!(set.is_empty(), model.is_empty(), "seed {seed}");
        let mut all = Vec::new();
        set.each(|member| all.push(member.to_vec()));
        for (index, member) in all.iter().enumerate() {
            assert_eq!(set.nth(index, <[u8]>::to_vec).as_ref(), Some(member), "seed {seed}");
        }
        assert_eq!(set.nth(all.len(), |_| ()), None, "seed {seed}");
        let start = all.len() / 3;
        let mut tail = Vec::new();
        set.each_from(start, |member| {
            tail.push(member.to_vec());
            tail.len() < 5
        });
        assert_eq!(tail, &all[start..all.len().min(start + 5)], "seed {seed}");
        assert!(model.iter().all(|member| set.contains(&KEY, member)), "seed {seed}");
        all.sort();
        assert!(all.iter().eq(model.iter()), "seed {seed}");
    }

    /// Random edits beside an ordered set: integers only, texts only and both, below and above the limits, while a
    /// scan goes on: it gives every member that is there from its beginning to its end.
    #[test]
    fn equals_an_ordered_set() {
        for seed in 1..80u64 {
            let mut state = seed;
            let mut random = move |n: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % n
            };
            let limits = Limits {
                set_entries: [4, 128, 0][seed as usize % 3],
                set_intset_entries: [512, 8, 0, 100][seed as usize % 4],
                ..Limits::default()
            };
            let span = [6, 100, 2000][seed as usize / 3 % 3];
            let texts = [0, 1, 300, 2][seed as usize / 9 % 4];
            let (mut set, mut model) = (Set::new(), Model::new());
            let (mut cursor, mut steady, mut scanned) = (0, Model::new(), Model::new());
            for step in 0..2000u64 {
                let number = random(span);
                let member = match texts {
                    1.. if random(texts) == 0 => {
                        format!("{:01$}m", number, if random(300) == 0 { 70 } else { 0 })
                    }
                    _ => (number as i64 - 3)
                        .saturating_mul([1, 40_000, i64::MAX][random(3) as usize])
                        .to_string(),
                };
                let member = member.as_bytes();
                assert_eq!(set.contains(&KEY, member), model.contains(member), "seed {seed} step {step}");
                if random(10) < if step / 700 % 2 == 0 { 8 } else { 3 } {
                    let added = model.insert(member.to_vec());
                    assert_eq!(set.add(&KEY, &limits, member), added, "seed {seed} step {step}");
                } else {
                    assert_eq!(set.remove(&KEY, member), model.remove(member), "seed {seed} step {step}");
                    steady.remove(member);
                }
                if step % 20 == 0 {
                    if cursor == 0 {
                        assert!(steady.is_subset(&scanned), "seed {seed} step {step}");
                        (steady, scanned) = (model.clone(), Model::new());
                    }
                    cursor = set.scan(cursor, 10, |member| {
                        scanned.insert(member.to_vec());
                    });
                    assert!(cursor < 1 << 53, "seed {seed} step {step}");
                }
                if step % 400 == 0 {
                    check(&set, &model, seed);
                }
            }
            check(&set, &model, seed);
        }
    }

    /// The form of a set after `members` were added in order.
    fn check_form(members: impl IntoIterator<Item = String>, expected: &str) {
        let mut set = Set::new();
        for member in members {
            set.add(&KEY, &Limits::default(), member.as_bytes());
        }
        assert_eq!(set.encoding(), expected);
    }

    #[test]
    fn changes_form_at_the_limits() {
        let numbers = |count: u32| (0..count).map(|n| n.to_string());
        let one = |text: &str| std::iter::once(text.to_owned());
        check_form(numbers(512), "intset");
        check_form(numbers(513), "hashtable");
        check_form(numbers(127).chain(one("x")), "listpack");
        check_form(numbers(128).chain(one("x")), "hashtable");
        check_form(one("x").chain(numbers(127)), "listpack");
        check_form(one("x").chain(numbers(128)), "hashtable");
        check_form(one("x").chain(numbers(127)).chain(one("x")), "listpack");
        check_form(numbers(3).chain(one(&"x".repeat(64))), "listpack");
        check_form(numbers(3).chain(one(&"x".repeat(65))), "hashtable");
        check_form(one("01"), "listpack");
    }
}
