//! Numbers for the metrics page, copied out so that they can be shown on another thread. What they cost does not depend
//! on the number of keys, and of connections only a slice is looked at in a turn.

use sessile_values::Value;

use crate::admin::Writing;
use crate::engine::{Engine, JournalState};
use crate::stats::{CommandStats, Stats};

/// What the engine counts and knows, at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// When the engine started, milliseconds since the epoch.
    pub started_ms: u64,
    /// The engine's clock, milliseconds since the epoch, and how far it is ahead of the wall clock.
    pub now_ms: u64,
    /// How far that is ahead of the wall clock.
    pub clock_ahead_ms: u64,
    /// Counters; `by_command` is empty, see `commands`.
    pub stats: Stats,
    /// The commands that were sent at least once, subcommands as `container|name`.
    pub commands: Vec<(&'static str, CommandStats)>,
    /// Memory as `maxmemory` counts it, in bytes.
    pub used_bytes: usize,
    /// Memory of the entries alone, in bytes.
    pub dataset_bytes: usize,
    /// `maxmemory`, or without it what the machine bears; 0 where that is unknown.
    pub limit_bytes: u64,
    /// Memory of the scripts' interpreter and their texts, in bytes.
    pub scripts_bytes: usize,
    /// The dbs that have keys, and db 0.
    pub dbs: Vec<DbFigures>,
    /// Connections.
    pub connected: usize,
    /// `maxclients`.
    pub maxclients: usize,
    /// Connections with replies that wait for the journal.
    pub gated: usize,
    /// Channels and patterns that somebody is subscribed to.
    pub channels: usize,
    /// Patterns that somebody is subscribed to.
    pub patterns: usize,
    /// Whether there is a journal.
    pub journaled: bool,
    /// What the journal can do.
    pub journal_state: JournalState,
    /// The LSN of the newest transaction.
    pub last_lsn: u64,
    /// Bytes of transactions that the journal has not been given yet.
    pub batch_bytes: usize,
    /// `dump.rdb`.
    pub dump: Writing,
    /// The journal's snapshot.
    pub snapshot: Writing,
    /// Changes that the last `dump.rdb` does not hold.
    pub unsaved_changes: u64,
    /// Entries that the file being written holds so far, and that there were when it began; zeros without one.
    pub saving: (u64, u64),
}

/// One db.
#[derive(Clone, Debug)]
pub struct DbFigures {
    /// Its number.
    pub db: u32,
    /// Keys with an expiry.
    pub expiring: usize,
    /// Keys by type; together all keys.
    pub by_type: [(&'static str, usize); Value::TYPE_NAMES.len()],
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSums {
    /// Those that a blocking command holds up.
    pub blocked: usize,
    /// Subscribers.
    pub subscribers: usize,
    /// Bytes received and not yet run.
    pub input_bytes: usize,
    /// Bytes not yet sent, those that wait for the journal included.
    pub output_bytes: usize,
    /// Memory of all buffers, in bytes.
    pub heap_bytes: usize,
}

/// Why writes are refused at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The journal does not take them: why.
    Journal(String),
    /// `dump.rdb` cannot be written, and `stop-writes-on-bgsave-error` is set.
    Dump,
    /// The node stops.
    Stopping,
}

impl Engine {
    /// Copies what there is to show.
    pub fn figures(&self) -> Figures {
        let scripts = self.scripts.as_ref().map_or(0, |host| host.memory_bytes() + host.bodies_bytes());
        Figures {
            started_ms: self.stats.started_ms,
            now_ms: self.now_ms(),
            clock_ahead_ms: self.clock.ahead_ms(),
            stats: self.stats.without_lists(),
            commands: self.commands_sent(),
            used_bytes: self.used_memory_bytes(),
            dataset_bytes: self.keyspace.entry_bytes(),
            limit_bytes: self.memory_limit_bytes(),
            scripts_bytes: scripts,
            dbs: self.db_figures(),
            connected: self.connected,
            maxclients: self.settings.maxclients,
            gated: self.gated.len(),
            channels: self.pubsub.channels(),
            patterns: self.pubsub.patterns(),
            journaled: self.settings.journaled,
            journal_state: self.journal_state.clone(),
            last_lsn: self.last_lsn(),
            batch_bytes: self.batch_bytes(),
            dump: self.server.dump.clone(),
            snapshot: self.server.snapshot.clone(),
            unsaved_changes: self.unsaved().0,
            saving: self.keyspace.snapshot().map_or((0, 0), |it| (it.entries(), it.entries_at_start())),
        }
    }

    fn commands_sent(&self) -> Vec<(&'static str, CommandStats)> {
        let entries = self.table.iter().flat_map(|entry| std::iter::once(entry).chain(entry.subs.values()));
        let counted = entries.map(|entry| (entry.full_name.as_str(), &self.stats.by_command[entry.index]));
        let sent = counted.filter(|(_, it)| it.calls + it.rejected + it.failed > 0);
        sent.map(|(name, it)| (name, it.clone())).collect()
    }

    fn db_figures(&self) -> Vec<DbFigures> {
        let all = (0..self.keyspace.db_count() as u32).map(|db| (db, self.keyspace.db(db)));
        let shown = all.filter(|(db, it)| *db == 0 || !it.is_empty());
        shown
            .map(|(db, it)| {
                let mut by_type = [("", 0); Value::TYPE_NAMES.len()];
                by_type.iter_mut().zip(it.keys_by_type()).for_each(|(place, counted)| *place = counted);
                DbFigures { db, expiring: it.expiring(), by_type }
            })
            .collect()
    }

    /// Adds up connections from place `from` on, at most `count` places; gives where to go on, `None` at the end.
    pub fn add_up_clients(&self, from: usize, count: usize, sums: &mut ClientSums) -> Option<usize> {
        let end = (from + count).min(self.sessions.len());
        for session in self.sessions[from.min(end)..end].iter().flatten() {
            sums.blocked += usize::from(session.blocked.is_some());
            sums.subscribers += usize::from(session.is_subscriber());
            sums.input_bytes += session.input.len();
            sums.output_bytes += session.output.len();
            sums.heap_bytes += session.heap_bytes();
        }
        (end < self.sessions.len()).then_some(end)
    }

    /// Whether writes are refused at the moment, and why.
    pub fn refusal(&self) -> Option<Refusal> {
        match &self.journal_state {
            _ if self.stopping => Some(Refusal::Stopping),
            JournalState::Refusing(why) | JournalState::Failed(why) => Some(Refusal::Journal(why.clone())),
            JournalState::Open => self.saving_fails().then_some(Refusal::Dump),
        }
    }
}

impl Stats {
    /// The counters, without the lists that may be long.
    fn without_lists(&self) -> Stats {
        Stats {
            errors: self.errors.clone(),
            held_back: self.held_back,
            by_command: Vec::new(),
            slow: std::collections::VecDeque::new(),
            latency: std::collections::HashMap::new(),
            samples: std::collections::VecDeque::new(),
            buffers: std::collections::VecDeque::new(),
            ..*self
        }
    }
}
