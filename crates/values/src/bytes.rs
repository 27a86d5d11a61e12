//! A thin, reference-counted, immutable byte string: one word in a node, one allocation, length inside.
//!
//! A member of a sorted set stands in two orders and in separators; sharing it halves the memory. `Rc<[u8]>` would
//! take two words and sixteen bytes of counts.
//!
//! Invariants: `ptr` points at a live `Head` followed by exactly `len` initialised bytes, in one allocation made
//! with `layout(len)`; `refs` counts the `Bytes` that point there; the bytes are never written after construction.
//! `NonNull` makes the type neither `Send` nor `Sync`, so the plain counter suffices.
#![expect(unsafe_code, reason = "one-word shared strings decide the memory of large sets and hashes")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::size::allocated;

#[repr(C)]
struct Head {
    refs: Cell<u32>,
    len: u32,
}

/// A shared immutable byte string of at most 4 GiB; `clone` copies one word.
pub struct Bytes {
    ptr: NonNull<Head>,
}

const HEAD: usize = size_of::<Head>();

fn layout(len: usize) -> Layout {
    Layout::from_size_align(HEAD + len, align_of::<Head>()).expect("a byte string is far below isize::MAX")
}

impl Bytes {
    /// Copies `bytes` into a new allocation.
    pub fn new(bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("values are bounded by proto-max-bulk-len, below 4 GiB");
        let layout = layout(bytes.len());
        // SAFETY: the layout has a size of at least HEAD > 0. The head and all `len` bytes are initialised here,
        // before the pointer is shared.
        unsafe {
            let Some(ptr) = NonNull::new(alloc(layout).cast::<Head>()) else { handle_alloc_error(layout) };
            ptr.write(Head { refs: Cell::new(1), len });
            ptr.add(1).cast::<u8>().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            Self { ptr }
        }
    }

    /// Bytes of memory behind this handle, whoever shares it.
    pub fn heap_bytes(&self) -> usize {
        allocated(HEAD + self.len())
    }

    fn head(&self) -> &Head {
        // SAFETY: `ptr` points at a live head for as long as any handle exists.
        unsafe { self.ptr.as_ref() }
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Self {
        let refs = &self.head().refs;
        refs.set(refs.get().checked_add(1).expect("fewer than 2^32 owners"));
        Self { ptr: self.ptr }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let head = self.head();
        let left = head.refs.get() - 1;
        head.refs.set(left);
        if left == 0 {
            let layout = layout(head.len as usize);
            // SAFETY: this was the last owner, and the allocation was made with the same layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), layout) };
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let len = self.head().len as usize;
        // SAFETY: `len` initialised bytes follow the head and are immutable while a handle exists.
        unsafe { std::slice::from_raw_parts(self.ptr.add(1).cast::<u8>().as_ptr(), len) }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn shares_and_frees() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let a = Bytes::new(&text);
            let b = a.clone();
            drop(a);
            assert_eq!(*b, *text);
            assert_eq!(b.head().refs.get(), 1);
        }
    }
}
