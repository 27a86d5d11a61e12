//! Asking the processor to fetch memory before it is needed.
#![expect(unsafe_code, reason = "the standard library has no safe name for this instruction")]

/// Bytes that are fetched as one.
const CACHE_LINE_BYTES: usize = 64;

/// Has the processor fetch `bytes` bytes from `at` on, and does not wait for them. Nothing is read: `at` may point anywhere.
#[inline]
pub fn prefetch<T>(at: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes).step_by(CACHE_LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and does not fault, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, bytes, CACHE_LINE_BYTES);
}
