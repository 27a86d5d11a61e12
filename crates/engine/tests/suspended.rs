//! Scripts past their time limit inside MULTI and outside: the same scenes here and on the installed `redis-server`,
//! and what only the engine shows (one transaction, one gate).
//!
//! Each test was seen red with the engine broken on purpose:
//!
//! | test | what was broken |
//! | --- | --- |
//! | `others_are_told_busy_and_may_kill` | `run_queued` does not stop behind a suspended script |
//! | `what_has_written_cannot_be_killed` | `kill` does not ask whether the script wrote |
//! | `the_rest_of_a_transaction_goes_on` | `end_script` forgets the queue |
//! | `a_connection_that_went_changes_nothing` | `end_script` forgets `orphan` behind a second script |
//! | `it_stays_one_transaction_behind_one_gate` | `finish_transaction` runs while a script is suspended |
//! | `what_saves_data_waits` | `take_actions` holds nothing back |
//! | `time_stands_still` | `standing_ms` or `standing_us` is not looked at |
//! | `times_are_those_of_the_whole` | `note_late` does nothing |
//! | `a_pattern_without_end_is_killed` | Lua's own matcher, which hangs Redis as it did this |

use std::cell::Cell;
use std::time::{Duration, Instant};

use sessile_config::{Asker, Config, Persona};
use sessile_engine::{Action, Engine, Now, Options, Peer};
use sessile_keyspace::Gate;
use sessile_oracle::{Connection, Oracle};
use sessile_resp::encode_request;

/// Something that runs commands of two connections, `a` and `b`.
trait Side {
    /// Sends a request on `a` without waiting.
    fn start(&mut self, line: &str);
    /// Waits until the script of `a` is past its time.
    fn until_busy(&mut self);
    /// The reply to a request on `b`.
    fn ask(&mut self, line: &str) -> String;
    /// The next reply on `a`.
    fn reply(&mut self) -> String;
    /// Ends connection `a`.
    fn leave(&mut self);
    /// Waits until no script runs.
    fn until_idle(&mut self);
}

/// Words are parted by spaces, and `_` stands for one.
fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.replace('_', " ").into_bytes()).collect()
}

struct Theirs {
    a: Option<Connection>,
    b: Connection,
    _server: Oracle,
}

impl Theirs {
    fn new() -> Self {
        let server = Oracle::start(&["--busy-reply-threshold", "1"]);
        Self { a: Some(server.connect()), b: server.connect(), _server: server }
    }
}

impl Side for Theirs {
    fn start(&mut self, line: &str) {
        let words = words(line);
        let a = self.a.as_mut().expect("it is connected");
        a.send(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    fn until_busy(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.b.call(["PING"]).starts_with(b"-BUSY") {
            assert!(Instant::now() < deadline, "the script is never past its time");
        }
    }

    fn ask(&mut self, line: &str) -> String {
        let words = words(line);
        let reply = self.b.raw(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        String::from_utf8(reply).expect("text")
    }

    fn reply(&mut self) -> String {
        String::from_utf8(self.a.as_mut().expect("it is connected").receive()).expect("text")
    }

    fn leave(&mut self) {
        self.a = None;
    }

    fn until_idle(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.b.call(["PING"]) != b"PONG" {
            assert!(Instant::now() < deadline, "the script does not end");
        }
    }
}

thread_local! {
    static STOPWATCH_US: Cell<u64> = const { Cell::new(0) };
}

/// Each look at the stopwatch takes half a millisecond, so scripts are past their time after a few.
fn stopwatch_us() -> u64 {
    STOPWATCH_US.with(|it| it.replace(it.get() + 500))
}

struct Ours {
    engine: Engine,
    a: usize,
    b: usize,
    now_ms: u64,
    lsn: u64,
}

impl Ours {
    fn new() -> Self {
        let mut config = Config::new(Persona::Sessile);
        let asker = Asker { local: true, loading: true };
        config.set(b"busy-reply-threshold", b"1", asker).expect("it may be set");
        let now_ms = 1_700_000_000_000;
        let now = Now { wall_ms: now_ms, boot_ms: 0 };
        let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us });
        let mut connect = || engine.connect(Peer { loopback: true, ..Peer::default() }).expect("room");
        let (a, b) = (connect(), connect());
        Self { engine, a, b, now_ms, lsn: 0 }
    }

    fn feed(&mut self, conn: usize, line: &str) {
        let mut request = Vec::new();
        encode_request(&mut request, &words(line));
        self.engine.feed(conn, &request);
    }

    fn take(&mut self, conn: usize) -> String {
        let bytes = self.engine.released(conn).to_vec();
        self.engine.sent(conn, bytes.len());
        String::from_utf8(bytes).expect("text")
    }

    /// Everything that ran becomes durable; how many transactions that were.
    fn commit(&mut self) -> u64 {
        let Some((_, lsn)) = self.engine.take_batch() else { return 0 };
        self.engine.advance(Gate { written: lsn, durable: lsn });
        lsn - std::mem::replace(&mut self.lsn, lsn)
    }

    /// A turn of the engine, a millisecond later; true while it is busy.
    fn turn(&mut self) -> bool {
        self.now_ms += 1;
        self.engine.set_time(Now { wall_ms: self.now_ms, boot_ms: 0 });
        self.engine.tick()
    }
}

impl Side for Ours {
    fn start(&mut self, line: &str) {
        self.feed(self.a, line);
    }

    fn until_busy(&mut self) {
        assert!(self.engine.has_open_transaction(), "the script is suspended");
        assert_eq!(self.take(self.a), "", "nothing is answered half");
    }

    fn ask(&mut self, line: &str) -> String {
        self.feed(self.b, line);
        if self.engine.has_open_transaction() {
            self.turn();
        } else {
            self.commit();
        }
        self.take(self.b)
    }

    fn reply(&mut self) -> String {
        if self.engine.released(self.a).is_empty() {
            self.until_idle();
        }
        // Replies come one by one.
        let all = self.engine.released(self.a).to_vec();
        let (_, len) = sessile_resp::decode(&all).expect("RESP").expect("a whole reply");
        self.engine.sent(self.a, len);
        String::from_utf8(all[..len].to_vec()).expect("text")
    }

    fn leave(&mut self) {
        self.engine.disconnect(self.a);
    }

    fn until_idle(&mut self) {
        while self.engine.has_open_transaction() {
            self.turn();
        }
        self.commit();
    }
}

const ENDLESS: &str = "EVAL while_true_do_end 0";
/// Writes, then runs on for a second of the server's time, or 3,000 commands where that stands still for a script, as it does
/// since 7.2.
const WRITER: &str = "EVAL redis.call('set','w','1')_local_t=redis.call('time')_local_s,n=t[1]+1,0_while_true_do_n=n+1_\
                      local_u=redis.call('time')_if_u[1]-s>1_or_(u[1]-s==1_and_u[2]-t[2]>0)_or_\
                      (redis['REDIS\\95VERSION\\95NUM']>=0x070200_and_n>3000)_then_return_'done'_end_end 0";

/// Plays the same scene on both sides; what it returns must be the same.
fn check(scene: impl Fn(&mut dyn Side) -> Vec<String>) {
    let (ours, theirs) = (scene(&mut Ours::new()), scene(&mut Theirs::new()));
    assert_eq!(ours, theirs);
}

/// Queues `lines` in MULTI, then asks for EXEC; the replies to the first.
fn transact(side: &mut dyn Side, lines: &[&str]) -> Vec<String> {
    let queued = |line: &&str| {
        side.start(line);
        side.reply()
    };
    let replies = ["MULTI"].iter().chain(lines).map(queued).collect();
    side.start("EXEC");
    replies
}

#[test]
fn others_are_told_busy_and_may_kill() {
    for queued in [false, true] {
        check(|side| {
            let mut seen = Vec::new();
            side.start("SET a 1");
            seen.push(side.reply());
            if queued {
                seen.extend(transact(side, &["SET b 2", ENDLESS, "INCR b", "GET a"]));
            } else {
                side.start(ENDLESS);
            }
            side.until_busy();
            let asked = [
                "GET a",
                "SET a 3",
                "SHUTDOWN",
                "SHUTDOWN SAVE",
                "EXEC",
                "MULTI",
                "GET a",
                "EXEC",
                "DISCARD",
            ];
            asked.iter().for_each(|line| seen.push(side.ask(line)));
            seen.push(side.ask("SCRIPT KILL"));
            seen.push(side.reply());
            seen.extend(["GET b", "GET a", "SCRIPT KILL"].map(|line| side.ask(line)));
            seen
        });
    }
}

#[test]
fn what_has_written_cannot_be_killed() {
    for queued in [false, true] {
        check(|side| {
            let mut seen = Vec::new();
            if queued {
                seen.extend(transact(side, &["GET w", WRITER, "GET w"]));
            } else {
                side.start(WRITER);
            }
            side.until_busy();
            seen.push(side.ask("SCRIPT KILL"));
            seen.push(side.ask("GET w"));
            seen.push(side.reply());
            seen.push(side.ask("GET w"));
            seen
        });
    }
}

/// Kills the endless script that runs, and waits until the one behind it has written.
fn kill_the_first(side: &mut dyn Side) {
    side.until_busy();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !side.ask("SCRIPT KILL").starts_with("-UNKILLABLE") {
        assert!(Instant::now() < deadline, "the second script is never past its time");
    }
}

#[test]
fn the_rest_of_a_transaction_goes_on() {
    check(|side| {
        let mut seen = transact(side, &["SELECT 3", ENDLESS, "RPUSH l x", WRITER, "LLEN l", "LLEN w"]);
        kill_the_first(side);
        seen.push(side.ask("GET w"));
        side.start("GET w");
        seen.extend([side.reply(), side.reply()]);
        seen.extend(["GET w", "SELECT 3", "LRANGE l 0 -1", "GET w"].map(|line| side.ask(line)));
        seen
    });
}

#[test]
fn a_connection_that_went_changes_nothing() {
    check(|side| {
        transact(side, &["SET b 2", ENDLESS, "INCR b", WRITER, "INCR b"]);
        side.until_busy();
        side.leave();
        kill_the_first(side);
        side.until_idle();
        ["GET b", "GET w", "SCRIPT KILL"].map(|line| side.ask(line)).to_vec()
    });
    let mut ours = Ours::new();
    transact(&mut ours, &[ENDLESS, WRITER]);
    ours.leave();
    kill_the_first(&mut ours);
    assert!(ours.engine.session(ours.a).is_some(), "its script runs");
    ours.until_idle();
    assert!(ours.engine.session(ours.a).is_none(), "it is forgotten behind its script");
}

#[test]
fn it_stays_one_transaction_behind_one_gate() {
    let mut ours = Ours::new();
    ours.engine.open_for_service();
    ours.commit();
    ours.ask("SET a 1");
    transact(&mut ours, &["INCR a", WRITER, "INCR a", WRITER, "INCR a"]);
    let before = ours.engine.last_lsn();
    // What others ask meanwhile neither ends the transaction nor adds to it.
    for line in ["SCRIPT KILL", "MULTI", "WATCH a", "DISCARD", "UNWATCH"].iter().cycle() {
        ours.ask(line);
        if !ours.engine.has_open_transaction() {
            break;
        }
        assert_eq!((ours.engine.last_lsn(), ours.engine.take_batch()), (before, None));
    }
    assert_eq!(ours.engine.last_lsn(), before + 1);
    assert_eq!(ours.take(ours.a), "", "the reply waits for the journal");
    assert_eq!(ours.commit(), 1);
    assert_eq!(ours.take(ours.a), "*5\r\n:2\r\n$4\r\ndone\r\n:3\r\n$4\r\ndone\r\n:4\r\n");
}

#[test]
fn what_saves_data_waits() {
    let mut ours = Ours::new();
    transact(&mut ours, &[WRITER]);
    let saves = Action::Shutdown { save: None, force: false };
    ours.engine.postpone(saves.clone());
    assert_eq!(ours.engine.take_actions(), [], "half a transaction is no state to save");
    assert_eq!(ours.ask("SHUTDOWN NOSAVE"), "");
    assert_eq!(ours.engine.take_actions(), [Action::Shutdown { save: Some(false), force: false }]);
    ours.until_idle();
    assert_eq!(ours.engine.take_actions(), [saves]);
}

#[test]
fn time_stands_still() {
    let mut ours = Ours::new();
    ours.start("SET k v PX 5");
    ours.reply();
    transact(&mut ours, &[WRITER, "GET k"]);
    assert_eq!(ours.reply(), "*2\r\n$4\r\ndone\r\n$1\r\nv\r\n", "no key goes away half way through");
    assert_eq!(ours.ask("GET k"), "$-1\r\n");
    // What TIME says stands still too, for a script and for EXEC, suspended or not.
    let script = "EVAL local_t=redis.call('time')_for_i=1,COUNT_do_local_u=redis.call('time')_\
                  if_t[1]~=u[1]_or_t[2]~=u[2]_then_return_i_end_end_return_t 0";
    for count in ["1", "100"] {
        let script = script.replace("COUNT", count);
        ours.start(&script);
        let (first, second) = (ours.reply(), ours.ask("TIME"));
        assert!(first.starts_with("*2") && first < second, "{first} {second}");
        transact(&mut ours, &["TIME", &script, "TIME"]);
        let all = ours.reply();
        let times: Vec<&str> = all.split_inclusive("*2").skip(1).collect();
        assert_eq!((times.len(), times[0], times[1]), (3, times[1], &*format!("{}*2", times[2])), "{all}");
    }
}

#[test]
fn times_are_those_of_the_whole() {
    let mut ours = Ours::new();
    transact(&mut ours, &[WRITER]);
    ours.reply();
    let stats = ours.ask("INFO commandstats");
    for name in ["eval", "exec"] {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).expect(name);
        let usec = line.split("usec=").nth(1).and_then(|it| it.split(',').next()?.parse::<u64>().ok());
        assert!(line.contains("calls=1,") && usec > Some(1_000_000), "{line}");
    }
}

#[test]
fn a_pattern_without_end_is_killed() {
    let mut ours = Ours::new();
    ours.start("EVAL return_string.find(string.rep('a',100),string.rep('.-',30)..'b') 0");
    ours.until_busy();
    assert!(ours.ask("GET a").starts_with("-BUSY "));
    assert_eq!(ours.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(ours.reply().starts_with("-ERR Script killed by user with SCRIPT KILL... script: "));
    assert_eq!(ours.ask("GET a"), "$-1\r\n");
}
