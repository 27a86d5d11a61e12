//! Which LSN a key waits for: the gate's memory of writes that are not yet durable.
//!
//! A fixed array indexed by bits of the key's hash; each slot keeps the newest LSN that wrote a key there. Slots are
//! compared with how far the journal has come and never emptied, so they outlive deletion. A collision only makes
//! a read wait for a write that it did not see.

/// Slots of the array.
const SLOTS: usize = 1 << 14;

/// What a reply waits for: nothing where 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// LSN that must be written (survives the process).
    pub written: u64,
    /// LSN that must be durable (survives the power).
    pub durable: u64,
}

impl Gate {
    /// Waits for nothing.
    pub const OPEN: Gate = Gate { written: 0, durable: 0 };

    /// Both gates at once.
    #[must_use]
    pub fn and(self, other: Gate) -> Gate {
        Gate { written: self.written.max(other.written), durable: self.durable.max(other.durable) }
    }

    /// Whether a journal that has come this far lets the reply go.
    pub fn passes(self, progress: Gate) -> bool {
        self.written <= progress.written && self.durable <= progress.durable
    }
}

/// What a class promises for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A reply waits until what it depends on is durable.
    Durable,
    /// A reply waits until what it depends on is written.
    Relaxed,
    /// Never journaled.
    Volatile,
}

impl Durability {
    /// The gate of a transaction at `lsn` under this promise.
    pub fn gate(self, lsn: u64) -> Gate {
        match self {
            Durability::Durable => Gate { written: 0, durable: lsn },
            Durability::Relaxed => Gate { written: lsn, durable: 0 },
            Durability::Volatile => Gate::OPEN,
        }
    }
}

/// The array, with the newest mark of all for commands over many keys.
pub struct Pending {
    slots: Box<[Gate]>,
    newest: Gate,
    progress: Gate,
}

impl Default for Pending {
    fn default() -> Self {
        Self { slots: vec![Gate::OPEN; SLOTS].into_boxed_slice(), newest: Gate::OPEN, progress: Gate::OPEN }
    }
}

impl Pending {
    fn slot(hash: u64) -> usize {
        // The table's directory uses the top bits; any others spread as well.
        (hash >> 16) as usize % SLOTS
    }

    /// Notes that a transaction with this gate wrote the key.
    pub fn mark(&mut self, hash: u64, gate: Gate) {
        let slot = &mut self.slots[Self::slot(hash)];
        *slot = slot.and(gate);
        self.newest = self.newest.and(gate);
    }

    /// Notes that a transaction touched more than single keys: everything waits for it.
    pub fn mark_all(&mut self, gate: Gate) {
        self.newest = self.newest.and(gate);
        for slot in &mut self.slots {
            *slot = slot.and(gate);
        }
    }

    /// What a reply that depends on the key waits for.
    pub fn of(&self, hash: u64) -> Gate {
        if self.newest.passes(self.progress) {
            return Gate::OPEN;
        }
        self.open_part(self.slots[Self::slot(hash)])
    }

    /// What a reply that depends on all keys waits for.
    pub fn newest(&self) -> Gate {
        self.open_part(self.newest)
    }

    fn open_part(&self, gate: Gate) -> Gate {
        Gate {
            written: if gate.written <= self.progress.written { 0 } else { gate.written },
            durable: if gate.durable <= self.progress.durable { 0 } else { gate.durable },
        }
    }

    /// Notes how far the journal has come.
    pub fn advance(&mut self, progress: Gate) {
        self.progress = self.progress.and(progress);
    }

    /// How far the journal has come.
    pub fn progress(&self) -> Gate {
        self.progress
    }
}
