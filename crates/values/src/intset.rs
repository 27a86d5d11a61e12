//! The intset: Redis' sorted array of integers in one allocation, byte for byte.
//!
//! ```text
//! bytes of an integer u32 (2, 4 or 8) | integers u32 | integers, ascending       little-endian
//! ```
//!
//! The integers' width grows with the widest one and never shrinks, as in Redis.

use crate::thin::{PREFIX, ThinBytes};

const HEADER: usize = 8;
/// Where the integers stand in the buffer, which has its own length in front.
const INTEGERS: usize = PREFIX + HEADER;

/// A sorted set of distinct integers.
#[derive(Clone)]
pub struct Intset(ThinBytes);

/// Why bytes are no intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIntset {
    /// The integers' width is not 2, 4 or 8.
    Width,
    /// The length differs from what the header says.
    Length,
    /// The integers are not strictly ascending.
    Order,
}

impl std::fmt::Display for BadIntset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Width => "intset: the width of its integers is not 2, 4 or 8",
            Self::Length => "intset: the length in the header is wrong",
            Self::Order => "intset: the integers are not in strictly ascending order",
        })
    }
}

impl std::error::Error for BadIntset {}

impl PartialEq for Intset {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Intset {}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Intset {
    /// An empty intset.
    pub fn new() -> Self {
        Self(ThinBytes::new(&[2, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// Takes foreign bytes after checking them. The empty intset is fine here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadIntset> {
        let [2 | 4 | 8, 0, 0, 0, a, b, c, d, ref integers @ ..] = *bytes else {
            return Err(if bytes.len() < HEADER { BadIntset::Length } else { BadIntset::Width });
        };
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        if len.checked_mul(bytes[0].into()) != Some(integers.len()) {
            return Err(BadIntset::Length);
        }
        let set = Self(ThinBytes::new(bytes));
        if set.iter().is_sorted_by(|a, b| a < b) { Ok(set) } else { Err(BadIntset::Order) }
    }

    /// The bytes as Redis has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes()[PREFIX..]
    }

    /// Number of integers.
    pub fn len(&self) -> usize {
        (self.0.len() - INTEGERS) / self.width()
    }

    /// Whether there is no integer.
    pub fn is_empty(&self) -> bool {
        self.0.len() == INTEGERS
    }

    /// Memory behind the set.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// The integer number `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.value(index))
    }

    /// All integers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        self.as_bytes()[HEADER..].chunks_exact(self.width()).map(decode)
    }

    /// Whether `value` is in the set.
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds `value`; true if it is new.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.search(value) else { return false };
        let width = width_of(value);
        if width > self.width() {
            self.widen(width);
        }
        let (len, width) = (self.len(), self.width());
        self.0.splice(INTEGERS + index * width, 0, width).copy_from_slice(&value.to_le_bytes()[..width]);
        self.set_len(len + 1);
        true
    }

    /// Removes `value`; true if it was there.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else { return false };
        let (len, width) = (self.len(), self.width());
        self.0.splice(INTEGERS + index * width, width, 0);
        self.set_len(len - 1);
        true
    }

    /// The place of `value`, or the place where it would go.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let len = self.len();
        // Numbers often arrive in order: look at the end first.
        if len == 0 || value > self.value(len - 1) {
            return Err(len);
        }
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low.midpoint(high);
            match self.value(middle).cmp(&value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn widen(&mut self, width: usize) {
        let mut wide = Vec::with_capacity(HEADER + self.len() * width);
        wide.extend_from_slice(&[width as u8, 0, 0, 0]);
        wide.extend_from_slice(&self.as_bytes()[4..HEADER]);
        for value in self.iter() {
            wide.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.0 = ThinBytes::new(&wide);
    }

    fn width(&self) -> usize {
        self.as_bytes()[0].into()
    }

    fn value(&self, index: usize) -> i64 {
        let width = self.width();
        decode(&self.as_bytes()[HEADER + index * width..][..width])
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("an intset ends at set-max-intset-entries");
        self.0.write(PREFIX + 4, &len.to_le_bytes());
    }
}

impl FromIterator<i64> for Intset {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        let mut set = Self::new();
        for value in values {
            set.insert(value);
        }
        set
    }
}

fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

fn decode(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("the width is 2, 4 or 8"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BadIntset, Intset};
    use sessile_oracle::{Connection, Oracle, Random};

    /// The real server's bytes of a small set: type 11, a length, the intset, two bytes of version, eight of checksum.
    fn real_bytes(server: &mut Connection) -> Vec<u8> {
        let payload = server.text(&[b"DUMP", b"s"]);
        assert_eq!(payload[0], 11);
        let skip = if payload[1] < 0x40 { 2 } else { 3 };
        payload[skip..payload.len() - 10].to_vec()
    }

    #[test]
    fn equals_a_model_and_the_real_bytes() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        server.text(&[b"CONFIG", b"SET", b"rdbcompression", b"no"]);
        for seed in 0..30 {
            let mut random = Random::new(seed);
            let (mut ours, mut model) = (Intset::new(), BTreeSet::new());
            server.text(&[b"DEL", b"s"]);
            let widest = 8 + random.below(56);
            for step in 0..150 {
                let value = random.integer() >> (63 - random.below(widest));
                let text = value.to_string();
                if random.below(3) > 0 {
                    assert_eq!(ours.insert(value), model.insert(value), "seed {seed} step {step}");
                    server.text(&[b"SADD", b"s", text.as_bytes()]);
                } else {
                    let value = ours.get(random.below(ours.len() + 1)).unwrap_or(value);
                    assert_eq!(ours.remove(value), model.remove(&value), "seed {seed} step {step}");
                    server.text(&[b"SREM", b"s", value.to_string().as_bytes()]);
                    if model.is_empty() {
                        // The real key is gone and starts anew, narrow.
                        ours = Intset::new();
                    }
                }
                assert!(ours.iter().eq(model.iter().copied()), "seed {seed} step {step}");
                assert_eq!((ours.len(), ours.contains(value)), (model.len(), model.contains(&value)));
                assert_eq!(Intset::from_bytes(ours.as_bytes()).as_ref(), Ok(&ours));
                if step % 10 == 0 && !model.is_empty() {
                    assert_eq!(ours.as_bytes(), real_bytes(&mut server), "seed {seed} step {step}");
                }
            }
        }
    }

    #[test]
    fn refuses_damage() {
        let good: Intset = [-5, 3, 70_000].into_iter().collect();
        let check = |at: usize, byte: u8, expected: Result<(), BadIntset>| {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = byte;
            assert_eq!(Intset::from_bytes(&bytes).map(|_| ()), expected, "byte {at}");
        };
        check(0, 4, Ok(()));
        check(0, 3, Err(BadIntset::Width));
        check(1, 1, Err(BadIntset::Width));
        check(0, 8, Err(BadIntset::Length));
        check(4, 2, Err(BadIntset::Length));
        check(7, 0xFF, Err(BadIntset::Length));
        check(11, 0x7F, Err(BadIntset::Order));
        for len in 0..good.as_bytes().len() {
            assert!(Intset::from_bytes(&good.as_bytes()[..len]).is_err(), "{len} bytes");
        }
        let twice = vec![2, 0, 0, 0, 2, 0, 0, 0, 7, 0, 7, 0];
        assert_eq!(Intset::from_bytes(&twice), Err(BadIntset::Order));
    }
}
