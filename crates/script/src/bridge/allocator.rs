//! Lua's allocator.

use std::{
    alloc::{Layout, alloc, dealloc, realloc},
    ffi::c_void,
    ptr,
};

use crate::state::State;

/// What `malloc` guarantees and Lua relies on.
const ALIGNMENT: usize = 16;

/// Lua's allocator: the process' own, counted and limited.
pub(super) unsafe extern "C" fn allocate(
    state: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
) -> *mut c_void {
    // SAFETY: `Vm::new` passes a `State` that outlives the Lua state.
    let memory = unsafe { &(*state.cast::<State>()).memory };
    let used = memory.used.get() - old_size + new_size;
    if new_size > old_size && memory.limit.get().is_some_and(|limit| used > limit) {
        return ptr::null_mut();
    }
    let layout = |size| Layout::from_size_align(size, ALIGNMENT);
    // SAFETY: Lua passes the size that a block was allocated with, 0 exactly for null, and never uses a block after
    // its release. Sizes of 0 are not passed on.
    let result = unsafe {
        match (layout(old_size), layout(new_size)) {
            (Ok(_), Ok(new)) if block.is_null() && new_size > 0 => alloc(new).cast(),
            (Ok(old), Ok(_)) if new_size == 0 => {
                if !block.is_null() {
                    dealloc(block.cast(), old);
                }
                ptr::null_mut()
            }
            (Ok(old), Ok(_)) => realloc(block.cast(), old, new_size).cast::<c_void>(),
            _ => ptr::null_mut(),
        }
    };
    if new_size == 0 || !result.is_null() {
        memory.used.set(used);
    }
    result
}
