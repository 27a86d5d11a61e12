//! Access bits and the choice of what to evict: Redis' approximations of LRU and LFU.
//!
//! An entry's 32 access bits hold either the second of its last access, or (LFU) the minute of its last decay above
//! an 8-bit logarithmic counter.

use std::cell::Cell;

use crate::entry::Entry;

/// A new entry's LFU counter: high enough not to be evicted before it could be used.
const LFU_INIT: u32 = 5;

/// What an access leaves in an entry: the engine sets the time once a command.
#[derive(Clone, Debug)]
pub struct AccessClock {
    /// Whether `maxmemory-policy` is an LFU one.
    pub lfu: bool,
    /// The engine's clock, in seconds.
    pub now_s: u64,
    /// `lfu-log-factor`.
    pub log_factor: u32,
    /// `lfu-decay-time`, in minutes.
    pub decay_min: u32,
    /// State of the coin that LFU counters are raised by; it decides nothing that is journaled.
    pub coin: Cell<u64>,
}

impl Default for AccessClock {
    fn default() -> Self {
        Self { lfu: false, now_s: 0, log_factor: 10, decay_min: 1, coin: Cell::new(1) }
    }
}

impl AccessClock {
    fn minute(&self) -> u32 {
        (self.now_s / 60) as u32 & 0xffff
    }

    /// The access bits of an entry that is born now.
    pub fn of_new(&self) -> u32 {
        if self.lfu { self.minute() << 8 | LFU_INIT } else { self.now_s as u32 }
    }

    /// Notes an access now.
    pub fn touch(&self, entry: &Entry) {
        if !self.lfu {
            entry.set_access(self.now_s as u32);
            return;
        }
        let counter = self.frequency(entry);
        // xorshift: a coin that costs nothing; chance that matters comes from the shard's generator.
        let mut coin = self.coin.get();
        coin ^= coin << 13;
        coin ^= coin >> 7;
        coin ^= coin << 17;
        self.coin.set(coin);
        let base = f64::from(counter.saturating_sub(LFU_INIT));
        let chance = 1.0 / (base * f64::from(self.log_factor) + 1.0);
        let raise = counter < 255 && (coin >> 11) as f64 / ((1u64 << 53) as f64) < chance;
        entry.set_access(self.minute() << 8 | (counter + u32::from(raise)));
    }

    /// The LFU counter with its decay taken off.
    pub fn frequency(&self, entry: &Entry) -> u32 {
        let access = entry.access();
        let elapsed = self.minute().wrapping_sub(access >> 8) & 0xffff;
        let periods = elapsed.checked_div(self.decay_min).unwrap_or(0);
        (access & 0xff).saturating_sub(periods)
    }

    /// Seconds since the last access.
    pub fn idle_s(&self, entry: &Entry) -> u64 {
        u64::from((self.now_s as u32).wrapping_sub(entry.access()))
    }
}
