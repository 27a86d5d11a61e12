//! What a connection is to be sent: one FIFO of bytes, and from where on they wait for the journal.

use std::collections::VecDeque;

use sessile_keyspace::Gate;

/// Sent bytes are dropped from the front once they are this many.
const COMPACT_BYTES: usize = 16 * 1024;
/// An emptied buffer larger than this is given back.
const KEEP_BYTES: usize = 64 * 1024;

/// A connection's output.
///
/// Replies and pushes share one FIFO; a mark stands for a run of replies with the same gate. Bytes from a mark's
/// place on leave only when its gate has passed, and with them everything behind.
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that ever left before `bytes[0]`, so that marks need no shifting.
    base: u64,
    /// By place: what stands behind a mark waits for it and for all before it.
    marks: VecDeque<Mark>,
    /// The buffer is lent to a command of this connection, which writes its reply there.
    lent: bool,
    /// Pushes that came meanwhile, with when they did: they stand behind the reply.
    aside: Vec<(Vec<u8>, Gate, u64)>,
}

/// From where on bytes wait.
#[derive(Clone, Copy)]
struct Mark {
    start: u64,
    gate: Gate,
    /// When the run of replies began to wait, by the stopwatch.
    since_us: u64,
}

impl Output {
    /// The place where the next reply begins.
    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The buffer, for writing a reply at its end.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Lends the buffer to a command, which appends its reply. Until it is given back nothing can leave.
    pub fn lend(&mut self) -> Vec<u8> {
        debug_assert!(!self.lent, "a connection runs one command at a time");
        self.lent = true;
        std::mem::take(&mut self.bytes)
    }

    /// Returns the buffer that was lent, with whatever was pushed meanwhile behind the reply.
    pub fn give_back(&mut self, bytes: Vec<u8>) {
        self.lent = false;
        self.bytes = bytes;
        for (push, gate, at_us) in std::mem::take(&mut self.aside) {
            self.push(&push, gate, at_us);
        }
    }

    /// Drops what was written since `start`.
    pub fn truncate(&mut self, start: u64) {
        self.bytes.truncate((start - self.base) as usize);
        while self.marks.back().is_some_and(|mark| mark.start >= start) {
            self.marks.pop_back();
        }
    }

    /// Says that what was written since `start`, at `at_us` of the stopwatch, waits for `gate`.
    pub fn gate_from(&mut self, start: u64, gate: Gate, at_us: u64) {
        if gate == Gate::OPEN || start == self.end() {
            return;
        }
        // Pushes that a command caused were marked before its own reply, which stands in front of them.
        let behind = self.marks.iter().rev().take_while(|mark| mark.start > start).count();
        let at = self.marks.len() - behind;
        let covers = |before: usize| self.marks[before].gate.and(gate) == self.marks[before].gate;
        if !at.checked_sub(1).is_some_and(covers) {
            self.marks.insert(at, Mark { start, gate, since_us: at_us });
        }
    }

    /// Adds a whole reply or push.
    pub fn push(&mut self, reply: &[u8], gate: Gate, at_us: u64) {
        if self.lent {
            self.aside.push((reply.to_vec(), gate, at_us));
            return;
        }
        let start = self.end();
        self.bytes.extend_from_slice(reply);
        self.gate_from(start, gate, at_us);
    }

    /// Opens the gates that the journal's progress lets pass, and tells `opened` since when each run of replies waited;
    /// true if nothing waits any more.
    pub fn advance(&mut self, progress: Gate, mut opened: impl FnMut(u64)) -> bool {
        while let Some(mark) = self.marks.front().filter(|mark| mark.gate.passes(progress)) {
            opened(mark.since_us);
            self.marks.pop_front();
        }
        self.marks.is_empty()
    }

    /// Whether anything waits for the journal.
    pub fn is_gated(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The bytes that may leave now.
    pub fn released(&self) -> &[u8] {
        if self.lent {
            return &[];
        }
        let end = self.marks.front().map_or(self.bytes.len(), |mark| (mark.start - self.base) as usize);
        &self.bytes[self.sent..end]
    }

    /// Notes that `count` released bytes have left.
    pub fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.base += self.sent as u64;
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.sent > COMPACT_BYTES && self.sent > self.bytes.len() / 2 {
            self.base += self.sent as u64;
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Drops what waits for the journal, which failed, and says so in its place.
    pub fn fail(&mut self, error: &[u8]) {
        if let Some(&Mark { start, .. }) = self.marks.front() {
            self.bytes.truncate((start - self.base) as usize);
            self.bytes.extend_from_slice(error);
            self.marks.clear();
        }
    }

    /// Bytes not yet sent.
    pub fn len(&self) -> usize {
        // While the buffer is lent there may be less than was sent.
        self.bytes.len().saturating_sub(self.sent)
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of the buffer alone.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Memory behind the output.
    pub fn heap_bytes(&self) -> usize {
        self.aside.iter().map(|(push, ..)| push.capacity()).sum::<usize>()
            + self.bytes.capacity()
            + self.marks.capacity() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(lsn: u64) -> Gate {
        Gate { written: 0, durable: lsn }
    }

    #[test]
    fn releases_in_order_and_only_what_passed() {
        let mut output = Output::default();
        output.push(b"a", Gate::OPEN, 1);
        output.push(b"b", durable(5), 2);
        output.push(b"c", Gate::OPEN, 3);
        output.push(b"d", durable(5), 4);
        output.push(b"e", durable(9), 5);
        assert_eq!(output.released(), b"a");
        output.consume(1);
        let mut waited_since = Vec::new();
        assert!(!output.advance(durable(4), |us| waited_since.push(us)));
        assert_eq!(output.released(), b"");
        output.advance(durable(5), |us| waited_since.push(us));
        assert_eq!(waited_since, [2], "a run with one gate counts once");
        assert_eq!(output.released(), b"bcd");
        output.consume(2);
        output.fail(b"!");
        assert_eq!(output.released(), b"d!");
        output.consume(2);
        assert!(output.is_empty() && output.advance(Gate::OPEN, |_| {}));
    }

    #[test]
    fn a_reply_waits_though_its_pushes_were_marked_before_it() {
        let mut output = Output::default();
        let start = output.end();
        let mut lent = output.lend();
        lent.extend_from_slice(b"reply ");
        output.push(b"during ", durable(5), 0);
        assert_eq!(output.released(), b"", "nothing leaves while the buffer is lent");
        output.give_back(lent);
        output.push(b"after", durable(5), 0);
        output.gate_from(start, durable(5), 0);
        assert_eq!(output.released(), b"");
        assert!(!output.advance(durable(4), |_| {}));
        assert_eq!(output.released(), b"");
        assert!(output.advance(durable(5), |_| {}));
        assert_eq!(output.released(), b"reply during after");
        // A reply that waits for less leaves before what it caused.
        output.consume(18);
        let start = output.end();
        output.buffer().extend_from_slice(b"reply ");
        output.push(b"push", durable(9), 0);
        output.gate_from(start, durable(7), 0);
        assert!(!output.advance(durable(7), |_| {}));
        assert_eq!(output.released(), b"reply ");
    }

    #[test]
    fn keeps_marks_right_when_sent_bytes_are_dropped() {
        let mut output = Output::default();
        output.push(&[1; 3 * COMPACT_BYTES], Gate::OPEN, 0);
        output.push(b"x", durable(1), 0);
        output.consume(2 * COMPACT_BYTES);
        assert_eq!(output.released().len(), COMPACT_BYTES);
        output.consume(COMPACT_BYTES);
        assert_eq!(output.released(), b"");
        output.advance(durable(1), |_| {});
        assert_eq!(output.released(), b"x");
    }
}
