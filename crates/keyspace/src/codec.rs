//! The small numbers and byte strings that effects are written in.

use sessile_values::stream::StreamId;

/// Why bytes are no effect. A record's checksum held, so this is a newer version's journal or a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEffect {
    /// It ends in the middle of a field.
    Short,
    /// A number is out of its range.
    Number,
    /// No such kind here.
    UnknownKind(u8),
    /// The value inside a whole-value effect cannot be read.
    Payload,
    /// A string would be longer than commands may make it.
    TooLong,
    /// The effect does not fit the entry that it names.
    Mismatch(&'static str),
}

impl std::fmt::Display for BadEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadEffect::Short => f.write_str("an effect ends in the middle of a field"),
            BadEffect::Number => f.write_str("a number in an effect is out of range"),
            BadEffect::UnknownKind(kind) => {
                write!(f, "effect kind {kind} is unknown: a newer version wrote this journal")
            }
            BadEffect::Payload => f.write_str("a value in an effect cannot be read"),
            BadEffect::TooLong => f.write_str(
                "an effect makes a string longer than `proto-max-bulk-len`: set that to what it was, if it was more",
            ),
            BadEffect::Mismatch(what) => write!(f, "an effect does not fit its entry: {what}"),
        }
    }
}

impl std::error::Error for BadEffect {}

/// Appends a number, seven bits a byte, low bits first.
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a double, little-endian.
pub fn put_f64(out: &mut Vec<u8>, n: f64) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Reads from the front of a byte string.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is still unread.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, BadEffect> {
        let (&first, rest) = self.rest.split_first().ok_or(BadEffect::Short)?;
        self.rest = rest;
        Ok(first)
    }

    /// A number as [`put_varint`] writes it.
    pub fn varint(&mut self) -> Result<u64, BadEffect> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(BadEffect::Number)
    }

    /// A byte string as [`put_bytes`] writes it.
    pub fn bytes(&mut self) -> Result<&'a [u8], BadEffect> {
        let len = usize::try_from(self.varint()?).map_err(|_| BadEffect::Number)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(BadEffect::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A double as [`put_f64`] writes it. They are scores, which are never NaN.
    pub fn f64(&mut self) -> Result<f64, BadEffect> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(BadEffect::Short)?;
        self.rest = rest;
        Some(f64::from_le_bytes(*bytes)).filter(|n| !n.is_nan()).ok_or(BadEffect::Number)
    }

    /// A stream id: two numbers.
    pub fn stream_id(&mut self) -> Result<StreamId, BadEffect> {
        Ok(StreamId { ms: self.varint()?, seq: self.varint()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_number() {
        let check = |number: f64, expected: Result<f64, BadEffect>| {
            let mut bytes = Vec::new();
            put_f64(&mut bytes, number);
            assert_eq!(Reader::new(&bytes).f64(), expected);
        };
        check(1.5, Ok(1.5));
        check(f64::INFINITY, Ok(f64::INFINITY));
        check(f64::NAN, Err(BadEffect::Number));
    }
}
