//! The stack that scripts run on, and the switch between it and the caller's.
#![expect(unsafe_code, reason = "switching stacks is beyond what the compiler can check")]

use std::{io, ptr::NonNull};

use corosensei::{
    Coroutine, Yielder,
    stack::{DefaultStack, Stack},
};

/// Bytes at the stack's end that recursion in our own code leaves free, for the deepest that Lua itself goes from
/// there: 200 nested C calls with an 8 KiB buffer each are 1.7 MB, so most of it is already below.
const RESERVE_BYTES: usize = 256 << 10;

/// One stack, and what runs on it.
pub(crate) struct Fiber {
    /// `None` while something runs on it.
    spare: Option<DefaultStack>,
    running: Option<Coroutine<(), (), ()>>,
    floor: usize,
}

/// The way back to the caller, valid while its fiber runs.
#[derive(Clone, Copy)]
pub(crate) struct Suspender(NonNull<Yielder<(), ()>>);

impl Fiber {
    pub(crate) fn new(stack_bytes: usize) -> io::Result<Self> {
        let stack = DefaultStack::new(stack_bytes)?;
        let floor = stack.limit().get() + RESERVE_BYTES;
        Ok(Self { spare: Some(stack), running: None, floor })
    }

    /// Addresses below this are within the reserve.
    pub(crate) fn floor(&self) -> usize {
        self.floor
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Prepares `body` to run at the next [`turn`](Self::turn).
    ///
    /// # Panics
    /// If something runs on the stack already.
    pub(crate) fn start(&mut self, body: impl FnOnce(Suspender) + 'static) {
        let stack = self.spare.take().expect("one script at a time");
        self.running = Some(Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            body(Suspender(NonNull::from(yielder)));
        }));
    }

    /// Runs until the body suspends (false) or ends (true).
    pub(crate) fn turn(&mut self) -> bool {
        let coroutine = self.running.as_mut().expect("a body was started");
        if coroutine.resume(()).as_return().is_none() {
            return false;
        }
        self.spare = self.running.take().map(Coroutine::into_stack);
        true
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        if let Some(coroutine) = &mut self.running {
            // SAFETY: the body suspends only inside `Lua::interrupt`, below which the stack holds frames of Lua and
            // of library functions; by the rule of `bridge::Lua` none of these has a value that needs dropping.
            unsafe { coroutine.force_reset() };
        }
    }
}

impl Suspender {
    /// Switches to the caller of [`Fiber::turn`] and returns at its next call.
    pub(crate) fn suspend(self) {
        // SAFETY: the yielder lives at the bottom of the fiber's stack as long as the body runs, and only code on
        // that stack holds a `Suspender`: the state's cell is emptied when the body ends.
        unsafe { self.0.as_ref() }.suspend(());
    }
}
