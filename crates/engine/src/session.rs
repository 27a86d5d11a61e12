//! One connection as the engine sees it.

use std::collections::{BTreeMap, HashSet};

use sessile_command::{OwnedArgs, WaitFor};
use sessile_keyspace::Gate;
use sessile_resp::{Parser, Proto};

use crate::output::Output;
use crate::table::Entry;

/// A connection's place in the engine; places are used again.
pub type ConnId = usize;

/// Where a connection came from.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `ip:port`, or the path of the socket with `:0`.
    pub addr: String,
    /// The address that it connected to.
    pub local_addr: String,
    /// The descriptor's number, for CLIENT LIST.
    pub fd: i32,
    /// Whether it came over the unix socket.
    pub unix: bool,
    /// Whether it came from this host.
    pub loopback: bool,
}

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// Replies are sent.
    On,
    /// They are not.
    Off,
    /// The reply to this command is not sent.
    SkipThis,
    /// The reply to the next command is not sent.
    SkipNext,
}

/// Commands queued by MULTI.
#[derive(Default)]
pub struct Multi {
    /// The commands with their arguments.
    pub queued: Vec<(&'static Entry, OwnedArgs)>,
    /// A command was refused; EXEC will be.
    pub aborted: bool,
    /// Bytes of the arguments, for CLIENT LIST.
    pub bytes: usize,
}

/// What a key under WATCH was when it was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// It was there but due when WATCH was called: its removal changes nothing.
    pub was_due: bool,
    /// It was there and not due.
    pub was_there: bool,
}

/// A command that waits for a key.
pub struct Blocked {
    /// The command.
    pub entry: &'static Entry,
    /// The request to run again.
    pub args: OwnedArgs,
    /// The keys it waits for.
    pub keys: Vec<Vec<u8>>,
    /// The type that one of them must get.
    pub until: WaitFor,
    /// When it gives up, on the engine's clock; 0 for never.
    pub deadline_ms: u64,
    /// Db of the keys.
    pub db: u32,
}

/// What a connection waits for beside keys.
pub struct Waiting {
    /// What it is.
    pub what: Awaited,
    /// When it gives up; 0 for never.
    pub deadline_ms: u64,
}

/// What ends the waiting, unless its time is over before.
pub enum Awaited {
    /// WAITAOF: this gate.
    Durable(Gate),
    /// SAVE: `dump.rdb` is written.
    Dump,
    /// SHUTDOWN: it cannot be, since `dump.rdb` cannot be written.
    Stop,
    /// DEBUG SLEEP: nothing does.
    Nothing,
}

impl Waiting {
    /// Whether the journal has come as far as WAITAOF asks.
    pub(crate) fn is_answered(&self, progress: Gate) -> bool {
        matches!(self.what, Awaited::Durable(gate) if gate.passes(progress))
    }
}

/// Classes of client-output-buffer-limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Everybody else.
    Normal = 0,
    /// Replicas.
    Replica = 1,
    /// Subscribers.
    Pubsub = 2,
}

/// A connection.
pub struct Session {
    /// CLIENT ID.
    pub id: u64,
    /// Where it came from.
    pub peer: Peer,
    /// The protocol it speaks.
    pub proto: Proto,
    /// The selected db.
    pub db: u32,
    /// Whether AUTH is settled.
    pub authenticated: bool,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Vec<u8>,
    /// MULTI.
    pub multi: Option<Multi>,
    /// WATCH.
    pub watched: BTreeMap<(u32, Vec<u8>), Watched>,
    /// A watched key was touched.
    pub watch_failed: bool,
    /// A blocking command.
    pub blocked: Option<Blocked>,
    /// A command that waits for something beside keys.
    pub waiting: Option<Waiting>,
    /// Its script runs past its time.
    pub running_script: bool,
    /// EXEC runs its commands.
    pub in_exec: bool,
    /// Channels of SUBSCRIBE.
    pub channels: HashSet<Vec<u8>>,
    /// Patterns of PSUBSCRIBE.
    pub patterns: HashSet<Vec<u8>>,
    /// Channels of SSUBSCRIBE.
    pub shard_channels: HashSet<Vec<u8>>,
    /// Whether MONITOR streams to it.
    pub monitor: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// The highest gate that a reply to it had: what it knows, and so what its PUBLISH may reveal.
    pub seen: Gate,
    /// Output.
    pub output: Output,
    /// Bytes of messages for it that the open transaction has published.
    pub outbox_bytes: usize,
    /// Bytes of an incomplete request, or of requests that came while it was blocked.
    pub input: Vec<u8>,
    /// How far the request is parsed.
    pub parser: Parser,
    /// It is closed once its output is sent.
    pub closing: bool,
    /// It is closed at once.
    pub killed: bool,
    /// It stands in the engine's list of gated connections.
    pub listed_gated: bool,
    /// It stands in the engine's list of connections to look at.
    pub listed_ready: bool,
    /// CLIENT PAUSE holds its next request up.
    pub postponed: bool,
    /// The longest that its output has been in the last seconds, and since when that is counted.
    pub output_peak: (usize, u64),
    /// Since when its output is above the soft limit, on the engine's clock; 0 for not.
    pub soft_since_ms: u64,
    /// When it connected, on the engine's clock.
    pub created_ms: u64,
    /// When it last sent something.
    pub active_ms: u64,
    /// Its last command, for CLIENT LIST.
    pub last_command: Option<&'static Entry>,
    /// Bytes it sent.
    pub bytes_in: u64,
    /// Bytes it was sent.
    pub bytes_out: u64,
    /// Commands it sent.
    pub commands: u64,
}

impl Session {
    /// A fresh connection.
    pub fn new(id: u64, peer: Peer, now_ms: u64) -> Self {
        Self {
            id,
            peer,
            proto: Proto::Resp2,
            db: 0,
            authenticated: false,
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_ver: Vec::new(),
            multi: None,
            watched: BTreeMap::new(),
            watch_failed: false,
            blocked: None,
            waiting: None,
            running_script: false,
            in_exec: false,
            channels: HashSet::new(),
            patterns: HashSet::new(),
            shard_channels: HashSet::new(),
            monitor: false,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            seen: Gate::OPEN,
            output: Output::default(),
            input: Vec::new(),
            parser: Parser::new(),
            closing: false,
            killed: false,
            outbox_bytes: 0,
            listed_gated: false,
            listed_ready: false,
            postponed: false,
            output_peak: (0, now_ms),
            soft_since_ms: 0,
            created_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
        }
    }

    /// Number of channels and patterns, as SUBSCRIBE's reply counts them.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Whether it is in pub/sub mode, where RESP2 allows only a few commands.
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions() + self.shard_channels.len() > 0
    }

    /// Whether its requests are not read on for now.
    pub fn is_paused(&self) -> bool {
        self.blocked.is_some() || self.waiting.is_some() || self.running_script || self.closing || self.killed
    }

    /// Whether a command of it waits, as `blocked_clients` counts it: DEBUG SLEEP has been answered.
    pub fn is_waiting(&self) -> bool {
        let waits = |it: &Waiting| !matches!(it.what, Awaited::Nothing);
        self.blocked.is_some() || self.waiting.as_ref().is_some_and(waits)
    }

    /// Its class for the output buffer limits.
    pub fn class(&self) -> ClientClass {
        if self.is_subscriber() || self.monitor { ClientClass::Pubsub } else { ClientClass::Normal }
    }

    /// Memory of its buffers, of what it has queued by MULTI, and of the request that it waits with.
    pub fn heap_bytes(&self) -> usize {
        let queued = self.multi.as_ref().map_or(0, |multi| multi.bytes);
        size_of::<Self>()
            + self.output.heap_bytes()
            + self.outbox_bytes
            + self.input.capacity()
            + self.parser.heap_bytes()
            + queued
            + self.argv_bytes()
    }

    /// Bytes of the arguments of the request that it waits with.
    pub fn argv_bytes(&self) -> usize {
        self.blocked.as_ref().map_or(0, |blocked| blocked.args.as_args().iter().map(<[u8]>::len).sum())
    }
}
