//! The rules applied to this tree: one test a rule, so that a failure names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sessile_tidy::source::read_tree;
use sessile_tidy::{Complaint, Source, graph, lists, shape, unsafety, words};

/// What a tool writes or another project wrote; its words and spaces are not ours.
const FOREIGN: &[&str] = &["Cargo.lock", "LICENSE", "package-lock.json"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is above this crate")
}

fn sources(wanted: impl Fn(&Source) -> bool) -> Vec<Source> {
    let mut all = read_tree(&root()).expect("the tree can be read");
    all.retain(wanted);
    assert!(!all.is_empty(), "a rule that looks at nothing finds nothing");
    all
}

fn is_ours(source: &Source) -> bool {
    !FOREIGN.iter().any(|name| source.path == *name || source.path.ends_with(&format!("/{name}")))
}

fn is_rust(source: &Source) -> bool {
    source.is_rust() && source.path.starts_with("crates/")
}

fn none(mut complaints: Vec<Complaint>) {
    complaints.sort();
    let text: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{} complaints:\n{}", text.len(), text.join("\n"));
}

#[test]
fn no_banned_words() {
    none(sources(is_ours).iter().flat_map(|source| words::check(source, lists::WORDS_ALLOWED)).collect());
}

#[test]
fn no_tabs_or_trailing_spaces() {
    none(sources(is_ours).iter().flat_map(words::check_spaces).collect());
}

#[test]
fn lock_files_name_no_host() {
    let is_lock = |source: &Source| source.path.ends_with("package-lock.json");
    let resolved = |source: &Source| {
        let lines = source.lines().filter(|(_, line)| line.contains("\"resolved\""));
        lines
            .map(|(number, _)| {
                source.complain(number, "npm writes no host with omit-lockfile-registry-resolved")
            })
            .collect::<Vec<_>>()
    };
    none(sources(is_lock).iter().flat_map(resolved).collect());
}

#[test]
fn every_file_says_what_lives_there() {
    none(sources(is_rust).iter().flat_map(shape::check_head).collect());
}

#[test]
fn files_stay_short() {
    let all = sources(is_rust);
    let gone = lists::LONG_FILES.iter().filter(|(path, _)| all.iter().all(|source| source.path != *path));
    let gone = gone.map(|(path, _)| Complaint {
        path: (*path).to_owned(),
        line: 0,
        what: "is gone: take it off the list of long files".to_owned(),
    });
    none(
        all.iter()
            .flat_map(|source| shape::check_file_length(source, lists::LONG_FILES))
            .chain(gone)
            .collect(),
    );
}

#[test]
fn functions_stay_short() {
    let all = sources(is_rust);
    let long = all.iter().flat_map(|source| shape::check_function_lengths(source, lists::LONG_FUNCTIONS));
    none(long.chain(shape::stale_functions(&all, lists::LONG_FUNCTIONS)).collect());
}

#[test]
fn unsafe_code_stands_where_the_inventory_says() {
    let all = sources(is_rust);
    let misplaced = all.iter().flat_map(|source| unsafety::check(source, lists::UNSAFE_INVENTORY));
    none(misplaced.chain(unsafety::stale(&all, lists::UNSAFE_INVENTORY)).collect());
}

#[test]
fn every_crate_forbids_unsafe_code_or_is_in_the_inventory() {
    let roots = sources(|source| is_rust(source) && source.path.ends_with("/src/lib.rs"));
    let programs = sources(|source| is_rust(source) && source.path.ends_with("/src/main.rs"));
    let all = roots.iter().chain(&programs);
    none(all.flat_map(|source| unsafety::check_root(source, lists::UNSAFE_INVENTORY)).collect());
}

#[test]
fn the_crate_graph_is_as_drawn() {
    none(graph::check(lists::GRAPH, &dependencies()));
}

#[test]
fn inner_crates_see_no_sockets() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("there is a lock file");
    none(graph::check_outer(&lock, lists::INNER, lists::OUTER_PACKAGES));
}

/// Our crates, each with those of ours that it depends on outside of tests, as cargo sees them.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let ours = |name: &serde_json::Value| name.as_str()?.strip_prefix("sessile-").map(str::to_owned);
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let uses = |package: &serde_json::Value| {
        let dependencies = list(&package["dependencies"]);
        dependencies
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .filter_map(|d| ours(&d["name"]))
            .collect()
    };
    let packages = list(&metadata["packages"]);
    packages.iter().filter_map(|package| Some((ours(&package["name"])?, uses(package)))).collect()
}
