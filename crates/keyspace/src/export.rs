//! A snapshot for others: entries as payloads of the value codec, in a frame that whoever exports them gives.

use std::collections::VecDeque;

use sessile_values::{Text, Value, dump};

use crate::entry::{Content, Entry};
use crate::snapshot::{PART_BYTES, Sink, WHOLE_BYTES, kept_bytes};

/// Puts entries into a file's form.
pub trait Framing {
    /// Appends a piece. An entry's pieces follow one another, the first says so.
    fn piece(&mut self, out: &mut Vec<u8>, piece: Piece<'_>);
}

/// An entry as it was when the export began, or the first or a further portion of it.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The number that the db had.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// When it expires, milliseconds since the epoch.
    pub expire_ms: Option<u64>,
    /// Whether the entry begins here. Then the payload's first byte is its type.
    pub first: bool,
    /// Bytes of the payload, see [`sessile_values::dump`].
    pub payload: &'a [u8],
}

/// Writes payloads, large values in portions.
pub(crate) struct Export {
    framing: Box<dyn Framing>,
    /// The first may be half written. Then everything else waits, since an entry's bytes stand together.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    payload: Vec<u8>,
    compress: bool,
}

struct Waiting {
    db: u32,
    key: Vec<u8>,
    expire_ms: Option<u64>,
    value: Value,
    written: dump::Portions,
}

impl Export {
    /// `compress`: long strings take their LZF form.
    pub(crate) fn new(framing: Box<dyn Framing>, compress: bool) -> Self {
        Self { framing, waiting: VecDeque::new(), waiting_bytes: 0, payload: Vec::new(), compress }
    }

    fn is_midway(&self) -> bool {
        self.waiting.front().is_some_and(|it| !it.written.is_at_start())
    }
}

impl Sink for Export {
    fn save(&mut self, out: &mut Vec<u8>, db: u32, entry: &Entry) {
        let (key, expire_ms, midway) = (entry.key(), entry.expire_ms(), self.is_midway());
        self.payload.clear();
        let mut encoder = dump::Encoder::new(&mut self.payload, self.compress);
        let later = match entry.content() {
            Content::Short(text) if midway => Value::Text(Text::new(text)),
            Content::Value(value) if midway || value.heap_bytes() > WHOLE_BYTES => value.clone(),
            small => {
                match small {
                    Content::Short(text) => encoder.text(text),
                    Content::Value(value) => encoder.value(value),
                }
                let piece = Piece { db, key, expire_ms, first: true, payload: &self.payload };
                return self.framing.piece(out, piece);
            }
        };
        let written = dump::Portions::new(self.compress);
        self.waiting_bytes += kept_bytes(key, &later);
        self.waiting.push_back(Waiting { db, key: key.to_vec(), expire_ms, value: later, written });
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Option<Value> {
        let it = self.waiting.front_mut().expect("something waits");
        self.payload.clear();
        let first = it.written.is_at_start();
        let more = it.written.encode(&it.value, PART_BYTES, &mut self.payload);
        let (db, key, expire_ms) = (it.db, &it.key[..], it.expire_ms);
        self.framing.piece(out, Piece { db, key, expire_ms, first, payload: &self.payload });
        if more {
            return None;
        }
        let it = self.waiting.pop_front()?;
        self.waiting_bytes -= kept_bytes(&it.key, &it.value);
        Some(it.value)
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}
