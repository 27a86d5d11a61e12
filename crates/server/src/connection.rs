//! One connection: its socket, and the task that carries bytes between socket and engine.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use sessile_engine::{ConnId, Peer};
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

use crate::shard::Shard;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A client's socket.
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Socket {
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_read(buf),
            Socket::Unix(stream) => stream.try_read(buf),
        }
    }

    fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.try_write(buf),
            Socket::Unix(stream) => stream.try_write(buf),
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Socket::Tcp(stream) => stream.ready(interest).await,
            Socket::Unix(stream) => stream.ready(interest).await,
        }
    }
}

/// What the shard keeps of a connection, so that whoever releases a reply can send it at once.
pub(crate) struct Conn {
    socket: Socket,
    /// Wakes the task: there is output that the socket did not take, or the connection is to be closed.
    pub wake: Notify,
    /// The socket did not take everything.
    full: Cell<bool>,
}

/// How sending went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    Blocked,
    Broken,
}

impl Conn {
    /// Sends what is released. Called by the connection's task and by whoever opens a gate.
    fn send(&self, shard: &Shard, id: ConnId) -> Sent {
        let mut engine = shard.engine.borrow_mut();
        loop {
            let released = engine.released(id);
            if released.is_empty() {
                self.full.set(false);
                return Sent::All;
            }
            match self.socket.try_write(released) {
                Ok(count) => engine.sent(id, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full.set(true);
                    return Sent::Blocked;
                }
                Err(_) => return Sent::Broken,
            }
        }
    }

    /// Sends what is released, and leaves to the task what the socket does not take.
    pub(crate) fn send_or_wake(&self, shard: &Shard, id: ConnId) {
        let sent = self.send(shard, id);
        if sent != Sent::All || shard.engine.borrow().should_close(id) {
            self.wake.notify_one();
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(shard: Rc<Shard>, socket: Socket, peer: Peer) {
    let conn = Rc::new(Conn { socket, wake: Notify::new(), full: Cell::new(false) });
    let connected = {
        let mut engine = shard.engine.borrow_mut();
        engine.set_time(crate::clock::now());
        engine.connect(peer)
    };
    let id = match connected {
        Ok(id) => id,
        Err(refusal) => {
            let _ = conn.socket.try_write(refusal);
            return;
        }
    };
    shard.register(id, Rc::clone(&conn));
    carry(&shard, &conn, id).await;
    shard.forget(id);
    let mut engine = shard.engine.borrow_mut();
    engine.disconnect(id);
    drop(engine);
    shard.after_turn();
}

async fn carry(shard: &Rc<Shard>, conn: &Conn, id: ConnId) {
    loop {
        let (closing, reads) = {
            let engine = shard.engine.borrow();
            (engine.should_close(id), engine.wants_input(id) && !shard.is_holding_back())
        };
        if closing {
            return;
        }
        let interest = match (reads, conn.full.get()) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => {
                // Nothing to do until somebody wakes it; a peer that hangs up meanwhile is noticed when it is written to.
                conn.wake.notified().await;
                continue;
            }
        };
        let ready = tokio::select! {
            ready = conn.socket.ready(interest) => ready,
            () = conn.wake.notified() => Ok(Ready::EMPTY),
        };
        let Ok(ready) = ready else { return };
        if ready.is_writable() && conn.send(shard, id) == Sent::Broken {
            return;
        }
        if (ready.is_readable() || ready.is_read_closed()) && reads && !read_some(shard, conn, id) {
            return;
        }
    }
}

/// Reads once, runs what came, sends what is released. False if the peer is gone.
fn read_some(shard: &Rc<Shard>, conn: &Conn, id: ConnId) -> bool {
    let mut buffer = shard.read_buffer.take();
    buffer.resize(READ_BYTES, 0);
    let count = match conn.socket.try_read(&mut buffer) {
        Ok(0) => {
            shard.read_buffer.replace(buffer);
            return false;
        }
        Ok(count) => count,
        Err(error) => {
            shard.read_buffer.replace(buffer);
            return error.kind() == io::ErrorKind::WouldBlock;
        }
    };
    shard.feed(id, &buffer[..count]);
    shard.read_buffer.replace(buffer);
    let sent = conn.send(shard, id);
    shard.after_turn();
    sent != Sent::Broken
}
