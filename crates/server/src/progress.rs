//! How far long work has come: a bar on a terminal, a line now and then elsewhere, both with rate and time left.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done before this shows nothing.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How much is done before the clock is looked at again.
const BYTES_A_LOOK: u64 = 1 << 20;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Keys.
    Keys,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// To the log; no bar, since the work goes on beside the commands.
    LogOnly,
    /// To the log, or a bar if a person watches.
    Log,
    /// To standard error, or a bar.
    Error,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    what: String,
    unit: Unit,
    done: u64,
    total: u64,
    elapsed: Duration,
}

impl State {
    /// From 0 to 1.
    pub(crate) fn ratio(&self) -> f64 {
        (self.done as f64 / self.total.max(1) as f64).min(1.0)
    }

    /// One line with rate and time left.
    pub(crate) fn line(&self) -> String {
        let rate = self.done as f64 / self.elapsed.as_secs_f64().max(0.001);
        let (unit, amount): (_, fn(f64) -> String) = match self.unit {
            Unit::Bytes => ("MB", |n| format!("{:.1}", n / 1e6)),
            Unit::Keys => ("keys", |n| format!("{n:.0}")),
        };
        let left = if rate > 0.0 {
            format!("about {:.0} s left", self.total.saturating_sub(self.done) as f64 / rate)
        } else {
            "time left unknown".into()
        };
        format!(
            "{}: {:.0} % ({} of {} {unit}), {} {unit}/s, {left}",
            self.what,
            self.ratio() * 100.0,
            amount(self.done as f64),
            amount(self.total as f64),
            amount(rate),
        )
    }
}

/// The data thread takes commands.
static SERVING: AtomicBool = AtomicBool::new(false);
/// What the process does before it serves; one thing at a time.
static NOW: Mutex<Option<State>> = Mutex::new(None);
/// The bar on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that everything is recovered and the data thread takes commands.
pub(crate) fn serving_begins() {
    SERVING.store(true, Ordering::Release);
}

/// Whether it does.
pub(crate) fn is_serving() -> bool {
    SERVING.load(Ordering::Acquire)
}

/// What the process does before it serves.
pub(crate) fn now() -> Option<State> {
    locked(&NOW).clone()
}

/// Work under way. Dropping it takes the bar away.
pub(crate) struct Progress {
    state: State,
    lines: Lines,
    began: Instant,
    line_at: Instant,
    looked_at: u64,
}

impl Progress {
    /// Begins. `total` may be an estimate.
    pub(crate) fn new(what: &str, unit: Unit, total: u64, lines: Lines) -> Self {
        let state = State { what: what.into(), unit, done: 0, total, elapsed: Duration::ZERO };
        if lines == Lines::Log {
            *locked(&NOW) = Some(state.clone());
        }
        let began = Instant::now();
        Self { state, lines, began, line_at: began + LINE_EVERY, looked_at: 0 }
    }

    /// More was done.
    pub(crate) fn add(&mut self, count: u64) {
        self.state.done += count;
        if self.state.unit == Unit::Keys || self.state.done - self.looked_at >= BYTES_A_LOOK {
            self.look();
        }
    }

    /// This much is done in all.
    pub(crate) fn set(&mut self, done: u64) {
        self.add(done.saturating_sub(self.state.done));
    }

    fn look(&mut self) {
        self.looked_at = self.state.done;
        let at = Instant::now();
        self.state.elapsed = at - self.began;
        if self.lines == Lines::Log {
            *locked(&NOW) = Some(self.state.clone());
        }
        if self.lines != Lines::LogOnly && io::stderr().is_terminal() {
            self.draw();
        } else if at >= self.line_at {
            self.line_at = at + LINE_EVERY;
            self.tell();
        }
    }

    fn tell(&self) {
        match self.lines {
            Lines::LogOnly | Lines::Log => tracing::info!("{}", self.state.line()),
            Lines::Error => {
                let _ = writeln!(io::stderr(), "{}", self.state.line());
            }
        }
    }

    fn draw(&self) {
        if self.state.elapsed < SHOWN_AFTER {
            return;
        }
        let mut bar = locked(&BAR);
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(self.state.total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        // Its own estimate of what is left follows the last steps, which recovery takes unevenly.
        bar.set_message(self.state.line());
        bar.set_position(self.state.done.min(self.state.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.lines == Lines::Log {
            *locked(&NOW) = None;
        }
        if self.lines != Lines::LogOnly
            && let Some(bar) = locked(&BAR).take()
        {
            bar.finish_and_clear();
        }
    }
}

/// Standard output of the log on a terminal: what it writes stands above the bar.
pub(crate) struct AboveBar;

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*locked(&BAR) {
            Some(bar) => bar.suspend(|| io::stdout().write(bytes)),
            None => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Counts what is read from a file.
pub(crate) struct Counted<R> {
    inner: R,
    /// The work that reads it.
    pub progress: Progress,
}

impl<R> Counted<R> {
    /// Counts from here on.
    pub(crate) fn new(inner: R, progress: Progress) -> Self {
        Self { inner, progress }
    }
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_rate_and_time_left() {
        let check = |unit, done, total, elapsed_s, line: &str| {
            let elapsed = Duration::from_secs(elapsed_s);
            assert_eq!(State { what: "work".into(), unit, done, total, elapsed }.line(), line);
        };
        check(
            Unit::Bytes,
            25_000_000,
            100_000_000,
            5,
            "work: 25 % (25.0 of 100.0 MB), 5.0 MB/s, about 15 s left",
        );
        check(Unit::Keys, 500, 1000, 10, "work: 50 % (500 of 1000 keys), 50 keys/s, about 10 s left");
        // Totals are estimates: what turns out larger stays at the end.
        check(Unit::Keys, 1100, 1000, 11, "work: 100 % (1100 of 1000 keys), 100 keys/s, about 0 s left");
        check(Unit::Bytes, 0, 0, 0, "work: 0 % (0.0 of 0.0 MB), 0.0 MB/s, time left unknown");
    }

    #[test]
    fn reading_counts() {
        let progress = Progress::new("reading", Unit::Bytes, 3 << 20, Lines::LogOnly);
        let mut counted = Counted::new(io::repeat(7), progress);
        let mut buffer = vec![0; 2 << 20];
        io::Read::read_exact(&mut counted, &mut buffer).expect("there is no end");
        assert_eq!((counted.progress.state.done, counted.progress.looked_at), (2 << 20, 2 << 20));
    }
}
