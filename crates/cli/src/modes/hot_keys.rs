//! `--hotkeys`: the keys that are used most, where an LFU `maxmemory-policy` counts.

use std::{
    io::{self, Write},
    thread,
};

use sessile_resp::Value;

use super::{
    big_keys::{PAGES_PER_PAUSE, percent, quoted},
    scan::{Page, Scan},
};
use crate::session::Session;

/// How many keys are reported.
const HOT_KEYS: usize = 16;

/// The hottest keys, hottest first.
#[derive(Default)]
struct Hottest(Vec<(i64, String)>);

impl Session<'_> {
    pub(crate) fn hot_keys(&mut self) -> io::Result<u8> {
        self.scan_heading("hot")?;
        let Some(total) = self.key_count()? else { return Ok(1) };
        let (mut hottest, mut sampled, mut scan) = (Hottest::default(), 0, Scan::new());
        for pages in 1.. {
            let keys = match self.next_page(&mut scan)? {
                Page::Keys(keys) => keys,
                Page::End => break,
                Page::Failed => return Ok(1),
            };
            let requests: Vec<Vec<&[u8]>> =
                keys.iter().map(|key| vec![&b"OBJECT"[..], b"freq", key]).collect();
            let Some(replies) = self.batch(&requests)? else { return Ok(1) };
            for (key, reply) in keys.iter().zip(replies) {
                let counter = match reply {
                    Value::Int(counter) => counter,
                    Value::Error(text) if !text.starts_with(b"ERR no such key") => {
                        writeln!(self.console.stderr, "Error: {}", String::from_utf8_lossy(&text))?;
                        return Ok(1);
                    }
                    _ => {
                        let key = String::from_utf8_lossy(key);
                        writeln!(
                            self.console.stderr,
                            "Warning: OBJECT freq on '{key}' failed (may have been deleted)"
                        )?;
                        continue;
                    }
                };
                if hottest.add(counter, key) {
                    writeln!(
                        self.console.stdout,
                        "[{}] Hot key '{}' found so far with counter {counter}",
                        percent(sampled, total),
                        quoted(key)
                    )?;
                }
            }
            sampled += keys.len() as u64;
            self.console.stdout.flush()?;
            if pages % PAGES_PER_PAUSE == 0 {
                thread::sleep(self.options.interval);
            }
        }
        writeln!(
            self.console.stdout,
            "\n-------- summary -------\n\nSampled {sampled} keys in the keyspace!"
        )?;
        for (counter, key) in &hottest.0 {
            writeln!(self.console.stdout, "hot key found with counter: {counter}\tkeyname: {key}")?;
        }
        self.console.stdout.flush()?;
        Ok(0)
    }
}

impl Hottest {
    /// Whether the key is among the hottest.
    fn add(&mut self, counter: i64, key: &[u8]) -> bool {
        let at = self.0.partition_point(|(other, _)| *other >= counter);
        if counter <= 0 || at == HOT_KEYS {
            return false;
        }
        self.0.insert(at, (counter, quoted(key)));
        self.0.truncate(HOT_KEYS);
        true
    }
}
