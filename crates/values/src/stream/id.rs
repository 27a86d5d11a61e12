//! Ids of stream entries: time and sequence, and the ways clients write them.

use std::fmt;

use crate::digits::parse_u64;

/// Longer texts are no ids, whatever they say.
const TEXT_MAX: usize = 127;

/// An entry's id; ids order a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct StreamId {
    /// Milliseconds since the epoch, usually.
    pub ms: u64,
    /// Distinguishes entries of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id with these parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id after this one; `None` after the greatest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before `0-0`.
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq` or `ms`, whose sequence is then `missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        let text = printable(text)?;
        let mut parts = text.splitn(2, |&byte| byte == b'-');
        let ms = parse_u64(parts.next()?)?;
        let seq = match parts.next() {
            Some(seq) => parse_u64(seq)?,
            None => missing_seq,
        };
        Some(Self { ms, seq })
    }

    /// As [`StreamId::parse`], but `-` is the least and `+` the greatest id.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<Self> {
        match printable(text)? {
            b"-" => Some(Self::MIN),
            b"+" => Some(Self::MAX),
            text => Self::parse(text, missing_seq),
        }
    }

    /// Reads the id of an entry to be added: `ms-seq`, `ms`, or `ms-*`, which leaves the sequence open. Gives the id
    /// and whether its sequence was given.
    pub fn parse_new(text: &[u8]) -> Option<(Self, bool)> {
        match printable(text)?.strip_suffix(b"-*") {
            // A second dash belongs to the sequence, and no sequence has one.
            Some(ms) if !ms.contains(&b'-') => Some((Self { ms: parse_u64(ms)?, seq: 0 }, false)),
            _ => Self::parse(text, 0).map(|id| (id, true)),
        }
    }
}

/// Redis reads ids as C strings of bounded length.
fn printable(text: &[u8]) -> Option<&[u8]> {
    if text.len() > TEXT_MAX { None } else { text.split(|&byte| byte == 0).next() }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::StreamId;

    #[test]
    fn reads_what_redis_reads() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let id = expected.map(|(ms, seq)| StreamId { ms, seq });
            assert_eq!(StreamId::parse(text.as_bytes(), 7), id, "{text:?}");
        };
        check("5", Some((5, 7)));
        check("5-6", Some((5, 6)));
        check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX)));
        check("18446744073709551616", None);
        check("05-06", Some((5, 6)));
        for bad in ["", "-", "+", "-5", "5-", "5-*", "a", "5-6-7", "5 ", "*"] {
            check(bad, None);
        }
        check(&"0".repeat(127), Some((0, 7)));
        check(&"0".repeat(128), None);
        assert_eq!(StreamId::parse_bound(b"-", 0), Some(StreamId::MIN));
        assert_eq!(StreamId::parse_bound(b"+", 0), Some(StreamId::MAX));
        assert_eq!(StreamId::parse_bound(b"3", 9), Some(StreamId { ms: 3, seq: 9 }));
        assert_eq!(StreamId::parse_new(b"3-*"), Some((StreamId { ms: 3, seq: 0 }, false)));
        assert_eq!(StreamId::parse_new(b"3"), Some((StreamId { ms: 3, seq: 0 }, true)));
        assert_eq!(StreamId::parse_new(b"3-1-*"), None);
        assert_eq!(StreamId::parse_new(b"+"), None);
    }

    #[test]
    fn neighbours_carry_over() {
        let id = StreamId { ms: 4, seq: u64::MAX };
        assert_eq!(id.next(), Some(StreamId { ms: 5, seq: 0 }));
        assert_eq!(StreamId { ms: 5, seq: 0 }.prev(), Some(id));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.prev()), (None, None));
        assert_eq!(StreamId { ms: 5, seq: 6 }.to_string(), "5-6");
    }
}
