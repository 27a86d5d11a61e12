//! Every type of reply in every format.

use crate::support::Pair;

const FORMATS: &[&[&str]] = &[
    &["--raw"],
    &["--raw", "-3"],
    &["--no-raw"],
    &["--no-raw", "-3"],
    &["--csv"],
    &["--csv", "-3"],
    &["--json"],
    &["--json", "-2"],
    &["--quoted-json"],
    &["--quoted-json", "-2"],
    &["--raw", "-3", "-d", "|", "-D", "<end>"],
];

#[test]
fn every_type() {
    let pair = Pair::start(&["--enable-debug-command", "yes"]);
    for format in FORMATS {
        for kind in
            ["string", "integer", "double", "null", "array", "set", "map", "verbatim", "true", "false"]
        {
            pair.check(&[*format, &["debug", "protocol", kind]].concat(), "");
        }
    }
}

/// The original of 7.0 does not know these types. What an attribute describes is shown, and the description is not.
#[test]
fn newer_types() {
    let pair = Pair::start(&["--enable-debug-command", "yes"]);
    for (kind, expected) in [
        ("attrib", "Some real reply following the attribute"),
        ("bignum", "1234567999999999999999999999999999999"),
    ] {
        for format in [&["--raw", "-3"][..], &["--csv", "-3"], &["--json"], &["--no-raw", "-3"]] {
            let [_, ours] = pair.run(&[format, &["debug", "protocol", kind]].concat(), "", None);
            let text = ours.1.replace("\\\"", "").replace("\\n", "");
            assert_eq!((ours.0, &text[..], &ours.2[..]), (0, expected, ""), "{kind} {format:?}");
        }
    }
}

/// The push comes ahead of the reply.
#[test]
fn pushes_are_shown_or_not() {
    let pair = Pair::start(&["--enable-debug-command", "yes"]);
    for show in [&["--show-pushes", "yes"][..], &["--show-pushes", "no"], &["--show-pushes", "maybe"], &[]] {
        for format in [&["-3"][..], &["-3", "--no-raw"], &["-3", "--json"]] {
            let command = ["debug", "protocol", "push"];
            pair.check(&[format, show, &command].concat(), "");
        }
        // An invalidation comes for a key that was read.
        let lines = "client tracking on\nget k\nset k 1\nset k 2\nping\n";
        pair.check(&[show, &["-3", "--no-raw"]].concat(), lines);
    }
}

#[test]
fn texts_of_any_bytes() {
    let pair = Pair::start(&[]);
    for text in
        ["", " ", "a\tb\r\n", "\u{1}\u{7}\u{8}\u{c}\u{1b}\u{7f}", "h\u{e9}llo \u{1f600}", "back\\slash '"]
    {
        for format in FORMATS {
            pair.check(&[*format, &["-x", "set", "k"]].concat(), text);
            pair.check(&[*format, &["get", "k"]].concat(), "");
            pair.check(&[*format, &["mget", "k", "nothing"]].concat(), "");
        }
    }
    for format in FORMATS.iter().filter(|format| !format.contains(&"--quoted-json")) {
        pair.check(&[*format, &["echo", "a \"quoted\" word"]].concat(), "");
    }
}

/// Here the original writes what no JSON parser takes.
#[test]
fn quotes_in_quoted_json_are_escaped() {
    let pair = Pair::start(&[]);
    let [_, ours] = pair.run(&["--quoted-json", "echo", "a \"b\" \\ \u{e9}"], "", None);
    let expected = br#""a \\\"b\\\" \\\\ \\xc3\\xa9""#.escape_ascii().to_string() + "\\n";
    assert_eq!(ours, (0, expected, String::new()));
}

#[test]
fn help_in_words_of_the_server() {
    let pair = Pair::start(&[]);
    for topic in [
        "set",
        "SORT",
        "xadd",
        "config",
        "config get",
        "client kill",
        "bitfield",
        "migrate",
        "georadius",
        "zadd",
        "acl setuser",
        "memory usage",
        "@string",
        "@CONNECTION",
        "@nosuch",
        "nosuch",
        "get set",
    ] {
        let [theirs, ours] = pair.run(&[], &format!("help {topic}\n"), None);
        assert_eq!(paragraphs(&ours.1), paragraphs(&theirs.1), "{topic}");
        assert_eq!((ours.0, ours.2), (theirs.0, theirs.2), "{topic}");
    }
}

/// The original gives commands of the same group in the order of the server, which is none.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> =
        text.split("\\r\\n\\r\\n").map(|it| it.trim_start_matches("\\r\\n").to_owned()).collect();
    paragraphs.sort();
    paragraphs
}
