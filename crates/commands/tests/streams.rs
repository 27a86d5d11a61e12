//! Stream commands against a real redis-server: lines that meet every branch, then random ones.

mod support;

use sessile_command::Rng;
use support::{Pair, check};

#[test]
fn adding_and_ranges() {
    check(&[
        "xadd s 0-0 a 1",
        "xadd s 1-1 a 1",
        "xadd s 1-1 a 1",
        "xadd s 1-* a 2 b 3",
        "xadd s 1 a 1",
        "xadd s 2 a 1",
        "xadd s abc a 1",
        "xadd s - a 1",
        "xadd s + a 1",
        "xadd s 3-*x a 1",
        "xadd s maxlen",
        "xadd s maxlen 1 3-1",
        "xadd s 3-1 a",
        "xadd s nomkstream 3-1 a 7 a 8",
        "xadd none nomkstream 3-1 a 7",
        "xadd s maxlen -1 4-1 a 1",
        "xadd s maxlen x 4-1 a 1",
        "xadd s maxlen = 3 4-1 a 1",
        "xadd s maxlen ~ 3 limit 5 5-1 a 1",
        "xadd s maxlen 3 limit 5 5-2 a 1",
        "xadd s limit 5 5-2 a 1",
        "xadd s limit 0 5-2 a 1",
        "xadd s maxlen 3 minid 3 5-3 a 1",
        "xadd s minid 3-1 5-3 a 1",
        "xadd s minid x 5-4 a 1",
        "xadd s limit -4 5-4 a 1",
        "xadd s 18446744073709551615-18446744073709551615 a 1",
        "xadd s * a 1",
        "xadd s 18446744073709551615-* a 1",
        "xadd t 18446744073709551615-18446744073709551614 a 1",
        "xadd t 18446744073709551615-* a 1",
        "xadd u 0-* a 1",
        "xadd v 5-18446744073709551615 a 1",
        // 7.0 leaves to chance what it says.
        "~xadd v 5-* a 1",
        "xrange s - +",
        "xrange s 1 2",
        "xrange s (1-1 (4-1",
        "xrange s ( +",
        "xrange s - + count 2",
        "xrange s - + count 0",
        "xrange s - + count -3",
        "xrange s - + count",
        "xrange s - + count x",
        "xrange s - + kount 1",
        "xrange none - +",
        "xrange s (18446744073709551615-18446744073709551615 +",
        "xrange s - (0-0",
        "xrange s - (-",
        "xrange s x (-",
        "xrevrange s + -",
        "xrevrange s + - count 1",
        "xrevrange s (5-1 (1-1 count 3",
        "xlen s",
        "xlen none",
        "xinfo stream s",
        "xinfo stream none",
        "xinfo stream s ful",
        "xinfo stream s full x",
        "xinfo stream s full x 1",
        "xinfo stream s full count x",
        "xinfo stream s full",
        "xinfo stream s full count -1",
        "xinfo stream s full count 1",
        "hello 3",
        "xinfo stream s full count 0",
        "xinfo stream s",
        "xrange s - + count 0",
        "hello 2",
        "xinfo help",
        "xgroup help",
        "set str v",
        "xadd str 1-1 a 1",
        "xlen str",
        "xrange str - +",
        "xrange str - x",
        "xinfo stream str",
    ]);
}

#[test]
fn trimming_deleting_and_counters() {
    check(&[
        "xadd s 1-1 a 1",
        "xadd s 2-1 a 1",
        "xadd s 3-1 a 1",
        "xadd s 4-1 a 1",
        "xdel s 2-1 2-1 9-9",
        "xdel s x",
        "xdel s 1-1 -",
        "xdel none x",
        "xinfo stream s",
        "xtrim s maxlen",
        "xtrim s",
        "xtrim s maxlen 2 x",
        "xtrim s limit 3",
        "xtrim s limit 3 x",
        "xtrim s limit 0 limit 0",
        "xtrim s maxlen ~ 1 limit 0",
        "xtrim s maxlen = 2",
        "xtrim s minid 4",
        "xtrim s maxlen ~ 0",
        "xtrim none maxlen 0",
        "xinfo stream s",
        "xsetid s 3-1",
        "xsetid s 10-1 entriesadded 7 maxdeletedid 9-1",
        "xsetid s 10-1 maxdeletedid 11-1",
        "xsetid s 10-1 entriesadded -1",
        "xsetid s 10-1 entriesadded x",
        "xsetid s 10-1 entriesadded",
        "xsetid s 10-1 foo 1",
        "xsetid s -",
        "xsetid none 1-1",
        "xadd s 10-1 a 1",
        "xadd s 11-1 a 1",
        "xadd s 12-1 a 1",
        "xsetid s 13-1 entriesadded 1",
        "xsetid s 12-0",
        "xinfo stream s",
        "xdel s 12-1 11-1",
        "xinfo stream s",
        "xdel s 10-1",
        "xsetid s 12-1",
        "xinfo stream s",
    ]);
}

#[test]
fn readers_and_groups() {
    check(&[
        // The text is another since 7.2.
        "~xread streams s 0 0",
        "xread streams s",
        "xread count 1 block 1",
        "xread group g c streams s 0",
        "xread noack streams s 0",
        "xread block -1 streams s 0",
        "xread block x streams s 0",
        "xread block 1 streams s $",
        "xread block 1 streams s 0",
        "xread streams s >",
        "xread streams s +",
        "xread count x streams s 0",
        "xread streams s 0",
        "xgroup create s g 0",
        "xgroup create s g $ foo",
        "xgroup create s g $ mkstream",
        "xgroup create s g $ mkstream",
        "xgroup create s g2 5 mkstream entriesread 3 mkstream",
        "xgroup create s g2 5 mkstream entriesread 3",
        "xgroup create s g3 5 entriesread -2",
        "xgroup create s g3 x",
        "xgroup create s g3 -",
        "xgroup setid s none 5",
        "xgroup setid s g2 -",
        "xgroup setid s g2 + entriesread 3",
        "xgroup setid s g2 0 entriesread",
        "xgroup setid s g2 0",
        "xgroup setid none g2 0",
        "xgroup destroy none g",
        "xgroup destroy s none",
        "xgroup createconsumer s g c",
        "xgroup createconsumer s g c",
        "xgroup createconsumer s none c",
        "xgroup delconsumer s g none",
        "xgroup delconsumer s none c",
        "xadd s 1-1 a 1",
        "xadd s 1-2 b 1",
        "xadd s 1-3 a 1",
        "xinfo groups s",
        "xread streams s 1-1",
        "xread count 1 streams s x 0 0",
        "xread count 1 streams none s 0 0",
        "xreadgroup group g c streams s $",
        "xreadgroup count 1 block 1 noack streams s $",
        "xreadgroup group none c streams s >",
        "xreadgroup group g c streams none >",
        "xreadgroup group g c streams s x",
        "xreadgroup group g c count 1 streams s >",
        "xinfo groups s",
        "xreadgroup group g c streams s >",
        "xreadgroup group g c streams s >",
        "xreadgroup group g c block 1 streams s >",
        "xreadgroup group g d block 1 streams s >",
        "xreadgroup group g c streams s 0",
        "xdel s 1-2",
        "xreadgroup group g c streams s 1-1",
        "xreadgroup group g d streams s 0",
        "xreadgroup group g2 d noack count 2 streams s s > >",
        "hello 3",
        "xreadgroup group g c streams s 0",
        "xread streams s 0",
        "xread streams s 9",
        "xpending s g2",
        "xinfo groups s",
        "hello 2",
        "xinfo groups s",
        "xpending s g",
        "xpending s g2",
        "xpending s none",
        "xpending none g",
        "xpending s g - + 10 nobody",
        "xpending s g - +",
        "xpending s g idle 1 - +",
        "xpending s g idle x - + 1",
        "xpending s g - + x",
        "xpending s g x + 1",
        "xpending s g (18446744073709551615-18446744073709551615 + 1",
        "xpending s g - (0-0 1",
        "xpending s g idle 100000 - + 10",
        "xpending s g - + 0",
        "xpending s g - + -1",
        "xack s g 1-1 1-1 7-7",
        "xack s g x",
        "xack s none x",
        "xack none g x",
        "xpending s g",
        "xclaim s g e 0 1-2 1-3 justid",
        "xclaim s g e 0 1-1 9-9 force",
        "xclaim s g e x 1-1",
        "xclaim s none e x 1-1",
        "xclaim s g e 0 x",
        "xclaim s g e 0 1-1 idle x",
        "xclaim s g e 0 1-1 time x",
        "xclaim s g e 0 1-1 retrycount x",
        "xclaim s g e 0 1-1 lastid x",
        "xclaim s g e 0 1-1 idle",
        "xclaim s g e 0 1-1 1-1 retrycount 5 time 1 lastid 9-9",
        "xclaim s g e 100000000000000 1-1",
        "xinfo stream s",
        "xautoclaim s g f x 0",
        "xautoclaim s g f 0 x",
        "xautoclaim s g f 0 0 count 0",
        "xautoclaim s g f 0 0 count x",
        "xautoclaim s g f 0 0 count",
        "xautoclaim s none f 0 0",
        "xautoclaim none g f 0 0",
        "xautoclaim s g f 0 - count 1 justid",
        "xautoclaim s g f 0 (1-1 count 1",
        "xautoclaim s g f 0 0",
        "xautoclaim s g f 1000000 0",
        "xpending s g",
        "xgroup delconsumer s g f",
        "xpending s g",
        "xinfo consumers s none",
        "xgroup destroy s g",
        "xinfo groups s",
        "set str v",
        "xread streams str 0",
        "xreadgroup group g c streams str 0",
        "xgroup create str g 0",
        "xack str g 0",
        "xpending str g",
        "xclaim str g c 0 0",
        "xautoclaim str g c 0 0",
    ]);
}

fn random_line(rng: &mut Rng, last_ms: &mut u64) -> String {
    let mut one = |words: &[&str]| words[rng.below(words.len() as u64) as usize].to_owned();
    let key = one(&["s", "s", "s", "t"]);
    let group = one(&["g", "h"]);
    let who = one(&["a", "b", "c"]);
    let start = one(&["-", "0", "2", "(3-1", "5-1"]);
    let count = one(&["", "count 1", "count 3"]);
    let option = one(&["", "justid", "force", "justid force", "retrycount 3", "time 5", "lastid 8"]);
    let strategy =
        one(&["maxlen ~ 5", "maxlen 9", "minid ~ 3", "minid = 2", "maxlen ~ 1 limit 3", "minid ~ 9 limit 4"]);
    let fields = one(&["a 1", "a 2", "a 1 b 2", "b 1 a 3", "c 4"]);
    let near =
        |rng: &mut Rng, last_ms: u64| format!("{}-{}", last_ms.saturating_sub(rng.below(25)), rng.below(3));
    let (x, y) = (near(rng, *last_ms), near(rng, *last_ms));
    match rng.below(24) {
        0..8 => {
            *last_ms += rng.below(2);
            let trim = if rng.below(6) == 0 { &strategy[..] } else { "" };
            format!("xadd {key} {trim} {last_ms}-* {fields}")
        }
        8 => format!("xdel {key} {x} {y}"),
        9 if rng.below(3) == 0 => format!("xtrim {key} {strategy}"),
        10 if rng.below(4) == 0 => format!("xgroup setid {key} {group} {x}"),
        10 if rng.below(8) == 0 => format!("xgroup destroy {key} {group}"),
        11 => format!("xgroup create {key} {group} {x} mkstream"),
        12 => format!("xgroup delconsumer {key} {group} {who}"),
        13..16 => format!("xreadgroup group {group} {who} {count} streams {key} >"),
        16 => format!("xreadgroup group {group} {who} {count} noack streams {key} >"),
        17 => format!("xreadgroup group {group} {who} {count} streams {key} {x}"),
        18 => format!("xack {key} {group} {x} {y}"),
        19 => format!("xclaim {key} {group} {who} 0 {x} {y} {x} {option}"),
        20 => format!("xautoclaim {key} {group} {who} 0 {start} {count}"),
        21 => format!("xrange {key} {x} {y} {count}"),
        22 => format!("xrevrange {key} {y} {x} {count}"),
        _ => format!("xread {count} streams {key} {x}"),
    }
}

#[test]
fn random_lines() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        let entries = [1, 3, 10, 100][rng.below(4) as usize];
        pair.keyspace.limits.stream_node_entries = entries;
        pair.theirs(&[b"config", b"set", b"stream-node-max-entries", entries.to_string().as_bytes()]);
        let mut last_ms = 1;
        for _ in 0..2500 {
            let line = random_line(&mut rng, &mut last_ms);
            let words: Vec<&str> = line.split_whitespace().collect();
            // Since 7.2 who claims or reads in vain becomes a consumer too.
            match words[..] {
                ["xclaim" | "xautoclaim", key, group, who, ..] => {
                    pair.check(&format!("xgroup createconsumer {key} {group} {who}"));
                }
                ["xreadgroup", "group", group, who, .., key, _] => {
                    pair.check(&format!("xgroup createconsumer {key} {group} {who}"));
                }
                _ => {}
            }
            pair.check(&line);
            for line in ["xinfo stream s", "xinfo groups s", "xpending s g", "xpending s h"] {
                pair.check(line);
            }
            let pending: [&[u8]; 6] = [b"xpending", b"s", b"g", b"-", b"+", b"1000"];
            assert_eq!(without_idle(&pair.ours(&pending)), without_idle(&pair.theirs(&pending)), "{line}");
        }
    }
}

/// The long form of XPENDING without times: of two numbers that stand together the first.
fn without_idle(reply: &[u8]) -> Vec<&[u8]> {
    let lines: Vec<&[u8]> = reply.split(|&byte| byte == b'\n').collect();
    let is_idle =
        |at: usize| lines[at].starts_with(b":") && lines.get(at + 1).is_some_and(|l| l.starts_with(b":"));
    (0..lines.len()).filter(|&at| !is_idle(at)).map(|at| lines[at]).collect()
}
