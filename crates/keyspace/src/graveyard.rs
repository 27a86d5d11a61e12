//! Large values and flushed tables on their way out, freed a few nodes a turn.

use sessile_values::Value;

use crate::table::Table;

/// Values with at most this many nodes or elements are simply dropped.
const ENTRIES_A_STEP: usize = 64;

/// What waits to be freed.
#[derive(Default)]
pub(crate) struct Graveyard {
    values: Vec<Box<dyn FnMut(usize) -> bool>>,
    tables: Vec<Table>,
    freed: u64,
}

impl Graveyard {
    /// Takes a value that is no longer reachable.
    pub(crate) fn bury(&mut self, value: Value) {
        self.values.extend(value.dismantle());
    }

    /// Takes a table that is no longer reachable.
    pub(crate) fn bury_table(&mut self, table: Table) {
        if !table.is_empty() {
            self.tables.push(table);
        }
    }

    /// Large values and entries of tables that wait.
    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.tables.iter().map(Table::len).sum::<usize>()
    }

    /// Large values and entries of tables that went this way since the start.
    pub(crate) fn freed(&self) -> u64 {
        self.freed
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.tables.is_empty()
    }

    /// Frees about `steps` nodes or entries; true while more waits.
    pub(crate) fn free(&mut self, steps: usize) -> bool {
        let mut left = steps;
        while left > 0 {
            if let Some(value) = self.values.last_mut() {
                if !value(left.min(ENTRIES_A_STEP)) {
                    self.values.pop();
                    self.freed += 1;
                }
                left -= left.min(ENTRIES_A_STEP);
            } else if let Some(table) = self.tables.last_mut() {
                let entries = table.drain_some(left.min(ENTRIES_A_STEP));
                left = left.saturating_sub(entries.len().max(1));
                self.freed += entries.len() as u64;
                if table.is_empty() {
                    self.tables.pop();
                }
                for mut entry in entries {
                    if let Some(value) = entry.take_value() {
                        self.bury(value);
                    }
                }
            } else {
                return false;
            }
        }
        !self.is_empty()
    }
}
