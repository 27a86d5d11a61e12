//! What a script host needs from outside, and what it tells in return.

use sessile_resp::{Args, Proto};

/// The outside as a script sees it.
pub trait Host {
    /// Runs one command and appends exactly one reply in `proto` to `out`. Errors carry their code
    /// (`-ERR Unknown Redis command called from script`); Redis' checks for scripts (arity, `noscript`, ACL,
    /// read-only, memory) belong here, as does the note that the script has written.
    fn call(&mut self, args: Args<'_>, proto: Proto, out: &mut Vec<u8>);

    /// A line for the log from `redis.log`, at Redis' level 0 (debug) to 3 (warning).
    fn log(&mut self, level: i64, message: &[u8]);

    /// Asked every 10,000 Lua instructions, as often in what our own functions do at length, before each command, and after
    /// each resumption.
    fn interrupt(&mut self) -> Interrupt;

    /// Whether the user who runs the script may run this command: `redis.acl_check_cmd`.
    fn acl_check(&mut self, args: Args<'_>) -> AclVerdict;

    /// `redis.set_repl` was called with valid flags. Effects are journaled whatever a script says.
    fn set_repl(&mut self, _flags: i64) {}
}

/// What a running script shall do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// Go on.
    Continue,
    /// Return [`Progress::Suspended`] to the caller; [`resume`](crate::ScriptHost::resume) goes on.
    Suspend,
    /// End with an error that the script cannot catch.
    Kill,
}

/// What an access check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclVerdict {
    /// The user may run it.
    Allowed,
    /// The user may not.
    Denied,
    /// There is no such command.
    UnknownCommand,
}

/// How far a script has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// The reply is complete.
    Done(Outcome),
    /// Nothing is written yet; the script waits for [`resume`](crate::ScriptHost::resume).
    Suspended,
}

/// How a script ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With a value.
    Returned,
    /// With an error reply. `counted`: it came from a command that has been counted in the error statistics already.
    Failed {
        /// Whether the error statistics hold it already.
        counted: bool,
    },
}

/// The settings of a script host.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes that Lua may hold while a script runs; beyond it scripts get `not enough memory`.
    pub memory_limit_bytes: usize,
    /// Bytes of address space for the stack that scripts run on. Only touched pages cost memory.
    pub stack_bytes: usize,
    /// `redis.REDIS_VERSION`, as `major.minor.patch`; `REDIS_VERSION_NUM` follows from it.
    pub redis_version: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_limit_bytes: 1 << 30, stack_bytes: 4 << 20, redis_version: "7.2.4" }
    }
}
