//! What the system says about the process, asked by the thread that serves the page.

use crate::progress;

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

/// Resident memory.
pub(super) fn resident_bytes() -> usize {
    let pages = read("statm").split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * rustix::param::page_size()
}

/// Processor time, user and system.
pub(super) fn cpu_s() -> f64 {
    // The name of the program, in brackets, may hold anything.
    let stat = read("stat");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Open file descriptors.
pub(super) fn open_files() -> usize {
    // The one that reads the folder is counted, too.
    std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count().saturating_sub(1))
}

/// How much is loaded, from 0 to 1.
pub(super) fn loading_ratio() -> f64 {
    if progress::is_serving() { 1.0 } else { progress::now().map_or(0.0, |it| it.ratio()) }
}
