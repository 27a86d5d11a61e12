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
mod tests {
    use super::{BadListpack, Item, Listpack, Pos, backlen_size};
    use sessile_oracle::{Connection, Oracle, Random};

    /// Texts and integers around every edge of the encodings.
    fn element(random: &mut Random) -> Vec<u8> {
        const LENGTHS: [usize; 10] = [0, 1, 62, 63, 64, 65, 125, 126, 127, 300];
        match random.below(8) {
            0 => {
                let len = LENGTHS[random.below(LENGTHS.len())];
                (0..len).map(|_| random.next() as u8).collect()
            }
            1 if random.below(20) == 0 => vec![b'x'; 4090 + random.below(10)],
            2 if random.below(60) == 0 => vec![b'y'; 16_370 + random.below(20)],
            3 => format!("0{}", random.below(100)).into_bytes(),
            4 | 5 => (random.integer() >> random.below(64)).to_string().into_bytes(),
            6 => {
                let edge = 1i64 << [7, 12, 15, 23, 31, 62][random.below(6)];
                let value = edge - 2 + random.below(5) as i64;
                if random.below(2) == 0 { value.to_string() } else { (-value).to_string() }.into_bytes()
            }
            _ => format!("member{}", random.below(50)).into_bytes(),
        }
    }

    fn check(pack: &Listpack, model: &[Vec<u8>], context: &str) {
        assert_eq!(super::validate(pack.as_bytes()), Ok(()), "{context}");
        assert_eq!(pack.len(), model.len(), "{context}");
        assert_eq!(pack.is_empty(), model.is_empty());
        assert!(pack.iter().zip(model).all(|(item, text)| item.to_vec() == *text), "{context}");
        assert!(
            pack.iter().rev().zip(model.iter().rev()).all(|(item, text)| item.eq_bytes(text)),
            "{context}"
        );
        assert_eq!(pack.iter().count(), model.len(), "{context}");
        assert!(pack.heap_bytes() <= crate::size::allocated(pack.byte_len()), "{context}");
    }

    /// One random change to both; positions come from walking, seeking and finding in turn.
    fn change(pack: &mut Listpack, model: &mut Vec<Vec<u8>>, random: &mut Random) {
        let text = element(random);
        let index = random.below(model.len());
        let pos = pack.seek(index);
        match (random.below(12), pos) {
            (0..4, _) | (_, None) => {
                pack.push_back(&text);
                model.push(text);
            }
            (4, _) => {
                pack.push_front(&text);
                model.insert(0, text);
            }
            (5, Some(pos)) => {
                let new = pack.insert_before(pos, &text);
                assert!(pack.at(new).eq_bytes(&text));
                model.insert(index, text);
            }
            (6, Some(pos)) => {
                let new = pack.clone().insert_after(pos, &text);
                assert_eq!(pack.insert_after(pos, &text), new);
                assert!(pack.at(new).eq_bytes(&text));
                model.insert(index + 1, text);
            }
            (7 | 8, Some(pos)) => {
                pack.replace(pos, &text);
                model[index] = text;
            }
            (9, Some(pos)) => {
                let next = pack.remove(pos);
                model.remove(index);
                assert_eq!(next, pack.seek(index));
            }
            (10, Some(pos)) => {
                let count = random.below(5);
                let removed = pack.remove_range(pos, count);
                assert_eq!(model.drain(index..(index + count).min(model.len())).count(), removed);
            }
            (_, Some(_)) => {
                let mut tail = pack.split_off(index);
                let rest = model.split_off(index);
                check(&tail, &rest, "the part split off");
                tail.append_listpack(pack);
                *pack = tail;
                *model = [rest, std::mem::take(model)].concat();
            }
        }
    }

    fn check_searches(pack: &Listpack, model: &[Vec<u8>], random: &mut Random) {
        let needle =
            if random.below(3) == 0 { element(random) } else { model[random.below(model.len())].clone() };
        for skip in 0..3 {
            let expected =
                model.iter().step_by(skip + 1).position(|text| *text == needle).map(|i| i * (skip + 1));
            assert_eq!(pack.find(&needle, skip), expected.and_then(|index| pack.seek(index)));
        }
        let index = random.below(model.len());
        let pos = pack.seek(index).expect("in range");
        assert!(pack.get(index).expect("in range").eq_bytes(&model[index]));
        assert_eq!(pack.get(index).expect("in range").len(), model[index].len());
        assert_eq!(pack.next(pos), pack.seek(index + 1));
        assert_eq!(pack.prev(pos), index.checked_sub(1).and_then(|index| pack.seek(index)));
        assert_eq!(pack.iter_from(pos).count(), model.len() - index);
        assert_eq!((pack.first(), pack.last()), (pack.seek(0), pack.seek(model.len() - 1)));
        assert_eq!(pack.seek(model.len()), None);
    }

    #[test]
    fn equals_a_model() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut pack, mut model) = (Listpack::new(), Vec::new());
            for step in 0..200 {
                change(&mut pack, &mut model, &mut random);
                check(&pack, &model, &format!("seed {seed} step {step}"));
                if !model.is_empty() {
                    check_searches(&pack, &model, &mut random);
                }
            }
        }
    }

    #[test]
    fn counts_past_sixteen_bits() {
        let mut pack = Listpack::new();
        let mut model = Vec::new();
        for number in 0..65_540i64 {
            pack.push_back_int(number);
            model.push(number.to_string().into_bytes());
            if number >= 65_532 {
                check(&pack, &model, "while it grows");
            }
        }
        let tail = pack.split_off(65_000);
        check(&pack, &model[..65_000], "the first part");
        check(&tail, &model[65_000..], "the rest");
        pack.append_listpack(&tail);
        check(&pack, &model, "joined again");
        let start = pack.seek(10).expect("in range");
        assert_eq!(pack.remove_range(start, 1000), 1000);
        model.drain(10..1010);
        check(&pack, &model, "after the removal");
    }

    #[test]
    fn frozen_bytes() {
        let pack: Listpack = ["a", "127", "-1", "4096", "-32769", ""].into_iter().collect();
        let mut expected = vec![30, 0, 0, 0, 6, 0];
        expected.extend([0x81, b'a', 2]);
        expected.extend([127, 1]);
        expected.extend([0xDF, 0xFF, 2]);
        expected.extend([0xF1, 0x00, 0x10, 3]);
        expected.extend([0xF2, 0xFF, 0x7F, 0xFF, 4]);
        expected.extend([0x80, 1, 0xFF]);
        expected[0] = expected.len() as u8;
        assert_eq!(pack.as_bytes(), expected);
        assert_eq!(pack.get(4), Some(Item::Int(-32_769)));
    }

    /// The listpack in the real server's payload of a small value; `head` is what stands between type and length.
    fn real_bytes(server: &mut Connection, kind: u8, head: &[u8]) -> Vec<u8> {
        let payload = server.text(&[b"DUMP", b"k"]);
        assert_eq!((payload[0], &payload[1..=head.len()]), (kind, head));
        let rest = &payload[1 + head.len()..payload.len() - 10];
        let len_size = match rest[0] {
            0..0x40 => 1,
            0x40..0x80 => 2,
            _ => 5,
        };
        rest[len_size..].to_vec()
    }

    fn start_server() -> (Oracle, Connection) {
        let limits = ["--hash-max-listpack-value", "1000000", "--zset-max-listpack-value", "1000000"];
        let others = ["--rdbcompression", "no", "--list-max-listpack-size", "-5"];
        let oracle = Oracle::start(&[limits, others].concat());
        let server = oracle.connect();
        (oracle, server)
    }

    #[test]
    fn hashes_equal_the_real_bytes() {
        let (_oracle, mut server) = start_server();
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut pack = Listpack::new();
            server.text(&[b"DEL", b"k"]);
            for step in 0..60 {
                let (name, value) = (element(&mut random), element(&mut random));
                match pack.find(&name, 1) {
                    Some(found) if random.below(2) == 0 => {
                        server.text(&[b"HDEL", b"k", &name]);
                        pack.remove_range(found, 2);
                    }
                    Some(found) => {
                        server.text(&[b"HSET", b"k", &name, &value]);
                        let at = pack.next(found).expect("fields have values");
                        pack.replace(at, &value);
                    }
                    None => {
                        server.text(&[b"HSET", b"k", &name, &value]);
                        pack.push_back(&name);
                        pack.push_back(&value);
                    }
                }
                if !pack.is_empty() {
                    assert_eq!(pack.as_bytes(), real_bytes(&mut server, 16, &[]), "seed {seed} step {step}");
                }
            }
        }
    }

    #[test]
    fn lists_equal_the_real_bytes() {
        let (_oracle, mut server) = start_server();
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut pack = Listpack::new();
            server.text(&[b"DEL", b"k"]);
            for step in 0..60 {
                let text = element(&mut random);
                let index = random.below(pack.len());
                let number = index.to_string();
                match (random.below(6), pack.seek(index)) {
                    (0, Some(pos)) => {
                        server.text(&[b"LSET", b"k", number.as_bytes(), &text]);
                        pack.replace(pos, &text);
                    }
                    (1, _) => {
                        server.text(&[b"LPUSH", b"k", &text]);
                        pack.push_front(&text);
                    }
                    (2, Some(pos)) => {
                        let old = pack.at(pos).to_vec();
                        server.text(&[b"LINSERT", b"k", b"BEFORE", &old, &text]);
                        let first = pack.find(&old, 0).expect("taken from there");
                        pack.insert_before(first, &text);
                    }
                    (3, Some(pos)) => {
                        let old = pack.at(pos).to_vec();
                        server.text(&[b"LREM", b"k", b"1", &old]);
                        pack.find(&old, 0).and_then(|first| pack.remove(first));
                    }
                    _ => {
                        server.text(&[b"RPUSH", b"k", &text]);
                        pack.push_back(&text);
                    }
                }
                if !pack.is_empty() {
                    // One node, in the packed form.
                    assert_eq!(
                        pack.as_bytes(),
                        real_bytes(&mut server, 18, &[1, 2]),
                        "seed {seed} step {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn sorted_sets_equal_the_real_bytes() {
        let (_oracle, mut server) = start_server();
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut pack = Listpack::new();
            server.text(&[b"DEL", b"k"]);
            for step in 0..60 {
                let score = (random.integer() >> (12 + random.below(52))).to_string();
                let member = [b"m", &element(&mut random)[..]].concat();
                if let Some(found) = pack.find(&member, 1) {
                    pack.remove_range(found, 2);
                }
                server.text(&[b"ZADD", b"k", score.as_bytes(), &member]);
                insert_scored(&mut pack, &member, &score);
                assert_eq!(pack.as_bytes(), real_bytes(&mut server, 17, &[]), "seed {seed} step {step}");
            }
        }
    }

    fn insert_scored(pack: &mut Listpack, member: &[u8], score: &str) {
        let key = (score.parse::<i64>().expect("made here"), member.to_vec());
        let mut place = pack.first();
        while let Some(pos) = place {
            let at = pack.next(pos).expect("members have scores");
            if (pack.at(at).as_i64().expect("all are integers"), pack.at(pos).to_vec()) > key {
                let pos = pack.insert_before(pos, score.as_bytes());
                pack.insert_before(pos, member);
                return;
            }
            place = pack.next(at);
        }
        pack.push_back(member);
        pack.push_back(score.as_bytes());
    }

    #[test]
    fn damage_is_refused_or_harmless() {
        for seed in 0..3000 {
            let mut random = Random::new(seed);
            let pack: Listpack = (0..random.below(12)).map(|_| element(&mut random)).collect();
            let mut bytes = pack.as_bytes().to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = if random.below(2) == 0 {
                    random.next() as u8
                } else {
                    bytes[at] ^ (1 << random.below(8))
                };
            }
            if random.below(3) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            if random.below(2) == 0 && bytes.len() >= 4 {
                // The right length lets the checks further in be reached.
                let len = bytes.len() as u32;
                bytes[..4].copy_from_slice(&len.to_le_bytes());
            }
            let Ok(mut pack) = Listpack::from_bytes(&bytes) else { continue };
            let mut model: Vec<Vec<u8>> = pack.iter().map(|item| item.to_vec()).collect();
            for step in 0..10 {
                check(&pack, &model, &format!("seed {seed} step {step}"));
                change(&mut pack, &mut model, &mut random);
            }
        }
    }

    #[test]
    fn damage_is_named() {
        let check = |bytes: &[u8], expected: BadListpack| {
            assert_eq!(Listpack::from_bytes(bytes), Err(expected), "{bytes:?}");
        };
        check(&[], BadListpack::Length);
        check(&[7, 0, 0, 0, 0, 0], BadListpack::Length);
        check(&[8, 0, 0, 0, 0, 0, 0xFF], BadListpack::Length);
        check(&[7, 0, 0, 0, 0, 0, 0], BadListpack::End);
        check(&[8, 0, 0, 0, 0, 0, 0xFF, 0xFF], BadListpack::End);
        check(&[9, 0, 0, 0, 1, 0, 0xF5, 1, 0xFF], BadListpack::Entry);
        check(&[9, 0, 0, 0, 1, 0, 0x85, 1, 0xFF], BadListpack::Entry);
        check(&[9, 0, 0, 0, 1, 0, 5, 2, 0xFF], BadListpack::Backlen);
        check(&[8, 0, 0, 0, 1, 0, 5, 0xFF], BadListpack::Backlen);
        check(&[9, 0, 0, 0, 2, 0, 5, 1, 0xFF], BadListpack::Count);
    }

    #[test]
    fn backlens_change_where_redis_changes_them() {
        for (size, expected) in
            [(127, 1), (128, 2), (16_382, 2), (16_383, 3), (2_097_150, 3), (2_097_151, 4), (268_435_455, 5)]
        {
            assert_eq!(backlen_size(size), expected, "{size}");
        }
        let long: Listpack = [vec![b'a'; 3_000_000], b"z".to_vec()].into_iter().collect();
        assert_eq!(long.prev(long.last().expect("two")), Some(Pos(6)));
    }
}
