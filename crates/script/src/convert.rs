//! Replies of commands to Lua values, and values of scripts to replies.

use sessile_resp::{Proto, Reply, c_text, parse_i64};

use crate::{
    bridge::{Kind, Lua},
    number::{parse_prefix, to_i64},
};

/// Pushes the value of a reply that the host wrote. It is trusted; what it lacks reads as nothing.
pub(crate) fn push_reply(lua: Lua<'_>, reply: &[u8]) {
    Decoder { lua, rest: reply }.value();
}

/// Pushes `{err = text}`, with a text that begins with an error code.
pub(crate) fn push_error(lua: Lua<'_>, text: &[u8]) {
    lua.create_table(0, 4);
    lua.push_bytes(text);
    lua.set_field("err");
}

/// Pushes an error of a host's reply, without its sigil: marked as counted already.
pub(crate) fn push_command_error(lua: Lua<'_>, line: &[u8]) {
    push_coded_error(lua, line);
    lua.push_boolean(true);
    lua.set_field("ignore_error_stats_update");
}

/// Pushes `{err = line}`, with the code `ERR` in front if the line has one word only.
pub(crate) fn push_coded_error(lua: Lua<'_>, line: &[u8]) {
    let line = trim_line_ends(line);
    if line.contains(&b' ') {
        return push_error(lua, line);
    }
    let message = lua.state().message.get();
    message.clear();
    message.extend_from_slice(b"ERR ");
    message.extend_from_slice(line);
    push_error(lua, message);
}

pub(crate) fn trim_line_ends(text: &[u8]) -> &[u8] {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let end = text.iter().rposition(|byte| !is_line_end(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

struct Decoder<'a> {
    lua: Lua<'a>,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| *byte == b'\r').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bulk(&mut self, len: usize) -> &'a [u8] {
        let bulk = self.rest.get(..len).unwrap_or_default();
        self.rest = self.rest.get(len + 2..).unwrap_or_default();
        bulk
    }

    fn value(&mut self) {
        let lua = self.lua;
        if !lua.check_stack(6) || lua.stack_is_low() {
            lua.raise(format_args!("stack overflow (lua stack limit reach when parsing redis.call reply)"));
        }
        let line = self.line();
        let Some((sigil, text)) = line.split_first() else { return lua.push_nil() };
        let number = || parse_i64(text).unwrap_or(0);
        match sigil {
            b'$' | b'*' if text == b"-1" => lua.push_boolean(false),
            b'$' => {
                let bulk = self.bulk(number() as usize);
                lua.push_bytes(bulk);
            }
            b':' => lua.push_number(number() as f64),
            b'+' => self.single("ok", |lua| lua.push_bytes(text)),
            b'-' => push_command_error(lua, text),
            b'*' | b'>' => self.array(number()),
            b'_' => lua.push_nil(),
            b'#' => lua.push_boolean(text == b"t"),
            b',' => {
                self.single("double", |lua| lua.push_number(parse_prefix(text).map_or(0.0, |found| found.0)));
            }
            b'(' => self.single("big_number", |lua| lua.push_bytes(text)),
            b'=' => self.verbatim(number() as usize),
            b'%' => self.map(number()),
            b'~' => self.set(number()),
            b'|' => {
                // Attributes are not shown to scripts: read them and drop what they pushed.
                for _ in 0..number() * 2 {
                    self.value();
                    lua.pop(1);
                }
                self.value();
            }
            _ => lua.push_nil(),
        }
    }

    /// A table with one field.
    fn single(&self, name: &str, push: impl FnOnce(Lua<'a>)) {
        self.lua.create_table(0, 1);
        push(self.lua);
        self.lua.set_field(name);
    }

    fn array(&mut self, len: i64) {
        self.lua.create_table(len as usize, 0);
        for index in 1..=len {
            self.value();
            self.lua.raw_set_index(-2, index as i32);
        }
    }

    fn map(&mut self, len: i64) {
        self.lua.create_table(0, 1);
        // It grows as in Redis: the size that a table is made with decides in which order scripts see its keys.
        self.lua.create_table(0, 0);
        for _ in 0..len {
            self.value();
            self.value();
            self.lua.raw_set(-3);
        }
        self.lua.set_field("map");
    }

    fn set(&mut self, len: i64) {
        self.lua.create_table(0, 1);
        // It grows as in Redis: the size that a table is made with decides in which order scripts see its keys.
        self.lua.create_table(0, 0);
        for _ in 0..len {
            self.value();
            self.lua.push_boolean(true);
            self.lua.raw_set(-3);
        }
        self.lua.set_field("set");
    }

    fn verbatim(&mut self, len: usize) {
        let bulk = self.bulk(len);
        let (format, text) = bulk.split_at_checked(4).unwrap_or_default();
        self.single("verbatim_string", |lua| {
            lua.create_table(0, 2);
            lua.push_bytes(text);
            lua.set_field("string");
            lua.push_bytes(format.get(..3).unwrap_or_default());
            lua.set_field("format");
        });
    }
}

/// Writes the value on top as a reply and pops it. True if it is an error of a command, counted already; `None` if
/// it is no error.
pub(crate) fn write_value(lua: Lua<'_>, script_proto: Proto, reply: &mut Reply<'_>) -> Option<bool> {
    if is_cut(lua, reply) {
        lua.pop(1);
        return Some(false);
    }
    if !lua.check_stack(4) || lua.stack_is_low() {
        reply.error(b"ERR reached lua stack limit");
        lua.pop(1);
        return Some(false);
    }
    let mut failed = None;
    match lua.kind(-1) {
        Kind::String => reply.bulk(lua.bytes(-1).unwrap_or_default()),
        Kind::Boolean => match (script_proto, lua.boolean(-1)) {
            (Proto::Resp2, true) => reply.int(1),
            (Proto::Resp2, false) => reply.null(),
            (Proto::Resp3, value) => reply.bool(value),
        },
        Kind::Number => reply.int(to_i64(lua.number(-1))),
        Kind::Table => failed = write_table(lua, script_proto, reply),
        _ => reply.null(),
    }
    lua.pop(1);
    failed
}

/// Whether no more of a reply is written. A few tables that hold each other can describe more than any memory takes.
fn is_cut(lua: Lua<'_>, reply: &Reply<'_>) -> bool {
    let state = lua.state();
    if !state.reply_is_cut.get() {
        let is_too_long = reply.len() > state.memory.reply_max.get();
        state.reply_is_cut.set(is_too_long || lua.spend_last(1));
    }
    state.reply_is_cut.get()
}

/// Writes the table on top: by the field that says what it is, or as an array.
fn write_table(lua: Lua<'_>, script_proto: Proto, reply: &mut Reply<'_>) -> Option<bool> {
    if lua.raw_get_field(-1, "err") == Kind::String {
        reply.error(c_text(lua.bytes(-1).unwrap_or_default()));
        let counted = lua.raw_get_field(-2, "ignore_error_stats_update") == Kind::Boolean && lua.boolean(-1);
        lua.pop(2);
        return Some(counted);
    }
    lua.pop(1);
    if lua.raw_get_field(-1, "ok") == Kind::String {
        write_line(b'+', c_text(lua.bytes(-1).unwrap_or_default()), reply);
    } else if after_pop(lua, "double") == Kind::Number {
        reply.double(lua.number(-1));
    } else if after_pop(lua, "big_number") == Kind::String {
        let digits = lua.bytes(-1).unwrap_or_default();
        match reply.proto() {
            Proto::Resp2 => write_bulk_line(digits, reply),
            Proto::Resp3 => write_line(b'(', digits, reply),
        }
    } else if after_pop(lua, "verbatim_string") == Kind::Table && write_verbatim(lua, reply) {
        // It is written.
    } else if after_pop(lua, "map") == Kind::Table {
        write_map(lua, script_proto, reply);
    } else if after_pop(lua, "set") == Kind::Table {
        write_set(lua, script_proto, reply);
    } else {
        lua.pop(1);
        write_array(lua, script_proto, reply);
        return None;
    }
    lua.pop(1);
    None
}

/// Replaces the field on top by another one of the table below it.
fn after_pop(lua: Lua<'_>, name: &str) -> Kind {
    lua.pop(1);
    lua.raw_get_field(-1, name)
}

/// A line whose own line ends become spaces.
fn write_line(sigil: u8, text: &[u8], reply: &mut Reply<'_>) {
    reply.raw(&[sigil]);
    for part in text.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        match part.split_last() {
            Some((b'\r' | b'\n', start)) => {
                reply.raw(start);
                reply.raw(b" ");
            }
            _ => reply.raw(part),
        }
    }
    reply.raw(b"\r\n");
}

fn write_bulk_line(text: &[u8], reply: &mut Reply<'_>) {
    reply.bulk_with(text.len(), |out| {
        out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    });
}

/// Writes the verbatim string described by the table on top; false if that lacks something.
fn write_verbatim(lua: Lua<'_>, reply: &mut Reply<'_>) -> bool {
    let has_format = lua.raw_get_field(-1, "format") == Kind::String;
    let has_text = lua.raw_get_field(-2, "string") == Kind::String;
    if has_format && has_text {
        let text = lua.bytes(-1).unwrap_or_default();
        let format = c_text(lua.bytes(-2).unwrap_or_default());
        if reply.proto() == Proto::Resp2 {
            reply.bulk(text);
        } else {
            let mut name = [b' '; 3];
            name.iter_mut().zip(format).for_each(|(to, from)| *to = *from);
            reply.raw(b"=");
            reply.raw(itoa::Buffer::new().format(text.len() + 4).as_bytes());
            reply.raw(b"\r\n");
            reply.raw(&name);
            reply.raw(b":");
            reply.raw(text);
            reply.raw(b"\r\n");
        }
    }
    lua.pop(2);
    has_format && has_text
}

fn entries(lua: Lua<'_>) -> usize {
    let mut count = 0;
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        count += 1;
    }
    count
}

fn write_map(lua: Lua<'_>, script_proto: Proto, reply: &mut Reply<'_>) {
    reply.map(entries(lua));
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        write_value(lua, script_proto, reply);
        write_value(lua, script_proto, reply);
    }
}

fn write_set(lua: Lua<'_>, script_proto: Proto, reply: &mut Reply<'_>) {
    reply.set(entries(lua));
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        lua.push_value(-1);
        write_value(lua, script_proto, reply);
    }
}

/// Writes the elements of the table on top up to the first nil.
fn write_array(lua: Lua<'_>, script_proto: Proto, reply: &mut Reply<'_>) {
    let mut len = 0;
    loop {
        lua.raw_get_index(-1, len + 1);
        let is_end = lua.kind(-1) == Kind::Nil;
        lua.pop(1);
        if is_end {
            break;
        }
        len += 1;
    }
    reply.array(len as usize);
    for index in 1..=len {
        lua.raw_get_index(-1, index);
        write_value(lua, script_proto, reply);
    }
}
