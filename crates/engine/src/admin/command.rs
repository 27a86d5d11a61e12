//! COMMAND: the table itself.

use crate::table::SessionCommand;

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[];
