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
    marks: VecDeque<(u64, Gate)>,
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

    /// Returns the buffer that was taken for writing, with whatever arrived in between behind it.
    pub fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.bytes);
        self.bytes = bytes;
    }

    /// Drops what was written since `start`.
    pub fn truncate(&mut self, start: u64) {
        self.bytes.truncate((start - self.base) as usize);
        while self.marks.back().is_some_and(|&(at, _)| at >= start) {
            self.marks.pop_back();
        }
    }

    /// Says that what was written since `start` waits for `gate`.
    pub fn gate_from(&mut self, start: u64, gate: Gate) {
        if gate == Gate::OPEN || start == self.end() {
            return;
        }
        if let Some(&(_, last)) = self.marks.back()
            && last.and(gate) == last
        {
            return;
        }
        self.marks.push_back((start, gate));
    }

    /// Adds a whole reply or push.
    pub fn push(&mut self, reply: &[u8], gate: Gate) {
        let start = self.end();
        self.bytes.extend_from_slice(reply);
        self.gate_from(start, gate);
    }

    /// Opens the gates that the journal's progress lets pass; true if nothing waits any more.
    pub fn advance(&mut self, progress: Gate) -> bool {
        while self.marks.front().is_some_and(|(_, gate)| gate.passes(progress)) {
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
        let end = self.marks.front().map_or(self.bytes.len(), |(start, _)| (start - self.base) as usize);
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
        if let Some(&(start, _)) = self.marks.front() {
            self.bytes.truncate((start - self.base) as usize);
            self.bytes.extend_from_slice(error);
            self.marks.clear();
        }
    }

    /// Bytes not yet sent.
    pub fn len(&self) -> usize {
        // While a command of this connection writes, the buffer is lent to it and there may be less than was sent.
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
        self.bytes.capacity() + self.marks.capacity() * size_of::<(u64, Gate)>()
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
        output.push(b"a", Gate::OPEN);
        output.push(b"b", durable(5));
        output.push(b"c", Gate::OPEN);
        output.push(b"d", durable(5));
        output.push(b"e", durable(9));
        assert_eq!(output.released(), b"a");
        output.consume(1);
        assert!(!output.advance(durable(4)));
        assert_eq!(output.released(), b"");
        output.advance(durable(5));
        assert_eq!(output.released(), b"bcd");
        output.consume(2);
        output.fail(b"!");
        assert_eq!(output.released(), b"d!");
        output.consume(2);
        assert!(output.is_empty() && output.advance(Gate::OPEN));
    }

    #[test]
    fn keeps_marks_right_when_sent_bytes_are_dropped() {
        let mut output = Output::default();
        output.push(&[1; 3 * COMPACT_BYTES], Gate::OPEN);
        output.push(b"x", durable(1));
        output.consume(2 * COMPACT_BYTES);
        assert_eq!(output.released().len(), COMPACT_BYTES);
        output.consume(COMPACT_BYTES);
        assert_eq!(output.released(), b"");
        output.advance(durable(1));
        assert_eq!(output.released(), b"x");
    }
}
