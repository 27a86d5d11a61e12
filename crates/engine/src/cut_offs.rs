//! What the log says of clients that were cut off or turned away: who, and why.
//!
//! A client can have that done to itself as often as it likes, so of many in one second only some get a line of their own.

use crate::engine::Engine;
use crate::session::ConnId;

/// Lines between two calls of [`Engine::check_connections`]. Enough to see what is going on; a flood is summed up.
const LINES_A_SECOND: u32 = 10;
/// Redis' level `warning`.
const WARNING: i64 = 3;
/// Redis' level `notice`.
const NOTICE: i64 = 2;

/// Counts since the last second.
#[derive(Default)]
pub(crate) struct CutOffs {
    told: u32,
    untold: u64,
}

impl Engine {
    /// Notes that a connection is closed by a limit of the configuration.
    pub(crate) fn note_cut_off(&mut self, conn: ConnId, why: &str) {
        self.note(WARNING, conn, why);
    }

    /// Notes that a connection is closed by what its client did.
    pub(crate) fn note_hang_up(&mut self, conn: ConnId, why: &str) {
        self.note(NOTICE, conn, why);
    }

    fn note(&mut self, level: i64, conn: ConnId, why: &str) {
        let Some(session) = self.session(conn) else { return };
        let line = format!("client id={} addr={} is cut off: {why}", session.id, session.peer.addr);
        self.tell(level, line);
    }

    /// Notes that a connection was not taken in.
    pub(crate) fn note_refusal(&mut self, addr: &str, why: &str) {
        self.tell(WARNING, format!("connection from {addr} is refused: {why}"));
    }

    fn tell(&mut self, level: i64, line: String) {
        if self.cut_offs.told < LINES_A_SECOND {
            self.cut_offs.told += 1;
            self.log.push((level, line));
        } else {
            self.cut_offs.untold += 1;
        }
    }

    /// Sums up what had no line of its own, and begins a new second.
    pub(crate) fn sum_up_cut_offs(&mut self) {
        let CutOffs { untold, .. } = std::mem::take(&mut self.cut_offs);
        if untold > 0 {
            self.log
                .push((WARNING, format!("{untold} more clients were cut off or refused within a second")));
        }
    }
}
