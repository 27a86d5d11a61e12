//! Requests of one connection that are parsed before the first of them runs.
//!
//! What a command waits for most is memory: the table's place, the entry, the value behind it. Of several requests that
//! are known at once the processor fetches all of these together, while it would otherwise wait for one after the other.

use sessile_resp::{Args, Limits, Parser, ProtocolError};

/// Requests that are parsed together. More would push out of the cache what was fetched for the first of them.
pub(crate) const PARSED_AHEAD: usize = 16;

/// A run of parsed requests, of which the first are done.
pub(crate) struct Pipeline {
    /// One for each request; the one behind the last may have read a part of the next.
    parsers: [Parser; PARSED_AHEAD],
    /// Bytes of each request.
    lens: [usize; PARSED_AHEAD],
    done: usize,
    parsed: usize,
    /// The parser that has read a part of a request.
    partial: Option<usize>,
}

/// Why no more requests were parsed.
pub(crate) enum Stop {
    /// The next one has not wholly arrived.
    Incomplete,
    /// The next one cannot be read.
    Malformed(ProtocolError),
}

impl Default for Pipeline {
    fn default() -> Self {
        Self { parsers: Default::default(), lens: [0; PARSED_AHEAD], done: 0, parsed: 0, partial: Some(0) }
    }
}

impl Pipeline {
    /// Begins with a connection's own parser, which may have read a part of a request.
    pub(crate) fn begin(&mut self, parser: &mut Parser) {
        std::mem::swap(&mut self.parsers[0], parser);
        (self.done, self.parsed, self.partial) = (0, 0, Some(0));
    }

    /// Ends, and gives the connection its parser back. Requests that were not done will be parsed again.
    pub(crate) fn end(&mut self, parser: &mut Parser) {
        let partial = self.partial.filter(|_| self.done == self.parsed);
        self.forget(partial);
        std::mem::swap(&mut self.parsers[partial.unwrap_or(0)], parser);
    }

    fn forget(&mut self, but: Option<usize>) {
        let used = self.parsed.max(self.partial.map_or(0, |at| at + 1));
        for (at, parser) in self.parsers[..used].iter_mut().enumerate() {
            if Some(at) != but {
                parser.reset();
            }
        }
    }

    /// Parses the requests at the start of `input`, at most [`PARSED_AHEAD`], when all before them are done; says why there
    /// are not more. Before a client has authenticated, it is one at a time: the next one's limits depend on it.
    pub(crate) fn parse(&mut self, input: &[u8], limits: &Limits) -> Option<Stop> {
        debug_assert_eq!(self.done, self.parsed, "what was parsed is done");
        self.forget(self.partial);
        if let Some(partial) = self.partial {
            self.parsers.swap(0, partial);
        }
        (self.done, self.parsed, self.partial) = (0, 0, None);
        let most = if limits.unauthenticated { 1 } else { PARSED_AHEAD };
        let mut at = 0;
        while self.parsed < most {
            match self.parsers[self.parsed].next(&input[at..], limits) {
                Ok(Some(len)) => {
                    self.lens[self.parsed] = len;
                    self.parsed += 1;
                    at += len;
                }
                Ok(None) => {
                    self.partial = Some(self.parsed);
                    return Some(Stop::Incomplete);
                }
                Err(error) => {
                    self.parsers[self.parsed].reset();
                    return Some(Stop::Malformed(error));
                }
            }
        }
        None
    }

    /// The first request that is not done, which begins `input`, and its bytes.
    pub(crate) fn first<'a>(&'a self, input: &'a [u8]) -> Option<(Args<'a>, usize)> {
        (self.done < self.parsed).then(|| (self.parsers[self.done].args(input), self.lens[self.done]))
    }

    /// Counts it as done.
    pub(crate) fn pop(&mut self) {
        self.done += 1;
    }

    /// How many are parsed.
    pub(crate) fn len(&self) -> usize {
        self.parsed
    }

    /// All that are parsed, where `input` is what was given to [`Self::parse`].
    pub(crate) fn requests<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = Args<'a>> {
        let mut at = 0;
        self.parsers[..self.parsed].iter().zip(self.lens).map(move |(parser, len)| {
            let from = at;
            at += len;
            parser.args(&input[from..])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that differ in length, so that what was read of one does not fit another.
    fn requests(count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        (0..count).for_each(|n| {
            sessile_resp::encode_request(&mut out, &["SET", &"k".repeat(n % 7), &"v".repeat(n)]);
        });
        out
    }

    /// Parses `stream` in pieces of `piece` bytes, of each turn no more than `turn` requests being done: all of them, and
    /// whether it ends malformed.
    fn run(stream: &[u8], piece: usize, turn: usize, limits: &Limits) -> (Vec<Vec<Vec<u8>>>, bool) {
        let (mut pipeline, mut parser) = (Pipeline::default(), Parser::new());
        let (mut used, mut end, mut seen) = (0, 0, Vec::new());
        while end < stream.len() {
            end = stream.len().min(end + piece);
            loop {
                pipeline.begin(&mut parser);
                let stop = pipeline.parse(&stream[used..end], limits);
                assert_eq!(pipeline.requests(&stream[used..end]).count(), pipeline.len());
                for _ in 0..turn {
                    let Some((args, len)) = pipeline.first(&stream[used..end]) else { break };
                    seen.push(args.iter().map(<[u8]>::to_vec).collect());
                    used += len;
                    pipeline.pop();
                }
                let is_held_up = pipeline.first(&stream[used..end]).is_some();
                pipeline.end(&mut parser);
                match stop {
                    None => {}
                    _ if is_held_up => {}
                    Some(Stop::Incomplete) => break,
                    Some(Stop::Malformed(_)) => return (seen, true),
                }
            }
        }
        assert!(used == stream.len(), "{used} of {} bytes", stream.len());
        (seen, false)
    }

    fn check(stream: &[u8], limits: &Limits, requests: usize, malformed: bool) {
        let whole = run(stream, stream.len(), usize::MAX, limits);
        assert_eq!((whole.0.len(), whole.1), (requests, malformed));
        for piece in [1, 2, 7, 50, 333, stream.len()] {
            for turn in [1, 3, PARSED_AHEAD, usize::MAX] {
                assert_eq!(run(stream, piece, turn, limits), whole, "pieces of {piece}, {turn} a turn");
            }
        }
    }

    #[test]
    fn the_same_requests_however_they_arrive_and_wherever_they_are_held_up() {
        let limits = Limits::default();
        check(&requests(PARSED_AHEAD), &limits, PARSED_AHEAD, false);
        check(&requests(100), &limits, 100, false);
        check(&[&requests(20)[..], b"PING 'a b'\r\n*0\r\n", &requests(1)].concat(), &limits, 23, false);
        check(&[&requests(20)[..], b"*1\r\n!x\r\n"].concat(), &limits, 20, true);
    }

    #[test]
    fn before_authentication_one_at_a_time() {
        let limits = Limits { unauthenticated: true, ..Limits::default() };
        let mut pipeline = Pipeline::default();
        assert!(pipeline.parse(&requests(3), &limits).is_none());
        assert_eq!(pipeline.len(), 1);
        check(&requests(3), &limits, 3, false);
    }
}
