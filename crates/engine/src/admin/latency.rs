//! LATENCY: spikes by event, and how long commands take.

use sessile_command::{Arity, Flags, Outcome};
use sessile_resp::{Args, Reply};

use super::{ADMIN, docs};
use crate::engine::Engine;
use crate::session::ConnId;
use crate::stats::CommandStats;
use crate::table::{Entry, SessionCommand, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "latency",
    Arity::AtLeast(2),
    Flags::NONE,
    docs("Shows latency spikes and histograms.", "", "2.8.13"),
    SessionRun::Container(SUBCOMMANDS),
)];

static SUBCOMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        docs("Lists the subcommands.", "", "2.8.13"),
        SessionRun::Do(|_, _, _, out| {
            super::help(
                out,
                "LATENCY",
                &[
                    "HISTOGRAM [COMMAND ...]",
                    "    Return a cumulative distribution of commands' latencies.",
                    "HISTORY <event>",
                    "    Return time-latency samples for the <event> class.",
                    "LATEST",
                    "    Return the latest latency samples for all events.",
                    "RESET [<event> ...]",
                    "    Reset latency data of one or more <event> classes.",
                ],
            )
        }),
    ),
    SessionCommand::new(
        "histogram",
        Arity::AtLeast(2),
        ADMIN,
        docs("Gives how long commands took.", "[command [command ...]]", "7.0.0"),
        SessionRun::Do(histogram),
    ),
    SessionCommand::new(
        "history",
        Arity::Exactly(3),
        ADMIN,
        docs("Gives an event's samples.", "event", "2.8.13"),
        SessionRun::Do(history),
    ),
    SessionCommand::new(
        "latest",
        Arity::Exactly(2),
        ADMIN,
        docs("Gives the newest sample of every event.", "", "2.8.13"),
        SessionRun::Do(latest),
    ),
    SessionCommand::new(
        "reset",
        Arity::AtLeast(2),
        ADMIN,
        docs("Drops samples.", "[event [event ...]]", "2.8.13"),
        SessionRun::Do(reset),
    ),
];

fn latest(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut events: Vec<_> = engine.stats.latency.iter().collect();
    events.sort_by_key(|(name, _)| **name);
    out.array(events.len());
    for (name, event) in events {
        let (at_s, ms) = event.samples.back().copied().unwrap_or_default();
        out.array(4);
        out.bulk(name.as_bytes());
        out.int(at_s as i64);
        out.int(ms as i64);
        out.int(event.max_ms as i64);
    }
    Ok(())
}

fn history(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let name = String::from_utf8_lossy(&args[2]).into_owned();
    let Some(event) = engine.stats.latency.get(&*name) else {
        out.array(0);
        return Ok(());
    };
    out.array(event.samples.len());
    for &(at_s, ms) in &event.samples {
        out.array(2);
        out.int(at_s as i64);
        out.int(ms as i64);
    }
    Ok(())
}

fn reset(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let before = engine.stats.latency.len();
    engine
        .stats
        .latency
        .retain(|name, _| args.len() > 2 && !args.iter().skip(2).any(|a| a == name.as_bytes()));
    out.int((before - engine.stats.latency.len()) as i64);
    Ok(())
}

fn histogram(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let table = engine.table;
    let asked: Vec<&Entry> = if args.len() == 2 {
        table.iter().collect()
    } else {
        args.iter().skip(2).filter_map(|name| table.find(name)).collect()
    };
    let mut rows: Vec<(&str, &CommandStats)> = Vec::new();
    for entry in asked {
        for it in std::iter::once(entry).chain(entry.subs.values()) {
            let stats = &engine.stats.by_command[it.index];
            if stats.calls > 0 {
                rows.push((&it.full_name, stats));
            }
        }
    }
    rows.sort_by_key(|(name, _)| *name);
    out.map(rows.len());
    for (name, stats) in rows {
        out.bulk(name.as_bytes());
        out.map(2);
        out.bulk(b"calls");
        out.int(stats.calls as i64);
        out.bulk(b"histogram_usec");
        let used: Vec<usize> = (0..stats.histogram.len()).filter(|&i| stats.histogram[i] > 0).collect();
        out.map(used.len());
        let mut sum = 0;
        for bucket in used {
            sum += stats.histogram[bucket];
            out.int(1 << bucket);
            out.int(sum as i64);
        }
    }
    Ok(())
}
