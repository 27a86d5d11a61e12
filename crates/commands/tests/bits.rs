//! Bit commands against a real server: tables, and random commands from a printed seed.

mod support;

use sessile_command::Rng;
use support::{Pair, check};

#[test]
fn bits_answer_as_redis() {
    check(&[
        "setbit k 7 1",
        "get k",
        "setbit k 7 1",
        "setbit k 100 0",
        "strlen k",
        "getbit k 7",
        "getbit k 1000",
        "getbit k -1",
        "getbit k x",
        "getbit k 4294967296",
        "setbit k 4294967296 1",
        "setbit k 1 2",
        "setbit k 1 x",
        "setbit k x x",
        "object encoding k",
        "set s foobar",
        "bitcount s",
        "bitcount s 0",
        "bitcount s 0 0",
        "bitcount s 1 1",
        "bitcount s 1 1 byte",
        "bitcount s 5 30 bit",
        "bitcount s -2 -1 bit",
        "bitcount s 3 1",
        "bitcount s -1 -2 nonsense",
        "bitcount s 0 -1 nonsense",
        "bitcount s 0 -1 bit more",
        "bitcount s x 1",
        "bitcount none x 1",
        "bitpos s 1",
        "bitpos s 0",
        "bitpos s 2",
        "bitpos s x",
        "bitpos none 1",
        "bitpos none 0 x",
        "bitpos s 1 2 -1 byte",
        "bitpos s 0 20 30 bit",
        "bitpos s 1 100",
        "bitpos s 1 0 -1 word",
        "lpush l a",
        "bitcount l",
        "bitcount l x y",
        "bitpos l 1",
        "setbit l 1 1",
        "getbit l 1",
        "bitfield l get u8 0",
        "bitop and d l",
        "bitop foo d s",
        "bitop not d s s",
        "bitop not d s",
        "get d",
        "bitop and d s none",
        "get d",
        "bitop or d none",
        "exists d",
        "setbit ff 0 0",
        "bitpos ff 1",
        "bitop not ff ff",
        "bitpos ff 0",
        "bitpos ff 0 0 -1",
        "bitpos ff 0 0",
    ]);
}

#[test]
fn fields_answer_as_redis() {
    check(&[
        "bitfield k",
        "exists k",
        "bitfield k get u8 0 get i64 3",
        "exists k",
        "bitfield k set u8 0 255 get i8 0 incrby u8 0 1 get u8 0",
        "bitfield k overflow sat incrby i5 #1 100 incrby i5 #1 -100",
        "bitfield k overflow fail incrby u2 100 5 set u2 100 7 set u2 100 1",
        "bitfield grown overflow fail set u8 100 300",
        "strlen grown",
        "bitfield k set i64 0 -9223372036854775808 incrby i64 0 -1",
        "bitfield k overflow sat incrby i64 0 -1",
        "bitfield k overflow sat set i8 #17 -9223372036854775808 get i8 #17",
        "bitfield k overflow sat set i8 #17 -9223372036854775681 set i8 #17 -9223372036854775680 get i8 #17",
        "bitfield k set i8 #17 -9223372036854775808 get i8 #17",
        "bitfield k overflow fail set i8 #17 -9223372036854775808 get i8 #17",
        "bitfield k overflow sat set i64 #2 -9223372036854775808 get i64 #2",
        "bitfield k set u63 1 9223372036854775807 incrby u63 1 1",
        "bitfield k set u8 0 -1 overflow sat set u8 0 -1",
        "bitfield k get u64 0",
        "bitfield k get i65 0",
        "bitfield k get i0 0",
        "bitfield k get x8 0",
        "bitfield k get u8",
        "bitfield k get u8 -1",
        "bitfield k get u8 #x",
        "bitfield k set u8 0 x",
        "bitfield k set u8 0",
        "bitfield k overflow maybe",
        "bitfield k overflow",
        "bitfield k get u8 4294967295",
        "bitfield k get u8 4294967296",
        "bitfield_ro k get u8 0 get u8 #1",
        "bitfield_ro k set u8 0 1",
        "get k",
    ]);
}

fn offset(rng: &mut Rng, len: u64) -> u64 {
    let near = rng.below(4);
    if near == 0 { rng.below(8) } else { rng.below(len * 8 + 100) }
}

fn random_line(rng: &mut Rng, len: u64) -> String {
    let key = rng.below(3);
    let signed = |rng: &mut Rng| rng.below(2 * len * 8 + 40) as i64 - (len * 8 + 20) as i64;
    match rng.below(6) {
        0 => format!("setbit k{key} {} {}", offset(rng, len), rng.below(2)),
        1 => {
            let unit = ["", " byte", " bit"][rng.below(3) as usize];
            format!("bitcount k{key} {} {}{unit}", signed(rng), signed(rng))
        }
        2 => {
            let unit = ["", " byte", " bit"][rng.below(3) as usize];
            format!("bitpos k{key} {} {} {}{unit}", rng.below(2), signed(rng), signed(rng))
        }
        3 => {
            let op = ["and", "or", "xor"][rng.below(3) as usize];
            format!("bitop {op} k{} k{} k{}", rng.below(3), rng.below(3), rng.below(3))
        }
        4 => format!("bitop not k{} k{}", rng.below(3), rng.below(3)),
        _ => {
            let overflow = ["wrap", "sat", "fail"][rng.below(3) as usize];
            let kind = if rng.below(2) == 0 {
                format!("i{}", 1 + rng.below(64))
            } else {
                format!("u{}", 1 + rng.below(63))
            };
            let action = ["set", "incrby"][rng.below(2) as usize];
            let value = (rng.next_u64() >> rng.below(64)) as i64;
            let (first, second) = (offset(rng, len), offset(rng, len));
            format!("bitfield k{key} get {kind} {first} overflow {overflow} {action} {kind} {second} {value}")
        }
    }
}

/// Short strings, and ropes of several chunks.
#[test]
fn random_bits_equal() {
    for (seed, len) in [(1, 6), (2, 40), (3, 60_000)] {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        for key in 0..3 {
            let text: String = (0..len - key).map(|_| char::from(b'!' + rng.below(90) as u8)).collect();
            pair.check(&format!("set k{key} {text}"));
        }
        for step in 0..1500 {
            pair.check(&random_line(&mut rng, len));
            if step % 100 == 0 {
                (0..3).for_each(|key| pair.check(&format!("get k{key}")));
            }
        }
    }
}
