//! A node with one connection to it, and what the tables share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sessile_crash::client::{Cmd, Conn, show, words};
use sessile_crash::saves::Shim;
use sessile_crash::server::{Launch, Server, Temp, until};
use sessile_resp::Value;

/// How long something that must come may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The fields of one INFO, or of one line of CLIENT LIST.
pub(crate) type Fields = BTreeMap<String, String>;

/// A running node.
pub(crate) struct Node {
    pub(crate) conn: Conn,
    pub(crate) server: Server,
    pub(crate) launch: Launch,
    pub(crate) temp: Temp,
}

/// What a node is started with.
#[derive(Default)]
pub(crate) struct Start<'a> {
    pub(crate) flags: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Text of a configuration file.
    pub(crate) file: Option<&'a str>,
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sessile"))
}

impl Start<'_> {
    /// The folder and the launch, not yet started. A small script puts in place what flags cannot say.
    pub(crate) fn prepare(&self) -> (Temp, Launch) {
        let temp = Temp::new(&std::env::temp_dir(), "truth").expect("a temporary folder");
        let dir = temp.0.join("data");
        std::fs::create_dir_all(&dir).expect("a data folder");
        let mut script = "#!/bin/sh\nshift\n".to_owned();
        for (name, value) in self.environment {
            script += &format!("export {name}='{value}'\n");
        }
        let file = temp.0.join("node.conf");
        if let Some(text) = self.file {
            std::fs::write(&file, text).expect("a configuration file");
        }
        let file = if self.file.is_some() { file.display().to_string() } else { String::new() };
        script += &format!("exec '{}' server {file} \"$@\"\n", program().display());
        let bin = temp.0.join("node");
        std::fs::write(&bin, script).expect("a script");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&bin, mode).expect("a script that runs");
        // Small segments are made ready sooner.
        let mut flags: Vec<String> = if self.flags.contains(&"--journal-segment-size") || self.file.is_some()
        {
            Vec::new()
        } else {
            vec!["--journal-segment-size".into(), "2mb".into()]
        };
        flags.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        (temp, Launch { bin, dir, flags, env: Vec::new() })
    }

    /// Starts and connects.
    pub(crate) fn node(&self) -> Node {
        let (temp, launch) = self.prepare();
        Node::launch(temp, launch)
    }
}

impl Node {
    /// A node with these flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Start { flags, ..Start::default() }.node()
    }

    fn launch(temp: Temp, launch: Launch) -> Self {
        let server = launch.start().unwrap_or_else(|why| panic!("{why}"));
        let conn = server.connect().expect("it answered");
        Self { conn, server, launch, temp }
    }

    /// Another connection.
    pub(crate) fn connect(&self) -> Conn {
        self.server.connect().expect("it takes connections")
    }

    /// The reply to a line of words, in a sentence.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.value(line).text()
    }

    /// The reply to a line of words.
    pub(crate) fn value(&mut self, line: &str) -> Value {
        self.conn.ask_line(line).unwrap_or_else(|lost| panic!("{line}: {lost:?}"))
    }

    /// Sends lines that must not be answered by errors.
    pub(crate) fn all(&mut self, lines: &[&str]) {
        for line in lines {
            let reply = self.value(line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {}", reply.text());
        }
    }

    /// The reply to arguments that may hold spaces.
    pub(crate) fn args(&mut self, args: &[&str]) -> String {
        self.conn.ask(args).unwrap_or_else(|lost| panic!("{args:?}: {lost:?}")).text()
    }

    /// CONFIG SET, which must work.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let reply = self.args(&["CONFIG", "SET", name, value]);
        assert_eq!(reply, "\"OK\"", "CONFIG SET {name} {value}");
    }

    /// Every field of INFO.
    pub(crate) fn fields(&mut self) -> Fields {
        info_fields(&mut self.conn)
    }

    /// A field of INFO; empty where it is not there.
    pub(crate) fn info(&mut self, field: &str) -> String {
        self.fields().remove(field).unwrap_or_default()
    }

    /// A number in INFO.
    pub(crate) fn number(&mut self, field: &str) -> f64 {
        number(&self.info(field))
    }

    /// Waits until a field of INFO is as wanted.
    pub(crate) fn becomes(&mut self, field: &str, wanted: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let found = until(LIMIT, || {
            last = self.info(field);
            wanted(&last).then_some(())
        });
        assert!(found.is_some(), "{field} stays {last}");
    }

    /// Waits until a number in INFO is as wanted.
    pub(crate) fn comes_to(&mut self, field: &str, wanted: impl Fn(f64) -> bool) {
        self.becomes(field, |text| text.parse().is_ok_and(&wanted));
    }

    /// Many strings of `bytes` each, written at once.
    pub(crate) fn fill(&mut self, prefix: &str, count: usize, bytes: usize) {
        let value = "x".repeat(bytes);
        let cmds: Vec<Cmd> = (0..count).map(|i| words(&format!("SET {prefix}{i} {value}"))).collect();
        let replies = self.conn.ask_all(&cmds).expect("it answers");
        let refused = replies.iter().find(|reply| matches!(reply, Value::Error(_)));
        assert!(refused.is_none(), "{refused:?}");
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        self.launch.output()
    }

    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(self.server.signal(name), "kill -{name} {}", self.server.pid());
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ends(mut self) -> (Temp, Launch) {
        let ended = until(LIMIT, || (!self.server.is_running()).then_some(()));
        assert!(ended.is_some(), "the node goes on: {}", self.log());
        (self.temp, self.launch)
    }

    /// Ends it with a signal, and starts it again on the same folder.
    pub(crate) fn restart(self) -> Self {
        self.signal("TERM");
        let (temp, launch) = self.ends();
        Self::launch(temp, launch)
    }
}

/// Runs every row of a table, each also if another has failed, and fails with the names of those that did.
pub(crate) fn each<R>(rows: impl IntoIterator<Item = (&'static str, R)>, mut check: impl FnMut(&str, &R)) {
    let mut failed = Vec::new();
    for (name, row) in rows {
        println!("{name}");
        let run = std::panic::AssertUnwindSafe(|| check(name, &row));
        if std::panic::catch_unwind(run).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "rows that failed: {failed:?}");
}

/// What a value says, in a sentence.
pub(crate) trait Said {
    fn text(&self) -> String;
}

impl Said for Value {
    fn text(&self) -> String {
        show(self)
    }
}

/// A number; not one where the text is none.
pub(crate) fn number(text: &str) -> f64 {
    text.trim_end_matches('%').parse().unwrap_or(f64::NAN)
}

/// Every field of INFO on a connection.
pub(crate) fn info_fields(conn: &mut Conn) -> Fields {
    let Ok(Value::Bulk(text)) = conn.ask_line("INFO everything") else { panic!("INFO is not answered") };
    let text = String::from_utf8_lossy(&text).into_owned();
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Sends a request and waits for no reply.
pub(crate) fn send(conn: &mut Conn, line: &str) {
    conn.push(&words(line));
    conn.flush().expect("it takes requests");
}

/// Sends a request that the node may not want to read to its end.
pub(crate) fn offer(conn: &mut Conn, line: &str) {
    conn.push(&words(line));
    let _ = conn.flush();
}

/// A disk that can be held and made to fail.
pub(crate) struct SlowDisk {
    shim: Shim,
    _dir: Temp,
}

impl SlowDisk {
    /// Builds what stands between the node and its disk.
    pub(crate) fn build() -> Self {
        let dir = Temp::new(&std::env::temp_dir(), "truth-disk").expect("a temporary folder");
        Self { shim: Shim::build(&dir.0).expect("the shim builds"), _dir: dir }
    }

    /// A node on it.
    pub(crate) fn node(&self, flags: &[&str]) -> Node {
        let environment = self.shim.environment();
        let environment = environment.each_ref().map(|(name, value)| (*name, &**value));
        Start { flags, environment: &environment, ..Start::default() }.node()
    }

    /// Holds every sync (`stuck`) or lets it fail (`fail`), or no longer.
    pub(crate) fn switch(&self, what: &str, on: bool) {
        self.shim.order(if on { what } else { "" }).expect("the switch");
    }
}
