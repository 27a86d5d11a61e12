//! The bytes of a file as they come in: counted, summed up, and never more of them in memory than have come.

use std::io::{ErrorKind, Read};

use sessile_values::crc64::Crc64;
use sessile_values::dump::{BadPayload, take_string};

use crate::{RdbError, Reason};

/// What is reserved at a time for a long string, whatever length it claims.
const PIECE_BYTES: u64 = 64 * 1024;

pub(crate) struct Input<R> {
    reader: R,
    offset: u64,
    sum: Crc64,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, offset: 0, sum: Crc64::new() }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of all bytes read so far.
    pub(crate) fn sum(&self) -> u64 {
        self.sum.value()
    }

    /// The error that names the place reached.
    pub(crate) fn error(&self, reason: Reason) -> RdbError {
        RdbError { offset: self.offset, reason }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RdbError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        self.reader.read_exact(bytes).map_err(|error| {
            self.error(match error.kind() {
                ErrorKind::UnexpectedEof => Reason::Truncated,
                _ => Reason::Io(error),
            })
        })?;
        self.offset += bytes.len() as u64;
        self.sum.update(bytes);
        Ok(())
    }

    /// Appends the next `len` bytes to `out`.
    pub(crate) fn copy(&mut self, mut len: u64, out: &mut Vec<u8>) -> Result<(), RdbError> {
        while len > 0 {
            let piece = len.min(PIECE_BYTES);
            let start = out.len();
            out.resize(start + piece as usize, 0);
            self.fill(&mut out[start..])?;
            len -= piece;
        }
        Ok(())
    }

    /// A length, or the code of a special string; its bytes are appended to `out`.
    fn copy_len_or_code(&mut self, out: &mut Vec<u8>) -> Result<Result<u64, u8>, RdbError> {
        let first = self.u8()?;
        out.push(first);
        let more: u64 = match first {
            0..0x40 => return Ok(Ok(first.into())),
            0x40..0x80 => 1,
            0x80 => 4,
            0x81 => 8,
            0xC0.. => return Ok(Err(first & 0x3F)),
            _ => return Err(self.error(Reason::Value(BadPayload::Length))),
        };
        let start = out.len();
        self.copy(more, out)?;
        let value = out[start..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Ok(Ok(if more == 1 { u64::from(first & 0x3F) << 8 | value } else { value }))
    }

    /// A length; its bytes are appended to `out`.
    pub(crate) fn copy_len(&mut self, out: &mut Vec<u8>) -> Result<u64, RdbError> {
        self.copy_len_or_code(out)?.map_err(|_| self.error(Reason::Value(BadPayload::Length)))
    }

    /// Appends the bytes of a string to `out`, in the form that they have in the file.
    pub(crate) fn copy_string(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        match self.copy_len_or_code(out)? {
            Ok(len) => self.copy(len, out),
            Err(code @ 0..=2) => self.copy(1 << code, out),
            Err(3) => {
                let packed = self.copy_len(out)?;
                self.copy_len(out)?;
                self.copy(packed, out)
            }
            Err(_) => Err(self.error(Reason::Value(BadPayload::Length))),
        }
    }

    pub(crate) fn len(&mut self) -> Result<u64, RdbError> {
        self.copy_len(&mut Vec::new())
    }

    pub(crate) fn string(&mut self) -> Result<Vec<u8>, RdbError> {
        let offset = self.offset;
        let mut raw = Vec::new();
        self.copy_string(&mut raw)?;
        match take_string(&raw) {
            Ok((text, _)) => Ok(text),
            Err(bad) => Err(RdbError { offset, reason: Reason::Value(bad) }),
        }
    }
}
