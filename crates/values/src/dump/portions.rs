//! A large value's payload, a portion at a time: for whoever may not work long at once.
//!
//! Unlike [`Encoder`], which writes nodes as they are, this writes runs of elements: who stopped in the middle of a
//! value goes on at an element's index.

use super::encode::{Encoder, put_len};
use super::{kind, put_string};
use crate::digits;
use crate::stream::StreamId;
use crate::value::Value;
use crate::{Hash, List, Set, Stream, Text, Zset};

/// How far a value's payload has been written. The value must stay the same from the first portion to the last.
#[derive(Clone, Copy, Debug)]
pub struct Portions {
    next: Next,
    compress: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The type byte and, but for streams, the number of elements.
    Head,
    /// An element, by its index (of a string: a byte).
    Element(usize),
    /// A part of a stream.
    Stream(StreamPart),
    End,
}

/// The parts of a stream's payload, in their order; see the [codec](super::stream).
#[derive(Clone, Copy, Debug)]
pub(super) enum StreamPart {
    Node { node: usize },
    Counters,
    Group { group: usize },
    Pending { group: usize, from: StreamId },
    Consumers { group: usize },
    Consumer { group: usize, consumer: usize },
    ConsumerPending { group: usize, consumer: usize, from: StreamId },
}

impl Portions {
    /// Nothing is written yet. `compress`: long elements take their LZF form; a long string does not, since that must be
    /// made whole.
    #[must_use]
    pub fn new(compress: bool) -> Self {
        Self { next: Next::Head, compress }
    }

    /// Whether nothing has been written yet.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        matches!(self.next, Next::Head)
    }

    /// Appends the next portion: about `bytes`, and at least an element or a stream's node. True while more follow.
    /// All portions together are the value's payload.
    pub fn encode(&mut self, value: &Value, bytes: usize, out: &mut Vec<u8>) -> bool {
        let end = out.len() + bytes;
        let mut out = Encoder::new(out, self.compress);
        let out = &mut out;
        if self.is_at_start() {
            self.next = head(value, out);
        }
        self.next = match (self.next, value) {
            (Next::Element(at), Value::Text(text)) => text_from(text, at, end, out),
            (Next::Element(at), Value::List(list)) => list_from(list, at, end, out),
            (Next::Element(at), Value::Set(set)) => set_from(set, at, end, out),
            (Next::Element(at), Value::Hash(hash)) => hash_from(hash, at, end, out),
            (Next::Element(at), Value::Zset(zset)) => zset_from(zset, at, end, out),
            (Next::Stream(part), Value::Stream(stream)) => stream_from(stream, part, end, out),
            (next, _) => next,
        };
        !matches!(self.next, Next::End)
    }
}

fn head(value: &Value, out: &mut Encoder<'_>) -> Next {
    let (number, len) = match value {
        Value::Text(text) if is_short_integer(text) => {
            out.out.push(kind::STRING);
            put_string(out.out, &text.to_vec());
            return Next::End;
        }
        Value::Text(text) => (kind::STRING, text.len()),
        Value::List(list) => (kind::LIST, list.len()),
        Value::Set(set) => (kind::SET, set.len()),
        Value::Hash(hash) => (kind::HASH, hash.len()),
        Value::Zset(zset) => (kind::ZSET_2, zset.len()),
        Value::Stream(stream) => {
            out.out.push(kind::STREAM_LISTPACKS_2);
            put_len(out.out, stream.node_count() as u64);
            return Next::Stream(StreamPart::Node { node: 0 });
        }
    };
    out.out.push(number);
    put_len(out.out, len as u64);
    Next::Element(0)
}

/// Such a text has a form of its own, without a length.
fn is_short_integer(text: &Text) -> bool {
    text.len() <= super::encode::INT_TEXT_MAX && digits::parse_i64(&text.to_vec()).is_some()
}

fn element_or_end(at: usize, len: usize) -> Next {
    if at < len { Next::Element(at) } else { Next::End }
}

fn text_from(text: &Text, at: usize, end: usize, out: &mut Encoder<'_>) -> Next {
    let until = text.len().min(at + end.saturating_sub(out.out.len()).max(1));
    text.pieces(at, until).for_each(|piece| out.out.extend_from_slice(piece));
    element_or_end(until, text.len())
}

fn list_from(list: &List, mut at: usize, end: usize, out: &mut Encoder<'_>) -> Next {
    list.each_from(at, |element| {
        out.string(element);
        at += 1;
        out.out.len() < end
    });
    element_or_end(at, list.len())
}

fn set_from(set: &Set, mut at: usize, end: usize, out: &mut Encoder<'_>) -> Next {
    set.each_from(at, |member| {
        out.string(member);
        at += 1;
        out.out.len() < end
    });
    element_or_end(at, set.len())
}

fn hash_from(hash: &Hash, mut at: usize, end: usize, out: &mut Encoder<'_>) -> Next {
    hash.each_from(at, |field, value| {
        out.string(field);
        out.string(value);
        at += 1;
        out.out.len() < end
    });
    element_or_end(at, hash.len())
}

/// From the highest down, as Redis does: its skip list is quicker to build so.
fn zset_from(zset: &Zset, mut at: usize, end: usize, out: &mut Encoder<'_>) -> Next {
    if at < zset.len() {
        zset.each_back_from(zset.len() - 1 - at, |score, member| {
            out.string(member);
            out.out.extend_from_slice(&score.to_le_bytes());
            at += 1;
            out.out.len() < end
        });
    }
    element_or_end(at, zset.len())
}

fn stream_from(stream: &Stream, mut part: StreamPart, end: usize, out: &mut Encoder<'_>) -> Next {
    loop {
        match out.stream_part(stream, part, end) {
            Some(next) => part = next,
            None => return Next::End,
        }
        if out.out.len() >= end {
            return Next::Stream(part);
        }
    }
}
