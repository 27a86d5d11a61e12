//! The saved corpus through every target, in the order of its files: what once broke something stays mended.

use std::fs;
use std::path::{Path, PathBuf};

use sessile_fuzz::TARGETS;

/// What one input may add to the address space. Bytes that announce gigabytes must not get them.
const GROWTH_MAX_KIB: u64 = 256 * 1024;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it is listed").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The most address space that this process ever had.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).expect("Linux tells");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// One test: what an input allocates is seen only while nothing else runs.
#[test]
fn every_saved_input_passes_and_stays_small() {
    for (name, target) in TARGETS {
        let dir = fuzz_dir().join("corpus").join(name);
        let files = names(&dir);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = fs::read(dir.join(&file)).expect("it is listed");
            println!("{name}/{file}");
            let before = peak_kib();
            target(&data);
            let growth = peak_kib() - before;
            assert!(growth <= GROWTH_MAX_KIB, "{name}/{file}: {growth} KiB");
        }
    }
}

#[test]
fn every_target_has_its_program_and_every_corpus_its_target() {
    let mut expected: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(names(&fuzz_dir().join("corpus")), expected);
    let programs: Vec<String> = expected.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz_dir().join("fuzz_targets")), programs);
}
