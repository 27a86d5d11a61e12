//! The arguments of one request: slices of the bytes they arrived in, or a copy that outlives these.

use std::{fmt, ops::Index, slice};

/// Where one argument lies in its buffer, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    start: usize,
    len: usize,
}

/// The arguments of one request, the command's name first. Copying it copies two slices.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
}

/// Arguments that own their bytes: queued by MULTI, kept by a blocked client, built by a script.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    buf: Vec<u8>,
    spans: Vec<Span>,
}

/// Iterator over the arguments of [`Args`].
#[derive(Clone)]
pub struct Iter<'a> {
    buf: &'a [u8],
    spans: slice::Iter<'a, Span>,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start..self.start + self.len]
    }
}

impl<'a> Args<'a> {
    pub(crate) fn new(buf: &'a [u8], spans: &'a [Span]) -> Self {
        Self { buf, spans }
    }

    /// How many arguments there are, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a command's name.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; 0 is the command's name.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| span.of(self.buf))
    }

    /// The arguments from `index` on; none if there are fewer.
    #[inline]
    pub fn from(&self, index: usize) -> Args<'a> {
        Args { buf: self.buf, spans: self.spans.get(index..).unwrap_or_default() }
    }

    /// The first `count` arguments; all if there are fewer.
    #[inline]
    pub fn first(&self, count: usize) -> Args<'a> {
        Args { buf: self.buf, spans: &self.spans[..count.min(self.spans.len())] }
    }

    /// The arguments in order.
    #[inline]
    pub fn iter(&self) -> Iter<'a> {
        Iter { buf: self.buf, spans: self.spans.iter() }
    }

    /// A copy that holds its own bytes, and only those of the arguments.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut owned = OwnedArgs {
            buf: Vec::with_capacity(self.spans.iter().map(|span| span.len).sum()),
            spans: Vec::with_capacity(self.spans.len()),
        };
        owned.extend(self.iter());
        owned
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.spans[index].of(self.buf)
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialEq for Args<'_> {
    fn eq(&self, other: &Args<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Args<'_> {}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::escape_ascii).map(|text| text.to_string())).finish()
    }
}

impl OwnedArgs {
    /// No arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// The borrowed form, which handlers take.
    #[inline]
    pub fn as_args(&self) -> Args<'_> {
        Args { buf: &self.buf, spans: &self.spans }
    }

    /// Appends one argument.
    pub fn push(&mut self, arg: &[u8]) {
        self.spans.push(Span { start: self.buf.len(), len: arg.len() });
        self.buf.extend_from_slice(arg);
    }

    /// Removes all arguments and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.spans.clear();
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of heap memory held.
    pub fn heap_bytes(&self) -> usize {
        self.buf.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl<A: AsRef<[u8]>> Extend<A> for OwnedArgs {
    fn extend<I: IntoIterator<Item = A>>(&mut self, args: I) {
        args.into_iter().for_each(|arg| self.push(arg.as_ref()));
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(args: I) -> Self {
        let mut owned = Self::new();
        owned.extend(args);
        owned
    }
}

impl fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_args().fmt(f)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.spans.next().map(|span| span.of(self.buf))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.spans.next_back().map(|span| span.of(self.buf))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The text up to its first zero byte: where Redis takes a string of its own for one of C.
#[must_use]
pub fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_and_borrowed_hold_the_same() {
        let mut owned = OwnedArgs::from_iter(["set", "", "value"]);
        let args = owned.as_args();
        assert_eq!((args.len(), &args[0], args.get(1), args.get(3)), (3, &b"set"[..], Some(&b""[..]), None));
        assert_eq!(args.iter().rev().collect::<Vec<_>>(), [&b"value"[..], b"", b"set"]);
        assert_eq!(args.from(1).to_owned(), OwnedArgs::from_iter(["", "value"]));
        assert!(args.from(4).is_empty());
        assert_eq!(args.from(1).first(1).to_owned(), OwnedArgs::from_iter([""]));
        assert_eq!(args.first(4), args);
        owned.clear();
        assert!(owned.is_empty());
    }
}
