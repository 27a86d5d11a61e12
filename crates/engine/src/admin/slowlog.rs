//! SLOWLOG: commands that took long.

use sessile_command::{ArgsExt, Arity, Error, Flags, Outcome};
use sessile_resp::{Args, Reply};

use super::docs;
use crate::engine::Engine;
use crate::session::ConnId;
use crate::table::{SessionCommand, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "slowlog",
    Arity::AtLeast(2),
    Flags::NONE,
    docs("Shows commands that took long.", "", "2.2.12"),
    SessionRun::Container(SUBCOMMANDS),
)];

/// As other commands for operators, and scripts may call them.
const OPERATORS: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);

static SUBCOMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "get",
        Arity::AtLeast(2),
        OPERATORS,
        docs("Gives the newest lines.", "[count]", "2.2.12"),
        SessionRun::Do(get),
    ),
    SessionCommand::new(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        docs("Lists the subcommands.", "", "6.2.0"),
        SessionRun::Do(|_, _, _, out| {
            super::help(
                out,
                "SLOWLOG",
                &[
                    "GET [<count>]",
                    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
                    "    Entries are made of:",
                    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
                    "    client name",
                    "LEN",
                    "    Return the length of the slowlog.",
                    "RESET",
                    "    Reset the slowlog.",
                ],
            )
        }),
    ),
    SessionCommand::new(
        "len",
        Arity::Exactly(2),
        OPERATORS,
        docs("Gives the number of lines.", "", "2.2.12"),
        SessionRun::Do(|engine, _, _, out| {
            out.int(engine.stats.slow.len() as i64);
            Ok(())
        }),
    ),
    SessionCommand::new(
        "reset",
        Arity::Exactly(2),
        OPERATORS,
        docs("Drops all lines.", "", "2.2.12"),
        SessionRun::Do(|engine, _, _, out| {
            engine.stats.slow.clear();
            out.ok();
            Ok(())
        }),
    ),
];

const BAD_COUNT: Error = Error::new("ERR count should be greater than or equal to -1");

fn get(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let count = match args.len() {
        2 => 10,
        3 => args.int(2).ok().filter(|&count| count >= -1).ok_or(BAD_COUNT)?,
        _ => return Err(super::bad_subcommand(args, "SLOWLOG")),
    };
    let count = if count == -1 { usize::MAX } else { count as usize };
    let lines = &engine.stats.slow;
    out.array(lines.len().min(count));
    for line in lines.iter().take(count) {
        out.array(6);
        out.int(line.id as i64);
        out.int((line.at_ms / 1000) as i64);
        out.int(line.usec as i64);
        out.array(line.args.len());
        line.args.iter().for_each(|arg| out.bulk(arg));
        out.bulk(line.addr.as_bytes());
        out.bulk(&line.name);
    }
    Ok(())
}
