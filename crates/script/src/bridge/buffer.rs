//! Lua's own buffer for strings that grow: what it holds beyond its 8 KiB are strings on Lua's stack, so it is counted, it
//! vanishes with the frame when an error is raised, and a function called meanwhile cannot disturb it.

use std::mem::MaybeUninit;

use mlua_sys as ffi;

use super::Lua;

/// A string that grows on the stack: between two calls of its methods the stack has to be as the last one left it.
pub(crate) struct Buffer(*mut ffi::luaL_Buffer);

impl Lua<'_> {
    /// Pushes the string that `fill` puts together.
    pub(crate) fn push_filled(self, fill: impl FnOnce(&mut Buffer)) {
        let mut storage = MaybeUninit::uninit();
        let mut buffer = Buffer(storage.as_mut_ptr());
        // SAFETY: Lua initialises what it reads later. The storage holds a pointer into itself and stays in this frame; it
        // has no destructor for an error to skip.
        unsafe { ffi::luaL_buffinit(self.raw, buffer.0) };
        fill(&mut buffer);
        // SAFETY: it is initialised.
        unsafe { ffi::luaL_pushresult(buffer.0) };
    }
}

impl Buffer {
    pub(crate) fn push(&mut self, byte: u8) {
        // SAFETY: `push_filled` initialised it, and its frame lasts longer.
        unsafe { ffi::luaL_addchar(self.0, byte.cast_signed()) }
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        // SAFETY: as in `push`; Lua reads just these bytes.
        unsafe { ffi::luaL_addlstring(self.0, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Pops the value on top, a string or a number, and adds it.
    pub(crate) fn extend_from_top(&mut self) {
        // SAFETY: as in `push`; callers see to the value.
        unsafe { ffi::luaL_addvalue(self.0) }
    }
}
