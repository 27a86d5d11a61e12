//! Functions of Lua's own libraries that scripts get another form of: `pcall` as Redis has it, loading without
//! precompiled code, and guards around what writes tables raw.

use std::ffi::c_int;

use crate::bridge::{Kind, Lua, OUT_OF_MEMORY};

/// What scripts get for writing to a table that is not theirs.
pub(crate) const READ_ONLY: &str = "Attempt to modify a readonly table";

/// What a step of the collector's goes over, about.
const COLLECTED_A_STEP_BYTES: usize = 32;

/// Elements that Lua sorts by itself, without asking whether to go on: its method is quadratic at worst.
const SORTED_ALONE: usize = 4096;

/// Functions that a guard runs in the end; each is an index into the state's originals.
#[derive(Clone, Copy)]
pub(crate) enum Original {
    RawGet,
    RawSet,
    Next,
    SetMetatable,
    GetMetatable,
    CollectGarbage,
    Unpack,
    Insert,
    ForEach,
    Remove,
    MaxN,
    Sort,
}

/// Every original with the library that it is in and its name there, in the order of the enum.
pub(crate) const ORIGINALS: [(&str, &str); 12] = [
    ("", "rawget"),
    ("", "rawset"),
    ("", "next"),
    ("", "setmetatable"),
    ("", "getmetatable"),
    ("", "collectgarbage"),
    ("", "unpack"),
    ("table", "insert"),
    ("table", "foreach"),
    ("table", "remove"),
    ("table", "maxn"),
    ("table", "sort"),
];

/// Puts the guards into the table of globals on top.
pub(crate) fn replace_base(lua: Lua<'_>) {
    lua.push_function(protected_call);
    lua.set_field("pcall");
    lua.push_function(|lua| finish_load(lua, lua.load_string(1)));
    lua.set_field("loadstring");
    lua.push_function(|lua| finish_load(lua, lua.load_function()));
    lua.set_field("load");
    lua.push_function(|lua| on_real(lua, Original::RawGet));
    lua.set_field("rawget");
    lua.push_function(|lua| unless_protected(lua, Original::RawSet));
    lua.set_field("rawset");
    lua.push_function(|lua| on_real(lua, Original::Next));
    lua.set_field("next");
    lua.push_function(pairs);
    lua.set_field("pairs");
    lua.push_function(|lua| unless_protected(lua, Original::SetMetatable));
    lua.set_field("setmetatable");
    lua.push_function(get_metatable);
    lua.set_field("getmetatable");
    lua.push_function(|lua| {
        lua.state().collector_touched.set(true);
        lua.spend(lua.state().memory.used.get() / COLLECTED_A_STEP_BYTES);
        original(lua, Original::CollectGarbage)
    });
    lua.set_field("collectgarbage");
    lua.push_function(unpack);
    lua.set_field("unpack");
    lua.push_function(error_handler);
    lua.push_value(-1);
    lua.state().error_handler.set(lua.keep());
    lua.set_field("__redis__err__handler");
}

/// Puts the guards into the table `table` on top.
pub(crate) fn replace_table(lua: Lua<'_>) {
    lua.push_function(|lua| {
        // Two arguments add at the end, which moves nothing.
        if lua.top() > 2 {
            lua.spend(lua.table_len(1));
        }
        unless_protected(lua, Original::Insert)
    });
    lua.set_field("insert");
    lua.push_function(|lua| {
        if lua.top() > 1 {
            lua.spend(lua.table_len(1));
        }
        original(lua, Original::Remove)
    });
    lua.set_field("remove");
    lua.push_function(|lua| {
        lua.spend(lua.table_len(1));
        original(lua, Original::MaxN)
    });
    lua.set_field("maxn");
    lua.push_function(sort);
    lua.set_field("sort");
    lua.push_function(|lua| on_real(lua, Original::ForEach));
    lua.set_field("foreach");
}

/// Gives what an error reply needs: a table with the text, the source and the line of what raised it.
fn error_handler(lua: Lua<'_>) -> c_int {
    lua.set_top(1);
    if lua.kind(1) != Kind::Table {
        push_text(lua, 1);
        let text = lua.bytes(-1).unwrap_or_default();
        let message = lua.state().message.get();
        message.clear();
        message.extend_from_slice(b"ERR ");
        message.extend_from_slice(text);
        crate::convert::push_error(lua, message);
        lua.replace(1);
        lua.set_top(1);
    }
    if protected(lua, 1).is_none()
        && let Some(line) = lua.push_position(1)
    {
        lua.push_value(1);
        lua.insert(-2);
        lua.set_field("source");
        lua.push_number(f64::from(line));
        lua.set_field("line");
        lua.set_top(1);
    }
    1
}

/// Pushes the value at `index` as a text: what the handler of Redis gets from `tostring`.
fn push_text(lua: Lua<'_>, index: c_int) {
    match lua.kind(index) {
        Kind::Nil | Kind::None => lua.push_bytes(b"nil"),
        Kind::Boolean => lua.push_bytes(if lua.boolean(index) { b"true" } else { b"false" }),
        Kind::String | Kind::Number => {
            lua.push_value(index);
            lua.bytes(-1);
        }
        _ => {
            let message = lua.state().message.get();
            message.clear();
            message.extend_from_slice(lua.type_name(index).as_bytes());
            lua.push_bytes(message);
        }
    }
}

fn original(lua: Lua<'_>, which: Original) -> c_int {
    let function = lua.state().originals.get()[which as usize];
    lua.tail_call(function)
}

/// The position of the value among the protected tables.
fn protected(lua: Lua<'_>, index: c_int) -> Option<usize> {
    if lua.kind(index) != Kind::Table {
        return None;
    }
    let pointer = lua.pointer(index);
    lua.state().protected.get().iter().position(|table| table.proxy == pointer)
}

/// Replaces a proxy on top by the table behind it, for libraries that read tables raw.
pub(crate) fn look_behind(lua: Lua<'_>) -> bool {
    let Some(position) = protected(lua, -1) else { return false };
    lua.push_kept(lua.state().protected.get()[position].real);
    lua.replace(-2);
    true
}

fn unless_protected(lua: Lua<'_>, which: Original) -> c_int {
    if protected(lua, 1).is_some() {
        lua.raise_plain(READ_ONLY);
    }
    original(lua, which)
}

/// Runs a function that only reads its first argument on the table behind a proxy.
fn on_real(lua: Lua<'_>, which: Original) -> c_int {
    if let Some(position) = protected(lua, 1) {
        lua.push_kept(lua.state().protected.get()[position].real);
        lua.replace(1);
    }
    original(lua, which)
}

fn pairs(lua: Lua<'_>) -> c_int {
    lua.check_table(1);
    if protected(lua, 1).is_some() {
        lua.push_function(|lua| on_real(lua, Original::Next));
    } else {
        lua.push_kept(lua.state().next_function.get());
    }
    lua.push_value(1);
    lua.push_nil();
    3
}

fn get_metatable(lua: Lua<'_>) -> c_int {
    let tables = lua.state().protected.get();
    let metatable = match (protected(lua, 1), lua.kind(1)) {
        (Some(position), _) => tables[position].metatable,
        (None, Kind::String) => Some(lua.state().string_metatable.get()),
        (None, _) => return original(lua, Original::GetMetatable),
    };
    match metatable {
        Some(kept) => lua.push_kept(kept),
        None => lua.push_nil(),
    }
    1
}

/// `table.sort`. A comparison of ours lets a long one be interrupted; one of the script's does it already.
fn sort(lua: Lua<'_>) -> c_int {
    if lua.table_len(1) > SORTED_ALONE && matches!(lua.kind(2), Kind::None | Kind::Nil) {
        lua.set_top(1);
        lua.push_function(|lua| {
            let text_len = |index| {
                if lua.kind(index) == Kind::String { lua.bytes(index).map_or(0, <[u8]>::len) } else { 0 }
            };
            lua.spend(2 + text_len(1).min(text_len(2)) / 64);
            lua.push_boolean(lua.is_less(1, 2));
            1
        });
    }
    original(lua, Original::Sort)
}

/// Lua counts the results in an `int`, which a range near its limits overflows.
fn unpack(lua: Lua<'_>) -> c_int {
    lua.check_table(1);
    let first = lua.optional_integer(2, 1) as i32;
    if !matches!(lua.kind(3), Kind::None | Kind::Nil) {
        let last = lua.check_integer(3) as i32;
        if i64::from(last) - i64::from(first) >= i64::from(i32::MAX) {
            lua.raise(format_args!("too many results to unpack"));
        }
    } else if first < 0 && first.checked_neg().is_none_or(|below| below > i32::MAX / 2) {
        lua.raise(format_args!("too many results to unpack"));
    }
    original(lua, Original::Unpack)
}

/// Calls with errors caught. A table with a text in `err` is shown as that text, for scripts older than Redis 7.
fn protected_call(lua: Lua<'_>) -> c_int {
    lua.check_any(1);
    lua.push_boolean(true);
    lua.insert(1);
    let status = lua.protected_call(lua.top() - 2, -1, 0);
    if status == 0 {
        return lua.top();
    }
    if lua.state().killed.get() {
        lua.raise_top();
    }
    if status == OUT_OF_MEMORY {
        lua.collect_all();
    }
    lua.remove(1);
    if lua.kind(-1) == Kind::Table {
        if matches!(lua.raw_get_field(-1, "err"), Kind::String | Kind::Number) {
            lua.replace(-2);
        } else {
            lua.pop(1);
        }
    }
    lua.push_boolean(false);
    lua.insert(1);
    lua.top()
}

/// The function, or nil and why there is none.
fn finish_load(lua: Lua<'_>, status: c_int) -> c_int {
    if status == 0 {
        return 1;
    }
    lua.push_nil();
    lua.insert(-2);
    2
}
