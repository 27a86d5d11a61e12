//! The clocks that the engine is told.

use rustix::time::{ClockId, clock_gettime};
use sessile_engine::Now;

/// The time now.
pub(crate) fn now() -> Now {
    let ms = |id| {
        let at = clock_gettime(id);
        at.tv_sec as u64 * 1000 + at.tv_nsec as u64 / 1_000_000
    };
    Now { wall_ms: ms(ClockId::Realtime), boot_ms: ms(ClockId::Boottime) }
}

/// Microseconds since some moment, for durations.
pub(crate) fn stopwatch_us() -> u64 {
    let at = clock_gettime(ClockId::Monotonic);
    at.tv_sec as u64 * 1_000_000 + at.tv_nsec as u64 / 1000
}
