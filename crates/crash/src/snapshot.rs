//! A large dataset: a snapshot is taken while it is written to, the server killed, and what it recovers compared.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sessile_resp::Value;

use crate::client::{Cmd, Conn, bytes, items, number, words};
use crate::rng::Rng;
use crate::server::{Launch, Server, Temp, info};

const SAMPLES: u64 = 20_000;
/// How long a snapshot may take.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(300);
const BATCH: u64 = 256;

/// Runs the scenario and prints sizes and times; gives what passed and what failed.
pub fn run(bin: &Path, base: &Path, keys: u64, members: u64, seed: u64) -> Result<(u64, u64), String> {
    println!("seed {seed}");
    let temp = Temp::new(base, "snapshot").map_err(|e| format!("no temporary directory: {e}"))?;
    let dir = temp.0.join("data");
    let flags = vec!["--auto-aof-rewrite-percentage".to_owned(), "0".to_owned()];
    let launch = Launch { bin: bin.to_owned(), dir, flags, env: Vec::new() };
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let began = Instant::now();
    load(&mut conn, keys, |n| words(&format!("SET key:{n} value:{n}")))?;
    load(&mut conn, members, |n| words(&format!("ZADD zset {n} member:{n}")))?;
    let loaded_rss = server.peak_rss_bytes();
    println!(
        "loaded {keys} keys and {members} members in {:.1?}, peak RSS {} MB",
        began.elapsed(),
        loaded_rss >> 20
    );

    let rewrites: u64 = info(&mut conn, "aof_rewrites").parse().unwrap_or(0);
    let began = Instant::now();
    let reply = conn.ask_line("BGREWRITEAOF").map_err(|e| format!("BGREWRITEAOF: {e:?}"))?;
    if let Value::Error(_) = reply {
        return Err(format!("BGREWRITEAOF: {reply:?}"));
    }
    let (writes, slowest) = write_until_done(&server, &mut conn, keys, members, rewrites, seed)?;
    println!(
        "snapshot with {writes} writes beside it in {:.1?}, slowest write {slowest:.1?}, peak RSS {} MB",
        began.elapsed(),
        server.peak_rss_bytes() >> 20
    );
    let before = digest(&mut conn, keys, members, seed)?;
    server.kill();
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let after = digest(&mut conn, keys, members, seed)?;
    println!("recovered in {:.2?}, peak RSS {} MB", server.start_took, server.peak_rss_bytes() >> 20);
    if before == after {
        return Ok((1, 0));
    }
    println!("the sampled digest is {after:?}, it was {before:?}");
    Ok((0, 1))
}

fn load(conn: &mut Conn, count: u64, command: impl Fn(u64) -> Cmd) -> Result<(), String> {
    let mut from = 0;
    while from < count {
        let batch: Vec<Cmd> = (from..(from + BATCH).min(count)).map(&command).collect();
        let replies = conn.ask_all(&batch).map_err(|e| format!("loading: {e:?}"))?;
        if let Some(error) = replies.iter().find(|reply| matches!(reply, Value::Error(_))) {
            return Err(format!("loading: {error:?}"));
        }
        from += BATCH;
    }
    Ok(())
}

/// Writes old and new keys on another connection until the snapshot is durable; how many, and the slowest.
fn write_until_done(
    server: &Server,
    conn: &mut Conn,
    keys: u64,
    members: u64,
    rewrites: u64,
    seed: u64,
) -> Result<(u64, Duration), String> {
    let done = AtomicBool::new(false);
    let mut writer = server.connect()?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| -> Result<(u64, Duration), String> {
            let (mut rng, mut count, mut slowest) = (Rng::new(seed), 0, Duration::ZERO);
            while !done.load(Ordering::Relaxed) {
                let n = rng.below(keys);
                let line = match rng.below(5) {
                    0 => format!("SET key:{n} again:{count}"),
                    1 => format!("DEL key:{n}"),
                    2 => format!("RENAME key:{n} moved:{count}"),
                    3 => format!("ZADD zset {count} member:{}", rng.below(members * 2)),
                    _ => format!("ZREM zset member:{}", rng.below(members)),
                };
                let began = Instant::now();
                writer.ask_line(&line).map_err(|e| format!("writing beside the snapshot: {e:?}"))?;
                slowest = slowest.max(began.elapsed());
                count += 1;
            }
            Ok((count, slowest))
        });
        let began = Instant::now();
        while info(conn, "aof_rewrites").parse::<u64>().unwrap_or(0) <= rewrites
            && began.elapsed() < SNAPSHOT_LIMIT
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        let written = writing.join().map_err(|_| "the writer panicked".to_owned())??;
        if began.elapsed() >= SNAPSHOT_LIMIT {
            return Err(format!("no snapshot within {SNAPSHOT_LIMIT:?}"));
        }
        Ok(written)
    })
}

/// Counts, and a checksum of sampled keys and of all members.
fn digest(conn: &mut Conn, keys: u64, members: u64, seed: u64) -> Result<(i64, i64, u64), String> {
    let lost = |e| format!("comparing: {e:?}");
    let size = number(&conn.ask_line("DBSIZE").map_err(lost)?).unwrap_or(-1);
    let count = number(&conn.ask_line("ZCARD zset").map_err(lost)?).unwrap_or(-1);
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |text: &[u8]| {
        for byte in text.iter().chain(b"\n") {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut rng = Rng::new(seed ^ 1);
    let sampled: Vec<Cmd> = (0..SAMPLES)
        .map(|n| {
            words(&if n % 8 == 0 {
                format!("GET moved:{}", n / 8)
            } else {
                format!("GET key:{}", rng.below(keys))
            })
        })
        .collect();
    for reply in conn.ask_all(&sampled).map_err(lost)? {
        add(bytes(&reply).unwrap_or(b"(nothing)"));
    }
    for from in (0..members * 2).step_by(10_000) {
        let page = conn.ask_line(&format!("ZRANGE zset {from} {} WITHSCORES", from + 9_999)).map_err(lost)?;
        items(&page).iter().filter_map(bytes).for_each(&mut add);
    }
    Ok((size, count, sum))
}
