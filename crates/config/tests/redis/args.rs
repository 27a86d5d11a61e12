//! The command line, alone and against a real server.

use crate::oracle::{Oracle, fresh_dir, has_own_default};
use sessile_config::{
    Persona, Sources,
    args::{Action, Run, parse},
    load, words,
};

/// What a command line is read as, in one line.
fn shown(args: &[&str]) -> String {
    let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    match parse(&args) {
        Ok(Action::Run(Run { file, stdin, flags })) => {
            let file = file.map(|file| String::from_utf8_lossy(&file).into_owned()).unwrap_or_default();
            let lines = flags.iter().map(|line| {
                let words = line.words.words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
                words.collect::<Vec<_>>().join("|")
            });
            format!("file={file} stdin={stdin} {}", lines.collect::<Vec<_>>().join("; "))
        }
        Ok(action) => format!("{action:?}"),
        Err(error) => error.to_string(),
    }
}

fn check(args: &[&str], expected: &str) {
    assert_eq!(shown(args), expected, "{args:?}");
}

#[test]
fn flags_take_values_until_the_next_name() {
    check(&[], "file= stdin=false ");
    check(&["a.conf"], "file=a.conf stdin=false ");
    check(&["-"], "file= stdin=true ");
    check(&["a.conf", "--port", "7", "-"], "file=a.conf stdin=true port|7");
    check(&["--save", ""], "file= stdin=false save|");
    check(&["--save", "900", "1", "300", "10"], "file= stdin=false save|900|1|300|10");
    check(&["--save", "--port", "7"], "file= stdin=false save|; port|7");
    check(&["--port", "7", "--save"], "file= stdin=false port|7; save|");
    check(&["--port 7", "--timeout", "5"], "file= stdin=false port|7; timeout|5");
    check(&["--requirepass", "--x", "--port", "7"], "file= stdin=false requirepass|--x; port|7");
    check(&["--sentinel", "--port", "7"], "file= stdin=false sentinel; port|7");
    check(&["--masterauth", "#x", "-", "y"], "file= stdin=false masterauth|#x|-|y");
}

#[test]
fn actions_are_recognised() {
    for (args, expected) in [
        (&["-v"][..], "Version"),
        (&["--version", "x"], "Version"),
        (&["-h"], "Help"),
        (&["--help"], "Help"),
        (&["--check-system"], "CheckSystem"),
        (&["--test-memory", "64"], "TestMemory { megabytes: 64 }"),
        (
            &["--test-memory"],
            "command line: `--test-memory`: `--test-memory` needs the memory to test in megabytes, such as 4096",
        ),
    ] {
        check(args, expected);
    }
}

#[test]
fn a_secret_stays_out_of_the_errors() {
    let args = ["--requirepass", "hunter2", "more"].map(|arg| arg.as_bytes().to_vec());
    let Ok(Action::Run(run)) = parse(&args) else { panic!("starts a server") };
    let sources = Sources { persona: Persona::Sessile, environment: &[], documents: &[], flags: &run.flags };
    let error = load(sources).expect_err("two passwords").to_string();
    assert_eq!(error, "command line: `--requirepass …`: `requirepass`: wrong number of arguments");
}

#[test]
fn command_lines_mean_what_they_mean_to_redis() {
    let names =
        ["save", "timeout", "maxmemory", "shutdown-on-sigterm", "syslog-ident", "client-output-buffer-limit"];
    for args in [
        &["--save", ""][..],
        &["--save"],
        &["--save", "900", "1"],
        &["--save", "900 1 300 10"],
        &["--save", "900 1", "--save", "300 10"],
        &["--save", "900 1", "--save", ""],
        &["--save", "", "--save", "1 1"],
        &["--timeout 5", "--maxmemory", "1gb"],
        &["--syslog-ident", "--x"],
        &["--syslog-ident", "#x"],
        &["--syslog-ident", "a b"],
        &["--syslog-ident", "a\"b"],
        &["--syslog-ident", "\u{e9}\\"],
        &["--syslog-ident", "a", "b"],
        &["--shutdown-on-sigterm", "save", "now"],
        &["--shutdown-on-sigterm", "save now"],
        &["--client-output-buffer-limit", "pubsub 1 2 3"],
        &["--timeout", "x"],
        &["--timeout"],
        &["--nothing", "1"],
        &["--save", "900"],
    ] {
        let bytes: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let Ok(Action::Run(run)) = parse(&bytes) else { panic!("{args:?} starts a server") };
        let persona = Persona::RedisServer;
        let ours = load(Sources { persona, environment: &[], documents: &[], flags: &run.flags });
        // The oracle is given more flags, which would become the value of a bare one.
        let padded: Vec<&str> = match args {
            ["--timeout"] => vec!["--timeout", ""],
            _ => args.to_vec(),
        };
        match (Oracle::start(&padded, fresh_dir()), ours) {
            (Ok(mut oracle), Ok((config, _))) => {
                for name in names.iter().filter(|name| !has_own_default(&config, name)) {
                    assert_eq!(oracle.get(name), config.get(name.as_bytes()), "{name} of {args:?}");
                }
            }
            (Err(_), Err(_)) => {}
            (theirs, ours) => panic!("{args:?}: theirs {:?}, ours {ours:?}", theirs.map(|_| "fine")),
        }
    }
}

#[test]
fn words_survive_quoting() {
    let all: Vec<u8> = (0..=255).collect();
    for start in 0..all.len() {
        let word = &all[start..];
        let line = words::quote(word);
        assert_eq!(words::split(line.as_bytes()).words, [word]);
    }
    for (line, balanced, expected) in [
        (&b"  a\tb  "[..], true, &[&b"a"[..], b"b"][..]),
        (b"\"\\x41\\xZZ\\q\"", true, &[b"AxZZq"]),
        (b"'\\n\\''", true, &[b"\\n'"]),
        (b"a\"b c\"", true, &[b"ab c"]),
        (b"x \"a\"b", false, &[b"x"]),
        (b"x 'a", false, &[b"x"]),
        (b"x \"\\", false, &[b"x"]),
        (b"", true, &[]),
    ] {
        let words = words::split(line);
        assert_eq!(
            (words.balanced, words.words.as_slice()),
            (balanced, &expected.iter().map(|word| word.to_vec()).collect::<Vec<_>>()[..])
        );
    }
}
