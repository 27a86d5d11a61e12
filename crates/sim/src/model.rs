//! What the node's transactions made of the data: for every key, at which LSN it changed and to what.
//!
//! The model knows only journaled bytes. It applies them to a keyspace of its own and compares all values before and
//! after each transaction, so it neither asks the gate nor believes what an effect says about itself.

use std::collections::HashMap;

use sessile_keyspace::codec::Reader;
use sessile_keyspace::effect::KINDS;
use sessile_keyspace::snapshot::END_OF_TRANSACTION;
use sessile_keyspace::{Effect, Keyspace};
use sessile_values::HashKey;

use crate::digest;
use crate::tally::Tally;

/// Number of dbs in a simulated node.
pub const DBS: usize = 16;

/// The life of one key: LSN and digest after each change; digest 0 is absent.
#[derive(Default)]
struct Track {
    changes: Vec<(u64, u64)>,
    stamp: u64,
}

impl Track {
    fn digest(&self) -> u64 {
        self.changes.last().map_or(0, |&(_, digest)| digest)
    }
}

/// The model.
pub struct Model {
    shadow: Keyspace,
    tracks: Vec<HashMap<Vec<u8>, Track>>,
    /// By db, the LSNs that changed anything in it.
    db_changes: Vec<Vec<u64>>,
    /// The digest of everything at each LSN from `base` on.
    states: Vec<u64>,
    base: u64,
    stamp: u64,
    /// The newest LSN whose effects named no key.
    pub newest_wide_lsn: u64,
}

impl Model {
    /// Nothing, at LSN 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shadow: Keyspace::new(DBS, HashKey(0, 0)),
            tracks: (0..DBS).map(|_| HashMap::new()).collect(),
            db_changes: vec![Vec::new(); DBS],
            states: vec![0],
            base: 0,
            stamp: 0,
            newest_wide_lsn: 0,
        }
    }

    /// The newest LSN.
    #[must_use]
    pub fn last_lsn(&self) -> u64 {
        self.base + self.states.len() as u64 - 1
    }

    /// Its own keyspace.
    #[must_use]
    pub fn keyspace(&self) -> &Keyspace {
        &self.shadow
    }

    /// Takes the transactions that the engine handed over, one by one. Gives for each whether it only expired keys.
    pub fn apply(&mut self, run: &[u8], last_lsn: u64, tally: &mut Tally) -> Result<Vec<bool>, String> {
        let mut reader = Reader::new(run);
        let mut start = 0;
        let mut only_expired = true;
        let mut kinds = Vec::new();
        let hash_key = self.shadow.hash_key();
        while let Some(&next) = reader.rest().first() {
            if next != END_OF_TRANSACTION {
                let (_, effect) =
                    Effect::decode(&mut reader, &hash_key).map_err(|e| format!("bad effect: {e:?}"))?;
                only_expired &=
                    matches!(effect, Effect::Delete { cause: sessile_keyspace::Cause::Expired, .. });
                note_kind(&effect, tally);
                if effect.keys()[0].is_none() {
                    self.newest_wide_lsn = self.last_lsn() + 1;
                }
                continue;
            }
            reader.u8().map_err(|e| format!("{e:?}"))?;
            let end = run.len() - reader.rest().len();
            self.shadow.replay(&run[start..end], |_, _| {}).map_err(|e| format!("replay: {e:?}"))?;
            self.compare();
            kinds.push(std::mem::replace(&mut only_expired, true));
            start = end;
        }
        if start != run.len() || self.last_lsn() != last_lsn {
            return Err(format!(
                "the engine handed over {} bytes of {} in whole transactions, up to LSN {} instead of {last_lsn}",
                start,
                run.len(),
                self.last_lsn()
            ));
        }
        Ok(kinds)
    }

    /// Notes what the last transaction changed.
    fn compare(&mut self) {
        let lsn = self.last_lsn() + 1;
        self.stamp += 1;
        let mut all = 0;
        for (db, tracks) in self.tracks.iter_mut().enumerate() {
            if tracks.is_empty() && self.shadow.db(db as u32).is_empty() {
                continue;
            }
            let mut changed = false;
            for entry in self.shadow.db(db as u32).table().iter() {
                let now = digest::of_entry(entry);
                all ^= digest::of_place(db as u32, entry.key(), now);
                let track = match tracks.get_mut(entry.key()) {
                    Some(track) => track,
                    None => tracks.entry(entry.key().to_vec()).or_default(),
                };
                track.stamp = self.stamp;
                if track.digest() != now {
                    track.changes.push((lsn, now));
                    changed = true;
                }
            }
            for track in tracks.values_mut() {
                if track.stamp != self.stamp && track.digest() != 0 {
                    track.changes.push((lsn, 0));
                    changed = true;
                }
            }
            if changed {
                self.db_changes[db].push(lsn);
            }
        }
        self.states.push(all);
    }

    /// The newest LSN, at most `until`, that changed the key; 0 for none.
    #[must_use]
    pub fn changed(&self, db: u32, key: &[u8], until: u64) -> u64 {
        let Some(track) = self.tracks.get(db as usize).and_then(|tracks| tracks.get(key)) else { return 0 };
        track.changes.iter().rev().map(|&(lsn, _)| lsn).find(|&lsn| lsn <= until).unwrap_or(0)
    }

    /// The newest LSN, at most `until`, that changed anything in the db; 0 for none.
    #[must_use]
    pub fn db_changed(&self, db: u32, until: u64) -> u64 {
        self.db_changes[db as usize].iter().rev().copied().find(|&lsn| lsn <= until).unwrap_or(0)
    }

    /// Whether the transaction at `lsn` changed any value.
    #[must_use]
    pub fn changed_at(&self, lsn: u64) -> bool {
        self.db_changes.iter().any(|changes| changes.binary_search(&lsn).is_ok())
    }

    /// When the key expires, and whether that has come.
    #[must_use]
    pub fn is_due(&self, db: u32, key: &[u8], now_ms: u64) -> bool {
        let entry = self.shadow.entry(db, self.shadow.key(key));
        entry.and_then(sessile_keyspace::Entry::expire_ms).is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Checks that a keyspace is exactly what the transactions up to `lsn` made, no more and no less.
    pub fn check(&self, what: &str, keyspace: &Keyspace, lsn: u64) -> Result<(), String> {
        let index =
            lsn.checked_sub(self.base).map(|index| index as usize).filter(|&index| index < self.states.len());
        let Some(index) = index else {
            return Err(format!("{what} stands at LSN {lsn}; the transactions end at {}", self.last_lsn()));
        };
        if self.states[index] == digest::of_keyspace(keyspace) {
            return Ok(());
        }
        Err(format!(
            "{what} differs from what the transactions up to LSN {lsn} made: {}",
            self.difference(keyspace, lsn)
        ))
    }

    fn difference(&self, keyspace: &Keyspace, lsn: u64) -> String {
        let mut lines = String::new();
        for (db, tracks) in self.tracks.iter().enumerate() {
            for (key, track) in tracks {
                let then =
                    track.changes.iter().rev().find(|&&(at, _)| at <= lsn).map_or(0, |&(_, digest)| digest);
                let now = keyspace.entry(db as u32, keyspace.key(key)).map_or(0, digest::of_entry);
                if then != now {
                    let changes = &track.changes;
                    lines += &format!(
                        "db {db} key {:?}: {now:x} is not {then:x} of {changes:x?}; ",
                        String::from_utf8_lossy(key)
                    );
                }
            }
        }
        lines
    }

    /// Goes back to what was recovered: transactions above `lsn` never were.
    pub fn rewind(&mut self, lsn: u64, recovered: Keyspace) {
        for tracks in &mut self.tracks {
            for track in tracks.values_mut() {
                track.changes.retain(|&(at, _)| at <= lsn);
            }
        }
        for changes in &mut self.db_changes {
            changes.retain(|&at| at <= lsn);
        }
        self.states.truncate((lsn - self.base) as usize + 1);
        self.newest_wide_lsn = self.newest_wide_lsn.min(lsn);
        self.shadow = recovered;
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

fn note_kind(effect: &Effect<'_>, tally: &mut Tally) {
    let kind = effect.kind();
    let name = KINDS.iter().find(|(id, _)| *id == kind).map_or("?", |(_, name)| name);
    tally.note(&format!("effect {name}"));
}
