//! What belongs to one Lua state beside Lua itself: buffers, marks and the way to the host.

use std::{
    cell::{Cell, UnsafeCell},
    ffi::c_void,
    ptr::{self, NonNull},
};

use sessile_resp::{OwnedArgs, Proto};

use crate::{
    bridge::RawFunction,
    fiber::Suspender,
    host::{Host, Outcome},
    random::Rand48,
};

/// Buffers larger than this are given back after use, in bytes.
pub(crate) const BUFFER_KEEP_BYTES: usize = 1 << 20;

/// How often our own functions ask the host whether to go on, in steps of theirs.
pub(crate) const STEPS: usize = 20_000;

/// Lives at one address as long as its Lua state, which finds it through the allocator's user data.
pub(crate) struct State {
    /// The main thread of the Lua state.
    pub(crate) main: Cell<*mut c_void>,
    /// The host of the current turn; none while the script is suspended or nothing runs.
    pub(crate) host: Cell<Option<NonNull<dyn Host>>>,
    /// The way out of the fiber while a script runs.
    pub(crate) suspender: Cell<Option<Suspender>>,
    /// The protocol that `redis.setresp` chose.
    pub(crate) script_proto: Cell<Proto>,
    /// The script has to end; what it raises from now on is not to be caught.
    pub(crate) killed: Cell<bool>,
    /// Steps of our own functions until the host is asked whether to go on, as the hook does for Lua's instructions.
    pub(crate) steps_left: Cell<usize>,
    /// The reply grew too long; no more of it is written.
    pub(crate) reply_is_cut: Cell<bool>,
    /// The script called `collectgarbage`, whose settings must not outlive it.
    pub(crate) collector_touched: Cell<bool>,
    pub(crate) memory: Memory,
    pub(crate) random: Slot<Rand48>,
    /// Arguments of the command that is being called.
    pub(crate) args: Slot<OwnedArgs>,
    /// The reply of the command that is being called.
    pub(crate) reply: Slot<Vec<u8>>,
    /// What a library encodes or decodes at present.
    pub(crate) scratch: Slot<Vec<u8>>,
    /// The text of an error about to be raised.
    pub(crate) message: Slot<Vec<u8>>,
    /// Library functions of Lua that a guard of ours replaces, by their number in `sandbox`.
    pub(crate) originals: Slot<Vec<RawFunction>>,
    pub(crate) protected: Slot<Vec<Protected>>,
    /// Registry reference of Lua's own `next`.
    pub(crate) next_function: Cell<i32>,
    /// Registry reference of the table behind `_G`.
    pub(crate) globals: Cell<i32>,
    /// Registry reference of the error handler.
    pub(crate) error_handler: Cell<i32>,
    /// Registry reference of what `getmetatable` shows for strings.
    pub(crate) string_metatable: Cell<i32>,
    /// The reply to the client, written when the script ends.
    pub(crate) output: Slot<Vec<u8>>,
    /// How the script ended.
    pub(crate) outcome: Cell<Option<Outcome>>,
    /// Addresses below this are too near to the end of the fiber's stack for another level of recursion.
    pub(crate) stack_floor: Cell<usize>,
}

/// What Lua's allocator counts, in bytes.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) used: Cell<usize>,
    /// Enforced only while a script runs under `pcall`: elsewhere a refusal would end the process.
    pub(crate) limit: Cell<Option<usize>>,
    /// Bytes that a script's reply may have.
    pub(crate) reply_max: Cell<usize>,
    /// Bytes in use after the last full collection that a shortage caused.
    pub(crate) used_after_relief: Cell<usize>,
}

/// A table that scripts may read but not write: they see an empty `proxy` in its place.
pub(crate) struct Protected {
    pub(crate) proxy: *const c_void,
    /// Registry reference of the table behind it.
    pub(crate) real: i32,
    /// Registry reference of what `getmetatable` shows.
    pub(crate) metatable: Option<i32>,
}

/// A value that one function at a time uses through a shared state. It has no guard on purpose: an error that Lua
/// raises skips destructors, and a guard would stay locked.
#[derive(Default)]
pub(crate) struct Slot<T>(UnsafeCell<T>);

impl Default for State {
    fn default() -> Self {
        Self {
            main: Cell::new(ptr::null_mut()),
            host: Cell::default(),
            suspender: Cell::default(),
            script_proto: Cell::default(),
            killed: Cell::default(),
            steps_left: Cell::new(STEPS),
            reply_is_cut: Cell::default(),
            collector_touched: Cell::default(),
            memory: Memory::default(),
            random: Slot::default(),
            args: Slot::default(),
            reply: Slot::default(),
            scratch: Slot::default(),
            message: Slot::default(),
            originals: Slot::default(),
            protected: Slot::default(),
            next_function: Cell::default(),
            globals: Cell::default(),
            error_handler: Cell::default(),
            string_metatable: Cell::default(),
            output: Slot::default(),
            outcome: Cell::default(),
            stack_floor: Cell::default(),
        }
    }
}

impl<T> Slot<T> {
    pub(crate) fn cell(&self) -> &UnsafeCell<T> {
        &self.0
    }
}
