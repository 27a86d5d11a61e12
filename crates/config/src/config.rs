//! The configuration: a typed value for every directive.

use std::borrow::Cow;

use crate::{
    choice::{Choice, ProtectedAction},
    directive::{Directive, Flags, Id, Kind, Persona, Standing, directives, find},
    error::{ConfigError, Reason, SetError},
    table,
    value::{MemoryLimit, NotifyFlags, OutputLimit, SavePoint, ShutdownOptions, Value},
};

/// A value for every directive.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    persona: Persona,
    values: Vec<Value>,
    /// Which were set by anything at all.
    explicit: Vec<bool>,
}

/// What `appendonly` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOnly {
    /// Nothing: the durable journal is on.
    Unset,
    /// The durable journal is on.
    Yes,
    /// Redis' own mode: no journal, state is the dump.
    No,
}

/// One parameter that `CONFIG SET` went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The directive.
    pub id: Id,
    /// Whether its value is another one now.
    pub changed: bool,
}

/// Who asks for a `CONFIG SET`, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The connection comes from this machine.
    pub local: bool,
    /// Data is still loading.
    pub loading: bool,
}

impl Config {
    /// Every directive at its default.
    #[must_use]
    pub fn new(persona: Persona) -> Self {
        let values: Vec<_> = directives()
            .map(|(_, directive)| Value::of_default(directive, directive.default_for(persona)))
            .collect();
        Self { persona, explicit: vec![false; values.len()], values }
    }

    /// The name that the program was started under.
    #[must_use]
    pub fn persona(&self) -> Persona {
        self.persona
    }

    /// The value in the form of `CONFIG GET`, by name or alias; `None` when there is no such
    /// parameter.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let id = find(name).filter(|id| id.directive().is_parameter())?;
        Some(self.show(id))
    }

    /// The value in the form of `CONFIG GET`.
    #[must_use]
    pub fn show(&self, id: Id) -> Vec<u8> {
        self.value(id).show(id.directive())
    }

    /// The typed value.
    #[must_use]
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id.index()]
    }

    /// Whether anything set it: environment, file, flag or `CONFIG SET`.
    #[must_use]
    pub fn is_explicit(&self, id: Id) -> bool {
        self.explicit[id.index()]
    }

    /// Whether the value is the default.
    #[must_use]
    pub fn is_default(&self, id: Id) -> bool {
        let directive = id.directive();
        *self.value(id) == Value::of_default(directive, directive.default_for(self.persona))
    }

    /// `CONFIG SET` of one parameter; see [`Config::set_all`].
    ///
    /// # Errors
    /// When the parameter or its value is refused; nothing is changed then.
    pub fn set(&mut self, name: &[u8], value: &[u8], asker: Asker) -> Result<Change, SetError> {
        let mut changes = self.set_all(&[(name, value)], asker)?;
        Ok(changes.pop().expect("one change for one pair"))
    }

    /// `CONFIG SET`: all of the pairs are set, or none. To undo it later, keep a clone.
    ///
    /// # Errors
    /// When a parameter or its value is refused; the first one at fault is named.
    pub fn set_all(&mut self, pairs: &[(&[u8], &[u8])], asker: Asker) -> Result<Vec<Change>, SetError> {
        let mut ids = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let refuse = |error| SetError { name: String::from_utf8_lossy(name).into_owned(), error };
            let id = find(name).filter(|id| id.directive().is_parameter());
            let id = id.ok_or(ConfigError::Unknown).map_err(refuse)?;
            self.may_set(id, asker).map_err(refuse)?;
            if ids.contains(&id) {
                return Err(refuse(ConfigError::Duplicate));
            }
            ids.push(id);
        }
        let mut next = self.clone();
        let mut changes = Vec::with_capacity(pairs.len());
        for (id, (name, text)) in ids.into_iter().zip(pairs) {
            let changed = next.assign(id, &split_set(id.directive(), text), false).map_err(|reason| {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                SetError { name, error: ConfigError::Argument(reason) }
            })?;
            changes.push(Change { id, changed });
        }
        *self = next;
        Ok(changes)
    }

    /// Sets a value from its arguments, and refuses what Sessile does not have.
    fn assign(&mut self, id: Id, args: &[&[u8]], append: bool) -> Result<bool, Reason> {
        let before = self.value(id).clone();
        self.assign_at_start(id, args, append)?;
        if let Some(refused) = self.refused(id) {
            self.values[id.index()] = before;
            return Err(refused);
        }
        Ok(*self.value(id) != before)
    }

    /// Sets a value from its arguments; what stops the start is looked at when all are set.
    pub(crate) fn assign_at_start(&mut self, id: Id, args: &[&[u8]], append: bool) -> Result<(), Reason> {
        let value = Value::parse(id.directive(), args, self.value(id), append)?;
        self.values[id.index()] = value;
        self.explicit[id.index()] = true;
        Ok(())
    }

    /// Why the present value must stop the start, if it must.
    pub(crate) fn refused(&self, id: Id) -> Option<Reason> {
        match id.directive().standing {
            Standing::StopsStart { reason, remedy } if !self.is_default(id) => {
                Some(Reason::Refused { reason, remedy })
            }
            _ => None,
        }
    }

    fn may_set(&self, id: Id, asker: Asker) -> Result<(), ConfigError> {
        let flags = id.directive().flags;
        let protected = || match self.choice::<ProtectedAction>(table::ENABLE_PROTECTED_CONFIGS) {
            ProtectedAction::No => true,
            ProtectedAction::Yes => false,
            ProtectedAction::Local => !asker.local,
        };
        if asker.loading && flags.has(Flags::DENY_LOADING) {
            return Err(ConfigError::Loading);
        }
        if flags.has(Flags::IMMUTABLE) {
            return Err(ConfigError::Immutable);
        }
        if flags.has(Flags::PROTECTED) && protected() {
            return Err(ConfigError::Protected);
        }
        Ok(())
    }
}

/// Typed access. Each of these panics when the directive is of another kind: that is a mistake in
/// the program, which its first test run shows.
impl Config {
    /// A `yes` or `no`.
    #[must_use]
    pub fn bool(&self, id: Id) -> bool {
        match self.value(id) {
            Value::Bool(yes) => *yes,
            other => mismatch(id, other),
        }
    }

    /// A number.
    #[must_use]
    pub fn int(&self, id: Id) -> i64 {
        match self.value(id) {
            Value::Int(number) => *number,
            other => mismatch(id, other),
        }
    }

    /// A port; 0 is none.
    #[must_use]
    pub fn port(&self, id: Id) -> u16 {
        u16::try_from(self.int(id)).unwrap_or_else(|_| mismatch(id, self.value(id)))
    }

    /// A number of bytes.
    #[must_use]
    pub fn memory_bytes(&self, id: Id) -> u64 {
        match self.value(id) {
            Value::Memory(bytes) => *bytes,
            other => mismatch(id, other),
        }
    }

    /// One of a few names.
    #[must_use]
    pub fn choice<C: Choice>(&self, id: Id) -> C {
        let same_names = matches!(id.directive().kind, Kind::Enum(names) if names == C::NAMES);
        match self.value(id) {
            Value::Choice(place) if same_names => C::from_index(*place).expect("a place in the names"),
            other => mismatch(id, other),
        }
    }

    /// Text, as bytes; empty when nothing is set.
    #[must_use]
    pub fn bytes(&self, id: Id) -> &[u8] {
        match self.value(id) {
            Value::Text(text) => text,
            other => mismatch(id, other),
        }
    }

    /// Text for people to read.
    #[must_use]
    pub fn text(&self, id: Id) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(id))
    }

    /// Lines of the file that accumulate, such as `rename-command`: the arguments of each.
    #[must_use]
    pub fn rows(&self, id: Id) -> &[Vec<Vec<u8>>] {
        match self.value(id) {
            Value::Rows(rows) => rows,
            other => mismatch(id, other),
        }
    }

    /// `appendonly`.
    #[must_use]
    pub fn append_only(&self) -> AppendOnly {
        match (self.is_explicit(table::APPENDONLY), self.bool(table::APPENDONLY)) {
            (false, _) => AppendOnly::Unset,
            (true, true) => AppendOnly::Yes,
            (true, false) => AppendOnly::No,
        }
    }

    /// Without a journal, and without a word about save points, they are Redis' own.
    pub(crate) fn default_save_points(&mut self) {
        if self.append_only() == AppendOnly::No && !self.is_explicit(table::SAVE) {
            let point = |seconds, changes| SavePoint { seconds, changes };
            let points = vec![point(3600, 1), point(300, 100), point(60, 10_000)];
            self.values[table::SAVE.index()] = Value::Save(points);
        }
    }

    /// `save`.
    #[must_use]
    pub fn save_points(&self) -> &[SavePoint] {
        match self.value(table::SAVE) {
            Value::Save(points) => points,
            other => mismatch(table::SAVE, other),
        }
    }

    /// `bind`: addresses, each with a `-` in front when it may be missing.
    #[must_use]
    pub fn bind(&self) -> &[Vec<u8>] {
        match self.value(table::BIND) {
            Value::Bind(addresses) => addresses,
            other => mismatch(table::BIND, other),
        }
    }

    /// `notify-keyspace-events`.
    #[must_use]
    pub fn notify_flags(&self) -> NotifyFlags {
        match self.value(table::NOTIFY_KEYSPACE_EVENTS) {
            Value::Notify(flags) => *flags,
            other => mismatch(table::NOTIFY_KEYSPACE_EVENTS, other),
        }
    }

    /// `client-output-buffer-limit`: normal, replica, pub/sub.
    #[must_use]
    pub fn output_limits(&self) -> [OutputLimit; 3] {
        match self.value(table::CLIENT_OUTPUT_BUFFER_LIMIT) {
            Value::OutputLimits(limits) => *limits,
            other => mismatch(table::CLIENT_OUTPUT_BUFFER_LIMIT, other),
        }
    }

    /// `maxmemory-clients`.
    #[must_use]
    pub fn maxmemory_clients(&self) -> MemoryLimit {
        match self.value(table::MAXMEMORY_CLIENTS) {
            Value::Limit(limit) => *limit,
            other => mismatch(table::MAXMEMORY_CLIENTS, other),
        }
    }

    /// `shutdown-on-sigint` or `shutdown-on-sigterm`.
    #[must_use]
    pub fn shutdown_options(&self, id: Id) -> ShutdownOptions {
        match self.value(id) {
            Value::Shutdown(options) => *options,
            other => mismatch(id, other),
        }
    }

    /// `latency-tracking-info-percentiles`.
    #[must_use]
    pub fn percentiles(&self) -> &[f64] {
        match self.value(table::LATENCY_TRACKING_INFO_PERCENTILES) {
            Value::Percentiles(numbers) => numbers,
            other => mismatch(table::LATENCY_TRACKING_INFO_PERCENTILES, other),
        }
    }
}

/// The arguments of a `CONFIG SET` value: split at each space where several are taken.
fn split_set<'a>(directive: &Directive, text: &'a [u8]) -> Vec<&'a [u8]> {
    if directive.flags.has(Flags::MULTI_ARG) {
        text.split(|&byte| byte == b' ').collect()
    } else {
        vec![text]
    }
}

fn mismatch(id: Id, value: &Value) -> ! {
    let directive = id.directive();
    if directive.flags.has(Flags::SENSITIVE) {
        panic!("`{}` is of kind {:?}", directive.name, directive.kind);
    }
    panic!("`{}` is of kind {:?} and holds {value:?}", directive.name, directive.kind)
}
