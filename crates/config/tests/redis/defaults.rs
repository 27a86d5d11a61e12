//! Every directive's name and default against a real server, and what is different on purpose.

use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::{Oracle, fresh_dir};
use sessile_config::{Asker, Config, Flags, Persona, directives, find, nearest};

/// Names that the 7.0 oracle does not know.
const NOT_IN_ORACLE: &[(&str, &str)] = &[
    ("cluster-announce-human-nodename", "new in 7.2"),
    ("locale-collate", "new in 7.2"),
    ("set-max-listpack-entries", "new in 7.2"),
    ("set-max-listpack-value", "new in 7.2"),
    ("requirepass-file", "Sessile's own"),
    ("metrics-port", "Sessile's own"),
    ("metrics-bind", "Sessile's own"),
    ("journal-pending-max", "Sessile's own"),
    ("journal-wait-max", "Sessile's own"),
    ("journal-segment-size", "Sessile's own"),
    ("log-format", "Sessile's own"),
];

/// Defaults that differ from the oracle's.
const DIFFERENT: &[(&str, &str)] = &[
    ("save", "the journal is the persistence; with `appendonly no` the default is Redis'"),
    ("appendonly", "the durable journal is on unless it is switched off"),
    ("appendfsync", "a reply waits until its write is durable"),
    ("dir", "the oracle shows its working directory"),
    ("port", "the oracle was given a free one"),
];

#[test]
fn names_and_defaults_are_those_of_redis() {
    let mut oracle = Oracle::start(&[], fresh_dir()).expect("defaults start");
    let flat = oracle.call(&[b"CONFIG", b"GET", b"*"]);
    let theirs: BTreeMap<_, _> = flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let config = Config::new(Persona::RedisServer);
    let mut ours = BTreeMap::new();
    for (id, directive) in directives() {
        if directive.is_parameter() && !directive.flags.has(Flags::HIDDEN) {
            for name in std::iter::once(&directive.name).chain(directive.aliases) {
                ours.insert(name.as_bytes().to_vec(), config.show(id));
            }
        }
    }
    let names = |list: &[(&str, &str)]| -> BTreeSet<Vec<u8>> {
        list.iter().map(|(name, _)| name.as_bytes().to_vec()).collect()
    };
    let extra: BTreeSet<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).cloned().collect();
    assert_eq!(extra, names(NOT_IN_ORACLE));
    let missing: Vec<_> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let differing = theirs.iter().filter(|(name, value)| ours[*name] != **value);
    assert_eq!(differing.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), names(DIFFERENT));
}

#[test]
fn every_default_is_a_value_that_can_be_set_and_shown_again() {
    for persona in [Persona::Sessile, Persona::RedisServer] {
        let config = Config::new(persona);
        for (id, directive) in directives().filter(|(_, directive)| directive.is_parameter()) {
            assert!(config.is_default(id) && !config.is_explicit(id), "{}", directive.name);
            assert_eq!(config.show(id), directive.default_for(persona).as_bytes(), "{}", directive.name);
            assert_eq!(config.get(directive.name.to_ascii_uppercase().as_bytes()), Some(config.show(id)));
            let mut again = config.clone();
            if again.set(directive.name.as_bytes(), &config.show(id), Asker::default()).is_ok() {
                assert_eq!(again.value(id), config.value(id), "{}", directive.name);
            }
        }
    }
}

#[test]
fn a_name_is_found_once_and_its_misspelling_suggests_it() {
    let mut seen = BTreeSet::new();
    for (id, directive) in directives() {
        for name in std::iter::once(&directive.name).chain(directive.aliases) {
            assert!(seen.insert(*name), "{name} stands twice in the table");
            assert_eq!(find(name.as_bytes()), Some(id));
            if !directive.flags.has(Flags::HIDDEN) && name.len() > 6 {
                let mut typo = name.as_bytes().to_vec();
                typo.swap(3, 4);
                let found = find(&typo).is_some() || nearest(&typo) == Some(name);
                assert!(found, "{} should suggest {name}", String::from_utf8_lossy(&typo));
            }
        }
    }
    assert_eq!(nearest(b"zzzzzzzzzz"), None);
    assert_eq!(nearest(&[b'a'; 100_000]), None);
}
