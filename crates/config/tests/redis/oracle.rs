//! A real `redis-server` on loopback, to compare with.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running server; it ends with this value.
pub(crate) struct Oracle {
    child: Child,
    stream: BufReader<TcpStream>,
    /// Its directory.
    pub(crate) dir: PathBuf,
}

/// A directory of its own for one server.
pub(crate) fn fresh_dir() -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("sessile-config-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    dir
}

impl Oracle {
    /// Starts it with these arguments and this directory; its words when it refuses to start.
    pub(crate) fn start(args: &[&str], dir: PathBuf) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let mut command = Command::new("redis-server");
        command.args(args).args(["--port", &port, "--dir", dir.to_str().unwrap()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().expect("redis-server is installed");
        let mut log = BufReader::new(child.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                let mut words = String::new();
                child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
                child.wait().unwrap();
                fs::remove_dir_all(&dir).unwrap();
                return Err(words);
            }
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        // The log goes on; nobody reading it would block the server.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        Ok(Self { child, stream: BufReader::new(stream), dir })
    }

    /// The strings of a reply; an error is one string with its `-`.
    pub(crate) fn call(&mut self, args: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        let mut out = Vec::new();
        self.reply(&mut out);
        out
    }

    /// `CONFIG GET` of one name.
    pub(crate) fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        self.call(&[b"CONFIG", b"GET", name.as_bytes()]).into_iter().nth(1)
    }

    fn reply(&mut self, out: &mut Vec<Vec<u8>>) {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        let line = line.strip_suffix(b"\r\n").expect("a whole line");
        let count = || std::str::from_utf8(&line[1..]).unwrap().parse::<usize>().unwrap();
        match line[0] {
            b'*' => (0..count()).for_each(|_| self.reply(out)),
            b'$' => {
                let mut bytes = vec![0; count() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                out.push(bytes);
            }
            b'-' => out.push(line.to_vec()),
            _ => out.push(line[1..].to_vec()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}
