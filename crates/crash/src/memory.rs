//! Memory accounting: how INFO's `used_memory` grows beside what the allocator says, by type and encoding.

use std::path::Path;
use std::time::Duration;

use crate::client::{Cmd, Conn, words};
use crate::server::{Launch, Temp, info};

/// How far the two may be apart, in percent.
const APART_PERCENT: f64 = 10.0;

/// Makes the commands for one of `n` keys; collections hold `SMALL` or `LARGE` elements.
type Load = fn(u64) -> Vec<Cmd>;

const LARGE: u64 = 2000;

fn line(text: &str) -> Vec<Cmd> {
    vec![words(text)]
}

/// One command with `count` elements made by `each`.
fn many(start: &str, count: u64, each: impl Fn(u64) -> String) -> Vec<Cmd> {
    let mut cmd = words(start);
    for i in 0..count {
        cmd.extend(words(&each(i)));
    }
    vec![cmd]
}

/// Name, how many elements a key has, and its commands.
const CASES: [(&str, u64, Load); 16] = [
    ("string, integer", 1, |n| line(&format!("SET key:{n:010} {n}"))),
    ("string, 40 bytes", 1, |n| line(&format!("SET key:{n:010} {n:040}"))),
    ("string, 40 bytes, TTL", 1, |n| line(&format!("SET key:{n:010} {n:040} EX 100000"))),
    ("string, 500 bytes", 1, |n| line(&format!("SET key:{n:010} {n:0500}"))),
    ("string, 60 kB", 2000, |n| line(&format!("SET key:{n:010} {n:060000}"))),
    ("hash, 8 fields", 8, |n| many(&format!("HSET key:{n:010}"), 8, |i| format!("field{i} {n:08}{i:08}"))),
    ("hash, 2000 fields", LARGE, |n| {
        many(&format!("HSET key:{n:010}"), LARGE, |i| format!("field{i:07} {i:020}"))
    }),
    ("list, 8 elements", 8, |n| many(&format!("RPUSH key:{n:010}"), 8, |i| format!("{n:08}{i:08}"))),
    ("list, 2000 elements", LARGE, |n| {
        many(&format!("RPUSH key:{n:010}"), LARGE, |i| format!("{n:08}{i:08}"))
    }),
    ("set, 8 members", 8, |n| many(&format!("SADD key:{n:010}"), 8, |i| format!("m{n:08}{i:08}"))),
    ("set, 8 integers", 8, |n| many(&format!("SADD key:{n:010}"), 8, |i| format!("{}", n * 10 + i))),
    ("set, 2000 members", LARGE, |n| many(&format!("SADD key:{n:010}"), LARGE, |i| format!("m{n:08}{i:08}"))),
    ("zset, 8 members", 8, |n| many(&format!("ZADD key:{n:010}"), 8, |i| format!("{i}.5 m{n:08}{i:04}"))),
    ("zset, 2000 members", LARGE, |n| {
        many(&format!("ZADD key:{n:010}"), LARGE, |i| format!("{i}.5 m{n:08}{i:04}"))
    }),
    ("stream, 1 entry", 1, |n| line(&format!("XADD key:{n:010} * field {n:020}"))),
    ("stream, 2000 entries", LARGE, |n| {
        (0..LARGE).map(|i| words(&format!("XADD key:{n:010} {}-0 field {i:020} other {n}", i + 1))).collect()
    }),
];

/// Loads each case into a server of its own and prints the table; gives how many are within the limit and how many
/// are not. `keys` is for single values; collections have as many elements in all, or four times as many.
pub fn run(bin: &Path, base: &Path, keys: u64) -> Result<(u64, u64), String> {
    let temp = Temp::new(base, "memory").map_err(|e| format!("no temporary directory: {e}"))?;
    let (mut passed, mut failed) = (0, 0);
    println!("{:24} {:>8} {:>12} {:>12} {:>8}", "load", "keys", "used_memory", "allocator", "apart");
    for (index, (name, elements, load)) in CASES.iter().enumerate() {
        let count = (keys * 4 / elements).clamp(1, keys);
        let dir = temp.0.join(format!("data{index}"));
        std::fs::create_dir_all(&dir).map_err(|e| format!("no data directory: {e}"))?;
        let flags = "--appendonly no --save  --maxmemory 0".split(' ').map(str::to_owned).collect();
        let server = Launch { bin: bin.to_owned(), dir, flags, env: Vec::new() }.start()?;
        let mut conn = server.connect()?;
        let before = readings(&mut conn)?;
        let mut some = Vec::new();
        for n in 0..count {
            some.extend(load(n));
            if some.len() >= 256 || n + 1 == count {
                conn.ask_all(&some).map_err(|e| format!("{name}: {e:?}"))?;
                some.clear();
            }
        }
        // The connection's own buffers are counted as well; a new one has none worth speaking of.
        drop(conn);
        let after = readings(&mut server.connect()?)?;
        let (used, allocated) = (after.0 - before.0, after.1 - before.1);
        let apart = (used - allocated) / allocated.max(1.0) * 100.0;
        println!("{name:24} {count:8} {used:12.0} {allocated:12.0} {apart:+7.1}%");
        if apart.abs() <= APART_PERCENT { passed += 1 } else { failed += 1 }
    }
    Ok((passed, failed))
}

/// `used_memory` and `allocator_allocated` in bytes, once the server has asked the allocator again.
fn readings(conn: &mut Conn) -> Result<(f64, f64), String> {
    // INFO shows what the server last read; it does so every second.
    std::thread::sleep(Duration::from_millis(2200));
    let mut field = |name: &str| info(conn, name).parse::<f64>().map_err(|_| format!("INFO has no {name}"));
    Ok((field("used_memory")?, field("allocator_allocated")?))
}
