//! The Lua API, made callable from safe code, and the only door to it.
//!
//! **The rule.** Lua raises errors by `longjmp`, which skips the destructors of every frame it passes. So while a
//! library function calls a method of [`Lua`] it holds no value that needs dropping: growing buffers are taken
//! from the slots of [`State`]. And a slice got from the stack is used only as long as its value stays there.
#![expect(unsafe_code, reason = "Lua is a C library")]

mod allocator;
mod buffer;
mod limits;
mod load;

use std::{
    ffi::{CStr, c_int, c_void},
    fmt,
    io::Write,
    mem,
    ptr::{self, NonNull},
    slice,
};

use mlua_sys as ffi;

use crate::{
    host::Host,
    state::{BUFFER_KEEP_BYTES, Slot, State},
};

pub(crate) use buffer::Buffer;
pub(crate) use limits::KILLED;
pub(crate) use mlua_sys::LUA_ERRMEM as OUT_OF_MEMORY;

/// A function in C's calling convention, as Lua keeps it.
pub(crate) type RawFunction = ffi::lua_CFunction;

/// Owns a Lua state and what belongs to it.
pub(crate) struct Vm {
    main: NonNull<ffi::lua_State>,
    state: NonNull<State>,
}

/// One thread of a Lua state, as the functions called from it see it. Indices are Lua's: from 1, or from -1 down.
#[derive(Clone, Copy)]
pub(crate) struct Lua<'a> {
    raw: *mut ffi::lua_State,
    state: &'a State,
}

/// The type of a Lua value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// A library of Lua's own.
#[derive(Clone, Copy)]
pub(crate) enum Library {
    Base,
    Table,
    String,
    Math,
    Os,
}

impl<T> Slot<T> {
    /// The value. At most one borrow of a slot is alive at a time; the slots' few users see to that.
    #[expect(clippy::mut_from_ref, reason = "see the type: a guard would not survive an error")]
    pub(crate) fn get(&self) -> &mut T {
        // SAFETY: the state is used by one thread, and no user of a slot calls another user of the same slot.
        unsafe { &mut *self.cell().get() }
    }
}

impl Vm {
    /// A state without any library.
    ///
    /// # Panics
    /// If memory is out.
    pub(crate) fn new() -> Self {
        let state = NonNull::from(Box::leak(Box::<State>::default()));
        // SAFETY: the allocator below takes a `State` as its user data, and this one outlives the Lua state.
        let main = unsafe { ffi::lua_newstate(allocator::allocate, state.as_ptr().cast()) };
        let main = NonNull::new(main).expect("there is memory for a Lua state");
        let vm = Self { main, state };
        vm.lua().state.main.set(main.as_ptr().cast());
        vm
    }

    pub(crate) fn lua(&self) -> Lua<'_> {
        // SAFETY: the state lives as long as this machine, and is only shared.
        Lua { raw: self.main.as_ptr(), state: unsafe { self.state.as_ref() } }
    }

    /// The main thread for code on a fiber, which the owner has to end or drop before this machine.
    pub(crate) fn lua_for_fiber(&self) -> Lua<'static> {
        // SAFETY: as in `lua`; the fiber ends or is reset before.
        Lua { raw: self.main.as_ptr(), state: unsafe { self.state.as_ref() } }
    }

    /// Runs `turn` with `host` as the host of the scripts.
    pub(crate) fn with_host<R>(&self, host: &mut dyn Host, turn: impl FnOnce() -> R) -> R {
        let host = ptr::from_mut(host);
        // SAFETY: only the lifetime changes; the pointer is taken away again before the borrow ends, and a script
        // that is suspended by then asks for it anew.
        let host = unsafe { mem::transmute::<*mut (dyn Host + '_), *mut (dyn Host + 'static)>(host) };
        let state = self.lua().state();
        state.host.set(NonNull::new(host));
        let result = turn();
        state.host.set(None);
        result
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.lua().state().memory.limit.set(None);
        // SAFETY: nothing runs in the state; its allocator's user data is freed after it. `main` and `state` were
        // made in `new` and are not used again.
        unsafe {
            ffi::lua_close(self.main.as_ptr());
            drop(Box::from_raw(self.state.as_ptr()));
        }
    }
}

// SAFETY (for every `unsafe` block of this impl that has no comment of its own): `raw` is a live thread of a live
// state, which the lifetime 'a and the callers' contract (C functions get their own thread) guarantee. Lua checks
// nothing, so callers pass indices that exist and have room for what they push: C functions start with 20 free
// slots, and whoever needs more asks `check_stack`.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one comment for all, above")]
impl<'a> Lua<'a> {
    /// The thread that Lua calls a function of ours in.
    unsafe fn from_raw(raw: *mut ffi::lua_State) -> Self {
        let mut data = ptr::null_mut();
        unsafe {
            ffi::lua_getallocf(raw, &mut data);
            Self { raw, state: &*data.cast::<State>() }
        }
    }

    #[inline]
    pub(crate) fn state(self) -> &'a State {
        self.state
    }

    /// The host of the current turn.
    #[expect(clippy::mut_from_ref, reason = "the lifetime is the caller's turn, not that of `self`")]
    pub(crate) fn host(&self) -> &mut dyn Host {
        let mut host = self.state.host.get().expect("scripts run in a turn that has a host");
        // SAFETY: `with_host` set it from an exclusive borrow that lasts as long as the turn. Its methods do not
        // come back into Lua, so no second borrow is made meanwhile.
        unsafe { host.as_mut() }
    }

    // The stack.

    pub(crate) fn top(self) -> c_int {
        unsafe { ffi::lua_gettop(self.raw) }
    }

    pub(crate) fn set_top(self, index: c_int) {
        unsafe { ffi::lua_settop(self.raw, index) }
    }

    pub(crate) fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    pub(crate) fn push_value(self, index: c_int) {
        unsafe { ffi::lua_pushvalue(self.raw, index) }
    }

    pub(crate) fn insert(self, index: c_int) {
        unsafe { ffi::lua_insert(self.raw, index) }
    }

    pub(crate) fn remove(self, index: c_int) {
        unsafe { ffi::lua_remove(self.raw, index) }
    }

    pub(crate) fn replace(self, index: c_int) {
        unsafe { ffi::lua_replace(self.raw, index) }
    }

    /// Makes room for `count` more values; false at Lua's limit of 8,000.
    pub(crate) fn check_stack(self, count: c_int) -> bool {
        unsafe { ffi::lua_checkstack(self.raw, count) != 0 }
    }

    /// Whether recursion in our own code has to end because the machine's stack is short.
    pub(crate) fn stack_is_low(self) -> bool {
        let here = 0_u8;
        (&raw const here).addr() < self.state.stack_floor.get()
    }

    // Values.

    pub(crate) fn kind(self, index: c_int) -> Kind {
        match unsafe { ffi::lua_type(self.raw, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// The name of the value's type, as scripts see it.
    pub(crate) fn type_name(self, index: c_int) -> &'static str {
        // SAFETY: Lua returns one of its own static ASCII names.
        let name = unsafe { CStr::from_ptr(ffi::lua_typename(self.raw, ffi::lua_type(self.raw, index))) };
        name.to_str().unwrap_or("?")
    }

    pub(crate) fn boolean(self, index: c_int) -> bool {
        unsafe { ffi::lua_toboolean(self.raw, index) != 0 }
    }

    /// Whether the value is a number or a string that reads as one.
    pub(crate) fn is_number(self, index: c_int) -> bool {
        unsafe { ffi::lua_isnumber(self.raw, index) != 0 }
    }

    /// The number, or 0 for what is none.
    pub(crate) fn number(self, index: c_int) -> f64 {
        unsafe { ffi::lua_tonumber(self.raw, index) }
    }

    /// The bytes of a string, or of a number, which becomes a string in place. They stay valid while the value is
    /// on the stack or in a table.
    pub(crate) fn bytes(self, index: c_int) -> Option<&'a [u8]> {
        let mut len = 0;
        // SAFETY: Lua returns null or `len` bytes that live as long as the string.
        unsafe {
            let start = ffi::lua_tolstring(self.raw, index, &mut len);
            (!start.is_null()).then(|| slice::from_raw_parts(start.cast(), len))
        }
    }

    /// An address that tells tables and functions apart.
    pub(crate) fn pointer(self, index: c_int) -> *const c_void {
        unsafe { ffi::lua_topointer(self.raw, index) }
    }

    pub(crate) fn push_nil(self) {
        unsafe { ffi::lua_pushnil(self.raw) }
    }

    pub(crate) fn push_boolean(self, value: bool) {
        unsafe { ffi::lua_pushboolean(self.raw, value.into()) }
    }

    pub(crate) fn push_number(self, value: f64) {
        unsafe { ffi::lua_pushnumber(self.raw, value) }
    }

    pub(crate) fn push_bytes(self, bytes: &[u8]) {
        unsafe { ffi::lua_pushlstring_(self.raw, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// The null pointer that stands for JSON's `null`.
    pub(crate) fn push_null(self) {
        unsafe { ffi::lua_pushlightuserdata(self.raw, ptr::null_mut()) }
    }

    pub(crate) fn is_null(self, index: c_int) -> bool {
        unsafe { ffi::lua_touserdata(self.raw, index).is_null() }
    }

    // Tables. All access is raw, except where the name says otherwise.

    pub(crate) fn create_table(self, array_len: usize, fields: usize) {
        let hint = |count: usize| count.min(1 << 16) as c_int;
        unsafe { ffi::lua_createtable(self.raw, hint(array_len), hint(fields)) }
    }

    /// The length of a table, or 0 of what is none.
    pub(crate) fn table_len(self, index: c_int) -> usize {
        if self.kind(index) == Kind::Table { unsafe { ffi::lua_objlen(self.raw, index) } } else { 0 }
    }

    /// Lua's `<`.
    pub(crate) fn is_less(self, left: c_int, right: c_int) -> bool {
        unsafe { ffi::lua_lessthan(self.raw, left, right) != 0 }
    }

    /// Replaces the key on top by its value in the table at `table`, by its metatable if there is one.
    pub(crate) fn get(self, table: c_int) {
        unsafe { ffi::lua_gettable_(self.raw, table) }
    }

    pub(crate) fn raw_get(self, table: c_int) {
        unsafe { ffi::lua_rawget_(self.raw, table) }
    }

    pub(crate) fn raw_get_index(self, table: c_int, index: c_int) {
        unsafe { ffi::lua_rawgeti_(self.raw, table, index) }
    }

    /// Pushes the field `name` of the table at `table` (a negative index) and returns its type.
    pub(crate) fn raw_get_field(self, table: c_int, name: &str) -> Kind {
        debug_assert!(table < 0, "the name is pushed first");
        self.push_bytes(name.as_bytes());
        self.raw_get(table - 1);
        self.kind(-1)
    }

    pub(crate) fn raw_set(self, table: c_int) {
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    pub(crate) fn raw_set_index(self, table: c_int, index: c_int) {
        unsafe { ffi::lua_rawseti_(self.raw, table, index) }
    }

    /// Pops a value into the field `name` of the table below it.
    pub(crate) fn set_field(self, name: &str) {
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(-3);
    }

    /// Replaces the key on top by the next key and its value; false, and the key gone, after the last.
    pub(crate) fn next(self, table: c_int) -> bool {
        unsafe { ffi::lua_next(self.raw, table) != 0 }
    }

    pub(crate) fn set_metatable(self, index: c_int) {
        unsafe { ffi::lua_setmetatable(self.raw, index) };
    }

    /// Pushes the thread's table of globals.
    pub(crate) fn push_globals(self) {
        self.push_value(ffi::LUA_GLOBALSINDEX);
    }

    /// Pops the table that code compiled from now on has as its globals.
    pub(crate) fn set_globals(self) {
        self.replace(ffi::LUA_GLOBALSINDEX);
    }

    /// Pops a value and keeps it under the number returned.
    pub(crate) fn keep(self) -> c_int {
        unsafe { ffi::luaL_ref(self.raw, ffi::LUA_REGISTRYINDEX) }
    }

    pub(crate) fn push_kept(self, reference: c_int) {
        self.raw_get_index(ffi::LUA_REGISTRYINDEX, reference);
    }

    // Functions.

    /// Pushes a function written in Rust: any `fn` item or closure without captures.
    pub(crate) fn push_function<F: Fn(Lua<'_>) -> c_int + Copy + 'static>(self, function: F) {
        self.push_closure(function, 0);
    }

    /// As `push_function`, and binds the topmost `upvalues` values to it.
    pub(crate) fn push_closure<F: Fn(Lua<'_>) -> c_int + Copy + 'static>(
        self,
        _function: F,
        upvalues: c_int,
    ) {
        unsafe { ffi::lua_pushcclosure(self.raw, trampoline::<F>, upvalues) }
    }

    /// The C function at `index`.
    pub(crate) fn raw_function(self, index: c_int) -> Option<RawFunction> {
        unsafe { ffi::lua_tocfunction(self.raw, index) }
    }

    /// Runs a C function in place of the one that is running, with the same arguments.
    pub(crate) fn tail_call(self, function: RawFunction) -> c_int {
        // SAFETY: it came from `raw_function`, and those passed here use no upvalues.
        unsafe { function(self.raw) }
    }

    pub(crate) fn call(self, args: c_int, results: c_int) {
        unsafe { ffi::lua_call(self.raw, args, results) }
    }

    /// Calls with errors caught; 0, or Lua's status with the error's value on top. `handler` is an index or 0.
    pub(crate) fn protected_call(self, args: c_int, results: c_int, handler: c_int) -> c_int {
        unsafe { ffi::lua_pcall(self.raw, args, results, handler) }
    }

    /// Pushes a block of memory with `value` in it.
    pub(crate) fn push_data<T: Copy>(self, value: T) {
        // SAFETY: Lua aligns blocks for any type of C, and `T: Copy` needs no destructor.
        unsafe { ffi::lua_newuserdata(self.raw, size_of::<T>()).cast::<T>().write(value) }
    }

    /// The block that the running function has as its first upvalue.
    #[expect(clippy::mut_from_ref, reason = "one borrow at a time, as for slots")]
    pub(crate) fn upvalue_data<T: Copy>(&self) -> &mut T {
        // SAFETY: functions that call this are made by `push_closure` over a `push_data::<T>` of the same `T`.
        unsafe { &mut *ffi::lua_touserdata(self.raw, ffi::lua_upvalueindex(1)).cast::<T>() }
    }

    pub(crate) fn open(self, library: Library) {
        let (open, name): (RawFunction, &[u8]) = match library {
            Library::Base => (ffi::luaopen_base, b""),
            Library::Table => (ffi::luaopen_table, b"table"),
            Library::String => (ffi::luaopen_string, b"string"),
            Library::Math => (ffi::luaopen_math, b"math"),
            Library::Os => (ffi::luaopen_os, b"os"),
        };
        unsafe { ffi::lua_pushcclosure(self.raw, open, 0) };
        self.push_bytes(name);
        self.call(1, 0);
    }

    // Arguments of library functions. Each raises Lua's own error for what it does not find.

    pub(crate) fn check_bytes(self, arg: c_int) -> &'a [u8] {
        let mut len = 0;
        // SAFETY: as in `bytes`; null is never returned.
        unsafe {
            let start = ffi::luaL_checklstring(self.raw, arg, &mut len);
            slice::from_raw_parts(start.cast(), len)
        }
    }

    pub(crate) fn check_number(self, arg: c_int) -> f64 {
        unsafe { ffi::luaL_checknumber(self.raw, arg) }
    }

    pub(crate) fn check_integer(self, arg: c_int) -> i64 {
        unsafe { ffi::luaL_checkinteger(self.raw, arg) }
    }

    pub(crate) fn optional_integer(self, arg: c_int, default: i64) -> i64 {
        unsafe { ffi::luaL_optinteger(self.raw, arg, default) }
    }

    pub(crate) fn check_any(self, arg: c_int) {
        unsafe { ffi::luaL_checkany(self.raw, arg) }
    }

    pub(crate) fn check_table(self, arg: c_int) {
        unsafe { ffi::luaL_checktype(self.raw, arg, ffi::LUA_TTABLE) }
    }

    /// The position of the argument's text in `options`.
    pub(crate) fn check_option(self, arg: c_int, options: &[&str]) -> usize {
        let text = self.check_bytes(arg);
        match options.iter().position(|option| option.as_bytes() == text) {
            Some(position) => position,
            None => self.raise_argument(arg, format_args!("invalid option '{}'", text.escape_ascii())),
        }
    }

    /// Raises `stack overflow (what)` if there is no room for `count` more values.
    pub(crate) fn require_stack(self, count: c_int, what: &str) {
        if !self.check_stack(count) || self.stack_is_low() {
            self.raise(format_args!("stack overflow ({what})"));
        }
    }

    // Errors.

    /// Raises the value on top.
    pub(crate) fn raise_top(self) -> ! {
        unsafe { ffi::lua_error(self.raw) }
    }

    /// Raises a text with the position of the caller in front.
    pub(crate) fn raise(self, text: fmt::Arguments<'_>) -> ! {
        let message = self.state.message.get();
        message.clear();
        // Writing to memory fails only by the process' end.
        let _ = message.write_fmt(text);
        self.raise_message()
    }

    /// As `raise`, for a text of several parts that may hold any bytes.
    pub(crate) fn raise_parts(self, parts: &[&[u8]]) -> ! {
        let message = self.state.message.get();
        message.clear();
        parts.iter().for_each(|part| message.extend_from_slice(part));
        self.raise_message()
    }

    fn raise_message(self) -> ! {
        // What the function has on the stack is needed no more, and there may be no room above it.
        self.set_top(0);
        unsafe { ffi::luaL_where(self.raw, 1) };
        self.push_bytes(self.state.message.get());
        unsafe { ffi::lua_concat(self.raw, 2) };
        self.raise_top()
    }

    /// Raises a text as it is.
    pub(crate) fn raise_plain(self, text: &str) -> ! {
        self.push_bytes(text.as_bytes());
        self.raise_top()
    }

    /// Raises `bad argument #arg to 'function' (text)`.
    pub(crate) fn raise_argument(self, arg: c_int, text: fmt::Arguments<'_>) -> ! {
        let message = self.state.message.get();
        message.clear();
        let _ = message.write_fmt(text);
        self.set_top(0);
        self.push_bytes(message);
        // SAFETY: strings of Lua end with a zero byte.
        unsafe {
            let text = ffi::lua_tolstring(self.raw, -1, ptr::null_mut());
            ffi::luaL_argerror(self.raw, arg, text);
        }
        unreachable!("an argument error does not return")
    }

    /// The line that the function `level` calls up is at, with its chunk's name: what the error reply quotes.
    /// Functions written in C are passed over, once. `None` if there is no such level.
    pub(crate) fn push_position(self, level: c_int) -> Option<c_int> {
        // SAFETY: all-zero is a valid value for the record, which `lua_getstack` and `lua_getinfo` fill; its texts
        // end with a zero byte.
        unsafe {
            let mut record: ffi::lua_Debug = mem::zeroed();
            for level in [level, level + 1] {
                if ffi::lua_getstack(self.raw, level, &mut record) == 0 {
                    return None;
                }
                ffi::lua_getinfo(self.raw, c"nSl".as_ptr(), &mut record);
                if CStr::from_ptr(record.what) != c"C" {
                    break;
                }
            }
            ffi::lua_pushstring_(self.raw, record.source);
            Some(record.currentline)
        }
    }
}

/// The index of a value that is bound to the running function, from 1.
pub(crate) fn upvalue(index: c_int) -> c_int {
    ffi::lua_upvalueindex(index)
}

/// Calls `F`, a function item or closure without captures, which therefore needs no value to be called.
unsafe extern "C-unwind" fn trampoline<F: Fn(Lua<'_>) -> c_int + Copy>(raw: *mut ffi::lua_State) -> c_int {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: a type without size has one value, which any aligned pointer reads; `push_closure` was given it.
    let function = unsafe { NonNull::<F>::dangling().read() };
    // SAFETY: Lua passes a live thread of a state that `Vm::new` made.
    function(unsafe { Lua::from_raw(raw) })
}

/// Gives back a buffer that one large value has grown.
pub(crate) fn trim(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > BUFFER_KEEP_BYTES {
        *buffer = Vec::new();
    }
}
