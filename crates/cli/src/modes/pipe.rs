//! `--pipe`: sends requests that are in the protocol already, as fast as the server takes them.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, BufRead, Write},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use sessile_resp::{Value, encode_request};

use crate::{connection::Connection, session::Session};

/// What the thread that receives has to tell.
enum News {
    Reply,
    Error(Vec<u8>),
    /// The reply to what was sent last.
    Last,
    /// No more will come, for this reason.
    Lost(String),
}

impl Session<'_> {
    pub(crate) fn pipe(&mut self) -> io::Result<u8> {
        let Some(mut connection) = self.connection.take() else { return Ok(1) };
        let receiver = connection.try_clone()?;
        let hangup = connection.hangup()?;
        let mark = mark();
        let (sender, news) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| receive(receiver, &mark, &sender));
            let mut tally = Tally::default();
            let result = self.pipe_through(&mut connection, &mark, &news, &mut tally);
            // The other thread may still wait for replies.
            hangup.now();
            result?;
            writeln!(self.console.stdout, "errors: {}, replies: {}", tally.errors, tally.replies)?;
            self.console.stdout.flush()?;
            Ok(u8::from(tally.errors > 0))
        })
    }

    fn pipe_through(
        &mut self,
        connection: &mut Connection,
        mark: &[u8],
        news: &mpsc::Receiver<News>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        loop {
            for news in news.try_iter() {
                if !self.count(news, tally)? {
                    return Ok(());
                }
            }
            let bytes = self.console.stdin.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let len = bytes.len();
            if connection.send_bytes(bytes).is_err() {
                // The other thread knows why.
                return self.count_the_rest(news, None, tally);
            }
            self.console.stdin.consume(len);
        }
        let mut request = b"\r\n".to_vec();
        encode_request(&mut request, &[&b"ECHO"[..], mark]);
        let sent = connection.send_bytes(&request);
        if sent.is_ok() {
            writeln!(self.console.stdout, "All data transferred. Waiting for the last reply...")?;
            self.console.stdout.flush()?;
        }
        let timeout = Some(self.options.pipe_timeout).filter(|timeout| !timeout.is_zero());
        self.count_the_rest(news, timeout, tally)
    }

    /// Counts what comes until no more will; gives up where nothing comes for so long.
    fn count_the_rest(
        &mut self,
        news: &mpsc::Receiver<News>,
        timeout: Option<Duration>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        loop {
            let next = match timeout {
                Some(timeout) => news.recv_timeout(timeout),
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(news) => {
                    if !self.count(news, tally)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = self.options.pipe_timeout.as_secs();
                    writeln!(self.console.stderr, "No replies for {seconds} seconds: exiting.")?;
                    tally.errors += 1;
                    return Ok(());
                }
            }
        }
    }

    /// Whether more will come.
    fn count(&mut self, news: News, tally: &mut Tally) -> io::Result<bool> {
        match news {
            News::Reply => tally.replies += 1,
            News::Error(text) => {
                tally.replies += 1;
                tally.errors += 1;
                self.console.stderr.write_all(&text)?;
                writeln!(self.console.stderr)?;
            }
            News::Last => {
                writeln!(self.console.stdout, "Last reply received from server.")?;
                return Ok(false);
            }
            News::Lost(why) => {
                writeln!(self.console.stderr, "{why}")?;
                tally.errors += 1;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Tally {
    replies: u64,
    errors: u64,
}

/// Tells what comes, up to the reply that is `mark`.
fn receive(mut connection: Connection, mark: &[u8], sender: &Sender<News>) {
    loop {
        let (news, is_end) = match connection.receive() {
            Ok(Value::Push(_)) => continue,
            Ok(Value::Error(text)) => (News::Error(text), false),
            Ok(Value::Bulk(text)) if text == mark => (News::Last, true),
            Ok(_) => (News::Reply, false),
            Err(failure) => (News::Lost(format!("Error: {failure}")), true),
        };
        // Nobody may want to know any more.
        if sender.send(news).is_err() || is_end {
            return;
        }
    }
}

/// A text that no reply has by chance.
fn mark() -> Vec<u8> {
    let random = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", random(), random()).into_bytes()
}
