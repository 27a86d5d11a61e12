//! Owners of one allocation that are eight bytes anywhere: a byte buffer that knows its own length, and a box.
//!
//! A small collection is a listpack and what points there, so the pointer's company counts: `Vec` adds two words, and
//! every enum around an aligned pointer adds a word for its tag. These two have no alignment, so that a tag takes one
//! byte, and a whole [`crate::Value`] ten.
//!
//! Invariants of [`ThinBytes`]: the pointer owns an allocation made with `layout(len)`, where `len` is the u32 that
//! its first [`PREFIX`] bytes hold, little-endian, themselves included; the first `len` bytes are initialised. Only
//! this module writes the prefix. Of [`ThinBox`]: the pointer comes from a `Box<T>` and alone owns it.
#![expect(
    unsafe_code,
    reason = "pointers without length, capacity and alignment decide the memory of small collections"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::prefetch::prefetch;
use crate::size::allocated;

/// Bytes of the length that a buffer starts with.
pub(crate) const PREFIX: usize = 4;

/// A byte buffer that starts with its own length; never larger than what the allocator would give anyway.
#[repr(C, packed)]
pub(crate) struct ThinBytes(NonNull<u8>);

/// The allocation of a buffer of `len` bytes: its whole size class, which is why nobody has to store a capacity.
fn layout(len: usize) -> Layout {
    Layout::array::<u8>(allocated(len)).expect("a length of 32 bits is far below isize::MAX")
}

fn stored(len: Option<usize>) -> [u8; PREFIX] {
    let len = len.and_then(|len| u32::try_from(len).ok());
    len.expect("callers keep compact values far below 4 GiB").to_le_bytes()
}

impl ThinBytes {
    /// A buffer of the length and then `rest`.
    pub(crate) fn new(rest: &[u8]) -> Self {
        let prefix = stored(rest.len().checked_add(PREFIX));
        let layout = layout(PREFIX + rest.len());
        // SAFETY: the layout's size is at least PREFIX > 0, and it has room for prefix and rest, which are written
        // before anybody sees them.
        unsafe {
            let Some(ptr) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            ptr.cast::<[u8; PREFIX]>().write_unaligned(prefix);
            ptr.add(PREFIX).copy_from_nonoverlapping(NonNull::from(rest).cast(), rest.len());
            Self(ptr)
        }
    }

    /// Length of the whole, the prefix included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let ptr = self.0;
        // SAFETY: the prefix is initialised, and `&self` keeps writers away.
        u32::from_le_bytes(unsafe { ptr.cast::<[u8; PREFIX]>().read_unaligned() }) as usize
    }

    /// Has the processor fetch the first three cache lines, and does not wait for them.
    pub(crate) fn prefetch(&self) {
        prefetch({ self.0 }.as_ptr(), 3 * 64);
    }

    /// The whole, beginning with the prefix.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let ptr = self.0;
        // SAFETY: `len` bytes are initialised, and `&self` keeps writers away.
        unsafe { std::slice::from_raw_parts(ptr.as_ptr(), self.len()) }
    }

    /// Writes over what stands at `at`, behind the prefix.
    #[inline]
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let len = self.len();
        assert!(at >= PREFIX && at <= len && bytes.len() <= len - at, "a write stays behind the prefix");
        let ptr = self.0;
        // SAFETY: the range lies within the buffer, and `bytes` cannot overlap what `&mut self` borrows.
        unsafe { ptr.add(at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }

    /// Gives the `old` bytes at `at` room for `new` bytes, moves what follows, and returns the room, whose content is
    /// unspecified.
    pub(crate) fn splice(&mut self, at: usize, old: usize, new: usize) -> &mut [u8] {
        let len = self.len();
        assert!(at >= PREFIX && at <= len && old <= len - at, "a splice stays behind the prefix");
        let prefix = stored((len - old).checked_add(new));
        let total = len - old + new;
        if allocated(total) > allocated(len) {
            self.reallocate(len, total);
        }
        let ptr = self.0;
        // SAFETY: the allocation has room for the larger of `len` and `total`. What it grows by is initialised before
        // the tail moves, so that all `total` bytes are afterwards, whatever the room's part of them still holds.
        unsafe {
            if total > len {
                ptr.add(len).write_bytes(0, total - len);
            }
            ptr.add(at + old).copy_to(ptr.add(at + new), len - at - old);
        }
        if allocated(total) < allocated(len) {
            self.reallocate(len, total);
        }
        let ptr = self.0;
        // SAFETY: the allocation fits `total` now, and the room lies within it; `&mut self` makes the borrow unique.
        unsafe {
            ptr.cast::<[u8; PREFIX]>().write_unaligned(prefix);
            std::slice::from_raw_parts_mut(ptr.add(at).as_ptr(), new)
        }
    }

    /// Exchanges the allocation, which is one for `len` bytes, for one for `total`; the caller stores the new length.
    fn reallocate(&mut self, len: usize, total: usize) {
        let (ptr, size) = (self.0, layout(total).size());
        // SAFETY: the allocation was made with `layout(len)`, and both sizes are above 0 as both hold a prefix.
        let new = unsafe { realloc(ptr.as_ptr(), layout(len), size) };
        let Some(new) = NonNull::new(new) else { handle_alloc_error(layout(total)) };
        self.0 = new;
    }

    /// Memory behind the buffer.
    pub(crate) fn heap_bytes(&self) -> usize {
        allocated(self.len())
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::new(&self.bytes()[PREFIX..])
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let (ptr, layout) = (self.0, layout(self.len()));
        // SAFETY: this is the only owner, and the allocation was made with this layout.
        unsafe { dealloc(ptr.as_ptr(), layout) };
    }
}

/// A box without alignment.
#[repr(C, packed)]
pub struct ThinBox<T>(NonNull<T>, PhantomData<T>);

impl<T> ThinBox<T> {
    /// Moves `value` into an allocation of its own.
    pub fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))), PhantomData)
    }

    /// Moves the value out.
    pub fn into_inner(self) -> T {
        let this = ManuallyDrop::new(self);
        let ptr = this.0;
        // SAFETY: the pointer comes from a box, and its only owner is forgotten here.
        *unsafe { Box::from_raw(ptr.as_ptr()) }
    }
}

impl<T> Deref for ThinBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let ptr = self.0;
        // SAFETY: the pointer owns a live value, which is borrowed as long as `self` is.
        unsafe { ptr.as_ref() }
    }
}

impl<T> DerefMut for ThinBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut ptr = self.0;
        // SAFETY: as in `deref`, and `&mut self` makes the borrow unique.
        unsafe { ptr.as_mut() }
    }
}

impl<T: Clone> Clone for ThinBox<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: Default> Default for ThinBox<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for ThinBox<T> {
    fn drop(&mut self) {
        let ptr = self.0;
        // SAFETY: the pointer comes from a box, and this is its only owner.
        drop(unsafe { Box::from_raw(ptr.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;
    use std::rc::Rc;

    use super::{PREFIX, ThinBox, ThinBytes};

    #[test]
    fn takes_eight_bytes_and_no_alignment() {
        assert_eq!((size_of::<ThinBytes>(), align_of::<ThinBytes>()), (8, 1));
        assert_eq!((size_of::<ThinBox<u64>>(), align_of::<ThinBox<u64>>()), (8, 1));
        assert_eq!(size_of::<Option<ThinBytes>>(), 8);
    }

    /// The buffer equals a vector through splices that cross every class up to a few hundred bytes, in both directions.
    #[test]
    fn equals_a_vector() {
        let mut state = 7u64;
        let mut random = move |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let mut buffer = ThinBytes::new(b"abc");
        let mut model = b"abc".to_vec();
        for step in 0..500usize {
            let at = random(model.len() + 1);
            let old = random(model.len() - at + 1).min(if step / 50 % 2 == 0 { 8 } else { 64 });
            let text = vec![step as u8; random(if step / 50 % 2 == 0 { 40 } else { 20 })];
            let room = buffer.splice(PREFIX + at, old, text.len());
            room.copy_from_slice(&text);
            model.splice(at..at + old, text);
            if let Some(last) = model.last_mut() {
                *last = !*last;
                let last = *last;
                buffer.write(PREFIX + model.len() - 1, &[last]);
            }
            assert_eq!(buffer.bytes()[PREFIX..], model, "step {step}");
            assert_eq!(buffer.bytes()[..PREFIX], (buffer.len() as u32).to_le_bytes(), "step {step}");
            let copy = buffer.clone();
            assert_eq!(copy.bytes(), buffer.bytes());
        }
        buffer.splice(PREFIX, model.len(), 0);
        assert_eq!((buffer.bytes(), buffer.heap_bytes()), (&[4, 0, 0, 0][..], 8));
    }

    #[test]
    #[should_panic(expected = "behind the prefix")]
    fn keeps_writers_off_the_prefix() {
        ThinBytes::new(b"abc").write(PREFIX - 1, b"x");
    }

    #[test]
    #[should_panic(expected = "behind the prefix")]
    fn keeps_splices_within() {
        ThinBytes::new(b"abc").splice(PREFIX + 1, 3, 0);
    }

    #[test]
    fn a_box_owns_its_value() {
        let shared = Rc::new(1);
        let mut first = ThinBox::new((1, Rc::clone(&shared)));
        *first = (2, Rc::clone(&shared));
        let second = first.clone();
        assert_eq!((second.deref(), Rc::strong_count(&shared)), (&(2, Rc::clone(&shared)), 3));
        drop(first);
        let inner = second.into_inner();
        assert_eq!((inner.0, Rc::strong_count(&shared)), (2, 2));
    }
}
