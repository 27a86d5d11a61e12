//! Sorted sets against a real redis-server: lines that meet every branch, then random ones.

mod support;

use std::fmt::Write;

use sessile_command::Rng;
use support::{Pair, check};

#[test]
fn adding_and_looking() {
    check(&[
        "zadd z 1",
        "zadd z 1 a 2",
        "zadd z nx",
        "zadd z nx xx 1 a",
        "zadd z nx gt 1 a",
        "zadd z gt lt 1 a",
        "zadd z incr 1 a 2 b",
        "zadd z x a",
        "zadd z 1 a nan b",
        "zadd z xx 1 a",
        "zadd z xx incr 1 a",
        "zadd z 1 a 2 b 3 c",
        "zadd z 1 a 2 b 3 c",
        "zadd z ch 1 a 5 b 7 d",
        "zadd z nx ch 9 a 9 e",
        "zadd z xx ch 9 a 9 none",
        "zadd z gt ch 8 a 10 b",
        "zadd z lt ch 8 a 11 b",
        "zadd z lt incr 5 a",
        "zadd z gt incr 5 a",
        "zadd z incr nx 5 a",
        "zadd z incr nx 5 new",
        "zadd z 1 twice 2 twice",
        "zadd z ch 1 twice 2 twice",
        "zadd z inf i -inf j +inf k",
        "zincrby z -inf i",
        "zincrby z 1.5 none2",
        "zincrby z x a",
        "zincrby z nx a",
        "zincrby z 0 a",
        "zadd z -0 zero",
        "zscore z zero",
        "zcard z",
        "zcard none",
        "zscore z a",
        "zscore z none",
        "zscore none a",
        "zmscore z a none b",
        "zmscore none a b",
        "zrank z a",
        "zrank z none",
        "zrank none a",
        "zrevrank z a",
        "zrevrank z none",
        "zrem z a a none",
        "zrem none a",
        "zrange z 0 -1 withscores",
        "zrem one a",
        "zadd one 1 a",
        "zrem one a b",
        "get one",
        "hello 3",
        "zscore z b",
        "zmscore z b none",
        "zincrby z 2 b",
        "zadd z nx incr 2 b",
        "zrange z 0 -1 withscores",
        "zscan z 0 match [a-e]",
        "zrank z none",
        "hello 2",
        "zscan z 0 count 3",
        "zscan z x",
        "zscan z \0",
        "zscan z 0\0x",
        "zscan z -\0",
        "zcount z \0 +inf",
        "zcount z (1\0x 3",
        "zrangebyscore z -\0 2",
        "zscan none 0 foo",
        "zscan z 0 foo",
        "zscan z 0 count 0",
        "zscan z 0 count x",
        "zscan z 0 match",
        "set s x",
        "zadd s 1 a",
        "zadd s x a",
        "zcard s",
        "zscore s a",
        "zmscore s a",
        "zrank s a",
        "zrem s a",
        "zscan s 0",
        "zscan s 0 foo",
        "zrandmember s",
        "zrandmember s 1",
        "zrandmember s x",
        "zrandmember none",
        "zrandmember none 3",
        "zrandmember z 0",
        "zrandmember z 100 withscores",
        "zrandmember z 4611686018427387904",
        "zrandmember z 4611686018427387904 withscores",
        "zrandmember z -9223372036854775808",
        "zrandmember z 1 foo",
        "zrandmember z 1 withscores foo",
        "zadd lone 3 m",
        "zrandmember lone",
        "zrandmember lone -3",
        "zrandmember lone -3 withscores",
        "hello 3",
        "zrandmember lone 1 withscores",
        "zrandmember lone -2 withscores",
    ]);
}

#[test]
fn ranges() {
    check(&[
        "zadd z 1 a 2 b 3 c 3 d 4 e inf f -inf g",
        "zadd l 0 a 0 b 0 c 0 dd 0 e",
        "zrange z 0 -1",
        "zrange z 1 2 rev withscores",
        "zrange z -3 -2",
        "zrange z 5 1",
        "zrange z 100 200",
        "zrange z -100 100",
        "zrange z -9223372036854775808 9223372036854775807",
        "zrange z x 1",
        "zrange z 0 1 limit 0 1",
        "zrange z 0 1 limit 0 -1",
        "zrange z 0 1 limit 0",
        "zrange z 0 1 limit x 1",
        "zrange z 0 1 foo",
        "zrange z 1 3 byscore",
        "zrange z 3 1 byscore rev withscores",
        "zrange z (1 (4 byscore limit 1 1",
        "zrange z (4 (1 byscore rev limit 1 1",
        "zrange z (4 (1 byscore rev limit -1 1",
        "zrange z -inf +inf byscore limit 2 -5",
        "zrange z x 1 byscore",
        "zrange z ( 1 byscore",
        "zrange z \"\" 1 byscore",
        "zrange z 1e400 1 byscore rev",
        "zrange z 0x2 nan byscore",
        "zrange z 0x2 4 byscore",
        "zrange l - + bylex",
        "zrange l [b (dd bylex",
        "zrange l + - bylex rev limit 1 2",
        "zrange l [e [a bylex rev",
        "zrange l b c bylex",
        "zrange l [b + bylex withscores",
        "zrange l -a + bylex",
        "zrange l [b + bylex byscore",
        "zrange l [b [b bylex",
        "zrange l (b [b bylex",
        "zrange l [c [b bylex",
        "zrange l + - bylex",
        "zrange none 0 1",
        "zrange none x 1",
        "zrangebyscore z 1 3",
        "zrangebyscore z 1 3 withscores limit 1 1",
        "zrangebyscore z 1 3 rev",
        "zrangebyscore z 1 3 byscore",
        "zrevrangebyscore z 3 1 withscores",
        "zrevrangebyscore z 1 3",
        "zrevrangebyscore z (3 (1 limit 0 1",
        "zrangebylex l [b +",
        "zrangebylex l [b + limit 1 1",
        "zrangebylex l [b + withscores",
        "zrevrangebylex l + [b",
        "zrevrangebylex l + [b limit 1 10",
        "zrevrange z 0 1",
        "zrevrange z 0 1 withscores",
        "zrevrange z 0 1 limit 1 1",
        "zrevrange z 0 1 rev",
        "zcount z 1 3",
        "zcount z (1 (3",
        "zcount z 3 1",
        "zcount z x 1",
        "zcount none x 1",
        "zcount none 0 1",
        "zlexcount l - +",
        "zlexcount l (a [dd",
        "zlexcount l a b",
        "zlexcount none - +",
        "hello 3",
        "zrange z 0 -1 withscores",
        "zrange z 0 -1 rev",
        "zrevrangebyscore z 3 1 withscores",
        "zrange none 0 1",
        "hello 2",
        "zremrangebyscore z (1 3",
        "zremrangebyscore z x 3",
        "zrange z 0 -1",
        "zremrangebyrank z 0 0",
        "zremrangebyrank z -1 -1",
        "zremrangebyrank z 5 9",
        "zremrangebyrank z x 9",
        "zrange z 0 -1",
        "zremrangebylex l (a (dd",
        "zremrangebylex l a (dd",
        "zrange l 0 -1",
        "zremrangebylex l - +",
        "get l",
        "zremrangebylex none - +",
        "set s x",
        "zrange s 0 1",
        "zrange s x 1",
        "zcount s 0 1",
        "zlexcount s - +",
        "zremrangebyrank s 0 1",
        "zremrangebyscore s 0 1",
        "zremrangebylex s - +",
    ]);
}

#[test]
fn pops() {
    check(&[
        "zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g",
        "zpopmin z",
        "zpopmax z",
        "zpopmin z 0",
        "zpopmin z -1",
        "zpopmin z x",
        "zpopmin z 1 1",
        "zpopmax z 2",
        "hello 3",
        "zpopmin z",
        "zpopmin z 1",
        "zpopmax z 100",
        "zpopmax z 1",
        "zpopmax z",
        "zmpop 1 z min",
        "hello 2",
        "get z",
        "zpopmax z",
        "zmpop 1 z min",
        "zmpop 0 z min",
        "zmpop x z min",
        "zmpop 2 z min",
        "zmpop 1 z foo",
        "zmpop 1 z min count 0",
        "zmpop 1 z min count x",
        "zmpop 1 z min count 1 count 2",
        "zmpop 1 z min count",
        "zmpop 1 z min foo 1",
        "zmpop 9223372036854775807 z min",
        "zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g",
        "zmpop 2 none z min",
        "zmpop 2 none z max count 2",
        "bzmpop 0.01 2 none z max count 2",
        "bzmpop x 2 none z max count 2",
        "bzmpop x 0 none z max count 2",
        "bzmpop -1 1 z max",
        "bzmpop 0.01 1 none max",
        "bzpopmin none z 0.01",
        "bzpopmax none z 0.01",
        "bzpopmin none 0.01",
        "bzpopmin z x",
        "bzpopmin z -1",
        "hello 3",
        "zadd z 1 a 2 b 3 c 4 d 5 e 6 f 7 g",
        "zmpop 2 none z min count 2",
        "bzpopmin z 0",
        "bzpopmin none 0.01",
        "hello 2",
        "set s x",
        "zpopmin s",
        "zpopmin s 0",
        "zpopmin s x",
        "zmpop 2 none s min",
        "bzpopmin s 0.01",
        "bzmpop 0.01 1 s min",
    ]);
}

#[test]
fn unions_intersections_differences() {
    check(&[
        "zadd x 1 a 2 b 3 c inf i",
        "zadd y 10 b 20 c 30 d -inf i",
        "zunion 2 x y",
        "zunion 2 x y withscores",
        "zunion 2 x y withscores weights 2 0.5",
        "zunion 2 x y weights 2",
        "zunion 2 x y weights 2 x",
        "zunion 2 x y weights 0 1 withscores",
        "zunion 2 x y aggregate min withscores",
        "zunion 2 x y aggregate max withscores",
        "zunion 2 x y aggregate foo",
        "zunion 2 x y aggregate",
        "zunion 2 x y aggregate sum weights 1 1 withscores",
        "zunion 0 x",
        "zunion -1 x",
        "zunion q x",
        "zunion 3 x y",
        "zunion 2 x y foo",
        "zunion 2 x none withscores",
        "zunion 2 none none2",
        "zunion 3 x x y withscores",
        "zinter 2 x y withscores",
        "zinter 2 x y",
        "zinter 2 x none",
        "zinter 2 x y weights 3 -1 aggregate max withscores",
        "zinter 2 x y weights 0 1 withscores",
        "zinter 3 x y x withscores",
        "zinter 0 x",
        "zdiff 2 x y",
        "zdiff 2 x y withscores",
        "zdiff 2 x y weights 1 1",
        "zdiff 2 x y aggregate sum",
        "zdiff 1 x",
        "zdiff 2 x x",
        "zdiff 2 none x",
        "zdiff 2 x none",
        "zdiff 0 x",
        "zintercard 2 x y",
        "zintercard 2 x y limit 1",
        "zintercard 2 x y limit 0",
        "zintercard 2 x y limit -1",
        "zintercard 2 x y limit q",
        "zintercard 2 x y limit",
        "zintercard 2 x y withscores",
        "zintercard 2 x y weights 1 1",
        "zintercard 0 x",
        "zintercard 2 x none",
        "hello 3",
        "zunion 2 x y withscores",
        "zunion 2 x y",
        "zinter 2 x y withscores",
        "zdiff 2 x y withscores",
        "zdiff 2 none x withscores",
        "hello 2",
        "set s x",
        "zunion 2 s x foo",
        "zinter 2 none s",
        "zdiff 2 none s",
        "zintercard 2 none s",
        "zunionstore d 0 x",
        "zinterstore d 0 x",
        "zdiffstore d 0 x",
        "zunionstore d 2 x y withscores",
        "zunionstore d 2 s y",
        "zinterstore d 2 x none",
        "zdiffstore s 2 x x",
        "get s",
        "zrangestore d none 0 -1",
        "zrangestore d x 0 -1 withscores",
        "zrangestore d x q -1",
        "zrangestore d x 0 -1 limit 1 1",
        "set s x",
        "zrangestore d s 0 -1",
    ]);
}

#[test]
fn stores() {
    check(&[
        "zadd x 1 a 2 b 3 c",
        "zadd y 10 b 20 c 30 d",
        "zunionstore d 2 x y",
        "zrange d 0 -1 withscores",
        "zinterstore d 2 x y weights 1 0.5",
        "zrange d 0 -1 withscores",
        "zdiffstore d 2 x y",
        "zrange d 0 -1 withscores",
        "zunionstore x 2 x y aggregate max",
        "zrange x 0 -1 withscores",
        "set s x",
        "zrangestore s x 1 2",
        "zrange s 0 -1 withscores",
        "zrangestore s x 20 2 byscore rev limit 1 1",
        "zrange s 0 -1 withscores",
        "zrangestore s x 9 9",
        "get s",
    ]);
}

/// Random commands over few keys, below and above the limit of the compact form.
#[test]
fn random_commands() {
    for seed in 1..=6u64 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        if seed % 2 == 0 {
            pair.keyspace.limits.zset_entries = 5;
            pair.theirs(&[b"config", b"set", b"zset-max-listpack-entries", b"5"]);
        }
        for step in 0..3000 {
            let line = random_line(&mut rng, seed % 3 == 0);
            if std::env::var_os("TRACE").is_some() {
                println!("seed {seed} step {step}: {line}");
            }
            pair.check(&line);
        }
    }
}

fn random_line(rng: &mut Rng, one_score: bool) -> String {
    let mut draw = |n: u64| rng.below(n);
    let key = ["a", "b", "c"][draw(3) as usize];
    let score = |draw: &mut dyn FnMut(u64) -> u64| match draw(12) {
        _ if one_score => "0".to_owned(),
        0 => "inf".to_owned(),
        1 => "-inf".to_owned(),
        n => format!("{}", (draw(40) as f64 - n as f64) / 4.0),
    };
    let member = |draw: &mut dyn FnMut(u64) -> u64| match draw(3) {
        0 => draw(9).to_string(),
        1 => format!("m{}", draw(9)),
        _ => format!("{}", char::from(b'a' + draw(20) as u8)),
    };
    let lex = |draw: &mut dyn FnMut(u64) -> u64| match draw(8) {
        0 => "-".to_owned(),
        1 => "+".to_owned(),
        n => format!("{}{}", if n < 5 { '[' } else { '(' }, member(draw)),
    };
    let bound =
        |draw: &mut dyn FnMut(u64) -> u64| format!("{}{}", if draw(3) == 0 { "(" } else { "" }, score(draw));
    let place = |draw: &mut dyn FnMut(u64) -> u64| (draw(24) as i64 - 12).to_string();
    let limit = |draw: &mut dyn FnMut(u64) -> u64| match draw(3) {
        0 => format!(" limit {} {}", draw(5) as i64 - 1, draw(6) as i64 - 1),
        _ => String::new(),
    };
    // Texts are in order only where all scores are equal, and only then does the large form say what it gives.
    let lexical = one_score;
    match draw(22) {
        0..5 => {
            let options = ["", "", "nx ", "xx ", "gt ", "lt ch ", "ch "][draw(7) as usize];
            let mut line = format!("zadd {key} {options}");
            for _ in 0..=draw(6) {
                write!(line, " {} {}", score(&mut draw), member(&mut draw)).expect("a string takes all");
            }
            line
        }
        5 if !one_score => format!("zincrby {key} {} {}", score(&mut draw), member(&mut draw)),
        5 | 6 => format!("zrem {key} {} {}", member(&mut draw), member(&mut draw)),
        7 => format!("zrank {key} {}", member(&mut draw)),
        8 => format!("zrange {key} {} {} withscores", place(&mut draw), place(&mut draw)),
        9 => format!("zrange {key} {} {} rev", place(&mut draw), place(&mut draw)),
        10 | 11 => {
            let name = ["zrangebyscore", "zrevrangebyscore"][draw(2) as usize];
            let ends = (bound(&mut draw), bound(&mut draw));
            format!("{name} {key} {} {}{}", ends.0, ends.1, limit(&mut draw))
        }
        12 => format!("zcount {key} {} {}", bound(&mut draw), bound(&mut draw)),
        13 if lexical => {
            let name = ["zrangebylex", "zrevrangebylex"][draw(2) as usize];
            format!("{name} {key} {} {}{}", lex(&mut draw), lex(&mut draw), limit(&mut draw))
        }
        14 if lexical => format!("zlexcount {key} {} {}", lex(&mut draw), lex(&mut draw)),
        15 if draw(4) == 0 => format!("zremrangebyrank {key} {} {}", place(&mut draw), place(&mut draw)),
        15 => format!("zremrangebyscore {key} {} {}", bound(&mut draw), bound(&mut draw)),
        16 if lexical => format!("zremrangebylex {key} {} {}", lex(&mut draw), lex(&mut draw)),
        17 => format!("{} {key} {}", ["zpopmin", "zpopmax"][draw(2) as usize], draw(4)),
        18 => format!("zmpop 2 {key} a {} count {}", ["min", "max"][draw(2) as usize], draw(3) + 1),
        19 => {
            let aggregate = ["sum", "min", "max"][draw(3) as usize];
            let name = ["zunion", "zinter"][draw(2) as usize];
            let weight = draw(7) as f64 / 2.0 - 1.0;
            format!("{name} 3 a b {key} weights 1 {weight} 2 aggregate {aggregate} withscores")
        }
        20 => format!("zdiff 2 {key} {} withscores", ["a", "b", "none"][draw(3) as usize]),
        _ => format!("zintercard 2 {key} b limit {}", draw(4)),
    }
}

/// What Redis leaves open for texts under several scores, its compact form answers in one way only.
#[test]
fn texts_under_several_scores() {
    for seed in 1..=3u64 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        for _ in 0..600 {
            let mut member = || char::from(b'a' + rng.below(9) as u8);
            let (low, high, added) = (member(), member(), member());
            let score = rng.below(4);
            pair.check(&format!("zadd z {score} {added}"));
            pair.check(&format!("zrangebylex z [{low} ({high}"));
            pair.check(&format!("zrevrangebylex z ({high} [{low}"));
            pair.check(&format!("zlexcount z ({low} [{high}"));
            if rng.below(5) == 0 {
                pair.check(&format!("zremrangebylex z [{low} [{high}"));
            }
        }
    }
}
