//! What a script may not exceed: its time, by asking the host whether to go on, and its memory.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::Lua;
use crate::{
    host::Interrupt,
    state::{BUFFER_KEEP_BYTES, STEPS},
};

/// How often the host is asked whether to go on, in Lua instructions.
const HOOK_INSTRUCTIONS: c_int = 10_000;

/// The reply to who ran a script that was killed.
pub(crate) const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL...";

// SAFETY (for every `unsafe` block of this impl that has no comment of its own): as for the other methods of `Lua`.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one comment for all, above")]
impl Lua<'_> {
    /// Has the hook called regularly from now on.
    pub(crate) fn set_hook(self) {
        unsafe { ffi::lua_sethook(self.raw, Some(hook), ffi::LUA_MASKCOUNT, HOOK_INSTRUCTIONS) };
    }

    /// Asks the host whether to go on. Returns if so, raises if not, and waits on another stack meanwhile if told to.
    pub(crate) fn interrupt(self) {
        if self.is_to_end() {
            self.create_table(0, 3);
            self.push_bytes(KILLED);
            self.set_field("err");
            self.raise_top()
        }
    }

    /// As `interrupt`, and says whether the script has to end.
    fn is_to_end(self) -> bool {
        let state = self.state;
        if state.killed.get() {
            return true;
        }
        if state.host.get().is_none() {
            return false;
        }
        self.relieve_memory();
        loop {
            match self.host().interrupt() {
                Interrupt::Continue => return false,
                Interrupt::Kill => break,
                Interrupt::Suspend => {
                    state.suspender.get().expect("scripts run on a fiber").suspend();
                }
            }
        }
        state.killed.set(true);
        // From now on each instruction raises, so that catching it leads nowhere.
        for thread in [state.main.get().cast(), self.raw] {
            // SAFETY: the main thread lives as long as the state.
            unsafe { ffi::lua_sethook(thread, Some(hook), ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT, 1) };
        }
        true
    }

    /// Counts work of our own functions, which Lua's hook does not see, and asks the host as that does. A step takes some
    /// nanoseconds.
    #[inline]
    pub(crate) fn spend(self, steps: usize) {
        if self.uses_up(steps) {
            self.interrupt();
        }
    }

    /// As `spend` where nothing catches what is raised: says whether the script has to end.
    pub(crate) fn spend_last(self, steps: usize) -> bool {
        self.uses_up(steps) && self.is_to_end()
    }

    /// Takes steps from those that are left; true, and all there again, if that was too many.
    #[inline]
    fn uses_up(self, steps: usize) -> bool {
        let left = self.state.steps_left.get().checked_sub(steps);
        self.state.steps_left.set(left.unwrap_or(STEPS));
        left.is_none()
    }

    /// Makes room for `more` bytes in a buffer of ours, which Lua's own limit does not see; raises if it has none.
    pub(crate) fn reserve(self, buffer: &mut Vec<u8>, more: usize) {
        self.spend(1 + more / 64);
        let len = buffer.len() + more;
        if len > BUFFER_KEEP_BYTES {
            self.require_memory(len);
        }
        buffer.reserve(more);
    }

    /// Lua 5.1 does not collect when an allocation is refused, so collect before that, if it has gone near the limit
    /// since the last time.
    fn relieve_memory(self) {
        let memory = &self.state.memory;
        let Some(limit) = memory.limit.get() else { return };
        let used = memory.used.get();
        if used > limit / 4 * 3 && used > memory.used_after_relief.get() + limit / 16 {
            self.collect_all();
        }
    }

    /// Raises Lua's error for memory that is out unless there are as many bytes: for what is put together outside of Lua.
    pub(crate) fn require_memory(self, bytes: usize) {
        let memory = &self.state.memory;
        let is_short =
            || memory.limit.get().is_some_and(|limit| memory.used.get().saturating_add(bytes) > limit);
        if is_short() {
            self.collect_all();
            if is_short() {
                // The allocator refuses it, and Lua raises.
                unsafe { ffi::lua_newuserdata(self.raw, bytes) };
            }
        }
    }

    /// A whole collection: after a refused allocation.
    pub(crate) fn collect_all(self) {
        let memory = &self.state.memory;
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT, 0) };
        memory.used_after_relief.set(memory.used.get());
    }

    /// A part of a collection, as large as Redis makes it.
    pub(crate) fn collect_some(self) {
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCSTEP, 50) };
    }

    /// Undoes what `collectgarbage` may have set.
    pub(crate) fn reset_collector(self) {
        const LUA_DEFAULT_PERCENT: c_int = 200;
        unsafe {
            ffi::lua_gc(self.raw, ffi::LUA_GCSETPAUSE, LUA_DEFAULT_PERCENT);
            ffi::lua_gc(self.raw, ffi::LUA_GCSETSTEPMUL, LUA_DEFAULT_PERCENT);
            ffi::lua_gc(self.raw, ffi::LUA_GCRESTART, 0);
        }
    }
}

unsafe extern "C-unwind" fn hook(raw: *mut ffi::lua_State, _record: *mut ffi::lua_Debug) {
    // SAFETY: Lua passes a live thread of a state that `Vm::new` made.
    unsafe { Lua::from_raw(raw) }.interrupt();
}
