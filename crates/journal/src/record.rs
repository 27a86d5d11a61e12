//! A record: a fixed header, then payload, zero-padded to eight bytes. One checksum covers the salt and every raw byte.

use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// Most payload bytes in one record; a larger run is cut into fragments.
pub const RECORD_PAYLOAD_MAX: usize = 1 << 20;

/// Records begin at multiples of this, so a scan for a later valid record tries few offsets.
pub(crate) const ALIGN: usize = 8;

const CHECKSUM_OFFSET: usize = 0;
const LENGTH_OFFSET: usize = CHECKSUM_OFFSET + 8;
const FLAGS_OFFSET: usize = LENGTH_OFFSET + 4;
const RESERVED_OFFSET: usize = FLAGS_OFFSET + 2;
const SEQ_OFFSET: usize = RESERVED_OFFSET + 2;
const BASE_LSN_OFFSET: usize = SEQ_OFFSET + 8;
const LAST_LSN_OFFSET: usize = BASE_LSN_OFFSET + 8;
const TERM_OFFSET: usize = LAST_LSN_OFFSET + 8;
const TIME_OFFSET: usize = TERM_OFFSET + 8;
const DURABLE_LSN_OFFSET: usize = TIME_OFFSET + 8;
const PREV_CHECKSUM_OFFSET: usize = DURABLE_LSN_OFFSET + 8;

/// Length of a record's header in bytes.
pub const RECORD_HEADER_LEN: usize = PREV_CHECKSUM_OFFSET + 8;

const _: () = assert!(RECORD_HEADER_LEN.is_multiple_of(ALIGN) && RECORD_PAYLOAD_MAX <= u32::MAX as usize);

/// What a record is; a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

impl Flags {
    /// The first fragment of a run.
    pub(crate) const FIRST: Self = Self(1);
    /// The last fragment of a run: with it the run exists.
    pub(crate) const COMMIT: Self = Self(1 << 1);
    /// Belongs to a snapshot.
    pub(crate) const SNAPSHOT: Self = Self(1 << 2);
    /// Carries no transaction, only the newest `durable_lsn`.
    pub(crate) const EMPTY: Self = Self(1 << 3);
    /// The verified footer of a snapshot.
    pub(crate) const END: Self = Self(1 << 4);

    const KNOWN: u16 = Self::FIRST.0 | Self::COMMIT.0 | Self::SNAPSHOT.0 | Self::EMPTY.0 | Self::END.0;

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn is_known(self) -> bool {
        self.0 & !Self::KNOWN == 0
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::FIRST, "first"),
            (Self::COMMIT, "commit"),
            (Self::SNAPSHOT, "snapshot"),
            (Self::EMPTY, "empty"),
            (Self::END, "end"),
        ];
        let mut separator = "";
        for (flag, name) in names {
            if self.has(flag) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        Ok(())
    }
}

/// A record's header, checksum apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: Flags,
    /// Counts records, densely; in a snapshot, its own records from 1.
    pub(crate) seq: u64,
    /// LSN before the run's first transaction.
    pub(crate) base_lsn: u64,
    /// LSN of the run's last transaction.
    pub(crate) last_lsn: u64,
    pub(crate) term: u64,
    pub(crate) time_ms: u64,
    /// Newest LSN known durable when this was written.
    pub(crate) durable_lsn: u64,
    /// Checksum of the record before; 0 for the first of all.
    pub(crate) prev_checksum: u64,
}

/// A record that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) header: Header,
    pub(crate) checksum: u64,
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes it takes in the file.
    pub(crate) fn size(&self) -> usize {
        record_size(self.payload.len())
    }
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// A record whose checksum holds.
    Valid(Record<'a>),
    /// Zeros where a header would be, or no room for one: nothing was written here.
    Zeros,
    /// Anything else.
    Bad,
}

/// The greatest seq, LSN or term: no journal comes there, and what follows one can always be counted on.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// Bytes that a record with `payload_len` bytes of payload takes in a file.
pub(crate) const fn record_size(payload_len: usize) -> usize {
    (RECORD_HEADER_LEN + payload_len).next_multiple_of(ALIGN)
}

/// Appends the encoded record to `out` and returns its checksum.
///
/// # Panics
/// If `payload` exceeds [`RECORD_PAYLOAD_MAX`]: the writer cuts runs before it comes here.
pub(crate) fn encode(header: &Header, payload: &[u8], salt: u64, out: &mut Vec<u8>) -> u64 {
    assert!(payload.len() <= RECORD_PAYLOAD_MAX, "a record of {} bytes must be cut first", payload.len());
    let start = out.len();
    out.reserve(record_size(payload.len()));
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&header.flags.0.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    for field in [
        header.seq,
        header.base_lsn,
        header.last_lsn,
        header.term,
        header.time_ms,
        header.durable_lsn,
        header.prev_checksum,
    ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    debug_assert_eq!(out.len() - start, RECORD_HEADER_LEN);
    out.extend_from_slice(payload);
    out.resize(start + record_size(payload.len()), 0);
    let checksum = checksum(salt, &out[start + LENGTH_OFFSET..]);
    out[start..start + 8].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Reads the record at the start of `bytes`, which reach to the end of the segment.
pub(crate) fn decode(bytes: &[u8], salt: u64) -> Decoded<'_> {
    let Some(header) = bytes.get(..RECORD_HEADER_LEN) else {
        return Decoded::Zeros;
    };
    let length = u32_at(header, LENGTH_OFFSET) as usize;
    let seq = u64_at(header, SEQ_OFFSET);
    if seq == 0 {
        return if header.iter().all(|&byte| byte == 0) { Decoded::Zeros } else { Decoded::Bad };
    }
    if length > RECORD_PAYLOAD_MAX {
        return Decoded::Bad;
    }
    let Some(raw) = bytes.get(..record_size(length)) else { return Decoded::Bad };
    let stored = u64_at(raw, CHECKSUM_OFFSET);
    if checksum(salt, &raw[LENGTH_OFFSET..]) != stored {
        return Decoded::Bad;
    }
    let header = Header {
        flags: Flags(u16_at(raw, FLAGS_OFFSET)),
        seq,
        base_lsn: u64_at(raw, BASE_LSN_OFFSET),
        last_lsn: u64_at(raw, LAST_LSN_OFFSET),
        term: u64_at(raw, TERM_OFFSET),
        time_ms: u64_at(raw, TIME_OFFSET),
        durable_lsn: u64_at(raw, DURABLE_LSN_OFFSET),
        prev_checksum: u64_at(raw, PREV_CHECKSUM_OFFSET),
    };
    let numbers = [header.seq, header.last_lsn, header.durable_lsn, header.term];
    if numbers.iter().any(|&number| number > NUMBER_MAX) {
        return Decoded::Bad;
    }
    Decoded::Valid(Record { header, checksum: stored, payload: &raw[RECORD_HEADER_LEN..][..length] })
}

/// The seq that a record at the start of `bytes` would have; 0 if there is no room for one. For quick rejection.
pub(crate) fn peek_seq(bytes: &[u8]) -> u64 {
    if bytes.len() < RECORD_HEADER_LEN { 0 } else { u64_at(bytes, SEQ_OFFSET) }
}

/// CRC-64/NVME over salt and bytes. A CRC maps different salts to different sums of the same bytes, always: what an
/// earlier life of a reused segment left behind cannot verify, not even by chance.
pub(crate) fn checksum(salt: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(&salt.to_le_bytes());
    digest.update(bytes);
    digest.finalize()
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(std::array::from_fn(|i| bytes[offset + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn sample() -> (Header, Vec<u8>) {
        let header = Header {
            flags: Flags::FIRST.with(Flags::COMMIT),
            seq: 7,
            base_lsn: 40,
            last_lsn: 42,
            term: 3,
            time_ms: 1_763_000_000_123,
            durable_lsn: 39,
            prev_checksum: 0x1122_3344_5566_7788,
        };
        (header, b"effects!!".to_vec())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_bytes() {
        let (header, payload) = sample();
        let mut out = Vec::new();
        encode(&header, &payload, SALT, &mut out);
        assert_eq!(
            hex(&out),
            concat!(
                "77932d793afb4478", // checksum
                "09000000",         // length
                "0300",             // flags
                "0000",             // reserved
                "0700000000000000", // seq
                "2800000000000000", // base LSN
                "2a00000000000000", // last LSN
                "0300000000000000", // term
                "7b1efd7a9a010000", // time
                "2700000000000000", // durable LSN
                "8877665544332211", // checksum of the record before
                "6566666563747321", // payload
                "2100000000000000", // payload, padding
            )
        );
    }

    #[test]
    fn what_was_encoded_decodes_and_no_flipped_bit_does() {
        let (header, payload) = sample();
        let mut out = Vec::new();
        let checksum = encode(&header, &payload, SALT, &mut out);
        assert_eq!(decode(&out, SALT), Decoded::Valid(Record { header, checksum, payload: &payload }));
        assert_eq!(decode(&out, SALT + 1), Decoded::Bad);
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&out, SALT), Decoded::Bad, "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        for length in RECORD_HEADER_LEN..out.len() {
            assert_eq!(decode(&out[..length], SALT), Decoded::Bad, "cut to {length} bytes");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        for length in [0, 1, RECORD_HEADER_LEN, 4096] {
            assert_eq!(decode(&vec![0; length], SALT), Decoded::Zeros);
        }
    }
}
