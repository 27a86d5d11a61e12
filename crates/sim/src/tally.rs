//! What a run has come across: a simulator that never meets a case does not test it.

use std::collections::BTreeMap;

use sessile_journal::Label;
use sessile_keyspace::effect::KINDS;

/// Effects that nothing emits yet: owners of notes (functions, users, classes) are to come.
const NOT_EMITTED: &[&str] = &["Note"];
/// The faults that the simulator injects.
const FAULTS: &[&str] = &[
    "write fails",
    "write is short",
    "sync fails",
    "directory operation fails",
    "process dies in an operation",
    "disk full",
    "disk has space again",
    "remote append ambiguous, applied",
    "remote append ambiguous, lost",
    "remote fenced",
];
/// Turns of the gate that a run must have seen.
const TURNS: &[&str] = &[
    "outcome unknown",
    "crash copy checked",
    "reply waited",
    "snapshot published",
    "recovered from a snapshot",
    "process killed",
    "power cut",
    "woken client",
    "push released",
    "miss released",
    "EXEC refused by WATCH",
    "read after failure",
    "write refused",
];

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one.
    pub fn note(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(what.to_owned(), 1);
            }
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_insert(0) += count;
        }
    }

    /// How often it was counted.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Everything that must have occurred in a long run and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let kinds = KINDS.iter().map(|(_, name)| *name).filter(|name| !NOT_EMITTED.contains(name));
        let effects = kinds.map(|name| format!("effect {name}"));
        let labels =
            Label::ALL.into_iter().filter(|label| label.is_accepted()).map(|l| format!("recovery {l}"));
        let faults = FAULTS.iter().map(|name| format!("fault {name}"));
        let turns = TURNS.iter().map(|&name| name.to_owned());
        effects.chain(labels).chain(faults).chain(turns).filter(|what| self.of(what) == 0).collect()
    }

    /// All counters, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }
}
