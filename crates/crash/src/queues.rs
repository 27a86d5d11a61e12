//! Queues: producers push ids, consumers take them with blocking pops. No id is lost or delivered twice, but for the
//! one that each connection may have had in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use sessile_resp::Value;

use crate::client::{Conn, Lost, bytes, items, show};
use crate::rng::Rng;

const QUEUES: [&str; 2] = ["queue:0", "queue:1"];
/// Connections that move ids to a list of their own before they are done with them.
pub const MOVERS: usize = 2;

/// What one connection did in one round.
#[derive(Debug, Default)]
pub struct Deeds {
    pushed: BTreeSet<String>,
    push_in_flight: Option<String>,
    popped: Vec<String>,
    pop_in_flight: bool,
    /// By mover: what it moved and is not done with.
    moved: BTreeMap<String, String>,
    done: Vec<String>,
    done_in_flight: Option<String>,
}

/// The ids that wait, between rounds.
#[derive(Debug, Default)]
pub struct Queues {
    waiting: BTreeSet<String>,
    delivered: BTreeSet<String>,
}

macro_rules! reply_or_end {
    ($reply:expr, $who:literal) => {
        match $reply {
            Ok(Value::Error(text)) => return Err(format!("{}: {}", $who, show(&Value::Error(text)))),
            Ok(reply) => reply,
            Err(Lost::Ended) => return Ok(()),
            // A blocking pop waits for as long as nobody pushes.
            Err(other) => return Err(format!("{}: no reply: {other:?}", $who)),
        }
    };
}

impl Deeds {
    /// Pushes ids until the connection ends.
    pub fn produce(
        &mut self,
        who: &str,
        conn: &mut Conn,
        rng: &mut Rng,
        acks: &AtomicU64,
    ) -> Result<(), String> {
        for n in 0u64.. {
            let queue = QUEUES[rng.below(2) as usize];
            let id = format!("{who}:{n}");
            self.push_in_flight = Some(id.clone());
            reply_or_end!(conn.ask_line(&format!("RPUSH {queue} {id}")), "producer");
            self.pushed.insert(id);
            self.push_in_flight = None;
            acks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Pops until the connection ends.
    pub fn consume(&mut self, conn: &mut Conn, acks: &AtomicU64) -> Result<(), String> {
        loop {
            self.pop_in_flight = true;
            let reply = reply_or_end!(conn.ask_line("BLPOP queue:0 queue:1 0"), "consumer");
            self.pop_in_flight = false;
            let id = items(&reply).get(1).and_then(bytes).ok_or("BLPOP gave no element")?;
            self.popped.push(String::from_utf8_lossy(id).into_owned());
            acks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves to `work:<mover>` and removes from there, until the connection ends.
    pub fn relay(
        &mut self,
        mover: usize,
        conn: &mut Conn,
        rng: &mut Rng,
        acks: &AtomicU64,
    ) -> Result<(), String> {
        loop {
            let queue = QUEUES[rng.below(2) as usize];
            let work = format!("work:{mover}");
            let reply = reply_or_end!(conn.ask_line(&format!("BLMOVE {queue} {work} LEFT RIGHT 0")), "mover");
            let id = String::from_utf8_lossy(bytes(&reply).ok_or("BLMOVE gave no element")?).into_owned();
            self.moved.insert(id.clone(), work.clone());
            acks.fetch_add(1, Ordering::Relaxed);
            // Some stay in the work list, so that it is there after the crash.
            if rng.one_in(4) {
                continue;
            }
            self.done_in_flight = Some(id.clone());
            let gone = reply_or_end!(conn.ask_line(&format!("LREM {work} 1 {id}")), "mover");
            if gone != Value::Int(1) {
                return Err(format!("mover: {id} was not in {work}"));
            }
            self.done_in_flight = None;
            self.moved.remove(&id);
            self.done.push(id);
            acks.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Queues {
    /// After a crash: where every id is, compared with the deeds of the round.
    pub fn settle(&mut self, conn: &mut Conn, deeds: &[Deeds]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut place: BTreeMap<String, String> = BTreeMap::new();
        let work: Vec<String> = (0..MOVERS).map(|n| format!("work:{n}")).collect();
        for list in QUEUES.into_iter().chain(work.iter().map(String::as_str)) {
            let reply = conn.ask_line(&format!("LRANGE {list} 0 -1")).unwrap_or(Value::Null);
            let mut newest: BTreeMap<String, u64> = BTreeMap::new();
            for id in items(&reply).iter().filter_map(bytes) {
                let id = String::from_utf8_lossy(id).into_owned();
                if let Some((who, Ok(n))) = id.rsplit_once(':').map(|(who, n)| (who, n.parse::<u64>()))
                    // A mover takes from both queues in any order.
                    && !work.iter().any(|it| it == list)
                    && newest.insert(who.to_owned(), n).is_some_and(|before| before > n)
                {
                    wrong.push(format!("{list} is out of order at {id}"));
                }
                if let Some(other) = place.insert(id.clone(), list.to_owned()) {
                    wrong.push(format!("{id} is in {list} and in {other}"));
                }
            }
        }
        let ends = deeds.iter().flat_map(|it| it.popped.iter().chain(&it.done));
        for id in ends {
            if !self.delivered.insert(id.clone()) {
                wrong.push(format!("{id} was delivered twice"));
            }
        }
        for id in place.keys().filter(|id| self.delivered.contains(*id)) {
            wrong.push(format!("{id} was delivered and is still in {}", place[id]));
        }
        for (id, work) in deeds.iter().flat_map(|it| &it.moved) {
            let may_be_done = deeds.iter().any(|it| it.done_in_flight.as_ref() == Some(id));
            match place.get(id) {
                Some(found) if found == work => {}
                None if may_be_done => {}
                found => wrong.push(format!("{id} was moved to {work} and is in {found:?}")),
            }
        }
        let started = deeds.iter().flat_map(|it| it.pushed.iter().chain(&it.push_in_flight));
        let known: BTreeSet<&String> = started.chain(&self.waiting).collect();
        wrong
            .extend(place.keys().filter(|id| !known.contains(id)).map(|id| format!("{id} was never pushed")));
        let pushed = deeds.iter().flat_map(|it| &it.pushed).chain(&self.waiting);
        let lost: Vec<&String> =
            pushed.filter(|id| !place.contains_key(*id) && !self.delivered.contains(*id)).collect();
        let in_flight =
            deeds.iter().map(|it| usize::from(it.pop_in_flight) + usize::from(it.done_in_flight.is_some()));
        let in_flight: usize = in_flight.sum();
        if lost.len() > in_flight {
            wrong.push(format!("{} ids are lost, {in_flight} pops were in flight: {lost:?}", lost.len()));
        }
        let lost: Vec<String> = lost.into_iter().cloned().collect();
        self.delivered.extend(lost);
        self.waiting = place.into_keys().collect();
        wrong
    }
}
