//! A segment file: a header in a block of its own, then records. Snapshots are files of the same form.

use crate::record::{checksum, u16_at, u32_at, u64_at};

/// Version of the format that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

/// Where records begin. The header has a block of its own, so that no write of a record ever touches it.
pub const RECORDS_OFFSET: u64 = 4096;

/// Default size of a segment file in bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;

const MAGIC: [u8; 8] = *b"SESSILEJ";

const MAGIC_OFFSET: usize = 0;
const VERSION_OFFSET: usize = MAGIC_OFFSET + MAGIC.len();
const KIND_OFFSET: usize = VERSION_OFFSET + 2;
const CIPHER_OFFSET: usize = KIND_OFFSET + 1;
const KEY_ID_OFFSET: usize = CIPHER_OFFSET + 1;
const SHARD_OFFSET: usize = KEY_ID_OFFSET + 4;
const SHARD_RESERVED_OFFSET: usize = SHARD_OFFSET + 4;
const SALT_OFFSET: usize = SHARD_RESERVED_OFFSET + 4;
const NUMBER_OFFSET: usize = SALT_OFFSET + 8;
const RESERVED_OFFSET: usize = NUMBER_OFFSET + 8;
const CHECKSUM_OFFSET: usize = RESERVED_OFFSET + 16;

/// Length of a segment's header in bytes.
pub const SEGMENT_HEADER_LEN: usize = CHECKSUM_OFFSET + 8;

const _: () = assert!(SEGMENT_HEADER_LEN as u64 <= RECORDS_OFFSET);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stretch of the journal.
    Segment,
    /// A snapshot.
    Snapshot,
}

/// The header of a segment or snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) kind: Kind,
    pub(crate) shard: u32,
    /// Goes into every record's checksum; new in each life of the file.
    pub(crate) salt: u64,
    /// Segments count densely; a snapshot has its LSN here.
    pub(crate) number: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It does not verify.
    Damaged,
    /// It verifies and is of another format version, or asks for a cipher that this build does not have.
    UnknownVersion { version: u16, cipher: u8 },
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut out = [0; SEGMENT_HEADER_LEN];
        let mut put = |offset: usize, bytes: &[u8]| out[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(MAGIC_OFFSET, &MAGIC);
        put(VERSION_OFFSET, &FORMAT_VERSION.to_le_bytes());
        let kind = match self.kind {
            Kind::Segment => 1,
            Kind::Snapshot => 2,
        };
        put(KIND_OFFSET, &[kind]);
        put(SHARD_OFFSET, &self.shard.to_le_bytes());
        put(SALT_OFFSET, &self.salt.to_le_bytes());
        put(NUMBER_OFFSET, &self.number.to_le_bytes());
        let sum = checksum(0, &out[..CHECKSUM_OFFSET]);
        out[CHECKSUM_OFFSET..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..SEGMENT_HEADER_LEN).ok_or(HeaderError::Damaged)?;
        if bytes[..MAGIC.len()] != MAGIC
            || u64_at(bytes, CHECKSUM_OFFSET) != checksum(0, &bytes[..CHECKSUM_OFFSET])
        {
            return Err(HeaderError::Damaged);
        }
        let (version, cipher) = (u16_at(bytes, VERSION_OFFSET), bytes[CIPHER_OFFSET]);
        let kind = match bytes[KIND_OFFSET] {
            1 => Some(Kind::Segment),
            2 => Some(Kind::Snapshot),
            _ => None,
        };
        match kind {
            Some(kind) if version == FORMAT_VERSION && cipher == 0 && u32_at(bytes, KEY_ID_OFFSET) == 0 => {
                Ok(Self {
                    kind,
                    shard: u32_at(bytes, SHARD_OFFSET),
                    salt: u64_at(bytes, SALT_OFFSET),
                    number: u64_at(bytes, NUMBER_OFFSET),
                })
            }
            _ => Err(HeaderError::UnknownVersion { version, cipher }),
        }
    }
}

/// Names of the files in the journal's directory.
pub(crate) mod names {
    const SEGMENT: &str = "segment-";
    const SNAPSHOT: &str = "snapshot-";
    const RECYCLED: &str = "recycled-";
    const TEMPORARY: &str = ".tmp";
    /// Copies that a repair keeps; recovery does not look at them.
    pub(crate) const BACKUP: &str = "backup-";

    pub(crate) fn segment(number: u64) -> String {
        format!("{SEGMENT}{number:020}")
    }

    pub(crate) fn snapshot(lsn: u64) -> String {
        format!("{SNAPSHOT}{lsn:020}")
    }

    /// A segment that has been let go of and waits to be used again.
    pub(crate) fn recycled(number: u64) -> String {
        format!("{RECYCLED}{number:020}")
    }

    pub(crate) fn temporary(name: &str) -> String {
        format!("{name}{TEMPORARY}")
    }

    pub(crate) fn parse_segment(name: &str) -> Option<u64> {
        number(name.strip_prefix(SEGMENT)?)
    }

    pub(crate) fn parse_snapshot(name: &str) -> Option<u64> {
        number(name.strip_prefix(SNAPSHOT)?)
    }

    /// Whether a file is a left-over that recovery removes.
    pub(crate) fn is_leftover(name: &str) -> bool {
        (name.ends_with(TEMPORARY) && !name.starts_with(BACKUP)) || name.starts_with(RECYCLED)
    }

    fn number(digits: &str) -> Option<u64> {
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader { kind: Kind::Segment, shard: 5, salt: 0x0123_4567_89ab_cdef, number: 9 }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "53455353494c454a", // magic
                "0100",             // version
                "01",               // kind
                "00",               // cipher
                "00000000",         // key id
                "05000000",         // shard
                "00000000",         // reserved
                "efcdab8967452301", // salt
                "0900000000000000", // number
                "0000000000000000", // reserved
                "0000000000000000", // reserved
                "37b7696f98db50b7", // checksum
            )
        );
    }

    #[test]
    fn a_header_decodes_and_no_flipped_bit_does() {
        let mut bytes = sample().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(sample()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Damaged), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn names_parse_back_and_nothing_else_does() {
        assert_eq!(names::parse_segment(&names::segment(12)), Some(12));
        assert_eq!(names::parse_snapshot(&names::snapshot(u64::MAX)), Some(u64::MAX));
        for name in ["segment-12", "segment-+0000000000000000012", "segment-99999999999999999999", "lock"] {
            assert_eq!(names::parse_segment(name), None, "{name}");
        }
        assert!(
            names::is_leftover(&names::temporary(&names::segment(1)))
                && names::is_leftover(&names::recycled(1))
        );
        assert!(!names::is_leftover("backup-1-segment.tmp") && !names::is_leftover(&names::segment(1)));
    }
}
