//! Where the body of an entry ends: it says so only by its structure.

use std::io::Read;

use sessile_values::dump::{BadPayload, kind};

use crate::input::Input;
use crate::{RdbError, Reason};

/// The length bytes of a score in text that stand for the score.
const SCORE_SPECIAL: u8 = 253;
const SCORE_BYTES: u64 = 8;
const TIME_BYTES: u64 = 8;
const ID_BYTES: u64 = 16;

impl<R: Read> Input<R> {
    /// Appends the body of a value of type `number` to `out`.
    pub(crate) fn copy_body(&mut self, number: u8, out: &mut Vec<u8>) -> Result<(), RdbError> {
        match number {
            kind::STRING
            | kind::HASH_ZIPMAP..=kind::HASH_ZIPLIST
            | kind::HASH_LISTPACK
            | kind::ZSET_LISTPACK
            | kind::SET_LISTPACK => self.copy_string(out),
            kind::LIST | kind::SET | kind::LIST_QUICKLIST => self.copy_each(out, Self::copy_string),
            kind::HASH => self.copy_each(out, |it, out| {
                it.copy_string(out)?;
                it.copy_string(out)
            }),
            kind::ZSET => self.copy_each(out, |it, out| {
                it.copy_string(out)?;
                it.copy_text_score(out)
            }),
            kind::ZSET_2 => self.copy_each(out, |it, out| {
                it.copy_string(out)?;
                it.copy(SCORE_BYTES, out)
            }),
            kind::LIST_QUICKLIST_2 => self.copy_each(out, |it, out| {
                it.copy_len(out)?;
                it.copy_string(out)
            }),
            kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
                self.copy_stream(number, out)
            }
            6 | 7 => Err(self.error(Reason::Module)),
            unknown => Err(self.error(Reason::Value(BadPayload::Kind(unknown)))),
        }
    }

    /// A count, and as many times what `copy` appends.
    fn copy_each(
        &mut self,
        out: &mut Vec<u8>,
        mut copy: impl FnMut(&mut Self, &mut Vec<u8>) -> Result<(), RdbError>,
    ) -> Result<(), RdbError> {
        let count = self.copy_len(out)?;
        (0..count).try_for_each(|_| copy(self, out))
    }

    fn copy_text_score(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let len = self.u8()?;
        out.push(len);
        if len >= SCORE_SPECIAL { Ok(()) } else { self.copy(len.into(), out) }
    }

    fn copy_lens(&mut self, count: usize, out: &mut Vec<u8>) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.copy_len(out).map(drop))
    }

    fn copy_stream(&mut self, number: u8, out: &mut Vec<u8>) -> Result<(), RdbError> {
        let first = number == kind::STREAM_LISTPACKS;
        self.copy_each(out, |it, out| {
            it.copy_string(out)?;
            it.copy_string(out)
        })?;
        // Length and last id; then first id, greatest deleted id, entries ever added.
        self.copy_lens(if first { 3 } else { 8 }, out)?;
        self.copy_each(out, |it, out| {
            it.copy_string(out)?;
            it.copy_lens(if first { 2 } else { 3 }, out)?;
            it.copy_each(out, |it, out| {
                it.copy(ID_BYTES + TIME_BYTES, out)?;
                it.copy_lens(1, out)
            })?;
            it.copy_each(out, |it, out| {
                it.copy_string(out)?;
                it.copy(if number == kind::STREAM_LISTPACKS_3 { 2 } else { 1 } * TIME_BYTES, out)?;
                it.copy_each(out, |it, out| it.copy(ID_BYTES, out))
            })
        })
    }
}
