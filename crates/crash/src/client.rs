//! A blocking connection: pipelined requests out, decoded replies in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use sessile_resp::{Decoder, Value, encode_request};

/// A command, its name first.
pub type Cmd = Vec<Vec<u8>>;

/// Splits a line at its spaces; for arguments that hold none.
pub fn words(line: &str) -> Cmd {
    line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

/// Why a connection gives no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It ended, as it does when the server is killed.
    Ended,
    /// Nothing came within the limit.
    Silent,
    /// What came is no reply.
    Garbled,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    start: usize,
    decoder: Decoder,
}

impl Conn {
    /// Connects to a loopback port; a reply may take `limit`.
    pub fn open(port: u16, limit: Duration) -> Result<Self, Lost> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|_| Lost::Ended)?;
        let ready = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(limit)));
        ready.map_err(|_| Lost::Ended)?;
        Ok(Self { stream, out: Vec::new(), input: Vec::new(), start: 0, decoder: Decoder::default() })
    }

    /// Queues a request.
    pub fn push<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        encode_request(&mut self.out, args);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<(), Lost> {
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        sent.map_err(|_| Lost::Ended)
    }

    /// The next reply.
    pub fn receive(&mut self) -> Result<Value, Lost> {
        loop {
            if let Some((value, len)) =
                self.decoder.next(&self.input[self.start..]).map_err(|_| Lost::Garbled)?
            {
                self.start += len;
                if self.start == self.input.len() {
                    self.input.clear();
                    self.start = 0;
                }
                return Ok(value);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Lost::Ended),
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Lost::Silent);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost::Ended),
            }
        }
    }

    /// Sends one request and takes its reply.
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, Lost> {
        self.push(args);
        self.flush()?;
        self.receive()
    }

    /// [`Conn::ask`] with a line of words.
    pub fn ask_line(&mut self, line: &str) -> Result<Value, Lost> {
        self.ask(&words(line))
    }

    /// Pipelines many requests and takes all replies.
    pub fn ask_all(&mut self, cmds: &[Cmd]) -> Result<Vec<Value>, Lost> {
        let mut replies = Vec::with_capacity(cmds.len());
        for some in cmds.chunks(256) {
            some.iter().for_each(|cmd| self.push(cmd));
            self.flush()?;
            for _ in some {
                replies.push(self.receive()?);
            }
        }
        Ok(replies)
    }
}

/// The bytes of a string or status reply.
pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bulk(bytes) | Value::Simple(bytes) | Value::Verbatim(_, bytes) => Some(bytes),
        _ => None,
    }
}

/// A number, as an integer or as the text of one.
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        _ => std::str::from_utf8(bytes(value)?).ok()?.parse().ok(),
    }
}

/// The elements of an array; none of anything else.
pub fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
        _ => &[],
    }
}

/// A reply in a sentence: errors in full, long strings cut.
pub fn show(value: &Value) -> String {
    let text = match value {
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        other => match bytes(other) {
            Some(text) => format!("\"{}\"", String::from_utf8_lossy(&text[..text.len().min(120)])),
            None => format!("{other:?}"),
        },
    };
    text.chars().take(300).collect()
}
