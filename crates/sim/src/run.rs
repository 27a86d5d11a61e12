//! One seed: a life of a node, with everything that may go wrong in it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sessile_engine::{Action, JournalState};
use sessile_journal::{Health, SimDisk};

use crate::backend::Image;
use crate::dice::{Dice, mix};
use crate::disk::DiskImage;
use crate::generate::{self, Family};
use crate::node::{Mode, Node};
use crate::remote::RemoteStore;
use crate::reveal::is_blocked;
use crate::tally::Tally;

/// Commands in one life, at least.
const COMMANDS_MIN: u64 = 300;
/// Connections.
const CONNS: usize = 3;
/// Commands that a node with a failed journal still gets.
const COMMANDS_AFTER_FAILURE: u64 = 12;

thread_local! {
    /// The trace of a life that panicked.
    static TRACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Lives one seed. On failure: what went wrong, and the last things that happened.
pub fn run(seed: u64) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let lived = catch_unwind(AssertUnwindSafe(|| live(seed, &mut tally)));
    let trace = || TRACE.with(|trace| trace.borrow().join("\n  "));
    match lived {
        Ok(Ok(())) => Ok(tally),
        Ok(Err(why)) => Err(format!("seed {seed}: {why}\n  {}\nrepeat with SESSILE_SEED={seed}", trace())),
        Err(panic) => {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned())).unwrap_or_default();
            Err(format!("seed {seed}: panic: {why}\n  {}\nrepeat with SESSILE_SEED={seed}", trace()))
        }
    }
}

/// A life, and the plan for it.
struct Life {
    dice: Dice,
    node: Node,
    commands: u64,
    since_failure: u64,
    snapshotting: bool,
}

fn live(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut dice = Dice::new(mix(seed.wrapping_add(1)));
    let mode = Mode { relaxed: dice.chance(25), notify: dice.chance(40) };
    let image = if dice.chance(25) {
        Image::Remote(RemoteStore::default())
    } else {
        Image::Disk(DiskImage {
            disk: SimDisk::new(dice.roll()),
            segment_bytes: dice.pick(&[16_384, 32_768, 65_536]),
            record_payload_bytes: dice.pick(&[300, 1000, 8000]),
        })
    };
    let node = Node::start(&image, mode, dice.roll())?;
    let mut life = Life { dice, node, commands: 0, since_failure: 0, snapshotting: false };
    // A panic must not take the trace along.
    let result = catch_unwind(AssertUnwindSafe(|| life.run()));
    TRACE.with(|trace| *trace.borrow_mut() = life.node.trace.iter().cloned().collect());
    tally.add(&life.node.tally);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

impl Life {
    fn run(&mut self) -> Result<(), String> {
        self.connect_all();
        // Half of the lives go on after their planned crash.
        let goes_on = self.dice.chance(50);
        let crash_at = if goes_on { 50 + self.dice.below(COMMANDS_MIN - 50) } else { COMMANDS_MIN };
        let fault_at = self.dice.below(COMMANDS_MIN * 3 / 2);
        let (mut crashed, mut broken) = (false, false);
        while self.commands < COMMANDS_MIN || !crashed {
            self.step()?;
            if !broken && self.commands >= fault_at {
                broken = true;
                self.node.say("something breaks");
                self.node.journal.break_something(&mut self.dice, &mut self.node.tally);
            }
            let planned = !crashed && self.commands >= crash_at;
            if planned || self.node.journal.is_dead() || self.since_failure > COMMANDS_AFTER_FAILURE {
                crashed |= planned;
                self.crash()?;
            }
        }
        self.end()
    }

    fn connect_all(&mut self) {
        for _ in 0..CONNS {
            self.node.connect();
        }
    }

    fn crash(&mut self) -> Result<(), String> {
        let power = self.dice.chance(70);
        self.node.crash(power, &mut self.dice)?;
        (self.since_failure, self.snapshotting) = (0, false);
        self.connect_all();
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        match self.dice.below(100) {
            0..=44 => self.command()?,
            45..=54 => self.node.hand_over(),
            55..=76 => {
                let now_ms = self.node.now_ms();
                self.node.journal.step(&mut self.dice, now_ms, &mut self.node.tally);
            }
            77..=84 => self.node.tell_progress()?,
            85..=90 => self.send()?,
            91..=94 => self.pass()?,
            95..=96 => self.node.tick()?,
            97..=98 => self.snapshot()?,
            _ => self.seldom()?,
        }
        if matches!(self.node.engine.journal_state(), JournalState::Failed(_)) && self.since_failure == 0 {
            self.after_failure()?;
        }
        Ok(())
    }

    /// A random connection sends something, or what it may send where it is held up.
    fn command(&mut self) -> Result<(), String> {
        let index = self.dice.below(CONNS as u64) as usize;
        let id = self.node.conns[index].id;
        self.commands += 1;
        if matches!(self.node.engine.journal_state(), JournalState::Failed(_)) {
            self.since_failure += 1;
        }
        let Some(session) = self.node.engine.session(id) else { return Ok(()) };
        let (closing, subscribed, multi) =
            (session.closing, session.is_subscriber(), session.multi.is_some());
        let watching = !session.watched.is_empty();
        if closing || self.dice.below(200) == 0 {
            self.send_all(index)?;
            self.node.reconnect(index);
            return Ok(());
        }
        if is_blocked(&self.node.engine, id) {
            return Ok(());
        }
        if subscribed {
            let word = self.dice.pick(&["UNSUBSCRIBE", "PUNSUBSCRIBE", "PUNSUBSCRIBE", "PING"]);
            let words: &[&str] = if self.dice.chance(12) { &[word] } else { return Ok(()) };
            return self.node.ask(index, words);
        }
        let session_words: Option<Vec<Vec<u8>>> = match self.dice.below(100) {
            0..=3 if !multi => Some(vec![b"MULTI".to_vec()]),
            4..=7 if !multi => Some(vec![b"WATCH".to_vec(), generate::any_key(&mut self.dice)]),
            8..=20 if !multi && watching => Some(vec![b"MULTI".to_vec()]),
            0..=30 if multi => Some(vec![b"EXEC".to_vec()]),
            31 if multi => Some(vec![b"DISCARD".to_vec()]),
            32..=33 if !multi && index == CONNS - 1 => Some(self.subscribe()),
            _ => None,
        };
        let family = match self.dice.below(100) {
            0..=83 => Family::Data,
            84..=90 => Family::Wide,
            91..=92 if !multi => Family::Rare,
            93..=97 => Family::Blocking,
            98 if !multi => Family::Broken,
            _ => Family::Data,
        };
        let args = session_words.or_else(|| generate::request(&mut self.dice, family));
        let Some(args) = args else { return Ok(()) };
        let cut = self.dice.chance(5).then(|| 1 + self.dice.below(20) as usize);
        self.node.request(index, &args, cut)?;
        // What the server would have to do is done elsewhere here.
        let actions = self.node.engine.take_actions();
        debug_assert!(!actions.iter().any(|action| matches!(action, Action::Shutdown { .. })));
        Ok(())
    }

    fn subscribe(&mut self) -> Vec<Vec<u8>> {
        let words: &[&str] = match self.dice.below(3) {
            0 => &["SUBSCRIBE", "ch0", "ch1"],
            1 => &["PSUBSCRIBE", "__key*"],
            _ => &["PSUBSCRIBE", "*"],
        };
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn send(&mut self) -> Result<(), String> {
        let index = self.dice.below(CONNS as u64) as usize;
        if self.node.engine.released(self.node.conns[index].id).is_empty() {
            let waits =
                self.node.engine.session(self.node.conns[index].id).is_some_and(|s| s.output.is_gated());
            if waits {
                self.node.tally.note("reply waited");
            }
            return Ok(());
        }
        let most = if self.dice.chance(20) { 1 + self.dice.below(10) as usize } else { usize::MAX };
        self.node.send(index, most, &mut self.dice)?;
        Ok(())
    }

    fn send_all(&mut self, index: usize) -> Result<(), String> {
        while self.node.send(index, usize::MAX, &mut self.dice)? > 0 {}
        Ok(())
    }

    fn pass(&mut self) -> Result<(), String> {
        let ms = self.dice.below(40);
        // Somebody sets the wall clock back, now and then.
        let wall_ms = if self.dice.chance(3) { -500 } else { ms as i64 };
        self.node.pass(wall_ms, ms)
    }

    fn snapshot(&mut self) -> Result<(), String> {
        let node = &mut self.node;
        if node.engine.keyspace().snapshot().is_none() {
            if self.snapshotting || !self.dice.chance(40) {
                self.snapshotting = false;
                return Ok(());
            }
            node.hand_over();
            if node.journal.snapshot_begin(node.engine.last_lsn(), node.now_ms()).is_ok() {
                node.say(format!("snapshot at LSN {}", node.engine.last_lsn()));
                node.engine.keyspace_mut().snapshot_begin();
                self.snapshotting = true;
            }
            return Ok(());
        }
        let (bytes, entries) = node.engine.keyspace_mut().snapshot_turn(64 + self.dice.below(3000) as usize);
        let mut result = if bytes.is_empty() { Ok(()) } else { node.journal.snapshot_write(bytes) };
        if let (Ok(()), Some(_)) = (&result, entries) {
            result = node.journal.snapshot_finish();
        }
        if result.is_err() {
            node.engine.keyspace_mut().snapshot_abort();
            node.journal.snapshot_abort();
        }
        Ok(())
    }

    fn seldom(&mut self) -> Result<(), String> {
        match self.dice.below(4) {
            0 => self.node.check_live(),
            1 => {
                for index in 0..CONNS {
                    self.send_all(index)?;
                }
                Ok(())
            }
            2 if self.node.journal.health() == Health::Ok => {
                self.node.hand_over();
                self.node.journal.settle(self.node.now_ms());
                self.node.tell_progress()
            }
            _ => {
                // Somebody makes room on the disk.
                if let Health::Full { .. } = self.node.journal.health() {
                    self.node.journal.make_room();
                }
                Ok(())
            }
        }
    }

    /// Reads of what is durable go on, and nothing that is not durable is told.
    fn after_failure(&mut self) -> Result<(), String> {
        self.since_failure = 1;
        let durable = self.node.journal.progress().durable;
        let index = self.node.connect();
        let mut answered = 0;
        let mut readable = 0;
        for key in ["s0", "s1", "h0", "h1", "l0", "z0"] {
            // The gate's marks do not tell dbs apart.
            if [0, 1].iter().all(|&db| self.node.model.changed(db, key.as_bytes(), u64::MAX) <= durable) {
                readable += 1;
                let sent = self.node.conns[index].received.len();
                self.node.ask(index, &["EXISTS", key])?;
                self.send_all(index)?;
                answered += usize::from(self.node.conns[index].received[sent..].starts_with(b":"));
                if answered == 0 {
                    self.node.reconnect(index);
                }
            }
        }
        // A flush that is not durable holds up everything; one key may share its mark with another, six hardly.
        if self.node.model.newest_wide_lsn <= durable && readable > 1 && answered == 0 {
            return Err(format!("none of {readable} durable keys could be read after the journal failed"));
        }
        self.node.tally.note("read after failure");
        self.node.engine.disconnect(self.node.conns[index].id);
        self.node.conns.pop();
        Ok(())
    }

    /// At last everything is said and stored.
    fn end(&mut self) -> Result<(), String> {
        for index in 0..CONNS {
            self.send_all(index)?;
        }
        self.node.check_live()?;
        let power = self.dice.chance(50);
        self.node.crash(power, &mut self.dice)?;
        self.node.check_live()
    }
}
