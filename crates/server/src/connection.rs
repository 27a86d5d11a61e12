//! One connection: its socket, and what carries bytes between socket and engine.

use std::io::{self, Read, Write};

use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use sessile_engine::{ConnId, Engine};

/// Bytes sent to one socket before others have their turn, however fast its client reads.
const SEND_BYTES_A_TURN: usize = 1024 * 1024;

/// A client's socket.
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Has the connection's events reported under its id.
    pub(crate) fn register(&mut self, registry: &Registry, id: ConnId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => registry.register(stream, Token(id), interest),
            Socket::Unix(stream) => registry.register(stream, Token(id), interest),
        }
    }

    /// Reads once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }

    /// Writes as much as it takes now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }
}

/// What came from a socket.
pub(crate) enum Came {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing any more: the peer has closed its side, or is gone.
    End,
}

/// A connection. Its socket reports changes only, so that what it last said is kept.
pub(crate) struct Conn {
    socket: Socket,
    /// There may be something to read.
    readable: bool,
    /// The peer has closed its side: what is left to read ends.
    hung_up: bool,
    /// The socket may take something.
    writable: bool,
    /// Not everything was sent: the socket did not take it, or a turn was used up.
    full: bool,
    /// The socket takes nothing any more.
    broken: bool,
    /// It is not read for now.
    pub rests: bool,
    /// It has a turn without an event.
    pub listed: bool,
}

impl Conn {
    /// A connection that has just begun.
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            readable: false,
            hung_up: false,
            writable: true,
            full: false,
            broken: false,
            rests: false,
            listed: false,
        }
    }

    /// Notes what the socket reports.
    pub(crate) fn note(&mut self, event: &Event) {
        self.hung_up |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= event.is_writable();
    }

    /// Whether there may be something to read.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether output waits that the socket may take.
    pub(crate) fn can_go_on(&self) -> bool {
        self.full && self.writable
    }

    /// Whether it has to be looked at though nothing happens at its socket.
    pub(crate) fn needs_turn(&self, engine: &Engine, id: ConnId) -> bool {
        self.full || self.broken || self.rests || engine.should_close(id)
    }

    /// Whether it is to end now.
    pub(crate) fn has_ended(&self, engine: &Engine, id: ConnId) -> bool {
        self.broken || engine.should_close(id)
    }

    /// Sends until the socket takes nothing more, or until a turn is used up; notes then that something is left.
    pub(crate) fn send(&mut self, engine: &mut Engine, id: ConnId) {
        let mut left = SEND_BYTES_A_TURN;
        self.full = false;
        while left > 0 {
            let released = engine.released(id);
            let len = released.len();
            if len == 0 {
                return;
            }
            match self.socket.write(&released[..len.min(left)]) {
                Ok(count) => {
                    engine.sent(id, count);
                    if count == len {
                        return;
                    }
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (self.full, self.writable) = (true, false);
                    return;
                }
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        self.full = true;
    }

    /// Reads once. A short read is taken for the end of what is there, which saves the system call that would say so.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Came {
        match self.socket.read(buffer) {
            Ok(0) => Came::End,
            Ok(count) => {
                self.readable = count == buffer.len() || self.hung_up;
                Came::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Came::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Came::Nothing
            }
            Err(_) => Came::End,
        }
    }
}
