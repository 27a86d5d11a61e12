//! Sets against a real redis-server: lines that meet every branch, then random ones.
//!
//! Sets of integers have an order that both sides share; others are compared sorted.

mod support;

use std::fmt::Write;

use sessile_command::{Attempt, Frame, Observed, OwnedArgs, Proto, Reply, Rng, Run, Txn, WriteCx};
use sessile_keyspace::{Durability, Keyspace};
use sessile_values::HashKey;
use support::{Pair, check};

#[test]
fn members() {
    check(&[
        "sadd s 3 1 2 1",
        "sadd s 1 2",
        "sadd s 4 4 1",
        "scard s",
        "scard none",
        "smembers s",
        "smembers none",
        "sismember s 1",
        "sismember s 01",
        "sismember s x",
        "sismember none 1",
        "smismember s 1 x 2 1",
        "smismember none 1 2",
        "srem s 1 1 9",
        "srem s 9",
        "srem none 1",
        "smembers s",
        "hello 3",
        "smembers s",
        "smembers none",
        "sismember s 2",
        "smismember s 2 x",
        "hello 2",
        "srem s 2 3 4",
        "scard s",
        "get s",
        "sadd s -9223372036854775808 9223372036854775807 9223372036854775808",
        "srem s 9223372036854775808",
        "sadd e \"\"",
        "smembers e",
        "sismember e \"\"",
        "sadd i 5",
        "object encoding i",
    ]);
}

#[test]
fn moves() {
    check(&[
        "sadd a 1 2 3",
        "sadd b 3 4",
        "smove a b 1",
        "smove a b 3",
        "smove a b 9",
        "smove a a 2",
        "smove a a 9",
        "smove none b 1",
        "smembers a",
        "smembers b",
        "smove a fresh 2",
        "scard a",
        "get a",
        "smembers fresh",
        "set t x",
        "smove none t 1",
        "smove b t 3",
        "smove b t 99",
        "smove t b 3",
        "smove t none 3",
        "smove t t 3",
    ]);
}

#[test]
fn pops_and_random_members() {
    check(&[
        "spop none",
        "spop none 1",
        "spop none 0",
        "spop none x",
        "spop none -1",
        "spop none 1 2",
        "srandmember none",
        "srandmember none 1",
        "srandmember none 1 2",
        "sadd s 7",
        "srandmember s",
        "srandmember s 0",
        "srandmember s 1",
        "srandmember s 10",
        "srandmember s -3",
        "srandmember s x",
        "srandmember s -9223372036854775808",
        "srandmember s 9223372036854775807",
        "spop s 0",
        "spop s x",
        "spop s -1",
        "spop s",
        "spop s",
        "sadd s 7 8 9",
        "srandmember s 3",
        "srandmember s 4",
        "spop s 3",
        "scard s",
        "sadd s 7 8 9",
        "spop s 9223372036854775807",
        "get s",
        "hello 3",
        "spop none",
        "spop none 1",
        "srandmember none",
        "srandmember none 1",
        "sadd s 7",
        "srandmember s 5",
        "srandmember s -2",
        "spop s 0",
        "spop s 5",
        "hello 2",
        "set t x",
        "spop t",
        "spop t 0",
        "spop t x",
        "srandmember t",
        "srandmember t 0",
        "srandmember t x",
    ]);
}

#[test]
fn algebra() {
    check(&[
        "sadd a 1 2 3 4",
        "sadd b 2 3 5",
        "sadd c 3 4 5 6 7",
        "sadd w 3 x",
        "sinter a",
        "sinter a b",
        "sinter a b c",
        "sinter a b c w",
        "sinter a none",
        "sinter none",
        "sinter a a",
        "sunion a",
        "sunion a b c none",
        "sunion none",
        "sdiff a",
        "sdiff a b",
        "sdiff a b c",
        "sdiff a none w",
        "sdiff none a",
        "sdiff a a",
        "sintercard 1 a",
        "sintercard 2 a b",
        "sintercard 3 a b none",
        "sintercard 2 a c limit 1",
        "sintercard 2 a c limit 2",
        "sintercard 2 a c limit 0",
        "sintercard 2 a c limit 99",
        "sintercard 2 a c limit -1",
        "sintercard 2 a c limit x",
        "sintercard 2 a c limit",
        "sintercard 2 a c limit 1 limit 2",
        "sintercard 2 a c foo 1",
        "sintercard 0 a",
        "sintercard -1 a",
        "sintercard x a",
        "sintercard 3 a b",
        "sintercard 2 a b c",
        "sintercard 9223372036854775807 a b c",
        "hello 3",
        "sinter a b",
        "sinter a none",
        "sunion a b",
        "sunion none",
        "sdiff a b",
        "sintercard 2 a b",
        "hello 2",
        "set t x",
        "sinter a t",
        "sinter none t",
        "sinter t none",
        "sunion a t",
        "sunion none t",
        "sdiff a t",
        "sdiff none t",
        "sintercard 2 none t",
        "sintercard 2 a t foo",
    ]);
}

#[test]
fn stored_algebra() {
    check(&[
        "sadd a 1 2 3 4",
        "sadd b 2 3 5",
        "sadd w 3 x",
        "sinterstore none2 a none",
        "sdiffstore none2 none a",
        "sunionstore none2 none",
        "sadd d 1",
        "sinterstore d a none",
        "smembers d",
        "set d x",
        "sunionstore d none",
        "get d",
        "set t x",
        "sinterstore d a t",
        "sunionstore d t",
        "sdiffstore d none t",
        "sinterstore d a b",
        "smembers d",
        "sunionstore d a b",
        "smembers d",
        "sdiffstore d a b",
        "smembers d",
        "object encoding d",
        "sinterstore d w b",
        "object encoding d",
        "smembers d",
        "sunionstore a a b",
        "smembers a",
        "sunionstore t a",
        "smembers t",
        "pexpire t 1000000",
        "sdiffstore t a w",
        "ttl t",
        "sunionstore d w w",
        "scard d",
        "sismember d x",
    ]);
}

#[test]
fn wrong_types_and_scans() {
    check(&[
        "set t x",
        "sadd t 1",
        "srem t 1",
        "sismember t 1",
        "smismember t 1 2",
        "scard t",
        "smembers t",
        "sscan t 0",
        "sscan t x",
        "sscan t 0 foo",
        "sadd s 1 12 2",
        "sscan s 0",
        "sscan s 0 count 1",
        "sscan s 0 match 1*",
        "sscan s 0 match 9",
        "sscan s 0 count 0",
        "sscan s 0 type set",
        "sscan s 0 match",
        "sscan s x",
        "sscan none 0",
        "sscan none 0 foo",
        "sscan none x",
        "hello 3",
        "sscan s 0",
    ]);
}

/// A reply's elements in an order of our own, behind its first line.
fn sorted(reply: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let lines: Vec<Vec<u8>> = reply.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut elements: Vec<Vec<Vec<u8>>> = lines[1..].chunks(2).map(<[_]>::to_vec).collect();
    elements.sort();
    elements.push(vec![lines[0].clone()]);
    elements
}

fn check_sorted(pair: &mut Pair, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let (ours, theirs) = (pair.ours(&words), pair.theirs(&words));
    assert_eq!(sorted(&ours), sorted(&theirs), "{line}");
}

#[test]
fn random_lines() {
    for seed in 1..=4u64 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        let span = [10, 100, 1000, 3000][seed as usize - 1];
        for _ in 0..1500 {
            let mut line = String::new();
            let (key, other) = (rng.below(3), rng.below(3));
            let member = |rng: &mut Rng| match rng.below(30) {
                0..3 if key == 2 => format!("m{}", rng.below(span)),
                3 if key == 2 && seed == 4 => format!("{}{}", "x".repeat(70), rng.below(span)),
                _ => format!("{}", rng.below(span) as i64 - 5),
            };
            let (first, second, third) = (member(&mut rng), member(&mut rng), member(&mut rng));
            let written = match rng.below(10) {
                0..=4 => write!(line, "sadd k{key} {first} {second} {third} {first}"),
                5 => write!(line, "srem k{key} {first} {second} {first}"),
                6 => write!(line, "smove k{key} k{other} {first}"),
                7 => write!(line, "smismember k{key} {first} {second}"),
                8 => write!(line, "sintercard 2 k{key} k{other} limit {}", rng.below(4)),
                _ => write!(line, "scard k{key}"),
            };
            written.expect("strings take all");
            pair.check(&line);
            if rng.below(20) == 0 {
                let op = ["sinter", "sunion", "sdiff"][rng.below(3) as usize];
                check_sorted(&mut pair, &format!("{op} k{key} k{other} k{}", rng.below(3)));
                check_sorted(&mut pair, &format!("smembers k{key}"));
                check_sorted(&mut pair, &format!("srandmember k{key} 9999"));
            }
        }
    }
}

/// Popped and drawn members were there, each once; a scan gives each member once.
#[test]
fn pops_take_what_they_give() {
    for (size, prefix) in [(5u64, "m"), (100, ""), (1000, "m"), (1000, "")] {
        let mut pair = Pair::start();
        for i in 0..size {
            pair.ours(&[b"sadd", b"s", format!("{prefix}{i}").as_bytes()]);
        }
        let mut drawn = sorted(&pair.ours(&[b"srandmember", b"s", (size - 1).to_string().as_bytes()]));
        drawn.dedup();
        assert_eq!(drawn.len() as u64, size + 1);

        let (mut cursor, mut found) = (String::from("0"), Vec::new());
        loop {
            let reply = pair.ours(&[b"sscan", b"s", cursor.as_bytes(), b"count", b"7"]);
            let reply = String::from_utf8(reply).expect("members are text");
            let mut lines = reply.lines().skip(2);
            lines.next().expect("a cursor").clone_into(&mut cursor);
            found.extend(lines.skip(2).step_by(2).map(str::to_owned));
            if cursor == "0" {
                break;
            }
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len() as u64, size);

        let mut left = size;
        let mut popped = Vec::new();
        while left > 0 {
            let reply = pair.ours(&[b"spop", b"s", b"3"]);
            let text = String::from_utf8(reply).expect("members are text");
            popped.extend(text.lines().skip(2).step_by(2).map(str::to_owned));
            left -= left.min(3);
            assert_eq!(pair.ours(&[b"scard", b"s"]), format!(":{left}\r\n").as_bytes());
        }
        popped.sort();
        assert_eq!(popped, found);
    }
}

/// Runs lines in a fresh keyspace; `expected` are the events of the last one, `event key` each.
fn check_events(lines: &[&str], expected: &[&str]) {
    let mut keyspace = Keyspace::new(1, HashKey(1, 2));
    let mut txn = Txn::new(true, Durability::Durable);
    txn.observing = true;
    let mut rng = Rng::new(1);
    for line in lines {
        txn.observed.clear();
        let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let name = line.split(' ').next();
        let command = sessile_commands::all().find(|it| Some(it.name) == name).expect("a command of ours");
        let Run::Write(run) = command.run else { panic!("{line} writes nothing") };
        let frame = Frame::new(0, 1, Attempt::MustAnswer);
        let mut out = Vec::new();
        let mut cx = WriteCx::new(&mut keyspace, &frame, &mut txn, &mut rng);
        run(&mut cx, args.as_args(), &mut Reply::new(&mut out, Proto::Resp2)).expect("the line is sound");
        let emitted = txn.is_dirty();
        assert_eq!(txn.finish(), emitted);
        assert_eq!(emitted, !txn.observed.is_empty(), "{line}");
    }
    let event = |it: &Observed| {
        let key = String::from_utf8_lossy(it.key.as_deref().unwrap_or_default()).into_owned();
        format!("{} {key}", it.event.0.map_or("none", |(_, name)| name))
    };
    let events: Vec<String> = txn.observed.iter().map(event).collect();
    assert_eq!(events, expected, "{lines:?}");
}

#[test]
fn events() {
    check_events(&["sadd s 1 2"], &["sadd s"]);
    check_events(&["sadd s 1 2", "sadd s 2 1"], &[]);
    check_events(&["sadd s 1 2", "srem s 1"], &["srem s"]);
    check_events(&["sadd s 1 2", "srem s 1 2"], &["srem s", "del s"]);
    check_events(&["sadd s 1 2", "srem s 3"], &[]);
    check_events(&["sadd s 1 2", "spop s"], &["spop s"]);
    check_events(&["sadd s 1 2", "spop s 0"], &[]);
    check_events(&["sadd s 1 2", "spop s 2"], &["spop s", "del s"]);
    check_events(&["sadd s 1", "spop s"], &["spop s", "del s"]);
    check_events(&["sadd s 1", "smove s t 1"], &["srem s", "del s", "sadd t"]);
    check_events(&["sadd s 1 2", "sadd t 1", "smove s t 1"], &["srem s"]);
    check_events(&["sadd s 1 2", "smove s s 1"], &[]);
    check_events(&["sadd s 1 2", "sunionstore t s"], &["sunionstore t"]);
    check_events(&["sadd s 1 2", "sinterstore s s none"], &["del s"]);
    check_events(&["sadd s 1 2", "sdiffstore none s s"], &[]);
    check_events(&["hset h a 1"], &["hset h"]);
    check_events(&["hmset h a 1"], &["hset h"]);
    check_events(&["hset h a 1", "hsetnx h b 1"], &["hset h"]);
    check_events(&["hset h a 1", "hsetnx h a 1"], &[]);
    check_events(&["hincrby h a 1"], &["hincrby h"]);
    check_events(&["hincrbyfloat h a 1"], &["hincrbyfloat h"]);
    check_events(&["hset h a 1 b 2", "hdel h b c"], &["hdel h"]);
    check_events(&["hset h a 1 b 2", "hdel h b a"], &["hdel h", "del h"]);
    check_events(&["hset h a 1 b 2", "hdel h c"], &[]);
}
