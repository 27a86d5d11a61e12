//! What can be wrong with a configuration, and what is worth a line in the log.

use std::{error::Error, fmt, sync::Arc};

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    File {
        /// The file, as the caller named it.
        name: Arc<str>,
        /// The line, counted from 1.
        line: usize,
        /// The line itself; only its first word when the rest is a secret.
        text: String,
    },
    /// A flag of the command line.
    Flag {
        /// The flag; without its value when that is a secret.
        text: String,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// The configuration as a whole.
    Whole,
}

/// Why a value is refused, in Redis' words where Redis has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither `yes` nor `no`.
    NotYesNo,
    /// No whole number.
    NotInteger,
    /// No octal number.
    NotOctal,
    /// No number of bytes.
    NotMemory,
    /// Neither a number of bytes nor a percentage.
    NotMemoryOrPercent,
    /// A percentage above 100.
    PercentAbove,
    /// Outside of inclusive bounds.
    OutOfRange {
        /// Smallest value.
        min: i128,
        /// Largest value.
        max: i128,
        /// Whether to show the bounds in octal.
        octal: bool,
    },
    /// None of the known names.
    NotOneOf(&'static [&'static str]),
    /// `save` and `nosave` at once.
    SaveAndNosave,
    /// Too few or too many arguments.
    WrongCount,
    /// Save points that are no pairs of numbers.
    SaveParameters,
    /// Buffer limits that do not come in fours.
    BufferCount,
    /// An unknown class of clients.
    BufferClass,
    /// A limit that is no number.
    BufferNumbers,
    /// A score outside of -2000 to 2000.
    OomRange,
    /// An unknown letter.
    EventClass,
    /// More addresses than can be bound.
    TooManyAddresses,
    /// A port of the master that is none.
    MasterPort,
    /// A percentile that is no number.
    PercentileNumber,
    /// A percentile outside of 0 to 100.
    PercentileRange,
    /// `dbfilename` with a path.
    DbFileNamePath,
    /// `appendfilename` is empty.
    AppendFileNameEmpty,
    /// `appendfilename` with a path.
    AppendFileNamePath,
    /// `appenddirname` is empty.
    AppendDirNameEmpty,
    /// `appenddirname` with a path.
    AppendDirNamePath,
    /// A host name that is too long.
    HostnameLength,
    /// A host name with other characters than letters, digits, hyphens and dots.
    HostnameCharacters,
    /// A node name with special characters.
    NodeNameCharacters,
    /// An unknown variable or an open brace.
    ProcTitle,
    /// More lines of one directive than are kept.
    TooManyRows,
    /// A NUL byte, which no path or name can hold.
    NulByte,
    /// Sessile does not have what the value asks for.
    Refused {
        /// Why.
        reason: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

/// Why `CONFIG SET` refuses one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No such parameter.
    Unknown,
    /// Settable at start only.
    Immutable,
    /// `enable-protected-configs` does not allow it.
    Protected,
    /// Named twice in one command.
    Duplicate,
    /// Not while data is loading; Redis answers this with its `LOADING` error.
    Loading,
    /// The value is wrong.
    Argument(Reason),
}

/// A refused `CONFIG SET`; its text is Redis' error without the leading `ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetError {
    /// The parameter, as Redis shows it.
    pub name: String,
    /// Why.
    pub error: ConfigError,
}

/// Why the start is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what to do.
    pub problem: Problem,
}

/// What is wrong with a configuration at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A quote is open, or text follows a closing one.
    UnbalancedQuotes,
    /// No such directive.
    Unknown {
        /// The name.
        name: String,
        /// The known name that is nearest.
        nearest: Option<&'static str>,
    },
    /// The value is wrong.
    Argument {
        /// The directive.
        name: &'static str,
        /// Why.
        reason: Reason,
    },
    /// Two directives contradict each other.
    Contradiction {
        /// One.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
    /// An `include` that the caller did not resolve, or one where none can be.
    IncludeHere,
    /// More files included than allowed.
    TooManyIncludes {
        /// The bound.
        max: usize,
    },
    /// Files include each other too deep.
    IncludeTooDeep {
        /// The bound.
        max: usize,
    },
    /// A file larger than allowed.
    FileTooLarge {
        /// The bound, in bytes.
        max: usize,
    },
    /// A flag that needs a number did not get one.
    TestMemory,
}

/// Something that does not stop the start but belongs in the log; its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A directive is set to something that has no effect.
    NoEffect {
        /// The directive.
        name: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The rest of a line was taken as a comment, which Redis would refuse.
    TrailingComment {
        /// The line.
        place: Place,
    },
    /// A variable of the environment belongs to a container platform and was left alone.
    ForeignVariable {
        /// Its name.
        name: String,
    },
}

/// Characters of a line that an error quotes: what is wrong stands behind it.
const QUOTED_MAX_CHARS: usize = 200;

/// A quoted text, cut where it is long.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED_MAX_CHARS) {
            Some((end, _)) => write!(out, "{}…", &self.0[..end]),
            None => out.write_str(self.0),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, text } => write!(out, "{name}, line {line}: `{}`", Cut(text)),
            Self::Flag { text } => write!(out, "command line: `--{}`", Cut(text)),
            Self::Environment { name } => write!(out, "environment: {name}"),
            Self::Whole => out.write_str("configuration"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::OutOfRange { min, max, octal: false } => {
                return write!(out, "argument must be between {min} and {max} inclusive");
            }
            Self::OutOfRange { min, max, octal: true } => {
                return write!(out, "argument must be between {min:o} and {max:o} inclusive");
            }
            Self::NotOneOf(names) => {
                return write!(out, "argument(s) must be one of the following: {}", names.join(", "));
            }
            Self::Refused { reason, remedy } => return write!(out, "{reason}; {remedy}"),
            Self::NotYesNo => "argument must be 'yes' or 'no'",
            Self::NotInteger => "argument couldn't be parsed into an integer",
            Self::NotOctal => "argument couldn't be parsed as an octal number",
            Self::NotMemory => "argument must be a memory value",
            Self::NotMemoryOrPercent => "argument must be a memory or percent value",
            Self::PercentAbove => "percentage argument must be less or equal to 100",
            Self::SaveAndNosave => "shutdown options SAVE and NOSAVE can't be used simultaneously",
            Self::WrongCount => "wrong number of arguments",
            Self::SaveParameters => "Invalid save parameters",
            Self::BufferCount => "Wrong number of arguments in buffer limit configuration.",
            Self::BufferClass => "Invalid client class specified in buffer limit configuration.",
            Self::BufferNumbers => {
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            }
            Self::OomRange => "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
            Self::EventClass => "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            Self::TooManyAddresses => "Too many bind addresses specified.",
            Self::MasterPort => "Invalid master port",
            Self::PercentileNumber => "Invalid latency-tracking-info-percentiles parameters",
            Self::PercentileRange => {
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
            }
            Self::DbFileNamePath => "dbfilename can't be a path, just a filename",
            Self::AppendFileNameEmpty => "appendfilename can't be empty",
            Self::AppendFileNamePath => "appendfilename can't be a path, just a filename",
            Self::AppendDirNameEmpty => "appenddirname can't be empty",
            Self::AppendDirNamePath => "appenddirname can't be a path, just a dirname",
            Self::HostnameLength => "Hostnames must be less than 256 characters",
            Self::HostnameCharacters => "Hostnames may only contain alphanumeric characters, hyphens or dots",
            Self::NodeNameCharacters => "Announced human node name contained invalid character",
            Self::ProcTitle => "template format is invalid or contains unknown variables",
            Self::TooManyRows => "more lines of this directive than are kept; remove some",
            Self::NulByte => "argument can't hold a NUL byte",
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("Unknown option or number of arguments for CONFIG SET"),
            Self::Immutable => out.write_str("can't set immutable config"),
            Self::Protected => out.write_str("can't set protected config"),
            Self::Duplicate => out.write_str("duplicate parameter"),
            Self::Loading => out.write_str("not while data is loading"),
            Self::Argument(reason) => reason.fmt(out),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, error } = self;
        match error {
            ConfigError::Unknown => write!(out, "{error} - '{name}'"),
            _ => write!(out, "CONFIG SET failed (possibly related to argument '{name}') - {error}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnbalancedQuotes => out.write_str("unbalanced quotes; close the quote or escape it"),
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(out, "there is no directive `{}`; did you mean `{nearest}`?", Cut(name))
            }
            Self::Unknown { name, nearest: None } => {
                write!(out, "there is no directive `{}`; remove it", Cut(name))
            }
            Self::Argument { name, reason } => write!(out, "`{name}`: {reason}"),
            Self::Contradiction { left, right } => {
                write!(out, "`{left}` and `{right}` are both set; keep one of them")
            }
            Self::IncludeHere => {
                out.write_str("`include` works in a configuration file only; name the file there")
            }
            Self::TooManyIncludes { max } => {
                write!(out, "more than {max} files are included; look for files that include each other")
            }
            Self::IncludeTooDeep { max } => {
                write!(out, "files include each other more than {max} deep; look for a circle")
            }
            Self::FileTooLarge { max } => {
                write!(out, "the file is larger than {max} bytes; is it a configuration file?")
            }
            Self::TestMemory => {
                out.write_str("`--test-memory` needs the memory to test in megabytes, such as 4096")
            }
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.problem)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEffect { name, reason } => write!(out, "`{name}` has no effect: {reason}"),
            Self::TrailingComment { place } => {
                write!(out, "{place}: what follows `#` was taken as a comment; Redis would refuse the line")
            }
            Self::ForeignVariable { name } => {
                write!(out, "environment: {name} was set by a container platform and is ignored")
            }
        }
    }
}

impl Error for StartError {}
impl Error for SetError {}
impl Error for ConfigError {}
impl Error for Reason {}
