//! Lanes: connections with keys of their own, whose recovered state must be a prefix of what they sent.
//!
//! Every value a lane writes is the number of the step that wrote it. So whoever reads one learns a step that must
//! have survived, and the state after a crash must equal the model after some step between the last one that was
//! acknowledged or read and the last one that was sent: nothing lost, nothing half there, no transaction torn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use sessile_resp::Value;

use crate::client::{Cmd, Conn, Lost, bytes, items, number, show, words};
use crate::model::{Model, read_command, read_reply};
use crate::rng::Rng;

/// The keys of a lane, without its prefix; the first letter is the type.
const NAMES: [&str; 15] =
    ["s0", "s1", "sa", "sb", "sc", "se", "sm1", "sm2", "st", "l0", "l1", "h0", "z0", "e0", "x0"];
/// Accounts that transfers move amounts between; their sum is 0.
pub const ACCOUNTS: u64 = 6;
/// Far in the future, so that nothing expires while a run lasts.
const EXPIRES_FROM_MS: i64 = 4_000_000_000_000;

/// A transfer with its receipt, as a script: all or nothing, a loop in between.
const SCRIPT: &str = "redis.call('INCRBY', KEYS[1], -ARGV[2]) \
    for i = 1, 5 do redis.call('RPUSH', KEYS[4], ARGV[1]) end \
    redis.call('INCRBY', KEYS[2], ARGV[2]) redis.call('SET', KEYS[3], ARGV[1]) return tonumber(ARGV[1])";

/// One step: what is sent, and what it changes.
#[derive(Debug)]
struct Step {
    number: u64,
    requests: Vec<Cmd>,
    /// The writes; the same as the request unless it is a script or a transaction.
    effects: Vec<Cmd>,
    kind: Kind,
    replies: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    One,
    Transaction,
    Script,
}

/// A lane; it lives through all rounds.
#[derive(Debug)]
pub struct Lane {
    /// Its number.
    pub id: usize,
    db: u32,
    depth: usize,
    scripts: bool,
    rng: Rng,
    /// Its keys and its share of the accounts, after the last acknowledged step.
    model: Model,
    acked: u64,
    sent: u64,
    in_flight: VecDeque<Step>,
}

impl Lane {
    /// A lane that has done nothing yet.
    pub fn new(id: usize, scripts: bool, rng: Rng) -> Self {
        let db = if id == 6 { 9 } else { 0 };
        let depth = [1, 1, 4, 16][id % 4];
        Self {
            id,
            db,
            depth,
            scripts,
            rng,
            model: Model::default(),
            acked: 0,
            sent: 0,
            in_flight: VecDeque::new(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("lane{}:{name}", self.id)
    }

    /// Writes until the connection ends; counts acknowledgements in `acks`. A wrong reply is an error.
    pub fn write(&mut self, conn: &mut Conn, acks: &AtomicU64) -> Result<(), String> {
        if self.db != 0 && conn.ask_line(&format!("SELECT {}", self.db)).is_err() {
            return Ok(());
        }
        loop {
            while self.in_flight.len() < self.depth {
                let step = self.make_step();
                step.requests.iter().for_each(|request| conn.push(request));
                self.in_flight.push_back(step);
            }
            // What was queued counts as sent even if this fails: the server may have got any part of it.
            if conn.flush().is_err() {
                return Ok(());
            }
            match conn.receive() {
                Ok(reply) => self.take_reply(&reply, acks)?,
                Err(Lost::Ended) => return Ok(()),
                Err(other) => return Err(format!("lane {}: no reply: {other:?}", self.id)),
            }
        }
    }

    fn take_reply(&mut self, reply: &Value, acks: &AtomicU64) -> Result<(), String> {
        let step = self.in_flight.front_mut().ok_or("a reply that nobody asked for")?;
        step.replies += 1;
        let (nth, count) = (step.replies, step.requests.len());
        if nth < count {
            let wanted: &[u8] = if nth == 1 { b"OK" } else { b"QUEUED" };
            return check(bytes(reply) == Some(wanted), self.id, step, reply);
        }
        let step = self.in_flight.pop_front().ok_or("a step is in flight")?;
        let replies = match step.kind {
            Kind::Transaction => items(reply),
            _ => std::slice::from_ref(reply),
        };
        if step.kind == Kind::Script {
            check(number(reply) == Some(step.number as i64), self.id, &step, reply)?;
            step.effects.iter().for_each(|effect| drop(self.model.apply(effect)));
        } else {
            check(replies.len() == step.effects.len(), self.id, &step, reply)?;
            for (effect, reply) in step.effects.iter().zip(replies) {
                let wanted = self.model.apply(effect);
                let is_shared = effect[1].starts_with(b"acc:");
                check(is_shared && number(reply).is_some() || *reply == wanted, self.id, &step, reply)?;
            }
        }
        self.acked = step.number;
        acks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn make_step(&mut self) -> Step {
        self.sent += 1;
        let n = self.sent;
        let key = |name: &str| format!("lane{}:{name}", self.id);
        let small = self.rng.below(40);
        let transfers = self.db == 0;
        let line = match self.rng.below(24) {
            0 | 1 => format!("SET {} {n}", key("s0")),
            2 => format!("APPEND {} {n},", key("sa")),
            3 if self.rng.one_in(10) => return self.big_step(n),
            3 => format!("SET {} {n}", key("sa")),
            4 => format!("INCR {}", key("sc")),
            5 => format!("SET {} {n} PXAT {}", key("se"), EXPIRES_FROM_MS + n as i64),
            6 | 7 => format!("RPUSH {} {n}", key("l0")),
            8 => format!("LPUSH {} {n}", key("l1")),
            9 => format!("LPOP {}", key("l0")),
            10 => format!("LTRIM {} -100 -1", key(if self.rng.one_in(2) { "l0" } else { "l1" })),
            11 | 12 => format!("HSET {} f{small} {n} f{} {n}", key("h0"), self.rng.below(400)),
            13 => format!("HDEL {} f{small}", key("h0")),
            14 => format!("ZADD {} {n} m{}", key("z0"), self.rng.below(300)),
            15 => format!("ZREM {} m{small}", key("z0")),
            16 => format!("SADD {} {n}", key("e0")),
            17 => format!("SREM {} {}", key("e0"), n.saturating_sub(60 + small)),
            18 => format!("XADD {} {n}-0 f {n}", key("x0")),
            19 if self.model.keys.contains_key(key("x0").as_bytes()) => {
                format!("XTRIM {} MAXLEN 50", key("x0"))
            }
            20 | 21 if transfers => return self.transfer(n),
            22 if transfers && self.scripts => return self.script(n),
            _ => return self.transaction(n),
        };
        let request = words(&line);
        Step {
            number: n,
            effects: vec![request.clone()],
            requests: vec![request],
            kind: Kind::One,
            replies: 0,
        }
    }

    /// A value that spans many records, now and then several small segments.
    fn big_step(&mut self, n: u64) -> Step {
        let len = if self.rng.one_in(4) { 3 << 20 } else { 200_000 } + self.rng.below(1000) as usize;
        let value = format!("{n} ").into_bytes().into_iter().cycle().take(len).collect();
        let request = vec![b"SET".to_vec(), self.key("sb").into_bytes(), value];
        Step {
            number: n,
            effects: vec![request.clone()],
            requests: vec![request],
            kind: Kind::One,
            replies: 0,
        }
    }

    fn in_multi(number: u64, effects: Vec<Cmd>) -> Step {
        let mut requests = vec![words("MULTI")];
        requests.extend(effects.iter().cloned());
        requests.push(words("EXEC"));
        Step { number, requests, effects, kind: Kind::Transaction, replies: 0 }
    }

    /// Two keys that are always equal, a rename in between.
    fn transaction(&mut self, n: u64) -> Step {
        let id = self.id;
        let lines = [
            format!("SET lane{id}:sm1 {n}"),
            format!("SET lane{id}:s0 {n}"),
            format!("RENAME lane{id}:s0 lane{id}:s1"),
            format!("SET lane{id}:sm2 {n}"),
        ];
        Self::in_multi(n, lines.iter().map(|line| words(line)).collect())
    }

    fn transfer(&mut self, n: u64) -> Step {
        let (from, to, amount) = self.accounts();
        let lines = [
            format!("INCRBY acc:{from} -{amount}"),
            format!("SET lane{}:st {n}", self.id),
            format!("INCRBY acc:{to} {amount}"),
        ];
        Self::in_multi(n, lines.iter().map(|line| words(line)).collect())
    }

    fn script(&mut self, n: u64) -> Step {
        let (from, to, amount) = self.accounts();
        let (receipt, list) = (self.key("st"), self.key("l1"));
        let mut request = vec![b"EVAL".to_vec(), SCRIPT.as_bytes().to_vec()];
        request.extend(words(&format!("4 acc:{from} acc:{to} {receipt} {list} {n} {amount}")));
        let push = format!("RPUSH {list} {n}");
        let mut lines = vec![format!("INCRBY acc:{from} -{amount}")];
        lines.extend(std::iter::repeat_n(push, 5));
        lines.extend([format!("INCRBY acc:{to} {amount}"), format!("SET {receipt} {n}")]);
        let effects = lines.iter().map(|line| words(line)).collect();
        Step { number: n, requests: vec![request], effects, kind: Kind::Script, replies: 0 }
    }

    fn accounts(&mut self) -> (u64, u64, u64) {
        let from = self.rng.below(ACCOUNTS);
        (from, (from + 1 + self.rng.below(ACCOUNTS - 1)) % ACCOUNTS, 1 + self.rng.below(100))
    }

    /// After a crash: reads the lane's keys and finds the step up to which they stand. `seen` is the newest step that
    /// anybody has read. Goes on from there.
    pub fn settle(&mut self, conn: &mut Conn, seen: u64) -> Result<(), String> {
        let found = self.read_back(conn)?;
        let shown = |it: &Model| -> Model {
            let mut own = it.clone();
            own.keys.retain(|key, _| !key.starts_with(b"acc:"));
            own
        };
        let acknowledged = self.model.clone();
        let mut matched = None;
        for step in std::iter::once(None).chain(std::mem::take(&mut self.in_flight).into_iter().map(Some)) {
            let number = step.as_ref().map_or(self.acked, |step| step.number);
            for effect in step.iter().flat_map(|step| &step.effects) {
                self.model.apply(effect);
            }
            if shown(&self.model) == found {
                matched = Some((number, self.model.clone()));
            }
        }
        let Some((number, model)) = matched else {
            let why = shown(&acknowledged).difference(&found).unwrap_or_default();
            return Err(format!(
                "lane {}: its keys are no prefix of what was sent (acknowledged up to {}, sent up to {}): {why}",
                self.id, self.acked, self.sent
            ));
        };
        if number < seen {
            return Err(format!("lane {}: step {seen} was read, only {number} is there", self.id));
        }
        (self.model, self.acked, self.sent) = (model, number, number.max(self.sent));
        Ok(())
    }

    fn read_back(&self, conn: &mut Conn) -> Result<Model, String> {
        let lost = |e: Lost| format!("reading back: {e:?}");
        conn.ask_line(&format!("SELECT {}", self.db)).map_err(lost)?;
        let commands: Vec<Cmd> = NAMES.iter().map(|name| read_command(name, &self.key(name))).collect();
        let replies = conn.ask_all(&commands).map_err(lost)?;
        let mut found = Model::default();
        for (name, reply) in NAMES.iter().zip(&replies) {
            if let Some(held) = read_reply(name, reply)? {
                found.keys.insert(self.key(name).into_bytes(), held);
            }
        }
        let expires = self.key("se");
        let at_ms = conn.ask_line(&format!("PEXPIRETIME {expires}")).map_err(lost)?;
        if let Some(at_ms) = number(&at_ms).filter(|at_ms| *at_ms > 0) {
            found.expires_ms.insert(expires.into_bytes(), at_ms);
        }
        conn.ask_line("SELECT 0").map_err(lost)?;
        Ok(found)
    }

    /// What this lane's transfers have added to an account.
    pub fn share(&self, account: u64) -> i64 {
        self.model.integer(format!("acc:{account}").as_bytes())
    }
}

fn check(good: bool, lane: usize, step: &Step, reply: &Value) -> Result<(), String> {
    if good {
        return Ok(());
    }
    let sent =
        step.requests.iter().map(|cmd| String::from_utf8_lossy(&cmd.join(&b' ')).chars().take(120).collect());
    let sent: Vec<String> = sent.collect();
    Err(format!("lane {lane} step {}: {} got {}", step.number, sent.join("; "), show(reply)))
}

/// Reads what lanes write until the connection ends, and notes the newest step it saw of each. What it sees must
/// never be half of a transaction.
pub fn read_others(conn: &mut Conn, rng: &mut Rng, seen: &[AtomicU64]) -> Result<(), String> {
    loop {
        let id = rng.below(seen.len() as u64) as usize;
        let line = match rng.below(9) {
            0 => format!("GET lane{id}:s1"),
            1 => format!("LINDEX lane{id}:l0 -1"),
            2 => format!("HGET lane{id}:h0 f{}", rng.below(40)),
            3 => format!("ZSCORE lane{id}:z0 m{}", rng.below(300)),
            4 => format!("SRANDMEMBER lane{id}:e0"),
            5 => format!("GET lane{id}:se"),
            6 => format!("LINDEX lane{id}:l1 0"),
            7 => format!("MGET lane{id}:sm1 lane{id}:sm2"),
            _ => format!("MGET {}", (0..ACCOUNTS).map(|n| format!("acc:{n} ")).collect::<String>()),
        };
        let reply = match conn.ask_line(&line) {
            Ok(reply) => reply,
            Err(Lost::Ended) => return Ok(()),
            Err(other) => return Err(format!("reader: no reply: {other:?}")),
        };
        if let Value::Error(_) = reply {
            return Err(format!("reader: {line} got {}", show(&reply)));
        }
        let numbers: Vec<i64> = items(&reply).iter().map(|item| number(item).unwrap_or(0)).collect();
        if line.contains("acc:") {
            if numbers.iter().sum::<i64>() != 0 {
                return Err(format!("reader: half a transfer is visible: {numbers:?}"));
            }
            continue;
        }
        if let [a, b] = numbers[..]
            && a != b
        {
            return Err(format!("reader: half a transaction is visible: {line}: {numbers:?}"));
        }
        let step = number(&reply).or(numbers.first().copied()).unwrap_or(0);
        seen[id].fetch_max(u64::try_from(step).unwrap_or(0), Ordering::Relaxed);
    }
}
