//! The library `bit`: operations on 32-bit integers.

use std::ffi::c_int;

use crate::bridge::{Kind, Lua};

/// Creates the library's table on top of the stack.
pub(crate) fn open(lua: Lua<'_>) {
    lua.create_table(0, 12);
    lua.push_function(|lua| give(lua, argument(lua, 1)));
    lua.set_field("tobit");
    lua.push_function(|lua| give(lua, !argument(lua, 1)));
    lua.set_field("bnot");
    lua.push_function(|lua| fold(lua, |left, right| left & right));
    lua.set_field("band");
    lua.push_function(|lua| fold(lua, |left, right| left | right));
    lua.set_field("bor");
    lua.push_function(|lua| fold(lua, |left, right| left ^ right));
    lua.set_field("bxor");
    lua.push_function(|lua| shift(lua, |value, by| value << by));
    lua.set_field("lshift");
    lua.push_function(|lua| shift(lua, |value, by| value >> by));
    lua.set_field("rshift");
    lua.push_function(|lua| shift(lua, |value, by| (value.cast_signed() >> by).cast_unsigned()));
    lua.set_field("arshift");
    lua.push_function(|lua| shift(lua, u32::rotate_left));
    lua.set_field("rol");
    lua.push_function(|lua| shift(lua, u32::rotate_right));
    lua.set_field("ror");
    lua.push_function(|lua| give(lua, argument(lua, 1).swap_bytes()));
    lua.set_field("bswap");
    lua.push_function(to_hex);
    lua.set_field("tohex");
}

/// The low 32 bits of the argument, rounded to the nearest even integer.
fn argument(lua: Lua<'_>, arg: c_int) -> u32 {
    /// 2^52 + 2^51: adding it leaves the integer in the low bits of the double.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let bits = (lua.number(arg) + MAGIC).to_bits() as u32;
    if bits == 0 && !lua.is_number(arg) {
        // `lua_tonumber` gives 0 for what is no number.
        lua.check_number(arg);
    }
    bits
}

fn give(lua: Lua<'_>, bits: u32) -> c_int {
    lua.push_number(f64::from(bits.cast_signed()));
    1
}

fn fold(lua: Lua<'_>, combine: fn(u32, u32) -> u32) -> c_int {
    let mut bits = argument(lua, 1);
    for arg in (2..=lua.top()).rev() {
        bits = combine(bits, argument(lua, arg));
    }
    give(lua, bits)
}

fn shift(lua: Lua<'_>, by: fn(u32, u32) -> u32) -> c_int {
    let bits = argument(lua, 1);
    let count = argument(lua, 2) & 31;
    give(lua, by(bits, count))
}

fn to_hex(lua: Lua<'_>) -> c_int {
    let bits = argument(lua, 1);
    let len = if lua.kind(2) == Kind::None { 8 } else { argument(lua, 2).cast_signed() };
    let digits = if len < 0 { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let len = len.unsigned_abs().min(8) as usize;
    let mut text = [0; 8];
    for (index, place) in text[..len].iter_mut().rev().enumerate() {
        *place = digits[(bits >> (4 * index)) as usize & 15];
    }
    lua.push_bytes(&text[..len]);
    1
}
