//! Requests that are sent again and again, while servers come and go.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use sessile_resp::Value;

use crate::{connection::Connection, session::Session};

/// How long to wait before the next attempt to connect.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Sends one request and waits for its reply; while there is no server, waits for one. `None`: what
    /// answers is no server; that has been said.
    pub(super) fn poll(&mut self, args: &[&str]) -> io::Result<Option<Value>> {
        let mut attempts = 0;
        loop {
            match self.ask(args) {
                Ok(reply) => {
                    if attempts > 0 {
                        write!(self.console.stdout, "\r\x1b[0K")?;
                    }
                    return Ok(Some(reply));
                }
                Err(failure) if !failure.is_end() => {
                    writeln!(self.console.stderr, "Error: {failure}")?;
                    return Ok(None);
                }
                Err(_) => {}
            }
            loop {
                attempts += 1;
                write!(self.console.stdout, "\r\x1b[0KReconnecting... {attempts}\r")?;
                self.console.stdout.flush()?;
                if Connection::open(&self.options).is_ok() && self.connect_fully()? {
                    break;
                }
                thread::sleep(RECONNECT_INTERVAL);
            }
        }
    }

    /// The interval of the options, or this one.
    pub(super) fn interval_or(&self, default: Duration) -> Duration {
        if self.options.interval.is_zero() { default } else { self.options.interval }
    }
}
