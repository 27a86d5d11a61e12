//! The client's output, errors and exit codes beside those of the original, byte for byte.

use std::thread;

use crate::{
    oracle::Oracle,
    support::{Control, Pair, Run, original, ours},
};

const COMMANDS: &[&str] = &[
    "ping",
    "PING \"a b\"",
    "echo \"\\xff\\x01\\\\\\\"\\a\\b\\t\\r\\n end\"",
    "set k v",
    "get k",
    "get nothing",
    "set k",
    "nosuchcommand a b",
    "\"\"",
    "append k \" and more\"",
    "strlen k",
    "getrange k 0 2",
    "incr n",
    "incr k",
    "incrbyfloat f 1.25",
    "mset a 1 b 2 c 3",
    "mget a b nothing c",
    "exists a b nothing",
    "del a nothing",
    "type k",
    "expire k 100",
    "persist k",
    "ttl nothing",
    "lrange nothing 0 -1",
    "rpush l 1 2 3 4 5 6 7 8 9 10 11",
    "lrange l 0 -1",
    "lpop l 2",
    "lpop nothing",
    "lpos l 5",
    "hset h f1 v1 f2 \"v 2\"",
    "hgetall h",
    "hgetall nothing",
    "hget h f1",
    "hmget h f1 nothing",
    "hrandfield nothing 2",
    "sadd s one",
    "smembers s",
    "smembers nothing",
    "sismember s one",
    "smismember s one two",
    "zadd z 1 a 2.5 b inf c",
    "zrange z 0 -1 withscores",
    "zscore z b",
    "zscore z nothing",
    "zpopmin z",
    "zpopmin z 5",
    "xadd x 1-1 f v g w",
    "xadd x 1-2 f v",
    "xrange x - +",
    "xread streams x 0",
    "xinfo stream x full",
    "geoadd g 13.361389 38.115556 Palermo",
    "geopos g Palermo nothing",
    "eval \"return {1,{2,{3,'x',{}}},{},false,{ok='fine'}}\" 0",
    "eval \"return {err='MY error'}\" 0",
    "eval \"return redis.error_reply('two\\nlines')\" 0",
    "eval \"redis.setresp(3); return {map={a=1},double=1.5}\" 0",
    "eval \"redis.setresp(3); return redis.call('hgetall','h')\" 0",
    "eval \"return {1,2,{1,2,{1,2,3,4,5,6,7,8,9,10}},4,5,6,7,8,9,10}\" 0",
    "eval \"redis.setresp(3); return {map={a={map={b={set={c=true}}}}}}\" 0",
    "eval \"redis.setresp(3); return {map={a={}}}\" 0",
    "eval \"redis.setresp(3); return {1,{map={a={set={}}}},{map={a={5,{map={b={}}}}}},{map={[1]={double=2}}}}\" 0",
    "eval \"redis.setresp(3); return {map={a={{map={b={{{},2}}}}}}}\" 0",
    "eval \"redis.setresp(3); return {{{map={a={{{1,2}}}}}},3}\" 0",
    "config get maxmemory",
    "config get no-such",
    "config set maxmemory x",
    "command count",
    "command info get nosuch",
    "command getkeys mset a 1 b 2",
    "object encoding n",
    "object help",
    "memory doctor",
    "lolwut version 1",
    "client getname",
    "client no-evict maybe",
    "debug set-active-expire 1",
    "acl whoami",
    "acl list",
    "acl getuser default",
    "function list",
    "dbsize",
    "publish nobody hi",
    "pubsub channels",
    "cluster info",
    "latency doctor",
    "slowlog get",
    "select 3",
    "select 99",
    "info keyspace",
    "unsubscribe",
    "discard",
    "quit now",
];

/// What is slow depends on the machine.
const NO_SLOWLOG: &[&str] = &["--slowlog-log-slower-than", "-1"];

const FORMATS: &[&[&str]] = &[
    &[],
    &["--no-raw"],
    &["--no-raw", "-3"],
    &["-3"],
    &["--csv"],
    &["--csv", "-3"],
    &["--json"],
    &["--json", "-2"],
    &["-e"],
    &["-d", ", ", "-D", ";\n"],
];

#[test]
fn commands_as_arguments() {
    let pair = Pair::start(NO_SLOWLOG);
    for format in FORMATS {
        pair.check(&["flushall"], "");
        for command in COMMANDS {
            // The original's server dies of this one in RESP3 (7.0.15).
            if *command == "unsubscribe" && format.iter().any(|option| matches!(*option, "-3" | "--json")) {
                continue;
            }
            let args = sessile_resp::split_args(command.as_bytes()).unwrap();
            let args: Option<Vec<&str>> = args.iter().map(|arg| std::str::from_utf8(arg).ok()).collect();
            let Some(args) = args else { continue };
            pair.check(&[format, &args[..]].concat(), "");
        }
    }
}

#[test]
fn commands_on_standard_input() {
    let pair = Pair::start(NO_SLOWLOG);
    for format in FORMATS {
        pair.check(&["flushall"], "");
        for command in COMMANDS {
            if *command == "unsubscribe" && format.iter().any(|option| matches!(*option, "-3" | "--json")) {
                continue;
            }
            pair.check(format, &format!("{command}\n"));
        }
        let lines = "set t 1\n\n  \nget \"unbalanced\nmulti\nget t\nincr t\nexec\n2 incr t\n0 ping\n-1 ping\n\
                     select 2\nget t\nmulti\nselect 5\nexec\nget t\n:set hints\nrestart\nmulti\ndiscard\nquit\nping\n";
        pair.check(format, lines);
        pair.check(format, "ping\nping no-line-end");
    }
}

#[test]
fn options() {
    let pair = Pair::start(&[]);
    for args in [
        &["-x", "set", "k"][..],
        &["get", "k"],
        &["-X", "tag", "set", "tag2", "tag", "k"],
        &["-X", "tag", "set", "k2", "tag"],
        &["get", "k2"],
        &["-n", "2", "-r", "3", "incr", "n"],
        &["-r", "2", "-i", "0.001", "ping"],
        &["-r", "0", "ping"],
        &["-n", "99", "ping"],
        &["-a", "wrong", "ping"],
        &["-a", "wrong", "--no-auth-warning", "ping"],
        &["--user", "u", "--pass", "p", "-3", "ping"],
        &["-u", "http://a", "ping"],
        &["-u", "redis://%zz@a", "ping"],
        &["-s", "/nonexistent/socket", "ping"],
        &["-p", "1", "ping"],
        &["-p", "1"],
        &["-h", "name.invalid", "ping"],
        &["-2", "-3", "ping"],
        &["--no-such-option"],
        &["-n"],
        &["-c", "ping"],
        &["--quoted-input", "set", "\"a\\x00b\"", "'c d'"],
        &["--quoted-input", "get", "\"a\\x00b"],
        &["--no-raw", "--quoted-input", "echo", "\"a\\x00b\""],
        &["flushall"],
        &["--no-raw", "--scan"],
        &["set", "k", "v"],
        &["--scan"],
        &["--scan", "--pattern", "k*", "--no-raw"],
        &["-e", "set", "k"],
        &["-e", "get", "k"],
    ] {
        pair.check(args, "input\n");
    }
    pair.check(&["-e"], "set k\nget k\n");
    pair.check(&["connect-is-no-command"], "");
    pair.check(&[], "connect 127.0.0.1 1\nping\n");
    pair.check(&[], "shutdown nosave\n");
    pair.check(&["ping"], "");
}

#[test]
fn passwords() {
    let pair = Pair::start(&["--requirepass", "pass word"]);
    pair.check(&["ping"], "");
    pair.check(&["-a", "pass word", "ping"], "");
    pair.check(&["-a", "wrong", "ping"], "");
    pair.check(&["--user", "default", "--pass", "pass word", "-n", "3", "-3", "dbsize"], "");
    pair.check(&[], "ping\nauth wrong\nauth \"pass word\"\nselect 4\nset a b\ndbsize\n");
    pair.check_env(&["ping"], "", Some("pass word"));
    pair.check_env(&["ping"], "", Some("wrong"));
    pair.check_env(&["-a", "wrong", "ping"], "", Some("pass word"));
    for info in ["pass%20word", ":pass%20word", "default:pass%20word"] {
        let run = |oracle: &Oracle, client: fn(&str, &[&str], &str, Option<&str>) -> Run| {
            let uri = format!("redis://{info}@127.0.0.1:{}/2", oracle.port());
            client("1", &["-u", &uri, "ping"], "", None)
        };
        assert_eq!(run(&pair.ours, ours), run(&pair.original, original), "{info}");
    }
}

#[test]
fn streams() {
    for args in [
        &["subscribe", "a", "b"][..],
        &["--no-raw", "subscribe", "a"],
        &["--no-raw", "-3", "psubscribe", "a*"],
        &["--csv", "subscribe", "a"],
        &["monitor"],
        &["--no-raw", "monitor"],
    ] {
        let oracle = Oracle::start(&[]);
        let port = oracle.port();
        let (theirs, ours) = thread::scope(|scope| {
            let theirs = scope.spawn(|| original(&port, args, "", None));
            let ours = scope.spawn(|| ours(&port, args, "", None));
            let mut control = Control::new(&oracle);
            control.wait_for_streams(2);
            control.ask(&["publish", "a", "a message"]);
            // It ends both streams, and comes behind what is to be seen.
            control.ask(&["client", "kill", "type", "pubsub"]);
            control.ask(&["client", "kill", "type", "normal"]);
            (theirs.join().unwrap(), ours.join().unwrap())
        });
        // The server may name different moments as the first it shows to each monitor.
        let shared = |run: &Run| run.1.split_once("publish").map(|(_, shared)| shared.to_owned());
        if args.contains(&"monitor") {
            assert_eq!(shared(&ours), shared(&theirs), "{args:?}");
            assert!(ours.1.starts_with("OK\\n"));
        } else {
            assert_eq!(ours.1, theirs.1, "{args:?}");
        }
        assert_eq!(ours.0, theirs.0, "{args:?}");
    }
}
