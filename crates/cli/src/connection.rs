//! One blocking connection: requests out, replies in.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
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
    stream: Socket,
    decoder: Decoder,
    buf: Vec<u8>,
    /// Bytes at the start of `buf` that are decoded already.
    start: usize,
}

/// What the bytes go through.
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Ends a connection that someone else waits on.
pub(crate) struct Hangup(Socket);

impl Connection {
    /// Connects to the server that `options` name.
    pub(crate) fn open(options: &Options) -> io::Result<Self> {
        let stream = match &options.socket {
            Some(path) => Socket::Unix(UnixStream::connect(path)?),
            None => Socket::Tcp(connect_tcp(&options.host, options.port)?),
        };
        Ok(Self { stream, decoder: Decoder::default(), buf: Vec::new(), start: 0 })
    }

    /// Sends one request.
    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), Failure> {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.send_bytes(&request)
    }

    /// Sends bytes that are in the protocol already.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).map_err(Failure::Io)
    }

    /// The same connection for a second thread: one sends, the other receives.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(Self { stream, decoder: Decoder::default(), buf: Vec::new(), start: 0 })
    }

    /// What another thread can end the connection with.
    pub(crate) fn hangup(&self) -> io::Result<Hangup> {
        self.stream.try_clone().map(Hangup)
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

impl Hangup {
    /// Ends the connection: whoever waits for a reply finds it closed.
    pub(crate) fn now(&self) {
        // It may have ended by itself.
        let _ = match &self.0 {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Socket {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Failure {
    /// Whether the connection ended, which a new one may mend.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            Self::Protocol(_) => false,
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
