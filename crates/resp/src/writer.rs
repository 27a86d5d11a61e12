//! The reply sink: what command handlers write their replies to, in the protocol version of the client.

use crate::number::format_double;

/// The protocol version that a client has chosen with HELLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Proto {
    /// The default: five types, everything else is mapped to them.
    #[default]
    Resp2,
    /// Maps, sets, doubles, booleans, pushes and more as types of their own.
    Resp3,
}

/// Appends replies to a buffer. Each method writes one whole value, or the header of an aggregate whose
/// elements have to follow.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    proto: Proto,
    /// Bytes of the buffer above which no longer string is added any more.
    max_bytes: usize,
}

/// Strings that are added whatever the buffer holds: a reply of such is hardly larger than the data that it shows.
const SHORT_BYTES: usize = 128;

/// A position in the reply, to put a header before what follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(usize);

impl<'a> Reply<'a> {
    /// Replies in `proto`, appended to `out`.
    pub fn new(out: &'a mut Vec<u8>, proto: Proto) -> Self {
        Self { out, proto, max_bytes: usize::MAX }
    }

    /// As `new`, and leaves longer strings out once it has more than `max_bytes`: whoever asked for that will not get the
    /// reply, but must not be able to make it take all memory.
    #[inline]
    pub fn limited(out: &'a mut Vec<u8>, proto: Proto, max_bytes: usize) -> Self {
        let max_bytes = out.len().saturating_add(max_bytes);
        Self { out, proto, max_bytes }
    }

    /// Bytes in the buffer, with what stood there before.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// The protocol version of the client.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// Goes on in another protocol, as HELLO and RESET do before they reply.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// The same sink for a shorter time, to pass on by value.
    #[inline]
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, proto: self.proto, max_bytes: self.max_bytes }
    }

    /// The buffer, to which whole replies in the client's protocol may be appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A short text without line ends.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a simple string is one line");
        self.out.reserve(text.len() + 3);
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.end_line();
    }

    /// An error, code first (`ERR unknown command`). It may quote input: line ends within become spaces, those at
    /// the ends are dropped.
    pub fn error(&mut self, text: &[u8]) {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(|byte| !is_line_end(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !is_line_end(byte)).map_or(start, |last| last + 1);
        self.out.push(b'-');
        self.out.extend(text[start..end].iter().map(|byte| if is_line_end(byte) { b' ' } else { *byte }));
        self.end_line();
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.line(b':', value);
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        const HEADER_MAX_LEN: usize = 23;
        if bytes.len() > SHORT_BYTES && self.out.len() > self.max_bytes {
            return;
        }
        self.out.reserve(bytes.len() + HEADER_MAX_LEN + 2);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.end_line();
    }

    /// An integer as a string.
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A string of `len` bytes, which `write` has to append.
    ///
    /// # Panics
    /// If `write` appends another number of bytes: the client would lose step.
    pub fn bulk_with(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if len > SHORT_BYTES && self.out.len() > self.max_bytes {
            return;
        }
        self.header(b'$', len);
        let start = self.out.len();
        write(self.out);
        assert_eq!(self.out.len() - start, len, "a bulk string has the announced length");
        self.end_line();
    }

    /// No value, where a string could stand.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// No value, where an array could stand.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// Announces `len` elements.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Announces `len` pairs of key and value.
    pub fn map(&mut self, len: usize) {
        let (sigil, len) = self.map_header(len);
        self.header(sigil, len);
    }

    /// Announces `len` elements in no order.
    pub fn set(&mut self, len: usize) {
        self.header(self.set_sigil(), len);
    }

    /// Announces a message of `len` elements that is no reply to a request.
    pub fn push(&mut self, len: usize) {
        self.header(if self.proto == Proto::Resp3 { b'>' } else { b'*' }, len);
    }

    /// A double; see [`format_double`].
    pub fn double(&mut self, value: f64) {
        if self.proto == Proto::Resp3 {
            self.out.push(b',');
            format_double(value, self.out);
            self.end_line();
        } else {
            // The text is at most 25 bytes long, so its length has one digit or two.
            let start = self.out.len();
            self.out.extend_from_slice(b"$0\r\n");
            format_double(value, self.out);
            let len = self.out.len() - start - 4;
            self.out[start + 1] = b'0' + (len % 10) as u8;
            if len > 9 {
                self.out.insert(start + 1, b'0' + (len / 10) as u8);
            }
            self.end_line();
        }
    }

    /// A truth value; an integer in RESP2.
    pub fn bool(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.proto, value) {
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
        });
    }

    /// An integer of any size, in decimal digits; a string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if self.proto == Proto::Resp2 {
            return self.bulk(digits.as_bytes());
        }
        self.out.push(b'(');
        self.out.extend_from_slice(digits.as_bytes());
        self.end_line();
    }

    /// A text to be shown as it is, with its format's name (`txt`, `mkd`), which is cut or filled to three bytes.
    pub fn verbatim(&mut self, ext: &str, text: &[u8]) {
        if self.proto == Proto::Resp2 {
            return self.bulk(text);
        }
        let mut name = [b' '; 3];
        name.iter_mut().zip(ext.bytes()).for_each(|(to, from)| *to = from);
        self.header(b'=', text.len() + 4);
        self.out.extend_from_slice(&name);
        self.out.push(b':');
        self.out.extend_from_slice(text);
        self.end_line();
    }

    /// Bytes that are encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// The present position, for an aggregate whose length is known only after its elements.
    pub fn mark(&self) -> Mark {
        Mark(self.out.len())
    }

    /// Makes what was written since `mark` the elements of an array.
    pub fn array_at(&mut self, mark: Mark, len: usize) {
        self.header_at(mark, b'*', len);
    }

    /// Makes what was written since `mark` a map of `len` pairs.
    pub fn map_at(&mut self, mark: Mark, len: usize) {
        let (sigil, len) = self.map_header(len);
        self.header_at(mark, sigil, len);
    }

    /// Makes what was written since `mark` a set.
    pub fn set_at(&mut self, mark: Mark, len: usize) {
        self.header_at(mark, self.set_sigil(), len);
    }

    /// Takes back what was written since `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        self.out.truncate(mark.0);
    }

    fn map_header(&self, pairs: usize) -> (u8, usize) {
        if self.proto == Proto::Resp3 { (b'%', pairs) } else { (b'*', pairs * 2) }
    }

    fn set_sigil(&self) -> u8 {
        if self.proto == Proto::Resp3 { b'~' } else { b'*' }
    }

    #[inline]
    fn header(&mut self, sigil: u8, len: usize) {
        self.line(sigil, len as i64);
    }

    fn header_at(&mut self, mark: Mark, sigil: u8, len: usize) {
        let end = self.out.len();
        assert!(mark.0 <= end, "a mark lies within its reply");
        self.header(sigil, len);
        let header_len = self.out.len() - end;
        self.out[mark.0..].rotate_right(header_len);
    }

    #[inline]
    fn line(&mut self, sigil: u8, value: i64) {
        // One store for the short lines that most replies are made of.
        match value {
            0..10 => self.out.extend_from_slice(&[sigil, b'0' + value as u8, b'\r', b'\n']),
            10..100 => {
                let (tens, ones) = (value as u8 / 10, value as u8 % 10);
                self.out.extend_from_slice(&[sigil, b'0' + tens, b'0' + ones, b'\r', b'\n']);
            }
            _ => {
                self.out.push(sigil);
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
                self.end_line();
            }
        }
    }

    #[inline]
    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
