//! What a directive is: its name, its grammar, its default and what Sessile does with it.

use crate::{number::edit_distance, table};

/// Longest unknown name for which a suggestion is looked up, in bytes.
const SUGGEST_NAME_MAX: usize = 64;

/// The name that the program was started under; it decides a few defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persona {
    /// Started as `sessile`: loopback only, data in a directory of its own.
    Sessile,
    /// Started as `redis-server`: what Redis does.
    RedisServer,
}

/// The place of a directive in the table; the constants in [`table`] are of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(crate) u16);

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// Older names for the same value.
    pub aliases: &'static [&'static str],
    /// The grammar of the value.
    pub kind: Kind,
    /// The default, in the form of `CONFIG GET`; see [`Directive::default_for`].
    pub default: &'static str,
    /// How it may be set and shown.
    pub flags: Flags,
    /// What Sessile does with it.
    pub standing: Standing,
}

/// The grammar of a value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number within inclusive bounds.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A whole number that is moved into 1 to 500 instead of being refused.
    Hz,
    /// A number of bytes within inclusive bounds, with an optional unit.
    Memory {
        /// Smallest value, in bytes.
        min: u64,
        /// Largest value, in bytes.
        max: u64,
    },
    /// A number of bytes, or a share of `maxmemory` in percent.
    MemoryOrPercent,
    /// File permissions, in octal.
    Octal {
        /// Largest value.
        max: i64,
    },
    /// One of these names.
    Enum(&'static [&'static str]),
    /// What a signal does on shutdown: some of `save`, `nosave`, `now`, `force`.
    Shutdown,
    /// Text.
    Text {
        /// Empty text means that nothing is set, so that a rewrite drops the line.
        empty_is_none: bool,
        /// What the text must satisfy.
        check: Check,
    },
    /// Pairs of seconds and changes.
    Save,
    /// Three numbers between -2000 and 2000.
    OomScores,
    /// Event classes, one letter each.
    NotifyFlags,
    /// Class, hard limit, soft limit and seconds, repeated.
    ClientBufferLimits,
    /// Addresses.
    Bind,
    /// Host and port, or `no one`.
    ReplicaOf,
    /// Percentiles between 0 and 100.
    Percentiles,
    /// A line of the file that accumulates and is no value of `CONFIG GET`.
    Row {
        /// Fewest arguments.
        min: usize,
        /// Most arguments.
        max: usize,
    },
}

/// What a text must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Anything.
    Any,
    /// `dbfilename`: a file name, no path.
    DbFileName,
    /// `appendfilename`: a file name, not empty, no path.
    AppendFileName,
    /// `appenddirname`: a directory name, not empty, no path.
    AppendDirName,
    /// Letters, digits, hyphens, dots.
    Hostname,
    /// Printable text without spaces, quotes or the like.
    NodeName,
    /// `proc-title-template`: only known variables.
    ProcTitle,
}

/// How a directive may be set and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// May be set while running, with one argument.
    pub const NONE: Self = Self(0);
    /// Only settable at start.
    pub const IMMUTABLE: Self = Self(1);
    /// Takes several arguments.
    pub const MULTI_ARG: Self = Self(1 << 1);
    /// Its value is a secret and must not be logged.
    pub const SENSITIVE: Self = Self(1 << 2);
    /// `CONFIG GET` shows it only under its full name.
    pub const HIDDEN: Self = Self(1 << 3);
    /// Settable while running only as `enable-protected-configs` allows.
    pub const PROTECTED: Self = Self(1 << 4);
    /// Not settable while data is loading.
    pub const DENY_LOADING: Self = Self(1 << 5);
    /// A line of the file: `CONFIG GET` and `CONFIG SET` do not know it.
    pub const FILE_ONLY: Self = Self(1 << 6);

    /// Both sets of flags.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What Sessile does with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It means what it means in Redis, or, for Sessile's own, what the manual says.
    Honoured,
    /// It is read and kept; the text completes "no effect: …".
    Accepted(&'static str),
    /// Any value but the default stops the start.
    StopsStart {
        /// Why, as the first half of a sentence.
        reason: &'static str,
        /// What to do, as the second half.
        remedy: &'static str,
    },
}

impl Id {
    /// The row of the table.
    #[must_use]
    pub fn directive(self) -> &'static Directive {
        &table::TABLE[usize::from(self.0)]
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Directive {
    /// The default under the name that the program was started as.
    #[must_use]
    pub fn default_for(&self, persona: Persona) -> &'static str {
        match (persona, self.name) {
            (Persona::RedisServer, "dir") => "./",
            (Persona::RedisServer, "bind") => "* -::*",
            _ => self.default,
        }
    }

    /// Whether `CONFIG GET` knows it (perhaps only under its full name).
    #[must_use]
    pub fn is_parameter(&self) -> bool {
        !self.flags.has(Flags::FILE_ONLY)
    }
}

/// Every directive in the order of the table.
pub fn directives() -> impl ExactSizeIterator<Item = (Id, &'static Directive)> {
    table::TABLE
        .iter()
        .enumerate()
        .map(|(index, directive)| (Id(u16::try_from(index).expect("the table is short")), directive))
}

/// The directive of this name or alias, in any case of letters.
#[must_use]
pub fn find(name: &[u8]) -> Option<Id> {
    directives()
        .find(|(_, directive)| {
            let matches = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
            matches(directive.name) || directive.aliases.iter().any(|alias| matches(alias))
        })
        .map(|(id, _)| id)
}

/// The known name that is nearest to an unknown one, when one is near enough to be meant.
#[must_use]
pub fn nearest(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() || name.len() > SUGGEST_NAME_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let far = (name.len() / 3).max(1);
    directives()
        .filter(|(_, directive)| !directive.flags.has(Flags::HIDDEN))
        .flat_map(|(_, directive)| std::iter::once(directive.name).chain(directive.aliases.iter().copied()))
        .map(|known| (edit_distance(&name, known.as_bytes()), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= far)
        .map(|(_, known)| known)
}
