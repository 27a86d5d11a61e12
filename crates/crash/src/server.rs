//! A server process: started on a free loopback port, killed by its own id.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sessile_resp::Value;

use crate::client::{Conn, bytes};

/// How long a reply may take before the server counts as hung.
pub const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// How long a start may take, recovery included.
const START_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// What is started, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub bin: PathBuf,
    /// The data directory.
    pub dir: PathBuf,
    /// Flags besides port and directory.
    pub flags: Vec<String>,
    /// Environment variables besides this program's own.
    pub env: Vec<(&'static str, String)>,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Its loopback port.
    pub port: u16,
    /// From the start of the process to the first reply.
    pub start_took: Duration,
}

/// How a process that was not meant to serve has ended.
#[derive(Debug)]
pub struct Refused {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Launch {
    /// Whether the program is Redis' own.
    pub fn is_redis(&self) -> bool {
        self.bin.file_name().is_some_and(|name| name.to_string_lossy().starts_with("redis-server"))
    }

    /// Starts the process without waiting for it. Its output goes to `log` and `log.err` beside the data directory.
    pub fn spawn(&self) -> io::Result<(Child, u16)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(&self.bin);
        if !self.is_redis() {
            command.arg("server");
        }
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(&self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(&self.flags).stdin(Stdio::null());
        command.stdout(File::create(self.log())?).stderr(File::create(self.errors())?);
        Ok((command.spawn()?, port))
    }

    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn errors(&self) -> PathBuf {
        self.dir.with_extension("log.err")
    }

    /// What the last process printed.
    pub fn output(&self) -> String {
        let read = |path: &Path| std::fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
        [read(&self.log()), read(&self.errors())].into_iter().flatten().collect()
    }

    /// Starts and waits for the first `PONG`.
    pub fn start(&self) -> Result<Server, String> {
        let began = Instant::now();
        let (child, port) = self.spawn().map_err(|e| format!("cannot start {}: {e}", self.bin.display()))?;
        let mut server = Server { child, port, start_took: Duration::ZERO };
        loop {
            if let Ok(mut conn) = Conn::open(port, REPLY_LIMIT)
                && let Ok(pong) = conn.ask_line("PING")
                && bytes(&pong) == Some(b"PONG")
            {
                server.start_took = began.elapsed();
                return Ok(server);
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("the server did not start ({status}): {}", last_lines(&self.output())));
            }
            if began.elapsed() > START_LIMIT {
                return Err(format!("no PONG within {START_LIMIT:?}: {}", last_lines(&self.output())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Starts what has to refuse, and waits for its end at most `limit`.
    pub fn start_refused(&self, limit: Duration) -> Result<Refused, String> {
        let began = Instant::now();
        let (child, port) = self.spawn().map_err(|e| format!("cannot start {}: {e}", self.bin.display()))?;
        let mut server = Server { child, port, start_took: Duration::ZERO };
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                let stderr = std::fs::read(self.errors()).unwrap_or_default();
                let stderr = String::from_utf8_lossy(&stderr).into_owned();
                return Ok(Refused { code: status.code(), stderr, took: began.elapsed() });
            }
            if began.elapsed() > limit {
                let serves = Conn::open(port, Duration::from_secs(1)).is_ok();
                return Err(format!("it had not ended after {limit:?} (takes connections: {serves})"));
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Server {
    /// A new connection.
    ///
    /// # Errors
    /// In a sentence.
    pub fn connect(&self) -> Result<Conn, String> {
        Conn::open(self.port, REPLY_LIMIT).map_err(|e| format!("cannot connect: {e:?}"))
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name without `SIG`; false if that failed.
    pub fn signal(&self, name: &str) -> bool {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        sent.is_ok_and(|status| status.success())
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks the process to stop by itself and waits; true if it ended well.
    pub fn stop(mut self) -> bool {
        self.signal("TERM") && self.child.wait().is_ok_and(|status| status.success())
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory the process has had resident, in bytes.
    pub fn peak_rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Looks again and again until something is there; `None` if it is not within `limit`.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if began.elapsed() > limit {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// A field of INFO; empty if it is not there.
pub fn info(conn: &mut Conn, name: &str) -> String {
    let Ok(Value::Bulk(text)) = conn.ask_line("INFO everything") else { return String::new() };
    let text = String::from_utf8_lossy(&text).into_owned();
    let prefix = format!("{name}:");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

/// A temporary folder of its own for this process, removed when dropped.
#[derive(Debug)]
pub struct Temp(pub PathBuf);

impl Temp {
    /// A new folder below `base`.
    pub fn new(base: &Path, name: &str) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("sessile-crash-{name}-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}
