//! `--scan`, `--bigkeys`, `--memkeys`, `--hotkeys`, `--pipe`, `--latency`, `--stat` and their relatives.

use crate::support::{Pair, Run};

/// Commands that leave values of every type.
const DATA: &str = "mset s1 a s2 abc \"odd key\\t\" v\nrpush l1 a b c dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\nrpush l2 a\nhset h1 f 1 g 2\nsadd set1 a b\n\
                    zadd z1 1 a 2 b 3 c\nxadd x1 1-1 f v\nselect 3\nset elsewhere x\n";

fn sorted(run: &Run) -> (i32, Vec<&str>, &str) {
    let mut lines: Vec<&str> = run.1.split("\\n").collect();
    lines.sort_unstable();
    (run.0, lines, &run.2)
}

/// The two servers scan in different orders, and so find different keys first.
fn without_order(run: &Run) -> (i32, Vec<&str>, &str) {
    let (code, mut lines, errors) = sorted(run);
    lines.retain(|line| !line.contains("so far"));
    (code, lines, errors)
}

#[test]
fn keys() {
    let pair = Pair::start(&[]);
    pair.check(&[], DATA);
    for args in [
        &["--scan"][..],
        &["--scan", "--no-raw"],
        &["--scan", "--csv"],
        &["--scan", "--json"],
        &["--scan", "--pattern", "s*"],
        &["--scan", "--quoted-pattern", "\"\\x73*\""],
        &["--scan", "--quoted-pattern", "\"s"],
        &["--scan", "-n", "3"],
        &["--scan", "-n", "99"],
        &["--scan", "-a", "wrong"],
    ] {
        let [theirs, ours] = pair.run(args, "", None);
        assert_eq!(sorted(&ours), sorted(&theirs), "{args:?}");
    }
    let [_, ours] = pair.run(&["--scan", "--count", "1", "--pattern", "l?"], "", None);
    assert_eq!(sorted(&ours), (0, vec!["", "l1", "l2"], ""));
    assert_eq!(pair.run(&["--scan", "--count", "0"], "", None)[1].0, 1);
}

#[test]
fn big_keys() {
    let pair = Pair::start(&[]);
    pair.check(&[], DATA);
    for args in [
        &["--bigkeys"][..],
        &["--bigkeys", "-n", "7"],
        &["--bigkeys", "--pattern", "l*"],
        &["--bigkeys", "-i", "0.01"],
        &["--memkeys"],
        &["--memkeys-samples", "1"],
        &["--memkeys", "--memkeys-samples", "0", "-n", "3"],
        &["--bigkeys", "-a", "wrong"],
    ] {
        let [theirs, ours] = pair.run(args, "", None);
        assert_eq!(without_order(&ours), without_order(&theirs), "{args:?}");
    }
    // What is said on the way has one order if there is one key.
    for args in [&["--bigkeys", "-n", "3"][..], &["--memkeys", "-n", "3"]] {
        let [theirs, ours] = pair.run(args, "", None);
        assert_eq!(sorted(&ours), sorted(&theirs), "{args:?}");
        assert!(ours.1.contains("elsewhere") && ours.1.contains("found so far"), "{}", ours.1);
    }
}

#[test]
fn reports_without_permission() {
    let pair = Pair::start(&[]);
    pair.check(&[], DATA);
    pair.check(&["acl", "setuser", "sizeless", "on", "nopass", "~*", "+@all", "-strlen", "-memory"], "");
    pair.check(&["acl", "setuser", "typeless", "on", "nopass", "~*", "+@all", "-type"], "");
    pair.check(&["acl", "setuser", "blind", "on", "nopass", "~*", "+@all", "-scan", "-dbsize", "-info"], "");
    for user in ["sizeless", "typeless", "blind"] {
        for mode in ["--scan", "--bigkeys", "--memkeys"] {
            let args = ["--user", user, "--pass", "x", "--no-auth-warning", "-n", "3", mode];
            let [theirs, ours] = pair.run(&args, "", None);
            assert_eq!(sorted(&ours), sorted(&theirs), "{args:?}");
        }
    }
    pair.check(&["--user", "blind", "--pass", "x", "--no-auth-warning", "--stat"], "");
}

#[test]
fn hot_keys() {
    let pair = Pair::start(&["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0"]);
    // 20 keys, each hotter than the one before; a write counts as a use.
    let lines: String = (1..=20).map(|n| format!("set k{n:02} v\n{n} get k{n:02}\n")).collect();
    pair.check(&[], &lines);
    let [theirs, ours] = pair.run(&["--hotkeys"], "", None);
    assert_eq!(without_order(&ours), without_order(&theirs));
    assert_eq!(ours.1.matches("keyname:").count(), 16);
    let other_policy = Pair::start(&[]);
    other_policy.check(&["set", "k", "v"], "");
    let [theirs, ours] = other_policy.run(&["--hotkeys"], "", None);
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn pipe() {
    let pair = Pair::start(&[]);
    let many: String =
        (0..20_000).map(|n| format!("*3\r\n$3\r\nSET\r\n$6\r\nk{n:05}\r\n$1\r\nv\r\n")).collect();
    for input in [
        "",
        "PING\r\n",
        "set a 1\nset b 2",
        "SET a 1\r\nNOSUCH\r\nINCR a\r\nLPUSH a x\r\n",
        "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        "HELLO 3\r\nHGETALL nothing\r\n",
        &many,
    ] {
        pair.check(&["--pipe"], input);
        pair.check(&["--pipe", "--pipe-timeout", "0"], input);
    }
    pair.check(&["dbsize"], "");
    // A request that is never whole has no reply.
    pair.check(&["--pipe", "--pipe-timeout", "1"], "*1\r\n$400\r\nPING\r\n");
    pair.check(&["--pipe", "-p", "1"], "PING\r\n");
    pair.check(&["--pipe", "-a", "wrong"], "PING\r\n");
}

/// Digits become `N`: what is measured differs.
fn shape(run: &Run) -> (i32, String, &str) {
    let mut shape = String::new();
    for c in run.1.chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }) {
        if !(c == 'N' && shape.ends_with('N')) {
            shape.push(c);
        }
    }
    (run.0, shape, &run.2)
}

#[test]
fn latency() {
    let pair = Pair::start(&[]);
    for format in ["--raw", "--csv", "--json"] {
        let args = ["--latency", "-i", "0.05", format];
        let [theirs, ours] = pair.run(&args, "", None);
        assert_eq!(shape(&ours), shape(&theirs), "{args:?}");
    }
    pair.check(&["--latency", "-p", "1"], "");
    pair.check(&["--latency-history", "-p", "1"], "");
    pair.check(&["--latency-dist", "-p", "1"], "");
    pair.check(&["--stat", "-p", "1"], "");
    let [theirs, ours] = pair.run(&["--intrinsic-latency", "1"], "", None);
    // How often a new maximum is met is chance.
    let end = |run: &Run| shape(run).1.split("\\n\\n").nth(1).map(str::to_owned);
    assert_eq!(end(&ours), end(&theirs));
    assert!(ours.1.starts_with("Max latency so far: "), "{}", ours.1);
}

#[test]
fn options_that_exclude_each_other() {
    let pair = Pair::start(&[]);
    for args in [
        &["-x", "-X", "tag", "set", "k", "tag"][..],
        &["--pipe-timeout"],
        &["--intrinsic-latency"],
        &["--quoted-pattern"],
    ] {
        pair.check(args, "");
    }
    pair.check(&["--askpass", "ping"], "secret\n");
    let locked = Pair::start(&["--requirepass", "pass word"]);
    locked.check(&["--askpass", "ping"], "pass word\n");
    locked.check(&["--askpass", "ping"], "wrong\n");
    locked.check_env(&["--askpass", "ping"], "wrong\n", Some("pass word"));
}

#[test]
fn eval() {
    let pair = Pair::start(&[]);
    let path = std::env::temp_dir().join(format!("sessile-cli-eval-{}.lua", std::process::id()));
    std::fs::write(&path, "return {KEYS, ARGV, #KEYS, redis.call('incr', 'n')}").unwrap();
    let file = path.to_str().unwrap();
    for args in [
        &["--eval", file][..],
        &["--eval", file, "k1", "k2", ",", "a1", "a2"],
        &["--eval", file, ",", "a1"],
        &["--no-raw", "-r", "2", "--eval", file, "k1"],
        &["--eval", "/nonexistent/file.lua", "k"],
        &["--eval"],
    ] {
        pair.check(args, "");
    }
    std::fs::remove_file(path).unwrap();
}
