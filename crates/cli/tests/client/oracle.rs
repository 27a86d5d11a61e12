//! A real Redis server on a free port of loopback, for differential tests.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The server; stopped when dropped.
pub(crate) struct Oracle {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Oracle {
    /// Starts a server with `args` more; `None` where none is installed.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("sessile-cli-oracle-{port}"));
        fs::create_dir_all(&dir).unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&dir)
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .ok();
        let Some(child) = child else {
            println!("skipped: redis-server is not installed");
            return None;
        };
        let oracle = Self { child, port, dir };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "redis-server does not start");
            std::thread::yield_now();
        }
        Some(oracle)
    }

    /// Its port.
    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    /// A new connection, with a time limit on reads.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
