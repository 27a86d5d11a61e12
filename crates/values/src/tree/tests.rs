//! The tree beside a vector.

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Num(u64, usize);

impl Item for Num {
    type Key<'a> = u64;
    type Sep = Num;
    fn key(&self) -> u64 {
        self.0
    }
    fn sep(&self) -> Num {
        self.clone()
    }
    fn compare(&self, key: u64) -> Ordering {
        self.0.cmp(&key)
    }
    fn compare_sep(sep: &Num, key: u64) -> Ordering {
        sep.compare(key)
    }
    fn weight(&self) -> usize {
        self.1
    }
    fn heap_bytes(&self) -> usize {
        0
    }
}

fn check(tree: &Tree<Num>, model: &[Num]) {
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.weight(), model.iter().map(|n| n.1).sum::<usize>());
    assert!(tree.iter().eq(model.iter()));
    let last = model.len().saturating_sub(1);
    assert!(tree.iter_back(last).eq(model.iter().rev()));
    fn count<T: Item>(node: &Node<T>) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Inner(children) => {
                for child in children {
                    assert_eq!(child.items, child.node.items());
                    assert_eq!(child.weight, child.node.weight());
                }
                1 + children.iter().map(|c| count(&c.node)).sum::<usize>()
            }
        }
    }
    assert_eq!(tree.0.nodes, count(&tree.0.root), "node count");
}

/// Random edits beside a sorted vector; now and then a clone is kept, which later edits must not change.
#[test]
fn equals_a_sorted_vector() {
    for seed in 1..40u64 {
        let mut state = seed;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut tree = Tree::new();
        let mut model: Vec<Num> = Vec::new();
        let mut kept: Vec<(Tree<Num>, Vec<Num>)> = Vec::new();
        let span = [50, 500, 5000][seed as usize % 3];
        for step in 0..3000u64 {
            let growing = (step / 1000) % 2 == 0;
            let key = random(span);
            if random(10) < if growing { 7 } else { 2 } {
                let item = Num(key, random(5) as usize + 1);
                let replaced = tree.insert(item.clone());
                match model.binary_search_by_key(&key, |n| n.0) {
                    Ok(i) => assert_eq!(replaced, Some(std::mem::replace(&mut model[i], item))),
                    Err(i) => model.insert(i, item),
                }
            } else {
                let expected = model.binary_search_by_key(&key, |n| n.0).ok().map(|i| model.remove(i));
                assert_eq!(tree.remove(key), expected, "seed {seed} step {step}");
            }
            if random(300) == 0 {
                kept.push((tree.clone(), model.clone()));
            }
            let probe = random(span);
            assert_eq!(tree.rank(probe), model.partition_point(|n| n.0 < probe));
            assert_eq!(tree.partition(|n| n.0 <= probe), model.partition_point(|n| n.0 <= probe));
            if let Some(index) = (random(span) as usize).checked_rem(model.len().max(1)) {
                assert_eq!(tree.nth(index), model.get(index));
                assert!(tree.iter_from(index).eq(model[index.min(model.len())..].iter()));
            }
        }
        check(&tree, &model);
        for (tree, model) in &kept {
            check(tree, model);
        }
    }
}

#[test]
fn finds_positions_by_weight_and_appends_full_leaves() {
    let mut tree = Tree::new();
    for i in 0..10_000 {
        tree.push(Num(i, 3));
    }
    assert!(tree.0.nodes < 10_000 / FANOUT + 20, "appending leaves full nodes behind");
    for position in [0, 1, 2, 3, 29_998, 15_001] {
        let (path, offset) = tree.path_at_weight(position);
        assert_eq!((tree.at(path).map(|n| n.0), offset), (Some(position as u64 / 3), position % 3));
        assert_eq!(tree.weight_before(path), position - position % 3);
    }
}

#[test]
fn frees_in_bounded_steps() {
    let mut tree = Tree::new();
    for i in 0..10_000 {
        tree.push(Num(i, 1));
    }
    let nodes = tree.0.nodes;
    let mut apart = tree.dismantle();
    let mut turns = 1;
    while apart.free(10) {
        turns += 1;
    }
    assert!(turns >= nodes / 10 - 1);
}
