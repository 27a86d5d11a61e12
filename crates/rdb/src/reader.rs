//! Reading: a file as a run of records.

use std::fmt::Display;
use std::io::Read;

use sessile_values::dump::{self, BadPayload, Loaded};
use sessile_values::{HashKey, Limits};

use crate::input::Input;
use crate::{Access, MAGIC, RdbError, Reason, VERSION_MAX, VERSION_WITH_CHECKSUM, opcode};

/// One entry of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The number of its db.
    pub db: u32,
    /// Its key.
    pub key: &'a [u8],
    /// When it expires, in milliseconds since the epoch; it may be long past.
    pub expire_ms: Option<u64>,
    /// Its last use.
    pub access: Access,
    /// Its value: type byte and body, as [`dump::decode`] takes them. Only their length has been looked at.
    pub payload: &'a [u8],
}

/// What stands in a file beside the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The format's version.
    pub version: u32,
    /// Number of entries.
    pub records: u64,
    /// Length of the file; what follows in the same reader has not been read.
    pub bytes: u64,
    /// Facts about the file, by name, in the file's order.
    pub facts: Vec<(Vec<u8>, Vec<u8>)>,
    /// The code of the libraries of functions.
    pub functions: Vec<Vec<u8>>,
}

impl Record<'_> {
    /// Builds the value.
    pub fn load(&self, key: &HashKey, limits: &Limits) -> Result<Loaded, BadPayload> {
        dump::decode(self.payload, key, limits)
    }
}

impl Summary {
    /// The fact with this name.
    pub fn fact(&self, name: &str) -> Option<&[u8]> {
        self.facts.iter().find(|(own, _)| own == name.as_bytes()).map(|(_, value)| &value[..])
    }
}

/// Reads a file and gives each entry to `take`, in order.
///
/// Many small reads are made, never one beyond the end of the file: give a buffered reader. The checksum stands at
/// the end, so what was taken counts only once this returns `Ok`.
pub fn read<R: Read, E: Display>(
    reader: R,
    mut take: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<Summary, RdbError> {
    let mut input = Input::new(reader);
    let mut summary = Summary { version: read_header(&mut input)?, ..Summary::default() };
    let mut entry = Entry::default();
    loop {
        let offset = input.offset();
        match input.u8()? {
            opcode::EOF => break,
            opcode::SELECT_DB => {
                let db = input.len()?;
                entry.db = u32::try_from(db).map_err(|_| RdbError { offset, reason: Reason::Db(db) })?;
            }
            opcode::RESIZE_DB => {
                input.len()?;
                input.len()?;
            }
            opcode::AUX => summary.facts.push((input.string()?, input.string()?)),
            opcode::FUNCTION => summary.functions.push(input.string()?),
            opcode::EXPIRE_S => {
                let s = i64::from(i32::from_le_bytes(input.array()?));
                entry.expire_ms = Some(s.max(0) as u64 * 1000);
            }
            opcode::EXPIRE_MS => {
                entry.expire_ms = Some(i64::from_le_bytes(input.array()?).max(0) as u64);
            }
            opcode::IDLE => entry.access = Access::IdleSeconds(input.len()?),
            opcode::FREQUENCY => entry.access = Access::Frequency(input.u8()?),
            opcode::MODULE => return Err(RdbError { offset, reason: Reason::Module }),
            opcode::FUNCTION_PRE_RELEASE => {
                return Err(RdbError { offset, reason: Reason::PreReleaseFunctions });
            }
            unknown @ opcode::FIRST.. => {
                return Err(RdbError { offset, reason: Reason::Opcode(unknown) });
            }
            number => {
                entry.read(number, offset, &mut input)?;
                take(entry.record()).map_err(|why| RdbError {
                    offset,
                    reason: Reason::Refused { key: entry.key.clone(), why: why.to_string() },
                })?;
                entry.reset();
                summary.records += 1;
            }
        }
    }
    if summary.version >= VERSION_WITH_CHECKSUM {
        check_sum(&mut input)?;
    }
    summary.bytes = input.offset();
    Ok(summary)
}

fn read_header<R: Read>(input: &mut Input<R>) -> Result<u32, RdbError> {
    let at_start = |reason| RdbError { offset: 0, reason };
    if input.array::<{ MAGIC.len() }>()? != *MAGIC {
        return Err(at_start(Reason::Magic));
    }
    let digits = input.array::<4>()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(at_start(Reason::Magic));
    }
    let version = digits.iter().fold(0, |version, digit| version * 10 + u32::from(digit - b'0'));
    if (1..=VERSION_MAX).contains(&version) { Ok(version) } else { Err(at_start(Reason::Version(version))) }
}

fn check_sum<R: Read>(input: &mut Input<R>) -> Result<(), RdbError> {
    let (offset, computed) = (input.offset(), input.sum());
    let stored = u64::from_le_bytes(input.array()?);
    if stored == 0 || stored == computed {
        return Ok(());
    }
    Err(RdbError { offset, reason: Reason::Checksum { stored, computed } })
}

/// The entry being read. Its buffers serve one entry after another.
#[derive(Default)]
struct Entry {
    db: u32,
    expire_ms: Option<u64>,
    access: Access,
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// A buffer beyond this is given back after the entry that needed it.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

impl Entry {
    /// Reads the key and the body; `offset` is where the type byte stood.
    fn read<R: Read>(&mut self, number: u8, offset: u64, input: &mut Input<R>) -> Result<(), RdbError> {
        self.key = input.string()?;
        self.payload.push(number);
        input.copy_body(number, &mut self.payload).map_err(|error| match error.reason {
            // The fault is in the type itself, not in what follows it.
            Reason::Module | Reason::Value(BadPayload::Kind(_)) => RdbError { offset, ..error },
            _ => error,
        })
    }

    fn record(&self) -> Record<'_> {
        Record {
            db: self.db,
            key: &self.key,
            expire_ms: self.expire_ms,
            access: self.access,
            payload: &self.payload,
        }
    }

    fn reset(&mut self) {
        (self.expire_ms, self.access) = (None, Access::Unknown);
        self.payload.clear();
        self.payload.shrink_to(BUFFER_BYTES_MAX);
    }
}
