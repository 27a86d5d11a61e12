//! Long strings: a rope of chunks, so that APPEND, SETRANGE and SETBIT on half a gigabyte touch a few of them and a
//! snapshot keeps the old string by sharing.

use std::cmp::Ordering;

use crate::size::allocated;
use crate::tree::{Item, Tree};

/// Bytes in a full chunk.
const CHUNK_BYTES: usize = 8 * 1024;

/// A long string.
#[derive(Clone, Default)]
pub struct Text(Tree<Chunk>);

#[derive(Clone)]
struct Chunk(Vec<u8>);

impl Item for Chunk {
    type Key<'a> = ();
    type Sep = ();

    fn key(&self) {}

    fn sep(&self) {}

    fn compare(&self, (): ()) -> Ordering {
        Ordering::Equal
    }

    fn compare_sep((): &(), (): ()) -> Ordering {
        Ordering::Equal
    }

    fn weight(&self) -> usize {
        self.0.len()
    }

    fn heap_bytes(&self) -> usize {
        allocated(self.0.capacity())
    }
}

impl Text {
    /// A rope over a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = Self::default();
        text.append(bytes);
        text
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.weight()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory behind the rope.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, mut bytes: &[u8]) {
        if let Some(last) = self.0.last().map(|c| c.0.len()).filter(|&len| len < CHUNK_BYTES) {
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - last));
            let path = self.0.path_at(self.0.len() - 1);
            self.0.update_at(path, |chunk| chunk.0.extend_from_slice(now));
            bytes = rest;
        }
        for piece in bytes.chunks(CHUNK_BYTES) {
            self.0.push(Chunk(piece.to_vec()));
        }
    }

    /// Writes `bytes` at `offset`, padding with zeros when that is beyond the end.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        while self.len() < offset {
            let gap = (offset - self.len()).min(CHUNK_BYTES);
            self.append(&[0; CHUNK_BYTES][..gap]);
        }
        let (mut inside, beyond) = bytes.split_at(bytes.len().min(self.len() - offset));
        let mut at = offset;
        while !inside.is_empty() {
            let (path, start) = self.0.path_at_weight(at);
            let done = self.0.update_at(path, |chunk| {
                let len = inside.len().min(chunk.0.len() - start);
                chunk.0[start..start + len].copy_from_slice(&inside[..len]);
                len
            });
            inside = &inside[done..];
            at += done;
        }
        self.append(beyond);
    }

    /// The pieces that cover `start..end`, in order.
    pub fn pieces(&self, start: usize, end: usize) -> impl Iterator<Item = &[u8]> {
        let end = end.min(self.len());
        let (path, offset) = self.0.path_at_weight(start.min(end));
        let mut left = end.saturating_sub(start);
        let mut skip = offset;
        self.0.iter_from(self.0.index_of(path)).map_while(move |chunk| {
            if left == 0 {
                return None;
            }
            let piece = &chunk.0[skip..];
            let piece = &piece[..piece.len().min(left)];
            skip = 0;
            left -= piece.len();
            Some(piece)
        })
    }

    /// The byte at `offset`.
    pub fn byte(&self, offset: usize) -> Option<u8> {
        let (path, inside) = self.0.path_at_weight(offset);
        self.0.at(path).and_then(|chunk| chunk.0.get(inside)).copied()
    }

    /// A copy in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.pieces(0, self.len()).for_each(|piece| all.extend_from_slice(piece));
        all
    }

    /// See [`crate::Value::dismantle`].
    pub fn dismantle(self) -> Option<Box<dyn FnMut(usize) -> bool>> {
        let mut parts = self.0.dismantle();
        Some(Box::new(move |nodes| parts.free(nodes)))
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, Text};

    #[test]
    fn equals_a_vector() {
        let mut text = Text::default();
        let mut model: Vec<u8> = Vec::new();
        let lens = [0, 1, 10, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];
        for step in 0..60usize {
            let bytes = vec![step as u8; lens[step * 5 % lens.len()]];
            let offset = step * 7919 % (model.len() + 3 * CHUNK_BYTES);
            if step % 3 == 0 {
                text.append(&bytes);
                model.extend(&bytes);
            } else {
                text.write_at(offset, &bytes);
                let end = (offset + bytes.len()).max(model.len()).max(offset);
                model.resize(end, 0);
                model[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            assert_eq!(text.to_vec(), model, "step {step}");
            let (start, end) = (model.len() / 3, model.len() / 2);
            assert_eq!(text.pieces(start, end).collect::<Vec<_>>().concat(), model[start..end]);
            assert_eq!(text.byte(start), model.get(start).copied());
        }
    }
}
