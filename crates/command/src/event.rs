//! Keyspace events: what an effect is called when clients watch for it.

/// The letters of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NotifyClass {
    /// `g`: DEL, EXPIRE, RENAME…
    Generic = b'g',
    /// `$`: strings.
    String = b'$',
    /// `l`: lists.
    List = b'l',
    /// `s`: sets.
    Set = b's',
    /// `h`: hashes.
    Hash = b'h',
    /// `z`: sorted sets.
    Zset = b'z',
    /// `x`: expired keys.
    Expired = b'x',
    /// `e`: evicted keys.
    Evicted = b'e',
    /// `t`: streams.
    Stream = b't',
    /// `m`: misses.
    Miss = b'm',
    /// `n`: new keys.
    New = b'n',
}

/// An event's class and name. `Event::NONE` is a change that Redis does not announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(pub Option<(NotifyClass, &'static str)>);

impl Event {
    /// Not announced.
    pub const NONE: Event = Event(None);

    /// A generic event.
    pub const fn generic(name: &'static str) -> Self {
        Self(Some((NotifyClass::Generic, name)))
    }

    /// A string event.
    pub const fn string(name: &'static str) -> Self {
        Self(Some((NotifyClass::String, name)))
    }

    /// A list event.
    pub const fn list(name: &'static str) -> Self {
        Self(Some((NotifyClass::List, name)))
    }

    /// A set event.
    pub const fn set(name: &'static str) -> Self {
        Self(Some((NotifyClass::Set, name)))
    }

    /// A hash event.
    pub const fn hash(name: &'static str) -> Self {
        Self(Some((NotifyClass::Hash, name)))
    }

    /// A sorted-set event.
    pub const fn zset(name: &'static str) -> Self {
        Self(Some((NotifyClass::Zset, name)))
    }

    /// A stream event.
    pub const fn stream(name: &'static str) -> Self {
        Self(Some((NotifyClass::Stream, name)))
    }

    /// A key's time had come.
    pub const EXPIRED: Event = Event(Some((NotifyClass::Expired, "expired")));
    /// A key was evicted.
    pub const EVICTED: Event = Event(Some((NotifyClass::Evicted, "evicted")));
    /// A key was removed.
    pub const DEL: Event = Event::generic("del");
}
