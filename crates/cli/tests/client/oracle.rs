//! A real Redis server for differential tests.

use std::{net::TcpStream, time::Duration};

/// A reply that has not come after this long never comes.
const REPLY_MAX: Duration = Duration::from_secs(20);

/// The server; stopped when dropped.
pub(crate) struct Oracle(sessile_oracle::Oracle);

impl Oracle {
    /// Starts a server with `args` more.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self(sessile_oracle::Oracle::start(args))
    }

    /// Its port.
    pub(crate) fn port(&self) -> String {
        self.0.port().to_string()
    }

    /// A new connection, with a time limit on reads.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.0.port())).unwrap();
        stream.set_read_timeout(Some(REPLY_MAX)).unwrap();
        stream
    }
}
