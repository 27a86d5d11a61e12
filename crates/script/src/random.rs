//! The generator behind `math.random`: the 48-bit linear congruence of `drand48`, with Redis' start and seeding.

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// The low 16 bits that seeding sets, whatever the seed.
const SEED_LOW: u64 = 0x330E;

/// The generator's state.
pub(crate) struct Rand48(u64);

impl Default for Rand48 {
    fn default() -> Self {
        Self(0x1234_ABCD_330E)
    }
}

impl Rand48 {
    pub(crate) fn seed(&mut self, seed: i32) {
        self.0 = (u64::from(seed.cast_unsigned()) << 16) | SEED_LOW;
    }

    /// The next number from 0 to 2^31 - 1: the upper bits of the state.
    pub(crate) fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        (self.0 >> 17) as i32
    }
}
