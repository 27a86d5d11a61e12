//! A node: the real engine over a journal that moves by steps, with the oracle watching what leaves it.
//!
//! Everything that happens to the engine is an *event*. After each, the transactions go to the model and every
//! connection's new output gets the LSN that it needs; when bytes leave, that LSN must have survived.

use std::collections::VecDeque;

use sessile_config::{Asker, Config, Persona};
use sessile_engine::{ConnId, Engine, JournalState, Now, Options, Peer};
use sessile_journal::{Batch, Health, Recovery, Room, SyncPolicy};
use sessile_keyspace::{Gate, Keyspace};
use sessile_values::HashKey;

use crate::backend::{Backend, Image};
use crate::dice::Dice;
use crate::disk::{DiskImage, DiskJournal};
use crate::generate;
use crate::model::{DBS, Model};
use crate::reveal::{self, Reveal};
use crate::tally::Tally;

/// Lines of the trace that a failure shows.
const TRACE_LINES: usize = 60;

/// How a node is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// `appendfsync everysec`: replies wait for *written* only.
    pub relaxed: bool,
    /// Keyspace events are on.
    pub notify: bool,
}

/// Output that one event added for a connection.
struct Segment {
    /// Bytes that came before it on the connection.
    start: u64,
    /// LSN that it needs.
    need: u64,
    /// LSN that it needs if EXEC was refused.
    need_refused: u64,
    /// LSN that it needs if it is an error.
    need_error: u64,
    /// A push, not a reply.
    push: bool,
    /// The last LSN when it was added: what a miss may tell of its key. 0 if due keys told nothing then.
    until: u64,
    what: String,
}

/// A connection as the oracle sees it.
#[derive(Default)]
pub struct Conn {
    /// Its place in the engine.
    pub id: ConnId,
    segments: VecDeque<Segment>,
    sent: u64,
    /// The newest LSN that its replies needed so far: what its messages may tell.
    seen: u64,
    /// Bytes that were released, for tests that look at them.
    pub received: Vec<u8>,
}

/// What was so before an event.
struct Before {
    lsn: u64,
    refusing_at_ms: Option<u64>,
    conns: Vec<(u64, Option<Reveal>)>,
}

/// The node.
pub struct Node {
    /// The engine.
    pub engine: Engine,
    /// Its journal.
    pub journal: Box<dyn Backend>,
    /// What its transactions made.
    pub model: Model,
    /// Its connections.
    pub conns: Vec<Conn>,
    /// What was met.
    pub tally: Tally,
    /// The last things that happened.
    pub trace: VecDeque<String>,
    mode: Mode,
    /// Transactions that were not yet handed to the journal.
    pending: Vec<u8>,
    pending_lsn: u64,
    now: Now,
    /// Which state of the journal was last crashed for a look, and what LSN it recovered.
    looked: Option<(u64, u64)>,
}

fn no_time() -> u64 {
    0
}

fn engine_for(mode: Mode, seed: u64, now: Now) -> Engine {
    let mut config = Config::new(Persona::Sessile);
    let asker = Asker { local: true, loading: true };
    let mut set = |name: &[u8], value: &[u8]| {
        config.set(name, value, asker).expect("the simulator sets what may be set");
    };
    if mode.relaxed {
        set(b"appendfsync", b"everysec");
    }
    if mode.notify {
        set(b"notify-keyspace-events", b"KEAm");
    }
    Engine::new(Options { config, seed, now, stopwatch_us: no_time })
}

impl Node {
    /// Starts on what a journal holds; the model is empty, so it must hold nothing.
    pub fn start(image: &Image, mode: Mode, seed: u64) -> Result<Self, String> {
        let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 8_640_000_000 };
        let mut engine = engine_for(mode, seed, now);
        let (journal, recovery) =
            image.open(seed, &mut |b| engine.recover(b.bytes, b.last_lsn, b.time_ms))?;
        let mut node = Self {
            engine,
            journal,
            model: Model::new(),
            conns: Vec::new(),
            tally: Tally::default(),
            trace: VecDeque::new(),
            mode,
            pending: Vec::new(),
            pending_lsn: 0,
            now,
            looked: None,
        };
        node.serve(&recovery)?;
        Ok(node)
    }

    fn serve(&mut self, recovery: &Recovery) -> Result<(), String> {
        self.tally.note(&format!("recovery {}", recovery.label));
        if recovery.snapshot_lsn.is_some() {
            self.tally.note("recovered from a snapshot");
        }
        self.engine.recovered_up_to(recovery.last_lsn, recovery.time_ms);
        let before = self.before();
        self.engine.open_for_service();
        self.after(&before, None)
    }

    /// Notes a line for the trace.
    pub fn say(&mut self, line: impl Into<String>) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line.into());
    }

    /// The engine's time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.engine.now_ms()
    }

    /// Takes in a connection; gives its index.
    pub fn connect(&mut self) -> usize {
        let peer = Peer { addr: "127.0.0.1:1".into(), loopback: true, ..Peer::default() };
        let id = self.engine.connect(peer).expect("few connections are open");
        self.conns.push(Conn { id, ..Conn::default() });
        self.conns.len() - 1
    }

    /// Ends a connection and takes in another at its index.
    pub fn reconnect(&mut self, index: usize) {
        self.engine.disconnect(self.conns[index].id);
        let last = self.connect();
        self.conns.swap_remove(index);
        debug_assert_eq!(last, self.conns.len(), "the new one took the old one's index");
    }

    fn before(&self) -> Before {
        let reveal = |conn: &Conn| self.engine.session(conn.id).and_then(Reveal::of_blocked);
        let refusing = *self.engine.journal_state() != JournalState::Open;
        Before {
            lsn: self.engine.last_lsn(),
            refusing_at_ms: refusing.then(|| self.now_ms()),
            conns: self.conns.iter().map(|conn| (self.end(conn), reveal(conn))).collect(),
        }
    }

    fn end(&self, conn: &Conn) -> u64 {
        self.engine.session(conn.id).map_or(0, |session| session.output.end())
    }

    /// Looks at what an event did. `feeder` is the connection whose request it was, and what that may reveal.
    fn after(&mut self, before: &Before, feeder: Option<(usize, Reveal, String)>) -> Result<(), String> {
        let kinds = match self.engine.take_batch() {
            Some((bytes, last_lsn)) => {
                let kinds = self.model.apply(&bytes, last_lsn, &mut self.tally)?;
                self.pending.extend_from_slice(&bytes);
                self.pending_lsn = last_lsn;
                kinds
            }
            None => Vec::new(),
        };
        if before.lsn + kinds.len() as u64 != self.engine.last_lsn() {
            return Err(format!(
                "{} transactions after LSN {} end at {}",
                kinds.len(),
                before.lsn,
                self.engine.last_lsn()
            ));
        }
        let grown = |node: &Self, index: usize| node.end(&node.conns[index]) > before.conns[index].0;
        let woken: Vec<usize> =
            (0..self.conns.len()).filter(|&i| before.conns[i].1.is_some() && grown(self, i)).collect();
        let others: Vec<usize> = (0..self.conns.len())
            .filter(|&i| {
                before.conns[i].1.is_none() && grown(self, i) && feeder.as_ref().is_none_or(|f| f.0 != i)
            })
            .collect();
        self.add_pushes(before, &kinds, feeder.as_ref(), &others);
        self.add_woken(before, feeder.is_some(), &woken);
        if let Some((index, reveal, what)) = feeder
            && grown(self, index)
        {
            self.add_reply(before, &kinds, index, &reveal, what, woken.is_empty());
        }
        Ok(())
    }

    fn add_pushes(
        &mut self,
        before: &Before,
        kinds: &[bool],
        feeder: Option<&(usize, Reveal, String)>,
        to: &[usize],
    ) {
        let sends = feeder.is_some_and(|(_, reveal, _)| reveal.sends());
        let by_effect = kinds.first().is_some_and(|&only_expired| !(sends && only_expired));
        let known = match feeder {
            Some((index, _, _)) if sends => self.conns[*index].seen,
            _ => 0,
        };
        for &index in to {
            let need = if by_effect { before.lsn + 1 } else { known };
            let start = before.conns[index].0;
            let what = "a push".to_owned();
            self.conns[index].segments.push_back(Segment {
                start,
                need,
                need_refused: need,
                need_error: need,
                push: true,
                until: if before.refusing_at_ms.is_none() { self.engine.last_lsn() } else { 0 },
                what,
            });
        }
    }

    fn add_woken(&mut self, before: &Before, by_request: bool, woken: &[usize]) {
        let until = match woken.len() {
            1 => self.engine.last_lsn(),
            // Several served each other: only what woke the first is certain to be seen by all.
            _ => before.lsn + u64::from(by_request),
        };
        for &index in woken {
            self.tally.note("woken client");
            let (start, reveal) = &before.conns[index];
            let reveal = reveal.as_ref().expect("a woken connection was blocked");
            let need = reveal.needs(&self.model, until, before.refusing_at_ms);
            let conn = &mut self.conns[index];
            conn.seen = conn.seen.max(need);
            let what = "a blocked command's reply".to_owned();
            conn.segments.push_back(Segment {
                start: *start,
                need,
                need_refused: need,
                need_error: need,
                push: false,
                until: 0,
                what,
            });
        }
    }

    fn add_reply(
        &mut self,
        before: &Before,
        kinds: &[bool],
        index: usize,
        reveal: &Reveal,
        what: String,
        alone: bool,
    ) {
        // Clients that this command woke ran after it; what they did is not in its reply.
        let own = kinds.len().min(1 + kinds.iter().skip(1).take_while(|&&only_expired| only_expired).count());
        let until = if alone { self.engine.last_lsn() } else { before.lsn + own as u64 };
        let mut need = reveal.needs(&self.model, until, before.refusing_at_ms);
        let mut need_error = reveal.needs_of_error(&self.model, until, before.refusing_at_ms);
        if reveal.runs_data() && !kinds.is_empty() && self.model.changed_at(before.lsn + 1) {
            need = need.max(before.lsn + 1);
            need_error = need_error.max(before.lsn + 1);
        }
        let need_refused = reveal.needs_when_watch_failed(&self.model, before.lsn);
        let conn = &mut self.conns[index];
        if before.refusing_at_ms.is_none() {
            // What the reply is cannot be seen yet: the least that any would need.
            let failed = reveal.exec.is_some() && kinds.is_empty();
            let least = if kinds.is_empty() { need.min(need_error) } else { need };
            conn.seen = conn.seen.max(if failed { need_refused } else { least });
        }
        let start = before.conns[index].0;
        conn.segments.push_back(Segment {
            start,
            need,
            need_refused,
            need_error,
            push: false,
            until: 0,
            what,
        });
    }

    /// Sends one request on a connection, in one piece or two.
    pub fn request(&mut self, index: usize, args: &[Vec<u8>], cut: Option<usize>) -> Result<(), String> {
        let id = self.conns[index].id;
        let Some(session) = self.engine.session(id) else { return Err("no such connection".into()) };
        let (reveal, db) = (Reveal::of(session, args), session.db);
        let bytes = generate::wire(args);
        if self.journal.room(bytes.len() as u64 * 2 + 4096) == Room::Full {
            self.tell_health()?;
        }
        let words: Vec<String> =
            args.iter().map(|arg| String::from_utf8_lossy(&arg[..arg.len().min(40)]).into()).collect();
        let what = format!("#{index} db {db} LSN {}: {}", self.engine.last_lsn(), words.join(" "));
        self.say(what.clone());
        let before = self.before();
        let (first, rest) = bytes.split_at(cut.unwrap_or(0).min(bytes.len() - 1));
        if !first.is_empty() {
            self.engine.feed(id, first);
        }
        self.engine.feed(id, rest);
        self.after(&before, Some((index, reveal, what)))?;
        let failed = matches!(self.engine.journal_state(), JournalState::Failed(_));
        if failed && self.engine.session(id).is_some_and(|session| session.output.is_gated()) {
            return Err("a reply waits for a journal that has failed".into());
        }
        Ok(())
    }

    /// As [`Node::request`], with words.
    pub fn ask(&mut self, index: usize, words: &[&str]) -> Result<(), String> {
        let args: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.request(index, &args, None)
    }

    /// Lets time pass: the wall clock by `wall_ms`, which may be negative, and the other by `boot_ms`.
    pub fn pass(&mut self, wall_ms: i64, boot_ms: u64) -> Result<(), String> {
        self.now.wall_ms = self.now.wall_ms.saturating_add_signed(wall_ms);
        self.now.boot_ms += boot_ms;
        let was_ms = self.now_ms();
        let before = self.before();
        self.engine.set_time(self.now);
        let now_ms = self.now_ms();
        if now_ms < was_ms + boot_ms || now_ms > (was_ms + boot_ms).max(self.now.wall_ms) {
            return Err(format!("the clock went from {was_ms} to {now_ms} in {boot_ms} ms"));
        }
        self.after(&before, None)
    }

    /// One turn of the engine's background work.
    pub fn tick(&mut self) -> Result<(), String> {
        let before = self.before();
        self.engine.tick();
        self.after(&before, None)
    }

    /// Hands what ran to the journal.
    pub fn hand_over(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let sync = if self.mode.relaxed { SyncPolicy::EverySecond } else { SyncPolicy::Always };
        let bytes = std::mem::take(&mut self.pending);
        let batch = Batch { sync, ..Batch::new(bytes, self.pending_lsn, self.now_ms()) };
        // A journal that has stopped takes nothing, and its health says so.
        let _ = self.journal.append(batch);
    }

    /// Tells the engine how far the journal has come, and what it can do.
    pub fn tell_progress(&mut self) -> Result<(), String> {
        let progress = self.journal.progress();
        let before = self.before();
        self.engine.advance(Gate { written: progress.written, durable: progress.durable });
        self.after(&before, None)?;
        for note in self.journal.take_notes() {
            self.tally.note(note);
            self.say(note);
        }
        self.tell_health()
    }

    fn tell_health(&mut self) -> Result<(), String> {
        let full = self.journal.room(4096) == Room::Full;
        let state = match self.journal.health() {
            Health::Ok if full => JournalState::Refusing("the disk is full".into()),
            Health::Ok | Health::Waiting { .. } => JournalState::Open,
            Health::Full { reason } => JournalState::Refusing(reason.to_string()),
            dead => JournalState::Failed(dead.to_string()),
        };
        if *self.engine.journal_state() == state {
            return Ok(());
        }
        self.say(format!("{state:?} at {:?}", self.journal.progress()));
        if !matches!(state, JournalState::Failed(_)) {
            let before = self.before();
            self.engine.set_journal_state(state);
            return self.after(&before, None);
        }
        self.fail(state)
    }

    /// The journal failed: what waits for it gets the outcome-unknown error and its connection ends.
    fn fail(&mut self, state: JournalState) -> Result<(), String> {
        let gated: Vec<Option<Vec<u8>>> = self
            .conns
            .iter()
            .map(|conn| {
                let session = self.engine.session(conn.id)?;
                session.output.is_gated().then(|| self.engine.released(conn.id).to_vec())
            })
            .collect();
        self.engine.set_journal_state(state);
        for (index, released) in gated.into_iter().enumerate() {
            let Some(released) = released else { continue };
            self.tally.note("outcome unknown");
            let conn = &mut self.conns[index];
            let now = self.engine.released(conn.id);
            let rest = now.strip_prefix(&released[..]).ok_or("what had been released was taken back")?;
            if !rest.starts_with(b"-ERR outcome unknown: ")
                || !rest.ends_with(b", check before you retry\r\n")
            {
                return Err(format!("a gated connection got {:?}", String::from_utf8_lossy(rest)));
            }
            let place = conn.sent + released.len() as u64;
            conn.segments.retain(|segment| segment.start < place);
            if !self.engine.session(conn.id).is_some_and(|session| session.closing) {
                return Err("a connection whose outcome is unknown stays open".into());
            }
        }
        Ok(())
    }

    /// Lets at most `most` released bytes of a connection leave, and checks what they reveal.
    pub fn send(&mut self, index: usize, most: usize, dice: &mut Dice) -> Result<usize, String> {
        let conn = &mut self.conns[index];
        let released = self.engine.released(conn.id).to_vec();
        let bytes = &released[..released.len().min(most)];
        let (from, to) = (conn.sent, conn.sent + bytes.len() as u64);
        let mut checks = Vec::new();
        while let Some(segment) = conn.segments.pop_front_if(|segment| segment.start < to) {
            let reply = &released[(segment.start - from) as usize..];
            let refused = reply.starts_with(b"*-1");
            let missed = if segment.push { reveal::missed(reply) } else { None };
            let need = match (missed, reply[0]) {
                (Some((db, key)), _) => {
                    self.tally.note("miss released");
                    self.model.changed(db, &key, segment.until)
                }
                _ if refused => segment.need_refused,
                (_, b'-') => segment.need_error,
                _ => segment.need,
            };
            if refused && segment.need_refused > 0 {
                self.tally.note("EXEC refused by WATCH");
            }
            if reply.starts_with(b"-MISCONF") {
                self.tally.note("write refused");
            }
            if segment.push {
                self.tally.note("push released");
            }
            if reveal::tells(reply) && need > 0 {
                checks.push((
                    need,
                    segment.what,
                    String::from_utf8_lossy(&reply[..reply.len().min(60)]).into_owned(),
                ));
            }
        }
        self.engine.sent(conn.id, bytes.len());
        conn.sent = to;
        conn.received.extend_from_slice(bytes);
        for (need, what, reply) in checks {
            self.check_release(need, dice)
                .map_err(|why| format!("{why}\n  the reply {reply:?} to: {what}"))?;
        }
        Ok(bytes.len())
    }

    /// What left depends on everything up to `need`: it must have survived.
    fn check_release(&mut self, need: u64, dice: &mut Dice) -> Result<(), String> {
        let progress = self.journal.progress();
        let (promised, word) =
            if self.mode.relaxed { (progress.written, "written") } else { (progress.durable, "durable") };
        if promised < need {
            return Err(format!("a reply that needs LSN {need} left when only {promised} was {word}"));
        }
        let version = self.journal.version();
        let recovered = match self.looked {
            Some((at, lsn)) if at == version => lsn,
            _ => self.look(dice.roll())?,
        };
        self.looked = Some((version, recovered));
        if recovered < need {
            return Err(format!(
                "a reply that needs LSN {need} left, and a crash now brings back only {recovered}"
            ));
        }
        Ok(())
    }

    /// Crashes a copy, recovers it and compares; gives the LSN that it came to.
    fn look(&mut self, seed: u64) -> Result<u64, String> {
        self.tally.note("crash copy checked");
        let image = if self.mode.relaxed {
            self.journal.after_kill(seed)
        } else {
            self.journal.after_power_cut(seed)
        };
        // Recovery needs room of its own, and says so where there is none.
        DiskJournal::heal(&image);
        let mut keyspace = Keyspace::new(DBS, HashKey(0, 0));
        let (_, recovery) =
            image.open(seed, &mut |batch| keyspace.replay(batch.bytes, |_, _| {}).map(drop))?;
        self.model.check("a crash copy", &keyspace, recovery.last_lsn)?;
        Ok(recovery.last_lsn)
    }

    /// The process ends, by a power cut or by being killed, and another one starts.
    pub fn crash(&mut self, power: bool, dice: &mut Dice) -> Result<(), String> {
        self.say(if power { "power cut" } else { "process killed" });
        self.tally.note(if power { "power cut" } else { "process killed" });
        let progress = self.journal.progress();
        let seed = dice.roll();
        let (mut image, mut promised) = if power {
            (self.journal.after_power_cut(seed), progress.durable)
        } else {
            (self.journal.after_kill(seed), progress.written)
        };
        let end = self.model.last_lsn();
        if dice.chance(20)
            && let Image::Disk(disk) = &image
        {
            // The next process dies as well, on its way up; a power cut then takes what was only written.
            let die = sessile_journal::Fault {
                operation: sessile_journal::Operation::Any,
                after: dice.below(12),
                kind: sessile_journal::FaultKind::Die,
            };
            disk.disk.inject(die);
            let _ = image.open(dice.roll(), &mut |_| Ok(()));
            disk.disk.clear_faults();
            promised = progress.durable;
            image = Image::Disk(DiskImage { disk: disk.disk.crash(dice.roll()), ..disk.clone() });
        }
        DiskJournal::heal(&image);
        let mut engine = engine_for(self.mode, dice.roll(), self.now);
        let mut shadow = Keyspace::new(DBS, HashKey(0, 0));
        let (journal, recovery) = image.open(dice.roll(), &mut |batch| {
            shadow.replay(batch.bytes, |_, _| {})?;
            engine.recover(batch.bytes, batch.last_lsn, batch.time_ms)
        })?;
        let lsn = recovery.last_lsn;
        self.say(format!("recovered LSN {lsn} ({}), promised {promised}, ran {end}", recovery.label));
        if lsn < promised || lsn > end {
            return Err(format!("recovered LSN {lsn}; promised was {promised}, and {end} had run"));
        }
        self.model.check("the recovered node", engine.keyspace(), lsn)?;
        self.model.rewind(lsn, shadow);
        (self.engine, self.journal, self.looked) = (engine, journal, None);
        self.conns.clear();
        self.pending.clear();
        self.serve(&recovery)?;
        if self.now_ms() < recovery.time_ms {
            return Err(format!(
                "the clock stands at {}, before the last record's {}",
                self.now_ms(),
                recovery.time_ms
            ));
        }
        // Recovering again gives the same.
        let again = self.look(dice.roll())?;
        if again != lsn {
            return Err(format!("the first recovery came to LSN {lsn}, a second one to {again}"));
        }
        Ok(())
    }

    /// The engine's own state must be what its journaled effects make.
    pub fn check_live(&self) -> Result<(), String> {
        self.model.check("the live keyspace", self.engine.keyspace(), self.engine.last_lsn())
    }
}
