//! `--bigkeys`, `--memkeys`: the keys of each type that have most elements, or take most memory.

use std::{
    io::{self, Write},
    thread,
};

use sessile_resp::Value;

use super::scan::{Page, Scan};
use crate::{format, options::Mode, session::Session};

/// Scanned pages between two pauses (`-i`).
pub(super) const PAGES_PER_PAUSE: u64 = 100;

/// Keys between two lines of progress.
const KEYS_PER_PROGRESS: u64 = 1_000_000;

/// Types with the command that counts a value's elements, and what these are called.
const TYPES: &[(&str, &str, &str)] = &[
    ("list", "LLEN", "items"),
    ("hash", "HLEN", "fields"),
    ("string", "STRLEN", "bytes"),
    ("stream", "XLEN", "entries"),
    ("set", "SCARD", "members"),
    ("zset", "ZCARD", "members"),
];

/// What was found of one type.
struct Kind {
    name: String,
    size_command: Option<&'static str>,
    unit: &'static str,
    count: u64,
    size: u64,
    /// The size of the biggest key.
    biggest: u64,
    biggest_key: Option<String>,
}

/// What was found.
struct Report {
    kinds: Vec<Kind>,
    /// Keys that there are, about.
    total: u64,
    sampled: u64,
    /// `sampled` when the page that is being looked at began.
    sampled_before: u64,
    key_bytes: u64,
}

impl Session<'_> {
    pub(crate) fn big_keys(&mut self) -> io::Result<u8> {
        let Some(total) = self.key_count()? else { return Ok(1) };
        let by_memory = self.options.mode == Mode::MemoryKeys;
        let mut report = Report::new(total, by_memory);
        self.scan_heading("biggest")?;
        let mut scan = Scan::new();
        for pages in 1.. {
            let keys = match self.next_page(&mut scan)? {
                Page::Keys(keys) => keys,
                Page::End => break,
                Page::Failed => return Ok(1),
            };
            let Some(kinds) = self.kinds_of(&keys, &mut report, by_memory)? else { return Ok(1) };
            let Some(sizes) = self.sizes_of(&keys, &kinds, &report, by_memory)? else { return Ok(1) };
            report.sampled_before = report.sampled;
            for ((key, kind), size) in keys.iter().zip(kinds).zip(sizes) {
                let Some(kind) = kind else { continue };
                let line = report.add(key, kind, size);
                self.console.stdout.write_all(line.as_bytes())?;
            }
            self.console.stdout.flush()?;
            if pages % PAGES_PER_PAUSE == 0 {
                thread::sleep(self.options.interval);
            }
        }
        self.console.stdout.write_all(report.summary().as_bytes())?;
        self.console.stdout.flush()?;
        Ok(0)
    }

    /// The number of keys. `None`: why not has been said.
    pub(super) fn key_count(&mut self) -> io::Result<Option<u64>> {
        match self.ask(&["DBSIZE"]) {
            Ok(Value::Int(count)) => return Ok(Some(count.try_into().unwrap_or(0))),
            Ok(Value::Error(text)) => {
                let text = String::from_utf8_lossy(&text);
                writeln!(self.console.stderr, "Couldn't determine DBSIZE: {text}")?;
            }
            Ok(_) => writeln!(self.console.stderr, "Non INTEGER response from DBSIZE!")?,
            Err(failure) => writeln!(self.console.stderr, "Error: {failure}")?,
        }
        Ok(None)
    }

    pub(super) fn scan_heading(&mut self, what: &str) -> io::Result<()> {
        write!(
            self.console.stdout,
            "\n# Scanning the entire keyspace to find {what} keys as well as\n\
             # average sizes per key type.  You can use -i 0.1 to sleep 0.1 sec\n\
             # per 100 SCAN commands (not usually needed).\n\n"
        )
    }

    /// The replies to requests in one batch. `None`: why not has been said.
    pub(super) fn batch(&mut self, requests: &[Vec<&[u8]>]) -> io::Result<Option<Vec<Value>>> {
        match self.ask_all(requests) {
            Ok(replies) => Ok(Some(replies)),
            Err(failure) => {
                writeln!(self.console.stderr, "Error: {failure}")?;
                Ok(None)
            }
        }
    }

    /// The places of the keys' types in the report; none for a key that is gone.
    fn kinds_of(
        &mut self,
        keys: &[Vec<u8>],
        report: &mut Report,
        by_memory: bool,
    ) -> io::Result<Option<Vec<Option<usize>>>> {
        let requests: Vec<Vec<&[u8]>> = keys.iter().map(|key| vec![&b"TYPE"[..], key]).collect();
        let Some(replies) = self.batch(&requests)? else { return Ok(None) };
        let mut kinds = Vec::new();
        for reply in replies {
            match reply {
                Value::Simple(name) if name == b"none" => kinds.push(None),
                Value::Simple(name) => {
                    kinds.push(Some(report.kind(&String::from_utf8_lossy(&name), by_memory)));
                }
                Value::Error(text) => {
                    let text = String::from_utf8_lossy(&text);
                    writeln!(self.console.stderr, "TYPE returned an error: {text}")?;
                    return Ok(None);
                }
                _ => {
                    writeln!(self.console.stderr, "Invalid reply type for TYPE!")?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(kinds))
    }

    /// The keys' sizes; 0 for a key without one.
    fn sizes_of(
        &mut self,
        keys: &[Vec<u8>],
        kinds: &[Option<usize>],
        report: &Report,
        by_memory: bool,
    ) -> io::Result<Option<Vec<u64>>> {
        let samples = self.options.memory_samples.map(|samples| samples.to_string());
        let (mut requests, mut asked) = (Vec::new(), Vec::new());
        for (at, (key, kind)) in keys.iter().zip(kinds).enumerate() {
            let size_command = kind.and_then(|kind| report.kinds[kind].size_command);
            let mut request: Vec<&[u8]> = match size_command {
                _ if kind.is_none() => continue,
                _ if by_memory => vec![b"MEMORY", b"USAGE"],
                Some(command) => vec![command.as_bytes()],
                None => continue,
            };
            request.push(key);
            if let (true, Some(samples)) = (by_memory, &samples) {
                request.extend([&b"SAMPLES"[..], samples.as_bytes()]);
            }
            requests.push(request);
            asked.push((at, if by_memory { "MEMORY USAGE" } else { size_command.unwrap_or_default() }));
        }
        let Some(replies) = self.batch(&requests)? else { return Ok(None) };
        let mut sizes = vec![0; keys.len()];
        for ((at, command), reply) in asked.into_iter().zip(replies) {
            if let Value::Int(size) = reply {
                sizes[at] = size.try_into().unwrap_or(0);
            } else {
                let key = String::from_utf8_lossy(&keys[at]);
                writeln!(
                    self.console.stderr,
                    "Warning:  {command} on '{key}' failed (may have changed type)"
                )?;
            }
        }
        Ok(Some(sizes))
    }
}

impl Report {
    fn new(total: u64, by_memory: bool) -> Self {
        let mut report = Self { kinds: Vec::new(), total, sampled: 0, sampled_before: 0, key_bytes: 0 };
        for (name, ..) in TYPES {
            report.kind(name, by_memory);
        }
        report
    }

    /// The place of a type; modules bring types of their own.
    fn kind(&mut self, name: &str, by_memory: bool) -> usize {
        if let Some(at) = self.kinds.iter().position(|kind| kind.name == name) {
            return at;
        }
        let known = TYPES.iter().find(|(known, ..)| *known == name);
        self.kinds.push(Kind {
            name: name.to_owned(),
            size_command: known.map(|(_, command, _)| *command),
            unit: if by_memory { "bytes" } else { known.map_or("?", |(.., unit)| *unit) },
            count: 0,
            size: 0,
            biggest: 0,
            biggest_key: None,
        });
        self.kinds.len() - 1
    }

    /// Counts a key; gives what is to be said about it.
    fn add(&mut self, key: &[u8], kind: usize, size: u64) -> String {
        let percent = percent(self.sampled_before, self.total);
        let kind = &mut self.kinds[kind];
        kind.count += 1;
        kind.size += size;
        self.key_bytes += key.len() as u64;
        self.sampled += 1;
        let mut line = String::new();
        if size > kind.biggest {
            let quoted = quoted(key);
            line = format!(
                "[{percent}] Biggest {:<6} found so far '{quoted}' with {size} {}\n",
                kind.name, kind.unit
            );
            kind.biggest = size;
            kind.biggest_key = Some(quoted);
        }
        if self.sampled.is_multiple_of(KEYS_PER_PROGRESS) {
            line.push_str(&format!("[{percent}] Sampled {} keys so far\n", self.sampled));
        }
        line
    }

    fn summary(&self) -> String {
        let Self { kinds, sampled, key_bytes, .. } = self;
        let average = |sum: u64, count: u64| if count == 0 { 0.0 } else { sum as f64 / count as f64 };
        let mut out = format!(
            "\n-------- summary -------\n\nSampled {sampled} keys in the keyspace!\n\
             Total key length in bytes is {key_bytes} (avg len {:.2})\n\n",
            average(*key_bytes, *sampled)
        );
        for Kind { name, unit, biggest, biggest_key, .. } in kinds {
            if let Some(key) = biggest_key {
                out.push_str(&format!("Biggest {name:>6} found '{key}' has {biggest} {unit}\n"));
            }
        }
        out.push('\n');
        for Kind { name, unit, count, size, .. } in kinds {
            out.push_str(&format!(
                "{count} {name}s with {size} {unit} ({} of keys, avg size {:.2})\n",
                percent(*count, *sampled),
                average(*size, *count)
            ));
        }
        out
    }
}

/// A part of a whole, as `07.50%`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{percent:05.2}%")
}

/// A key as the prompt would quote it.
pub(super) fn quoted(key: &[u8]) -> String {
    let mut quoted = Vec::new();
    format::quoted(key, &mut quoted);
    String::from_utf8_lossy(&quoted).into_owned()
}
