//! `CONFIG SET` against a real server: the same values are taken, with the same errors.

use crate::oracle::{Oracle, fresh_dir};
use sessile_config::{Asker, Config, Flags, Persona, Standing, directives};

/// Values that are tried on every parameter.
const VALUES: &[&str] = &[
    "",
    "yes",
    "NO",
    "0",
    "1",
    "-1",
    "5",
    "07",
    "+7",
    "-0",
    " 1",
    "64",
    "65535",
    "65536",
    "100",
    "101",
    "1000",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775808",
    "1k",
    "1kb",
    "2MB",
    "3g",
    "1gb",
    "1b",
    "kb",
    "1 kb",
    "1.5gb",
    "10%",
    "100%",
    "101%",
    "%",
    "-5%",
    "777",
    "888",
    "abc",
    "/a/b",
    "a b",
    "a_b",
    "{port} {title}",
    "{",
    "{{x",
    "allkeys-lru",
    "everysec",
    "Always",
    "save",
    "save now",
    "save nosave",
    "now force save",
    "default",
    "default save",
    "900 1",
    "900 1 60 5",
    "900",
    "0 1",
    "1 -1",
    "900  1",
    "normal 1k 2k 3",
    "replica 1 2 3",
    "slave 0 0 0 pubsub 1mb 1mb 1",
    "master 1 2 3",
    "normal 1 2",
    "normal x 2 3",
    "KEA",
    "AKE",
    "Elgm",
    "Kxe",
    "KEn",
    "g$lshzxetd",
    "g$lshzxetdnKEm",
    "Q",
    "1 2 3",
    "1 2 3000",
    "-2000 0 2000",
    "50 99.9 100",
    "0.1234567",
    "100.1",
    "nan",
    "1e1",
    "debug",
    "warning",
    "notice",
    "ip",
    "hostname",
    "relative",
    "local",
    "clients",
    "disabled",
    "swapdb",
    "panic",
    "allchannels",
    "resetchannels",
    "dump.rdb",
    "notty\x01\"\\",
];

/// Parameters that are not compared: setting them would take the server away from the test, or
/// its answer depends on the machine.
const LEFT_OUT: &[(&str, &str)] = &[
    ("port", "the server would listen elsewhere"),
    ("bind", "the server would listen elsewhere"),
    ("requirepass", "the test would be locked out"),
    ("maxclients", "the answer depends on the limits of the machine"),
    ("maxmemory-clients", "the test would be evicted"),
    ("client-query-buffer-limit", "the test would be cut off"),
    ("client-output-buffer-limit", "the test would be cut off"),
    ("oom-score-adj", "the answer depends on the rights of the process"),
    ("oom-score-adj-values", "the answer depends on the rights of the process"),
    ("timeout", "the test would be cut off"),
    ("activedefrag", "the oracle was built without it"),
    ("watchdog-period", "it makes the oracle print stacks"),
    ("repl-backlog-size", "it makes the oracle allocate that much"),
    ("proto-max-bulk-len", "small values cut the test off"),
    ("maxmemory-samples", "bounded by 64 since 7.2"),
    ("appendonly", "it writes files"),
];

#[test]
fn config_set_takes_and_refuses_what_redis_does() {
    let mut oracle = Oracle::start(&["--save", ""], fresh_dir()).expect("starts");
    let mut config = Config::new(Persona::RedisServer);
    let (mut compared, mut differing) = (0, Vec::new());
    for (id, directive) in directives() {
        let Some(before) = oracle.get(directive.name) else { continue };
        let left_out = LEFT_OUT.iter().any(|(name, _)| *name == directive.name);
        let stops = matches!(directive.standing, Standing::StopsStart { .. });
        if left_out || stops || directive.name.starts_with("tls-") {
            continue;
        }
        if !directive.flags.has(Flags::IMMUTABLE) && !directive.flags.has(Flags::PROTECTED) {
            config.set(directive.name.as_bytes(), &before, Asker::default()).expect("the oracle's own value");
        }
        for value in VALUES {
            let name = directive.aliases.first().copied().unwrap_or(directive.name);
            let theirs = oracle.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]).remove(0);
            let ours =
                match config.set(name.as_bytes(), value.as_bytes(), Asker { local: true, loading: false }) {
                    Ok(_) => b"OK".to_vec(),
                    Err(error) => format!("-ERR {error}").into_bytes(),
                };
            let (now, shown) = (oracle.get(directive.name).unwrap(), config.show(id));
            compared += 1;
            let shows_alike = directive.flags.has(Flags::IMMUTABLE)
                || directive.flags.has(Flags::PROTECTED)
                || now == shown;
            if theirs != ours || !shows_alike {
                let texts =
                    [&theirs, &ours, &now, &shown].map(|text| String::from_utf8_lossy(text).into_owned());
                differing.push(format!("{name} {value:?}: {texts:?}"));
                // The next value starts from the same state again.
                oracle.call(&[b"CONFIG", b"SET", directive.name.as_bytes(), &before]);
                drop(config.set(directive.name.as_bytes(), &before, Asker::default()));
            }
        }
        oracle.call(&[b"CONFIG", b"SET", directive.name.as_bytes(), &before]);
    }
    assert!(compared > 10_000, "only {compared} comparisons");
    assert!(differing.is_empty(), "{} of {compared}:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn several_pairs_are_set_together_or_not_at_all() {
    let check = |pairs: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>| {
        let mut config = Config::new(Persona::Sessile);
        let before = config.clone();
        let bytes: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let result = config.set_all(&bytes, Asker::default()).map_err(|error| error.to_string());
        match expected {
            Ok(values) => {
                assert!(result.is_ok(), "{pairs:?}: {result:?}");
                for (name, value) in values {
                    assert_eq!(config.get(name.as_bytes()).as_deref(), Some(value.as_bytes()));
                }
            }
            Err(text) => {
                assert_eq!(result, Err(text.to_owned()));
                assert_eq!(config, before);
            }
        }
    };
    check(&[("maxmemory", "1gb"), ("TIMEOUT", "5")], Ok(&[("maxmemory", "1073741824"), ("timeout", "5")]));
    check(
        &[("timeout", "5"), ("maxmemory", "much")],
        Err("CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"),
    );
    check(
        &[("timeout", "5"), ("Timeout", "6")],
        Err("CONFIG SET failed (possibly related to argument 'Timeout') - duplicate parameter"),
    );
    check(
        &[("slave-priority", "5"), ("replica-priority", "6")],
        Err("CONFIG SET failed (possibly related to argument 'replica-priority') - duplicate parameter"),
    );
    check(
        &[("timeout", "x"), ("nothing", "6")],
        Err("Unknown option or number of arguments for CONFIG SET - 'nothing'"),
    );
    check(
        &[("rename-command", "GET X")],
        Err("Unknown option or number of arguments for CONFIG SET - 'rename-command'"),
    );
    check(
        &[("dir", "/")],
        Err("CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"),
    );
    check(&[("tls-port", "0")], Ok(&[("tls-port", "0")]));
    check(
        &[("min-replicas-to-write", "1")],
        Err("CONFIG SET failed (possibly related to argument 'min-replicas-to-write') - it asks for \
             replicas before a write, and this node serves none; remove the line; a reply already waits \
             until its write is durable"),
    );
}
