//! The cache of compiled scripts, and the one that runs.

use std::{collections::HashMap, error, fmt, rc::Rc};

use sessile_resp::{Args, Proto, Reply, c_text};

use crate::{
    bridge::{KILLED, Kind, Lua, OUT_OF_MEMORY, Vm, trim},
    convert::write_value,
    fiber::{Fiber, Suspender},
    host::{Host, Options, Outcome, Progress},
    redis_api::hex_digest,
    sandbox,
};

/// The name of a script: the SHA-1 of its text in lower-case hexadecimal digits.
pub type Sha1Hex = [u8; 40];

/// Scripts between two steps of garbage collection, as many as in Redis.
const COLLECT_PERIOD: u32 = 50;
/// Characters of an error that is no text of ours which the reply quotes.
const QUOTED_MAX_BYTES: usize = 100;
/// The reply of a script whose own is larger than the memory that it may use.
const REPLY_TOO_LONG: &[u8] = b"ERR the script's reply is larger than the memory that scripts may use";

/// Compiled scripts, and the Lua state that runs them one at a time. One for each shard.
pub struct ScriptHost {
    // What runs on the fiber uses the machine, so the fiber is dropped first.
    fiber: Fiber,
    vm: Vm,
    scripts: HashMap<Sha1Hex, Rc<Script>>,
    /// The one that was asked for last: clients mostly ask for the same again, and to compare its text costs less than
    /// the digest.
    last: Option<Rc<Script>>,
    /// Counts Lua states: a script runs only in the one that compiled it.
    generation: u64,
    options: Options,
    /// Bytes of all scripts' texts.
    bodies_bytes: usize,
    runs_since_collect: u32,
}

/// A compiled script, which runs until [`ScriptHost::flush`] forgets it.
#[derive(Debug)]
pub struct Script {
    sha: Sha1Hex,
    body: Box<[u8]>,
    flags: Flags,
    /// Registry reference of the compiled function.
    function: i32,
    generation: u64,
}

/// What a script's first line (`#!lua flags=no-writes`) says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u8);

/// Why a text is no script. Its `Display` is Redis' error text without the code `ERR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompileError {
    /// Lua's message.
    Syntax(Vec<u8>),
    /// The first line begins with `#!` and does not end.
    UnfinishedShebang,
    /// The first line names no engine.
    NoEngine,
    /// The first line names another engine than `lua`.
    UnexpectedEngine(String),
    /// A flag that does not exist.
    UnexpectedFlag(String),
    /// Something else than flags.
    UnknownOption(String),
    /// A suspended script has the Lua state.
    Busy,
}

/// The SHA-1 that names the script `body`.
pub fn sha1_hex(body: &[u8]) -> Sha1Hex {
    hex_digest(body)
}

impl ScriptHost {
    /// A host without scripts.
    ///
    /// # Panics
    /// If there is no memory for Lua or for the stack.
    pub fn new(options: Options) -> Self {
        let fiber = Fiber::new(options.stack_bytes).expect("there is address space for the stack of scripts");
        let vm = open_vm(&options, &fiber);
        let scripts = HashMap::new();
        Self {
            fiber,
            vm,
            scripts,
            last: None,
            generation: 0,
            options,
            bodies_bytes: 0,
            runs_since_collect: 0,
        }
    }

    /// Compiles a script and keeps it, unless it is there already.
    pub fn load(&mut self, body: &[u8]) -> Result<Rc<Script>, CompileError> {
        if let Some(last) = self.last.as_ref().filter(|last| *last.body == *body) {
            return Ok(Rc::clone(last));
        }
        let sha = sha1_hex(body);
        let script = match self.scripts.get(&sha) {
            Some(script) => Rc::clone(script),
            None => self.compile(sha, body)?,
        };
        self.last = Some(Rc::clone(&script));
        Ok(script)
    }

    fn compile(&mut self, sha: Sha1Hex, body: &[u8]) -> Result<Rc<Script>, CompileError> {
        if self.is_suspended() {
            return Err(CompileError::Busy);
        }
        let (flags, code) = split_shebang(body)?;
        let lua = self.vm.lua();
        if lua.load_script(code) != 0 {
            let message = lua.bytes(-1).unwrap_or_default().to_vec();
            lua.pop(1);
            return Err(CompileError::Syntax(message));
        }
        self.bodies_bytes += body.len();
        let (function, generation) = (lua.keep(), self.generation);
        let script = Rc::new(Script { sha, body: body.into(), flags, function, generation });
        self.scripts.insert(sha, Rc::clone(&script));
        Ok(script)
    }

    /// The script of this name, if there is one: EVALSHA ignores case.
    pub fn find(&mut self, name: &[u8]) -> Option<Rc<Script>> {
        if let Some(last) = self.last.as_ref().filter(|last| last.sha == *name) {
            return Some(Rc::clone(last));
        }
        let script = Rc::clone(self.scripts.get(&lower_case(name)?)?);
        self.last = Some(Rc::clone(&script));
        Some(script)
    }

    /// Whether there is a script of this name.
    pub fn exists(&self, name: &[u8]) -> bool {
        lower_case(name).is_some_and(|sha| self.scripts.contains_key(&sha))
    }

    /// How many scripts are kept.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Whether no script is kept.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Forgets all scripts and starts with a new Lua state. False, and nothing done, while a script is suspended.
    pub fn flush(&mut self) -> bool {
        if self.is_suspended() {
            return false;
        }
        self.scripts.clear();
        self.last = None;
        self.generation += 1;
        self.bodies_bytes = 0;
        self.vm = open_vm(&self.options, &self.fiber);
        true
    }

    /// Bytes that Lua holds.
    pub fn memory_bytes(&self) -> usize {
        self.vm.lua().state().memory.used.get()
    }

    /// Bytes that the texts of the scripts take, beside [`memory_bytes`](Self::memory_bytes).
    pub fn bodies_bytes(&self) -> usize {
        self.bodies_bytes
            + self.scripts.len() * size_of::<Script>()
            + self.scripts.capacity() * size_of::<(Sha1Hex, Rc<Script>)>()
    }

    /// Whether a script waits for [`resume`](Self::resume).
    pub fn is_suspended(&self) -> bool {
        self.fiber.is_running()
    }

    /// Runs a script for a client that speaks `proto`, and appends its reply to `out` when it is done.
    pub fn eval(
        &mut self,
        host: &mut dyn Host,
        script: &Script,
        keys: Args<'_>,
        argv: Args<'_>,
        proto: Proto,
        out: &mut Vec<u8>,
    ) -> Progress {
        if self.is_suspended() {
            let text =
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
            return refuse(text, proto, out);
        }
        if script.generation != self.generation {
            return refuse("NOSCRIPT No matching script. Please use EVAL.", proto, out);
        }
        let lua = self.vm.lua();
        set_array(lua, "KEYS", keys);
        set_array(lua, "ARGV", argv);
        lua.push_kept(lua.state().error_handler.get());
        lua.push_kept(script.function);
        let state = lua.state();
        state.script_proto.set(Proto::Resp2);
        state.killed.set(false);
        state.collector_touched.set(false);
        state.reply_is_cut.set(false);
        state.memory.limit.set(Some(self.options.memory_limit_bytes));
        state.memory.reply_max.set(self.options.memory_limit_bytes);
        lua.set_hook();
        let (lua, sha) = (self.vm.lua_for_fiber(), script.sha);
        self.fiber.start(move |suspender| run(lua, suspender, &sha, proto));
        self.turn(host, out)
    }

    /// Goes on with the suspended script.
    ///
    /// # Panics
    /// If there is none.
    pub fn resume(&mut self, host: &mut dyn Host, out: &mut Vec<u8>) -> Progress {
        assert!(self.is_suspended(), "a script waits to be resumed");
        self.turn(host, out)
    }

    fn turn(&mut self, host: &mut dyn Host, out: &mut Vec<u8>) -> Progress {
        let fiber = &mut self.fiber;
        if !self.vm.with_host(host, || fiber.turn()) {
            return Progress::Suspended;
        }
        let lua = self.vm.lua();
        let state = lua.state();
        let output = state.output.get();
        out.extend_from_slice(output);
        trim(output);
        trim(state.scratch.get());
        trim(state.reply.get());
        if state.collector_touched.get() {
            lua.reset_collector();
        }
        self.runs_since_collect += 1;
        if self.runs_since_collect == COLLECT_PERIOD {
            self.runs_since_collect = 0;
            lua.collect_some();
        }
        Progress::Done(state.outcome.take().expect("a script that ended has an outcome"))
    }
}

impl fmt::Debug for ScriptHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptHost")
            .field("scripts", &self.scripts.len())
            .field("suspended", &self.is_suspended())
            .finish_non_exhaustive()
    }
}

impl Script {
    /// Its name.
    pub fn sha(&self) -> &Sha1Hex {
        &self.sha
    }

    /// Its text.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What its first line says of it.
    pub fn flags(&self) -> Flags {
        self.flags
    }
}

impl Flags {
    /// The script writes nothing.
    pub const NO_WRITES: Self = Self(1);
    /// The script may run beyond the memory limit.
    pub const ALLOW_OOM: Self = Self(2);
    /// The script may run on a replica that lost its master.
    pub const ALLOW_STALE: Self = Self(4);
    /// The script must not run in cluster mode.
    pub const NO_CLUSTER: Self = Self(8);
    /// The script may use keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);
    /// The script has no first line of the kind, so the rules of old hold.
    pub const COMPATIBLE: Self = Self(32);

    const NAMES: [(&'static str, Self); 5] = [
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl CompileError {
    /// The error text with the bytes of the script that Lua quotes, whether they are text or not.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Syntax(message) => [b"Error compiling script (new function): ", &message[..]].concat(),
            other => other.to_string().into_bytes(),
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => {
                write!(f, "Error compiling script (new function): {}", String::from_utf8_lossy(message))
            }
            Self::UnfinishedShebang => f.write_str("Invalid script shebang"),
            Self::NoEngine => f.write_str("Invalid engine in script shebang"),
            Self::UnexpectedEngine(name) => write!(f, "Unexpected engine in script shebang: {name}"),
            Self::UnexpectedFlag(name) => write!(f, "Unexpected flag in script shebang: {name}"),
            Self::UnknownOption(text) => write!(f, "Unknown lua shebang option: {text}"),
            Self::Busy => f.write_str("A script is suspended, so no other can be compiled"),
        }
    }
}

impl error::Error for CompileError {}

fn lower_case(name: &[u8]) -> Option<Sha1Hex> {
    let mut sha: Sha1Hex = name.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

fn open_vm(options: &Options, fiber: &Fiber) -> Vm {
    let vm = Vm::new();
    sandbox::open(vm.lua(), options.redis_version);
    vm.lua().state().stack_floor.set(fiber.floor());
    vm
}

/// The flags of a script, and its text without the words of the first line. The line's end stays, so lines keep
/// their numbers.
fn split_shebang(body: &[u8]) -> Result<(Flags, &[u8]), CompileError> {
    if !body.starts_with(b"#!") {
        return Ok((Flags::COMPATIBLE, body));
    }
    let end = body.iter().position(|byte| *byte == b'\n').ok_or(CompileError::UnfinishedShebang)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut words = body[..end].split(|byte| *byte == b' ');
    match words.next() {
        Some(b"#!lua") => {}
        Some(engine) => return Err(CompileError::UnexpectedEngine(text(engine))),
        None => return Err(CompileError::NoEngine),
    }
    let mut flags = Flags::default();
    for word in words {
        let names = word.strip_prefix(b"flags=").ok_or_else(|| CompileError::UnknownOption(text(word)))?;
        for name in names.split(|byte| *byte == b',').filter(|_| !names.is_empty()) {
            let known = Flags::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
            let (_, flag) = known.ok_or_else(|| CompileError::UnexpectedFlag(text(name)))?;
            flags.0 |= flag.0;
        }
    }
    Ok((flags, &body[end..]))
}

fn refuse(text: &str, proto: Proto, out: &mut Vec<u8>) -> Progress {
    Reply::new(out, proto).error(text.as_bytes());
    Progress::Done(Outcome::Failed { counted: false })
}

fn set_array(lua: Lua<'_>, name: &str, values: Args<'_>) {
    lua.create_table(values.len(), 0);
    for (index, value) in values.iter().enumerate() {
        lua.push_bytes(value);
        lua.raw_set_index(-2, index as i32 + 1);
    }
    sandbox::set_global(lua, name);
}

/// The body of the fiber: calls the function on top, below which the error handler is, and writes the reply.
fn run(lua: Lua<'static>, suspender: Suspender, sha: &Sha1Hex, proto: Proto) {
    let state = lua.state();
    state.suspender.set(Some(suspender));
    let status = lua.protected_call(0, 1, lua.top() - 1);
    // Nothing catches an error from here on, so no allocation may be refused.
    state.memory.limit.set(None);
    if status == OUT_OF_MEMORY {
        lua.collect_all();
    }
    let output = state.output.get();
    output.clear();
    let mut reply = Reply::new(output, proto);
    let mut outcome = if status != 0 {
        Outcome::Failed { counted: write_error(lua, sha, &mut reply) }
    } else {
        match write_value(lua, state.script_proto.get(), &mut reply) {
            Some(counted) => Outcome::Failed { counted },
            None => Outcome::Returned,
        }
    };
    if state.reply_is_cut.get() {
        trim(output);
        Reply::new(output, proto).error(if state.killed.get() { KILLED } else { REPLY_TOO_LONG });
        outcome = Outcome::Failed { counted: false };
    }
    lua.set_top(0);
    state.suspender.set(None);
    state.outcome.set(Some(outcome));
}

/// Writes the error on top, and where it was raised; whether it is counted already.
fn write_error(lua: Lua<'_>, sha: &Sha1Hex, reply: &mut Reply<'_>) -> bool {
    let text = lua.state().scratch.get();
    text.clear();
    if lua.kind(-1) != Kind::Table {
        let message = c_text(lua.bytes(-1).unwrap_or(b"execution failure"));
        text.extend_from_slice(b"ERR Error running script ");
        text.extend_from_slice(sha);
        text.extend_from_slice(b", ");
        text.extend_from_slice(&message[..message.len().min(QUOTED_MAX_BYTES)]);
        reply.error(text);
        return false;
    }
    match lua.raw_get_field(-1, "err") {
        Kind::String | Kind::Number => text.extend_from_slice(c_text(lua.bytes(-1).unwrap_or_default())),
        _ => text.extend_from_slice(b"ERR unknown error"),
    }
    let has_source = lua.raw_get_field(-2, "source") == Kind::String;
    let has_line = matches!(lua.raw_get_field(-3, "line"), Kind::String | Kind::Number);
    if has_source && has_line {
        text.extend_from_slice(b" script: ");
        text.extend_from_slice(sha);
        text.extend_from_slice(b", on ");
        text.extend_from_slice(c_text(lua.bytes(-2).unwrap_or_default()));
        text.push(b':');
        text.extend_from_slice(c_text(lua.bytes(-1).unwrap_or_default()));
        text.push(b'.');
    }
    reply.error(text);
    lua.raw_get_field(-4, "ignore_error_stats_update") == Kind::Boolean && lua.boolean(-1)
}
