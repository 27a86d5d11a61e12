//! `--scan`: lists the keys; and the pages of keys that the reports on keys look at.

use std::{
    io::{self, Write},
    thread,
};

use sessile_resp::Value;

use crate::{format, options::Output, session::Session};

/// Where SCAN is.
pub(super) struct Scan {
    /// What the next request continues at; none: all is read.
    cursor: Option<Vec<u8>>,
}

impl Scan {
    pub(super) fn new() -> Self {
        Self { cursor: Some(b"0".to_vec()) }
    }
}

/// What SCAN answered.
pub(super) enum Page {
    Keys(Vec<Vec<u8>>),
    End,
    /// Why has been said.
    Failed,
}

impl Session<'_> {
    pub(crate) fn scan(&mut self) -> io::Result<u8> {
        let mut scan = Scan::new();
        loop {
            let keys = match self.next_page(&mut scan)? {
                Page::Keys(keys) => keys,
                Page::End => return Ok(0),
                Page::Failed => return Ok(1),
            };
            let mut out = Vec::new();
            for key in &keys {
                if self.options.output == Output::Standard {
                    format::quoted(key, &mut out);
                } else {
                    out.extend_from_slice(key);
                }
                out.push(b'\n');
            }
            self.console.stdout.write_all(&out)?;
            self.console.stdout.flush()?;
            thread::sleep(self.options.interval);
        }
    }

    /// The keys of the next page, by the pattern and count of the options.
    pub(super) fn next_page(&mut self, scan: &mut Scan) -> io::Result<Page> {
        let Some(cursor) = scan.cursor.take() else { return Ok(Page::End) };
        let mut args = vec![b"SCAN".to_vec(), cursor];
        if let Some(pattern) = &self.options.pattern {
            args.extend([b"MATCH".to_vec(), pattern.clone()]);
        }
        if let Some(count) = self.options.scan_count {
            args.extend([b"COUNT".to_vec(), count.to_string().into_bytes()]);
        }
        let items = match self.ask(&args) {
            Ok(Value::Array(items)) => items,
            Ok(Value::Error(text)) => {
                writeln!(self.console.stderr, "SCAN error: {}", String::from_utf8_lossy(&text))?;
                return Ok(Page::Failed);
            }
            Ok(_) => Vec::new(),
            Err(failure) => {
                writeln!(self.console.stderr, "Error: {failure}")?;
                return Ok(Page::Failed);
            }
        };
        let Ok([Value::Bulk(next), Value::Array(keys)]) = <[Value; 2]>::try_from(items) else {
            writeln!(self.console.stderr, "Error: the server's answer to SCAN is not understood")?;
            return Ok(Page::Failed);
        };
        scan.cursor = Some(next).filter(|next| next != b"0");
        let texts = keys.into_iter().filter_map(|key| match key {
            Value::Bulk(text) => Some(text),
            _ => None,
        });
        Ok(Page::Keys(texts.collect()))
    }
}
