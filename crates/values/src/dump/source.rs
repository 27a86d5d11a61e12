//! The front of a payload: lengths, strings and ids are taken from it one after another.

use super::{BadPayload, CODE_INT8, CODE_INT16, CODE_INT32, CODE_LZF};
use crate::digits;
use crate::listpack::Listpack;
use crate::lzf;
use crate::stream::StreamId;

/// Takes a byte string in RDB's form from the front of `bytes`; gives how many bytes it took.
pub fn take_string(bytes: &[u8]) -> Result<(Vec<u8>, usize), BadPayload> {
    let mut source = Source::new(bytes);
    let text = source.string()?;
    Ok((text, bytes.len() - source.left()))
}

/// Bytes not yet read.
pub(super) struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are not yet read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn u8(&mut self) -> Result<u8, BadPayload> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], BadPayload> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BadPayload::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPayload> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(BadPayload::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length, or the code of a special string.
    fn len_or_code(&mut self) -> Result<Result<u64, u8>, BadPayload> {
        let first = self.u8()?;
        Ok(Ok(match first >> 6 {
            0 => u64::from(first),
            1 => u64::from(first & 0x3f) << 8 | u64::from(self.u8()?),
            2 if first == 0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            2 if first == 0x81 => u64::from_be_bytes(self.array()?),
            3 => return Ok(Err(first & 0x3f)),
            _ => return Err(BadPayload::Length),
        }))
    }

    pub(super) fn len(&mut self) -> Result<u64, BadPayload> {
        self.len_or_code()?.map_err(|_| BadPayload::Length)
    }

    /// A number of things of at least `bytes` each: more than what is left cannot be.
    pub(super) fn count(&mut self, bytes: usize) -> Result<usize, BadPayload> {
        let count = usize::try_from(self.len()?).map_err(|_| BadPayload::Truncated)?;
        if count > self.rest.len() / bytes.max(1) { Err(BadPayload::Truncated) } else { Ok(count) }
    }

    pub(super) fn string(&mut self) -> Result<Vec<u8>, BadPayload> {
        let int = |n: i64| digits::format_i64(n, &mut [0; 21]).to_vec();
        let size = |len: u64| usize::try_from(len).map_err(|_| BadPayload::Truncated);
        match self.len_or_code()? {
            Ok(len) => self.take(size(len)?).map(<[u8]>::to_vec),
            Err(CODE_INT8) => Ok(int(i64::from(i8::from_le_bytes(self.array()?)))),
            Err(CODE_INT16) => Ok(int(i64::from(i16::from_le_bytes(self.array()?)))),
            Err(CODE_INT32) => Ok(int(i64::from(i32::from_le_bytes(self.array()?)))),
            Err(CODE_LZF) => {
                let (packed, len) = (size(self.len()?)?, size(self.len()?)?);
                lzf::decompress(self.take(packed)?, len).map_err(|_| BadPayload::Lzf)
            }
            Err(_) => Err(BadPayload::Length),
        }
    }

    pub(super) fn listpack(&mut self) -> Result<Listpack, BadPayload> {
        Listpack::from_bytes(&self.string()?).map_err(BadPayload::Listpack)
    }

    /// An id of 16 bytes.
    pub(super) fn raw_id(&mut self) -> Result<StreamId, BadPayload> {
        Ok(StreamId { ms: u64::from_be_bytes(self.array()?), seq: u64::from_be_bytes(self.array()?) })
    }

    /// An id of two lengths.
    pub(super) fn id(&mut self) -> Result<StreamId, BadPayload> {
        Ok(StreamId { ms: self.len()?, seq: self.len()? })
    }
}
