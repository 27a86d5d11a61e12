//! One blocking connection: requests out, replies in.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
};

use sessile_resp::{Decoder, ProtocolError, Value, encode_request};

use crate::options::Options;

/// Why no reply came.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server closed the connection.
    Closed,
    Io(io::Error),
    Protocol(ProtocolError),
}

/// An open connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buf: Vec<u8>,
    /// Bytes at the start of `buf` that are decoded already.
    start: usize,
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Connection {
    /// Connects to the server that `options` name.
    pub(crate) fn open(options: &Options) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match &options.socket {
            Some(path) => Box::new(UnixStream::connect(path)?),
            None => Box::new(connect_tcp(&options.host, options.port)?),
        };
        Ok(Self { stream, decoder: Decoder::default(), buf: Vec::new(), start: 0 })
    }

    /// Sends one request.
    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), Failure> {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.stream.write_all(&request).map_err(Failure::Io)
    }

    /// Waits for one reply or push.
    pub(crate) fn receive(&mut self) -> Result<Value, Failure> {
        const READ_BYTES: usize = 16 * 1024;

        loop {
            if let Some((value, len)) =
                self.decoder.next(&self.buf[self.start..]).map_err(Failure::Protocol)?
            {
                self.start += len;
                return Ok(value);
            }
            self.buf.drain(..self.start);
            self.start = 0;
            let len = self.buf.len();
            // The more has come, the more is likely to come: large replies take few reads.
            self.buf.resize(len + READ_BYTES.max(len), 0);
            let read = loop {
                match self.stream.read(&mut self.buf[len..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.buf.truncate(len + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(Failure::Closed),
                Ok(_) => {}
                Err(error) => return Err(Failure::Io(error)),
            }
        }
    }
}

fn connect_tcp(host: &str, port: u32) -> io::Result<TcpStream> {
    let port = u16::try_from(port).unwrap_or(0);
    let mut addrs: Vec<_> = (host, port).to_socket_addrs()?.collect();
    // Most servers listen on IPv4 alone, so it is tried first.
    addrs.sort_by_key(std::net::SocketAddr::is_ipv6);
    let mut first_error = None;
    for addr in addrs {
        match TcpStream::connect(addr) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| io::Error::other("Name or service not known")))
}

/// The system's words for an error, without Rust's additions.
pub(crate) fn system_words(error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    words.split(" (os error").next().unwrap_or_default().to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("Server closed the connection"),
            Self::Io(error) => f.write_str(&system_words(error)),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}
