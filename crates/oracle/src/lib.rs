//! A real `redis-server` to compare with, on a free port of loopback and in a directory of its own, and the seeded
//! chance that tests compare by. For tests only; it depends on nothing, so that every crate's tests may use it.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A reply that has not come after this long never comes.
const REPLY_MAX: Duration = Duration::from_secs(60);

/// A running server; it and its directory end with this value.
#[derive(Debug)]
pub struct Oracle {
    child: Child,
    dir: PathBuf,
    port: u16,
}

/// A directory of its own for one server.
///
/// # Panics
/// If the temporary directory cannot be written.
pub fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("sessile-oracle-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("the temporary directory can be written");
    dir
}

impl Oracle {
    /// Starts an empty server that writes no files, with `args` more, and waits until it answers.
    ///
    /// # Panics
    /// If `redis-server` is not installed or refuses to start.
    pub fn start(args: &[&str]) -> Self {
        Self::start_on(fresh_dir(), args)
    }

    /// As [`start`](Self::start), in a directory that may hold a `dump.rdb`.
    ///
    /// # Panics
    /// If `redis-server` is not installed or refuses to start.
    pub fn start_on(dir: PathBuf, args: &[&str]) -> Self {
        let usual =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"];
        let words = Self::start_in(dir, &[&usual, args].concat());
        words.unwrap_or_else(|words| panic!("redis-server refused to start: {words}"))
    }

    /// Starts it with just these arguments in this directory, which may hold files. An error is what it wrote to
    /// stderr when it refused.
    ///
    /// # Panics
    /// If `redis-server` is not installed.
    pub fn start_in(dir: PathBuf, args: &[&str]) -> Result<Self, String> {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
        let mut child = Command::new("redis-server")
            .args(args)
            .args(["--port", &port.to_string(), "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests compare with redis-server, which must be installed");
        let mut log = BufReader::new(child.stdout.take().expect("it is a pipe"));
        loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("the log can be read") == 0 {
                let mut words = String::new();
                let mut errors = child.stderr.take().expect("it is a pipe");
                errors.read_to_string(&mut words).expect("the server's errors are text");
                child.wait().expect("the child is ours");
                fs::remove_dir_all(&dir).expect("the directory is ours");
                return Err(words);
            }
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        // The log goes on; nobody reading it would block the server.
        std::thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Ok(Self { child, dir, port })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new connection as a socket.
    ///
    /// # Panics
    /// If the server does not take it.
    pub fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("redis-server listens");
        stream.set_read_timeout(Some(REPLY_MAX)).expect("the limit is not zero");
        stream.set_nodelay(true).expect("loopback has the option");
        stream
    }

    /// A new connection that sends requests and reads replies.
    pub fn connect(&self) -> Connection {
        Connection { stream: BufReader::new(self.stream()) }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Nothing is left to do about a failure here, and a panic would hide the test's own.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A connection to the server. Its methods panic when the server does not answer: then the test has failed.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// The bytes of the reply to one command.
    pub fn raw(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.send(words);
        self.receive()
    }

    /// The strings and numbers of the reply to one command, in order: errors with their minus, nothing for nil.
    pub fn strings(&mut self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        strings(&self.raw(words))
    }

    /// As [`strings`](Self::strings), joined by spaces.
    pub fn text(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.strings(words).join(&b' ')
    }

    /// As [`text`](Self::text), for words of any one kind.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> Vec<u8> {
        let words: Vec<W> = words.into_iter().collect();
        self.text(&words.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    /// The texts of the replies to many commands.
    pub fn pipeline(&mut self, commands: &[Vec<&[u8]>]) -> Vec<Vec<u8>> {
        let mut replies = Vec::with_capacity(commands.len());
        // Few enough that requests and replies fit the socket's buffers.
        for batch in commands.chunks(100) {
            batch.iter().for_each(|words| self.send(words));
            replies.extend(batch.iter().map(|_| strings(&self.receive()).join(&b' ')));
        }
        replies
    }

    /// Sends one command.
    pub fn send(&mut self, words: &[&[u8]]) {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("redis-server reads");
    }

    /// Waits for the bytes of the next reply or push.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        let mut missing = 1;
        while missing > 0 {
            missing -= 1;
            let start = reply.len();
            self.stream.read_until(b'\n', &mut reply).expect("redis-server answers");
            let (kind, number) = head(&reply[start..]);
            match kind {
                b'$' | b'=' if number >= 0 => {
                    let at = reply.len();
                    reply.resize(at + number as usize + 2, 0);
                    self.stream.read_exact(&mut reply[at..]).expect("redis-server answers");
                }
                _ => missing += parts(kind, number),
            }
        }
        reply
    }
}

/// The first byte of a reply's line, and the number behind it or 0.
fn head(line: &[u8]) -> (u8, i64) {
    assert!(line.ends_with(b"\r\n"), "redis-server closed the connection");
    let text = str::from_utf8(&line[1..line.len() - 2]).unwrap_or_default();
    (line[0], text.parse().unwrap_or(0))
}

/// How many replies belong to a head of this kind.
fn parts(kind: u8, number: i64) -> usize {
    let count = usize::try_from(number).unwrap_or(0);
    match kind {
        b'*' | b'~' | b'>' => count,
        b'%' => 2 * count,
        b'|' => 2 * count + 1,
        _ => 0,
    }
}

fn strings(mut reply: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(end) = reply.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = reply.split_at(end + 1);
        reply = rest;
        match head(line) {
            (b'$' | b'=', number) if number >= 0 => {
                all.push(reply[..number as usize].to_vec());
                reply = &reply[number as usize + 2..];
            }
            (b'$' | b'_', _) => all.push(Vec::new()),
            (b'-', _) => all.push(line[..line.len() - 2].to_vec()),
            (b'*' | b'~' | b'>' | b'%' | b'|', _) => {}
            _ => all.push(line[1..line.len() - 2].to_vec()),
        }
    }
    all
}

/// SplitMix64.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator to be asked")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Any integer.
    pub fn integer(&mut self) -> i64 {
        self.next() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_every_shape_are_read_whole() {
        let oracle = Oracle::start(&[]);
        let mut link = oracle.connect();
        assert_eq!(link.call(["PING"]), b"PONG");
        assert_eq!(link.raw(&[b"SET", b"k", b"a\r\nb"]), b"+OK\r\n");
        assert_eq!(link.raw(&[b"GET", b"k"]), b"$4\r\na\r\nb\r\n");
        assert_eq!(link.strings(&[b"MGET", b"k", b"none"]), [&b"a\r\nb"[..], b""]);
        assert!(link.call(["LPOP", "k"]).starts_with(b"-WRONGTYPE "));
        link.call(["HELLO", "3"]);
        link.call(["HSET", "h", "f", "v"]);
        assert_eq!(link.raw(&[b"HGETALL", b"h"]), b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
        assert_eq!(link.pipeline(&[vec![b"EXISTS", b"h"], vec![b"GET", b"none"]]), [&b"1"[..], b""]);
    }

    #[test]
    fn a_refusal_is_told_in_its_words() {
        let words = Oracle::start_in(fresh_dir(), &["--maxmemory", "x"]).expect_err("no such amount");
        assert!(words.contains("maxmemory"), "{words}");
    }
}
