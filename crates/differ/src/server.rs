//! Starting, killing and talking to the two servers.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::reply::{Reply, decode};
use crate::step::{Words, encode, words};

/// A server that has not opened its port after this long does not start.
const START_MS_MAX: u64 = 20_000;
/// A reply that takes longer than this never comes: no generated command takes that long.
const REPLY_MS_MAX: u64 = 10_000;
/// Larger replies end the connection.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; `{port}` and `{dir}` are replaced.
    pub args: Vec<String>,
}

impl Launch {
    /// The usual arguments for a program: Redis' own where the name is `redis-server` (durable or in
    /// memory only), `server --port …` otherwise.
    #[must_use]
    pub fn new(program: &Path, durable: bool) -> Self {
        let named = program.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let text = match (named.starts_with("redis-server"), durable) {
            (true, false) => {
                "--port {port} --dir {dir} --save  --appendonly no --hz 500 --enable-debug-command yes --bind 127.0.0.1"
            }
            (true, true) => {
                "--port {port} --dir {dir} --save  --appendonly yes --appendfsync always --hz 500 --enable-debug-command yes --bind 127.0.0.1"
            }
            (false, _) => "server --port {port} --dir {dir} --enable-debug-command yes",
        };
        // An empty word (after `--save`) is an argument of its own.
        Self { program: program.to_path_buf(), args: text.split(' ').map(str::to_owned).collect() }
    }
}

/// A running server process with its data directory; both end with the value.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    dir: PathBuf,
    child: Child,
    /// TCP port on the loopback interface.
    pub port: u16,
}

impl Server {
    /// Starts the server in a new directory under `base` and waits until it answers.
    pub fn start(launch: Launch, base: &Path, label: &str) -> io::Result<Self> {
        let port = free_port()?;
        let dir = base.join(format!("differ-{label}-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let child = spawn(&launch, port, &dir)?;
        let mut server = Self { launch, dir, child, port };
        server.wait_ready()?;
        Ok(server)
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process without giving it a chance to tidy up, as `kill -9` does.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Starts again over the same directory.
    pub fn restart(&mut self) -> io::Result<()> {
        if self.alive() {
            self.kill()?;
        }
        self.child = spawn(&self.launch, self.port, &self.dir)?;
        self.wait_ready()
    }

    /// What the process wrote to its log, its last part.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.dir.join("differ.log")).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(2000)..];
        String::from_utf8_lossy(tail).into_owned()
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(START_MS_MAX) {
            if !self.alive() {
                let why = format!("{} ended at once: {}", self.launch.program.display(), self.log_tail());
                return Err(io::Error::other(why));
            }
            if let Ok(mut link) = Conn::open(self.port)
                && let Ok(reply) = link.call(&words(&["PING"]))
                && reply == Reply::Simple(b"PONG".to_vec())
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let why =
            format!("{} did not answer on its port: {}", self.launch.program.display(), self.log_tail());
        Err(io::Error::other(why))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Why a reply did not come.
#[derive(Debug)]
pub enum LinkError {
    /// The server ended the connection, or wrote what is no reply.
    Broken(String),
    /// No reply in time.
    Silent,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "connection broken: {why}"),
            Self::Silent => write!(f, "no reply within {REPLY_MS_MAX} ms"),
        }
    }
}

/// One client connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    buf: Vec<u8>,
    at: usize,
}

impl Conn {
    /// Connects over loopback.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(REPLY_MS_MAX)))?;
        stream.set_write_timeout(Some(Duration::from_millis(REPLY_MS_MAX)))?;
        Ok(Self { stream, buf: Vec::new(), at: 0 })
    }

    /// Sends encoded requests.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.stream.write_all(bytes).map_err(|e| LinkError::Broken(e.to_string()))
    }

    /// Reads the next reply.
    pub fn reply(&mut self) -> Result<Reply, LinkError> {
        loop {
            // Only a buffer that ends in a line end can end with a whole reply.
            let pending = &self.buf[self.at..];
            if self.at > 0 || pending.ends_with(b"\r\n") {
                match decode(pending) {
                    Ok(Some((reply, len))) => {
                        self.at += len;
                        if self.at == self.buf.len() {
                            self.buf.clear();
                            self.at = 0;
                        }
                        return Ok(reply);
                    }
                    Ok(None) => {}
                    Err(e) => return Err(LinkError::Broken(format!("protocol error: {}", e.0))),
                }
            }
            if self.at > 0 {
                self.buf.drain(..self.at);
                self.at = 0;
            }
            if self.buf.len() > REPLY_BYTES_MAX {
                return Err(LinkError::Broken("reply too large".to_owned()));
            }
            let mut chunk = [0u8; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(LinkError::Broken("closed by the server".to_owned())),
                Ok(n) => self.buf.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(LinkError::Silent);
                }
                Err(e) => return Err(LinkError::Broken(e.to_string())),
            }
        }
    }

    /// Sends one command and reads its reply.
    pub fn call(&mut self, command: &[Vec<u8>]) -> Result<Reply, LinkError> {
        let mut bytes = Vec::new();
        encode(command, &mut bytes);
        self.send(&bytes)?;
        self.reply()
    }

    /// Sends commands in pipelines of bounded size and reads all replies.
    pub fn call_many(&mut self, commands: &[Words]) -> Result<Vec<Reply>, LinkError> {
        let mut replies = Vec::with_capacity(commands.len());
        for run in commands.chunks(64) {
            let mut bytes = Vec::new();
            run.iter().for_each(|c| encode(c, &mut bytes));
            self.send(&bytes)?;
            for _ in run {
                replies.push(self.reply()?);
            }
        }
        Ok(replies)
    }
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn spawn(launch: &Launch, port: u16, dir: &Path) -> io::Result<Child> {
    let log = fs::File::options().create(true).append(true).open(dir.join("differ.log"))?;
    let fill = |a: &String| a.replace("{port}", &port.to_string()).replace("{dir}", &dir.to_string_lossy());
    Command::new(&launch.program)
        .args(launch.args.iter().map(fill))
        // SORT ALPHA compares by locale; both sides must have the same one.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("cannot start {}: {e}", launch.program.display())))
}
