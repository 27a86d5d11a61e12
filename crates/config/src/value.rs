//! Typed values: how each kind is read, shown and compared.

use std::fmt::Write as _;

use crate::{
    directive::{Check, Directive, Flags, Kind},
    error::Reason,
    number,
};

/// Most addresses that `bind` takes.
const BIND_MAX: usize = 16;
/// A host name is shorter than this, in bytes.
const HOSTNAME_MAX: usize = 256;
/// Most lines that accumulate for one directive, such as `rename-command`.
const ROWS_MAX: usize = 10_000;
/// Most save points.
const SAVE_POINTS_MAX: usize = 1000;
/// `hz` is moved into these bounds.
const HZ_BOUNDS: (i64, i64) = (1, 500);

/// The value of a directive; its variant follows from the directive's [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// A number, be it decimal or octal.
    Int(i64),
    /// A number of bytes.
    Memory(u64),
    /// A number of bytes or a share of `maxmemory`.
    Limit(MemoryLimit),
    /// A place in the names of the directive.
    Choice(u8),
    /// What a signal does.
    Shutdown(ShutdownOptions),
    /// Text, of any bytes.
    Text(Vec<u8>),
    /// Save points.
    Save(Vec<SavePoint>),
    /// Scores: master, replica, child.
    OomScores([i64; 3]),
    /// Event classes.
    Notify(NotifyFlags),
    /// Limits: normal, replica, pub/sub.
    OutputLimits([OutputLimit; 3]),
    /// Addresses, each with its optional `-` in front.
    Bind(Vec<Vec<u8>>),
    /// The master, if any.
    Master(Option<Master>),
    /// Percentiles.
    Percentiles(Vec<f64>),
    /// Arguments of each such line.
    Rows(Vec<Vec<Vec<u8>>>),
}

/// `maxmemory-clients`: bytes (0: none) or a share of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Bytes.
    Bytes(u64),
    /// Percent of `maxmemory`.
    Percent(u8),
}

/// One save point: after this many seconds, if at least so many changes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Changes, at least.
    pub changes: u64,
    /// Seconds, at least 1.
    pub seconds: u64,
}

/// One limit on the output that waits for a client; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Ends the connection at once, in bytes.
    pub hard_bytes: u64,
    /// Ends it after `soft_seconds`, in bytes.
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded, in seconds.
    pub soft_seconds: u64,
}

/// The address of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Host name or address.
    pub host: Vec<u8>,
    /// TCP port.
    pub port: u16,
}

/// What a signal does on shutdown; nothing set is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// Save even without save points.
    pub save: bool,
    /// Do not save even with save points.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go on when saving fails.
    pub force: bool,
}

/// Classes of keyspace events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(u16);

/// Letters in the order in which Redis shows them; a class' bit is its place.
const EVENT_LETTERS: &[u8; 14] = b"g$lshzxetdnKEm";
/// The ten classes that `A` stands for.
const EVENTS_ALL: u16 = (1 << 10) - 1;
/// The bit of `n`, which Redis does not show beside `A`.
const EVENT_NEW: u16 = 1 << 10;

impl NotifyFlags {
    /// Whether the class of this letter is on; `A` asks for all that it stands for.
    #[must_use]
    pub fn has(self, letter: u8) -> bool {
        let bits = Self::bits_of(letter).unwrap_or(0);
        bits != 0 && self.0 & bits == bits
    }

    /// Whether no class is on.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As Redis shows it; `complete` adds the `n` that Redis leaves out beside `A`.
    fn text(self, complete: bool) -> String {
        let all = self.0 & EVENTS_ALL == EVENTS_ALL;
        let covered = if all { EVENTS_ALL | if complete { 0 } else { EVENT_NEW } } else { 0 };
        let mut out = String::from(if all { "A" } else { "" });
        for (place, &letter) in EVENT_LETTERS.iter().enumerate() {
            if self.0 & !covered & (1 << place) != 0 {
                out.push(char::from(letter));
            }
        }
        out
    }

    fn bits_of(letter: u8) -> Option<u16> {
        if letter == b'A' {
            return Some(EVENTS_ALL);
        }
        EVENT_LETTERS.iter().position(|&known| known == letter).map(|place| 1 << place)
    }

    fn parse(text: &[u8]) -> Result<Self, Reason> {
        let all = text.iter().try_fold(0, |all, &letter| Some(all | Self::bits_of(letter)?));
        all.map(Self).ok_or(Reason::EventClass)
    }
}

impl Value {
    /// The default, read from its text.
    pub(crate) fn of_default(directive: &Directive, text: &str) -> Self {
        let words: Vec<&[u8]> = match directive.kind {
            Kind::Row { .. } => return Self::Rows(Vec::new()),
            Kind::ReplicaOf => return Self::Master(None),
            _ if directive.flags.has(Flags::MULTI_ARG) => {
                text.as_bytes().split(|&byte| byte == b' ').collect()
            }
            _ => vec![text.as_bytes()],
        };
        let empty = Self::OutputLimits([OutputLimit::default(); 3]);
        Self::parse(directive, &words, &empty, false).expect("a test reads every default")
    }

    /// Reads the arguments of a directive. `before` is its present value: some kinds add to it,
    /// save points only when `append` is set.
    pub(crate) fn parse(
        directive: &Directive,
        args: &[&[u8]],
        before: &Self,
        append: bool,
    ) -> Result<Self, Reason> {
        let only = || match args {
            [only] => Ok(*only),
            _ => Err(Reason::WrongCount),
        };
        // `x ""` is the way to say "none" where a list is asked for.
        let list: &[&[u8]] = if matches!(args, [b""]) { &[] } else { args };
        Ok(match directive.kind {
            Kind::Bool => Self::Bool(yes_no(only()?)?),
            Kind::Int { min, max } => {
                let number = number::strict_int(only()?).ok_or(Reason::NotInteger)?;
                Self::Int(within(number, min, max, false)?)
            }
            Kind::Hz => {
                let number = number::strict_int(only()?).ok_or(Reason::NotInteger)?;
                let number = within(number, 0, i64::from(i32::MAX), false)?;
                Self::Int(number.clamp(HZ_BOUNDS.0, HZ_BOUNDS.1))
            }
            Kind::Octal { max } => {
                let number = number::loose_int(only()?, 8).ok_or(Reason::NotOctal)?;
                Self::Int(within(number, 0, max, true)?)
            }
            Kind::Memory { min, max } => {
                let bytes = number::memory(only()?).ok_or(Reason::NotMemory)?;
                Self::Memory(within(bytes, min, max, false)?)
            }
            Kind::MemoryOrPercent => Self::Limit(memory_limit(only()?)?),
            Kind::Enum(names) => Self::Choice(place_of(names, only()?).ok_or(Reason::NotOneOf(names))?),
            Kind::Shutdown => Self::Shutdown(shutdown(args)?),
            Kind::Text { check, .. } => Self::Text(text(only()?, check, directive.flags)?),
            Kind::Save => Self::Save(save(list, before, append)?),
            Kind::OomScores => Self::OomScores(oom_scores(args)?),
            Kind::NotifyFlags => Self::Notify(NotifyFlags::parse(only()?)?),
            Kind::ClientBufferLimits => Self::OutputLimits(output_limits(args, before)?),
            // A bare `bind` would close every door without a word.
            Kind::Bind if args.is_empty() => return Err(Reason::WrongCount),
            Kind::Bind if list.len() > BIND_MAX => return Err(Reason::TooManyAddresses),
            Kind::Bind => Self::Bind(list.iter().map(|address| address.to_vec()).collect()),
            Kind::ReplicaOf => Self::Master(master(args)?),
            Kind::Percentiles => Self::Percentiles(percentiles(list)?),
            Kind::Row { min, max } => Self::Rows(row(args, before, min, max)?),
        })
    }

    /// The value in the form of `CONFIG GET`.
    pub(crate) fn show(&self, directive: &Directive) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bind(addresses) => addresses.join(&b' '),
            Self::Master(Some(master)) => {
                let mut out = master.host.clone();
                out.extend_from_slice(format!(" {}", master.port).as_bytes());
                out
            }
            Self::Notify(flags) => flags.text(false).into_bytes(),
            _ => self.plain(directive).into_bytes(),
        }
    }

    /// Event classes with none left out, for a rewritten file.
    pub(crate) fn show_complete(&self, directive: &Directive) -> Vec<u8> {
        match self {
            Self::Notify(flags) => flags.text(true).into_bytes(),
            _ => self.show(directive),
        }
    }

    /// What consists of names and numbers only.
    fn plain(&self, directive: &Directive) -> String {
        match self {
            Self::Bool(yes) => String::from(if *yes { "yes" } else { "no" }),
            Self::Int(number) if matches!(directive.kind, Kind::Octal { .. }) => format!("{number:o}"),
            Self::Int(number) => number.to_string(),
            Self::Memory(bytes) | Self::Limit(MemoryLimit::Bytes(bytes)) => bytes.to_string(),
            Self::Limit(MemoryLimit::Percent(percent)) => format!("{percent}%"),
            Self::Choice(place) => match directive.kind {
                Kind::Enum(names) => names[usize::from(*place)].to_owned(),
                _ => unreachable!("only names are chosen by place"),
            },
            Self::Shutdown(options) => options.names().join(" "),
            Self::Save(points) => {
                join(points.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
            }
            Self::OomScores(scores) => join(scores.iter().map(i64::to_string)),
            Self::OutputLimits(limits) => join(CLASSES.iter().zip(limits).map(|(class, limit)| {
                format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
            })),
            Self::Percentiles(numbers) => join(numbers.iter().map(|number| percentile_text(*number))),
            Self::Master(_) | Self::Rows(_) | Self::Text(_) | Self::Bind(_) | Self::Notify(_) => {
                String::new()
            }
        }
    }
}

impl ShutdownOptions {
    const NAMES: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];

    fn names(self) -> Vec<&'static str> {
        let set = [self.save, self.nosave, self.now, self.force];
        let names: Vec<_> =
            Self::NAMES[1..].iter().zip(set).filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        if names.is_empty() { vec![Self::NAMES[0]] } else { names }
    }
}

/// Classes of clients in the order of the limits, by the names that `CONFIG GET` shows.
pub(crate) const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn join(parts: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for part in parts {
        let space = if out.is_empty() { "" } else { " " };
        write!(out, "{space}{part}").expect("a string takes every write");
    }
    out
}

/// Six digits after the point, without the zeros at the end.
pub(crate) fn percentile_text(number: f64) -> String {
    let long = format!("{number:.6}");
    long.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn yes_no(text: &[u8]) -> Result<bool, Reason> {
    match place_of(&["no", "yes"], text) {
        Some(place) => Ok(place == 1),
        None => Err(Reason::NotYesNo),
    }
}

fn place_of(names: &[&str], text: &[u8]) -> Option<u8> {
    let place = names.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(text))?;
    u8::try_from(place).ok()
}

fn within<T: Copy + Into<i128>>(number: T, min: T, max: T, octal: bool) -> Result<T, Reason> {
    let (value, min, max) = (number.into(), min.into(), max.into());
    if (min..=max).contains(&value) { Ok(number) } else { Err(Reason::OutOfRange { min, max, octal }) }
}

fn memory_limit(text: &[u8]) -> Result<MemoryLimit, Reason> {
    let percent = text.strip_suffix(b"%").and_then(number::strict_int).filter(|percent| *percent >= 0);
    if let Some(percent) = percent {
        let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        // Redis keeps 0 % and 0 bytes apart in no way: both mean that there is no limit.
        return match percent.ok_or(Reason::PercentAbove)? {
            0 => Ok(MemoryLimit::Bytes(0)),
            percent => Ok(MemoryLimit::Percent(percent)),
        };
    }
    number::memory(text).map(MemoryLimit::Bytes).ok_or(Reason::NotMemoryOrPercent)
}

fn shutdown(args: &[&[u8]]) -> Result<ShutdownOptions, Reason> {
    let mut options = ShutdownOptions::default();
    if args.is_empty() {
        return Err(Reason::NotOneOf(ShutdownOptions::NAMES));
    }
    for arg in args {
        match place_of(ShutdownOptions::NAMES, arg).ok_or(Reason::NotOneOf(ShutdownOptions::NAMES))? {
            1 => options.save = true,
            2 => options.nosave = true,
            3 => options.now = true,
            4 => options.force = true,
            _ => {}
        }
    }
    if options.save && options.nosave { Err(Reason::SaveAndNosave) } else { Ok(options) }
}

fn text(text: &[u8], check: Check, flags: Flags) -> Result<Vec<u8>, Reason> {
    if text.contains(&0) && !flags.has(Flags::SENSITIVE) {
        return Err(Reason::NulByte);
    }
    let path = text.contains(&b'/');
    let wrong = match check {
        Check::Any => None,
        Check::DbFileName => path.then_some(Reason::DbFileNamePath),
        Check::AppendFileName if text.is_empty() => Some(Reason::AppendFileNameEmpty),
        Check::AppendFileName => path.then_some(Reason::AppendFileNamePath),
        Check::AppendDirName if text.is_empty() => Some(Reason::AppendDirNameEmpty),
        Check::AppendDirName => path.then_some(Reason::AppendDirNamePath),
        Check::Hostname if text.len() >= HOSTNAME_MAX => Some(Reason::HostnameLength),
        Check::Hostname => {
            let fine = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte));
            (!fine).then_some(Reason::HostnameCharacters)
        }
        Check::NodeName => {
            let special = b"!#$%&()*+:;<>?@[]^{|}~,='\"\\";
            let fine = text.iter().all(|byte| byte.is_ascii_graphic() && !special.contains(byte));
            (!fine).then_some(Reason::NodeNameCharacters)
        }
        Check::ProcTitle => (text.is_empty() || !is_title_template(text)).then_some(Reason::ProcTitle),
    };
    wrong.map_or_else(|| Ok(text.to_vec()), Err)
}

/// Whether every `{variable}` is known; `{{` is a plain brace.
fn is_title_template(template: &[u8]) -> bool {
    const KNOWN: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    let mut rest = template;
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix(b"{") {
            rest = after;
            continue;
        }
        let Some(close) = rest.iter().position(|&byte| byte == b'}') else { return false };
        if !KNOWN.contains(&&rest[..close]) {
            return false;
        }
        rest = &rest[close + 1..];
    }
    true
}

fn save(list: &[&[u8]], before: &Value, append: bool) -> Result<Vec<SavePoint>, Reason> {
    let mut points = match before {
        Value::Save(points) if append && !list.is_empty() => points.clone(),
        _ => Vec::new(),
    };
    let number = |text: &[u8], min: i64| {
        let number = number::loose_int(text, 10).filter(|number| *number >= min);
        number.and_then(|number| u64::try_from(number).ok()).ok_or(Reason::SaveParameters)
    };
    for pair in list.chunks(2) {
        let &[seconds, changes] = pair else { return Err(Reason::SaveParameters) };
        points.push(SavePoint { seconds: number(seconds, 1)?, changes: number(changes, 0)? });
    }
    if points.len() > SAVE_POINTS_MAX { Err(Reason::SaveParameters) } else { Ok(points) }
}

fn oom_scores(args: &[&[u8]]) -> Result<[i64; 3], Reason> {
    let args: [&[u8]; 3] = args.try_into().map_err(|_| Reason::WrongCount)?;
    let mut scores = [0; 3];
    for (score, arg) in scores.iter_mut().zip(args) {
        let number = number::loose_int(arg, 10).filter(|number| (-2000..=2000).contains(number));
        *score = number.ok_or(Reason::OomRange)?;
    }
    Ok(scores)
}

fn output_limits(args: &[&[u8]], before: &Value) -> Result<[OutputLimit; 3], Reason> {
    let mut limits = match before {
        Value::OutputLimits(limits) => *limits,
        _ => [OutputLimit::default(); 3],
    };
    if !args.len().is_multiple_of(4) {
        return Err(Reason::BufferCount);
    }
    for four in args.chunks_exact(4) {
        let class = if four[0].eq_ignore_ascii_case(b"replica") { b"slave" } else { four[0] };
        let place = place_of(&CLASSES, class).ok_or(Reason::BufferClass)?;
        let seconds = number::loose_int(four[3], 10).and_then(|seconds| u64::try_from(seconds).ok());
        limits[usize::from(place)] = OutputLimit {
            hard_bytes: number::memory(four[1]).ok_or(Reason::BufferNumbers)?,
            soft_bytes: number::memory(four[2]).ok_or(Reason::BufferNumbers)?,
            soft_seconds: seconds.ok_or(Reason::BufferNumbers)?,
        };
    }
    Ok(limits)
}

fn master(args: &[&[u8]]) -> Result<Option<Master>, Reason> {
    let &[host, port] = args else { return Err(Reason::WrongCount) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(None);
    }
    let port = number::loose_int(port, 10).and_then(|port| u16::try_from(port).ok());
    Ok(Some(Master { host: host.to_vec(), port: port.ok_or(Reason::MasterPort)? }))
}

fn percentiles(list: &[&[u8]]) -> Result<Vec<f64>, Reason> {
    let mut numbers = Vec::with_capacity(list.len());
    for arg in list {
        let number = std::str::from_utf8(arg).ok().and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| !number.is_nan()).ok_or(Reason::PercentileNumber)?;
        if !(0.0..=100.0).contains(&number) {
            return Err(Reason::PercentileRange);
        }
        numbers.push(number);
    }
    Ok(numbers)
}

fn row(args: &[&[u8]], before: &Value, min: usize, max: usize) -> Result<Vec<Vec<Vec<u8>>>, Reason> {
    if !(min..=max).contains(&args.len()) {
        return Err(Reason::WrongCount);
    }
    if matches!(before, Value::Rows(rows) if rows.len() >= ROWS_MAX) {
        return Err(Reason::TooManyRows);
    }
    let mut rows = match before {
        Value::Rows(rows) => rows.clone(),
        _ => Vec::new(),
    };
    rows.push(args.iter().map(|arg| arg.to_vec()).collect());
    Ok(rows)
}
