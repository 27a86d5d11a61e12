//! The library `cmsgpack`: values to and from MessagePack.

use std::ffi::c_int;

use crate::{
    base::look_behind,
    bridge::trim,
    bridge::{Kind, Lua},
};

/// Tables nested deeper than this are packed as nil.
const NESTING_MAX: usize = 16;

/// Bytes that are being unpacked.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// Why bytes cannot be unpacked.
enum Fault {
    End,
    Format,
}

/// Creates the library's table on top of the stack.
pub(crate) fn open(lua: Lua<'_>) {
    lua.create_table(0, 8);
    lua.push_function(pack);
    lua.set_field("pack");
    lua.push_function(|lua| unpack_from(lua, 0, 0));
    lua.set_field("unpack");
    lua.push_function(|lua| {
        let offset = lua.optional_integer(2, 0);
        lua.set_top(1);
        unpack_from(lua, 1, offset as i32)
    });
    lua.set_field("unpack_one");
    lua.push_function(|lua| {
        let limit = lua.check_integer(2);
        let offset = lua.optional_integer(3, 0);
        lua.set_top(1);
        unpack_from(lua, limit as i32, offset as i32)
    });
    lua.set_field("unpack_limit");
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        lua.push_bytes(text.as_bytes());
        lua.set_field(name);
    }
}

fn pack(lua: Lua<'_>) -> c_int {
    let count = lua.top();
    if count == 0 {
        lua.raise_argument(0, format_args!("MessagePack pack needs input."));
    }
    if !lua.check_stack(count) {
        lua.raise_argument(0, format_args!("Too many arguments for MessagePack pack."));
    }
    let out = lua.state().scratch.get();
    out.clear();
    for arg in 1..=count {
        lua.require_stack(1, "in function mp_check");
        lua.push_value(arg);
        encode(lua, out, 0);
    }
    lua.push_bytes(out);
    trim(out);
    1
}

/// Packs the value on top and pops it.
fn encode(lua: Lua<'_>, out: &mut Vec<u8>, level: usize) {
    lua.reserve(out, 0);
    match lua.kind(-1) {
        Kind::String => encode_string(lua, lua.bytes(-1).unwrap_or_default(), out),
        Kind::Boolean => out.push(if lua.boolean(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => encode_number(lua.number(-1), out),
        Kind::Table if level < NESTING_MAX => encode_table(lua, out, level),
        _ => out.push(0xc0),
    }
    lua.pop(1);
}

fn encode_string(lua: Lua<'_>, bytes: &[u8], out: &mut Vec<u8>) {
    lua.reserve(out, bytes.len() + 5);
    match bytes.len() {
        len @ ..32 => out.push(0xa0 | len as u8),
        len @ ..0x100 => out.extend_from_slice(&[0xd9, len as u8]),
        len => encode_len(len, 0xda, out),
    }
    out.extend_from_slice(bytes);
}

/// A length of two bytes after `code`, or of four after the code that follows.
fn encode_len(len: usize, code: u8, out: &mut Vec<u8>) {
    if len <= 0xffff {
        out.push(code);
        out.extend_from_slice(&(len as u16).to_be_bytes());
    } else {
        out.push(code + 1);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

fn encode_number(value: f64, out: &mut Vec<u8>) {
    const I64_LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.trunc() == value && (-I64_LIMIT..I64_LIMIT).contains(&value) {
        return encode_integer(value as i64, out);
    }
    let narrow = value as f32;
    if f64::from(narrow) == value {
        out.push(0xca);
        out.extend_from_slice(&narrow.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn encode_integer(value: i64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let (code, len) = match value {
        -32..=127 => return out.push(value as u8),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(code);
    out.extend_from_slice(&bytes[8 - len..]);
}

fn encode_table(lua: Lua<'_>, out: &mut Vec<u8>, level: usize) {
    lua.require_stack(4, "in function mp_encode_lua_table");
    let (mut entries, mut is_array) = survey(lua);
    if entries == 0 && look_behind(lua) {
        (entries, is_array) = survey(lua);
    }
    if is_array {
        match entries {
            ..16 => out.push(0x90 | entries as u8),
            _ => encode_len(entries, 0xdc, out),
        }
        for index in 1..=entries {
            lua.raw_get_index(-1, index as c_int);
            encode(lua, out, level + 1);
        }
        return;
    }
    match entries {
        ..16 => out.push(0x80 | entries as u8),
        _ => encode_len(entries, 0xde, out),
    }
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        encode(lua, out, level + 1);
        encode(lua, out, level + 1);
    }
}

/// How many entries the table on top has, and whether their keys are exactly 1 to that.
fn survey(lua: Lua<'_>) -> (usize, bool) {
    let (mut entries, mut highest, mut is_array) = (0_usize, 0.0_f64, true);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        entries += 1;
        let key = if lua.kind(-1) == Kind::Number { lua.number(-1) } else { 0.0 };
        is_array &= key > 0.0 && key <= f64::from(i32::MAX) && key.trunc() == key;
        highest = highest.max(key);
    }
    (entries, is_array && highest == entries as f64)
}

/// Unpacks at most `limit` values from `offset` on, and returns the next offset before them; with 0 for both it
/// unpacks all and returns no offset.
fn unpack_from(lua: Lua<'_>, limit: i32, offset: i32) -> c_int {
    let data = lua.check_bytes(1);
    if offset < 0 || limit < 0 {
        let len = data.len();
        lua.raise(format_args!("Invalid request to unpack with offset of {offset} and limit of {len}."));
    }
    if offset as usize > data.len() {
        lua.raise(format_args!("Start offset {offset} greater than input length {}.", data.len()));
    }
    let decodes_all = limit == 0 && offset == 0;
    let limit = if decodes_all { i32::MAX } else { limit };
    let mut cursor = Cursor { rest: &data[offset as usize..] };
    let mut count = 0;
    while !cursor.rest.is_empty() && count < limit {
        match decode(lua, &mut cursor) {
            Ok(()) => {}
            Err(Fault::End) => lua.raise(format_args!("Missing bytes in input.")),
            Err(Fault::Format) => lua.raise(format_args!("Bad data format in input.")),
        }
        count += 1;
    }
    if decodes_all {
        return count;
    }
    lua.require_stack(1, "in function mp_unpack_full");
    let next = data.len() - cursor.rest.len();
    lua.push_number(if cursor.rest.is_empty() { -1.0 } else { next as f64 });
    lua.insert(2);
    count + 1
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Fault::End)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const LEN: usize>(&mut self) -> Result<[u8; LEN], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn len16(&mut self) -> Result<usize, Fault> {
        Ok(u16::from_be_bytes(self.fixed()?).into())
    }

    fn len32(&mut self) -> Result<usize, Fault> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }
}

/// Pushes the next value.
fn decode(lua: Lua<'_>, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    lua.spend(1);
    lua.require_stack(1, "too many return values at once; use unpack_one or unpack_limit instead.");
    let [code] = cursor.fixed()?;
    match code {
        0x00..=0x7f => lua.push_number(code.into()),
        0x80..=0x8f => return decode_map(lua, cursor, usize::from(code & 0xf)),
        0x90..=0x9f => return decode_array(lua, cursor, usize::from(code & 0xf)),
        0xa0..=0xbf => lua.push_bytes(cursor.take(usize::from(code & 0x1f))?),
        0xc0 => lua.push_nil(),
        0xc2 | 0xc3 => lua.push_boolean(code == 0xc3),
        0xca => lua.push_number(f32::from_be_bytes(cursor.fixed()?).into()),
        0xcb => lua.push_number(f64::from_be_bytes(cursor.fixed()?)),
        0xcc => lua.push_number(u8::from_be_bytes(cursor.fixed()?).into()),
        0xcd => lua.push_number(u16::from_be_bytes(cursor.fixed()?).into()),
        0xce => lua.push_number(u32::from_be_bytes(cursor.fixed()?).into()),
        // Redis pushes it as a signed integer, so the upper half comes out negative.
        0xcf | 0xd3 => lua.push_number(i64::from_be_bytes(cursor.fixed()?) as f64),
        0xd0 => lua.push_number(i8::from_be_bytes(cursor.fixed()?).into()),
        0xd1 => lua.push_number(i16::from_be_bytes(cursor.fixed()?).into()),
        0xd2 => lua.push_number(i32::from_be_bytes(cursor.fixed()?).into()),
        0xd9 => {
            let [len] = cursor.fixed()?;
            lua.push_bytes(cursor.take(len.into())?);
        }
        0xda => {
            let len = cursor.len16()?;
            lua.push_bytes(cursor.take(len)?);
        }
        0xdb => {
            let len = cursor.len32()?;
            lua.push_bytes(cursor.take(len)?);
        }
        0xdc => {
            let len = cursor.len16()?;
            return decode_array(lua, cursor, len);
        }
        0xdd => {
            let len = cursor.len32()?;
            return decode_array(lua, cursor, len);
        }
        0xde => {
            let len = cursor.len16()?;
            return decode_map(lua, cursor, len);
        }
        0xdf => {
            let len = cursor.len32()?;
            return decode_map(lua, cursor, len);
        }
        0xe0..=0xff => lua.push_number(code.cast_signed().into()),
        0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => return Err(Fault::Format),
    }
    Ok(())
}

fn decode_array(lua: Lua<'_>, cursor: &mut Cursor<'_>, len: usize) -> Result<(), Fault> {
    lua.create_table(0, 0);
    lua.require_stack(3, "in function mp_decode_to_lua_array");
    for index in 1..=len {
        decode(lua, cursor)?;
        lua.raw_set_index(-2, index as c_int);
    }
    Ok(())
}

fn decode_map(lua: Lua<'_>, cursor: &mut Cursor<'_>, len: usize) -> Result<(), Fault> {
    lua.create_table(0, 0);
    lua.require_stack(3, "in function mp_decode_to_lua_hash");
    for _ in 0..len {
        decode(lua, cursor)?;
        decode(lua, cursor)?;
        lua.raw_set(-3);
    }
    Ok(())
}
