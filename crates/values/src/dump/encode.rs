//! Values as payloads.

use super::{CODE_INT8, CODE_INT16, CODE_INT32, CODE_LZF, NODE_PACKED, kind};
use crate::digits;
use crate::lzf;
use crate::value::Value;
use crate::{Hash, List, Set, Text, Zset};

/// Strings up to this length are not worth compressing, as in Redis.
const UNCOMPRESSED_MAX: usize = 20;
/// The longest text of an integer of 32 bits.
pub(super) const INT_TEXT_MAX: usize = 11;

/// Writes payloads, with LZF or without.
pub struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    compress: bool,
    /// Everything that is known is written, which Redis 7.0 may be unable to read.
    pub(super) exact: bool,
}

/// Appends a string, uncompressed.
pub fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    Encoder::new(out, false).text(text);
}

/// Appends a long string, uncompressed.
pub fn encode_rope(text: &Text, out: &mut Vec<u8>) {
    Encoder::new(out, false).rope(text);
}

/// Appends any value, uncompressed.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) {
    Encoder::new(out, false).value(value);
}

/// As [`encode_value`], with what the version of payloads has no place for. For effects: it never leaves the node.
pub fn encode_exact(value: &Value, out: &mut Vec<u8>) {
    Encoder { exact: true, ..Encoder::new(out, false) }.value(value);
}

impl<'a> Encoder<'a> {
    /// Appends to `out`. `compress`: strings and nodes beyond 20 bytes take their LZF form where that is shorter.
    /// It costs time on whichever thread encodes, so the journal does without.
    pub fn new(out: &'a mut Vec<u8>, compress: bool) -> Self {
        Self { out, compress, exact: false }
    }

    /// Appends the payload of a string.
    pub fn text(&mut self, text: &[u8]) {
        self.out.push(kind::STRING);
        self.string(text);
    }

    /// Appends the payload of a long string.
    pub fn rope(&mut self, text: &Text) {
        if self.compress || text.len() <= INT_TEXT_MAX {
            self.text(&text.to_vec());
            return;
        }
        self.out.push(kind::STRING);
        put_len(self.out, text.len() as u64);
        text.pieces(0, text.len()).for_each(|piece| self.out.extend_from_slice(piece));
    }

    /// Appends the payload of any value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.rope(text),
            Value::List(list) => self.list(list),
            Value::Set(set) => self.set(set),
            Value::Hash(hash) => self.hash(hash),
            Value::Zset(zset) => self.zset(zset),
            Value::Stream(stream) => self.stream(stream),
        }
    }

    fn list(&mut self, list: &List) {
        let nodes = list.nodes();
        self.out.push(kind::LIST_QUICKLIST_2);
        put_len(self.out, nodes.len() as u64);
        for node in nodes {
            put_len(self.out, NODE_PACKED);
            self.string(node.as_bytes());
        }
    }

    fn set(&mut self, set: &Set) {
        if let Some(ints) = set.as_intset() {
            self.out.push(kind::SET_INTSET);
            self.string(ints.as_bytes());
            return;
        }
        // Version 10 has no listpack sets.
        self.out.push(kind::SET);
        put_len(self.out, set.len() as u64);
        set.each(|member| self.string(member));
    }

    fn hash(&mut self, hash: &Hash) {
        if let Some(packed) = hash.as_listpack() {
            self.out.push(kind::HASH_LISTPACK);
            self.string(packed.as_bytes());
            return;
        }
        self.out.push(kind::HASH);
        put_len(self.out, hash.len() as u64);
        hash.each(|field, value| {
            self.string(field);
            self.string(value);
        });
    }

    fn zset(&mut self, zset: &Zset) {
        if let Some(packed) = zset.as_listpack() {
            self.out.push(kind::ZSET_LISTPACK);
            self.string(packed.as_bytes());
            return;
        }
        self.out.push(kind::ZSET_2);
        put_len(self.out, zset.len() as u64);
        if zset.is_empty() {
            return;
        }
        // From the highest down, as Redis does: its skip list is quicker to build so.
        zset.each_back_from(zset.len() - 1, |score, member| {
            self.string(member);
            self.out.extend_from_slice(&score.to_le_bytes());
            true
        });
    }

    pub(super) fn string(&mut self, text: &[u8]) {
        if self.compress
            && text.len() > UNCOMPRESSED_MAX
            && let Some(packed) = lzf::compress(text)
        {
            self.out.push(0xC0 | CODE_LZF);
            put_len(self.out, packed.len() as u64);
            put_len(self.out, text.len() as u64);
            self.out.extend_from_slice(&packed);
        } else {
            put_string(self.out, text);
        }
    }
}

/// Appends a length in RDB's form: 6, 14, 32 or 64 bits.
pub fn put_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..=63 => out.push(len as u8),
        64..=16383 => out.extend([0x40 | (len >> 8) as u8, len as u8]),
        16384..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

/// Appends a byte string in RDB's form; short integers are packed.
pub fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= INT_TEXT_MAX
        && let Some(n) = digits::parse_i64(text)
    {
        if let Ok(n) = i8::try_from(n) {
            out.extend([0xC0 | CODE_INT8, n as u8]);
            return;
        }
        if let Ok(n) = i16::try_from(n) {
            out.push(0xC0 | CODE_INT16);
            out.extend_from_slice(&n.to_le_bytes());
            return;
        }
        if let Ok(n) = i32::try_from(n) {
            out.push(0xC0 | CODE_INT32);
            out.extend_from_slice(&n.to_le_bytes());
            return;
        }
    }
    put_len(out, text.len() as u64);
    out.extend_from_slice(text);
}
