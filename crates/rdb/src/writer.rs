//! Writing: records as a file that Redis 7.0 loads.

use std::io::{self, Write};

use sessile_values::crc64::Crc64;
use sessile_values::dump::{VERSION, put_len, put_string};

use crate::{Access, MAGIC, opcode};

/// The version of Redis that a file claims to come from.
const REDIS_VERSION: &[u8] = b"7.2.4";

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When it was made, in seconds since the epoch.
    pub ctime_s: u64,
    /// Memory that the data took, in bytes.
    pub used_memory: u64,
    /// Whether it is the base of an append-only file.
    pub aof_base: bool,
    /// Whether it ends in a checksum; without one it ends in zeros, which readers take for none.
    pub checksum: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self { ctime_s: 0, used_memory: 0, aof_base: false, checksum: true }
    }
}

/// Appends the part that says which db the entries behind it belong to.
pub fn put_select_db(out: &mut Vec<u8>, db: u32) {
    out.push(opcode::SELECT_DB);
    put_len(out, db.into());
}

/// Appends what stands before the body of an entry: when it expires, its type and its key.
pub fn put_entry_head(out: &mut Vec<u8>, key: &[u8], expire_ms: Option<u64>, number: u8) {
    if let Some(expire_ms) = expire_ms {
        out.push(opcode::EXPIRE_MS);
        out.extend_from_slice(&i64::try_from(expire_ms).unwrap_or(i64::MAX).to_le_bytes());
    }
    out.push(number);
    put_string(out, key);
}

/// Writes a file. Many small writes are made: give a buffered writer.
pub struct Writer<W> {
    out: W,
    checksum: bool,
    sum: Crc64,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(out: W, facts: Facts) -> io::Result<Self> {
        let mut writer = Self { out, checksum: facts.checksum, sum: Crc64::new(), scratch: Vec::new() };
        writer.put(MAGIC)?;
        writer.put(format!("{VERSION:04}").as_bytes())?;
        writer.fact("redis-ver", REDIS_VERSION)?;
        writer.fact("redis-bits", usize::BITS.to_string().as_bytes())?;
        writer.fact("ctime", facts.ctime_s.to_string().as_bytes())?;
        writer.fact("used-mem", facts.used_memory.to_string().as_bytes())?;
        writer.fact("aof-base", if facts.aof_base { b"1" } else { b"0" })?;
        Ok(writer)
    }

    /// Writes a further fact about the file.
    pub fn fact(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        self.scratch.push(opcode::AUX);
        put_string(&mut self.scratch, name.as_bytes());
        put_string(&mut self.scratch, value);
        self.put_scratch()
    }

    /// Writes the code of a library of functions.
    pub fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.scratch.push(opcode::FUNCTION);
        put_string(&mut self.scratch, code);
        self.put_scratch()
    }

    /// The entries that follow belong to this db.
    pub fn select_db(&mut self, db: u32) -> io::Result<()> {
        put_select_db(&mut self.scratch, db);
        self.put_scratch()
    }

    /// How many entries the db has, and how many of them expire: who loads the file makes room.
    pub fn resize_db(&mut self, entries: u64, expiring: u64) -> io::Result<()> {
        self.scratch.push(opcode::RESIZE_DB);
        put_len(&mut self.scratch, entries);
        put_len(&mut self.scratch, expiring);
        self.put_scratch()
    }

    /// Says of the entry that follows when it was last used.
    pub fn access(&mut self, access: Access) -> io::Result<()> {
        match access {
            Access::Unknown => {}
            Access::IdleSeconds(seconds) => {
                self.scratch.push(opcode::IDLE);
                put_len(&mut self.scratch, seconds);
            }
            Access::Frequency(frequency) => self.scratch.extend([opcode::FREQUENCY, frequency]),
        }
        self.put_scratch()
    }

    /// Writes an entry. `payload` is a type byte and a body, as [`sessile_values::dump::Encoder`] makes them.
    ///
    /// # Panics
    /// If the payload is empty.
    pub fn entry(&mut self, key: &[u8], expire_ms: Option<u64>, payload: &[u8]) -> io::Result<()> {
        let (number, body) = payload.split_first().expect("a payload starts with its type");
        put_entry_head(&mut self.scratch, key, expire_ms, *number);
        self.put_scratch()?;
        self.put(body)
    }

    /// Writes parts that were framed elsewhere, with [`put_select_db`] and [`put_entry_head`].
    pub fn framed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)
    }

    /// Writes the end mark and the checksum, and gives the writer back: flushing and syncing it are the caller's.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(&[opcode::EOF])?;
        let sum = if self.checksum { self.sum.value() } else { 0 };
        self.out.write_all(&sum.to_le_bytes())?;
        Ok(self.out)
    }

    fn put_scratch(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.scratch);
        self.put(&bytes)?;
        self.scratch = bytes;
        self.scratch.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.checksum {
            self.sum.update(bytes);
        }
        self.out.write_all(bytes)
    }
}
