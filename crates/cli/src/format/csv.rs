//! Replies as comma-separated values.

use sessile_resp::Value;

use super::{quoted, separated};

/// Appends `reply`.
pub(super) fn csv(reply: &Value, out: &mut Vec<u8>) {
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
