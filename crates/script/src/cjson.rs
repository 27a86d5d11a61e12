//! The library `cjson`: values to JSON, and the settings of both directions. Reading is in `json_decode`.

use std::ffi::c_int;

use crate::{
    base::look_behind,
    bridge::{Kind, Lua, trim},
    json_decode::decode,
    number::format_general,
};

/// The settings of one instance of the library; they last as long as the Lua state.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth_max: i32,
    pub(crate) decode_depth_max: i32,
    encode_invalid_numbers: InvalidNumbers,
    pub(crate) decode_invalid_numbers: bool,
    encode_keep_buffer: bool,
    precision: i32,
}

/// What becomes of numbers that JSON lacks.
#[derive(Clone, Copy)]
enum InvalidNumbers {
    Refuse,
    Encode,
    Null,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid_numbers: InvalidNumbers::Refuse,
            decode_invalid_numbers: true,
            encode_keep_buffer: true,
            precision: 14,
        }
    }
}

/// Creates the library's table on top of the stack, with settings of its own.
pub(crate) fn open(lua: Lua<'_>) {
    lua.create_table(0, 16);
    lua.push_data(Config::default());
    add(lua, "encode", encode);
    add(lua, "decode", decode);
    add(lua, "encode_sparse_array", set_sparse_array);
    add(lua, "encode_max_depth", |lua| {
        start(lua, 1);
        integer_setting(lua, 1, 1, i32::MAX, &mut lua.upvalue_data::<Config>().encode_depth_max)
    });
    add(lua, "decode_max_depth", |lua| {
        start(lua, 1);
        integer_setting(lua, 1, 1, i32::MAX, &mut lua.upvalue_data::<Config>().decode_depth_max)
    });
    add(lua, "encode_number_precision", |lua| {
        start(lua, 1);
        integer_setting(lua, 1, 1, 14, &mut lua.upvalue_data::<Config>().precision)
    });
    add(lua, "encode_keep_buffer", |lua| {
        start(lua, 1);
        boolean_setting(lua, 1, &mut lua.upvalue_data::<Config>().encode_keep_buffer)
    });
    add(lua, "encode_invalid_numbers", set_encode_invalid_numbers);
    add(lua, "decode_invalid_numbers", |lua| {
        start(lua, 1);
        boolean_setting(lua, 1, &mut lua.upvalue_data::<Config>().decode_invalid_numbers)
    });
    lua.pop(1);
    lua.push_function(|lua| {
        open(lua);
        1
    });
    lua.set_field("new");
    lua.push_null();
    lua.set_field("null");
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        lua.push_bytes(text.as_bytes());
        lua.set_field(name);
    }
}

/// Adds a function to the table below the settings on top, and binds it to these.
fn add<F: Fn(Lua<'_>) -> c_int + Copy + 'static>(lua: Lua<'_>, name: &str, function: F) {
    lua.push_value(-2);
    lua.push_value(-2);
    lua.push_closure(function, 1);
    lua.set_field(name);
    lua.pop(1);
}

/// Refuses more than `args` arguments and fills up with nil.
fn start(lua: Lua<'_>, args: c_int) {
    if lua.top() > args {
        lua.raise_argument(args + 1, format_args!("found too many arguments"));
    }
    lua.set_top(args);
}

fn integer_setting(lua: Lua<'_>, arg: c_int, min: i32, max: i32, setting: &mut i32) -> c_int {
    if lua.kind(arg) != Kind::Nil {
        let value = lua.check_integer(arg) as i32;
        if !(min..=max).contains(&value) {
            // lua-cjson names the first argument, whichever it is.
            lua.raise_argument(1, format_args!("expected integer between {min} and {max}"));
        }
        *setting = value;
    }
    lua.push_number(f64::from(*setting));
    1
}

fn boolean_setting(lua: Lua<'_>, arg: c_int, setting: &mut bool) -> c_int {
    match lua.kind(arg) {
        Kind::Nil => {}
        Kind::Boolean => *setting = lua.boolean(arg),
        _ => *setting = lua.check_option(arg, &["off", "on"]) == 1,
    }
    lua.push_boolean(*setting);
    1
}

fn set_sparse_array(lua: Lua<'_>) -> c_int {
    start(lua, 3);
    let config = lua.upvalue_data::<Config>();
    boolean_setting(lua, 1, &mut config.sparse_convert);
    integer_setting(lua, 2, 0, i32::MAX, &mut config.sparse_ratio);
    integer_setting(lua, 3, 0, i32::MAX, &mut config.sparse_safe);
    3
}

fn set_encode_invalid_numbers(lua: Lua<'_>) -> c_int {
    start(lua, 1);
    let setting = &mut lua.upvalue_data::<Config>().encode_invalid_numbers;
    let choice = match lua.kind(1) {
        Kind::Nil => None,
        Kind::Boolean => Some(usize::from(lua.boolean(1))),
        _ => Some(lua.check_option(1, &["off", "on", "null"])),
    };
    match choice {
        None => {}
        Some(0) => *setting = InvalidNumbers::Refuse,
        Some(1) => *setting = InvalidNumbers::Encode,
        Some(_) => *setting = InvalidNumbers::Null,
    }
    match setting {
        InvalidNumbers::Refuse => lua.push_boolean(false),
        InvalidNumbers::Encode => lua.push_boolean(true),
        InvalidNumbers::Null => lua.push_bytes(b"null"),
    }
    1
}

fn encode(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 {
        lua.raise_argument(1, format_args!("expected 1 argument"));
    }
    let config = *lua.upvalue_data::<Config>();
    let out = lua.state().scratch.get();
    out.clear();
    encode_value(lua, &config, out, 0);
    lua.push_bytes(out);
    trim(out);
    1
}

fn refuse(lua: Lua<'_>, index: c_int, reason: &str) -> ! {
    lua.raise(format_args!("Cannot serialise {}: {reason}", lua.type_name(index)))
}

/// Writes the value on top.
fn encode_value(lua: Lua<'_>, config: &Config, out: &mut Vec<u8>, depth: i32) {
    lua.reserve(out, 0);
    match lua.kind(-1) {
        Kind::String => encode_string(lua, lua.bytes(-1).unwrap_or_default(), out),
        Kind::Number => encode_number(lua, config, -1, out),
        Kind::Boolean => out.extend_from_slice(if lua.boolean(-1) { b"true" } else { b"false" }),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::LightUserdata if lua.is_null(-1) => out.extend_from_slice(b"null"),
        Kind::Table => {
            let depth = depth + 1;
            if depth > config.encode_depth_max || !lua.check_stack(4) || lua.stack_is_low() {
                lua.raise(format_args!("Cannot serialise, excessive nesting ({depth})"));
            }
            match array_len(lua, config) {
                Some(len) if len > 0 => encode_array(lua, config, out, depth, len),
                Some(_) if look_behind(lua) => encode_object(lua, config, out, depth),
                _ => encode_object(lua, config, out, depth),
            }
        }
        _ => refuse(lua, -1, "type not supported"),
    }
}

/// The highest index of the table on top if all its keys are positive integers, and dense enough.
fn array_len(lua: Lua<'_>, config: &Config) -> Option<i32> {
    let (mut highest, mut items) = (0_i32, 0_i32);
    lua.push_nil();
    while lua.next(-2) {
        let key = if lua.kind(-2) == Kind::Number { lua.number(-2) } else { 0.0 };
        if !(key >= 1.0 && key.floor() == key) {
            lua.pop(2);
            return None;
        }
        // C casts what does not fit to the lowest integer, which then counts as no higher index.
        let index = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
        if key > f64::from(highest) {
            highest = index;
        }
        items += 1;
        lua.pop(1);
    }
    let is_sparse = config.sparse_ratio > 0
        && i64::from(highest) > i64::from(items) * i64::from(config.sparse_ratio)
        && highest > config.sparse_safe;
    if is_sparse {
        if !config.sparse_convert {
            refuse(lua, -1, "excessively sparse array");
        }
        return None;
    }
    Some(highest)
}

fn encode_array(lua: Lua<'_>, config: &Config, out: &mut Vec<u8>, depth: i32, len: i32) {
    out.push(b'[');
    for index in 1..=len {
        if index > 1 {
            out.push(b',');
        }
        lua.raw_get_index(-1, index);
        encode_value(lua, config, out, depth);
        lua.pop(1);
    }
    out.push(b']');
}

fn encode_object(lua: Lua<'_>, config: &Config, out: &mut Vec<u8>, depth: i32) {
    out.push(b'{');
    lua.push_nil();
    let mut is_first = true;
    while lua.next(-2) {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        match lua.kind(-2) {
            Kind::Number => {
                out.push(b'"');
                encode_number(lua, config, -2, out);
                out.extend_from_slice(b"\":");
            }
            Kind::String => {
                encode_string(lua, lua.bytes(-2).unwrap_or_default(), out);
                out.push(b':');
            }
            _ => refuse(lua, -2, "table key must be a number or string"),
        }
        encode_value(lua, config, out, depth);
        lua.pop(1);
    }
    out.push(b'}');
}

fn encode_number(lua: Lua<'_>, config: &Config, index: c_int, out: &mut Vec<u8>) {
    let value = lua.number(index);
    if value.is_finite() {
        return format_general(value, config.precision as usize, out);
    }
    match config.encode_invalid_numbers {
        InvalidNumbers::Refuse => refuse(lua, index, "must not be NaN or Inf"),
        InvalidNumbers::Null => out.extend_from_slice(b"null"),
        InvalidNumbers::Encode => out.extend_from_slice(match value {
            f64::INFINITY => b"inf",
            f64::NEG_INFINITY => b"-inf",
            _ => b"nan",
        }),
    }
}

fn encode_string(lua: Lua<'_>, text: &[u8], out: &mut Vec<u8>) {
    lua.reserve(out, text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(position) = rest.iter().position(|byte| needs_escape(*byte)) {
        out.extend_from_slice(&rest[..position]);
        escape(rest[position], out);
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'/' | b'\\' | 0x7f)
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'/' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
