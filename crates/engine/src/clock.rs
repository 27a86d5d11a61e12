//! The engine's clock: it never goes back and never stops.

/// Time as the caller reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Wall clock, milliseconds since the epoch.
    pub wall_ms: u64,
    /// A clock that runs through suspension and is never set (`CLOCK_BOOTTIME`), milliseconds.
    pub boot_ms: u64,
}

/// Milliseconds since the epoch, as the engine counts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now_ms: u64,
    boot_ms: u64,
    wall_ms: u64,
}

impl Clock {
    /// Starts at the wall clock, or at the time of the last record where that is later.
    pub fn start(now: Now, last_record_ms: u64) -> Self {
        Self { now_ms: now.wall_ms.max(last_record_ms), boot_ms: now.boot_ms, wall_ms: now.wall_ms }
    }

    /// Notes a record's time, which may be ahead of the wall clock: time never goes back.
    pub fn has_been(&mut self, record_ms: u64) {
        self.now_ms = self.now_ms.max(record_ms);
    }

    /// Advances by what has passed, or jumps to the wall clock where that is ahead.
    pub fn advance(&mut self, now: Now) {
        let passed_ms = now.boot_ms.saturating_sub(self.boot_ms);
        self.now_ms = (self.now_ms + passed_ms).max(now.wall_ms);
        self.boot_ms = self.boot_ms.max(now.boot_ms);
        self.wall_ms = now.wall_ms;
    }

    /// The time.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How far the engine's clock is ahead of the wall clock.
    pub fn ahead_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.wall_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Now};

    #[test]
    fn never_goes_back_never_stops_and_follows_a_wall_that_is_ahead() {
        let mut clock = Clock::start(Now { wall_ms: 1000, boot_ms: 10 }, 5000);
        let mut check = |wall_ms, boot_ms, now_ms, ahead_ms| {
            clock.advance(Now { wall_ms, boot_ms });
            assert_eq!((clock.now_ms(), clock.ahead_ms()), (now_ms, ahead_ms));
        };
        check(1001, 11, 5001, 4000);
        check(500, 12, 5002, 4502);
        check(9000, 13, 9000, 0);
        check(100, 20, 9007, 8907);
        check(100, 20, 9007, 8907);
        // A machine that has been up for a hundred days: only what passes from now on counts.
        let mut clock = Clock::start(Now { wall_ms: 1000, boot_ms: 8_640_000_000 }, 0);
        clock.has_been(5000);
        clock.advance(Now { wall_ms: 1001, boot_ms: 8_640_000_001 });
        assert_eq!((clock.now_ms(), clock.ahead_ms()), (5001, 4000));
        clock.has_been(4000);
        assert_eq!(clock.now_ms(), 5001);
    }
}
