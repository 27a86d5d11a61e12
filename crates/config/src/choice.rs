//! Directives whose value is one name out of a few, as Rust enums.

/// A value chosen from a fixed list of names.
pub trait Choice: Copy + Sized + 'static {
    /// Every name, in the order of the variants and of the error text.
    const NAMES: &'static [&'static str];

    /// The variant at this place in [`Choice::NAMES`].
    fn from_index(index: u8) -> Option<Self>;
}

macro_rules! choice {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Choice for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn from_index(index: u8) -> Option<Self> {
                [$(Self::$variant),+].get(usize::from(index)).copied()
            }
        }
    };
}

choice! {
    /// `appendfsync`: `always` is durable, the others make the default class relaxed.
    AppendFsync { EverySec = "everysec", Always = "always", No = "no" }
}
choice! {
    /// `maxmemory-policy`: eviction of the default class.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random", VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", NoEviction = "noeviction",
    }
}
choice! {
    /// `loglevel`.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning" }
}
choice! {
    /// `log-format`: how a log line is written.
    LogFormat { Text = "text", Json = "json" }
}
choice! {
    /// Who may use what is protected: nobody, everybody, local connections only.
    ProtectedAction { No = "no", Yes = "yes", Local = "local" }
}
choice! {
    /// `acl-pubsub-default`: the channels of a newly created user.
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
}
choice! {
    /// `sanitize-dump-payload`.
    SanitizeDump { No = "no", Yes = "yes", Clients = "clients" }
}
