//! What a script finds in a Lua state: exactly the globals of Redis, in tables that cannot be written.
//!
//! Lua 5.1 has no read-only tables. So a script sees an empty *proxy* for each: reading goes on to the table
//! behind it, writing raises. Functions that look at tables without metamethods know the proxies (`base`).

use crate::{
    base::{self, ORIGINALS, READ_ONLY},
    bit,
    bridge::{Kind, Library, Lua},
    cjson, cmsgpack, redis_api,
    state::Protected,
    strings, structs,
};

/// Globals of Lua's base library that Redis removes.
const REMOVED: [&str; 7] = ["dofile", "loadfile", "print", "newproxy", "getfenv", "setfenv", "module"];

/// Fills a new state.
pub(crate) fn open(lua: Lua<'_>, redis_version: &str) {
    for library in [Library::Base, Library::Table, Library::String, Library::Math, Library::Os] {
        lua.open(library);
    }
    lua.push_globals();
    keep_originals(lua);
    for name in REMOVED {
        lua.push_nil();
        lua.set_field(name);
    }
    base::replace_base(lua);
    within(lua, "table", base::replace_table);
    within(lua, "string", strings::replace);
    within(lua, "math", redis_api::replace_random);
    cjson::open(lua);
    lua.set_field("cjson");
    cmsgpack::open(lua);
    lua.set_field("cmsgpack");
    structs::open(lua);
    lua.set_field("struct");
    bit::open(lua);
    lua.set_field("bit");
    redis_api::open(lua, redis_version);
    lua.set_field("redis");
    reduce_os(lua);
    protect_all(lua);
}

/// Sets a global, such as `KEYS`, to the value on top, which it pops.
pub(crate) fn set_global(lua: Lua<'_>, name: &str) {
    lua.push_kept(lua.state().globals.get());
    lua.insert(-2);
    lua.set_field(name);
    lua.pop(1);
}

/// Runs `change` with the field `name` of the table on top pushed.
fn within(lua: Lua<'_>, name: &str, change: fn(Lua<'_>)) {
    lua.raw_get_field(-1, name);
    change(lua);
    lua.pop(1);
}

fn keep_originals(lua: Lua<'_>) {
    lua.raw_get_field(-1, "next");
    lua.state().next_function.set(lua.keep());
    for (library, name) in ORIGINALS {
        match library {
            "" => lua.push_value(-1),
            _ => _ = lua.raw_get_field(-1, library),
        }
        lua.raw_get_field(-1, name);
        let function = lua.raw_function(-1).expect("Lua's libraries are written in C");
        lua.state().originals.get().push(function);
        lua.pop(2);
    }
}

/// Of the library `os`, which is in the table of globals on top, leaves only the clock.
fn reduce_os(lua: Lua<'_>) {
    lua.create_table(0, 1);
    lua.raw_get_field(-2, "os");
    lua.raw_get_field(-1, "clock");
    lua.remove(-2);
    lua.set_field("clock");
    lua.set_field("os");
}

/// Replaces the table of globals on top, and the tables in it, by proxies; pops it.
fn protect_all(lua: Lua<'_>) {
    for name in ["table", "string", "math", "coroutine", "cjson", "cmsgpack", "struct", "bit", "redis", "os"]
    {
        if lua.raw_get_field(-1, name) == Kind::Table {
            protect(lua, None);
            lua.set_field(name);
        } else {
            lua.pop(1);
        }
    }
    protect_string_metatable(lua);

    // The metatable that raises for unknown globals; scripts see a proxy of it.
    lua.create_table(0, 1);
    lua.push_function(|lua| match lua.bytes(2) {
        Some(name) => {
            let name = sessile_resp::c_text(name);
            lua.raise_parts(&[b"Script attempted to access nonexistent global variable '", name, b"'"])
        }
        None => {
            lua.raise(format_args!("Second argument to luaProtectedTableError must be a string or number"))
        }
    });
    lua.set_field("__index");
    lua.push_value(-1);
    lua.insert(-3);
    lua.set_metatable(-2);
    lua.insert(-2);
    protect(lua, None);
    let metatable = lua.keep();

    lua.push_value(-1);
    lua.state().globals.set(lua.keep());
    protect(lua, Some(metatable));
    lua.push_kept(lua.state().globals.get());
    lua.push_value(-2);
    lua.set_field("_G");
    lua.pop(1);
    lua.set_globals();
}

/// Has `getmetatable("")` give a read-only copy whose `__index` is the proxy of `string`.
fn protect_string_metatable(lua: Lua<'_>) {
    lua.create_table(0, 1);
    lua.raw_get_field(-2, "string");
    lua.set_field("__index");
    protect(lua, None);
    lua.state().string_metatable.set(lua.keep());
}

/// Replaces the table on top by a proxy.
fn protect(lua: Lua<'_>, metatable: Option<i32>) {
    lua.create_table(0, 0);
    lua.create_table(0, 2);
    lua.push_value(-3);
    lua.set_field("__index");
    lua.push_function(|lua| lua.raise(format_args!("{READ_ONLY}")));
    lua.set_field("__newindex");
    lua.set_metatable(-2);
    let proxy = lua.pointer(-1);
    lua.insert(-2);
    let real = lua.keep();
    lua.state().protected.get().push(Protected { proxy, real, metatable });
}
