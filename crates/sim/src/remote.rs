//! A journal in a far-away database, as a PostgreSQL would be used: appends take time, may end ambiguous, may find
//! that another leader has fenced them.
//!
//! One append is in flight at a time. It inserts row n only where row n-1 has the chain checksum that the leader
//! holds. An ambiguous one is sent again, identical, and whoever finds its own bytes there knows that it went
//! through. Another leader's row in its place ends this leader.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sessile_journal::{
    AppendError, Batch, Health, Journal, Label, Progress, RecoveredBatch, Recovery, Room, Sizes,
    SnapshotError, SnapshotState,
};

use crate::backend::{Backend, Deliver, Image};
use crate::dice::Dice;
use crate::digest;
use crate::tail::Tail;
use crate::tally::Tally;

/// One row of the journal's table. Whatever is in the table is durable.
#[derive(Clone, PartialEq)]
struct Row {
    term: u64,
    chain: u64,
    base_lsn: u64,
    last_lsn: u64,
    time_ms: u64,
    bytes: Vec<u8>,
}

/// A snapshot in the database.
#[derive(Clone)]
struct Stored {
    lsn: u64,
    time_ms: u64,
    pieces: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Tables {
    rows: BTreeMap<u64, Row>,
    snapshot: Option<Stored>,
    /// Statements that changed something.
    statements: u64,
}

/// The database; clones are handles to the same one.
#[derive(Clone, Default)]
pub struct RemoteStore(Rc<RefCell<Tables>>);

impl RemoteStore {
    /// A copy that shares nothing with this one.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }
}

/// How an append that was sent will end.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It is done, and the answer arrives.
    Told,
    /// It is done, and the answer is lost.
    UntoldDone,
    /// It is not done, and nobody says so.
    UntoldLost,
}

#[derive(Clone)]
struct InFlight {
    seq: u64,
    row: Row,
    due_ms: u64,
    fate: Fate,
    resent: bool,
}

/// A leader's journal.
pub struct RemoteJournal {
    store: RemoteStore,
    inner: RefCell<Inner>,
}

struct Inner {
    term: u64,
    seq: u64,
    chain: u64,
    tail: Tail,
    durable_lsn: u64,
    in_flight: Option<InFlight>,
    snapshot: Option<Stored>,
    snapshot_finished: bool,
    health: Health,
}

fn chain_of(before: u64, term: u64, last_lsn: u64, bytes: &[u8]) -> u64 {
    digest::of_parts(&[&before.to_le_bytes(), &term.to_le_bytes(), &last_lsn.to_le_bytes(), bytes])
}

impl Tables {
    /// Compare-and-append: true if the row is there afterwards.
    fn append(&mut self, seq: u64, chain_before: u64, row: &Row) -> Result<(), u64> {
        if let Some(there) = self.rows.get(&seq) {
            return if there == row { Ok(()) } else { Err(there.term) };
        }
        match self.rows.get(&(seq - 1)) {
            Some(before) if before.chain == chain_before => {
                self.rows.insert(seq, row.clone());
                self.statements += 1;
                Ok(())
            }
            other => Err(other.map_or(row.term, |row| row.term)),
        }
    }

    /// Appends what makes `term` the leader's.
    fn lead(&mut self) -> (u64, Row) {
        let (seq, chain, lsn, term, time_ms) = self
            .rows
            .last_key_value()
            .map_or((0, 0, 0, 0, 0), |(&s, r)| (s, r.chain, r.last_lsn, r.term, r.time_ms));
        let lsn = lsn.max(self.snapshot.as_ref().map_or(0, |snapshot| snapshot.lsn));
        let term = term + 1;
        let chain = chain_of(chain, term, lsn, &[]);
        let row = Row { term, chain, base_lsn: lsn, last_lsn: lsn, time_ms, bytes: Vec::new() };
        self.rows.insert(seq + 1, row.clone());
        self.statements += 1;
        (seq + 1, row)
    }
}

/// Reads the journal, becomes the leader of the next term, and fences whoever led before.
pub fn open(store: &RemoteStore, _: u64, deliver: Deliver<'_>) -> Result<(RemoteJournal, Recovery), String> {
    let tables = &mut *store.0.borrow_mut();
    let (mut lsn, mut time_ms, mut records) = (0, 0, 0);
    let fresh = tables.rows.is_empty();
    if let Some(it) = &tables.snapshot {
        (lsn, time_ms) = (it.lsn, it.time_ms);
        for bytes in &it.pieces {
            let piece =
                RecoveredBatch { bytes, base_lsn: lsn, last_lsn: lsn, time_ms, term: 0, snapshot: true };
            deliver(piece).map_err(|error| format!("snapshot: {error:?}"))?;
        }
    }
    for row in tables.rows.values().filter(|row| !row.bytes.is_empty()) {
        if row.last_lsn <= lsn {
            continue;
        }
        if row.base_lsn != lsn {
            return Err(format!("a gap between LSN {lsn} and {}", row.base_lsn));
        }
        records += 1;
        (lsn, time_ms) = (row.last_lsn, row.time_ms);
        let Row { base_lsn, last_lsn, term, .. } = *row;
        let batch = RecoveredBatch { bytes: &row.bytes, base_lsn, last_lsn, time_ms, term, snapshot: false };
        deliver(batch).map_err(|error| format!("LSN {last_lsn}: {error:?}"))?;
    }
    let snapshot_lsn = tables.snapshot.as_ref().map(|snapshot| snapshot.lsn);
    let (seq, row) = tables.lead();
    let recovery = Recovery {
        label: if fresh { Label::Fresh } else { Label::CleanEnd },
        last_lsn: lsn,
        time_ms,
        term: row.term,
        snapshot_lsn,
        records,
        proven_lsn: lsn,
    };
    let inner = Inner {
        term: row.term,
        seq,
        chain: row.chain,
        tail: Tail::new(lsn),
        durable_lsn: lsn,
        in_flight: None,
        snapshot: None,
        snapshot_finished: false,
        health: Health::Ok,
    };
    Ok((RemoteJournal { store: store.clone(), inner: RefCell::new(inner) }, recovery))
}

impl Inner {
    fn send(&mut self, most: usize, now_ms: u64, latency_ms: u64, fate: Fate) {
        let Some(Batch { bytes, last_lsn, time_ms, .. }) = self.tail.next_run(most) else { return };
        let chain = chain_of(self.chain, self.term, last_lsn, &bytes);
        let row = Row { term: self.term, chain, base_lsn: self.durable_lsn, last_lsn, time_ms, bytes };
        let due_ms = now_ms + latency_ms;
        self.in_flight = Some(InFlight { seq: self.seq + 1, row, due_ms, fate, resent: false });
    }

    fn arrive(&mut self, tables: &mut Tables, latency_ms: u64) {
        let Some(mut sent) = self.in_flight.take() else { return };
        if sent.fate == Fate::UntoldLost {
            self.tail.notes.push("fault remote append ambiguous, lost");
            return self.send_again(sent, latency_ms);
        }
        let result = tables.append(sent.seq, self.chain, &sent.row);
        if sent.fate == Fate::UntoldDone {
            self.tail.notes.push("fault remote append ambiguous, applied");
            sent.resent = true;
            return self.send_again(sent, latency_ms);
        }
        match result {
            Ok(()) => {
                (self.seq, self.chain, self.durable_lsn) = (sent.seq, sent.row.chain, sent.row.last_lsn);
                self.health = Health::Ok;
            }
            Err(by_term) => {
                self.tail.notes.push("fault remote fenced");
                self.health = Health::Fenced { by_term };
                self.tail.queue.clear();
            }
        }
    }

    /// Never a question, always the identical append.
    fn send_again(&mut self, sent: InFlight, latency_ms: u64) {
        self.health = Health::Waiting { reason: "an append has no answer yet; it is sent again".into() };
        let due_ms = sent.due_ms + latency_ms;
        self.in_flight = Some(InFlight { due_ms, fate: Fate::Told, ..sent });
    }

    fn publish(&mut self, tables: &mut Tables) {
        let durable = self.durable_lsn;
        let ready = self.snapshot_finished && self.health.is_alive();
        let Some(stored) = self.snapshot.take_if(|it| ready && it.lsn <= durable) else { return };
        self.snapshot_finished = false;
        let lsn = stored.lsn;
        self.tail.published(lsn, stored.pieces.iter().map(|piece| piece.len() as u64).sum());
        tables.snapshot = Some(stored);
        tables.statements += 1;
        // The last row stays: the next append compares with it.
        let last = tables.rows.keys().next_back().copied();
        tables.rows.retain(|seq, row| Some(*seq) == last || row.last_lsn > lsn);
    }
}

impl Backend for RemoteJournal {
    fn step(&self, dice: &mut Dice, now_ms: u64, _: &mut Tally) {
        let inner = &mut *self.inner.borrow_mut();
        let tables = &mut *self.store.0.borrow_mut();
        if !inner.health.is_alive() {
            return;
        }
        let latency_ms = 1 + dice.below(30);
        if inner.in_flight.as_ref().is_some_and(|sent| sent.due_ms <= now_ms) {
            inner.arrive(tables, latency_ms);
        } else if inner.in_flight.is_none() {
            let fate = match dice.below(12) {
                0 => Fate::UntoldDone,
                1 => Fate::UntoldLost,
                _ => Fate::Told,
            };
            inner.send(1 + dice.below(6) as usize, now_ms, latency_ms, fate);
        }
        inner.publish(tables);
    }

    fn settle(&self, now_ms: u64) {
        let inner = &mut *self.inner.borrow_mut();
        let tables = &mut *self.store.0.borrow_mut();
        while inner.health.is_alive() && (inner.in_flight.is_some() || !inner.tail.queue.is_empty()) {
            if inner.in_flight.is_none() {
                inner.send(usize::MAX, now_ms, 1, Fate::Told);
            }
            inner.arrive(tables, 1);
        }
        inner.publish(tables);
    }

    fn break_something(&self, _: &mut Dice, _: &mut Tally) {
        // Another node takes over.
        self.store.0.borrow_mut().lead();
    }

    fn after_power_cut(&self, seed: u64) -> Image {
        let store = self.store.copy();
        let inner = self.inner.borrow();
        if let Some(sent) = &inner.in_flight
            && (sent.resent || seed.is_multiple_of(2))
        {
            // What was on its way arrives after all; if it is too late, nothing happens.
            let _ = store.0.borrow_mut().append(sent.seq, inner.chain, &sent.row);
        }
        Image::Remote(store)
    }

    fn after_kill(&self, seed: u64) -> Image {
        self.after_power_cut(seed)
    }

    fn version(&self) -> u64 {
        let in_flight = self.inner.borrow().in_flight.as_ref().map_or(0, |sent| sent.seq << 32);
        self.store.0.borrow().statements + in_flight
    }

    fn take_notes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.inner.borrow_mut().tail.notes)
    }
}

impl Journal for RemoteJournal {
    fn append(&self, batch: Batch) -> Result<(), AppendError> {
        let inner = &mut *self.inner.borrow_mut();
        inner.tail.append(batch, inner.health.clone())
    }

    fn progress(&self) -> Progress {
        let durable = self.inner.borrow().durable_lsn;
        Progress { written: durable, durable }
    }

    fn health(&self) -> Health {
        self.inner.borrow().health.clone()
    }

    fn room(&self, _: u64) -> Room {
        Room::Ready
    }

    fn queued_bytes(&self) -> u64 {
        self.inner.borrow().tail.queued_bytes()
    }

    fn hasten(&self, _: u64) {}

    fn snapshot_begin(&self, lsn: u64, time_ms: u64) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        let stored = || Ok(Stored { lsn, time_ms, pieces: Vec::new() });
        inner.tail.snapshot_begin(&mut inner.snapshot, lsn, inner.health.clone(), stored)?;
        inner.snapshot_finished = false;
        Ok(())
    }

    fn snapshot_write(&self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        inner.snapshot.as_mut().ok_or(SnapshotError::NotBegun)?.pieces.push(bytes);
        Ok(())
    }

    fn snapshot_room(&self) -> bool {
        true
    }

    fn snapshot_finish(&self) -> Result<(), SnapshotError> {
        let inner = &mut *self.inner.borrow_mut();
        inner.snapshot_finished = inner.snapshot.is_some();
        if inner.snapshot_finished { Ok(()) } else { Err(SnapshotError::NotBegun) }
    }

    fn snapshot_abort(&self) {
        self.inner.borrow_mut().snapshot = None;
    }

    fn snapshot_state(&self) -> SnapshotState {
        self.inner.borrow().tail.snapshot.clone()
    }

    fn trim(&self) {}

    fn sizes(&self) -> Sizes {
        Sizes::default()
    }
}
