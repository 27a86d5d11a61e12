//! A command's table entry.

use sessile_resp::{Args, OwnedArgs, Reply};

use crate::context::{ReadCx, WriteCx};
use crate::error::{Error, Outcome};

/// Number of arguments, the command's name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Just so many.
    Exactly(u8),
    /// So many or more.
    AtLeast(u8),
}

impl Arity {
    /// Whether a request of `len` arguments is admitted.
    pub const fn admits(self, len: usize) -> bool {
        match self {
            Arity::Exactly(n) => len == n as usize,
            Arity::AtLeast(n) => len >= n as usize,
        }
    }

    /// The signed form that COMMAND INFO gives.
    pub const fn signed(self) -> i64 {
        match self {
            Arity::Exactly(n) => n as i64,
            Arity::AtLeast(n) => -(n as i64),
        }
    }
}

/// Where the keys are among the arguments (0 is the command's name).
#[derive(Clone, Copy)]
pub enum Keys {
    /// There are none.
    None,
    /// From `first` to `last` (negative: from the end), every `step`.
    Range {
        /// Index of the first key.
        first: u8,
        /// Index of the last key; -1 is the last argument.
        last: i8,
        /// Distance from key to key.
        step: u8,
    },
    /// The argument at `count` says how many keys follow it; a key may stand before it at `also`.
    Counted {
        /// Index of the number of keys.
        count: u8,
        /// Index of a further key (a destination), 0 for none.
        also: u8,
    },
    /// Found by looking at the arguments; gives indexes.
    Dynamic(fn(Args<'_>) -> Result<Vec<usize>, Error>),
}

impl Keys {
    /// One key at index 1.
    pub const ONE: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// Keys from index 1 to the end.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };

    /// The indexes of the keys in a request whose arity is right.
    pub fn find(&self, args: Args<'_>) -> Result<Vec<usize>, Error> {
        match *self {
            Keys::None => Ok(Vec::new()),
            Keys::Range { first, last, step } => {
                let last = if last < 0 { args.len() as isize + last as isize } else { last as isize };
                let range = first as usize..(last + 1).max(first as isize) as usize;
                Ok(range.step_by(step as usize).filter(|&i| i < args.len()).collect())
            }
            Keys::Counted { count, also } => {
                let invalid = || Error::new("ERR Invalid arguments specified for command");
                let number = args
                    .get(count as usize)
                    .and_then(sessile_values::digits::parse_i64)
                    .ok_or_else(invalid)?;
                let number = usize::try_from(number).map_err(|_| invalid())?;
                if number > args.len() - count as usize - 1 {
                    return Err(invalid());
                }
                let also = (also > 0).then_some(also as usize);
                Ok(also.into_iter().chain((count as usize + 1)..=(count as usize + number)).collect())
            }
            Keys::Dynamic(find) => find(args),
        }
    }
}

/// A small set of flags.
macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $( $(#[$fdoc:meta])* $flag:ident = $bit:literal $text:literal ),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(u32);

        impl $name {
            /// None of them.
            pub const NONE: $name = $name(0);
            $( $(#[$fdoc])* pub const $flag: $name = $name(1 << $bit); )*

            /// Both sets together.
            pub const fn and(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// Whether every flag of `other` is in here.
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// The names of the flags that are set, in order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$( ($name::$flag, $text) ),*].into_iter().filter(move |(f, _)| self.has(*f)).map(|(_, text)| text)
            }
        }
    };
}

bits! {
    /// What a command needs or forbids. `write`, `readonly`, `blocking` and `movablekeys` are derived, not declared.
    Flags {
        /// Refused when memory is short.
        DENY_OOM = 0 "denyoom",
        /// For operators.
        ADMIN = 1 "admin",
        /// About pub/sub.
        PUBSUB = 2 "pubsub",
        /// Not from scripts.
        NO_SCRIPT = 3 "noscript",
        /// Allowed while loading.
        LOADING = 4 "loading",
        /// Allowed on a stale replica.
        STALE = 5 "stale",
        /// Not shown to MONITOR.
        SKIP_MONITOR = 6 "skip_monitor",
        /// Not in the slow log.
        SKIP_SLOWLOG = 7 "skip_slowlog",
        /// Takes constant or logarithmic time.
        FAST = 8 "fast",
        /// Allowed before AUTH.
        NO_AUTH = 9 "no_auth",
        /// Not inside MULTI.
        NO_MULTI = 10 "no_multi",
        /// Allowed while a script is past its time.
        ALLOW_BUSY = 11 "allow_busy",
        /// May have no key at all although it declares some.
        NO_MANDATORY_KEYS = 12 "no_mandatory_keys",
        /// May write although it is no write command.
        MAY_REPLICATE = 13 "may_replicate",
        /// Refused while data is loaded beside the commands that run.
        NO_ASYNC_LOADING = 14 "no_async_loading",
    }
}

bits! {
    /// ACL categories. `read`, `write`, `fast`, `slow`, `blocking`, `pubsub` are derived, and `admin` from the flag.
    Acl {
        /// Any key.
        KEYSPACE = 0 "@keyspace",
        /// Strings.
        STRING = 1 "@string",
        /// Bit operations.
        BITMAP = 2 "@bitmap",
        /// Hashes.
        HASH = 3 "@hash",
        /// Lists.
        LIST = 4 "@list",
        /// Sets.
        SET = 5 "@set",
        /// Sorted sets.
        SORTED_SET = 6 "@sortedset",
        /// Streams.
        STREAM = 7 "@stream",
        /// Transactions.
        TRANSACTION = 8 "@transaction",
        /// Scripts.
        SCRIPTING = 9 "@scripting",
        /// Connections.
        CONNECTION = 10 "@connection",
        /// May do harm in the wrong hands.
        DANGEROUS = 11 "@dangerous",
        /// Geo indexes.
        GEO = 12 "@geo",
        /// HyperLogLog.
        HYPERLOGLOG = 13 "@hyperloglog",
        /// For operators, although the command may be sent by all.
        ADMIN = 14 "@admin",
    }
}

/// What COMMAND DOCS and the command reference say.
#[derive(Clone, Copy, Debug)]
pub struct Docs {
    /// One sentence.
    pub summary: &'static str,
    /// The arguments behind the name, in the usual notation: `key value [NX | XX] [EX seconds | …]`.
    pub syntax: &'static str,
    /// The Redis version that brought the command.
    pub since: &'static str,
    /// The group in the command reference.
    pub group: &'static str,
    /// Its cost.
    pub complexity: &'static str,
}

/// What a blocking handler did.
pub enum Flow {
    /// It replied.
    Done,
    /// Nothing there yet: run it again when a key becomes ready or the time is over.
    Wait(Wait),
}

/// What a blocked client waits for.
pub struct Wait {
    /// Type of value that one of the command's keys must get.
    pub until: WaitFor,
    /// How long, in milliseconds; 0 for ever.
    pub timeout_ms: u64,
    /// How many of the command's keys it waits for, from the first: a move waits for its source only.
    pub keys_max: usize,
    /// The request to run again where it is not the one that came: XREAD's `$` is resolved once.
    pub again: Option<OwnedArgs>,
}

/// The type a blocked client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A list with an element.
    List,
    /// A sorted set with a member.
    Zset,
    /// A stream that grew, or (for a group reader) went.
    Stream,
}

/// The handler. The variant says what it may touch.
#[derive(Clone, Copy)]
pub enum Run {
    /// Changes nothing.
    Read(fn(ReadCx<'_>, Args<'_>, &mut Reply<'_>) -> Outcome),
    /// Emits effects.
    Write(fn(&mut WriteCx<'_>, Args<'_>, &mut Reply<'_>) -> Outcome),
    /// Changes nothing and may wait.
    BlockingRead(fn(ReadCx<'_>, Args<'_>, &mut Reply<'_>) -> Result<Flow, Error>),
    /// Emits effects or waits.
    BlockingWrite(fn(&mut WriteCx<'_>, Args<'_>, &mut Reply<'_>) -> Result<Flow, Error>),
    /// Chooses by its second word.
    Container(&'static [Command]),
    /// Belongs to connections or the node: the engine has the handler.
    Session,
}

/// A table entry.
pub struct Command {
    /// Lower case; a subcommand's own word.
    pub name: &'static str,
    /// Number of arguments.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: Keys,
    /// ACL categories.
    pub acl: Acl,
    /// What it needs or forbids.
    pub flags: Flags,
    /// Its documentation.
    pub docs: Docs,
    /// Its handler.
    pub run: Run,
}

impl Command {
    /// Whether it emits effects.
    pub const fn is_write(&self) -> bool {
        matches!(self.run, Run::Write(_) | Run::BlockingWrite(_))
    }

    /// Whether it only reads data.
    pub const fn is_read(&self) -> bool {
        matches!(self.run, Run::Read(_) | Run::BlockingRead(_))
    }

    /// Whether it may wait.
    pub const fn is_blocking(&self) -> bool {
        matches!(self.run, Run::BlockingRead(_) | Run::BlockingWrite(_))
    }
}

const fn less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] < b[i];
        }
        i += 1;
    }
    a.len() < b.len()
}

/// Checked when a table is compiled: sorted, unique, lower case, keys behind the name.
pub const fn check_table(table: &[&Command]) {
    let mut i = 0;
    while i < table.len() {
        let command = table[i];
        let name = command.name.as_bytes();
        let mut j = 0;
        while j < name.len() {
            assert!(!name[j].is_ascii_uppercase(), "command names are lower case");
            j += 1;
        }
        if let Keys::Range { first, step, .. } = command.keys {
            assert!(first > 0 && step > 0, "key ranges begin behind the name and step forward");
        }
        if i > 0 {
            assert!(less(table[i - 1].name, command.name), "a command table is sorted and has no name twice");
        }
        i += 1;
    }
}
