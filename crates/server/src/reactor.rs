//! What the data thread sleeps on: its sockets, and other threads that have something for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token, Waker};

/// Another thread rang.
pub(crate) const ALARM: Token = Token(usize::MAX);
/// A client wants to connect.
pub(crate) const LISTENER: Token = Token(usize::MAX - 1);
/// A signal to stop; those of two signals follow downwards. Any other token is a connection's id.
pub(crate) const SIGNAL: Token = Token(usize::MAX - 2);

/// Sockets that are served before replies leave and the journal gets its batch.
const EVENTS_A_TURN: usize = 1024;

/// The data thread's poll.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    alarm: Arc<Alarm>,
}

impl Reactor {
    /// One that nothing is registered with.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), ALARM)?;
        let alarm = Alarm { rung: AtomicBool::new(false), asleep: AtomicBool::new(false), waker };
        Ok(Self { poll, events: Events::with_capacity(EVENTS_A_TURN), alarm: Arc::new(alarm) })
    }

    /// Where sockets are registered: edge-triggered, so that whoever gets an event notes it until it is used up.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// For whoever is to wake the data thread.
    pub(crate) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    /// Sleeps until there is an event, the alarm is rung or `most` is over.
    pub(crate) fn wait(&mut self, most: Duration) -> io::Result<()> {
        let most = if most.is_zero() || self.alarm.falls_asleep() { most } else { Duration::ZERO };
        let polled = self.poll.poll(&mut self.events, Some(most));
        self.alarm.asleep.store(false, Ordering::Relaxed);
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    /// What came in the last [`Self::wait`].
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }
}

/// Wakes the data thread. While it is awake anyway, ringing costs no system call.
pub(crate) struct Alarm {
    rung: AtomicBool,
    asleep: AtomicBool,
    waker: Waker,
}

impl Alarm {
    /// Wakes it, now or before it sleeps next.
    pub(crate) fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        // Either this sees that it sleeps, or `falls_asleep` that it was rung: both stores come before both loads.
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!("cannot wake the data thread: {error}");
        }
    }

    /// Whether it was rung since the last call.
    pub(crate) fn answer(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst)
    }

    /// Says that the data thread is going to sleep; false if it was rung already.
    fn falls_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.rung.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait without end, should a ring be lost.
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn no_ring_is_lost_however_it_meets_the_fall_asleep() {
        let mut reactor = Reactor::new().unwrap();
        let alarm = Arc::clone(reactor.alarm());
        let (answered, wait) = std::sync::mpsc::channel();
        let rings = 20_000;
        let ringer = std::thread::spawn(move || {
            for _ in 0..rings {
                alarm.ring();
                wait.recv().unwrap();
            }
        });
        let mut answers = 0;
        while answers < rings {
            reactor.wait(LONG).unwrap();
            if reactor.alarm().answer() {
                answers += 1;
                answered.send(()).unwrap();
            }
        }
        ringer.join().unwrap();
        assert!(!reactor.alarm().answer());
    }
}
