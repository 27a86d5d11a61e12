//! `sim --seeds N [--from S]`: lives N seeds, and fails if one of them fails or if something that can occur never did.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sessile_sim::run::run;
use sessile_sim::tally::Tally;

/// Failures after which it is no use to go on.
const FAILURES_MAX: u64 = 5;
/// Seeds from which on everything that can occur must have.
const SEEDS_FOR_ALL: u64 = 1000;

fn main() -> ExitCode {
    let (mut seeds, mut from) = (1000, 0);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let number = args.next().and_then(|text| text.parse().ok());
        match (flag.as_str(), number) {
            ("--seeds", Some(n)) => seeds = n,
            ("--from", Some(n)) => from = n,
            _ => {
                eprintln!("usage: sim [--seeds N] [--from S]");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(seed) = std::env::var("SESSILE_SEED").ok().and_then(|text| text.parse().ok()) {
        (seeds, from) = (1, seed);
    }
    // A failing seed says itself what went wrong.
    std::panic::set_hook(Box::new(|info| {
        if let Some(place) = info.location() {
            eprintln!("panic at {place}");
        }
    }));
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(from), AtomicU64::new(0));
    let all = Mutex::new(Tally::default());
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || failed.load(Ordering::Relaxed) >= FAILURES_MAX {
                break;
            }
            match run(seed) {
                Ok(seen) => tally.add(&seen),
                Err(why) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    eprintln!("{why}\n");
                }
            }
        }
        all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&tally);
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let tally = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.iter().for_each(|(what, count)| println!("{count:>10} {what}"));
    let failed = failed.into_inner();
    let missing = if seeds >= SEEDS_FOR_ALL { tally.missing() } else { Vec::new() };
    missing.iter().for_each(|what| eprintln!("never occurred: {what}"));
    let passed = seeds.saturating_sub(failed);
    println!("{passed} passed, {failed} failed in {:.1} s", began.elapsed().as_secs_f64());
    if failed == 0 && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
