//! Hashes against a real redis-server: lines that meet every branch, then random ones.

mod support;

use std::fmt::Write;

use sessile_command::Rng;
use support::{Pair, check};

#[test]
fn fields_and_values() {
    check(&[
        "hset h a",
        "hset h a 1 b",
        "hmset h a 1 b",
        "hset h a 1 b 2 a 3",
        "hset h a 1 c 3",
        "hset h a 1",
        "hget h a",
        "hget h none",
        "hget none a",
        "hmget h a none b",
        "hmget none a b",
        "hgetall h",
        "hgetall none",
        "hkeys h",
        "hkeys none",
        "hvals h",
        "hvals none",
        "hlen h",
        "hlen none",
        "hexists h a",
        "hexists h none",
        "hexists none a",
        "hstrlen h a",
        "hstrlen h none",
        "hstrlen none a",
        "hsetnx h a 9",
        "hsetnx h new 9",
        "hsetnx fresh a 9",
        "hgetall fresh",
        "hmset h \"\" \"\" d 4",
        "hget h \"\"",
        "hstrlen h \"\"",
        "hset h n -9223372036854775808",
        "hstrlen h n",
        "hdel h a a none",
        "hdel h none",
        "hdel none a",
        "hgetall h",
        "hello 3",
        "hget h none",
        "hmget h none b",
        "hgetall h",
        "hgetall none",
        "hkeys h",
        "hkeys none",
        "hvals none",
        "hello 2",
        "hdel h \"\" b c d n new",
        "hlen h",
        "get h",
        "hset h a 1 b 2",
        "hdel h a b a",
        "hset h a 1",
        "hlen h",
    ]);
}

#[test]
fn numbers() {
    check(&[
        "hincrby h n 5",
        "hincrby h n -7",
        "hincrby h n x",
        "hincrby h n 9223372036854775808",
        "hincrby h n 9223372036854775807",
        "hincrby h n 9223372036854775807",
        "hincrby h n -1",
        "hset h t abc s 01 f 1.5 e \"\"",
        "hincrby h t 1",
        "hincrby h s 1",
        "hincrby h f 1",
        "hincrby h e 1",
        "hincrbyfloat h t 1",
        "hincrbyfloat h e 1",
        "hincrbyfloat h s 1",
        "hincrbyfloat h f 1.25",
        "hincrbyfloat h f x",
        "hincrbyfloat h f inf",
        "hincrbyfloat h f nan",
        "hincrbyfloat h f -inf",
        "hincrbyfloat h new 0.1",
        "hincrbyfloat h new 0.2",
        "hincrbyfloat h n 1e3",
        "hincrbyfloat h f -2.75",
        "hset h big 1e4932",
        "hincrbyfloat h big 1e4932",
        "hincrbyfloat fresh f 3.0e3",
        "hgetall h",
        "hgetall fresh",
    ]);
}

#[test]
fn wrong_types() {
    check(&[
        "set s x",
        "hset s a 1",
        "hset s a",
        "hset s a 1 b",
        "hmset s a 1",
        "hsetnx s a 1",
        "hget s a",
        "hmget s a b",
        "hgetall s",
        "hkeys s",
        "hvals s",
        "hlen s",
        "hstrlen s a",
        "hexists s a",
        "hdel s a",
        "hincrby s a 1",
        "hincrby s a x",
        "hincrbyfloat s a 1",
        "hincrbyfloat s a x",
        "hincrbyfloat s a inf",
        "hrandfield s",
        "hrandfield s 1",
        "hrandfield s 0",
        "hrandfield s x",
        "hrandfield s 1 foo",
        "hscan s 0",
        "hscan s x",
        "hscan s 0 foo",
    ]);
}

#[test]
fn random_fields_and_scans() {
    check(&[
        "hrandfield none",
        "hrandfield none 1",
        "hrandfield none 1 withvalues",
        "hset h a 1",
        "hrandfield h",
        "hrandfield h 0",
        "hrandfield h 1",
        "hrandfield h 5",
        "hrandfield h -3",
        "hrandfield h 5 withvalues",
        "hrandfield h -3 withvalues",
        "hrandfield h x",
        "hrandfield h 1 foo",
        "hrandfield h 1 withvalues foo",
        "hrandfield h -9223372036854775808",
        "hrandfield h -9223372036854775807 withvalues",
        "hrandfield h 4611686018427387904 withvalues",
        "hrandfield h 4611686018427387903 withvalues",
        "hello 3",
        "hrandfield none",
        "hrandfield none 1",
        "hrandfield h 5 withvalues",
        "hrandfield h -2 withvalues",
        "hrandfield h -2",
        "hscan h 0",
        "hello 2",
        "hset h b 2 ab 3",
        "hrandfield h 3",
        "hrandfield h 9 withvalues",
        "hscan h 0",
        "hscan h 0 count 1",
        "hscan h 0 match a*",
        "hscan h 0 match a* count 100",
        "hscan h 0 count 0",
        "hscan h 0 count x",
        "hscan h 0 type hash",
        "hscan h 0 match",
        "hscan h x",
        "hscan none 0",
        "hscan none 0 foo",
        "hscan none x",
    ]);
}

/// A reply's elements, `group` strings each, in an order of our own: that of a large hash is the server's.
fn sorted(reply: &[u8], group: usize) -> Vec<Vec<Vec<u8>>> {
    let lines: Vec<Vec<u8>> = reply.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut elements: Vec<Vec<Vec<u8>>> = lines[1..].chunks(2 * group).map(<[_]>::to_vec).collect();
    elements.sort();
    elements.push(vec![lines[0].clone()]);
    elements
}

#[test]
fn random_lines() {
    for seed in 1..=4u64 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        // The server's own default.
        pair.keyspace.limits.hash_entries = 512;
        let fields = [8, 60, 700, 300][seed as usize - 1];
        for step in 0..2500 {
            let mut line = String::new();
            let long = "x".repeat(if seed == 4 && rng.below(50) == 0 { 70 } else { 1 });
            let field = format!("f{}", rng.below(fields));
            let number = rng.below(100) as i64 - 50;
            let written = match rng.below(9) {
                0..=2 => write!(line, "hset h {field} {number} {long}{} {number}", rng.below(fields)),
                3 => write!(line, "hsetnx h {field} {number}"),
                4 => write!(line, "hincrby h {field} {number}"),
                5 => write!(line, "hincrbyfloat h {field} {}", number as f64 / 8.0),
                6 => write!(line, "hdel h {field} {long}{}", rng.below(fields)),
                7 => write!(line, "hmget h {field} {long}{} f1", rng.below(fields)),
                _ => write!(line, "hstrlen h {field}"),
            };
            written.expect("strings take all");
            pair.check(&line);
            if step % 100 == 99 {
                for (line, group) in
                    [("hgetall h", 2), ("hkeys h", 1), ("hvals h", 1), ("hrandfield h 9999", 1)]
                {
                    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
                    let (ours, theirs) = (pair.ours(&words), pair.theirs(&words));
                    assert_eq!(
                        sorted(&ours, group),
                        sorted(&theirs, group),
                        "{line}, seed {seed} step {step}"
                    );
                }
                pair.check("hlen h");
                pair.check("object encoding h");
            }
        }
    }
}

/// What is drawn is there, different where it must be, and every field's turn comes; a scan gives each field once.
#[test]
fn random_fields_are_fair() {
    for size in [5u64, 1000] {
        let mut pair = Pair::start();
        for i in 0..size {
            pair.ours(&[b"hset", b"h", format!("f{i}").as_bytes(), b"1"]);
        }
        let count = size - 1;
        let reply = pair.ours(&[b"hrandfield", b"h", count.to_string().as_bytes()]);
        let mut drawn = sorted(&reply, 1);
        drawn.dedup();
        assert_eq!(drawn.len() as u64, count + 2, "size {size}");
        let repeated = format!("-{}", size * 20);
        let mut drawn = sorted(&pair.ours(&[b"hrandfield", b"h", repeated.as_bytes()]), 1);
        drawn.dedup();
        assert_eq!(drawn.len() as u64, size + 2, "size {size}");

        let (mut cursor, mut found) = (String::from("0"), Vec::new());
        loop {
            let reply = pair.ours(&[b"hscan", b"h", cursor.as_bytes(), b"count", b"7"]);
            let reply = String::from_utf8(reply).expect("fields are text");
            let mut lines = reply.lines().skip(2);
            lines.next().expect("a cursor").clone_into(&mut cursor);
            found.extend(lines.filter(|line| line.starts_with('f')).map(str::to_owned));
            if cursor == "0" {
                break;
            }
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len() as u64, size);
        let refused = pair.ours(&[b"hrandfield", b"h", b"-16777217"]);
        assert_eq!(refused, b"-ERR value is out of range\r\n");
    }
}
