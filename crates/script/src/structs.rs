//! The library `struct`: values to and from bytes by a format such as `>I2c0`.

use std::ffi::c_int;

use crate::{
    bridge::Lua,
    bridge::trim,
    number::{to_i64, to_u64},
};

/// The largest integer, in bytes.
const INTEGER_MAX_BYTES: usize = 32;
/// What `!` without a number aligns to, in bytes.
const NATIVE_ALIGNMENT: usize = 8;

/// A format that is being read.
struct Format<'a> {
    rest: &'a [u8],
    is_big_endian: bool,
    alignment: usize,
}

/// Creates the library's table on top of the stack.
pub(crate) fn open(lua: Lua<'_>) {
    lua.create_table(0, 3);
    lua.push_function(pack);
    lua.set_field("pack");
    lua.push_function(unpack);
    lua.set_field("unpack");
    lua.push_function(size);
    lua.set_field("size");
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Self { rest: &text[..end], is_big_endian: cfg!(target_endian = "big"), alignment: 1 }
    }

    /// The next option and its size in bytes.
    fn option(&mut self, lua: Lua<'_>) -> Option<(u8, usize)> {
        let (option, rest) = self.rest.split_first()?;
        self.rest = rest;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(lua, 1),
            b'i' | b'I' => {
                let size = self.number(lua, 4);
                if size > INTEGER_MAX_BYTES {
                    lua.raise(format_args!(
                        "integral size {size} is larger than limit of {INTEGER_MAX_BYTES}"
                    ));
                }
                size
            }
            _ => 0,
        };
        Some((*option, size))
    }

    fn number(&mut self, lua: Lua<'_>, default: usize) -> usize {
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return default;
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        let mut value = 0_i32;
        for digit in digits {
            match value.checked_mul(10).and_then(|value| value.checked_add(i32::from(digit - b'0'))) {
                Some(sum) => value = sum,
                None => lua.raise(format_args!("integral size overflow")),
            }
        }
        value as usize
    }

    /// Bytes of padding before an option at `position`.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        (size - (position & (size - 1))) & (size - 1)
    }

    fn control(&mut self, lua: Lua<'_>, option: u8) {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(lua, NATIVE_ALIGNMENT);
                if !alignment.is_power_of_two() {
                    lua.raise(format_args!("alignment {alignment} is not a power of 2"));
                }
                self.alignment = alignment;
            }
            _ => lua.raise_argument(1, format_args!("invalid format option '{}'", option as char)),
        }
    }
}

fn pack(lua: Lua<'_>) -> c_int {
    let mut format = Format::new(lua.check_bytes(1));
    let out = lua.state().scratch.get();
    out.clear();
    // Redis keeps a mark above the arguments, which the first one that is missing is found to be.
    lua.push_nil();
    let mut arg = 2;
    while let Some((option, size)) = format.option(lua) {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = lua.check_number(arg);
                arg += 1;
                put_integer(value, size, format.is_big_endian, out);
            }
            b'x' => out.push(0),
            b'f' => {
                let value = lua.check_number(arg) as f32;
                arg += 1;
                out.extend_from_slice(&if format.is_big_endian {
                    value.to_be_bytes()
                } else {
                    value.to_le_bytes()
                });
            }
            b'd' => {
                let value = lua.check_number(arg);
                arg += 1;
                out.extend_from_slice(&if format.is_big_endian {
                    value.to_be_bytes()
                } else {
                    value.to_le_bytes()
                });
            }
            b'c' | b's' => {
                let text = lua.check_bytes(arg);
                arg += 1;
                let len = if size == 0 { text.len() } else { size };
                if text.len() < len {
                    lua.raise_argument(arg, format_args!("string too short"));
                }
                lua.reserve(out, len + 1);
                out.extend_from_slice(&text[..len]);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => format.control(lua, option),
        }
    }
    lua.push_bytes(out);
    trim(out);
    1
}

fn put_integer(value: f64, size: usize, is_big_endian: bool, out: &mut Vec<u8>) {
    let bits = if value < 0.0 { to_i64(value).cast_unsigned() } else { to_u64(value) };
    let start = out.len();
    out.extend((0..size).map(|index| if index < 8 { (bits >> (8 * index)) as u8 } else { 0 }));
    if is_big_endian {
        out[start..].reverse();
    }
}

fn unpack(lua: Lua<'_>) -> c_int {
    let mut format = Format::new(lua.check_bytes(1));
    let data = lua.check_bytes(2);
    let position = lua.optional_integer(3, 1);
    if position == 0 {
        lua.raise_argument(3, format_args!("offset must be 1 or greater"));
    }
    // A negative offset is beyond any string.
    let mut position = usize::try_from(position).unwrap_or(usize::MAX) - 1;
    let mut results = 0;
    lua.set_top(2);
    while let Some((option, size)) = format.option(lua) {
        position = position.saturating_add(format.padding(position, option, size));
        let require = |position: usize, size: usize| match data.get(position..position.saturating_add(size)) {
            Some(bytes) => bytes,
            None => lua.raise_argument(2, format_args!("data string too short")),
        };
        let mut size = size;
        let bytes = require(position, size);
        lua.require_stack(2, "too many results");
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                lua.push_number(get_integer(bytes, format.is_big_endian, option.is_ascii_lowercase()));
                results += 1;
            }
            b'x' => {}
            b'f' => {
                let bytes = bytes.try_into().unwrap_or_default();
                let value =
                    if format.is_big_endian { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) };
                lua.push_number(value.into());
                results += 1;
            }
            b'd' => {
                let bytes = bytes.try_into().unwrap_or_default();
                lua.push_number(if format.is_big_endian {
                    f64::from_be_bytes(bytes)
                } else {
                    f64::from_le_bytes(bytes)
                });
                results += 1;
            }
            b'c' => {
                let mut bytes = bytes;
                if size == 0 {
                    if results == 0 || !lua.is_number(-1) {
                        lua.raise(format_args!("format 'c0' needs a previous size"));
                    }
                    size = usize::try_from(to_i64(lua.number(-1))).unwrap_or(usize::MAX);
                    lua.pop(1);
                    results -= 1;
                    bytes = require(position, size);
                }
                lua.push_bytes(bytes);
                results += 1;
            }
            b's' => {
                let rest = data.get(position..).unwrap_or_default();
                let Some(len) = rest.iter().position(|byte| *byte == 0) else {
                    lua.raise(format_args!("unfinished string in data"));
                };
                size = len + 1;
                lua.push_bytes(&rest[..len]);
                results += 1;
            }
            _ => format.control(lua, option),
        }
        position += size;
    }
    lua.push_number((position + 1) as f64);
    results + 1
}

fn get_integer(bytes: &[u8], is_big_endian: bool, is_signed: bool) -> f64 {
    let byte = |index: usize| if is_big_endian { bytes[index] } else { bytes[bytes.len() - 1 - index] };
    let bits = (0..bytes.len()).fold(0_u64, |bits, index| (bits << 8) | u64::from(byte(index)));
    if !is_signed {
        return bits as f64;
    }
    if bytes.is_empty() {
        return 0.0;
    }
    let unused = 64 - 8 * bytes.len().min(8) as u32;
    ((bits << unused).cast_signed() >> unused) as f64
}

fn size(lua: Lua<'_>) -> c_int {
    let mut format = Format::new(lua.check_bytes(1));
    let mut position = 0_usize;
    while let Some((option, size)) = format.option(lua) {
        position += format.padding(position, option, size);
        match (option, size) {
            (b's', _) => lua.raise_argument(1, format_args!("option 's' has no fixed size")),
            (b'c', 0) => lua.raise_argument(1, format_args!("option 'c0' has no fixed size")),
            _ => {}
        }
        if !option.is_ascii_alphanumeric() {
            format.control(lua, option);
        }
        position += size;
    }
    lua.push_number(position as f64);
    1
}
