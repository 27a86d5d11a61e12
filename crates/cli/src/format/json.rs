//! Replies as JSON.

use std::io::Write;

use sessile_resp::Value;

use super::{quoted, separated};

/// Appends a text as a JSON string.
pub(super) type WriteString = fn(&[u8], &mut Vec<u8>);

/// Appends `reply`, its texts by `string`.
pub(super) fn json(reply: &Value, string: WriteString, out: &mut Vec<u8>) {
    match reply {
        Value::Error(text) => {
            out.extend_from_slice(b"error:");
            string(text, out);
        }
        Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(_, text) => string(text, out),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Double(_, text) | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Null | Value::NullArray => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            out.push(b'[');
            separated(items, b",", out, |item, out| json(item, string, out));
            out.push(b']');
        }
        Value::Map(pairs) => {
            out.push(b'{');
            separated(pairs, b",", out, |(key, value), out| {
                json_key(key, string, out);
                out.push(b':');
                json(value, string, out);
            });
            out.push(b'}');
        }
    }
}

/// JSON wants strings as keys, so others become the string of their text.
fn json_key(key: &Value, write: WriteString, out: &mut Vec<u8>) {
    if matches!(key, Value::Simple(_) | Value::Bulk(_) | Value::Verbatim(..)) {
        return json(key, write, out);
    }
    let mut text = Vec::new();
    json(key, write, &mut text);
    string(&text, out);
}

/// Bytes above ASCII stay as they are: a valid string where the text is UTF-8.
pub(crate) fn string(text: &[u8], out: &mut Vec<u8>) {
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

/// The text as the prompt would quote it, so that any bytes survive: ASCII only, its backslashes escaped once more
/// for JSON. `redis-cli` leaves a quote within it bare, which no JSON parser takes; here it is escaped as well.
pub(super) fn quoted_string(text: &[u8], out: &mut Vec<u8>) {
    let mut inner = Vec::new();
    quoted(text, &mut inner);
    string(&inner[1..inner.len() - 1], out);
}
