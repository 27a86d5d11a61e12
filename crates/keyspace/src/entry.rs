//! One entry: header, key and short string or value in a single allocation, one word in the table.
//!
//! Memory per key decides how much a machine can hold. A 32-byte key with a 64-byte value and an expiry takes one
//! 128-byte allocation here; a small hash under a key of up to 30 bytes takes one of 64 beside its listpack. This is
//! the crate's only module with `unsafe`.
//!
//! ```text
//! Head | key | text           a short string
//! Head | Value | key          everything else
//! ```
//!
//! Invariants: `ptr` points at a live `Head` followed by exactly `tail_len()` bytes, in one allocation made with
//! `layout(tail_len())`. Where `holds` is `Text`, these are `key_len + text_len` initialised bytes; else `text_len` is
//! 0, the first `ROOM` bytes are a `Value`'s place, and `key_len` initialised bytes follow. The place holds a live value
//! where `holds` is `Value`, and none that may be read where it is `Nothing`. An `Entry` owns all of it alone.
#![expect(unsafe_code, reason = "one allocation and one word an entry")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ptr::NonNull;

use sessile_values::size::allocated;
use sessile_values::{Value, prefetch};

/// Longest string that stands inside its entry; longer ones are ropes ([`sessile_values::Text`]).
pub const INLINE_MAX: usize = 16 * 1024;

/// [`Value::type_number`] of strings, the short ones included.
pub(crate) const STRING: usize = 0;

/// `expire_ms` of an entry without expiry.
const NEVER: u64 = 0;

#[repr(C)]
struct Head {
    expire_ms: u64,
    key_len: u32,
    access: Cell<u32>,
    text_len: u16,
    epoch: Cell<u16>,
    class: u8,
    appended: bool,
    holds: Holds,
}

/// What stands beside the key.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Holds {
    Text,
    Value,
    /// The place of a value that was taken out.
    Nothing,
}

impl Holds {
    /// Bytes between head and key.
    fn room(self) -> usize {
        if self == Holds::Text { 0 } else { ROOM }
    }
}

const HEAD: usize = size_of::<Head>();
const ROOM: usize = size_of::<Value>();
const _: () = assert!(HEAD == 24, "the header is three words");
const _: () = assert!(align_of::<Value>() <= align_of::<Head>(), "a value may stand behind the header");
const _: () = assert!(INLINE_MAX <= u16::MAX as usize, "the length of a short string fits its field");

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
        Self::with_parts(key, text, Holds::Text)
    }

    /// An entry with any other value.
    pub fn with_value(key: &[u8], value: Value) -> Self {
        let mut entry = Self::with_parts(key, &[], Holds::Nothing);
        entry.put_value(value);
        entry
    }

    /// An entry with a text, or with the place for a value.
    fn with_parts(key: &[u8], text: &[u8], holds: Holds) -> Self {
        let key_len = u32::try_from(key.len()).expect("keys are bounded by proto-max-bulk-len, below 4 GiB");
        let text_len = u16::try_from(text.len()).expect("callers keep short strings to INLINE_MAX");
        let layout = layout(holds.room() + key.len() + text.len());
        let head = Head {
            expire_ms: NEVER,
            key_len,
            access: Cell::new(0),
            text_len,
            epoch: Cell::new(0),
            class: 0,
            appended: false,
            holds,
        };
        // SAFETY: the layout has a size of at least HEAD > 0; head, key and text are fully initialised before use, and
        // a value's place is not read while `holds` is `Nothing`.
        unsafe {
            let Some(ptr) = NonNull::new(alloc(layout).cast::<Head>()) else { handle_alloc_error(layout) };
            ptr.write(head);
            let tail = ptr.add(1).cast::<u8>().add(holds.room());
            tail.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            tail.add(key.len()).copy_from_nonoverlapping(NonNull::from(text).cast(), text.len());
            Self { ptr }
        }
    }

    /// Has the processor fetch the entry's first bytes, and does not wait for them.
    pub fn prefetch(&self) {
        prefetch(self.ptr.as_ptr(), 128);
    }

    /// The same as far as a key of usual length goes.
    pub(crate) fn prefetch_key(&self) {
        prefetch(self.ptr.as_ptr(), 64);
    }

    fn head(&self) -> &Head {
        // SAFETY: `ptr` points at a live head that this entry owns.
        unsafe { self.ptr.as_ref() }
    }

    fn head_mut(&mut self) -> &mut Head {
        // SAFETY: as in `head`, and `&mut self` makes the borrow unique.
        unsafe { self.ptr.as_mut() }
    }

    /// Length of what follows the head.
    fn tail_len(&self) -> usize {
        let head = self.head();
        head.holds.room() + head.key_len as usize + usize::from(head.text_len)
    }

    /// Where a value stands, if there is room for one; where the key stands, if not.
    fn place(&self) -> NonNull<Value> {
        // SAFETY: the end of the head lies within the allocation or just behind it.
        unsafe { self.ptr.add(1).cast() }
    }

    /// Key and text.
    fn texts(&self) -> &[u8] {
        let head = self.head();
        let (room, len) = (head.holds.room(), head.key_len as usize + usize::from(head.text_len));
        // SAFETY: that many initialised bytes follow the head and the room.
        unsafe { std::slice::from_raw_parts(self.place().cast::<u8>().add(room).as_ptr(), len) }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.texts()[..self.head().key_len as usize]
    }

    /// What the entry holds.
    pub fn content(&self) -> Content<'_> {
        match self.value() {
            Some(value) => Content::Value(value),
            None => Content::Short(&self.texts()[self.head().key_len as usize..]),
        }
    }

    /// The value, if it is no short string.
    pub fn value(&self) -> Option<&Value> {
        // SAFETY: the place holds a live value then, and it is borrowed as long as the entry is.
        (self.head().holds == Holds::Value).then(|| unsafe { self.place().as_ref() })
    }

    /// Which of [`Value::TYPE_NAMES`] it is.
    pub fn type_number(&self) -> usize {
        self.value().map_or(STRING, Value::type_number)
    }

    /// The value for changing, if it is no short string.
    pub fn value_mut(&mut self) -> Option<&mut Value> {
        // SAFETY: as in `value`, and `&mut self` makes the borrow unique.
        (self.head().holds == Holds::Value).then(|| unsafe { self.place().as_mut() })
    }

    /// Takes the value out, leaving an empty string; for freeing a large value bit by bit.
    pub fn take_value(&mut self) -> Option<Value> {
        if self.head().holds != Holds::Value {
            return None;
        }
        self.head_mut().holds = Holds::Nothing;
        // SAFETY: the place held a live value, which nobody reads there again.
        Some(unsafe { self.place().read() })
    }

    /// Puts a value in place of whatever the entry holds.
    pub fn set_value(&mut self, value: Value) {
        drop(self.take_value());
        self.reshape(Holds::Nothing, 0);
        self.put_value(value);
    }

    /// Puts a value into the place that stands empty.
    fn put_value(&mut self, value: Value) {
        assert!(self.head().holds == Holds::Nothing, "the place for the value is there and empty");
        // SAFETY: there is room for a value, and none is there that would have to be dropped.
        unsafe { self.place().write(value) };
        self.head_mut().holds = Holds::Value;
    }

    /// Puts a short string in place of whatever the entry holds.
    pub fn set_short(&mut self, text: &[u8]) {
        self.resize_short(text.len()).copy_from_slice(text);
    }

    /// Makes what the entry holds a short string of `len` bytes, zero-filled where it grows, and returns it for writing.
    pub fn resize_short(&mut self, len: usize) -> &mut [u8] {
        debug_assert!(len <= INLINE_MAX);
        drop(self.take_value());
        self.reshape(Holds::Text, len);
        self.text_mut()
    }

    fn text_mut(&mut self) -> &mut [u8] {
        let head = self.head();
        let (before, len) = (head.holds.room() + head.key_len as usize, usize::from(head.text_len));
        // SAFETY: `text_len` initialised bytes follow the key, and `&mut self` makes the borrow unique.
        unsafe { std::slice::from_raw_parts_mut(self.place().cast::<u8>().add(before).as_ptr(), len) }
    }

    /// Makes or takes away the room of a value, which is not there (any more), and gives the text another length.
    fn reshape(&mut self, holds: Holds, text_len: usize) {
        let head = self.head();
        let (key_len, old_len) = (head.key_len as usize, usize::from(head.text_len));
        if holds == head.holds && text_len == old_len {
            return;
        }
        assert!(head.holds != Holds::Value && holds != Holds::Value, "no value is overwritten");
        let (from, to) = (head.holds.room(), holds.room());
        let kept = key_len + old_len.min(text_len);
        let stored = u16::try_from(text_len).expect("callers keep short strings to INLINE_MAX");
        let (old, new) = (layout(from + key_len + old_len), layout(to + key_len + text_len));
        // SAFETY: the allocation was made with `old`. What is kept moves down before it may shrink and up after it may
        // have grown, each time between places within the allocation; the grown part of the text is zeroed.
        unsafe {
            if to < from {
                self.place().cast::<u8>().add(from).copy_to(self.place().cast::<u8>().add(to), kept);
            }
            if new.size() != old.size() {
                let ptr = realloc(self.ptr.as_ptr().cast(), old, new.size()).cast::<Head>();
                let Some(ptr) = NonNull::new(ptr) else { handle_alloc_error(new) };
                self.ptr = ptr;
            }
            let start = self.place().cast::<u8>();
            if to > from {
                start.add(from).copy_to(start.add(to), kept);
            }
            start.add(to + kept).write_bytes(0, key_len + text_len - kept);
        }
        let head = self.head_mut();
        (head.holds, head.text_len) = (holds, stored);
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
        allocated(HEAD + self.tail_len()) + self.value().map_or(0, Value::heap_bytes)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        drop(self.take_value());
        let layout = layout(self.tail_len());
        // SAFETY: the entry owns the allocation, which was made with this layout, and nothing in it needs dropping now.
        unsafe { dealloc(self.ptr.as_ptr().cast(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Entry};
    use sessile_values::{Hash, HashKey, Limits, Value};

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

    /// A hash of so many fields, with memory of its own that a leak or a double free would show.
    fn hash(fields: usize) -> Value {
        let mut hash = Hash::new();
        for field in 0..fields {
            hash.set(&HashKey(1, 2), &Limits::default(), field.to_string().as_bytes(), b"value");
        }
        Value::Hash(hash)
    }

    fn check_value(entry: &Entry, key: &[u8], fields: usize) {
        assert_eq!(entry.key(), key);
        assert!(matches!(entry.content(), Content::Value(Value::Hash(hash)) if hash.len() == fields));
    }

    #[test]
    fn moves_the_key_for_values_that_come_and_go() {
        for key_len in [0, 1, 9, 10, 11, 30, 500] {
            let key = &vec![b'k'; key_len][..];
            let mut entry = Entry::with_value(key, hash(3));
            check_value(&entry, key, 3);
            assert_eq!(entry.take_value().map(|value| value.type_number()), Some(3));
            assert!(entry.take_value().is_none());
            check(&entry, key, b"");
            for text_len in [0, 1, 5, 10, 11, 400] {
                let text = &vec![b't'; text_len][..];
                entry.set_value(hash(1));
                entry.set_value(hash(2));
                check_value(&entry, key, 2);
                if let Some(value) = entry.value_mut() {
                    *value = hash(600);
                }
                check_value(&entry, key, 600);
                entry.set_short(text);
                check(&entry, key, text);
                entry.set_value(hash(4));
                check_value(&entry, key, 4);
                drop(entry.take_value());
                entry.set_short(text);
                check(&entry, key, text);
            }
            entry.set_value(hash(5));
            drop(entry.take_value());
            entry.set_value(hash(6));
            check_value(&entry, key, 6);
        }
    }

    #[test]
    fn takes_what_the_classes_give() {
        let small = |len: usize| Entry::with_value(&vec![b'k'; len], hash(0)).heap_bytes();
        // An empty listpack takes 8 bytes.
        assert_eq!((small(30), small(31)), (64 + 8, 80 + 8));
        assert_eq!(Entry::short(&[b'k'; 32], &[b't'; 72]).heap_bytes(), 128);
    }
}
