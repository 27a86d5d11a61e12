//! One connection: its socket, and the task that carries bytes between socket and engine.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use sessile_engine::{ConnId, Engine, Peer};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::shard::Shard;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// The same while too much waits for the journal: enough for a request that asks what is going on.
const HELD_READ_BYTES: usize = 1024;
/// Bytes sent to one socket before others have their turn, however fast its client reads.
const SEND_BYTES_A_TURN: usize = 1024 * 1024;

/// A client's socket.
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// The half that the connection's task reads.
enum Source {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// The half that whoever releases a reply writes.
enum Sink {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl Socket {
    fn split(self) -> (Source, Sink) {
        match self {
            Socket::Tcp(stream) => {
                let (source, sink) = stream.into_split();
                (Source::Tcp(source), Sink::Tcp(sink))
            }
            Socket::Unix(stream) => {
                let (source, sink) = stream.into_split();
                (Source::Unix(source), Sink::Unix(sink))
            }
        }
    }
}

impl Source {
    /// Reads once. Unlike `try_read` it takes a short read for the end of what is there, and saves the system call
    /// that would say so.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Source::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Source::Unix(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl Sink {
    fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Tcp(half) => half.try_write(buf),
            Sink::Unix(half) => half.try_write(buf),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Sink::Tcp(half) => half.as_ref().poll_write_ready(cx),
            Sink::Unix(half) => half.as_ref().poll_write_ready(cx),
        }
    }
}

/// Wakes the connection's task: one flag and one waker, since only the data thread rings and listens.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Wakes whoever listens, now or next.
    pub(crate) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.rung.take() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// What the shard keeps of a connection, so that whoever releases a reply can send it at once.
pub(crate) struct Conn {
    sink: Sink,
    /// Wakes the task: there is output that the socket did not take, or the connection is to be closed.
    pub bell: Bell,
    /// Not everything was sent: the socket did not take it, or a turn was used up.
    full: Cell<bool>,
    /// The socket takes nothing any more.
    broken: Cell<bool>,
    /// The task does not read for now.
    rests: Cell<bool>,
}

impl Conn {
    /// Sends what is released, and leaves to the task what the socket does not take. Called by whoever opens a gate.
    pub(crate) fn send_or_wake(&self, engine: &mut Engine, id: ConnId) {
        self.send(engine, id);
        if self.full.get() || self.broken.get() || self.rests.get() || engine.should_close(id) {
            self.bell.ring();
        }
    }

    /// Sends until the socket takes nothing more, or until a turn is used up; notes then that something is left.
    fn send(&self, engine: &mut Engine, id: ConnId) {
        let mut left = SEND_BYTES_A_TURN;
        while left > 0 {
            let released = engine.released(id);
            let len = released.len();
            if len == 0 {
                return self.full.set(false);
            }
            match self.sink.try_write(&released[..len.min(left)]) {
                Ok(count) => {
                    engine.sent(id, count);
                    if count == len {
                        return self.full.set(false);
                    }
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.full.set(true),
                Err(_) => return self.broken.set(true),
            }
        }
        self.full.set(true);
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(shard: Rc<Shard>, socket: Socket, peer: Peer) {
    let (mut source, sink) = socket.split();
    let conn = Rc::new(Conn {
        sink,
        bell: Bell::default(),
        full: Cell::new(false),
        broken: Cell::new(false),
        rests: Cell::new(false),
    });
    let connected = {
        let mut engine = shard.engine.borrow_mut();
        engine.set_time(crate::clock::now());
        engine.connect(peer)
    };
    let id = match connected {
        Ok(id) => id,
        Err(refusal) => {
            let _ = conn.sink.try_write(refusal);
            return;
        }
    };
    shard.register(id, Rc::clone(&conn));
    carry(&shard, &mut source, &conn, id).await;
    shard.forget(id);
    let mut engine = shard.engine.borrow_mut();
    // A peer that has closed its side may still read.
    conn.send(&mut engine, id);
    engine.disconnect(id);
    drop(engine);
    shard.after_turn();
}

/// Carries until the peer is gone or the connection is to be closed.
async fn carry(shard: &Shard, source: &mut Source, conn: &Conn, id: ConnId) {
    while poll_fn(|cx| poll_turn(shard, source, conn, id, cx)).await {}
}

/// One turn: sends what waited for the socket, reads once, runs what came. False at the end of the connection.
fn poll_turn(
    shard: &Shard,
    source: &mut Source,
    conn: &Conn,
    id: ConnId,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    // The task is woken for the socket only once the socket was seen to take nothing.
    if conn.full.get() && conn.sink.poll_write_ready(cx).is_ready() {
        conn.send(&mut shard.engine.borrow_mut(), id);
        if conn.full.get() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
    }
    let reads = {
        let engine = shard.engine.borrow();
        if conn.broken.get() || engine.should_close(id) {
            return Poll::Ready(false);
        }
        engine.wants_input(id) && !shard.is_stopping() && !shard.makes_room_for(&engine, id)
    };
    if conn.bell.poll_rung(cx).is_ready() {
        return Poll::Ready(true);
    }
    // While it does not read, a peer that hangs up is noticed when it is written to.
    conn.rests.set(!reads);
    if !reads {
        return Poll::Pending;
    }
    let mut buffer = shard.read_buffer.borrow_mut();
    buffer.resize(if shard.is_holding_back() { HELD_READ_BYTES } else { READ_BYTES }, 0);
    let mut into = ReadBuf::new(&mut buffer);
    let Ok(()) = ready!(source.poll_read(cx, &mut into)) else { return Poll::Ready(false) };
    if into.filled().is_empty() {
        return Poll::Ready(false);
    }
    shard.feed(id, into.filled());
    shard.after_turn();
    Poll::Ready(true)
}
