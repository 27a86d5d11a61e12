//! A `redis-server` in a directory of its own, and a seeded generator.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The server; it and its directory end with the value.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Server {
    /// Starts with `file` as its `dump.rdb`, or with none.
    pub(crate) fn start(file: Option<&[u8]>) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sessile-rdb-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
        if let Some(file) = file {
            std::fs::write(dir.join("dump.rdb"), file).expect("the temporary directory can be written");
        }
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
            .args(["--unixsocket", "socket", "--sanitize-dump-payload", "yes", "--dir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests compare with redis-server, which must be installed");
        let deadline = Instant::now() + Duration::from_secs(30);
        let stream = loop {
            match UnixStream::connect(dir.join("socket")) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "redis-server does not start: {error}"),
            }
            if child.try_wait().expect("the child is ours").is_some() {
                let mut log = String::new();
                let _ = child.stdout.take().expect("piped").read_to_string(&mut log);
                panic!("redis-server refused to start:\n{log}");
            }
            std::thread::yield_now();
        };
        let mut server = Self { child, dir, stream: BufReader::new(stream) };
        while server.call(["PING"]).starts_with(b"-LOADING") {
            assert!(Instant::now() < deadline, "redis-server goes on loading");
        }
        server
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The reply to one command: errors with their minus, nothing for nil, arrays joined by spaces.
    pub(crate) fn call<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> Vec<u8> {
        let words: Vec<W> = words.into_iter().collect();
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in &words {
            out.extend(format!("${}\r\n", word.as_ref().len()).bytes());
            out.extend(word.as_ref());
            out.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&out).expect("redis-server reads");
        self.reply()
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("redis-server answers");
        line.truncate(line.len() - 2);
        let number =
            || str::from_utf8(&line[1..]).expect("ASCII").parse::<i64>().expect("a number stands here");
        match line[0] {
            b'-' => line,
            b'$' if number() >= 0 => {
                let mut bulk = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut bulk).expect("redis-server answers");
                bulk.truncate(bulk.len() - 2);
                bulk
            }
            b'*' => (0..number()).map(|_| self.reply()).collect::<Vec<_>>().join(&b' '),
            b'$' => Vec::new(),
            _ => line[1..].to_vec(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to do about a failure here, and a panic would hide the test's own.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
