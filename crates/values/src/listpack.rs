//! The listpack: Redis' compact sequence of strings and integers in one allocation, byte for byte.
//!
//! ```text
//! total bytes u32 | elements u16 | entry ... | 0xFF          little-endian
//! entry: encoding and data | backlen                          backlen: length of what stands before it, read backwards
//! ```
//!
//! Canonical integer texts are kept as integers of 1 to 9 bytes. 65535 elements mean "count them".
//!
//! Invariant: the bytes of a [`Listpack`] are always well formed; [`Listpack::from_bytes`] checks foreign ones. A
//! [`Pos`] is good until the next change of the listpack that it came from.

use crate::digits::{I64_TEXT_MAX, format_i64, i64_text_len, parse_i64};
use crate::thin::{PREFIX, ThinBytes};

const HEADER: usize = 6;
const END: u8 = 0xFF;
const UNKNOWN_COUNT: u16 = u16::MAX;
/// Encoding byte, eight bytes of integer.
const HEAD_MAX: usize = 9;
const BACKLEN_MAX: usize = 5;

/// A sequence of byte strings and integers.
#[derive(Clone)]
pub struct Listpack(ThinBytes);

/// Where an element stands: the offset of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos(u32);

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text that is no canonical integer.
    Str(&'a [u8]),
    /// A canonical integer.
    Int(i64),
}

/// Why bytes are no listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadListpack {
    /// The header's length is not the length.
    Length,
    /// The terminator is missing or early.
    End,
    /// An entry has an unknown encoding or runs past the end.
    Entry,
    /// A backward length differs from its entry.
    Backlen,
    /// The header's count is not the number of entries.
    Count,
}

impl std::fmt::Display for BadListpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "listpack: the length in the header is wrong",
            Self::End => "listpack: the terminator is not at the end",
            Self::Entry => "listpack: an entry is malformed",
            Self::Backlen => "listpack: a backward length is wrong",
            Self::Count => "listpack: the count in the header is wrong",
        })
    }
}

impl std::error::Error for BadListpack {}

impl<'a> Item<'a> {
    /// Length of the element's text.
    pub fn len(&self) -> usize {
        match *self {
            Self::Str(text) => text.len(),
            Self::Int(value) => i64_text_len(value),
        }
    }

    /// Whether the element is the empty text.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Str([]))
    }

    /// Appends the element's text.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_slice(&mut [0; I64_TEXT_MAX]));
    }

    /// The element's text in a vector of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_slice(&mut [0; I64_TEXT_MAX]).to_vec()
    }

    /// Whether the element's text is `text`.
    pub fn eq_bytes(&self, text: &[u8]) -> bool {
        match *self {
            Self::Str(own) => own == text,
            Self::Int(own) => parse_i64(text) == Some(own),
        }
    }

    /// The element's text; integers are written into `scratch`.
    pub fn as_slice<'s>(&'s self, scratch: &'s mut [u8; I64_TEXT_MAX]) -> &'s [u8] {
        match *self {
            Self::Str(text) => text,
            Self::Int(value) => format_i64(value, scratch),
        }
    }

    /// The element as an integer, if its text is a canonical one.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            // Foreign listpacks may hold integers as texts.
            Self::Str(text) => parse_i64(text),
            Self::Int(value) => Some(value),
        }
    }

    /// The text, if it is not kept as an integer.
    pub fn as_str(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Str(text) => Some(text),
            Self::Int(_) => None,
        }
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Reading.
impl Listpack {
    /// Has the processor fetch its first bytes, and does not wait for them.
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// An empty listpack.
    pub fn new() -> Self {
        Self(ThinBytes::new(&[0, 0, END]))
    }

    /// Takes foreign bytes after checking every entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadListpack> {
        validate(bytes)?;
        Ok(Self(ThinBytes::new(&bytes[PREFIX..])))
    }

    /// The bytes as Redis has them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Number of elements; O(n) from 65535 elements on.
    pub fn len(&self) -> usize {
        match self.stored_count() {
            UNKNOWN_COUNT => self.iter().count(),
            count => count.into(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.len() == HEADER + 1
    }

    /// Length of [`Listpack::as_bytes`].
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// Memory behind the listpack.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// All elements in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER, back: self.end() }
    }

    /// The elements from `pos` on.
    pub fn iter_from(&self, pos: Pos) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: pos.offset(), back: self.end() }
    }

    /// The first element's position.
    pub fn first(&self) -> Option<Pos> {
        self.pos(HEADER)
    }

    /// The last element's position.
    pub fn last(&self) -> Option<Pos> {
        (!self.is_empty()).then(|| Pos::new(entry_before(self.as_bytes(), self.end())))
    }

    /// The position of element number `index`, reached from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Pos> {
        let len = self.len();
        if index >= len {
            return None;
        }
        let mut offset;
        if index <= len / 2 {
            offset = HEADER;
            for _ in 0..index {
                offset = entry_after(self.as_bytes(), offset);
            }
        } else {
            offset = self.end();
            for _ in index..len {
                offset = entry_before(self.as_bytes(), offset);
            }
        }
        Some(Pos::new(offset))
    }

    /// Element number `index`.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        self.seek(index).map(|pos| self.at(pos))
    }

    /// The element at `pos`.
    pub fn at(&self, pos: Pos) -> Item<'_> {
        read_item(self.as_bytes(), pos.offset()).0
    }

    /// The element after `pos`.
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        self.pos(entry_after(self.as_bytes(), pos.offset()))
    }

    /// The element before `pos`.
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        (pos.offset() > HEADER).then(|| Pos::new(entry_before(self.as_bytes(), pos.offset())))
    }

    /// The first element equal to `needle`, comparing one and then passing over `skip`.
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<Pos> {
        self.find_from(self.first()?, needle, skip)
    }

    /// As [`Listpack::find`], from `start` on.
    pub fn find_from(&self, start: Pos, needle: &[u8], skip: usize) -> Option<Pos> {
        let bytes = self.as_bytes();
        let end = bytes.len() - 1;
        let mut offset = start.offset();
        // Read at the first integer met, since most needles are never compared with one.
        let mut needle_int = None;
        while offset < end {
            let (item, size) = read_item(bytes, offset);
            let equal = match item {
                Item::Str(text) => text == needle,
                Item::Int(value) => *needle_int.get_or_insert_with(|| parse_i64(needle)) == Some(value),
            };
            if equal {
                return Some(Pos::new(offset));
            }
            offset += size + backlen_size(size);
            for _ in 0..skip {
                if offset >= end {
                    return None;
                }
                offset = entry_after(bytes, offset);
            }
        }
        None
    }

    fn stored_count(&self) -> u16 {
        let bytes = self.as_bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    /// Offset of the terminator.
    fn end(&self) -> usize {
        self.0.len() - 1
    }

    fn pos(&self, offset: usize) -> Option<Pos> {
        (offset < self.end()).then(|| Pos::new(offset))
    }
}

/// Changing.
impl Listpack {
    /// Appends an element.
    pub fn push_back(&mut self, text: &[u8]) {
        self.put(self.end(), 0, &Entry::new(text));
        self.add_count(1);
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, value: i64) {
        self.put(self.end(), 0, &Entry::int(value));
        self.add_count(1);
    }

    /// Puts an element before all others.
    pub fn push_front(&mut self, text: &[u8]) {
        self.put(HEADER, 0, &Entry::new(text));
        self.add_count(1);
    }

    /// Puts an element before `pos` and returns its position.
    pub fn insert_before(&mut self, pos: Pos, text: &[u8]) -> Pos {
        self.put(pos.offset(), 0, &Entry::new(text));
        self.add_count(1);
        pos
    }

    /// Puts an element after `pos` and returns its position.
    pub fn insert_after(&mut self, pos: Pos, text: &[u8]) -> Pos {
        let offset = entry_after(self.as_bytes(), pos.offset());
        self.put(offset, 0, &Entry::new(text));
        self.add_count(1);
        Pos::new(offset)
    }

    /// Replaces the element at `pos`, which stays good.
    pub fn replace(&mut self, pos: Pos, text: &[u8]) {
        let offset = pos.offset();
        self.put(offset, entry_after(self.as_bytes(), offset) - offset, &Entry::new(text));
    }

    /// Replaces the element at `pos` with an integer; `pos` stays good.
    pub fn replace_int(&mut self, pos: Pos, value: i64) {
        let offset = pos.offset();
        self.put(offset, entry_after(self.as_bytes(), offset) - offset, &Entry::int(value));
    }

    /// Removes the element at `pos`; returns the position of the one that followed.
    pub fn remove(&mut self, pos: Pos) -> Option<Pos> {
        self.remove_range(pos, 1);
        self.pos(pos.offset())
    }

    /// Removes up to `count` elements from `pos` on; returns how many there were.
    pub fn remove_range(&mut self, pos: Pos, count: usize) -> usize {
        let start = pos.offset();
        let (mut stop, mut removed) = (start, 0);
        while removed < count && stop < self.end() {
            stop = entry_after(self.as_bytes(), stop);
            removed += 1;
        }
        let left = self.stored_count();
        self.0.splice(start, stop - start, 0);
        if left != UNKNOWN_COUNT {
            self.set_count(usize::from(left) - removed);
        }
        removed
    }

    /// Appends all elements of `other`.
    pub fn append_listpack(&mut self, other: &Self) {
        let entries = &other.as_bytes()[HEADER..other.end()];
        let count = self.len() + other.len();
        self.0.splice(self.end(), 0, entries.len()).copy_from_slice(entries);
        self.set_count(count);
    }

    /// Keeps the first `index` elements and returns the others.
    pub fn split_off(&mut self, index: usize) -> Self {
        let len = self.len();
        let Some(pos) = self.seek(index) else { return Self::new() };
        let (start, end) = (pos.offset(), self.end());
        let mut other = Self::new();
        other.0.splice(HEADER, 0, end - start).copy_from_slice(&self.as_bytes()[start..end]);
        other.set_count(len - index);
        self.0.splice(start, end - start, 0);
        self.set_count(index);
        other
    }

    /// Writes `entry` over the `old` bytes at `at`.
    fn put(&mut self, at: usize, old: usize, entry: &Entry<'_>) {
        let size = entry.size();
        let (backlen, backlen_len) = encode_backlen(size);
        let room = self.0.splice(at, old, size + backlen_len);
        room[..entry.head_len].copy_from_slice(&entry.head[..entry.head_len]);
        room[entry.head_len..size].copy_from_slice(entry.body);
        room[size..].copy_from_slice(&backlen[..backlen_len]);
    }

    fn add_count(&mut self, added: usize) {
        let count = self.stored_count();
        if count != UNKNOWN_COUNT {
            self.set_count(usize::from(count) + added);
        }
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNKNOWN_COUNT);
        self.0.write(PREFIX, &count.to_le_bytes());
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Listpack {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut pack = Self::new();
        for text in texts {
            pack.push_back(text.as_ref());
        }
        pack
    }
}

/// The elements of a listpack, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.front == self.back {
            return None;
        }
        let (item, size) = read_item(self.bytes, self.front);
        self.front += size + backlen_size(size);
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        self.back = entry_before(self.bytes, self.back);
        Some(read_item(self.bytes, self.back).0)
    }
}

impl Pos {
    fn new(offset: usize) -> Self {
        Self(u32::try_from(offset).expect("a listpack's length fits 32 bits"))
    }

    fn offset(self) -> usize {
        self.0 as usize
    }
}

/// An element encoded for writing: integers stand in the head alone, texts follow it.
struct Entry<'a> {
    head: [u8; HEAD_MAX],
    head_len: usize,
    body: &'a [u8],
}

impl<'a> Entry<'a> {
    fn new(text: &'a [u8]) -> Self {
        if let Some(value) = parse_i64(text) {
            return Self::int(value);
        }
        let mut head = [0; HEAD_MAX];
        let head_len = match text.len() {
            len @ 0..64 => {
                head[0] = 0x80 | len as u8;
                1
            }
            len @ 64..4096 => {
                head[..2].copy_from_slice(&(0xE000 | len as u16).to_be_bytes());
                2
            }
            len => {
                let len = u32::try_from(len).expect("callers keep elements far below 4 GiB");
                head[0] = 0xF0;
                head[1..5].copy_from_slice(&len.to_le_bytes());
                5
            }
        };
        Self { head, head_len, body: text }
    }

    fn int(value: i64) -> Self {
        let mut head = [0; HEAD_MAX];
        let head_len = match value {
            0..=127 => {
                head[0] = value as u8;
                1
            }
            -4096..=4095 => {
                head[..2].copy_from_slice(&(0xC000 | (value as u16 & 0x1FFF)).to_be_bytes());
                2
            }
            _ => {
                let width = int_width(value);
                head[0] = [0xF1, 0xF2, 0xF3, 0xF4][if width == 8 { 3 } else { width - 2 }];
                head[1..=width].copy_from_slice(&value.to_le_bytes()[..width]);
                width + 1
            }
        };
        Self { head, head_len, body: &[] }
    }

    fn size(&self) -> usize {
        self.head_len + self.body.len()
    }
}

/// Bytes of the smallest of the wide encodings (2, 3, 4 or 8) that holds `value`.
fn int_width(value: i64) -> usize {
    match value {
        -0x8000..=0x7FFF => 2,
        -0x80_0000..=0x7F_FFFF => 3,
        -0x8000_0000..=0x7FFF_FFFF => 4,
        _ => 8,
    }
}

/// Length of the entry at `offset` without its backlen.
fn entry_size(bytes: &[u8], offset: usize) -> usize {
    match bytes[offset] {
        0..0x80 => 1,
        first @ 0x80..0xC0 => 1 + usize::from(first & 0x3F),
        0xC0..0xE0 => 2,
        first @ 0xE0..0xF0 => 2 + (usize::from(first & 0x0F) << 8 | usize::from(bytes[offset + 1])),
        0xF0 => 5 + long_len(bytes, offset),
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => unreachable!("a listpack is checked when it comes in"),
    }
}

fn long_len(bytes: &[u8], offset: usize) -> usize {
    u32::from_le_bytes(bytes[offset + 1..offset + 5].try_into().expect("four bytes")) as usize
}

/// The element at `offset` and the length of its entry without the backlen.
fn read_item(bytes: &[u8], offset: usize) -> (Item<'_>, usize) {
    let size = entry_size(bytes, offset);
    let entry = &bytes[offset..offset + size];
    let item = match entry[0] {
        first @ 0..0x80 => Item::Int(first.into()),
        0x80..0xC0 => Item::Str(&entry[1..]),
        first @ 0xC0..0xE0 => {
            let raw = u16::from_be_bytes([first & 0x1F, entry[1]]);
            // Shifting left and back extends the sign of the 13 bits.
            Item::Int(((raw << 3) as i16 >> 3).into())
        }
        0xE0..0xF0 => Item::Str(&entry[2..]),
        0xF0 => Item::Str(&entry[5..]),
        _ => {
            let mut wide = [0; 8];
            wide[8 - (size - 1)..].copy_from_slice(&entry[1..]);
            Item::Int(i64::from_le_bytes(wide) >> (8 * (9 - size)))
        }
    };
    (item, size)
}

/// Offset after the entry at `offset`.
fn entry_after(bytes: &[u8], offset: usize) -> usize {
    let size = entry_size(bytes, offset);
    offset + size + backlen_size(size)
}

/// Offset of the entry that ends at `offset`.
fn entry_before(bytes: &[u8], offset: usize) -> usize {
    let (mut size, mut len) = (0, 0);
    loop {
        let byte = bytes[offset - 1 - len];
        size |= usize::from(byte & 0x7F) << (7 * len);
        len += 1;
        if byte & 0x80 == 0 {
            return offset - len - size;
        }
    }
}

/// Bytes of the backlen of an entry of `size` bytes. The limits stand one below the powers of two, as in Redis.
fn backlen_size(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => BACKLEN_MAX,
    }
}

/// The length in groups of seven bits, the highest group first; all but the first are marked, to be read backwards.
fn encode_backlen(size: usize) -> ([u8; BACKLEN_MAX], usize) {
    let len = backlen_size(size);
    let mut bytes = [0; BACKLEN_MAX];
    for (index, byte) in bytes[..len].iter_mut().enumerate() {
        let group = (size >> (7 * (len - 1 - index))) as u8 & 0x7F;
        *byte = if index == 0 { group } else { group | 0x80 };
    }
    (bytes, len)
}

/// Checks foreign bytes: every length, encoding and backlen, and the count.
pub fn validate(bytes: &[u8]) -> Result<(), BadListpack> {
    let [a, b, c, d, e, f, .., END] = *bytes else {
        return Err(if bytes.len() <= HEADER { BadListpack::Length } else { BadListpack::End });
    };
    if u32::from_le_bytes([a, b, c, d]) as usize != bytes.len() {
        return Err(BadListpack::Length);
    }
    let end = bytes.len() - 1;
    let (mut offset, mut count) = (HEADER, 0usize);
    while offset < end {
        let size = checked_entry_size(&bytes[offset..end])?;
        let (backlen, backlen_len) = encode_backlen(size);
        let after = offset + size;
        match bytes[..end].get(after..after + backlen_len) {
            Some(found) if found == &backlen[..backlen_len] => {}
            _ => return Err(BadListpack::Backlen),
        }
        offset = after + backlen_len;
        count += 1;
    }
    let stored = u16::from_le_bytes([e, f]);
    if stored != UNKNOWN_COUNT && usize::from(stored) != count {
        return Err(BadListpack::Count);
    }
    Ok(())
}

/// The size of the entry that `rest` starts with, if it is whole and of a known encoding.
fn checked_entry_size(rest: &[u8]) -> Result<usize, BadListpack> {
    let head_len = match rest[0] {
        0xFF => return Err(BadListpack::End),
        0xF5.. => return Err(BadListpack::Entry),
        0xF0 => 5,
        0xE0..0xF0 => 2,
        _ => 1,
    };
    if rest.len() < head_len {
        return Err(BadListpack::Entry);
    }
    let size = entry_size(rest, 0);
    if size > rest.len() { Err(BadListpack::Entry) } else { Ok(size) }
}

#[cfg(test)]
mod tests;
