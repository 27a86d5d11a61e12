//! DESIGN §5, sentence by sentence, on a journal that is stuck: what leaves, and what waits.
//!
//! Each test was seen red with the engine broken on purpose:
//!
//! | test | what was broken |
//! | --- | --- |
//! | `a_lookup_waits_for_its_key_alone` | `Pending::of` gives an open gate; gives `newest` |
//! | `absence_and_refusals_wait` | `ReadCx::lookup_in` raises the gate only for what it found |
//! | `a_wrong_type_waits` | errors get an open gate in `admitted` |
//! | `a_failed_watch_waits` | `check_watched` raises no gate |
//! | `a_transaction_waits_for_all_it_saw` | `exec` drops the gates of its commands |
//! | `a_script_waits_for_all_it_saw` | scripts drop the gates of their calls |
//! | `a_timed_out_command_looks_again` | `time_out` answers without a gate |
//! | `commands_over_many_keys_wait_for_the_last_lsn` | `whole_db` raises no gate |
//! | `flushes_and_swaps_raise_everything` | `put` skips `mark_all` |
//! | `relaxed_waits_only_for_written` | `Durability::gate` treats relaxed as durable, and as volatile |
//! | `a_bare_publish_waits_for_nothing` | messages are gated on the newest LSN |
//! | `a_publish_after_a_write_waits` | `known` is left out of the message's gate |
//! | `events_and_woken_clients_wait` | `deliver` sends with an open gate; `answered` opens its gate |
//! | `a_writers_own_events_do_not_let_its_reply_out` | a gate's mark goes behind those of later bytes |
//! | `an_expiry_seen_waits` | `expire_due` adds no gate |
//! | `diagnostics_answer_but_keep_their_place` | every reply is gated on the newest LSN; open replies overtake |
//! | `a_failed_commit_is_an_unknown_outcome` | `set_journal_state` leaves gated output alone |
//! | `nothing_gated_is_left_hanging_after_a_failure` | `after_output` does not look at the journal's state |
//! | `a_full_disk_refuses_before_it_executes` | `check_journal` always passes |

use sessile_engine::JournalState;
use sessile_journal::SimDisk;
use sessile_sim::backend::Image;
use sessile_sim::dice::Dice;
use sessile_sim::disk::DiskImage;
use sessile_sim::node::{Mode, Node};

/// What becomes of a request's reply while nothing is synced.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// It stays.
    Waits,
    /// It leaves at once and begins so.
    Leaves(&'static str),
    /// There is none: the command blocks.
    Blocks,
}
use Reply::{Blocks, Leaves, Waits};

/// A node whose journal moves only when asked to, with six connections.
struct Stuck {
    node: Node,
    dice: Dice,
}

const DURABLE: Mode = Mode { relaxed: false, notify: false };
const RELAXED: Mode = Mode { relaxed: true, notify: false };
const NOTIFYING: Mode = Mode { relaxed: false, notify: true };

impl Stuck {
    fn new(mode: Mode) -> Self {
        let disk = SimDisk::new(1);
        let image = DiskImage { disk, segment_bytes: 65_536, record_payload_bytes: 4000 };
        let mut node = Node::start(&Image::Disk(image), mode, 7).expect("an empty disk opens");
        (0..6).for_each(|_| {
            node.connect();
        });
        let mut stuck = Self { node, dice: Dice::new(3) };
        stuck.settle();
        stuck
    }

    /// Everything becomes durable, and all replies leave; the oracle looks at each.
    fn settle(&mut self) {
        self.node.hand_over();
        self.node.journal.settle(self.node.now_ms());
        self.node.tell_progress().expect("the journal is well");
        for index in 0..self.node.conns.len() {
            self.node.send(index, usize::MAX, &mut self.dice).expect("what leaves is durable");
        }
    }

    /// Sends `"<connection> <words>"` and looks at what became of the reply.
    fn ask(&mut self, line: &str, expected: Reply) {
        let mut words = line.split(' ');
        let index: usize =
            words.next().and_then(|n| n.parse().ok()).expect("a line begins with a connection");
        let args: Vec<Vec<u8>> = words.map(|word| word.replace('_', " ").into_bytes()).collect();
        let before = self.node.engine.session(self.node.conns[index].id).map_or(0, |s| s.output.len());
        self.node.request(index, &args, None).expect("the request runs");
        self.expect(line, index, before, expected);
    }

    fn expect(&mut self, what: &str, index: usize, before: usize, expected: Reply) {
        let id = self.node.conns[index].id;
        let all = self.node.engine.session(id).map_or(0, |s| s.output.len());
        let released = self.node.engine.released(id).to_vec();
        let text = String::from_utf8_lossy(&released).into_owned();
        match expected {
            Waits => assert!(
                all > before && released.is_empty(),
                "{what}: should wait, got {text:?} of {all} bytes"
            ),
            Leaves(start) => assert!(
                text.starts_with(start),
                "{what}: should leave as {start:?}, got {text:?} of {all} bytes"
            ),
            Blocks => assert!(all == before, "{what}: should block, got {text:?} of {all} bytes"),
        }
        self.node.send(index, usize::MAX, &mut self.dice).expect("what leaves is durable");
    }

    /// Looks at what a connection was sent without asking.
    fn sees(&mut self, index: usize, expected: Reply) {
        self.expect("a push or a late reply", index, 0, expected);
    }
}

/// `settled` runs and becomes durable; then nothing is synced while `lines` run.
fn check(mode: Mode, settled: &[&str], lines: &[(&str, Reply)]) -> Stuck {
    let mut stuck = Stuck::new(mode);
    for line in settled {
        let (index, words) = line.split_once(' ').expect("a line begins with a connection");
        let words: Vec<&str> = words.split(' ').collect();
        stuck.node.ask(index.parse().expect("a number"), &words).expect("the request runs");
        stuck.settle();
    }
    for (line, expected) in lines {
        stuck.ask(line, *expected);
    }
    stuck
}

#[test]
fn a_lookup_waits_for_its_key_alone() {
    check(
        DURABLE,
        &["0 SET a 1", "0 SET b 1"],
        &[
            ("0 SET a 2", Waits),
            ("1 GET b", Leaves("$1\r\n1")),
            ("1 GET a", Waits),
            ("2 GET c", Leaves("$-1")),
        ],
    )
    .settle();
}

#[test]
fn absence_and_refusals_wait() {
    check(
        DURABLE,
        &["0 SET a 1"],
        &[
            ("0 DEL a", Waits),
            ("1 GET a", Waits),
            ("2 DEL a", Waits),
            ("3 EXISTS a", Waits),
            ("4 DEL other", Leaves(":0")),
        ],
    )
    .settle();
    check(DURABLE, &[], &[("0 SET a 1", Waits), ("1 SET a 2 NX", Waits), ("2 SETNX a 2", Waits)]).settle();
}

#[test]
fn a_wrong_type_waits() {
    check(
        DURABLE,
        &["0 SADD s 1"],
        &[
            ("0 SADD a 1", Waits),
            ("1 GET a", Waits),
            ("2 GET s", Leaves("-WRONGTYPE")),
            ("3 SET a 1 BAD", Leaves("-ERR syntax")),
        ],
    )
    .settle();
}

#[test]
fn a_failed_watch_waits() {
    let lines = [
        ("0 WATCH a", Leaves("+OK")),
        ("1 SET a 1", Waits),
        ("0 MULTI", Leaves("+OK")),
        ("0 PING", Leaves("+QUEUED")),
        ("0 EXEC", Waits),
    ];
    check(DURABLE, &[], &lines).settle();
    // Nothing changed, and nothing pending was seen.
    let lines = [
        ("0 WATCH a", Leaves("+OK")),
        ("1 SET b 1", Waits),
        ("0 MULTI", Leaves("+OK")),
        ("0 PING", Leaves("+QUEUED")),
        ("0 EXEC", Leaves("*1")),
    ];
    check(DURABLE, &[], &lines).settle();
}

#[test]
fn a_transaction_waits_for_all_it_saw() {
    let lines = [
        ("1 SET a 1", Waits),
        ("0 MULTI", Leaves("+OK")),
        ("0 GET b", Leaves("+QUEUED")),
        ("0 GET a", Leaves("+QUEUED")),
        ("0 GET c", Leaves("+QUEUED")),
        ("0 EXEC", Waits),
    ];
    check(DURABLE, &[], &lines).settle();
}

#[test]
fn a_script_waits_for_all_it_saw() {
    let lines = [
        ("1 SET a 1", Waits),
        ("2 EVAL return_redis.call('GET',KEYS[1]) 1 b", Leaves("$-1")),
        ("0 EVAL redis.call('GET',KEYS[1])_return_1 1 a", Waits),
    ];
    check(DURABLE, &[], &lines).settle();
}

#[test]
fn a_timed_out_command_looks_again() {
    let lines = [("0 BLPOP q 0.05", Blocks), ("1 SET q 1", Waits), ("2 BLPOP r 0.05", Blocks)];
    let mut stuck = check(DURABLE, &[], &lines);
    stuck.node.pass(100, 100).expect("time passes");
    stuck.node.tick().expect("a turn");
    stuck.sees(0, Waits);
    stuck.sees(2, Leaves("*-1"));
    stuck.settle();
}

#[test]
fn commands_over_many_keys_wait_for_the_last_lsn() {
    for words in ["KEYS *", "DBSIZE", "SCAN 0", "RANDOMKEY"] {
        let mut stuck = check(DURABLE, &["0 SET b 1"], &[("0 SET a 1", Waits)]);
        stuck.ask(&format!("1 {words}"), Waits);
        stuck.settle();
        stuck.ask(&format!("2 {words}"), Leaves(""));
        assert!(!stuck.node.conns[2].received.is_empty(), "{words} answers once all is durable");
    }
}

#[test]
fn flushes_and_swaps_raise_everything() {
    for words in ["FLUSHDB", "FLUSHALL", "SWAPDB 0 1"] {
        let mut stuck = check(DURABLE, &["0 SET b 1"], &[]);
        stuck.ask(&format!("0 {words}"), Waits);
        stuck.ask("1 GET b", Waits);
        stuck.ask("2 GET never", Waits);
        stuck.settle();
    }
}

#[test]
fn relaxed_waits_only_for_written() {
    let mut stuck =
        check(RELAXED, &[], &[("0 SET a 1", Waits), ("1 GET a", Waits), ("2 GET b", Leaves("$-1"))]);
    stuck.node.hand_over();
    // Written, and nothing synced: a step that only writes is one of many, so those that sync must not come.
    let durable = stuck.node.journal.progress().durable;
    while stuck.node.journal.progress().written == durable {
        let mut dice = stuck.dice.clone();
        if dice.below(12) <= 3 {
            stuck.node.journal.step(&mut stuck.dice, 0, &mut sessile_sim::tally::Tally::default());
        } else {
            stuck.dice.roll();
        }
    }
    assert_eq!(stuck.node.journal.progress().durable, durable, "nothing was synced");
    stuck.node.tell_progress().expect("the journal is well");
    stuck.sees(0, Leaves("+OK"));
    stuck.sees(1, Leaves("$1\r\n1"));
    stuck.ask("3 GET a", Leaves("$1\r\n1"));
}

#[test]
fn a_bare_publish_waits_for_nothing() {
    let mut stuck = check(DURABLE, &[], &[("0 SUBSCRIBE ch", Leaves("*3")), ("1 SET a 1", Waits)]);
    let lsn = stuck.node.engine.last_lsn();
    stuck.ask("2 PUBLISH ch word", Leaves(":1"));
    stuck.sees(0, Leaves("*3\r\n$7\r\nmessage"));
    assert_eq!(
        (stuck.node.engine.last_lsn(), stuck.node.engine.batch_bytes()),
        (lsn, 0),
        "it adds nothing to the journal"
    );
}

#[test]
fn a_publish_after_a_write_waits() {
    let mut stuck = check(
        DURABLE,
        &[],
        &[("0 SUBSCRIBE ch", Leaves("*3")), ("1 SET a 1", Waits), ("1 PUBLISH ch wrote", Waits)],
    );
    assert!(
        stuck.node.engine.released(stuck.node.conns[0].id).is_empty(),
        "the message tells of a write that is pending"
    );
    stuck.settle();
    let mut stuck = check(
        DURABLE,
        &[],
        &[
            ("0 SUBSCRIBE ch", Leaves("*3")),
            ("1 SET a 1", Waits),
            ("2 GET a", Waits),
            ("2 PUBLISH ch read", Waits),
        ],
    );
    assert!(
        stuck.node.engine.released(stuck.node.conns[0].id).is_empty(),
        "the message tells of a read that is pending"
    );
    stuck.settle();
}

#[test]
fn events_and_woken_clients_wait() {
    let lines = [("0 PSUBSCRIBE *", Leaves("*3")), ("1 SET a 1", Waits)];
    let mut stuck = check(NOTIFYING, &[], &lines);
    stuck.sees(0, Waits);
    stuck.settle();
    let mut stuck = check(DURABLE, &[], &[("0 BLPOP q 0", Blocks), ("1 RPUSH q x", Waits)]);
    stuck.sees(0, Waits);
    stuck.settle();
    let mut stuck =
        check(DURABLE, &[], &[("0 XREAD BLOCK 0 STREAMS x $", Blocks), ("1 XADD x * f v", Waits)]);
    stuck.sees(0, Waits);
    stuck.settle();
}

#[test]
fn a_writers_own_events_do_not_let_its_reply_out() {
    let lines = [("0 HELLO 3", Leaves("%")), ("0 PSUBSCRIBE *", Leaves(">3")), ("0 SET a 1", Waits)];
    check(NOTIFYING, &[], &lines).settle();
    let lines = [
        ("0 HELLO 3", Leaves("%")),
        ("0 SUBSCRIBE c", Leaves(">3")),
        ("1 SET a 1", Waits),
        ("0 GET a", Waits),
    ];
    let mut stuck = check(DURABLE, &[], &lines);
    stuck.ask("0 PUBLISH c x", Waits);
    stuck.settle();
}

#[test]
fn an_expiry_seen_waits() {
    let mut stuck = check(DURABLE, &["0 SET a 1 PX 10"], &[]);
    stuck.node.pass(20, 20).expect("time passes");
    stuck.ask("1 GET a", Waits);
    stuck.ask("2 GET b", Leaves("$-1"));
    stuck.settle();
}

#[test]
fn diagnostics_answer_but_keep_their_place() {
    for words in ["INFO", "CLIENT LIST", "CONFIG GET maxmemory", "SLOWLOG LEN", "LATENCY LATEST", "PING"] {
        let mut stuck = check(DURABLE, &[], &[("0 SET a 1", Waits)]);
        stuck.ask(&format!("1 {words}"), Leaves(""));
        assert!(!stuck.node.conns[1].received.is_empty(), "{words} answers while the journal is stuck");
        stuck.ask(&format!("0 {words}"), Waits);
        stuck.settle();
        assert!(stuck.node.conns[0].received.starts_with(b"+OK\r\n"), "{words} keeps its place");
    }
}

/// A journal whose next sync fails.
fn failing(lines: &[(&str, Reply)]) -> Stuck {
    let mut stuck = check(DURABLE, &["0 SET b 1"], lines);
    stuck.node.hand_over();
    stuck.node.journal.fail_next_sync();
    stuck.node.journal.settle(0);
    stuck.node.tell_progress().expect("gated connections get the error and are closed");
    assert!(matches!(stuck.node.engine.journal_state(), JournalState::Failed(_)));
    stuck
}

#[test]
fn a_failed_commit_is_an_unknown_outcome() {
    let mut stuck = failing(&[("0 SET a 1", Waits), ("1 GET a", Waits)]);
    stuck.sees(0, Leaves("-ERR outcome unknown: "));
    stuck.sees(1, Leaves("-ERR outcome unknown: "));
    for index in [0, 1] {
        assert!(stuck.node.engine.should_close(stuck.node.conns[index].id), "connection {index} ends");
    }
    stuck.ask("2 GET b", Leaves("$1\r\n1"));
    stuck.ask("3 SET c 1", Leaves("-MISCONF"));
}

#[test]
fn nothing_gated_is_left_hanging_after_a_failure() {
    let mut stuck = failing(&[("0 SET a 1", Waits)]);
    stuck.ask("2 GET a", Leaves("-ERR outcome unknown: "));
    assert!(stuck.node.engine.should_close(stuck.node.conns[2].id), "its connection ends");
}

#[test]
fn a_full_disk_refuses_before_it_executes() {
    let mut stuck = check(DURABLE, &["0 SET a 1"], &[]);
    stuck.node.engine.set_journal_state(JournalState::Refusing("the disk is full".into()));
    let lsn = stuck.node.engine.last_lsn();
    stuck.ask("1 SET a 2", Leaves("-MISCONF"));
    stuck.ask("2 GET a", Leaves("$1\r\n1"));
    assert_eq!(stuck.node.engine.last_lsn(), lsn, "nothing ran");
    stuck.node.engine.set_journal_state(JournalState::Open);
    stuck.ask("1 SET a 2", Waits);
    stuck.settle();
}
