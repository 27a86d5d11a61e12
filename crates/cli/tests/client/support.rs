//! Both clients beside each other, each with a server of its own.

use std::{
    io::{Cursor, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use sessile_cli::{Console, run_on, run_status_on};
use sessile_resp::{Decoder, Value, encode_request};

use crate::oracle::Oracle;

/// Exit code, standard output, standard error.
pub(crate) type Run = (i32, String, String);

/// Two servers, so that what one client does is not seen by the other.
pub(crate) struct Pair {
    pub(crate) original: Oracle,
    pub(crate) ours: Oracle,
}

impl Pair {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self { original: Oracle::start(args), ours: Oracle::start(args) }
    }

    /// Runs both clients with `args`, and gives what they did: the original's first.
    pub(crate) fn run(&self, args: &[&str], stdin: &str, auth: Option<&str>) -> [Run; 2] {
        let neutral =
            |run: Run, port: String| (run.0, run.1.replace(&port, "PORT"), run.2.replace(&port, "PORT"));
        let theirs = original(&self.original.port(), args, stdin, auth);
        let ours = ours(&self.ours.port(), args, stdin, auth);
        [neutral(theirs, self.original.port()), neutral(ours, self.ours.port())]
    }

    /// Runs both clients with `args` behind the server's port, and compares.
    pub(crate) fn check_env(&self, args: &[&str], stdin: &str, auth: Option<&str>) {
        let [theirs, ours] = self.run(args, stdin, auth);
        assert_eq!(ours, theirs, "{args:?} < {stdin:?}");
    }

    pub(crate) fn check(&self, args: &[&str], stdin: &str) {
        self.check_env(args, stdin, None);
    }
}

pub(crate) fn original(port: &str, args: &[&str], stdin: &str, auth: Option<&str>) -> Run {
    let mut command = Command::new("redis-cli");
    command.args(["-p", port]).args(args).env_remove("REDISCLI_AUTH").env_remove("FAKETTY");
    if let Some(auth) = auth {
        command.env("REDISCLI_AUTH", auth);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("redis-cli comes with redis-server");
    // A client that refuses its options does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| bytes.escape_ascii().to_string();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        self.0.lock().unwrap().escape_ascii().to_string()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn ours(port: &str, args: &[&str], stdin: &str, auth: Option<&str>) -> Run {
    let (stdout, stderr) = (Sink::default(), Sink::default());
    let args = ["-p", port].iter().chain(args).map(|arg| arg.as_bytes().to_vec()).collect();
    let code = run_on(console(&stdout, &stderr, stdin, auth), "redis-cli", args);
    (i32::from(code), stdout.text(), stderr.text())
}

/// Runs `sessile status`.
pub(crate) fn status(args: &[&str]) -> Run {
    let (stdout, stderr) = (Sink::default(), Sink::default());
    let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let code = run_status_on(console(&stdout, &stderr, "", None), args);
    let text = |sink: &Sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    (i32::from(code), text(&stdout), text(&stderr))
}

fn console(stdout: &Sink, stderr: &Sink, stdin: &str, auth: Option<&str>) -> Console<'static> {
    Console {
        stdin: Box::new(Cursor::new(stdin.as_bytes().to_vec())),
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        edits_lines: false,
        handles_interrupts: false,
        auth: auth.map(|auth| auth.as_bytes().to_vec()),
        commands: Vec::new,
    }
}

/// A connection beside the clients under test.
pub(crate) struct Control {
    stream: std::net::TcpStream,
}

impl Control {
    pub(crate) fn new(oracle: &Oracle) -> Self {
        Self { stream: oracle.connect() }
    }

    pub(crate) fn ask(&mut self, args: &[&str]) -> Value {
        use std::io::Read;

        let (mut request, mut answer, mut piece) = (Vec::new(), Vec::new(), [0; 4096]);
        encode_request(&mut request, args);
        self.stream.write_all(&request).unwrap();
        let mut decoder = Decoder::default();
        loop {
            if let Some((value, _)) = decoder.next(&answer).unwrap() {
                return value;
            }
            let len = self.stream.read(&mut piece).unwrap();
            assert!(len > 0, "the server stays");
            answer.extend_from_slice(&piece[..len]);
        }
    }

    /// Waits until `count` clients are subscribed to all they ask for, or monitor.
    pub(crate) fn wait_for_streams(&mut self, count: usize) {
        self.wait_for_clients(count, &[" flags=P ", " flags=O "]);
    }

    /// Waits until `count` clients wait for data.
    pub(crate) fn wait_for_blocked(&mut self, count: usize) {
        self.wait_for_clients(count, &[" flags=b "]);
    }

    fn wait_for_clients(&mut self, count: usize, marks: &[&str]) {
        let started = Instant::now();
        loop {
            let Value::Bulk(list) = self.ask(&["client", "list"]) else { panic!("a list") };
            let list = String::from_utf8(list).unwrap();
            if list.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).count() == count {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{count} clients with {marks:?}: {list}");
            thread::yield_now();
        }
    }
}
