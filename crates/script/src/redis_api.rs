//! The table `redis`, and `math.random`, which Redis replaces.

use std::ffi::c_int;

use sessile_resp::{OwnedArgs, Proto};
use sha1::{Digest, Sha1};

use crate::{
    bridge::{Kind, Lua, trim},
    convert::{push_coded_error, push_error, push_reply},
    host::AclVerdict,
    number::format_argument,
    state::BUFFER_KEEP_BYTES,
};

/// An argument so long that it is asked whether there is memory for another copy: many can be the same string to Lua.
const LARGE_BYTES: usize = 64 << 10;

/// Creates the table on top of the stack.
pub(crate) fn open(lua: Lua<'_>, version: &str) {
    lua.create_table(0, 32);
    lua.push_function(|lua| call(lua, true));
    lua.set_field("call");
    lua.push_function(|lua| call(lua, false));
    lua.set_field("pcall");
    lua.push_function(log);
    lua.set_field("log");
    lua.push_function(set_resp);
    lua.set_field("setresp");
    lua.push_function(sha1hex);
    lua.set_field("sha1hex");
    lua.push_function(error_reply);
    lua.set_field("error_reply");
    lua.push_function(status_reply);
    lua.set_field("status_reply");
    lua.push_function(set_repl);
    lua.set_field("set_repl");
    lua.push_function(acl_check_cmd);
    lua.set_field("acl_check_cmd");
    // There is no debugger to stop in or to write to.
    lua.push_function(|lua| give(lua, false));
    lua.set_field("breakpoint");
    lua.push_function(|_| 0);
    lua.set_field("debug");
    lua.push_function(|lua| give(lua, true));
    lua.set_field("replicate_commands");
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
        ("REDIS_VERSION_NUM", version_number(version)),
    ] {
        lua.push_number(f64::from(value));
        lua.set_field(name);
    }
    lua.push_bytes(version.as_bytes());
    lua.set_field("REDIS_VERSION");
}

/// Puts Redis' generator in place of Lua's into the table `math` on top.
pub(crate) fn replace_random(lua: Lua<'_>) {
    lua.push_function(random);
    lua.set_field("random");
    lua.push_function(|lua| {
        lua.state().random.get().seed(lua.check_integer(1) as i32);
        0
    });
    lua.set_field("randomseed");
}

/// `7.2.4` as `0x00070204`.
fn version_number(version: &str) -> u32 {
    version.split('.').fold(0, |number, part| number << 8 | part.parse::<u32>().unwrap_or(0))
}

fn give(lua: Lua<'_>, value: bool) -> c_int {
    lua.push_boolean(value);
    1
}

fn raise(lua: Lua<'_>, text: &str) -> ! {
    push_error(lua, text.as_bytes());
    lua.raise_top()
}

/// Takes the arguments from the stack, or pushes the error that says why they are none.
fn take_args(lua: Lua<'_>) -> Option<&OwnedArgs> {
    let args = lua.state().args.get();
    if args.heap_bytes() > BUFFER_KEEP_BYTES {
        *args = OwnedArgs::new();
    }
    args.clear();
    let count = lua.top();
    if count == 0 {
        push_error(lua, b"ERR Please specify at least one argument for this redis lib call");
        return None;
    }
    for index in 1..=count {
        match lua.kind(index) {
            Kind::String => {
                let arg = lua.bytes(index).unwrap_or_default();
                if arg.len() > LARGE_BYTES {
                    lua.require_memory(args.heap_bytes() + arg.len());
                }
                args.push(arg);
            }
            Kind::Number => {
                let text = lua.state().message.get();
                text.clear();
                format_argument(lua.number(index), text);
                args.push(text);
            }
            _ => {
                lua.set_top(0);
                push_error(lua, b"ERR Lua redis lib command arguments must be strings or integers");
                return None;
            }
        }
    }
    lua.set_top(0);
    Some(args)
}

fn call(lua: Lua<'_>, raises: bool) -> c_int {
    let Some(args) = take_args(lua) else {
        if raises {
            lua.raise_top();
        }
        return 1;
    };
    let state = lua.state();
    if state.host.get().is_none() {
        raise(lua, "ERR redis.call/pcall can only be called inside a script invocation");
    }
    lua.interrupt();
    let reply = state.reply.get();
    trim(reply);
    lua.host().call(args.as_args(), state.script_proto.get(), reply);
    push_reply(lua, reply);
    if raises && reply.first() == Some(&b'-') {
        lua.raise_top();
    }
    1
}

fn acl_check_cmd(lua: Lua<'_>) -> c_int {
    let Some(args) = take_args(lua) else { lua.raise_top() };
    match lua.host().acl_check(args.as_args()) {
        AclVerdict::Allowed => give(lua, true),
        AclVerdict::Denied => give(lua, false),
        AclVerdict::UnknownCommand => raise(lua, "ERR Invalid command passed to redis.acl_check_cmd()"),
    }
}

fn log(lua: Lua<'_>) -> c_int {
    if lua.top() < 2 {
        raise(lua, "ERR redis.log() requires two arguments or more.");
    }
    if !lua.is_number(1) {
        raise(lua, "ERR First argument must be a number (log level).");
    }
    let level = lua.number(1) as i64;
    if !(0..=3).contains(&level) {
        raise(lua, "ERR Invalid debug level.");
    }
    let line = lua.state().scratch.get();
    line.clear();
    for index in 2..=lua.top() {
        if let Some(text) = lua.bytes(index) {
            if index > 2 {
                line.push(b' ');
            }
            lua.reserve(line, text.len());
            line.extend_from_slice(text);
        }
    }
    lua.host().log(level, line);
    trim(line);
    0
}

fn set_resp(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 {
        raise(lua, "ERR redis.setresp() requires one argument.");
    }
    let proto = match lua.number(1) as i64 {
        2 => Proto::Resp2,
        3 => Proto::Resp3,
        _ => raise(lua, "ERR RESP version must be 2 or 3."),
    };
    lua.state().script_proto.set(proto);
    0
}

fn set_repl(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 {
        raise(lua, "ERR redis.set_repl() requires two arguments.");
    }
    let flags = lua.number(1) as i64;
    if flags & !3 != 0 {
        raise(lua, "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    }
    lua.host().set_repl(flags);
    0
}

fn sha1hex(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 {
        raise(lua, "ERR wrong number of arguments");
    }
    lua.push_bytes(&hex_digest(lua.bytes(1).unwrap_or_default()));
    1
}

/// The SHA-1 of `bytes` in 40 lower-case hexadecimal digits.
pub(crate) fn hex_digest(bytes: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

fn error_reply(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 || lua.kind(1) != Kind::String {
        push_error(lua, b"ERR wrong number or type of arguments");
        return 1;
    }
    let text = sessile_resp::c_text(lua.bytes(1).unwrap_or_default());
    push_coded_error(lua, text.strip_prefix(b"-").unwrap_or(text));
    1
}

fn status_reply(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 || lua.kind(1) != Kind::String {
        push_error(lua, b"ERR wrong number or type of arguments");
        return 1;
    }
    lua.create_table(0, 1);
    lua.push_value(1);
    lua.set_field("ok");
    1
}

fn random(lua: Lua<'_>) -> c_int {
    /// One above the largest number that the generator gives.
    const NUMBERS: f64 = 2_147_483_647.0;
    let drawn = lua.state().random.get().next();
    let fraction = f64::from(drawn % i32::MAX) / NUMBERS;
    let result = match lua.top() {
        0 => fraction,
        1 => {
            let upper = lua.check_integer(1) as i32;
            if upper < 1 {
                lua.raise_argument(1, format_args!("interval is empty"));
            }
            (fraction * f64::from(upper)).floor() + 1.0
        }
        2 => {
            let (lower, upper) = (lua.check_integer(1) as i32, lua.check_integer(2) as i32);
            if lower > upper {
                lua.raise_argument(2, format_args!("interval is empty"));
            }
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            (fraction * f64::from(width)).floor() + f64::from(lower)
        }
        _ => lua.raise(format_args!("wrong number of arguments")),
    };
    lua.push_number(result);
    1
}
