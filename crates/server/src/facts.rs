//! What the system says about the process, for INFO: asked when somebody asks.

use sessile_engine::{Engine, SystemFacts};

use crate::{apply, machine, signals};

/// Lets the engine ask, and notes what does not change. Called before anything is recovered, so that what is
/// allocated now is what the node takes without data.
pub(crate) fn install(engine: &mut Engine) {
    engine.note_startup_bytes(ask().allocated_bytes);
    let facts = engine.server_facts();
    facts.ask_system = ask;
    facts.apply_config = apply::check_and_apply;
    facts.supervised = if signals::notify_socket().is_some() { "systemd" } else { "no" };
    let name = rustix::system::uname();
    let parts = [name.sysname(), name.release(), name.machine()].map(|part| part.to_string_lossy());
    facts.os = parts.join(" ");
}

fn ask() -> SystemFacts {
    let _ = tikv_jemalloc_ctl::epoch::advance();
    SystemFacts {
        allocated_bytes: tikv_jemalloc_ctl::stats::allocated::read().unwrap_or(0),
        active_bytes: tikv_jemalloc_ctl::stats::active::read().unwrap_or(0),
        resident_bytes: tikv_jemalloc_ctl::stats::resident::read().unwrap_or(0),
        rss_bytes: resident(),
        system_bytes: machine::memory() as usize,
        cpu_us: cpu_us("/proc/self/stat"),
        // Commands run on the data thread, and it is a command that asks.
        thread_cpu_us: cpu_us("/proc/thread-self/stat"),
    }
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.map_or(0, |pages| pages * rustix::param::page_size())
}

/// Processor time, system and user, in microseconds, from a file of that form.
fn cpu_us(path: &str) -> (u64, u64) {
    let read = || {
        let text = std::fs::read_to_string(path).ok()?;
        // The name stands in brackets and may hold spaces.
        let mut fields = text.rsplit(')').next()?.split_whitespace().skip(11);
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second();
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((system * tick_us, user * tick_us))
    };
    read().unwrap_or_default()
}
