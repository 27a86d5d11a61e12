//! Lists against a real redis-server: lines that meet every branch, then random ones.

mod support;

use sessile_command::{Attempt, Flow, Frame, OwnedArgs, Proto, Reply, Rng, Run, Txn, WaitFor, WriteCx};
use sessile_keyspace::{Durability, Keyspace};
use sessile_values::HashKey;
use support::{Pair, check};

#[test]
fn pushing_and_popping() {
    check(&[
        "rpushx l a",
        "lpushx l a",
        "rpush l a b c",
        "lpush l x y",
        "lrange l 0 -1",
        "rpushx l d e",
        "lpushx l z",
        "llen l",
        "llen none",
        "lpop l",
        "rpop l",
        "lpop l 2",
        "rpop l 0",
        "rpop l -1",
        "rpop l x",
        "rpop l 1 2",
        "lpop none",
        "lpop none 2",
        "lpop none 0",
        "lpop none x",
        "hello 3",
        "lpop none",
        "lpop none 2",
        "hello 2",
        "rpop l 100",
        "get l",
        "rpush l \"\" 12 -7 9223372036854775807",
        "lrange l 0 -1",
        "lrange l 1 2",
        "lrange l 5 9",
        "lrange l -2 100",
        "lrange l 2 1",
        "lrange l x 1",
        "lrange none x 1",
        "lrange none 0 1",
        "lindex l 0",
        "lindex l -1",
        "lindex l 4",
        "lindex l -5",
        "lindex l -9223372036854775808",
        "lindex l x",
        "lindex none x",
        "set s x",
        "lpush s a",
        "lpushx s a",
        "lpop s",
        "lpop s x",
        "llen s",
        "lindex s x",
        "lrange s 0 1",
        "lset s x a",
        "linsert s before a b",
        "linsert s foo a b",
        "ltrim s 0 1",
        "lrem s 0 a",
        "lrem s x a",
        "lpos s a",
        "lpos s a foo 1",
    ]);
}

#[test]
fn editing_and_finding() {
    check(&[
        "rpush l a b c a b c a",
        "lset l 0 A",
        "lset l -1 Z",
        "lset l 7 x",
        "lset l -8 x",
        "lset l x x",
        "lset none x x",
        "lrange l 0 -1",
        "linsert l before b new",
        "linsert l AFTER b new2",
        "linsert l after none new",
        "linsert l foo b new",
        "linsert none before b new",
        "linsert l after Z end",
        "linsert l before A start",
        "lrange l 0 -1",
        "lrem l 1 b",
        "lrem l -1 c",
        "lrem l 0 new",
        "lrem l 5 none",
        "lrem l x none",
        "lrem none 1 a",
        "lrange l 0 -1",
        "lrem l -9223372036854775808 c",
        "ltrim l 1 -2",
        "lrange l 0 -1",
        "ltrim l 0 -1",
        "ltrim l x -1",
        "ltrim none 0 1",
        "ltrim l 5 1",
        "get l",
        "rpush l a b c a b c a",
        "lpos l a",
        "lpos l a rank 2",
        "lpos l a rank -1",
        "lpos l a rank 0",
        "lpos l a rank x",
        "~lpos l a rank -9223372036854775808",
        "lpos l a rank 9",
        "lpos l a count 0",
        "lpos l a count 2",
        "lpos l a count -1",
        "lpos l a count x",
        "lpos l a maxlen 2 count 0",
        "lpos l a maxlen 0 count 0",
        "lpos l a maxlen -1",
        "lpos l a rank -1 count 0",
        "lpos l a rank -2 count 0 maxlen 5",
        "lpos l a rank 2 count 1",
        "lpos l none",
        "lpos l none count 1",
        "lpos none a",
        "lpos none a count 0",
        "lpos l a foo 1",
        "lpos l a rank",
        "lrem l 0 a",
        "lrem l 0 b",
        "lrem l 0 c",
        "get l",
    ]);
}

#[test]
fn moving_and_popping_from_several() {
    check(&[
        "rpush a 1 2 3",
        "lmove a b left right",
        "lmove a b LEFT left",
        "lmove a b right foo",
        "lmove none b right left",
        "lmove a a right left",
        "rpush a 4 5 6",
        "lmove a a left right",
        "lrange a 0 -1",
        "lmove a a left left",
        "lmove a a right right",
        "rpoplpush a a",
        "lrange a 0 -1",
        "rpoplpush a b",
        "rpoplpush none b",
        "lrange b 0 -1",
        "brpoplpush a b 0.01",
        "brpoplpush none b 0.01",
        "brpoplpush a b x",
        "brpoplpush a b -1",
        "blmove a b left right 0.01",
        "blmove none b left right 0.01",
        "blmove a b left foo x",
        "blmove a b left right x",
        "lrange a 0 -1",
        "lrange b 0 -1",
        "set s x",
        "lmove a s left right",
        "lmove s a left right",
        "lmove none s left right",
        "rpoplpush a s",
        "blmove a s left right 0.01",
        "blmove s a left right 0.01",
        "blpop none b 0.01",
        "brpop none b 0.01",
        "blpop none 0.01",
        "blpop b x",
        "blpop b -1",
        "~blpop b 1e300",
        "blpop s 0.01",
        "blpop none s b 0.01",
        "lmpop 2 none b left",
        "lmpop 2 none b right count 2",
        "rpush b 1 2 3 4 5 6",
        "lmpop 2 none b right count 2",
        "lmpop 1 none left",
        "lmpop 0 none left",
        "lmpop x none left",
        "lmpop 1 b foo",
        "lmpop 1 b left count 0",
        "lmpop 1 b left count x",
        "lmpop 1 b left count 1 count 1",
        "lmpop 3 b left",
        "lmpop 1 s left",
        "blmpop 0.01 2 none b right count 2",
        "blmpop 0.01 1 none right",
        "blmpop x 1 none right",
        "blmpop x 0 none right",
        "blmpop 0.01 1 s right",
        "hello 3",
        "blmpop 0.01 1 none right",
        "blpop none 0.01",
        "lmove none b right left",
    ]);
}

/// A command that may wait says what for, for how long and at how many of its keys, and replies nothing yet.
#[test]
fn waiting() {
    let check = |line: &str, until: WaitFor, timeout_ms: u64, keys_max: usize| {
        let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let command =
            sessile_commands::all().find(|it| it.name.as_bytes() == &args.as_args()[0]).expect("known");
        let Run::BlockingWrite(run) = command.run else { panic!("{line} cannot wait") };
        let mut keyspace = Keyspace::new(1, HashKey(1, 2));
        let (mut txn, mut rng, mut out) = (Txn::new(true, Durability::Durable), Rng::new(1), Vec::new());
        let frame = Frame::new(0, 1_000, Attempt::MayWait);
        let mut cx = WriteCx::new(&mut keyspace, &frame, &mut txn, &mut rng);
        match run(&mut cx, args.as_args(), &mut Reply::new(&mut out, Proto::Resp2)) {
            Ok(Flow::Wait(wait)) => {
                assert_eq!(
                    (wait.until, wait.timeout_ms, wait.keys_max),
                    (until, timeout_ms, keys_max),
                    "{line}"
                );
            }
            _ => panic!("{line} does not wait"),
        }
        assert!(out.is_empty() && txn.bytes.is_empty(), "{line}");
    };
    check("blpop a b 0", WaitFor::List, 0, usize::MAX);
    check("brpop a b 1.5", WaitFor::List, 1_500, usize::MAX);
    check("blmpop 0.001 2 a b left", WaitFor::List, 1, usize::MAX);
    check("blmove a b left right 2", WaitFor::List, 2_000, 1);
    check("brpoplpush a b 2", WaitFor::List, 2_000, 1);
    check("bzpopmin a b 1", WaitFor::Zset, 1_000, usize::MAX);
    check("bzpopmax a b 1", WaitFor::Zset, 1_000, usize::MAX);
    check("bzmpop 1 2 a b min", WaitFor::Zset, 1_000, usize::MAX);
}

/// Random commands over few keys; a long element now and then makes several nodes.
#[test]
fn random_commands() {
    for seed in 1..=4u64 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        if seed % 2 == 0 {
            pair.keyspace.limits.list_size = 3;
        }
        for step in 0..3000 {
            let line = random_line(&mut rng);
            if std::env::var_os("TRACE").is_some() {
                println!("seed {seed} step {step}: {line}");
            }
            pair.check(&line);
        }
    }
}

fn random_line(rng: &mut Rng) -> String {
    let mut draw = |n: u64| rng.below(n);
    let key = ["a", "b"][draw(2) as usize];
    let end = ["left", "right"][draw(2) as usize];
    let element = |draw: &mut dyn FnMut(u64) -> u64| match draw(40) {
        0 => "long".repeat(draw(1500) as usize + 1),
        n => format!("e{}", n % 7),
    };
    let place = |draw: &mut dyn FnMut(u64) -> u64| draw(40) as i64 - 20;
    match draw(20) {
        0..4 => format!("rpush {key} {} {}", element(&mut draw), element(&mut draw)),
        4..6 => format!("lpush {key} {} {}", element(&mut draw), element(&mut draw)),
        6 => format!("lpop {key} {}", draw(3)),
        7 => format!("rpop {key}"),
        8 => format!("lset {key} {} {}", place(&mut draw), element(&mut draw)),
        9 => format!("linsert {key} before {} {}", element(&mut draw), element(&mut draw)),
        10 => format!("linsert {key} after {} {}", element(&mut draw), element(&mut draw)),
        11 => format!("lrange {key} {} {}", place(&mut draw), place(&mut draw)),
        12 => format!("lrange {key} 0 -1"),
        13 => format!("lrem {key} {} {}", draw(5) as i64 - 2, element(&mut draw)),
        14 if draw(4) == 0 => format!("ltrim {key} {} {}", draw(5), 20 + draw(20)),
        14 => format!("llen {key}"),
        15 => format!("lpos {key} {} rank {} count {}", element(&mut draw), draw(3) + 1, draw(3)),
        16 => format!("lpos {key} {} rank -{} maxlen {}", element(&mut draw), draw(3) + 1, draw(9)),
        17 => format!("lmove {key} b {end} left"),
        18 => format!("lmpop 2 {key} a {end} count {}", draw(3) + 1),
        _ => format!("lindex {key} {}", place(&mut draw)),
    }
}
