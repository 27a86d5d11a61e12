//! HyperLogLog in Redis' own string format, so that its strings can be copied either way.
//!
//! `HYLL` · encoding u8 (0 dense, 1 sparse) · 3 zero bytes · cached cardinality u64 little-endian, whose highest bit
//! says that it is stale · registers. Dense: 16384 registers of 6 bits, lowest bits first. Sparse: runs, as
//! `00llllll` (zeros, 1 to 64), `01llllll llllllll` (zeros, 1 to 16384), `1vvvvvll` (value 1 to 32, 1 to 4 times).

/// Number of registers.
pub(crate) const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of a hash that the index leaves.
const VALUE_BITS: u32 = 64 - INDEX_BITS;
const REGISTER_BITS: usize = 6;
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const SPARSE_VALUE_MAX: u8 = 32;
const SPARSE_VALUE_RUN_MAX: usize = 4;
const ZERO_RUN_MAX: usize = 64;
const STALE: u8 = 0x80;

/// What is wrong with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHll {
    /// It does not look like a HyperLogLog.
    NotOne,
    /// Its sparse registers do not add up.
    Corrupted,
}

/// A HyperLogLog.
#[derive(Clone)]
pub(crate) struct Hll(Vec<u8>);

/// The registers, unpacked.
pub(crate) struct Registers(Box<[u8; REGISTERS]>);

/// A run of equal registers.
#[derive(Clone, Copy)]
struct RunOf {
    value: u8,
    count: usize,
    /// Bytes of its encoding.
    len: usize,
}

fn read_run(bytes: &[u8]) -> Option<RunOf> {
    let first = *bytes.first()?;
    Some(match first >> 6 {
        0 => RunOf { value: 0, count: usize::from(first & 63) + 1, len: 1 },
        1 => RunOf {
            value: 0,
            count: (usize::from(first & 63) << 8 | usize::from(*bytes.get(1)?)) + 1,
            len: 2,
        },
        _ => RunOf { value: (first >> 2 & 31) + 1, count: usize::from(first & 3) + 1, len: 1 },
    })
}

fn put_run(value: u8, count: usize, out: &mut Vec<u8>) {
    if count == 0 {
        return;
    }
    if value > 0 {
        out.push(0x80 | (value - 1) << 2 | (count - 1) as u8);
    } else if count > ZERO_RUN_MAX {
        out.extend([0x40 | ((count - 1) >> 8) as u8, (count - 1) as u8]);
    } else {
        out.push((count - 1) as u8);
    }
}

impl Registers {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    /// Raises each register to the other's.
    pub(crate) fn merge(&mut self, other: &Registers) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(a, b)| *a = (*a).max(*b));
    }

    /// The estimated number of distinct elements (Ertl's improved estimator).
    pub(crate) fn count(&self) -> u64 {
        let mut histogram = [0u32; 64];
        self.0.iter().for_each(|&register| histogram[usize::from(register & 63)] += 1);
        let m = REGISTERS as f64;
        let last = VALUE_BITS as usize;
        let mut z = m * tau((m - f64::from(histogram[last + 1])) / m);
        for &count in histogram[1..=last].iter().rev() {
            z = (z + f64::from(count)) * 0.5;
        }
        z += m * sigma(f64::from(histogram[0]) / m);
        (0.5 / std::f64::consts::LN_2 * m * m / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// An element's register and the value that it asks for.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, 0xadc8_3b19);
    let rest = hash >> INDEX_BITS | 1 << VALUE_BITS;
    ((hash as usize) & (REGISTERS - 1), rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash2, 64-bit, little-endian: what Redis' own strings were made with.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, &byte| tail << 8 | u64::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

impl Hll {
    /// One without elements.
    pub(crate) fn new() -> Self {
        let mut bytes = b"HYLL".to_vec();
        bytes.resize(HEADER, 0);
        bytes[4] = SPARSE;
        put_run(0, REGISTERS, &mut bytes);
        Self(bytes)
    }

    /// Takes a string whose header is sound; sparse registers are checked where they are read.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, BadHll> {
        let sound = bytes.len() >= HEADER
            && bytes.starts_with(b"HYLL")
            && (bytes[4] == SPARSE || bytes[4] == DENSE && bytes.len() == DENSE_LEN);
        if sound { Ok(Self(bytes)) } else { Err(BadHll::NotOne) }
    }

    /// The string.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has the form of fixed length.
    pub(crate) fn is_dense(&self) -> bool {
        self.0[4] == DENSE
    }

    /// The cardinality that the string remembers, unless it is stale.
    pub(crate) fn cached_count(&self) -> Option<u64> {
        let bytes: [u8; 8] = self.0[8..HEADER].try_into().expect("the header has eight bytes for it");
        (bytes[7] & STALE == 0).then(|| u64::from_le_bytes(bytes))
    }

    /// Marks what the string remembers as stale.
    pub(crate) fn invalidate(&mut self) {
        self.0[HEADER - 1] |= STALE;
    }

    /// All registers.
    pub(crate) fn registers(&self) -> Result<Registers, BadHll> {
        let mut registers = Registers::new();
        if self.is_dense() {
            registers
                .0
                .iter_mut()
                .enumerate()
                .for_each(|(index, register)| *register = self.dense_get(index));
            return Ok(registers);
        }
        let (mut at, mut index) = (HEADER, 0);
        while at < self.0.len() {
            let run = read_run(&self.0[at..]).ok_or(BadHll::Corrupted)?;
            registers.0.get_mut(index..index + run.count).ok_or(BadHll::Corrupted)?.fill(run.value);
            (at, index) = (at + run.len, index + run.count);
        }
        if index == REGISTERS { Ok(registers) } else { Err(BadHll::Corrupted) }
    }

    /// Notes an element; true if a register was raised. The sparse form may take `sparse_max` bytes.
    pub(crate) fn add(&mut self, element: &[u8], sparse_max: usize) -> Result<bool, BadHll> {
        let (index, value) = place(element);
        self.raise(index, value, sparse_max)
    }

    /// Raises every register to the given one.
    pub(crate) fn raise_all(&mut self, registers: &Registers, sparse_max: usize) -> Result<(), BadHll> {
        for (index, &value) in registers.0.iter().enumerate().filter(|(_, value)| **value > 0) {
            self.raise(index, value, sparse_max)?;
        }
        Ok(())
    }

    fn raise(&mut self, index: usize, value: u8, sparse_max: usize) -> Result<bool, BadHll> {
        if self.is_dense() {
            return Ok(self.dense_raise(index, value));
        }
        self.sparse_raise(index, value, sparse_max)
    }

    /// The two bytes that a dense register may lie in, as one number, and its place there.
    fn dense_window(&self, index: usize) -> (usize, u16, usize) {
        let bit = index * REGISTER_BITS;
        let at = HEADER + bit / 8;
        let next = self.0.get(at + 1).copied().unwrap_or(0);
        (at, u16::from(self.0[at]) | u16::from(next) << 8, bit % 8)
    }

    fn dense_get(&self, index: usize) -> u8 {
        let (_, window, shift) = self.dense_window(index);
        (window >> shift) as u8 & 63
    }

    fn dense_raise(&mut self, index: usize, value: u8) -> bool {
        let (at, window, shift) = self.dense_window(index);
        if (window >> shift) as u8 & 63 >= value {
            return false;
        }
        let [low, high] = (window & !(63 << shift) | u16::from(value) << shift).to_le_bytes();
        self.0[at] = low;
        if let Some(next) = self.0.get_mut(at + 1) {
            *next = high;
        }
        true
    }

    /// Takes the dense form.
    pub(crate) fn make_dense(&mut self) -> Result<(), BadHll> {
        if self.is_dense() {
            return Ok(());
        }
        let registers = self.registers()?;
        self.0.truncate(HEADER);
        self.0[4] = DENSE;
        self.0.resize(DENSE_LEN, 0);
        for (index, &value) in registers.0.iter().enumerate() {
            self.dense_raise(index, value);
        }
        Ok(())
    }

    fn promote_and_raise(&mut self, index: usize, value: u8) -> Result<bool, BadHll> {
        self.make_dense()?;
        Ok(self.dense_raise(index, value))
    }

    fn sparse_raise(&mut self, index: usize, value: u8, sparse_max: usize) -> Result<bool, BadHll> {
        if value > SPARSE_VALUE_MAX {
            return self.promote_and_raise(index, value);
        }
        let (mut at, mut before, mut first) = (HEADER, HEADER, 0);
        let run = loop {
            let run = self.0.get(at..).and_then(read_run).ok_or(BadHll::Corrupted)?;
            if index < first + run.count {
                break run;
            }
            (before, at, first) = (at, at + run.len, first + run.count);
        };
        if run.value >= value {
            return Ok(false);
        }
        let mut parts = Vec::with_capacity(5);
        put_run(run.value, index - first, &mut parts);
        put_run(value, 1, &mut parts);
        put_run(run.value, first + run.count - 1 - index, &mut parts);
        if parts.len() > run.len && self.0.len() + parts.len() - run.len > sparse_max {
            return self.promote_and_raise(index, value);
        }
        self.0.splice(at..at + run.len, parts);
        self.join_runs(before);
        Ok(true)
    }

    /// Joins runs of the same value from `at` on, as far as a raised register can have made neighbours.
    fn join_runs(&mut self, mut at: usize) {
        for _ in 0..5 {
            let Some(run) = self.0.get(at..).and_then(read_run) else { return };
            let next = self.0.get(at + run.len..).and_then(read_run);
            match next {
                Some(next)
                    if run.value > 0
                        && next.value == run.value
                        && run.count + next.count <= SPARSE_VALUE_RUN_MAX =>
                {
                    let mut joined = Vec::with_capacity(1);
                    put_run(run.value, run.count + next.count, &mut joined);
                    self.0.splice(at..at + 2, joined);
                }
                _ => at += run.len,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARSE_MAX: usize = 3000;

    #[test]
    fn sparse_and_dense_hold_the_same() {
        let mut sparse = Hll::new();
        let mut dense = Hll::new();
        dense.make_dense().expect("an empty one is sound");
        for i in 0..500u32 {
            let element = i.to_string();
            let raised = sparse.add(element.as_bytes(), SPARSE_MAX);
            assert_eq!(raised, dense.add(element.as_bytes(), SPARSE_MAX), "element {i}");
            let (a, b) = (sparse.registers().expect("sound"), dense.registers().expect("sound"));
            assert_eq!(a.0, b.0);
        }
        assert!(!sparse.is_dense() && sparse.as_bytes().len() <= SPARSE_MAX);
        let count = dense.registers().expect("sound").count();
        assert!((490..=510).contains(&count), "{count}");
    }

    #[test]
    fn refuses_registers_that_do_not_add_up() {
        let mut hll = Hll::new();
        for i in 0..50u32 {
            hll.add(&i.to_le_bytes(), SPARSE_MAX).expect("sound");
        }
        for cut in HEADER..hll.0.len() {
            let mut short = Hll(hll.0[..cut].to_vec());
            assert_eq!(short.registers().err(), Some(BadHll::Corrupted));
            let _ = short.add(b"x", SPARSE_MAX);
        }
    }
}
