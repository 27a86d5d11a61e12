//! Runs steps on both servers and compares the replies.
//!
//! Only one connection is in flight at a time, so both servers see the same order; within one
//! connection commands are pipelined. Connections with an odd index speak RESP3.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::generate::Counts;
use crate::reply::Reply;
use crate::rules;
use crate::server::{Conn, LinkError};
use crate::step::{Cmd, Inner, Step, Words, encode, render_words, words};

/// Commands per round trip.
const BATCH_MAX: usize = 50;
/// Bytes per round trip; what both sockets' buffers surely hold, so that neither side can stall.
const BATCH_BYTES_MAX: usize = 48 * 1024;
/// Calls until a SCAN iteration must have ended.
const SCAN_CALLS_MAX: usize = 20_000;

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The reference.
    Oracle,
    /// The server under test.
    Tested,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Two replies differ.
    Reply,
    /// The datasets differ.
    Dataset,
    /// A server ended the connection.
    Broken(Side),
    /// A server did not answer.
    Silent(Side),
}

/// A difference.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Index of the step.
    pub step: usize,
    /// The command's counted name, or where a dataset differs.
    pub command: String,
    /// What went wrong.
    pub kind: FailureKind,
    /// Both answers.
    pub detail: String,
}

impl Failure {
    /// Whether both are the same trouble, as far as the minimiser may not slip to another one.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.kind == other.kind && (self.command == other.command || self.kind != FailureKind::Reply)
    }
}

/// A deliberate fault, to prove that the tester finds what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Replies of this command are changed before they are compared.
    Corrupt(String),
    /// This command is not sent to the server under test, and its reply is taken from the oracle.
    Drop(String),
}

/// Totals over a run.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Replies compared and found equal.
    pub passed: u64,
    /// Non-error replies per command.
    pub succeeded: Counts,
    /// Replies per command.
    pub seen: Counts,
}

impl Totals {
    /// Adds another run's.
    pub fn absorb(&mut self, other: &Totals) {
        self.passed += other.passed;
        for (mine, theirs) in [(&mut self.succeeded, &other.succeeded), (&mut self.seen, &other.seen)] {
            theirs.iter().for_each(|(name, count)| *mine.entry(name.clone()).or_default() += count);
        }
    }
}

/// What stays the same over all runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Ports of the oracle and of the server under test.
    pub ports: [u16; 2],
    /// Number of connections.
    pub conns: usize,
    /// The server under test speaks a newer version than the oracle.
    pub newer: bool,
    /// Command names, to count subcommands apart.
    pub names: BTreeSet<String>,
    /// A deliberate fault.
    pub fault: Option<Fault>,
}

/// The same connection to both servers.
#[derive(Debug)]
pub struct Link {
    /// To the oracle and the server under test.
    pub sides: [Conn; 2],
    ids: [i64; 2],
    in_multi: bool,
    queued: Vec<Cmd>,
    blocked: Option<Cmd>,
}

/// Runs steps over its own connections, which end with it.
#[derive(Debug)]
pub struct Executor<'a> {
    setup: &'a Setup,
    links: Vec<Link>,
    /// A connection that no step uses.
    pub helper: Link,
}

impl<'a> Executor<'a> {
    /// Connects to both servers and empties them.
    pub fn fresh(setup: &'a Setup) -> Result<Self, Failure> {
        let mut helper = Link::open(setup, false).map_err(|(side, e)| broken(0, "connect", side, &e))?;
        let commands = [rules::reset_commands(), crate::scripts::preload()].concat();
        for side in [Side::Oracle, Side::Tested] {
            let replies = helper.sides[side as usize].call_many(&commands);
            replies.map_err(|e| broken(0, "reset", side, &e))?;
        }
        let links = (0..setup.conns).map(|i| Link::open(setup, i % 2 == 1)).collect::<Result<_, _>>();
        let links = links.map_err(|(side, e)| broken(0, "connect", side, &e))?;
        Ok(Self { setup, links, helper })
    }

    /// Runs the steps up to the first difference.
    pub fn run(&mut self, steps: &[Step], totals: &mut Totals) -> Result<(), Failure> {
        let result = self.run_inner(steps, totals);
        // Nothing may stay blocked: the next run's pushes would go to this run's clients.
        let ended = (0..self.links.len()).try_for_each(|conn| self.unblock(conn, false, steps.len(), totals));
        result.and(ended)
    }

    fn run_inner(&mut self, steps: &[Step], totals: &mut Totals) -> Result<(), Failure> {
        let mut batch: Vec<(usize, &Cmd)> = Vec::new();
        let mut batch_conn = 0;
        let mut batch_bytes = 0;
        for (at, step) in steps.iter().enumerate() {
            let same = matches!(step, Step::Run { conn, .. } if *conn == batch_conn);
            if !same {
                self.batch(batch_conn, &batch, totals)?;
                batch.clear();
                batch_bytes = 0;
            }
            if let Some(conn) = step.conn()
                && !matches!(step, Step::Unblock { .. })
            {
                self.unblock(conn, false, at, totals)?;
            }
            match step {
                Step::Run { conn, cmds } => {
                    batch_conn = *conn;
                    for cmd in cmds {
                        let bytes: usize = cmd.words.iter().map(|w| w.len() + 16).sum();
                        if batch.len() >= BATCH_MAX || batch_bytes + bytes > BATCH_BYTES_MAX {
                            self.batch(batch_conn, &batch, totals)?;
                            batch.clear();
                            batch_bytes = 0;
                        }
                        batch.push((at, cmd));
                        batch_bytes += bytes;
                    }
                }
                Step::Block { conn, cmd } => self.block(*conn, cmd, at, totals)?,
                Step::Unblock { conn, with_error } => self.unblock(*conn, *with_error, at, totals)?,
                Step::Scan { conn, words, cursor_at } => self.scan(*conn, words, *cursor_at, at, totals)?,
                Step::Sleep { ms } => std::thread::sleep(Duration::from_millis(*ms)),
            }
        }
        self.batch(batch_conn, &batch, totals)
    }

    /// The name under which a command is counted.
    fn name(&self, args: &[Vec<u8>]) -> String {
        rules::counted_name(args, &|n| self.setup.names.contains(n))
    }

    fn batch(&mut self, conn: usize, batch: &[(usize, &Cmd)], totals: &mut Totals) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let in_multi = self.links[conn].in_multi || batch.iter().any(|(_, c)| self.name(&c.words) == "multi");
        let dropped: Vec<bool> = batch.iter().map(|(_, cmd)| !in_multi && self.is_dropped(cmd)).collect();
        let mut bytes = [Vec::new(), Vec::new()];
        for ((_, cmd), dropped) in batch.iter().zip(&dropped) {
            cmd.encode(&mut bytes[0]);
            if !dropped {
                cmd.encode(&mut bytes[1]);
            }
        }
        let first = batch[0].0;
        for side in [Side::Oracle, Side::Tested] {
            let sent = self.links[conn].sides[side as usize].send(&bytes[side as usize]);
            // What was answered before the end is still read, to blame the right command.
            if let Err(e) = sent
                && !matches!(e, LinkError::Broken(_))
            {
                return Err(broken(first, "send", side, &e));
            }
        }
        for ((at, cmd), dropped) in batch.iter().zip(dropped) {
            let oracle = self.read(conn, Side::Oracle, *at, cmd)?;
            let tested = if dropped { oracle.clone() } else { self.read(conn, Side::Tested, *at, cmd)? };
            self.judge(conn, *at, cmd, &oracle, tested, totals)?;
        }
        Ok(())
    }

    fn read(&mut self, conn: usize, side: Side, at: usize, cmd: &Cmd) -> Result<Reply, Failure> {
        let reply = self.links[conn].sides[side as usize].reply();
        reply.map_err(|e| {
            let mut failure = broken(at, &self.name(&cmd.words), side, &e);
            failure.detail.push_str(&format!("\n  after {}", render_words(&cmd.words)));
            failure
        })
    }

    /// Compares one pair of replies and follows the connection's transaction.
    fn judge(
        &mut self,
        conn: usize,
        at: usize,
        cmd: &Cmd,
        oracle: &Reply,
        mut tested: Reply,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let name = self.name(&cmd.words);
        if self.setup.fault == Some(Fault::Corrupt(name.clone())) {
            corrupt(&mut tested);
        }
        let link = &mut self.links[conn];
        let queued = *oracle == Reply::Simple(b"QUEUED".to_vec()) && link.in_multi;
        let mut executed = Vec::new();
        match name.as_str() {
            _ if queued => link.queued.push(cmd.clone()),
            "multi" if !oracle.is_error() => link.in_multi = true,
            "exec" | "discard" | "reset" => {
                link.in_multi = false;
                executed = std::mem::take(&mut link.queued);
            }
            _ => {}
        }
        let newer = self.setup.newer;
        let same = if queued {
            *oracle == tested
        } else if name == "exec" {
            let (a, b) = (oracle.items(), tested.items());
            let each =
                || executed.iter().zip(a.iter().zip(b)).all(|(c, (x, y))| rules::equal(c, x, y, newer));
            oracle.shape() == tested.shape()
                && a.len() == b.len()
                && (*oracle == tested || (!a.is_empty() && each()))
        } else {
            rules::equal(cmd, oracle, &tested, newer)
        };
        if !same {
            let detail =
                format!("  command: {}\n  oracle:  {oracle}\n  tested:  {tested}", render_words(&cmd.words));
            let command = self.blame(cmd, &executed, oracle, &tested);
            return Err(Failure { step: at, command, kind: FailureKind::Reply, detail });
        }
        totals.passed += 1;
        if !queued {
            count(totals, name, !oracle.is_error());
        }
        for (cmd, reply) in executed.iter().zip(oracle.items()) {
            count(totals, self.name(&cmd.words), !reply.is_error());
        }
        Ok(())
    }

    fn is_dropped(&self, cmd: &Cmd) -> bool {
        matches!(&self.setup.fault, Some(Fault::Drop(name)) if self.name(&cmd.words) == *name)
    }

    /// The inner command whose result differs, where a script's or transaction's reply does.
    fn blame(&self, cmd: &Cmd, executed: &[Cmd], oracle: &Reply, tested: &Reply) -> String {
        let newer = self.setup.newer;
        let pairs = || oracle.items().iter().zip(tested.items());
        let whole = self.name(&cmd.words);
        let nested = executed.iter().zip(pairs()).find(|(c, (x, y))| !rules::equal(c, x, y, newer));
        if let Some((inner, (x, y))) = nested {
            return self.blame(inner, &[], x, y);
        }
        match &cmd.inner {
            Inner::Whole(args) => self.name(args),
            Inner::Each(list) => {
                let nested = list.iter().zip(pairs()).find(|(c, (x, y))| !rules::equal_plain(c, x, y, newer));
                nested.map_or(whole, |(args, _)| self.name(args))
            }
            Inner::None => whole,
        }
    }

    fn block(&mut self, conn: usize, cmd: &Cmd, at: usize, totals: &mut Totals) -> Result<(), Failure> {
        // Inside a transaction it does not block.
        if self.links[conn].in_multi {
            return self.batch(conn, &[(at, cmd)], totals);
        }
        let mut bytes = Vec::new();
        cmd.encode(&mut bytes);
        for side in [Side::Oracle, Side::Tested] {
            let sent = self.links[conn].sides[side as usize].send(&bytes);
            sent.map_err(|e| broken(at, &self.name(&cmd.words), side, &e))?;
        }
        self.links[conn].blocked = Some(cmd.clone());
        // The reply to a PING that was sent later says that the blocking command has been read.
        for _ in 0..2 {
            for side in [Side::Oracle, Side::Tested] {
                let pong = self.helper.sides[side as usize].call(&words(&["PING"]));
                pong.map_err(|e| broken(at, &self.name(&cmd.words), side, &e))?;
            }
        }
        Ok(())
    }

    fn unblock(
        &mut self,
        conn: usize,
        with_error: bool,
        at: usize,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let Some(cmd) = self.links[conn].blocked.take() else { return Ok(()) };
        let how = if with_error { "ERROR" } else { "TIMEOUT" };
        let mut woken = Vec::new();
        for side in [Side::Oracle, Side::Tested] {
            let id = self.links[conn].ids[side as usize].to_string();
            let reply = self.helper.sides[side as usize].call(&words(&["CLIENT", "UNBLOCK", &id, how]));
            woken.push(reply.map_err(|e| broken(at, "client|unblock", side, &e))?);
        }
        let oracle = self.read(conn, Side::Oracle, at, &cmd)?;
        let tested = self.read(conn, Side::Tested, at, &cmd)?;
        self.judge(conn, at, &cmd, &oracle, tested, totals)?;
        if woken[0] != woken[1] {
            let detail = format!(
                "  CLIENT UNBLOCK of a client in: {}\n  oracle:  {}\n  tested:  {}",
                render_words(&cmd.words),
                woken[0],
                woken[1]
            );
            return Err(Failure {
                step: at,
                command: "client|unblock".to_owned(),
                kind: FailureKind::Reply,
                detail,
            });
        }
        count(totals, "client|unblock".to_owned(), true);
        Ok(())
    }

    fn scan(
        &mut self,
        conn: usize,
        words: &Words,
        cursor_at: usize,
        at: usize,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let cmd = Cmd::plain(words.clone());
        if self.links[conn].in_multi {
            return self.batch(conn, &[(at, &cmd)], totals);
        }
        let mut found = Vec::new();
        for side in [Side::Oracle, Side::Tested] {
            let result = scan_all(&mut self.links[conn].sides[side as usize], words, cursor_at);
            found.push(result.map_err(|e| broken(at, &self.name(words), side, &e))?);
        }
        let newer = self.setup.newer;
        let as_set = |r: &Reply| match r {
            Reply::Array(v) => Reply::Array(v.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()),
            other => other.clone(),
        };
        let (oracle, tested) = (as_set(&found[0]), as_set(&found[1]));
        let explained = newer
            && crate::differences::explained(words, &oracle, &tested, &|a, b| {
                rules::by_rule(rules::Rule::DeepUnordered, a, b)
            });
        if oracle != tested && !explained {
            let detail =
                format!("  iteration: {}\n  oracle:  {oracle}\n  tested:  {tested}", render_words(words));
            return Err(Failure { step: at, command: self.name(words), kind: FailureKind::Reply, detail });
        }
        totals.passed += 1;
        count(totals, self.name(words), !oracle.is_error());
        Ok(())
    }
}

impl Link {
    fn open(setup: &Setup, resp3: bool) -> Result<Self, (Side, LinkError)> {
        let open = |side: Side| -> Result<(Conn, i64), (Side, LinkError)> {
            let port = setup.ports[side as usize];
            let mut conn = Conn::open(port).map_err(|e| (side, LinkError::Broken(e.to_string())))?;
            if resp3 {
                conn.call(&words(&["HELLO", "3"])).map_err(|e| (side, e))?;
            }
            let id = match conn.call(&words(&["CLIENT", "ID"])).map_err(|e| (side, e))? {
                Reply::Int(id) => id,
                _ => 0,
            };
            Ok((conn, id))
        };
        let ((a, id_a), (b, id_b)) = (open(Side::Oracle)?, open(Side::Tested)?);
        Ok(Self { sides: [a, b], ids: [id_a, id_b], in_multi: false, queued: Vec::new(), blocked: None })
    }
}

/// All elements of an iteration (pairs for HSCAN and ZSCAN), or the error that it gave.
pub fn scan_all(conn: &mut Conn, words: &Words, cursor_at: usize) -> Result<Reply, LinkError> {
    let paired = words[0].eq_ignore_ascii_case(b"HSCAN") || words[0].eq_ignore_ascii_case(b"ZSCAN");
    let mut words = words.clone();
    let mut all = Vec::new();
    for _ in 0..SCAN_CALLS_MAX {
        let mut bytes = Vec::new();
        encode(&words, &mut bytes);
        conn.send(&bytes)?;
        let reply = conn.reply()?;
        let [cursor, items] = reply.items() else { return Ok(reply) };
        if paired {
            all.extend(items.items().chunks(2).map(|p| Reply::Array(p.to_vec())));
        } else {
            all.extend(items.items().iter().cloned());
        }
        let Some(cursor) = cursor.bytes() else { return Ok(reply) };
        if cursor == b"0" {
            return Ok(Reply::Array(all));
        }
        words[cursor_at] = cursor.to_vec();
    }
    Err(LinkError::Broken("the cursor never came back to 0".to_owned()))
}

fn count(totals: &mut Totals, name: String, success: bool) {
    if success {
        *totals.succeeded.entry(name.clone()).or_default() += 1;
    }
    *totals.seen.entry(name).or_default() += 1;
}

fn broken(at: usize, command: &str, side: Side, error: &LinkError) -> Failure {
    let kind = match error {
        LinkError::Broken(_) => FailureKind::Broken(side),
        LinkError::Silent => FailureKind::Silent(side),
    };
    let who = if side == Side::Oracle { "oracle" } else { "tested" };
    Failure { step: at, command: command.to_owned(), kind, detail: format!("  {who}: {error}") }
}

/// Changes one bit of what a reply says, where it says something.
fn corrupt(reply: &mut Reply) {
    match reply {
        Reply::Simple(b) | Reply::Bulk(b) | Reply::Double(b) => {
            if let Some(last) = b.last_mut() {
                *last ^= 1;
            }
        }
        Reply::Int(n) if *n != 0 => *n += 1,
        Reply::Array(v) | Reply::Map(v) | Reply::Set(v) => {
            if let Some(last) = v.last_mut() {
                corrupt(last);
            }
        }
        _ => {}
    }
}
