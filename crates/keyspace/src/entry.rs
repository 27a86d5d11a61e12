//! One entry: header, key and short string in a single allocation, one word in the table.
//!
//! Memory per key decides how much a machine can hold. A 32-byte key with a 64-byte value and an expiry takes one
//! 128-byte allocation here. This is the crate's only module with `unsafe`.
//!
//! Invariants: `ptr` points at a live `Head` followed by exactly `key_len + text_len` initialised bytes, in one
//! allocation made with `layout(key_len + text_len)`. An `Entry` owns its allocation alone. `text_len` is 0 where
//! `value` is `Some`.
#![expect(unsafe_code, reason = "one allocation and one word an entry")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ptr::NonNull;

use sessile_values::Value;
use sessile_values::size::allocated;

/// Longest string that stands inside its entry; longer ones are ropes ([`sessile_values::Text`]).
pub const INLINE_MAX: usize = 16 * 1024;

/// [`Value::type_number`] of strings, the short ones included.
pub(crate) const STRING: usize = 0;

/// `expire_ms` of an entry without expiry.
const NEVER: u64 = 0;

#[repr(C)]
struct Head {
    expire_ms: u64,
    value: Option<Box<Value>>,
    key_len: u32,
    text_len: u32,
    access: Cell<u32>,
    epoch: Cell<u16>,
    class: u8,
    appended: bool,
}

const HEAD: usize = size_of::<Head>();
const _: () = assert!(HEAD == 32, "the header is four words");

/// A key with its value, expiry, class and access bits.
pub struct Entry {
    ptr: NonNull<Head>,
}

/// What an entry holds, borrowed.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// A short string, inside the entry.
    Short(&'a [u8]),
    /// Everything else.
    Value(&'a Value),
}

fn layout(tail: usize) -> Layout {
    Layout::from_size_align(HEAD + tail, align_of::<Head>())
        .expect("keys and short strings are far below isize::MAX")
}

impl Entry {
    /// An entry with a string of at most [`INLINE_MAX`] bytes.
    pub fn short(key: &[u8], text: &[u8]) -> Self {
        debug_assert!(text.len() <= INLINE_MAX);
        Self::with_parts(key, text, None)
    }

    /// An entry with any other value.
    pub fn with_value(key: &[u8], value: Value) -> Self {
        Self::with_parts(key, &[], Some(Box::new(value)))
    }

    fn with_parts(key: &[u8], text: &[u8], value: Option<Box<Value>>) -> Self {
        let key_len = u32::try_from(key.len()).expect("keys are bounded by proto-max-bulk-len, below 4 GiB");
        let layout = layout(key.len() + text.len());
        let head = Head {
            expire_ms: NEVER,
            value,
            key_len,
            text_len: text.len() as u32,
            access: Cell::new(0),
            epoch: Cell::new(0),
            class: 0,
            appended: false,
        };
        // SAFETY: the layout has a size of at least HEAD > 0; head and tail are fully initialised before use.
        unsafe {
            let Some(ptr) = NonNull::new(alloc(layout).cast::<Head>()) else { handle_alloc_error(layout) };
            ptr.write(head);
            let tail = ptr.add(1).cast::<u8>();
            tail.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            tail.add(key.len()).copy_from_nonoverlapping(NonNull::from(text).cast(), text.len());
            Self { ptr }
        }
    }

    /// Has the processor fetch the entry's first bytes, and does not wait for them.
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing and does not fault, wherever it points.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = self.ptr.as_ptr().cast::<i8>();
            _mm_prefetch::<_MM_HINT_T0>(at);
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: `ptr` points at a live head that this entry owns.
        unsafe { self.ptr.as_ref() }
    }

    fn head_mut(&mut self) -> &mut Head {
        // SAFETY: as in `head`, and `&mut self` makes the borrow unique.
        unsafe { self.ptr.as_mut() }
    }

    fn tail(&self) -> &[u8] {
        let len = self.head().key_len as usize + self.head().text_len as usize;
        // SAFETY: that many initialised bytes follow the head.
        unsafe { std::slice::from_raw_parts(self.ptr.add(1).cast::<u8>().as_ptr(), len) }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.tail()[..self.head().key_len as usize]
    }

    /// What the entry holds.
    pub fn content(&self) -> Content<'_> {
        match &self.head().value {
            Some(value) => Content::Value(value),
            None => Content::Short(&self.tail()[self.head().key_len as usize..]),
        }
    }

    /// The value, if it is no short string.
    pub fn value(&self) -> Option<&Value> {
        self.head().value.as_deref()
    }

    /// Which of [`Value::TYPE_NAMES`] it is.
    pub fn type_number(&self) -> usize {
        self.value().map_or(STRING, Value::type_number)
    }

    /// The value for changing, if it is no short string.
    pub fn value_mut(&mut self) -> Option<&mut Value> {
        self.head_mut().value.as_deref_mut()
    }

    /// Takes the value out, leaving an empty string; for freeing a large value bit by bit.
    pub fn take_value(&mut self) -> Option<Box<Value>> {
        self.head_mut().value.take()
    }

    /// Puts a value in place of whatever the entry holds.
    pub fn set_value(&mut self, value: Value) {
        self.resize_text(0);
        self.head_mut().value = Some(Box::new(value));
    }

    /// Puts a short string in place of whatever the entry holds.
    pub fn set_short(&mut self, text: &[u8]) {
        debug_assert!(text.len() <= INLINE_MAX);
        self.head_mut().value = None;
        self.resize_text(text.len());
        self.text_mut().copy_from_slice(text);
    }

    /// Makes the short string `len` bytes long, zero-filled where it grows, and returns it for writing.
    pub fn resize_short(&mut self, len: usize) -> &mut [u8] {
        debug_assert!(len <= INLINE_MAX && self.value().is_none());
        self.resize_text(len);
        self.text_mut()
    }

    fn text_mut(&mut self) -> &mut [u8] {
        let (key_len, text_len) = (self.head().key_len as usize, self.head().text_len as usize);
        // SAFETY: `text_len` initialised bytes follow the key, and `&mut self` makes the borrow unique.
        unsafe {
            let start = self.ptr.add(1).cast::<u8>().add(key_len);
            std::slice::from_raw_parts_mut(start.as_ptr(), text_len)
        }
    }

    fn resize_text(&mut self, len: usize) {
        let (key_len, old_len) = (self.head().key_len as usize, self.head().text_len as usize);
        if len == old_len {
            return;
        }
        let (old, new) = (layout(key_len + old_len), layout(key_len + len));
        // SAFETY: the allocation was made with `old`; the grown part is zeroed before it can be read.
        unsafe {
            let Some(ptr) = NonNull::new(realloc(self.ptr.as_ptr().cast(), old, new.size()).cast::<Head>())
            else {
                handle_alloc_error(new)
            };
            self.ptr = ptr;
            if len > old_len {
                ptr.add(1).cast::<u8>().add(key_len + old_len).write_bytes(0, len - old_len);
            }
        }
        self.head_mut().text_len = len as u32;
    }

    /// When the key expires, in milliseconds since the epoch.
    pub fn expire_ms(&self) -> Option<u64> {
        match self.head().expire_ms {
            NEVER => None,
            at_ms => Some(at_ms),
        }
    }

    /// Sets or clears the expiry. Time 0 is long past and stored as 1.
    pub fn set_expire(&mut self, at_ms: Option<u64>) {
        self.head_mut().expire_ms = at_ms.map_or(NEVER, |at_ms| at_ms.max(1));
    }

    /// The LRU clock or LFU counter, as `maxmemory-policy` reads it.
    pub fn access(&self) -> u32 {
        self.head().access.get()
    }

    /// Notes an access; reading suffices, so a shared reference does.
    pub fn set_access(&self, access: u32) {
        self.head().access.set(access);
    }

    /// The newest snapshot that has this entry or does not want it.
    pub fn epoch(&self) -> u16 {
        self.head().epoch.get()
    }

    /// Stamps the entry for a snapshot.
    pub fn set_epoch(&self, epoch: u16) {
        self.head().epoch.set(epoch);
    }

    /// The key class.
    pub fn class(&self) -> u8 {
        self.head().class
    }

    /// Puts the entry into a class.
    pub fn set_class(&mut self, class: u8) {
        self.head_mut().class = class;
    }

    /// Whether the string was changed in place, which OBJECT ENCODING shows as `raw`.
    pub fn is_appended(&self) -> bool {
        self.head().appended
    }

    /// See [`Entry::is_appended`].
    pub fn set_appended(&mut self, appended: bool) {
        self.head_mut().appended = appended;
    }

    /// Memory of the entry and its value, as the allocator counts it.
    pub fn heap_bytes(&self) -> usize {
        allocated(HEAD + self.tail().len()) + self.value().map_or(0, Value::heap_bytes)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let layout = layout(self.tail().len());
        // SAFETY: the entry owns the allocation; the head is dropped once, then its memory is returned with the
        // layout it was made with.
        unsafe {
            self.ptr.drop_in_place();
            dealloc(self.ptr.as_ptr().cast(), layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Entry};
    use sessile_values::{Hash, Value};

    fn check(entry: &Entry, key: &[u8], text: &[u8]) {
        assert_eq!(entry.key(), key);
        assert!(matches!(entry.content(), Content::Short(t) if t == text));
    }

    #[test]
    fn keeps_key_and_text_through_every_change() {
        let mut entry = Entry::short(b"key", b"value");
        check(&entry, b"key", b"value");
        entry.set_short(b"a longer value than before");
        check(&entry, b"key", b"a longer value than before");
        entry.resize_short(30)[29] = b'!';
        check(&entry, b"key", b"a longer value than before\0\0\0!");
        entry.set_value(Value::Hash(Hash::new()));
        assert!(matches!(entry.content(), Content::Value(Value::Hash(_))));
        entry.set_short(b"");
        check(&entry, b"key", b"");
        entry.set_expire(Some(0));
        assert_eq!(entry.expire_ms(), Some(1));
        check(&Entry::short(b"", b""), b"", b"");
    }
}
