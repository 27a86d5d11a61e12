//! Replies with their types, for people.

use std::io::Write;

use sessile_resp::Value;

use super::{line, quoted};

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
