//! The server under test as a child process: started on a free loopback port with a folder of its own, killed with
//! SIGKILL, started again on both.
//!
//! `SERVER_BIN` names the binary (default: the release build of this tree); `CONTROL=1` takes `redis-server` instead, with
//! an fsync for every write.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const DEFAULT_BIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target/release/sessile");

pub struct Server {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
}

impl Server {
    /// Starts the server that the environment names and waits until it answers PING.
    pub fn start_new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        drop(listener);
        let dir = env::temp_dir().join(format!("sessile-clients-rust-{}", std::process::id()));
        fs::create_dir_all(dir.join("data")).expect("a temporary folder");
        let mut server = Server { child: None, dir, port };
        server.start();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server on its folder and port, unless it runs.
    pub fn start(&mut self) {
        if self.child.is_some() {
            return;
        }
        let log =
            fs::File::options().append(true).create(true).open(self.dir.join("server.log")).expect("a log");
        let mut child = command()
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.dir.join("data"))
            .args(durability_options())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the server's binary: build it, or set SERVER_BIN or CONTROL=1");
        let began = Instant::now();
        while !self.answers() {
            let ended = child.try_wait().expect("the child");
            assert!(
                ended.is_none() && began.elapsed() < START_LIMIT,
                "the server did not start:\n{}",
                self.log()
            );
            thread::sleep(POLL);
        }
        self.child = Some(child);
    }

    /// `kill -9`: nothing is flushed, no connection is closed in good order.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running server");
        let ended = child.try_wait().expect("the child");
        assert!(ended.is_none(), "the server had ended by itself:\n{}", self.log());
        child.kill().expect("SIGKILL");
        child.wait().expect("the end of the child");
    }

    /// Whether PING is answered with PONG; LOADING counts as no.
    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<bool> {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            socket.write_all(b"*1\r\n$4\r\nPING\r\n")?;
            let mut reply = [0; 7];
            socket.read_exact(&mut reply)?;
            Ok(&reply == b"+PONG\r\n")
        };
        ping().unwrap_or(false)
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself, which a case has noticed then.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn is_control() -> bool {
    env::var("CONTROL").is_ok_and(|value| value == "1")
}

fn command() -> Command {
    if is_control() {
        return Command::new("/usr/bin/redis-server");
    }
    let bin = env::var("SERVER_BIN").unwrap_or_else(|_| DEFAULT_BIN.to_owned());
    let mut command = Command::new(&bin);
    // Under the name redis-server the program takes the options alone.
    if Path::new(&bin).file_name().is_some_and(|name| name.to_string_lossy().starts_with("sessile")) {
        command.arg("server");
    }
    command
}

fn durability_options() -> &'static [&'static str] {
    if is_control() { &["--appendonly", "yes", "--appendfsync", "always", "--save", ""] } else { &[] }
}
