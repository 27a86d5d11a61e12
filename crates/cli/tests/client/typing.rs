//! The prompt on a terminal, beside the original's: what is typed, and what the screen then shows.

use std::{fs, path::Path, thread, time::Instant};

use crate::{
    oracle::Oracle,
    support::{Control, Pair},
    terminal::{LIMIT, Terminal},
};

/// Both clients on terminals, the original's first.
struct Desks {
    theirs: Terminal,
    ours: Terminal,
}

impl Desks {
    fn start(pair: &Pair, args: &[&str], term: &str) -> Self {
        let start = |program: &Path, oracle: &Oracle| {
            let port = oracle.port();
            Terminal::start(program, &[&["-p", &port], args].concat(), term, &[]).hide(&port, "12345")
        };
        let theirs = start(Path::new("redis-cli"), &pair.original);
        Self { theirs, ours: start(&Terminal::ours(), &pair.ours) }
    }

    /// Presses keys at both, waits until both screens end so, and compares all that they show.
    fn press(&mut self, keys: &str, end: &str) {
        self.theirs.press_until(keys, end);
        self.ours.press_until(keys, end);
        // On its way a screen can end so, too.
        let started = Instant::now();
        loop {
            let (theirs, ours) = (self.theirs.screen(), self.ours.screen());
            if theirs == ours && ours.ends_with(end) {
                return;
            }
            assert!(
                started.elapsed() < LIMIT,
                "behind {keys:?} the original shows\n{theirs}\nand ours\n{ours}"
            );
            thread::yield_now();
        }
    }

    fn exit_codes(&mut self) -> [Option<i32>; 2] {
        [self.theirs.exit_code(), self.ours.exit_code()]
    }
}

const PROMPT: &str = "127.0.0.1:12345> _";

/// Behind hints stands no cursor, so they are the end of the screen.
#[test]
fn editing_hints_and_completion() {
    let pair = Pair::start(&[]);
    let mut desks = Desks::start(&pair, &[], "xterm");
    desks.press("", PROMPT);
    desks.press("ping\r", PROMPT);
    desks.press("get", "> get key");
    desks.press(" ", "> get key");
    desks.press("k", "> get k_");
    desks.press("\r", PROMPT);
    desks.press("config get", "config get parameter [parameter ...]");
    desks.press(" maxmemory", "config get maxmemory [parameter ...]");
    desks.press("\x15", PROMPT);
    // How much of a long hint fits is another matter.
    for desk in [&mut desks.theirs, &mut desks.ours] {
        desk.press("set k");
        desk.wait_until("hint", |screen| screen.contains("> set k value [NX|XX] [GET] [EX seconds|"));
    }
    desks.press(" v ex 100\r", PROMPT);
    // Keys: to the start and the end, back, a word away, the rest away.
    desks.press("get kx\x01\x05\x02\x04\r", PROMPT);
    desks.press("echo one two\x17three\x01\x0b", PROMPT);
    desks.press("eco\x02h\r", PROMPT);
    desks.press("echo \x7f\x7f", "> ech_");
    desks.press("\x15gEtRa\t", "> GETRANGE key start end");
    desks.press("\x15help @pubs\t", "> help @pubsub_");
    desks.press("\x15nosuch\t", "> nosuch_");
    desks.press("\x15", PROMPT);
    // Older lines and newer ones.
    desks.press("\x1b[A", "> echo message");
    desks.press("\x1b[A", "> get k_");
    desks.press("\x1b[B", "> echo message");
    desks.press("\x1b[B", PROMPT);
    desks.press("quit\r", "quit\n_");
    assert_eq!(desks.exit_codes(), [Some(0); 2]);
}

#[test]
fn preferences() {
    let pair = Pair::start(&[]);
    let mut desks = Desks::start(&pair, &[], "xterm");
    desks.press("", PROMPT);
    desks.press(":set nohints\r", PROMPT);
    desks.press("get", "> get_");
    desks.press("\x15:set hints\r", PROMPT);
    desks.press("get", "> get key");
    desks.press("\x15:set\r", PROMPT);
    desks.press(":set what\r", PROMPT);
    desks.press(":what\r", PROMPT);
}

#[test]
fn prompts() {
    let pair = Pair::start(&[]);
    for term in ["xterm", "dumb"] {
        let mut desks = Desks::start(&pair, &["-n", "2"], term);
        desks.press("", "127.0.0.1:12345[2]> _");
        desks.press("multi\r", "127.0.0.1:12345[2](TX)> _");
        desks.press("select 7\r", "(TX)> _");
        desks.press("incr n\r", "(TX)> _");
        desks.press("exec\r", "127.0.0.1:12345[7]> _");
        desks.press("multi\r", "(TX)> _");
        desks.press("nosuch\r", "(TX)> _");
        desks.press("exec\r", "127.0.0.1:12345[7]> _");
        desks.press("multi\r", "(TX)> _");
        desks.press("discard\r", "127.0.0.1:12345[7]> _");
        desks.press("3 incr n\r", "127.0.0.1:12345[7]> _");
        desks.press("0 incr n\r", "127.0.0.1:12345[7]> _");
        desks.press("lrange nothing 0 -1\r", "127.0.0.1:12345[7]> _");
        desks.press("reset\r", PROMPT);
        desks.press("get \"a\r", PROMPT);
        desks.press("connect localhost 1\r", "not connected> _");
        desks.press("ping\r", "not connected> _");
        desks.press("clear\r", "not connected> _");
        desks.press("\x04", "_");
        assert_eq!(desks.exit_codes(), [Some(0); 2], "{term}");
    }
}

#[test]
fn interrupts() {
    let pair = Pair::start(&[]);
    for term in ["xterm", "dumb"] {
        let mut desks = Desks::start(&pair, &["-n", "4"], term);
        desks.press("", "[4]> _");
        for command in ["subscribe a b\r", "psubscribe a*\r", "monitor\r"] {
            let first = if command == "monitor\r" { "OK\n_" } else { ") (integer) 1\n_" };
            let first = if command.contains("a b") { ") (integer) 2\n_" } else { first };
            desks.press("ping\r", "[4]> _");
            desks.press("clear\r", "[4]> _");
            for desk in [&mut desks.theirs, &mut desks.ours] {
                desk.press_until(command, first);
                // Whether it took long enough to be shown with its time is chance.
                desk.press_until("\x03", "[4]> _");
                desk.press_until("clear\r", "[4]> _");
            }
            desks.press("ping\r", "[4]> _");
        }
        // While a command waits, it ends the program.
        for desk in [&mut desks.theirs, &mut desks.ours] {
            desk.press_until("blpop nothing 0\r", "blpop nothing 0\n_");
        }
        for oracle in [&pair.original, &pair.ours] {
            Control::new(oracle).wait_for_blocked(1);
        }
        desks.theirs.press("\x03");
        desks.ours.press("\x03");
        assert_eq!(desks.exit_codes(), [Some(1); 2], "{term}");
    }
    // At an empty line it is as the end of the input.
    let mut desks = Desks::start(&pair, &[], "xterm");
    desks.press("", PROMPT);
    desks.press("\x03", "_");
    assert_eq!(desks.exit_codes(), [Some(0); 2]);
}

#[test]
fn a_lost_connection_is_mended() {
    let pair = Pair::start(&[]);
    let mut desks = Desks::start(&pair, &[], "xterm");
    let port = pair.ours.port();
    let mut fifth =
        Terminal::start(&Terminal::ours(), &["-p", &port, "-n", "5"], "xterm", &[]).hide(&port, "12345");
    fifth.press_until("", "[5]> _");
    fifth.press_until("set k fifth\r", "[5]> _");
    desks.press("", PROMPT);
    desks.press("set k v\r", PROMPT);
    for oracle in [&pair.original, &pair.ours] {
        Control::new(oracle).ask(&["client", "kill", "type", "normal"]);
    }
    // What was sent may have been done, so that nobody sends it again.
    desks.press("get k\r", "not connected> _");
    desks.press("get k\r", PROMPT);
    // The original is in database 0 again, and its prompt says otherwise.
    fifth.press_until("get k\r", "not connected> _");
    fifth.press_until("get k\r", "\"fifth\"\n127.0.0.1:12345[5]> _");
    desks.press("shutdown nosave\r", "not connected> _");
    desks.press("get k\r", "not connected> _");
}

#[test]
fn passwords_are_not_seen() {
    let pair = Pair::start(&["--requirepass", "sesame"]);
    let mut desks = Desks::start(&pair, &["--askpass"], "xterm");
    desks.press("", "Please input password: _");
    desks.press("sesame", "Please input password: ******_");
    desks.press("\r", PROMPT);
    desks.press("dbsize\r", PROMPT);
    for desk in [&desks.theirs, &desks.ours] {
        assert!(!desk.transcript().contains("sesame"));
    }
}

#[test]
fn history_is_kept_in_a_file() {
    let oracle = Oracle::start(&[]);
    let path = std::env::temp_dir().join(format!("sessile-cli-typing-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let variables = [("REDISCLI_HISTFILE", path.to_str().unwrap())];
    let port = oracle.port();
    let mut kept = String::new();
    // Each reads what the other wrote.
    for program in [Terminal::ours(), "redis-cli".into(), Terminal::ours()] {
        let mut desk = Terminal::start(&program, &["-p", &port], "xterm", &variables).hide(&port, "12345");
        desk.press_until("", PROMPT);
        if !kept.is_empty() {
            desk.press_until("\x1b[A", &format!("> {}_", kept.lines().last().unwrap()));
            desk.press_until("\x15", PROMPT);
        }
        for line in ["auth secret", "config set requirepass \"\"", "echo last"] {
            desk.press_until(&format!("{line}\r"), PROMPT);
        }
        desk.press("\x04");
        assert_eq!(desk.exit_code(), Some(0));
        kept.push_str(if kept.is_empty() { "echo last\n" } else { "" });
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    }
    fs::remove_file(path).unwrap();
}

/// Figures that go on for ever on a terminal.
#[test]
fn figures_on_a_terminal() {
    let pair = Pair::start(&[]);
    for (args, line) in [
        (
            &["--stat", "-i", "0.01"][..],
            "keys       mem      clients blocked requests            connections",
        ),
        (&["--latency"], "min: N, max: N, avg: N.N (N samples)_"),
        (&["--latency-history", "-i", "0.05"], "min: N, max: N, avg: N.N (N samples) -- N.N seconds range"),
        (&["--latency-dist", "-i", "0.02"], ".-*#123456789ABCDEFGHIJKLMNOPQ?"),
    ] {
        let mut desks = Desks::start(&pair, args, "xterm-256color");
        for desk in [&mut desks.theirs, &mut desks.ours] {
            desk.wait_until(line, |screen| {
                screen.lines().any(|shown| shown.trim_end() == line || without_numbers(shown) == line)
            });
            desk.press("\x03");
            // The signal ends it.
            assert_eq!(desk.exit_code(), None, "{args:?}");
        }
    }
}

#[test]
fn stat_lines() {
    let pair = Pair::start(&[]);
    let desks = Desks::start(&pair, &["--stat", "-i", "0.01"], "xterm");
    let second = |desk: &Terminal| {
        desk.wait_until("figures", |screen| screen.lines().count() > 4);
        let screen = desk.screen();
        let line = screen.lines().nth(3).unwrap().trim_end().to_owned();
        // The blanks behind a number fill its column.
        let starts: Vec<usize> = line
            .match_indices(' ')
            .map(|(at, _)| at + 1)
            .filter(|at| !line[*at..].starts_with(' '))
            .collect();
        (screen.lines().take(2).map(str::to_owned).collect::<Vec<_>>(), starts)
    };
    assert_eq!(second(&desks.ours), second(&desks.theirs));
}

fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim_end().chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }) {
        if !(c == 'N' && out.ends_with('N')) {
            out.push(c);
        }
    }
    out
}
