//! Replies as text: with types for people, raw for programs, CSV, JSON.

mod csv;
mod json;
mod standard;

use std::io::Write;

use sessile_resp::Value;

pub(crate) use self::{json::string as json_string, standard::standard};
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
            csv::csv(reply, out);
            out.push(b'\n');
        }
        Output::Json | Output::QuotedJson => {
            let string = if options.output == Output::Json { json::string } else { json::quoted_string };
            json::json(reply, string, out);
            out.push(b'\n');
        }
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

fn separated<T>(items: &[T], separator: &[u8], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        write(item, out);
    }
}

/// Appends `text` between double quotes, everything that is not printable ASCII escaped.
pub(crate) fn quoted(text: &[u8], out: &mut Vec<u8>) {
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
