//! Sorted sets: a listpack of members and scores while small; once large two trees that share the members' text,
//! one in the order of scores, one in the order of the members' hash.

use std::cmp::Ordering;

use crate::bytes::Bytes;
use crate::digits;
use crate::hash::{compare_hashed, scan_by_hash};
use crate::listpack::{Item as PackedItem, Listpack};
use crate::size::allocated;
use crate::thin::ThinBox;
use crate::tree::{Item, Tree};
use crate::value::{HashKey, Limits};

/// A set of members, each with a score, ordered by score and then by member.
#[derive(Clone)]
pub struct Zset(Form);

#[derive(Clone)]
enum Form {
    Packed(Listpack),
    Trees(ThinBox<Trees>),
}

#[derive(Clone)]
struct Trees {
    by_score: Tree<Ranked>,
    by_member: Tree<Scored>,
}

/// A score as a key: never NaN, and -0 equals 0.
#[derive(Clone, Copy, PartialEq)]
struct Score(f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.partial_cmp(&other.0).expect("a score is never NaN")
    }
}

#[derive(Clone)]
struct Ranked {
    score: Score,
    name: Bytes,
}

impl Item for Ranked {
    type Key<'a> = (Score, &'a [u8]);
    type Sep = Self;

    fn key(&self) -> (Score, &[u8]) {
        (self.score, &self.name)
    }

    fn sep(&self) -> Self {
        self.clone()
    }

    fn compare(&self, (score, name): (Score, &[u8])) -> Ordering {
        self.score.cmp(&score).then_with(|| (*self.name).cmp(name))
    }

    fn compare_sep(sep: &Self, key: (Score, &[u8])) -> Ordering {
        sep.compare(key)
    }

    fn heap_bytes(&self) -> usize {
        // The other tree holds the same text and counts it.
        0
    }
}

#[derive(Clone)]
struct Scored {
    hash: u64,
    name: Bytes,
    score: f64,
}

impl Item for Scored {
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

impl Default for Zset {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

/// The score as a listpack holds it: the shortest text that reads back the same, with an exponent where that is
/// shorter by much.
fn score_text(score: f64) -> Vec<u8> {
    let plain = score == 0.0 || (1e-5..1e17).contains(&score.abs()) || score.is_infinite();
    if plain { format!("{score}") } else { format!("{score:e}") }.into_bytes()
}

/// Redis forgets the sign of zero in its listpack, and keeps it in a skip list. Here a value does not depend on its form,
/// or it would not be the same after a restart.
fn without_sign_of_zero(score: f64) -> f64 {
    if score == 0.0 { 0.0 } else { score }
}

fn packed_score(item: PackedItem<'_>) -> f64 {
    match item {
        PackedItem::Int(n) => n as f64,
        PackedItem::Str(text) => without_sign_of_zero(digits::parse_f64(text).unwrap_or(0.0)),
    }
}

impl Zset {
    /// An empty sorted set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sorted set over a listpack of alternating members and scores, already checked for order and duplicates.
    pub fn from_listpack(packed: Listpack) -> Self {
        Self(Form::Packed(packed))
    }

    /// The compact form, where the sorted set has it.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(packed) => Some(packed),
            Form::Trees(_) => None,
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Trees(trees) => trees.by_score.len(),
        }
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Trees(_) => "skiplist",
        }
    }

    /// Memory behind the sorted set.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_bytes(),
            Form::Trees(trees) => {
                allocated(size_of::<Trees>()) + trees.by_score.heap_bytes() + trees.by_member.heap_bytes()
            }
        }
    }

    /// A member's score.
    pub fn score(&self, key: &HashKey, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Packed(packed) => {
                let at = packed.next(packed.find(member, 1)?).expect("members have scores");
                Some(packed_score(packed.at(at)))
            }
            Form::Trees(trees) => trees.by_member.get((key.hash(member), member)).map(|m| m.score),
        }
    }

    /// Adds a member or changes its score; true if it is new.
    pub fn add(&mut self, key: &HashKey, limits: &Limits, score: f64, member: &[u8]) -> bool {
        let score = without_sign_of_zero(score);
        if let Form::Packed(packed) = &mut self.0 {
            let found = packed.find(member, 1);
            if let Some(at) = found {
                packed.remove_range(at, 2);
            }
            let fits = packed.len() / 2 < limits.zset_entries && member.len() <= limits.zset_value;
            if found.is_some() || fits {
                insert_packed(packed, score, member);
                return found.is_none();
            }
            self.make_trees(key);
        }
        let Form::Trees(trees) = &mut self.0 else { unreachable!("turned into trees above") };
        let Trees { by_score, by_member } = &mut **trees;
        let hash = key.hash(member);
        match by_member.find((hash, member)) {
            Ok(path) => {
                let (old, name) =
                    by_member.update_at(path, |m| (std::mem::replace(&mut m.score, score), m.name.clone()));
                by_score.remove((Score(old), member));
                by_score.insert(Ranked { score: Score(score), name });
                false
            }
            Err(path) => {
                let name = Bytes::new(member);
                by_member.insert_at(path, Scored { hash, name: name.clone(), score });
                by_score.insert(Ranked { score: Score(score), name });
                true
            }
        }
    }

    /// Removes a member; its score.
    pub fn remove(&mut self, key: &HashKey, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Packed(packed) => {
                let at = packed.find(member, 1)?;
                let score = packed_score(packed.at(packed.next(at).expect("members have scores")));
                packed.remove_range(at, 2);
                Some(score)
            }
            Form::Trees(trees) => {
                let old = trees.by_member.remove((key.hash(member), member))?;
                trees.by_score.remove((Score(old.score), member));
                Some(old.score)
            }
        }
    }

    /// Takes the form of trees even when small.
    pub fn make_trees(&mut self, key: &HashKey) {
        if matches!(self.0, Form::Trees(_)) {
            return;
        }
        let (mut by_score, mut by_member) = (Tree::new(), Tree::new());
        self.each(|score, member| {
            let name = Bytes::new(member);
            by_member.insert(Scored { hash: key.hash(member), name: name.clone(), score });
            by_score.insert(Ranked { score: Score(score), name });
        });
        self.0 = Form::Trees(ThinBox::new(Trees { by_score, by_member }));
    }

    /// Number of members before the first for which `below(score, member)` is false; `below` must be true for a
    /// prefix of the order of all possible members only. This is how every range by score or by member finds its ends.
    pub fn partition(&self, mut below: impl FnMut(f64, &[u8]) -> bool) -> usize {
        match &self.0 {
            Form::Packed(_) => {
                let mut count = 0;
                self.each_from(0, |score, member| {
                    let goes_on = below(score, member);
                    count += usize::from(goes_on);
                    goes_on
                });
                count
            }
            Form::Trees(trees) => trees.by_score.partition(|item| below(item.score.0, &item.name)),
        }
    }

    /// A member's place in the order, from 0, and its score.
    pub fn rank(&self, key: &HashKey, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(key, member)?;
        match &self.0 {
            Form::Packed(_) => {
                let mut rank = 0;
                self.each_from(0, |_, m| {
                    let goes_on = m != member;
                    rank += usize::from(goes_on);
                    goes_on
                });
                Some((rank, score))
            }
            Form::Trees(trees) => Some((trees.by_score.rank((Score(score), member)), score)),
        }
    }

    /// Calls `f(score, member)` from place `start` on, until it returns false.
    pub fn each_from(&self, start: usize, mut f: impl FnMut(f64, &[u8]) -> bool) {
        match &self.0 {
            Form::Packed(packed) => {
                let mut items = packed.iter().skip(start * 2);
                while let (Some(member), Some(score)) = (items.next(), items.next()) {
                    if !f(packed_score(score), member.as_slice(&mut [0; 21])) {
                        return;
                    }
                }
            }
            Form::Trees(trees) => {
                let _ = trees.by_score.iter_from(start).all(|item| f(item.score.0, &item.name));
            }
        }
    }

    /// Calls `f(score, member)` from place `start` down to the first, until it returns false.
    pub fn each_back_from(&self, start: usize, mut f: impl FnMut(f64, &[u8]) -> bool) {
        match &self.0 {
            Form::Packed(packed) => {
                let mut items = packed.iter().rev().skip((self.len() - 1 - start.min(self.len() - 1)) * 2);
                while let (Some(score), Some(member)) = (items.next(), items.next()) {
                    if !f(packed_score(score), member.as_slice(&mut [0; 21])) {
                        return;
                    }
                }
            }
            Form::Trees(trees) => {
                let _ = trees.by_score.iter_back(start).all(|item| f(item.score.0, &item.name));
            }
        }
    }

    /// Calls `f(score, member)` with the member at place `index`; the compact form walks there.
    pub fn nth<R>(&self, index: usize, f: impl FnOnce(f64, &[u8]) -> R) -> Option<R> {
        match &self.0 {
            Form::Packed(packed) => {
                let at = packed.seek(index * 2)?;
                let score = packed_score(packed.at(packed.next(at).expect("members have scores")));
                Some(f(score, packed.at(at).as_slice(&mut [0; 21])))
            }
            Form::Trees(trees) => trees.by_score.nth(index).map(|item| f(item.score.0, &item.name)),
        }
    }

    /// Calls `f(score, member)` for every member in order.
    pub fn each(&self, mut f: impl FnMut(f64, &[u8])) {
        self.each_from(0, |score, member| {
            f(score, member);
            true
        });
    }

    /// One turn of ZSCAN; see [`crate::Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(f64, &[u8])) -> u64 {
        match &self.0 {
            Form::Packed(_) => {
                self.each(f);
                0
            }
            Form::Trees(trees) => {
                scan_by_hash(&trees.by_member, cursor, count, |m| m.hash, |m| f(m.score, &m.name))
            }
        }
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        let Form::Trees(trees) = self.0 else { return None };
        let Trees { by_score, by_member } = trees.into_inner();
        let (mut first, mut second) = (by_score.dismantle(), by_member.dismantle());
        Some(Box::new(move |nodes| first.free(nodes) || second.free(nodes)))
    }
}

fn insert_packed(packed: &mut Listpack, score: f64, member: &[u8]) {
    let text = score_text(score);
    let mut at = packed.seek(0);
    while let Some(here) = at {
        let score_at = packed.next(here).expect("members have scores");
        let order = score.partial_cmp(&packed_score(packed.at(score_at))).expect("a score is never NaN");
        if order == Ordering::Less
            || order == Ordering::Equal && member < packed.at(here).as_slice(&mut [0; 21])
        {
            packed.insert_before(here, member);
            let score_at = packed.next(here).expect("the old item follows");
            packed.insert_before(score_at, &text);
            return;
        }
        at = packed.next(score_at);
    }
    packed.push_back(member);
    packed.push_back(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey(7, 9);

    fn check(zset: &Zset, model: &[(f64, Vec<u8>)], seed: u64) {
        assert_eq!(zset.len(), model.len(), "seed {seed}");
        let mut all = Vec::new();
        zset.each(|score, member| all.push((score, member.to_vec())));
        assert_eq!(all, model, "seed {seed}");
        for (rank, (score, member)) in model.iter().enumerate() {
            assert_eq!(zset.score(&KEY, member), Some(*score), "seed {seed}");
            assert_eq!(zset.rank(&KEY, member), Some((rank, *score)), "seed {seed}");
            assert!(
                zset.nth(rank, |s, m| s == *score && m == member).expect("the place is below the length")
            );
        }
        for start in [0, model.len() / 3, model.len().saturating_sub(1), model.len()] {
            let (mut forth, mut back) = (Vec::new(), Vec::new());
            zset.each_from(start, |score, member| {
                forth.push((score, member.to_vec()));
                true
            });
            assert_eq!(forth, &model[start..], "seed {seed}");
            if start < model.len() {
                zset.each_back_from(start, |score, member| {
                    back.push((score, member.to_vec()));
                    true
                });
                back.reverse();
                assert_eq!(back, &model[..=start], "seed {seed}");
            }
        }
        for (score, member) in model.iter().step_by(7) {
            let by_score = model.partition_point(|(s, _)| s < score);
            assert_eq!(zset.partition(|s, _| s < *score), by_score, "seed {seed}");
            let by_both = model.partition_point(|(s, m)| (*s, m) <= (*score, member));
            assert_eq!(zset.partition(|s, m| (s, m) <= (*score, &member[..])), by_both, "seed {seed}");
        }
    }

    /// Random edits beside a sorted vector, below and above the limit of the compact form.
    #[test]
    fn equals_a_sorted_vector() {
        for seed in 1..60u64 {
            let mut state = seed;
            let mut random = move |n: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % n
            };
            let limits = Limits { zset_entries: [4, 128, 0][seed as usize % 3], ..Limits::default() };
            let span = [6, 100, 2000][seed as usize / 3 % 3];
            let mut zset = Zset::new();
            let mut model: Vec<(f64, Vec<u8>)> = Vec::new();
            for step in 0..2000u64 {
                let member = match random(3) {
                    0 => random(span).to_string(),
                    1 => format!("member:{}", random(span)),
                    _ => format!("{}", random(span) as f64 / 8.0),
                };
                let member = member.as_bytes();
                let found = model.iter().position(|(_, m)| m == member);
                let old = found.map(|i| model.remove(i).0);
                if random(10) < if step / 700 % 2 == 0 { 8 } else { 3 } {
                    let score = match random(20) {
                        0 => f64::INFINITY,
                        1 => f64::NEG_INFINITY,
                        2 => 1e300 / (random(9) as f64 + 1.0),
                        3 => -1e-7 * random(9) as f64,
                        _ => random(30) as f64 / 4.0 - 3.0,
                    };
                    assert_eq!(
                        zset.add(&KEY, &limits, score, member),
                        old.is_none(),
                        "seed {seed} step {step}"
                    );
                    let at = model.partition_point(|(s, m)| (*s, &m[..]) < (score, member));
                    model.insert(at, (score, member.to_vec()));
                } else {
                    assert_eq!(zset.remove(&KEY, member), old, "seed {seed} step {step}");
                }
                if step % 400 == 0 {
                    check(&zset, &model, seed);
                }
            }
            check(&zset, &model, seed);
            let mut all = Vec::new();
            let mut cursor = 0;
            loop {
                cursor = zset.scan(cursor, 10, |score, member| all.push((score, member.to_vec())));
                if cursor == 0 {
                    break;
                }
            }
            all.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
            assert_eq!(all, model, "seed {seed}");
        }
    }

    #[test]
    fn changes_form_at_the_limits() {
        let mut zset = Zset::new();
        for i in 0..128 {
            zset.add(&KEY, &Limits::default(), f64::from(i), i.to_string().as_bytes());
        }
        assert_eq!(zset.encoding(), "listpack");
        zset.add(&KEY, &Limits::default(), 5.5, b"5");
        assert_eq!(zset.encoding(), "listpack");
        zset.add(&KEY, &Limits::default(), 0.0, b"new");
        assert_eq!(zset.encoding(), "skiplist");
        let mut zset = Zset::new();
        zset.add(&KEY, &Limits::default(), 0.0, &[b'x'; 65]);
        assert_eq!(zset.encoding(), "skiplist");
    }
}
