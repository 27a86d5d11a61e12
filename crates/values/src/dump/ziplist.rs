//! Ziplists and zipmaps, the compact encodings before Redis 7.0 and 2.6: read, never written.
//!
//! ```text
//! ziplist: bytes u32 | offset of the last entry u32 | entries u16 | entry ... | 0xFF          little-endian
//! entry:   length of the entry before, u8 below 254, else 254 and u32 | encoding | text or integer
//! zipmap:  pairs u8, 254 and up for "count them" | pair ... | 0xFF
//! pair:    length | field | length | u8 of unused bytes | value | unused bytes
//! ```

use crate::listpack::Listpack;

const HEADER: usize = 10;
const END: u8 = 0xFF;
/// The count in the header from which on it says nothing.
const UNKNOWN_COUNT: u16 = u16::MAX;
/// A length byte that a u32 follows.
const LONG_LENGTH: u8 = 254;
/// A listpack takes up to a third more than the ziplist it comes from, and must stay below 4 GiB.
const ZIPLIST_BYTES_MAX: usize = 1 << 31;

/// Why bytes are no ziplist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadZiplist {
    /// The header's length is not the length.
    Length,
    /// The terminator is missing or early.
    End,
    /// An entry has an unknown encoding or runs past the end.
    Entry,
    /// The length of the entry before is wrong.
    Backlen,
    /// The header's offset is not that of the last entry.
    Tail,
    /// The header's count is not the number of entries.
    Count,
}

impl std::fmt::Display for BadZiplist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "ziplist: the length in the header is wrong",
            Self::End => "ziplist: the terminator is not at the end",
            Self::Entry => "ziplist: an entry is malformed",
            Self::Backlen => "ziplist: a backward length is wrong",
            Self::Tail => "ziplist: the offset of the last entry is wrong",
            Self::Count => "ziplist: the count in the header is wrong",
        })
    }
}

impl std::error::Error for BadZiplist {}

/// Bytes that are no zipmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadZipmap;

impl std::fmt::Display for BadZipmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zipmap: the bytes are malformed")
    }
}

impl std::error::Error for BadZipmap {}

/// The elements of a ziplist, as a listpack.
pub(super) fn read_ziplist(bytes: &[u8]) -> Result<Listpack, BadZiplist> {
    let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or(BadZiplist::Length)?;
    let [a, b, c, d, e, f, g, h, i, j] = *header;
    if u32::from_le_bytes([a, b, c, d]) as usize != bytes.len() || bytes.len() > ZIPLIST_BYTES_MAX {
        return Err(BadZiplist::Length);
    }
    let (Some(&END), true) = (bytes.last(), bytes.len() > HEADER) else { return Err(BadZiplist::End) };
    let body = &bytes[HEADER..bytes.len() - 1];
    let (mut rest, mut before, mut last, mut count) = (body, 0, 0, 0usize);
    let mut out = Listpack::new();
    while !rest.is_empty() {
        last = body.len() - rest.len();
        let (stated, tail) = read_backlen(rest)?;
        if stated != before {
            return Err(BadZiplist::Backlen);
        }
        let tail = read_element(tail, &mut out)?;
        before = rest.len() - tail.len();
        rest = tail;
        count += 1;
    }
    if u32::from_le_bytes([e, f, g, h]) as usize != HEADER + last {
        return Err(BadZiplist::Tail);
    }
    let stored = u16::from_le_bytes([i, j]);
    if stored != UNKNOWN_COUNT && usize::from(stored) != count {
        return Err(BadZiplist::Count);
    }
    Ok(out)
}

fn read_backlen(bytes: &[u8]) -> Result<(usize, &[u8]), BadZiplist> {
    match bytes {
        [END, ..] => Err(BadZiplist::End),
        [LONG_LENGTH, a, b, c, d, rest @ ..] => Ok((u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)),
        [LONG_LENGTH, ..] | [] => Err(BadZiplist::Entry),
        [len, rest @ ..] => Ok((usize::from(*len), rest)),
    }
}

/// Appends the element that `bytes` start with and gives what follows it.
fn read_element<'a>(bytes: &'a [u8], out: &mut Listpack) -> Result<&'a [u8], BadZiplist> {
    let (value, rest) = match *bytes {
        [head @ 0..0x40, ref rest @ ..] => return read_text(rest, usize::from(head), out),
        [head @ 0x40..0x80, low, ref rest @ ..] => {
            return read_text(rest, usize::from(head & 0x3F) << 8 | usize::from(low), out);
        }
        [0x80, a, b, c, d, ref rest @ ..] => {
            return read_text(rest, u32::from_be_bytes([a, b, c, d]) as usize, out);
        }
        [0xC0, a, b, ref rest @ ..] => (i64::from(i16::from_le_bytes([a, b])), rest),
        [0xD0, a, b, c, d, ref rest @ ..] => (i64::from(i32::from_le_bytes([a, b, c, d])), rest),
        [0xE0, a, b, c, d, e, f, g, h, ref rest @ ..] => (i64::from_le_bytes([a, b, c, d, e, f, g, h]), rest),
        [0xF0, a, b, c, ref rest @ ..] => (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), rest),
        [0xFE, a, ref rest @ ..] => (i64::from(a as i8), rest),
        [head @ 0xF1..=0xFD, ref rest @ ..] => (i64::from(head - 0xF1), rest),
        _ => return Err(BadZiplist::Entry),
    };
    out.push_back_int(value);
    Ok(rest)
}

fn read_text<'a>(bytes: &'a [u8], len: usize, out: &mut Listpack) -> Result<&'a [u8], BadZiplist> {
    let (text, rest) = bytes.split_at_checked(len).ok_or(BadZiplist::Entry)?;
    out.push_back(text);
    Ok(rest)
}

/// A field and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The fields of a zipmap with their values.
pub(super) fn read_zipmap(bytes: &[u8]) -> Result<Vec<Pair<'_>>, BadZipmap> {
    let (&stored, mut rest) = bytes.split_first().ok_or(BadZipmap)?;
    let mut pairs = Vec::new();
    while rest != [END] {
        let (len, tail) = read_zipmap_len(rest)?;
        let (field, tail) = tail.split_at_checked(len).ok_or(BadZipmap)?;
        let (len, tail) = read_zipmap_len(tail)?;
        let (&unused, tail) = tail.split_first().ok_or(BadZipmap)?;
        let (value, tail) = tail.split_at_checked(len).ok_or(BadZipmap)?;
        rest = tail.get(usize::from(unused)..).ok_or(BadZipmap)?;
        pairs.push((field, value));
    }
    let counted = stored >= LONG_LENGTH || usize::from(stored) == pairs.len();
    if counted { Ok(pairs) } else { Err(BadZipmap) }
}

fn read_zipmap_len(bytes: &[u8]) -> Result<(usize, &[u8]), BadZipmap> {
    match bytes {
        [LONG_LENGTH, a, b, c, d, rest @ ..] => Ok((u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)),
        [len @ 0..LONG_LENGTH, rest @ ..] => Ok((usize::from(*len), rest)),
        _ => Err(BadZipmap),
    }
}

#[cfg(test)]
mod tests {
    use super::{BadZiplist, BadZipmap, read_ziplist, read_zipmap};

    /// `["a", 12, -1, 300, 70000, 1<<40, -5 in 24 bits, "x" * 64]`.
    fn sample() -> Vec<u8> {
        let mut entries: Vec<Vec<u8>> = vec![
            vec![1, b'a'],
            vec![0xFD],
            vec![0xFE, 0xFF],
            vec![0xC0, 0x2C, 0x01],
            vec![0xD0, 0x70, 0x11, 0x01, 0x00],
            vec![0xE0, 0, 0, 0, 0, 0, 1, 0, 0],
            vec![0xF0, 0xFB, 0xFF, 0xFF],
        ];
        entries.push([&[0x40, 64][..], &[b'x'; 64]].concat());
        let (mut body, mut before, mut last) = (Vec::new(), 0u8, 0);
        for entry in entries {
            last = body.len();
            body.push(before);
            body.extend(&entry);
            before = entry.len() as u8 + 1;
        }
        let mut bytes = (body.len() as u32 + 11).to_le_bytes().to_vec();
        bytes.extend((last as u32 + 10).to_le_bytes());
        bytes.extend([8, 0]);
        bytes.extend(body);
        bytes.push(0xFF);
        bytes
    }

    #[test]
    fn reads_every_encoding() {
        let pack = read_ziplist(&sample()).expect("well-formed");
        let texts: Vec<String> =
            pack.iter().map(|item| String::from_utf8(item.to_vec()).expect("ASCII")).collect();
        let long = "x".repeat(64);
        assert_eq!(texts, ["a", "12", "-1", "300", "70000", "1099511627776", "-5", &long]);
    }

    #[test]
    fn names_the_damage() {
        let check = |at: usize, byte: u8, expected: BadZiplist| {
            let mut bytes = sample();
            bytes[at] = byte;
            assert_eq!(read_ziplist(&bytes), Err(expected), "byte {at}");
        };
        check(0, 0, BadZiplist::Length);
        check(sample().len() - 1, 0, BadZiplist::End);
        check(10, 0xFF, BadZiplist::End);
        check(10, 1, BadZiplist::Backlen);
        check(11, 0x81, BadZiplist::Entry);
        check(4, 10, BadZiplist::Tail);
        check(8, 9, BadZiplist::Count);
    }

    #[test]
    fn reads_zipmaps() {
        let bytes = b"\x02\x01a\x01\x000\x02bb\x02\x03xy___\xff";
        let pairs: [(&[u8], &[u8]); 2] = [(b"a", b"0"), (b"bb", b"xy")];
        assert_eq!(read_zipmap(bytes), Ok(pairs.to_vec()));
        for len in 0..bytes.len() {
            assert_eq!(read_zipmap(&bytes[..len]), Err(BadZipmap), "{len} bytes");
        }
        assert_eq!(read_zipmap(b"\x01\xff"), Err(BadZipmap));
    }
}
