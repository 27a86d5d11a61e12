//! What the tests share: a redis-server to compare with, and hosts that scripts run against.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use sessile_resp::{Args, Proto, encode_request};
use sessile_script::{AclVerdict, Host, Interrupt};

/// A redis-server of its own on a free port, which ends with this value.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    dir: PathBuf,
}

/// A connection that sends a request and waits for the whole reply.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Runs the commands of scripts on a redis-server, as the engine's checks for scripts would let them through.
pub(crate) struct ForwardingHost {
    resp2: Connection,
    resp3: Connection,
}

impl RedisServer {
    /// Starts the server; `None` if none is installed.
    pub(crate) fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let dir = std::env::temp_dir().join(format!("sessile-script-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).ok()?;
        let process = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--enable-debug-command",
                "yes",
            ])
            .arg("--dir")
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { process, port, dir })
    }

    pub(crate) fn connect(&self, proto: Proto) -> Connection {
        let stream = (0..200)
            .find_map(|_| {
                TcpStream::connect(("127.0.0.1", self.port))
                    .inspect_err(|_| thread::sleep(Duration::from_millis(25)))
                    .ok()
            })
            .expect("redis-server accepts connections");
        stream.set_nodelay(true).expect("loopback has the option");
        let mut connection = Connection { stream, buffer: Vec::new() };
        if proto == Proto::Resp3 {
            connection.request(&["HELLO", "3"]);
        }
        connection
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Connection {
    /// Sends one request and returns the bytes of its reply.
    pub(crate) fn request<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.stream.write_all(&request).expect("redis-server reads");
        loop {
            if let Some(len) = reply_len(&self.buffer) {
                return self.buffer.drain(..len).collect();
            }
            let mut chunk = [0; 65536];
            let len = self.stream.read(&mut chunk).expect("redis-server answers");
            assert!(len > 0, "redis-server closed the connection");
            self.buffer.extend_from_slice(&chunk[..len]);
        }
    }
}

/// The length of the first whole reply in `buffer`, however deep it is nested.
fn reply_len(buffer: &[u8]) -> Option<usize> {
    let (mut position, mut missing) = (0, 1_u64);
    while missing > 0 {
        let rest = buffer.get(position..)?;
        let line_len = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let number = || str::from_utf8(&rest[1..line_len]).ok()?.parse::<i64>().ok();
        position += line_len + 2;
        missing -= 1;
        match rest[0] {
            b'$' | b'=' if number()? >= 0 => position += usize::try_from(number()?).ok()? + 2,
            b'*' | b'~' | b'>' => missing += u64::try_from(number()?).unwrap_or(0),
            b'%' => missing += 2 * u64::try_from(number()?).ok()?,
            b'|' => missing += 2 * u64::try_from(number()?).ok()? + 1,
            _ => {}
        }
    }
    (position <= buffer.len()).then_some(position)
}

impl ForwardingHost {
    pub(crate) fn new(server: &RedisServer) -> Self {
        Self { resp2: server.connect(Proto::Resp2), resp3: server.connect(Proto::Resp3) }
    }
}

impl Host for ForwardingHost {
    fn call(&mut self, args: Args<'_>, proto: Proto, out: &mut Vec<u8>) {
        const REFUSED: [&str; 4] = ["SUBSCRIBE", "MULTI", "DEBUG", "BLPOP"];
        let name = args[0].to_ascii_uppercase();
        if REFUSED.iter().any(|refused| refused.as_bytes() == name) {
            return out.extend_from_slice(b"-ERR This Redis command is not allowed from script\r\n");
        }
        let connection = if proto == Proto::Resp2 { &mut self.resp2 } else { &mut self.resp3 };
        let reply = connection.request(&args.iter().collect::<Vec<_>>());
        if reply.starts_with(b"-ERR unknown command") {
            out.extend_from_slice(b"-ERR Unknown Redis command called from script\r\n");
        } else if reply.starts_with(b"-ERR wrong number of arguments") {
            out.extend_from_slice(b"-ERR Wrong number of args calling Redis command from script\r\n");
        } else {
            out.extend_from_slice(&reply);
        }
    }

    fn log(&mut self, _level: i64, _message: &[u8]) {}

    fn interrupt(&mut self) -> Interrupt {
        Interrupt::Continue
    }

    fn acl_check(&mut self, args: Args<'_>) -> AclVerdict {
        if args[0].eq_ignore_ascii_case(b"get") { AclVerdict::Allowed } else { AclVerdict::UnknownCommand }
    }
}
