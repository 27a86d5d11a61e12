//! A counted B+ tree of reference-counted nodes: the one structure behind every large value.
//!
//! A clone is O(1) and shares all nodes; a write copies only the shared nodes on its path. So a snapshot keeps a
//! value of any size by cloning it, and the data thread pays for what it changes afterwards, never for the whole.
//!
//! The same tree serves as ordered map (sets, hashes, scores, streams: found by key) and as sequence (lists, long
//! strings: found by position). Finding gives a [`Path`]; editing takes one. Every inner node counts items and
//! weight below each child, so rank and position are O(log n).
//!
//! **Invariant**: all leaves have one depth; no node is empty except the root of an empty tree; `Child::sep` is at
//! most the key of the first item below it and greater than every key in the child before it.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::prefetch::prefetch;
use crate::size::allocated;
use crate::thin::ThinBox;

/// Most items in a leaf, and most children in an inner node.
pub const FANOUT: usize = 32;
/// A tree of this depth holds more items than memory can.
const DEPTH_MAX: usize = 12;

/// What a tree holds.
pub trait Item: Clone {
    /// The borrowed form that items are ordered by; `()` for sequences.
    type Key<'a>: Copy
    where
        Self: 'a;
    /// The owned form that inner nodes keep.
    type Sep: Clone;

    /// This item's place in the order.
    fn key(&self) -> Self::Key<'_>;
    /// An owned copy of the key.
    fn sep(&self) -> Self::Sep;
    /// Where this item stands to a key. Not by way of [`Item::key`], which may have to follow a pointer that the order
    /// seldom depends on.
    fn compare(&self, key: Self::Key<'_>) -> Ordering;
    /// The same of an owned copy of a key.
    fn compare_sep(sep: &Self::Sep, key: Self::Key<'_>) -> Ordering;
    /// How many positions the item covers (bytes of a chunk, elements of a listpack).
    fn weight(&self) -> usize {
        1
    }
    /// Memory behind the item, beside its place in the leaf.
    fn heap_bytes(&self) -> usize;
}

/// A counted, copy-on-write B+ tree.
/// One pointer, so that small values, which have no tree, are small too.
#[derive(Clone)]
pub struct Tree<T: Item>(ThinBox<Head<T>>);

#[derive(Clone)]
struct Head<T: Item> {
    root: Rc<Node<T>>,
    items: usize,
    weight: usize,
    item_bytes: usize,
    nodes: usize,
}

enum Node<T: Item> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

struct Child<T: Item> {
    sep: T::Sep,
    node: Rc<Node<T>>,
    items: usize,
    weight: usize,
}

/// Where an item is, or where one would be inserted: the child taken at each level, then the place in the leaf.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    at: [u8; DEPTH_MAX],
    depth: u8,
}

impl Path {
    const ROOT: Path = Path { at: [0; DEPTH_MAX], depth: 0 };

    fn push(&mut self, index: usize) {
        self.at[self.depth as usize] = index as u8;
        self.depth += 1;
    }

    fn steps(&self) -> &[u8] {
        &self.at[..self.depth as usize]
    }
}

impl<T: Item> Default for Tree<T> {
    fn default() -> Self {
        let root = Rc::new(Node::Leaf(Vec::new()));
        Self(ThinBox::new(Head { root, items: 0, weight: 0, item_bytes: 0, nodes: 1 }))
    }
}

impl<T: Item> Tree<T> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.0.items
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.items == 0
    }

    /// Sum of the items' weights.
    pub fn weight(&self) -> usize {
        self.0.weight
    }

    /// Memory of nodes and items, as the allocator counts it.
    pub fn heap_bytes(&self) -> usize {
        let head = allocated(size_of::<Head<T>>());
        let node = allocated(16 + size_of::<Node<T>>());
        if self.0.items == 0 {
            // The only node has no room for items yet.
            return head + node;
        }
        let leaf = node + allocated(FANOUT * size_of::<T>());
        head + self.0.nodes * leaf
            + self.0.nodes / FANOUT * allocated(FANOUT * size_of::<Child<T>>())
            + self.0.item_bytes
    }

    /// The first place whose key is at least `key`; `Ok` if it is equal. The path may stand behind a leaf's last item.
    pub fn find(&self, key: T::Key<'_>) -> Result<Path, Path> {
        let mut path = Path::ROOT;
        let mut node = &*self.0.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let index =
                        children.partition_point(|c| T::compare_sep(&c.sep, key).is_le()).saturating_sub(1);
                    path.push(index);
                    node = &children[index].node;
                }
                Node::Leaf(items) => {
                    // The search would wait for five of its lines one after the other.
                    prefetch(items.as_ptr(), size_of_val(&items[..]));
                    let index = items.partition_point(|i| i.compare(key).is_lt());
                    path.push(index);
                    let found = items.get(index).is_some_and(|i| i.compare(key).is_eq());
                    return if found { Ok(path) } else { Err(path) };
                }
            }
        }
    }

    /// The item with this key.
    pub fn get(&self, key: T::Key<'_>) -> Option<&T> {
        self.find(key).ok().and_then(|path| self.at(path))
    }

    /// Number of items with a key below `key`.
    pub fn rank(&self, key: T::Key<'_>) -> usize {
        let (Ok(path) | Err(path)) = self.find(key);
        self.index_of(path)
    }

    /// Number of items before `path`.
    pub fn index_of(&self, path: Path) -> usize {
        self.before(path, |c| c.items, |_| 1)
    }

    /// Sum of the weights before `path`.
    pub fn weight_before(&self, path: Path) -> usize {
        self.before(path, |c| c.weight, T::weight)
    }

    fn before(&self, path: Path, child: impl Fn(&Child<T>) -> usize, item: impl Fn(&T) -> usize) -> usize {
        let mut node = &*self.0.root;
        let mut sum = 0;
        for &step in path.steps() {
            match node {
                Node::Inner(children) => {
                    sum += children[..step as usize].iter().map(&child).sum::<usize>();
                    node = &children[step as usize].node;
                }
                Node::Leaf(items) => sum += items[..step as usize].iter().map(&item).sum::<usize>(),
            }
        }
        sum
    }

    /// The path of item number `index`; `index == len()` gives the place behind the last.
    pub fn path_at(&self, index: usize) -> Path {
        self.descend(index, |c| c.items, |_| 1).0
    }

    /// The path of the item that covers position `weight`, and the offset within it.
    pub fn path_at_weight(&self, weight: usize) -> (Path, usize) {
        self.descend(weight, |c| c.weight, T::weight)
    }

    fn descend(
        &self,
        mut left: usize,
        child: impl Fn(&Child<T>) -> usize,
        item: impl Fn(&T) -> usize,
    ) -> (Path, usize) {
        let mut path = Path::ROOT;
        let mut node = &*self.0.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let mut index = 0;
                    while index + 1 < children.len() && left >= child(&children[index]) {
                        left -= child(&children[index]);
                        index += 1;
                    }
                    path.push(index);
                    node = &children[index].node;
                }
                Node::Leaf(items) => {
                    let mut index = 0;
                    while index < items.len() && left >= item(&items[index]) {
                        left -= item(&items[index]);
                        index += 1;
                    }
                    path.push(index);
                    return (path, left);
                }
            }
        }
    }

    /// The item at `path`, if the path stands on one.
    pub fn at(&self, path: Path) -> Option<&T> {
        let mut node = &*self.0.root;
        for &step in path.steps() {
            match node {
                Node::Inner(children) => node = &children[step as usize].node,
                Node::Leaf(items) => return items.get(step as usize),
            }
        }
        None
    }

    /// Item number `index`.
    pub fn nth(&self, index: usize) -> Option<&T> {
        if index >= self.0.items { None } else { self.at(self.path_at(index)) }
    }

    /// The first item.
    pub fn first(&self) -> Option<&T> {
        self.nth(0)
    }

    /// The last item.
    pub fn last(&self) -> Option<&T> {
        self.0.items.checked_sub(1).and_then(|i| self.nth(i))
    }

    /// Items from number `index` on; `rev()` is not offered, see [`Tree::iter_back`].
    pub fn iter_from(&self, index: usize) -> Iter<'_, T> {
        Iter::new(self, index, self.0.items.saturating_sub(index))
    }

    /// All items in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_from(0)
    }

    /// Items from number `index` down to the first.
    pub fn iter_back(&self, index: usize) -> IterBack<'_, T> {
        IterBack::new(self, index)
    }

    /// Inserts by key; returns the item that had the same key.
    pub fn insert(&mut self, item: T) -> Option<T> {
        match self.find(item.key()) {
            Ok(path) => Some(self.replace_at(path, item)),
            Err(path) => {
                self.insert_at(path, item);
                None
            }
        }
    }

    /// Removes by key.
    pub fn remove(&mut self, key: T::Key<'_>) -> Option<T> {
        let path = self.find(key).ok()?;
        Some(self.remove_at(path))
    }

    /// Appends behind the last item; the caller vouches for the order.
    pub fn push(&mut self, item: T) {
        self.insert_at(self.path_at(self.0.items), item);
    }

    /// Puts another item, of equal key, in an item's place and returns the old one.
    pub fn replace_at(&mut self, path: Path, item: T) -> T {
        self.update_at(path, |slot| std::mem::replace(slot, item))
    }

    /// Lets `edit` change the item at `path` without moving it in the order.
    ///
    /// # Panics
    /// If the path stands on no item.
    pub fn update_at<R>(&mut self, path: Path, edit: impl FnOnce(&mut T) -> R) -> R {
        let (result, weight, bytes) = Rc::make_mut(&mut self.0.root).update(path.steps(), |item| {
            let (weight, bytes) = (item.weight() as isize, item.heap_bytes() as isize);
            let result = edit(item);
            (result, item.weight() as isize - weight, item.heap_bytes() as isize - bytes)
        });
        self.0.weight = self.0.weight.wrapping_add_signed(weight);
        self.0.item_bytes = self.0.item_bytes.wrapping_add_signed(bytes);
        result
    }

    /// Inserts before the item at `path`.
    pub fn insert_at(&mut self, path: Path, item: T) {
        self.0.items += 1;
        self.0.weight += item.weight();
        self.0.item_bytes += item.heap_bytes();
        let head = &mut *self.0;
        let root = Rc::make_mut(&mut head.root);
        let Some(right) = root.insert(path.steps(), item, &mut head.nodes) else { return };
        let right = Child::of(right);
        let left = std::mem::replace(root, Node::Inner(Vec::with_capacity(FANOUT)));
        if let Node::Inner(children) = root {
            children.extend([Child::of(left), right]);
        }
        head.nodes += 1;
    }

    /// Removes the item at `path`.
    ///
    /// # Panics
    /// If the path stands on no item.
    pub fn remove_at(&mut self, path: Path) -> T {
        let head = &mut *self.0;
        let item = Rc::make_mut(&mut head.root).remove(path.steps(), &mut head.nodes);
        head.items -= 1;
        head.weight -= item.weight();
        head.item_bytes -= item.heap_bytes();
        loop {
            let only = match &*head.root {
                Node::Inner(children) if children.len() == 1 => Rc::clone(&children[0].node),
                _ => break,
            };
            head.root = only;
            head.nodes -= 1;
        }
        item
    }

    /// Takes the tree apart a few nodes at a time, so that freeing a large value never stalls.
    pub fn dismantle(self) -> Dismantle<T> {
        Dismantle { stack: vec![self.0.into_inner().root] }
    }
}

impl<T: Item<Sep = T>> Tree<T> {
    /// Number of items before the first for which `below` is false, in one descent; `below` must be true for a prefix
    /// of the order only, separators of removed items included. Needs items that are their own separators.
    pub fn partition(&self, mut below: impl FnMut(&T) -> bool) -> usize {
        let mut node = &*self.0.root;
        let mut before = 0;
        loop {
            match node {
                Node::Inner(children) => {
                    let index = children.partition_point(|c| below(&c.sep)).saturating_sub(1);
                    before += children[..index].iter().map(|c| c.items).sum::<usize>();
                    node = &children[index].node;
                }
                Node::Leaf(items) => return before + items.partition_point(below),
            }
        }
    }
}

impl<T: Item> Node<T> {
    fn items(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.iter().map(|c| c.items).sum(),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Node::Leaf(items) => items.iter().map(T::weight).sum(),
            Node::Inner(children) => children.iter().map(|c| c.weight).sum(),
        }
    }

    fn sep(&self) -> T::Sep {
        match self {
            Node::Leaf(items) => items.first().expect("only the root of an empty tree is empty").sep(),
            Node::Inner(children) => children[0].sep.clone(),
        }
    }

    fn update<R>(
        &mut self,
        steps: &[u8],
        edit: impl FnOnce(&mut T) -> (R, isize, isize),
    ) -> (R, isize, isize) {
        let index = steps[0] as usize;
        match self {
            Node::Leaf(items) => edit(&mut items[index]),
            Node::Inner(children) => {
                let child = &mut children[index];
                let out = Rc::make_mut(&mut child.node).update(&steps[1..], edit);
                child.weight = child.weight.wrapping_add_signed(out.1);
                out
            }
        }
    }

    /// Inserts below this node; a full node splits and returns its right half.
    fn insert(&mut self, steps: &[u8], item: T, nodes: &mut usize) -> Option<Node<T>> {
        let index = steps[0] as usize;
        match self {
            Node::Leaf(items) => {
                if items.len() < FANOUT {
                    if items.capacity() == 0 {
                        items.reserve_exact(FANOUT);
                    }
                    items.insert(index, item);
                    return None;
                }
                let mut right = split(items, index);
                *nodes += 1;
                if index > items.len() || (index == items.len() && right.is_empty()) {
                    right.insert(index - items.len(), item);
                } else {
                    items.insert(index, item);
                }
                Some(Node::Leaf(right))
            }
            Node::Inner(children) => {
                let child = &mut children[index];
                child.items += 1;
                child.weight += item.weight();
                // Only below the very first separator can a smaller key land.
                if T::compare_sep(&child.sep, item.key()).is_gt() {
                    child.sep = item.sep();
                }
                let split_off = Rc::make_mut(&mut child.node).insert(&steps[1..], item, nodes)?;
                let new = Child::of(split_off);
                child.items -= new.items;
                child.weight -= new.weight;
                if children.len() < FANOUT {
                    children.insert(index + 1, new);
                    return None;
                }
                let mut right = split(children, index + 1);
                *nodes += 1;
                if index + 1 > children.len() || right.is_empty() {
                    right.insert(index + 1 - children.len(), new);
                } else {
                    children.insert(index + 1, new);
                }
                Some(Node::Inner(right))
            }
        }
    }

    fn remove(&mut self, steps: &[u8], nodes: &mut usize) -> T {
        let index = steps[0] as usize;
        match self {
            Node::Leaf(items) => items.remove(index),
            Node::Inner(children) => {
                let child = &mut children[index];
                let item = Rc::make_mut(&mut child.node).remove(&steps[1..], nodes);
                child.items -= 1;
                child.weight -= item.weight();
                if child.items == 0 {
                    *nodes -= child.node.depth();
                    children.remove(index);
                } else if child.node.width() < FANOUT / 4 {
                    merge(children, index, nodes);
                }
                item
            }
        }
    }

    fn width(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    /// Nodes on the way down, this one included.
    fn depth(&self) -> usize {
        match self {
            Node::Inner(children) if !children.is_empty() => 1 + children[0].node.depth(),
            _ => 1,
        }
    }
}

/// Splits a full vector: in the middle, or at the end when the insertion is at the end, so that appending leaves
/// full nodes behind.
fn split<E>(full: &mut Vec<E>, index: usize) -> Vec<E> {
    let middle = if index == full.len() { full.len() } else { full.len() / 2 };
    let mut right = Vec::with_capacity(FANOUT);
    right.extend(full.drain(middle..));
    right
}

/// Joins the thin child at `index` with a neighbour when both fit in one node.
fn merge<T: Item>(children: &mut Vec<Child<T>>, index: usize, nodes: &mut usize) {
    let left = if index > 0 { index - 1 } else { index };
    if left + 1 >= children.len() || children[left].node.width() + children[left + 1].node.width() > FANOUT {
        return;
    }
    let right = children.remove(left + 1);
    let target = &mut children[left];
    target.items += right.items;
    target.weight += right.weight;
    let right_node = Rc::try_unwrap(right.node).unwrap_or_else(|shared| (*shared).clone());
    match (Rc::make_mut(&mut target.node), right_node) {
        (Node::Leaf(into), Node::Leaf(from)) => into.extend(from),
        (Node::Inner(into), Node::Inner(from)) => into.extend(from),
        _ => unreachable!("all leaves have one depth"),
    }
    *nodes -= 1;
}

impl<T: Item> Child<T> {
    fn of(node: Node<T>) -> Self {
        Self { sep: node.sep(), items: node.items(), weight: node.weight(), node: Rc::new(node) }
    }
}

impl<T: Item> Clone for Child<T> {
    fn clone(&self) -> Self {
        Self { sep: self.sep.clone(), node: Rc::clone(&self.node), items: self.items, weight: self.weight }
    }
}

impl<T: Item> Clone for Node<T> {
    /// Copies one node with room to grow; what hangs below is shared.
    fn clone(&self) -> Self {
        fn roomy<E: Clone>(from: &[E]) -> Vec<E> {
            let mut to = Vec::with_capacity(FANOUT);
            to.extend_from_slice(from);
            to
        }
        match self {
            Node::Leaf(items) => Node::Leaf(roomy(items)),
            Node::Inner(children) => Node::Inner(roomy(children)),
        }
    }
}

/// Items in order.
pub struct Iter<'a, T: Item> {
    stack: Vec<(&'a [Child<T>], usize)>,
    leaf: &'a [T],
    left: usize,
}

impl<'a, T: Item> Iter<'a, T> {
    fn new(tree: &'a Tree<T>, index: usize, left: usize) -> Self {
        let mut iter = Iter { stack: Vec::new(), leaf: &[], left };
        let path = tree.path_at(index);
        let mut node = &*tree.0.root;
        for &step in path.steps() {
            match node {
                Node::Inner(children) => {
                    iter.stack.push((children, step as usize + 1));
                    node = &children[step as usize].node;
                }
                Node::Leaf(items) => iter.leaf = &items[step as usize..],
            }
        }
        iter
    }
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.left = self.left.checked_sub(1)?;
        while self.leaf.is_empty() {
            let (children, next) = self.stack.last_mut()?;
            let Some(child) = children.get(*next) else {
                self.stack.pop();
                continue;
            };
            *next += 1;
            match &*child.node {
                Node::Inner(below) => self.stack.push((below, 0)),
                Node::Leaf(items) => self.leaf = items,
            }
        }
        let (first, rest) = self.leaf.split_first()?;
        self.leaf = rest;
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}

/// Items in falling order.
pub struct IterBack<'a, T: Item> {
    stack: Vec<&'a [Child<T>]>,
    leaf: &'a [T],
}

impl<'a, T: Item> IterBack<'a, T> {
    fn new(tree: &'a Tree<T>, index: usize) -> Self {
        let mut iter = IterBack { stack: Vec::new(), leaf: &[] };
        if tree.is_empty() {
            return iter;
        }
        let path = tree.path_at(index.min(tree.len() - 1));
        let mut node = &*tree.0.root;
        for &step in path.steps() {
            match node {
                Node::Inner(children) => {
                    iter.stack.push(&children[..step as usize]);
                    node = &children[step as usize].node;
                }
                Node::Leaf(items) => iter.leaf = &items[..=step as usize],
            }
        }
        iter
    }
}

impl<'a, T: Item> Iterator for IterBack<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        while self.leaf.is_empty() {
            let children = self.stack.last_mut()?;
            let Some((last, rest)) = children.split_last() else {
                self.stack.pop();
                continue;
            };
            *children = rest;
            match &*last.node {
                Node::Inner(below) => self.stack.push(below),
                Node::Leaf(items) => self.leaf = items,
            }
        }
        let (last, rest) = self.leaf.split_last()?;
        self.leaf = rest;
        Some(last)
    }
}

/// A tree being freed in bounded steps.
pub struct Dismantle<T: Item> {
    stack: Vec<Rc<Node<T>>>,
}

impl<T: Item> Dismantle<T> {
    /// Frees up to `nodes` nodes; false once nothing is left. Nodes that a snapshot still shares are only let go.
    pub fn free(&mut self, nodes: usize) -> bool {
        for _ in 0..nodes {
            let Some(node) = self.stack.pop() else { return false };
            if let Ok(Node::Inner(children)) = Rc::try_unwrap(node) {
                self.stack.extend(children.into_iter().map(|c| c.node));
            }
        }
        !self.stack.is_empty()
    }
}

#[cfg(test)]
mod tests;
