//! The crate graph: who may depend on whom, and what the inner crates must never see.

use std::collections::{BTreeMap, BTreeSet};

use crate::Complaint;

/// A crate of ours in the graph; names are without `sessile-`.
pub struct Room {
    /// Its name.
    pub name: &'static str,
    /// The crates of ours that it depends on, tests apart.
    pub uses: &'static [&'static str],
    /// Whether it may be absent, and use less than it may: it is not built yet, or a test tool.
    pub is_planned: bool,
}

/// Complains where `found`, crates with what they use, is not what `rooms` say.
pub fn check(rooms: &[Room], found: &BTreeMap<String, BTreeSet<String>>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, uses) in found {
        let complain = |what: String| Complaint { path: format!("crates/{name}/Cargo.toml"), line: 0, what };
        let Some(room) = rooms.iter().find(|room| room.name == name) else {
            complaints
                .push(complain("is not in the crate graph: give it a place in the picture first".to_owned()));
            continue;
        };
        let allowed: BTreeSet<String> = room.uses.iter().map(|name| (*name).to_owned()).collect();
        for extra in uses.difference(&allowed) {
            complaints.push(complain(format!("depends on `{extra}`, which the crate graph does not have")));
        }
        if !room.is_planned {
            let is_built = |name: &&String| rooms.iter().any(|room| room.name == **name && !room.is_planned);
            for missing in allowed.difference(uses).filter(is_built) {
                complaints.push(complain(format!(
                    "does not depend on `{missing}`: take it out of the crate graph"
                )));
            }
        }
    }
    let absent = rooms.iter().filter(|room| !room.is_planned && !found.contains_key(room.name));
    complaints.extend(absent.map(|room| Complaint {
        path: format!("crates/{}", room.name),
        line: 0,
        what: "stands in the crate graph and not in the tree".to_owned(),
    }));
    complaints
}

/// Complains about inner crates that see a banned package, however far down; `lock` is the text of `Cargo.lock`.
pub fn check_outer(lock: &str, inner: &[&str], banned: &[&str]) -> Vec<Complaint> {
    let packages = parse_lock(lock);
    let mut complaints = Vec::new();
    for name in inner {
        for seen in reach(&packages, &format!("sessile-{name}")) {
            let is_banned =
                banned.iter().any(|banned| seen == *banned || seen.starts_with(&format!("{banned}-")));
            if is_banned {
                let what = format!(
                    "sees `{seen}`: I/O, TLS and serialization frameworks stay outside of the engine"
                );
                complaints.push(Complaint { path: format!("crates/{name}/Cargo.toml"), line: 0, what });
            }
        }
    }
    complaints
}

/// Packages and what they depend on. Two versions of one package count as one.
fn parse_lock(lock: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(text) = line.strip_prefix("name = ") {
            text.trim_matches('"').clone_into(&mut name);
            packages.entry(name.clone()).or_default();
        } else if let Some(text) = line.trim().strip_prefix('"') {
            let used = text.split(['"', ' ']).next().unwrap_or_default();
            packages.entry(name.clone()).or_default().insert(used.to_owned());
        }
    }
    packages
}

/// All packages below `start`.
fn reach(packages: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![start.to_owned()];
    while let Some(name) = next.pop() {
        for used in packages.get(&name).into_iter().flatten() {
            if seen.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMS: &[Room] = &[
        Room { name: "a", uses: &[], is_planned: false },
        Room { name: "b", uses: &["a"], is_planned: false },
        Room { name: "c", uses: &["a", "b"], is_planned: true },
    ];

    fn check_graph(found: &[(&str, &[&str])], expected: usize) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let map = found.iter().map(|(name, uses)| ((*name).to_owned(), owned(uses))).collect();
        let complaints = check(ROOMS, &map);
        assert_eq!(complaints.len(), expected, "{complaints:?}");
    }

    #[test]
    fn the_graph_is_held_both_ways() {
        check_graph(&[("a", &[]), ("b", &["a"])], 0);
        check_graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"])], 0);
        check_graph(&[("a", &["b"]), ("b", &["a"])], 1);
        check_graph(&[("a", &[]), ("b", &[])], 1);
        check_graph(&[("a", &[])], 1);
        check_graph(&[("a", &[]), ("b", &["a"]), ("new", &[])], 1);
    }

    #[test]
    fn what_is_far_below_is_seen() {
        let package =
            |name: &str, uses: &str| format!("[[package]]\nname = \"{name}\"\ndependencies = [\n{uses}]\n\n");
        let lock = package("sessile-a", " \"m\",\n")
            + &package("m", " \"tokio-util 1.0\",\n")
            + &package("tokio-util", "");
        let count = |lock: &str| check_outer(lock, &["a"], &["tokio"]).len();
        assert_eq!(count(&lock), 1);
        assert_eq!(count(&lock.replace("tokio", "mio")), 0);
    }
}
