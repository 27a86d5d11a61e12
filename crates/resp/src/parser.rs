//! The incremental request parser: finds the arguments of one request in the bytes of a connection.
//!
//! Arguments are not copied. Progress is kept between calls, so a large argument is looked at once however
//! many pieces it arrives in, and memory grows by one span for each argument that has arrived, whatever a
//! header announces.

use memchr::memchr;

use crate::{
    args::{Args, Span},
    error::ProtocolError,
    number::parse_i64,
    split::split_spans,
};

/// Arguments a client may send in one request before it has authenticated.
const UNAUTHENTICATED_ARGS: i64 = 10;
/// Bytes a client may send in one argument before it has authenticated.
const UNAUTHENTICATED_BULK_LEN: i64 = 16 * 1024;

/// What a request may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest argument, in bytes (`proto-max-bulk-len`).
    pub max_bulk_len: usize,
    /// The most arguments of one request.
    pub max_args: usize,
    /// The longest inline command, and the longest header line, in bytes.
    pub max_inline: usize,
    /// Whether the client still has to authenticate; much smaller limits hold until then.
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bulk_len: 512 * 1024 * 1024,
            max_args: i32::MAX as usize,
            max_inline: 64 * 1024,
            unauthenticated: false,
        }
    }
}

/// Reads one request after another; see the module.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    /// Everything before this offset is decided.
    pos: usize,
    /// No line ends before this offset.
    scanned: usize,
    /// Arguments still to come.
    remaining: usize,
    bulk_len: usize,
    wanted: usize,
    spans: Vec<Span>,
    /// The arguments of an inline command that quotes something.
    unquoted: Vec<u8>,
    is_unquoted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Start,
    Inline,
    Count,
    BulkHeader,
    Bulk,
    Complete,
}

impl Parser {
    /// A parser at the start of a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a whole request at the start of `buf`. `Some(n)`: there is one, `n` bytes long, and
    /// [`args`](Self::args) gives its arguments (perhaps none: such a request is to be skipped silently);
    /// call [`reset`](Self::reset) before the next. `None`: call again with the same bytes and more behind them.
    ///
    /// After an error nothing more can be read from the connection.
    #[inline]
    pub fn next(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        if self.state == State::Start {
            self.state = match buf.first() {
                None => return Ok(None),
                Some(b'*') => State::Count,
                Some(_) => State::Inline,
            };
        }
        match self.state {
            State::Inline => self.next_inline(buf, limits),
            State::Count => match self.count(buf, limits)? {
                false => Ok(None),
                true => self.bulks(buf, limits),
            },
            _ => self.bulks(buf, limits),
        }
    }

    /// The arguments of the request that [`next`](Self::next) found at the start of `buf`.
    #[inline]
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        debug_assert!(self.state == State::Complete, "only a complete request has arguments");
        Args::new(if self.is_unquoted { &self.unquoted } else { buf }, &self.spans)
    }

    /// Forgets the request, to read the next one.
    #[inline]
    pub fn reset(&mut self) {
        // A request with very many arguments should not pin its memory for as long as the connection lives.
        const KEPT_SPANS: usize = 1024;
        const KEPT_UNQUOTED_BYTES: usize = 4096;

        self.state = State::Start;
        self.pos = 0;
        self.scanned = 0;
        self.remaining = 0;
        self.wanted = 0;
        self.is_unquoted = false;
        self.spans.clear();
        self.unquoted.clear();
        if self.spans.capacity() > KEPT_SPANS {
            self.spans.shrink_to(KEPT_SPANS);
        }
        if self.unquoted.capacity() > KEPT_UNQUOTED_BYTES {
            self.unquoted.shrink_to(KEPT_UNQUOTED_BYTES);
        }
    }

    /// Bytes that the argument being received still lacks, its line end included; 0 if none is being
    /// received. The reader can size its buffer by it.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Bytes of heap memory held.
    pub fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.unquoted.capacity()
    }

    fn next_inline(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let from = self.scanned;
        let newline = memchr(b'\n', &buf[from..]).map(|at| from + at);
        if newline.unwrap_or(buf.len()) > limits.max_inline {
            return Err(ProtocolError::TooBigInline);
        }
        let Some(newline) = newline else {
            self.scanned = buf.len();
            return Ok(None);
        };
        let line = &buf[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.is_unquoted = split_spans(line, 0, &mut self.unquoted, &mut self.spans)
            .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.state = State::Complete;
        Ok(Some(newline + 1))
    }

    /// Reads `*<count>\r\n`; false if it is not all there yet.
    fn count(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let (count, next) = match short_header(buf) {
            Some((count, len)) => (count, len),
            None => match self.long_header(buf, limits, ProtocolError::TooBigMbulkCount)? {
                None => return Ok(false),
                Some((count, next)) => (count.ok_or(ProtocolError::InvalidMultibulkLength)?, next),
            },
        };
        if count > 0 && count as u64 > limits.max_args as u64 {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if limits.unauthenticated && count > UNAUTHENTICATED_ARGS {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.remaining = count.max(0) as usize;
        self.pos = next;
        self.state = State::BulkHeader;
        Ok(true)
    }

    fn bulks(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        self.wanted = 0;
        while self.remaining > 0 {
            if self.state == State::BulkHeader && !self.bulk_header(buf, limits)? {
                return Ok(None);
            }
            let available = buf.len() - self.pos;
            // The two bytes behind the argument are not looked at: Redis does not either.
            let needed = self.bulk_len.saturating_add(2);
            if available < needed {
                self.wanted = needed - available;
                return Ok(None);
            }
            self.spans.push(Span::new(self.pos, self.bulk_len));
            self.pos += needed;
            self.remaining -= 1;
            self.state = State::BulkHeader;
        }
        self.state = State::Complete;
        Ok(Some(self.pos))
    }

    /// Reads `$<length>\r\n`; false if it is not all there yet.
    #[inline]
    fn bulk_header(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let line = &buf[self.pos..];
        let (len, next) = match short_header(line) {
            Some((len, header_len)) if line[0] == b'$' => (len, self.pos + header_len),
            _ => match self.long_header(buf, limits, ProtocolError::TooBigBulkCount)? {
                None => return Ok(false),
                Some(_) if line[0] != b'$' => return Err(ProtocolError::ExpectedDollar(line[0])),
                Some((len, next)) => (len.ok_or(ProtocolError::InvalidBulkLength)?, next),
            },
        };
        let bulk_len = usize::try_from(len).map_err(|_| ProtocolError::InvalidBulkLength)?;
        if bulk_len > limits.max_bulk_len {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if limits.unauthenticated && len > UNAUTHENTICATED_BULK_LEN {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.bulk_len = bulk_len;
        self.pos = next;
        self.state = State::Bulk;
        Ok(true)
    }

    /// Reads any header line at the cursor: its number (`None` if it is none), and where the next line starts.
    #[cold]
    fn long_header(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
        let from = self.scanned.max(self.pos);
        let end = memchr(b'\r', &buf[from..]).map_or(buf.len(), |at| from + at);
        self.scanned = end;
        if end - self.pos > limits.max_inline {
            return Err(too_long);
        }
        // The byte behind the `\r` has to be there but may be any: Redis does not look at it.
        if end + 1 >= buf.len() {
            return Ok(None);
        }
        Ok(Some((buf.get(self.pos + 1..end).and_then(parse_i64), end + 2)))
    }
}

/// Reads the usual header: any one byte, up to nine digits in canonical form, `\r`, any one byte. Its number
/// and its length; `None` leaves the verdict to the thorough way.
#[inline]
fn short_header(line: &[u8]) -> Option<(i64, usize)> {
    const MAX_DIGITS: usize = 9;

    let first = line.get(1)?.wrapping_sub(b'0');
    if first > 9 {
        return None;
    }
    let mut number = i64::from(first);
    let mut at = 2;
    if first != 0 {
        while at <= MAX_DIGITS {
            let digit = line.get(at)?.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number * 10 + i64::from(digit);
            at += 1;
        }
    }
    (line.len() > at + 1 && line[at] == b'\r').then_some((number, at + 2))
}
