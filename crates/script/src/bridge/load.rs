//! Compiling. Precompiled code is refused as Redis does: as a text that starts with a control character.

use std::{
    ffi::{c_char, c_int, c_void},
    mem, ptr,
};

use mlua_sys as ffi;

use super::{Kind, Lua};

/// A piece of source text that Lua's parser has yet to read.
struct Chunk {
    start: *const c_char,
    len: usize,
    is_first: bool,
    /// It began as precompiled code does.
    is_binary: bool,
}

impl Chunk {
    fn from_slice(text: &[u8]) -> Self {
        Self { start: text.as_ptr().cast(), len: text.len(), is_first: true, is_binary: false }
    }

    /// What the parser gets in place of a piece: a byte that it cannot parse either, for precompiled code.
    fn present(&mut self, piece: *const c_char, size: &mut usize) -> *const c_char {
        // SAFETY: callers pass `size` readable bytes.
        let is_binary = mem::take(&mut self.is_first) && *size > 0 && unsafe { *piece } == 0x1b;
        if is_binary {
            self.is_binary = true;
            *size = 1;
            return c"\x01".as_ptr();
        }
        piece
    }
}

// SAFETY (for every `unsafe` block of this impl that has no comment of its own): as for the other methods of `Lua`.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one comment for all, above")]
impl Lua<'_> {
    /// Compiles a script; 0 with the function pushed, or Lua's status with the message.
    pub(crate) fn load_script(self, text: &[u8]) -> c_int {
        let mut chunk = Chunk::from_slice(text);
        self.load(read_text, &mut chunk, c"@user_script".as_ptr())
    }

    /// `loadstring` for the text at `text` and the optional name in the next slot.
    pub(crate) fn load_string(self, text: c_int) -> c_int {
        let mut chunk = Chunk::from_slice(self.check_bytes(text));
        // SAFETY: strings of Lua end with a zero byte.
        let name = unsafe { ffi::luaL_optlstring(self.raw, text + 1, chunk.start, ptr::null_mut()) };
        self.load(read_text, &mut chunk, name)
    }

    /// `load` for the function in slot 1 and the optional name in slot 2.
    pub(crate) fn load_function(self) -> c_int {
        unsafe { ffi::luaL_checktype(self.raw, 1, ffi::LUA_TFUNCTION) };
        // SAFETY: as in `load_string`.
        let name = unsafe { ffi::luaL_optlstring(self.raw, 2, c"=(load)".as_ptr(), ptr::null_mut()) };
        // Slot 3 holds the piece that Lua reads from at present.
        self.set_top(3);
        self.load(
            read_function,
            &mut Chunk { start: ptr::null(), len: 0, is_first: true, is_binary: false },
            name,
        )
    }

    fn load(self, reader: ffi::lua_Reader, chunk: &mut Chunk, name: *const c_char) -> c_int {
        // The parser of Lua 5.1 does not keep the name from being collected while it reads, so the stack does.
        unsafe { ffi::lua_pushstring_(self.raw, name) };
        // SAFETY: both readers take a `Chunk`, which outlives the call.
        let status = unsafe { ffi::lua_load(self.raw, reader, ptr::from_mut(chunk).cast(), name) };
        self.remove(-2);
        if status != 0 && chunk.is_binary {
            self.rename_first_byte();
        }
        status
    }

    /// In the message on top, names the byte that binary chunks begin with in place of the one read instead.
    fn rename_first_byte(self) {
        const READ: &[u8] = b"'char(1)'";
        let Some(text) = self.bytes(-1) else { return };
        let Some(found) = text.windows(READ.len()).rposition(|window| window == READ) else { return };
        let message = self.state.message.get();
        message.clear();
        message.extend_from_slice(&text[..found]);
        message.extend_from_slice(b"'char(27)'");
        message.extend_from_slice(&text[found + READ.len()..]);
        self.push_bytes(message);
        self.replace(-2);
    }
}

unsafe extern "C-unwind" fn read_text(
    _raw: *mut ffi::lua_State,
    chunk: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load` passes a chunk that outlives it, and Lua a place for the size.
    let (chunk, size) = unsafe { (&mut *chunk.cast::<Chunk>(), &mut *size) };
    *size = mem::take(&mut chunk.len);
    chunk.present(chunk.start, size)
}

unsafe extern "C-unwind" fn read_function(
    raw: *mut ffi::lua_State,
    chunk: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: as in `read_text`.
    let (chunk, size) = unsafe { (&mut *chunk.cast::<Chunk>(), &mut *size) };
    // SAFETY: Lua passes the thread that it compiles in.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.require_stack(2, "too many nested functions");
    lua.push_value(1);
    lua.call(0, 1);
    match lua.kind(-1) {
        Kind::Nil => {
            *size = 0;
            ptr::null()
        }
        Kind::String | Kind::Number => {
            lua.replace(3);
            // SAFETY: the string stays in slot 3 until the next piece replaces it.
            let piece = unsafe { ffi::lua_tolstring(raw, 3, size) };
            chunk.present(piece, size)
        }
        _ => lua.raise(format_args!("reader function must return a string")),
    }
}
