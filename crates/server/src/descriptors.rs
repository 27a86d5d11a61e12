//! File descriptors: as many as `maxclients` needs, if the system lets us have them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sessile_config::{Asker, Config, table as names};

/// What is open beside the clients: the log, sockets that listen, the loop's own, segments of the journal, a snapshot and
/// `dump.rdb` in the making; and connections that are only told that they are too many.
const RESERVED: usize = 96;

/// Raises the limit of open files to what `maxclients` needs; lowers `maxclients` to what there is, and says so.
pub(crate) fn make_room(config: &mut Config) -> Result<(), String> {
    let asked = config.int(names::MAXCLIENTS) as usize;
    let room = room_for_clients(asked);
    if room >= asked {
        return Ok(());
    }
    let needed = asked + RESERVED;
    let hint = format!("raise the limit of open files (`ulimit -n`, systemd's LimitNOFILE) to {needed}");
    if room == 0 {
        return Err(format!("the limit of open files leaves no descriptor for clients; {hint}"));
    }
    tracing::warn!(
        "maxclients is lowered from {asked} to {room}: the system allows no more open files; {hint}"
    );
    let asker = Asker { local: true, loading: true };
    config
        .set(b"maxclients", room.to_string().as_bytes(), asker)
        .map(|_| ())
        .map_err(|error| format!("maxclients cannot be lowered: {error}"))
}

/// Raises the limit of open files for so many clients as far as it goes; gives how many of them it is enough for.
pub(crate) fn room_for_clients(asked: usize) -> usize {
    let needed = (asked + RESERVED) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is `None`.
    let Some(mut allowed) = current.filter(|&allowed| allowed < needed) else { return asked };
    // Whoever may raise the hard limit gets all; others get up to it.
    let whole = Rlimit { current: Some(needed), maximum: maximum.map(|hard| hard.max(needed)) };
    let up_to_hard = maximum.map_or(needed, |hard| hard.min(needed));
    if setrlimit(Resource::Nofile, whole).is_ok() {
        allowed = needed;
    } else if setrlimit(Resource::Nofile, Rlimit { current: Some(up_to_hard), maximum }).is_ok() {
        allowed = up_to_hard;
    }
    asked.min((allowed as usize).saturating_sub(RESERVED))
}
