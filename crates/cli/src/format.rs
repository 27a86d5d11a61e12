//! Replies as text: with types for people, raw for programs, CSV, JSON.

use std::io::Write;

use sessile_resp::Value;

use crate::options::{Options, Output};

/// Appends `reply` as the options ask. `verbatim`: it is a report meant to be read as it is.
pub(crate) fn reply(reply: &Value, options: &Options, verbatim: bool, out: &mut Vec<u8>) {
    match options.output {
        _ if verbatim => raw(reply, &options.element_delimiter, out),
        Output::Standard => standard(reply, &mut Vec::new(), out),
        Output::Raw => {
            raw(reply, &options.element_delimiter, out);
            out.extend_from_slice(&options.reply_delimiter);
        }
        Output::Csv => {
            csv(reply, out);
            out.push(b'\n');
        }
        Output::Json => {
            json(reply, out);
            out.push(b'\n');
        }
    }
}

/// Appends `reply` with its types; `prefix` indents the lines of nested elements.
pub(crate) fn standard(reply: &Value, prefix: &mut Vec<u8>, out: &mut Vec<u8>) {
    match reply {
        Value::Error(text) => line(out, &[b"(error) ", text]),
        Value::Simple(text) | Value::Verbatim(_, text) | Value::BigNumber(text) => line(out, &[text]),
        Value::Int(value) => line(out, &[b"(integer) ", value.to_string().as_bytes()]),
        Value::Double(_, text) => line(out, &[b"(double) ", text]),
        Value::Bulk(text) => {
            quoted(text, out);
            out.push(b'\n');
        }
        Value::Null | Value::NullArray => line(out, &[b"(nil)"]),
        Value::Bool(value) => line(out, &[if *value { b"(true)" } else { b"(false)" }]),
        Value::Array(items) => elements(items, (b')', "(empty array)"), prefix, out),
        Value::Set(items) => elements(items, (b'~', "(empty set)"), prefix, out),
        Value::Push(items) => elements(items, (b')', "(empty push)"), prefix, out),
        Value::Map(pairs) => elements(pairs, (b'#', "(empty hash)"), prefix, out),
    }
}

/// Something that stands behind one index.
trait Element {
    fn standard(&self, prefix: &mut Vec<u8>, out: &mut Vec<u8>);
}

impl Element for Value {
    fn standard(&self, prefix: &mut Vec<u8>, out: &mut Vec<u8>) {
        standard(self, prefix, out);
    }
}

impl Element for (Value, Value) {
    fn standard(&self, prefix: &mut Vec<u8>, out: &mut Vec<u8>) {
        standard(&self.0, prefix, out);
        // The value goes on the key's last line.
        out.pop();
        out.extend_from_slice(b" => ");
        let mut value = Vec::new();
        standard(&self.1, prefix, &mut value);
        // Lines below each other are aligned only if the first one is among them.
        if value[..value.len() - 1].contains(&b'\n') {
            out.push(b'\n');
            out.extend_from_slice(prefix);
        }
        out.extend_from_slice(&value);
    }
}

fn elements<E: Element>(items: &[E], (mark, empty): (u8, &str), prefix: &mut Vec<u8>, out: &mut Vec<u8>) {
    if items.is_empty() {
        return line(out, &[empty.as_bytes()]);
    }
    let width = items.len().to_string().len();
    let outer_len = prefix.len();
    for (index, item) in items.iter().enumerate() {
        // The first element stands behind the index of the aggregate itself.
        if index > 0 {
            out.extend_from_slice(&prefix[..outer_len]);
        }
        let _ = write!(out, "{:>width$}{} ", index + 1, char::from(mark));
        prefix.resize(outer_len + width + 2, b' ');
        item.standard(prefix, out);
        prefix.truncate(outer_len);
    }
}

fn raw(reply: &Value, delimiter: &[u8], out: &mut Vec<u8>) {
    match reply {
        Value::Null | Value::NullArray => {}
        Value::Error(text) => line(out, &[text]),
        Value::Simple(text)
        | Value::Bulk(text)
        | Value::Verbatim(_, text)
        | Value::Double(_, text)
        | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Bool(value) => out.extend_from_slice(if *value { b"(true)" } else { b"(false)" }),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            separated(items, delimiter, out, |item, out| raw(item, delimiter, out));
        }
        Value::Map(pairs) => separated(pairs, delimiter, out, |(key, value), out| {
            raw(key, delimiter, out);
            out.push(b' ');
            raw(value, delimiter, out);
        }),
    }
}

fn csv(reply: &Value, out: &mut Vec<u8>) {
    match reply {
        Value::Error(text) => {
            out.extend_from_slice(b"ERROR,");
            quoted(text, out);
        }
        Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(_, text) => quoted(text, out),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Double(_, text) | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Null | Value::NullArray => out.extend_from_slice(b"NULL"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => separated(items, b",", out, csv),
        Value::Map(pairs) => separated(pairs, b",", out, |(key, value), out| {
            csv(key, out);
            out.push(b',');
            csv(value, out);
        }),
    }
}

fn json(reply: &Value, out: &mut Vec<u8>) {
    match reply {
        Value::Error(text) => {
            out.extend_from_slice(b"error:");
            json_string(text, out);
        }
        Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(_, text) => json_string(text, out),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Double(_, text) | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Null | Value::NullArray => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            out.push(b'[');
            separated(items, b",", out, json);
            out.push(b']');
        }
        Value::Map(pairs) => {
            out.push(b'{');
            separated(pairs, b",", out, |(key, value), out| {
                json_key(key, out);
                out.push(b':');
                json(value, out);
            });
            out.push(b'}');
        }
    }
}

/// JSON wants strings as keys, so others become the string of their text.
fn json_key(key: &Value, out: &mut Vec<u8>) {
    if matches!(key, Value::Simple(_) | Value::Bulk(_) | Value::Verbatim(..)) {
        return json(key, out);
    }
    let mut text = Vec::new();
    json(key, &mut text);
    json_string(&text, out);
}

fn json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0..0x20 => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

fn separated<T>(items: &[T], separator: &[u8], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        write(item, out);
    }
}

/// Appends `text` between double quotes, everything that is not printable ASCII escaped.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b'\n');
}
