//! Lists: one listpack while small, a tree of listpacks once large.

use std::cmp::Ordering;

use crate::listpack::Listpack;
use crate::tree::{Item, Tree};
use crate::value::Limits;

/// A sequence of byte strings.
#[derive(Clone)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    Packed(Listpack),
    Nodes(Tree<Node>),
}

#[derive(Clone)]
struct Node(Listpack);

impl Item for Node {
    type Key<'a> = ();
    type Sep = ();

    fn key(&self) {}

    fn sep(&self) {}

    fn compare(&self, (): ()) -> Ordering {
        Ordering::Equal
    }

    fn compare_sep((): &(), (): ()) -> Ordering {
        Ordering::Equal
    }

    fn weight(&self) -> usize {
        self.0.len()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// Most elements of a node where `list-max-listpack-size` gives bytes: splitting one stays cheap.
const NODE_ELEMENTS_MAX: usize = 2048;

/// Whether a node may take `more` bytes in one more element.
fn fits(limits: &Limits, node: &Listpack, more: usize) -> bool {
    match limits.list_size {
        size @ -5..=-1 => node.byte_len() + more + 11 <= 2048 << -size && node.len() < NODE_ELEMENTS_MAX,
        size => node.len() < size.max(1) as usize && node.byte_len() + more + 11 <= 8192,
    }
}

impl Default for List {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one listpack of a small list.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(packed) => Some(packed),
            Form::Nodes(_) => None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len(),
            Form::Nodes(tree) => tree.weight(),
        }
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Nodes(_) => "quicklist",
        }
    }

    /// Memory behind the list.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.heap_bytes(),
            Form::Nodes(tree) => tree.heap_bytes(),
        }
    }

    /// The listpacks in order, as a payload holds them.
    pub fn nodes(&self) -> Vec<&Listpack> {
        match &self.0 {
            Form::Packed(packed) => vec![packed],
            Form::Nodes(tree) => tree.iter().map(|node| &node.0).collect(),
        }
    }

    /// A list over these listpacks, none of them empty.
    pub fn from_nodes(limits: &Limits, mut nodes: Vec<Listpack>) -> Self {
        if nodes.len() == 1 && nodes[0].is_empty() || nodes.len() == 1 && fits(limits, &nodes[0], 0) {
            return Self(Form::Packed(nodes.remove(0)));
        }
        let mut tree = Tree::new();
        nodes.into_iter().for_each(|node| tree.push(Node(node)));
        Self(Form::Nodes(tree))
    }

    /// Adds an element at the head or the tail.
    pub fn push(&mut self, limits: &Limits, left: bool, value: &[u8]) {
        let at = if left { 0 } else { self.len() };
        self.insert(limits, at, value);
    }

    /// Inserts before the element at `index`; at the end if `index` is the length.
    pub fn insert(&mut self, limits: &Limits, index: usize, value: &[u8]) {
        if let Form::Packed(packed) = &mut self.0 {
            if fits(limits, packed, value.len()) {
                insert_packed(packed, index, value);
                return;
            }
            self.make_nodes();
        }
        let Form::Nodes(tree) = &mut self.0 else { unreachable!("turned into nodes above") };
        if tree.is_empty() {
            tree.push(one(value));
            return;
        }
        // At a border the element before it is as good a neighbour: appending fills the last node.
        let (path, offset) = match index {
            0 => (tree.path_at(0), 0),
            _ => {
                let (path, offset) = tree.path_at_weight(index - 1);
                (path, offset + 1)
            }
        };
        let node = tree.at(path).expect("the list is not empty");
        if fits(limits, &node.0, value.len()) {
            tree.update_at(path, |node| insert_packed(&mut node.0, offset, value));
            return;
        }
        let place = tree.index_of(path);
        if offset == 0 {
            tree.insert_at(path, one(value));
        } else if offset == node.0.len() {
            tree.insert_at(tree.path_at(place + 1), one(value));
        } else {
            let rest = tree.update_at(path, |node| node.0.split_off(offset));
            tree.insert_at(tree.path_at(place + 1), Node(rest));
            let path = tree.path_at(place);
            if tree.at(path).is_some_and(|node| fits(limits, &node.0, value.len())) {
                tree.update_at(path, |node| node.0.push_back(value));
            } else {
                tree.insert_at(tree.path_at(place + 1), one(value));
            }
        }
    }

    /// Removes up to `count` elements from an end.
    pub fn pop(&mut self, left: bool, count: usize) {
        let len = self.len();
        let keep = len - count.min(len);
        self.trim(if left { len - keep } else { 0 }, keep);
    }

    /// Removes the element at `index`, if there is one.
    pub fn remove(&mut self, index: usize) {
        match &mut self.0 {
            Form::Packed(packed) => {
                if let Some(at) = packed.seek(index) {
                    packed.remove_range(at, 1);
                }
            }
            Form::Nodes(tree) => {
                if index >= tree.weight() {
                    return;
                }
                let (path, offset) = tree.path_at_weight(index);
                cut_node(tree, path, offset, 1);
            }
        }
        self.shrink();
    }

    /// Keeps `len` elements from `start` on.
    pub fn trim(&mut self, start: usize, len: usize) {
        let old = self.len();
        let start = start.min(old);
        let end = start.saturating_add(len).min(old);
        match &mut self.0 {
            Form::Packed(packed) => {
                if let Some(at) = packed.seek(end) {
                    packed.remove_range(at, old - end);
                }
                if let (Some(at), true) = (packed.seek(0), start > 0) {
                    packed.remove_range(at, start);
                }
            }
            Form::Nodes(tree) => {
                cut_front(tree, start);
                while tree.weight() > end - start {
                    let path = tree.path_at(tree.len() - 1);
                    let node_len = tree.at(path).map_or(0, Item::weight);
                    let cut = (tree.weight() - (end - start)).min(node_len);
                    cut_node(tree, path, node_len - cut, cut);
                }
            }
        }
        self.shrink();
    }

    /// Replaces the element at `index`, which must exist.
    pub fn set(&mut self, limits: &Limits, index: usize, value: &[u8]) {
        match &mut self.0 {
            Form::Packed(packed) if fits(limits, packed, value.len()) => {
                if let Some(at) = packed.seek(index) {
                    packed.replace(at, value);
                }
                return;
            }
            Form::Packed(_) => self.make_nodes(),
            Form::Nodes(_) => {}
        }
        let Form::Nodes(tree) = &mut self.0 else { unreachable!("turned into nodes above") };
        if index >= tree.weight() {
            return;
        }
        let (path, offset) = tree.path_at_weight(index);
        let roomy = tree.at(path).is_some_and(|node| fits(limits, &node.0, value.len()) || node.0.len() == 1);
        if roomy {
            tree.update_at(path, |node| {
                if let Some(at) = node.0.seek(offset) {
                    node.0.replace(at, value);
                }
            });
        } else {
            cut_node(tree, path, offset, 1);
            self.insert(limits, index, value);
        }
    }

    /// Calls `f` with the element at `index`.
    pub fn get<R>(&self, index: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (packed, offset) = match &self.0 {
            Form::Packed(packed) => (packed, index),
            Form::Nodes(tree) => {
                let (path, offset) = tree.path_at_weight(index);
                (&tree.at(path)?.0, offset)
            }
        };
        packed.seek(offset).map(|at| f(packed.at(at).as_slice(&mut [0; 21])))
    }

    /// Calls `f` for every element from `start` on, until it returns false.
    pub fn each_from(&self, start: usize, mut f: impl FnMut(&[u8]) -> bool) {
        let mut each = |packed: &Listpack, offset: usize| match packed.seek(offset) {
            Some(at) => packed.iter_from(at).all(|item| f(item.as_slice(&mut [0; 21]))),
            None => true,
        };
        match &self.0 {
            Form::Packed(packed) => {
                each(packed, start);
            }
            Form::Nodes(tree) => {
                let (path, offset) = tree.path_at_weight(start);
                let mut offset = offset;
                let _ = tree
                    .iter_from(tree.index_of(path))
                    .all(|node| each(&node.0, std::mem::take(&mut offset)));
            }
        }
    }

    /// Calls `f` for every element from `start` down to the head, until it returns false.
    pub fn each_back_from(&self, start: usize, mut f: impl FnMut(&[u8]) -> bool) {
        let mut each = |packed: &Listpack, offset: usize| {
            let mut at = packed.seek(offset);
            while let Some(here) = at {
                if !f(packed.at(here).as_slice(&mut [0; 21])) {
                    return false;
                }
                at = packed.prev(here);
            }
            true
        };
        match &self.0 {
            Form::Packed(packed) => {
                each(packed, start);
            }
            Form::Nodes(tree) => {
                if start >= tree.weight() {
                    return;
                }
                let (path, offset) = tree.path_at_weight(start);
                let mut offset = Some(offset);
                let _ = tree.iter_back(tree.index_of(path)).all(|node| {
                    let from = offset.take().unwrap_or(node.0.len() - 1);
                    each(&node.0, from)
                });
            }
        }
    }

    fn make_nodes(&mut self) {
        let Form::Packed(packed) = &mut self.0 else { return };
        let mut tree = Tree::new();
        if !packed.is_empty() {
            tree.push(Node(std::mem::take(packed)));
        }
        self.0 = Form::Nodes(tree);
    }

    /// Goes back to one listpack once the list is small: half the limit, so that it does not flap.
    fn shrink(&mut self) {
        let Form::Nodes(tree) = &mut self.0 else { return };
        if tree.is_empty() {
            self.0 = Form::Packed(Listpack::new());
        } else if tree.len() == 1 && tree.first().is_some_and(|node| node.0.byte_len() <= 4096) {
            let node = tree.remove_at(tree.path_at(0));
            self.0 = Form::Packed(node.0);
        }
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        let Form::Nodes(tree) = self.0 else { return None };
        let mut parts = tree.dismantle();
        Some(Box::new(move |nodes| parts.free(nodes)))
    }
}

fn one(value: &[u8]) -> Node {
    let mut packed = Listpack::new();
    packed.push_back(value);
    Node(packed)
}

fn insert_packed(packed: &mut Listpack, index: usize, value: &[u8]) {
    match packed.seek(index) {
        Some(at) => {
            packed.insert_before(at, value);
        }
        None => packed.push_back(value),
    }
}

fn cut_front(tree: &mut Tree<Node>, mut count: usize) {
    while count > 0 && !tree.is_empty() {
        let path = tree.path_at(0);
        let cut = tree.at(path).map_or(0, Item::weight).min(count);
        cut_node(tree, path, 0, cut);
        count -= cut;
    }
}

/// Removes elements of one node, and the node if none is left.
fn cut_node(tree: &mut Tree<Node>, path: crate::tree::Path, offset: usize, count: usize) {
    if tree.at(path).is_some_and(|node| node.0.len() == count) {
        tree.remove_at(path);
        return;
    }
    tree.update_at(path, |node| {
        if let Some(at) = node.0.seek(offset) {
            node.0.remove_range(at, count);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &List, model: &[Vec<u8>], seed: u64) {
        assert_eq!(list.len(), model.len(), "seed {seed}");
        assert!(list.is_empty() || list.nodes().iter().all(|node| !node.is_empty()), "seed {seed}");
        for start in [0, model.len() / 3, model.len().saturating_sub(1), model.len(), model.len() + 5] {
            let (mut forth, mut back) = (Vec::new(), Vec::new());
            list.each_from(start, |value| {
                forth.push(value.to_vec());
                true
            });
            assert_eq!(forth, &model[start.min(model.len())..], "seed {seed}");
            list.each_back_from(start, |value| {
                back.push(value.to_vec());
                true
            });
            back.reverse();
            assert_eq!(back, if start < model.len() { &model[..=start] } else { &[] }, "seed {seed}");
            assert_eq!(list.get(start, <[u8]>::to_vec), model.get(start).cloned(), "seed {seed}");
        }
    }

    /// Random edits beside a vector: nodes by count and by bytes, small and large elements.
    #[test]
    fn equals_a_vector() {
        for seed in 1..80u64 {
            let mut state = seed;
            let mut random = move |n: usize| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as usize % n
            };
            let limits = Limits { list_size: [-2, -1, 4, 1, 0, 128][seed as usize % 6], ..Limits::default() };
            let mut list = List::new();
            let mut model: Vec<Vec<u8>> = Vec::new();
            for step in 0..1500 {
                let value = match random(40) {
                    0 => vec![b'l'; random(10_000)],
                    1..10 => vec![b'm'; random(300)],
                    10..30 => random(100_000).to_string().into_bytes(),
                    _ => Vec::new(),
                };
                let growing = step / 500 % 2 == 0;
                let at = random(model.len() + 1);
                match random(12) {
                    0..4 if growing => {
                        let left = random(2) == 0;
                        list.push(&limits, left, &value);
                        model.insert(if left { 0 } else { model.len() }, value);
                    }
                    4..8 if growing => {
                        list.insert(&limits, at, &value);
                        model.insert(at, value);
                    }
                    0..4 => {
                        let (left, count) = (random(2) == 0, random(4));
                        list.pop(left, count);
                        let count = count.min(model.len());
                        let from = if left { 0 } else { model.len() - count };
                        model.drain(from..from + count);
                    }
                    4..8 if at < model.len() => {
                        list.remove(at);
                        model.remove(at);
                    }
                    8..11 if at < model.len() => {
                        list.set(&limits, at, &value);
                        model[at] = value;
                    }
                    11 if random(40) == 0 => {
                        let len = random(model.len() + 1);
                        list.trim(at, len);
                        let end = (at + len).min(model.len());
                        model = model[at..end].to_vec();
                    }
                    _ => {}
                }
                if step % 50 == 0 {
                    check(&list, &model, seed);
                }
            }
            check(&list, &model, seed);
            let nodes = list.nodes().into_iter().cloned().collect();
            check(&List::from_nodes(&limits, nodes), &model, seed);
        }
    }

    #[test]
    fn changes_form_at_the_limit_and_back() {
        let limits = Limits { list_size: 4, ..Limits::default() };
        let mut list = List::new();
        (0..4).for_each(|_| list.push(&limits, false, b"x"));
        assert_eq!(list.encoding(), "listpack");
        list.push(&limits, false, b"x");
        assert_eq!(list.encoding(), "quicklist");
        list.pop(true, 4);
        assert_eq!(list.encoding(), "listpack");
    }
}
