//! Configuration files: what people write, what is wrong with it, and a real server's opinion.

use std::fs;

use crate::oracle::{Oracle, fresh_dir, has_own_default};
use sessile_config::{
    AppendFsync, AppendOnly, Config, MaxmemoryPolicy, Persona, Sources, StartError, args, file::Document,
    load, rewrite, table,
};

/// Loads a file, the words of a command line and variables, and gives values and log lines.
fn load_all(
    text: &str,
    flags: &[&str],
    environment: &[(&str, &str)],
) -> Result<(Config, Vec<String>), String> {
    let words: Vec<_> = flags.iter().map(|word| word.as_bytes().to_vec()).collect();
    let args::Action::Run(run) = args::parse(&words).map_err(|error| error.to_string())? else {
        panic!("{flags:?} starts a server")
    };
    let documents = [Document::parse("redis.conf", text.as_bytes()).map_err(|error| error.to_string())?];
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let sources = Sources {
        persona: Persona::RedisServer,
        environment: &environment,
        documents: &documents,
        flags: &run.flags,
    };
    let (config, notices) = load(sources).map_err(|error: StartError| error.to_string())?;
    Ok((config, notices.iter().map(ToString::to_string).collect()))
}

/// One file: the values that it must give, or the sentence that it must be refused with.
fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
    match (load_all(text, &[], &[]), expected) {
        (Ok((config, _)), Ok(values)) => {
            for (name, value) in values {
                let shown = config.get(name.as_bytes()).unwrap_or_else(|| panic!("{name} is known"));
                assert_eq!(String::from_utf8_lossy(&shown), *value, "{name} of {text:?}");
            }
        }
        (Err(error), Err(sentence)) => assert_eq!(error, sentence, "{text:?}"),
        (got, _) => panic!("{text:?} gave {:?}", got.map(|(_, notices)| notices)),
    }
}

#[test]
fn files_of_the_platforms_load() {
    check(
        "maxmemory 256mb\nmaxmemory-policy allkeys-lru  # Evict least recently used keys\n",
        Ok(&[("maxmemory", "268435456"), ("maxmemory-policy", "allkeys-lru")]),
    );
    check(
        "# Append-only file (recommended)\nappendonly yes\nappendfsync everysec\n\n# RDB snapshots\n\
         save 900 1\nsave 300 10\nsave 60 10000\nbind 127.0.0.1 10.0.0.5\nprotected-mode yes\nport 6379\n",
        Ok(&[
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            ("save", "900 1 300 10 60 10000"),
            ("bind", "127.0.0.1 10.0.0.5"),
        ]),
    );
    let flags = ["--requirepass", "--secret", "--appendonly", "yes", "--maxmemory", "1gb"];
    let (config, notices) = load_all("", &flags, &[]).expect("loads");
    assert_eq!(config.bytes(table::REQUIREPASS), b"--secret");
    assert_eq!(config.append_only(), AppendOnly::Yes);
    assert_eq!(config.memory_bytes(table::MAXMEMORY), 1 << 30);
    assert!(notices.is_empty(), "{notices:?}");
}

#[test]
fn what_protects_stops_the_start() {
    check(
        "requirepass p\nuser elastauth on >your-password ~elastauth-* +@read\n",
        Err(
            "redis.conf, line 2: `user …`: `user`: users in the configuration file are not enforced by this \
             version; protect the store with `requirepass`, or remove the line",
        ),
    );
    check(
        "tls-port 6380\ntls-cert-file /path/to/redis.crt\n",
        Err(
            "redis.conf, line 1: `tls-port 6380`: `tls-port`: this version does not speak TLS, and would leave \
             that port closed or in the clear; set it to 0 and put a TLS proxy in front",
        ),
    );
    for line in [
        "aclfile /etc/users.acl",
        "tls-cluster yes",
        "tls-replication yes",
        "loadmodule /m.so x",
        "replicaof 10.0.0.1 6379",
        "slaveof 10.0.0.1 6379",
        "cluster-enabled yes",
        "sentinel monitor m 1 2 3",
        "min-replicas-to-write 1",
        "min-slaves-to-write 1",
    ] {
        let error = load_all(line, &[], &[]).expect_err(line);
        assert!(error.contains(';') && error.contains("line 1"), "{error}");
    }
    for line in ["aclfile \"\"", "tls-port 0", "replicaof no one", "cluster-enabled no", "tls-cluster no"] {
        check(line, Ok(&[]));
    }
    assert!(load_all("", &["--sentinel"], &[]).is_err());
    assert!(load_all("cluster-enabled yes\ncluster-enabled no", &[], &[]).is_ok(), "the last line counts");
    check(
        "requirepass a\nrequirepass-file /run/secrets/redis\n",
        Err("configuration: `requirepass` and `requirepass-file` are both set; keep one of them"),
    );
}

#[test]
fn wrong_lines_are_named_with_the_reason_and_the_nearest_name() {
    check(
        "port 1\n\nmaxmemroy 1gb\n",
        Err("redis.conf, line 3: `maxmemroy 1gb`: there is no directive `maxmemroy`; did you mean \
             `maxmemory`?"),
    );
    check("zzz 1", Err("redis.conf, line 1: `zzz 1`: there is no directive `zzz`; remove it"));
    check(
        "requirepas secret",
        Err("redis.conf, line 1: `requirepas …`: there is no directive `requirepas`; did you mean \
             `requirepass`?"),
    );
    check("port 1 2", Err("redis.conf, line 1: `port 1 2`: `port`: wrong number of arguments"));
    check(
        "appendonly maybe",
        Err("redis.conf, line 1: `appendonly maybe`: `appendonly`: argument must be 'yes' or 'no'"),
    );
    check(
        "logfile \"x",
        Err("redis.conf, line 1: `logfile \"x`: unbalanced quotes; close the quote or escape it"),
    );
    check(
        "include other.conf",
        Err(
            "redis.conf, line 1: `include other.conf`: `include` works in a configuration file only; name the \
             file there",
        ),
    );
}

#[test]
fn long_lines_are_cut_where_they_are_quoted() {
    let long = "é".repeat(50_000);
    for text in [
        format!("maxmemory {long}"),
        format!("{long} yes"),
        format!("port {long} # comment"),
        format!("dir '{long}"),
    ] {
        let error = load_all(&text, &[], &[]).map(drop).expect_err("it is wrong");
        assert!(error.len() < 1200 && error.contains("é…`"), "{}: {}", error.len(), error.escape_default());
    }
}

#[test]
fn a_hash_begins_a_comment_only_after_the_value() {
    check("requirepass #abc", Ok(&[("requirepass", "#abc")]));
    check("requirepass #abc # word", Ok(&[("requirepass", "#abc")]));
    check("maxmemory 1gb # don't ask", Ok(&[("maxmemory", "1073741824")]));
    check("maxmemory 1gb #now", Ok(&[("maxmemory", "1073741824")]));
    check("save 900 1 # often enough", Ok(&[("save", "900 1")]));
    check("rename-command CONFIG \"\" # off", Ok(&[]));
    check("logfile \"a # b\"", Ok(&[("logfile", "a # b")]));
    assert!(load_all("maxmemory 1gb \"# quoted\"", &[], &[]).is_err());
    assert!(load_all("maxmemory # nothing", &[], &[]).is_err());
    let (_, notices) = load_all("\nport 1 # one", &[], &[]).expect("loads");
    assert_eq!(
        notices,
        [
            "redis.conf, line 2: `port 1 # one`: what follows `#` was taken as a comment; Redis would refuse the line"
        ]
    );
}

#[test]
fn lines_accumulate_where_redis_accumulates() {
    let (config, _) = load_all(
        "rename-command CONFIG \"\"\nrename-command FLUSHALL gone\nclient-output-buffer-limit normal 1kb 0 0\n\
         client-output-buffer-limit replica 1 2 3 pubsub 4 5 6\n",
        &[],
        &[],
    )
    .expect("loads");
    let rows: Vec<Vec<&[u8]>> = config
        .rows(table::RENAME_COMMAND)
        .iter()
        .map(|row| row.iter().map(Vec::as_slice).collect())
        .collect();
    assert_eq!(rows, [[&b"CONFIG"[..], b""], [b"FLUSHALL", b"gone"]]);
    assert_eq!(
        config.get(b"client-output-buffer-limit").as_deref(),
        Some(&b"normal 1024 0 0 slave 1 2 3 pubsub 4 5 6"[..])
    );
}

#[test]
fn flags_win_over_files_and_files_over_the_environment() {
    let environment =
        [("SESSILE_MAXMEMORY", "1mb"), ("SESSILE_SAVE", "1 1"), ("SESSILE_TIMEOUT", "7"), ("HOME", "x")];
    let (config, _) =
        load_all("save 2 2\nmaxmemory 2mb", &["--maxmemory", "3mb"], &environment).expect("loads");
    assert_eq!(config.memory_bytes(table::MAXMEMORY), 3 << 20);
    assert_eq!(config.get(b"save").as_deref(), Some(&b"2 2"[..]));
    assert_eq!(config.int(table::TIMEOUT), 7);
    let (config, _) = load_all("", &[], &[("SESSILE_SERVER_CPULIST", "0-1")]).expect("loads");
    assert_eq!(config.text(table::SERVER_CPULIST), "0-1");
    let platform = [
        ("SESSILE_PORT", "tcp://10.0.0.1:6379"),
        ("SESSILE_SERVICE_HOST", "10.0.0.1"),
        ("SESSILE_PORT_6379_TCP", "x"),
    ];
    let (config, notices) = load_all("", &[], &platform).expect("loads");
    assert_eq!((config.port(table::PORT), notices.len()), (6379, 3));
    assert_eq!(
        load_all("", &[], &[("SESSILE_REQUIREPAS", "x")]).map(drop),
        Err("environment: SESSILE_REQUIREPAS: there is no directive `requirepas`; did you mean `requirepass`?"
            .to_owned())
    );
}

#[test]
fn notices_name_what_has_no_effect() {
    let (_, notices) =
        load_all("daemonize yes\nhz 10\nio-threads 4\nlua-replicate-commands yes", &[], &[]).unwrap();
    assert_eq!(notices.len(), 3, "{notices:?}");
    assert!(
        notices.iter().all(|line| !line.contains('\n') && line.contains("has no effect: ")),
        "{notices:?}"
    );
}

#[test]
fn the_absence_of_a_word_on_durability_is_durable() {
    let check = |text: &str, expected: (AppendOnly, AppendFsync)| {
        let (config, _) = load_all(text, &[], &[]).expect("loads");
        assert_eq!((config.append_only(), config.choice(table::APPENDFSYNC)), expected, "{text:?}");
        assert_eq!(config.choice::<MaxmemoryPolicy>(table::MAXMEMORY_POLICY), MaxmemoryPolicy::NoEviction);
    };
    check("", (AppendOnly::Unset, AppendFsync::Always));
    check("appendonly yes", (AppendOnly::Yes, AppendFsync::Always));
    check("appendonly yes\nappendfsync everysec", (AppendOnly::Yes, AppendFsync::EverySec));
    check("appendonly no", (AppendOnly::No, AppendFsync::Always));
}

#[test]
fn includes_are_asked_for_in_order_and_bounded() {
    let mut document = Document::parse("a", b"port 1\ninclude b*\ntimeout 3\n").unwrap();
    assert_eq!(document.next_include(), Some(&b"b*"[..]));
    document.splice(&[("b1", b"port 2\ninclude c"), ("b2", b"port 3")]).unwrap();
    assert_eq!(document.next_include(), Some(&b"c"[..]));
    document.splice(&[]).unwrap();
    assert_eq!(document.next_include(), None);
    let places: Vec<_> = document.lines().map(|line| line.place().to_string()).collect();
    assert_eq!(
        places,
        ["a, line 1: `port 1`", "b1, line 1: `port 2`", "b2, line 1: `port 3`", "a, line 3: `timeout 3`"]
    );

    let mut circle = Document::parse("a", b"include a").unwrap();
    let error = (0..100).find_map(|_| {
        circle.next_include()?;
        circle.splice(&[("a", b"include a")]).err()
    });
    assert!(error.expect("a circle ends").to_string().contains("look for a circle"));
    let mut wide = Document::parse("a", b"include a").unwrap();
    let many = vec![("b", &b""[..]); 2000];
    assert!(wide.next_include().is_some() && wide.splice(&many).is_err());
}

/// Bytes of any kind end in a configuration or a sentence, and a configuration can be rewritten.
#[test]
fn noise_never_panics() {
    let mut state = 99_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let pieces: [&[u8]; 16] = [
        b"save ",
        b"maxmemory ",
        b"\"",
        b"'",
        b"\\",
        b"\n",
        b" ",
        b"#",
        b"\x00",
        b"\xff",
        b"9",
        b"gb",
        b"%",
        b"user ",
        b"include x",
        b"bind ",
    ];
    for _ in 0..20_000 {
        let text: Vec<u8> =
            (0..below(12)).flat_map(|_| pieces[below(pieces.len())].iter().copied()).collect();
        let documents = [Document::parse("noise", &text).expect("it is small")];
        let sources =
            Sources { persona: Persona::Sessile, environment: &[], documents: &documents, flags: &[] };
        match load(sources) {
            Ok((config, _)) => drop(rewrite(&text, &config)),
            Err(error) => assert!(!error.to_string().contains('\n'), "one line: {error}"),
        }
    }
}

/// Directives of the random files, each with values of its kind; others come at times.
const RANDOM: &[(&str, &[&str])] = &[
    (
        "save",
        &["", "\"\"", "''", "900 1", "\"900 1\"", "900 1 300 5", "\"900 1 300 5\"", "07 +1", "0 1", "900"],
    ),
    ("SAVE", &["1 1", "\"\""]),
    ("bind", &["127.0.0.1", "\"127.0.0.1\"", "'127.0.0.1'"]),
    ("timeout", &["0", "1000", "  5\t", "\"\\x37\"", "07", "\"5", "'5'"]),
    ("maxmemory", &["100mb", "1000mb # x", "200k", "\"300MB\"", "kb", "1.5gb"]),
    ("hz", &["0", "50", "501", "-1"]),
    ("notify-keyspace-events", &["KEA", "\"\"", "xKe", "Q", "KEAn"]),
    (
        "syslog-ident",
        &["\"\\x61\\n\"", "'it\\'s'", "a\"b c\"", "\"a\"b", "\"open", "'open", "\\x41", "#x", "a#b", "\"\\"],
    ),
    ("shutdown-on-sigterm", &["save now", "\"save now\"", "SAVE nosave", "default", "\"\"", ""]),
    ("oom-score-adj-values", &["1 2 3", "\"1 2 3\"", "1 2", "1 2 3000"]),
    (
        "client-output-buffer-limit",
        &["normal 0 2 3", "replica 1kb 2 3 pubsub 1mb 2 3", "\"slave 1 2 3\"", "x 1 2 3"],
    ),
    ("unixsocketperm", &["755", "0", "888", "1777"]),
    ("latency-tracking-info-percentiles", &["50 99", "\"\"", "\"50 99.9\"", "101", ""]),
    ("lua-time-limit", &["5", "-1"]),
    ("slave-priority", &["5", "5 5"]),
    ("nothing", &["1"]),
];

/// What a real server takes gives the same values here, and what it refuses is refused.
#[test]
fn random_files_are_read_as_redis_reads_them() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_517_u64);
    println!("SEED={seed}");
    let mut state = seed;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let (mut both, mut neither) = (0, 0);
    for _ in 0..150 {
        let mut text = String::new();
        for _ in 0..=below(3) {
            let (name, own) = RANDOM[below(RANDOM.len())];
            let (_, other) = RANDOM[below(RANDOM.len())];
            // Addresses beside the loopback cannot be bound, whatever the grammar says.
            let values = if name == "bind" || below(8) != 0 { own } else { other };
            text += &format!("{name} {}\n", values[below(values.len())]);
        }
        match same_as_redis(&text) {
            Some(true) => both += 1,
            Some(false) => neither += 1,
            None => {}
        }
    }
    assert!(both > 30 && neither > 30, "{both} taken, {neither} refused, SEED={seed}");
}

/// Whether both take the file, after comparing what they make of it; `None` where this reads more
/// than a real server does, or less, on purpose.
fn same_as_redis(text: &str) -> Option<bool> {
    let ours = load_all(text, &[], &[]);
    let comment =
        ours.as_ref().is_ok_and(|(_, notices)| notices.iter().any(|line| line.contains("as a comment")));
    // Redis takes one quoted argument that is unbalanced inside for no argument at all.
    let inner =
        ours.as_ref().is_err_and(|error| error.contains("unbalanced quotes") && text.contains("it\\'s"));
    if comment || inner {
        return None;
    }
    let dir = fresh_dir();
    let path = dir.join("test.conf");
    fs::write(&path, text).unwrap();
    match (Oracle::start(&[path.to_str().unwrap()], dir), ours) {
        (Ok(mut oracle), Ok((config, _))) => {
            for (name, _) in RANDOM.iter().filter(|(name, _)| config.get(name.as_bytes()).is_some()) {
                if has_own_default(&config, name) {
                    continue;
                }
                assert_eq!(oracle.get(name), config.get(name.as_bytes()), "{name} of {text:?}");
            }
            Some(true)
        }
        (Err(_), Err(_)) => Some(false),
        (theirs, ours) => {
            panic!("{text:?}: theirs {:?}, ours {:?}", theirs.map(|_| "fine"), ours.map(|_| "fine"))
        }
    }
}
