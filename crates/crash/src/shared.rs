//! Keys that many connections write at once: a counter, a last-writer-wins register, a compare-and-set log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sessile_resp::Value;

use crate::client::{Conn, Lost, bytes, items, number, show};
use crate::rng::Rng;

/// A write to the register. Its value is its id.
#[derive(Clone, Copy, Debug)]
struct Write {
    sent: Instant,
    acked: Option<Instant>,
    seen: bool,
}

/// What one connection did to the shared keys in one round.
#[derive(Debug, Default)]
pub struct Deeds {
    /// Replies to INCR, in order.
    counts: Vec<i64>,
    incr_sent: u64,
    /// The largest value that a GET gave.
    count_seen: i64,
    writes: BTreeMap<String, Write>,
    register_seen: BTreeSet<String>,
    /// Values of the log's counter that this connection's EXEC has set.
    swaps: Vec<i64>,
    swap_in_flight: Option<i64>,
}

/// What must stand in the shared keys between rounds.
#[derive(Debug, Default)]
pub struct Shared {
    count: i64,
    register: Option<String>,
    log_len: i64,
}

macro_rules! reply_or_end {
    ($reply:expr, $who:literal) => {
        match $reply {
            Ok(Value::Error(text)) => return Err(format!("{}: {}", $who, show(&Value::Error(text)))),
            Ok(reply) => reply,
            Err(Lost::Ended) => return Ok(()),
            Err(other) => return Err(format!("{}: no reply: {other:?}", $who)),
        }
    };
}

impl Deeds {
    /// Increments, sets and reads until the connection ends.
    pub fn count_and_set(
        &mut self,
        who: &str,
        conn: &mut Conn,
        rng: &mut Rng,
        acks: &AtomicU64,
    ) -> Result<(), String> {
        for n in 0u64.. {
            match rng.below(5) {
                0 | 1 => {
                    self.incr_sent += 1;
                    let reply = reply_or_end!(conn.ask_line("INCR shared:count"), "counter");
                    self.counts.push(number(&reply).ok_or("INCR gave no number")?);
                    acks.fetch_add(1, Ordering::Relaxed);
                }
                2 | 3 => {
                    let id = format!("{who}:{n}");
                    self.writes.insert(id.clone(), Write { sent: Instant::now(), acked: None, seen: false });
                    reply_or_end!(conn.ask_line(&format!("SET shared:register {id}")), "register");
                    self.writes.entry(id).and_modify(|write| write.acked = Some(Instant::now()));
                    acks.fetch_add(1, Ordering::Relaxed);
                }
                _ => {
                    let reply = reply_or_end!(conn.ask_line("MGET shared:count shared:register"), "reader");
                    let [count, register] = items(&reply) else {
                        return Err("MGET gave no two values".into());
                    };
                    self.count_seen = self.count_seen.max(number(count).unwrap_or(0));
                    self.register_seen
                        .extend(bytes(register).map(|id| String::from_utf8_lossy(id).into_owned()));
                }
            }
        }
        Ok(())
    }

    /// Adds to the log by WATCH, GET, MULTI, EXEC until the connection ends.
    pub fn compare_and_set(&mut self, conn: &mut Conn, acks: &AtomicU64) -> Result<(), String> {
        loop {
            reply_or_end!(conn.ask_line("WATCH shared:log:count"), "compare-and-set");
            let count = reply_or_end!(conn.ask_line("GET shared:log:count"), "compare-and-set");
            let next = number(&count).unwrap_or(0) + 1;
            conn.push(&["MULTI"]);
            conn.push(&["SET", "shared:log:count", &next.to_string()]);
            conn.push(&["RPUSH", "shared:log", &next.to_string()]);
            conn.push(&["EXEC"]);
            self.swap_in_flight = Some(next);
            if conn.flush().is_err() {
                return Ok(());
            }
            for _ in 0..3 {
                reply_or_end!(conn.receive(), "compare-and-set");
            }
            let done = reply_or_end!(conn.receive(), "compare-and-set");
            self.swap_in_flight = None;
            if !items(&done).is_empty() {
                self.swaps.push(next);
                acks.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Shared {
    /// After a crash: compares the shared keys with all deeds of the round, and goes on from what they hold.
    pub fn settle(&mut self, conn: &mut Conn, round_began: Instant, deeds: &[Deeds]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut get = |line: &str| conn.ask_line(line).unwrap_or(Value::Null);
        let count = number(&get("GET shared:count")).unwrap_or(0);
        let register = bytes(&get("GET shared:register")).map(|id| String::from_utf8_lossy(id).into_owned());
        let log_count = number(&get("GET shared:log:count")).unwrap_or(0);
        let log = get("LRANGE shared:log 0 -1");
        self.settle_count(count, deeds, &mut wrong);
        self.settle_register(register, round_began, deeds, &mut wrong);
        let log: Vec<i64> = items(&log).iter().filter_map(number).collect();
        if log_count != log.len() as i64 || !log.iter().copied().eq(1..=log_count) {
            wrong.push(format!("the log of {} entries does not match its counter {log_count}", log.len()));
        }
        let swaps: Vec<i64> = deeds.iter().flat_map(|it| it.swaps.iter().copied()).collect();
        let distinct: BTreeSet<i64> = swaps.iter().copied().collect();
        if distinct.len() != swaps.len() {
            wrong.push("two WATCHed transactions have both set the same number".into());
        }
        let newest = distinct.last().copied().unwrap_or(0).max(self.log_len);
        if log_count < newest {
            wrong.push(format!("the log holds {log_count} entries, {newest} were acknowledged"));
        }
        let in_flight = deeds.iter().filter(|it| it.swap_in_flight.is_some()).count() as i64;
        if log_count > self.log_len + distinct.len() as i64 + in_flight {
            wrong.push(format!("the log holds {log_count} entries, more than were sent"));
        }
        self.log_len = log_count;
        wrong
    }

    fn settle_count(&mut self, count: i64, deeds: &[Deeds], wrong: &mut Vec<String>) {
        let replies: Vec<i64> = deeds.iter().flat_map(|it| it.counts.iter().copied()).collect();
        let distinct: BTreeSet<i64> = replies.iter().copied().collect();
        if distinct.len() != replies.len() {
            wrong.push("two INCR got the same number".into());
        }
        if deeds.iter().any(|it| !it.counts.is_sorted()) {
            wrong.push("INCR went back on one connection".into());
        }
        let seen = deeds.iter().map(|it| it.count_seen).max().unwrap_or(0);
        let least = distinct.last().copied().unwrap_or(0).max(seen).max(self.count);
        let most = self.count + deeds.iter().map(|it| it.incr_sent as i64).sum::<i64>();
        if count < least || count > most {
            wrong.push(format!("the counter is {count}, not within {least}..={most}"));
        }
        self.count = count;
    }

    fn settle_register(
        &mut self,
        found: Option<String>,
        round_began: Instant,
        deeds: &[Deeds],
        wrong: &mut Vec<String>,
    ) {
        let mut writes: BTreeMap<String, Write> =
            deeds.iter().flat_map(|it| it.writes.iter().map(|(id, write)| (id.clone(), *write))).collect();
        if let Some(old) = self.register.take() {
            writes.insert(old, Write { sent: round_began, acked: Some(round_began), seen: true });
        }
        for id in deeds.iter().flat_map(|it| &it.register_seen) {
            match writes.get_mut(id) {
                Some(write) => write.seen = true,
                None => wrong.push(format!("the register was read as {id}, which nobody had written")),
            }
        }
        let held = found.as_ref().and_then(|id| writes.get(id));
        let newest = writes.iter().filter(|(_, w)| w.acked.is_some() || w.seen).max_by_key(|(_, w)| w.sent);
        match (held, newest) {
            (None, Some((id, _))) => {
                wrong.push(format!("the register holds {found:?}, {id} was acknowledged or read"));
            }
            // Only a write that was sent after this one had been acknowledged must have overwritten it.
            (Some(Write { acked: Some(acked), .. }), Some((id, newer))) if newer.sent > *acked => {
                wrong.push(format!(
                    "the register holds {found:?}, {id} was sent later and acknowledged or read"
                ));
            }
            _ => {}
        }
        self.register = found;
    }
}
