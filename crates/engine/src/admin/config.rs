//! CONFIG: directives at run time.

use sessile_command::{Arity, Error, Flags, Outcome, is};
use sessile_config::{Asker, Config, Flags as DirectiveFlags, directives, table as names};
use sessile_resp::{Args, Reply};
use sessile_values::glob;

use super::{ADMIN, docs};
use crate::engine::{Action, Engine};
use crate::session::ConnId;
use crate::table::{SessionCommand, SessionRun};

/// This file's entries.
pub(crate) static COMMANDS: &[SessionCommand] = &[SessionCommand::new(
    "config",
    Arity::AtLeast(2),
    Flags::NONE,
    docs("Reads and changes directives.", "", "2.0.0"),
    SessionRun::Container(SUBCOMMANDS),
)];

static SUBCOMMANDS: &[SessionCommand] = &[
    SessionCommand::new(
        "get",
        Arity::AtLeast(3),
        ADMIN,
        docs("Gives directives.", "parameter [parameter ...]", "2.0.0"),
        SessionRun::Do(get),
    ),
    SessionCommand::new(
        "help",
        Arity::Exactly(2),
        Flags::LOADING.and(Flags::STALE),
        docs("Lists the subcommands.", "", "5.0.0"),
        SessionRun::Do(|_, _, _, out| {
            super::help(
                out,
                "CONFIG",
                &[
                    "GET <pattern>",
                    "    Return parameters matching the glob-like <pattern> and their values.",
                    "SET <directive> <value>",
                    "    Set the configuration <directive> to <value>.",
                    "RESETSTAT",
                    "    Reset statistics reported by the INFO command.",
                    "REWRITE",
                    "    Rewrite the configuration file.",
                ],
            )
        }),
    ),
    SessionCommand::new(
        "resetstat",
        Arity::Exactly(2),
        ADMIN,
        docs("Sets the counters of INFO to zero.", "", "2.0.0"),
        SessionRun::Do(|engine, _, _, out| {
            engine.stats.reset();
            engine.stats.lazily_freed_before = engine.keyspace.lazily_freed().1;
            engine.stats.syncs_delayed_before = engine.server.syncs_delayed;
            out.ok();
            Ok(())
        }),
    ),
    SessionCommand::new(
        "rewrite",
        Arity::Exactly(2),
        ADMIN,
        docs("Writes the directives into the configuration file.", "", "2.8.0"),
        SessionRun::Do(rewrite),
    ),
    SessionCommand::new(
        "set",
        Arity::AtLeast(4),
        ADMIN,
        docs("Changes directives.", "parameter value [parameter value ...]", "2.0.0"),
        SessionRun::Do(set),
    ),
];

fn get(engine: &mut Engine, _: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let mut found: Vec<(&str, Vec<u8>)> = Vec::new();
    for (id, directive) in directives() {
        if directive.flags.has(DirectiveFlags::FILE_ONLY) {
            continue;
        }
        for name in std::iter::once(&directive.name).chain(directive.aliases) {
            let hidden = directive.flags.has(DirectiveFlags::HIDDEN);
            let asked = args.iter().skip(2).any(|pattern| {
                let literal = pattern.eq_ignore_ascii_case(name.as_bytes());
                literal || !hidden && glob::matches(pattern, name.as_bytes(), true)
            });
            if asked {
                found.push((name, engine.config.show(id)));
            }
        }
    }
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name.as_bytes());
        out.bulk(&value);
    }
    Ok(())
}

fn set(engine: &mut Engine, conn: ConnId, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if args.len() % 2 == 1 {
        return Err(Error::arity("config|set"));
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|at| (&args[at], &args[at + 1])).collect();
    refuse_another_journal(engine, &pairs)?;
    let local = engine.session_mut(conn).peer.loopback;
    let asker = Asker { local, loading: false };
    let mut next = engine.config.clone();
    let changes = next.set_all(&pairs, asker).map_err(|error| Error::text(format!("ERR {error}")))?;
    refuse_too_many_clients(engine, &next)?;
    let changed: Vec<&'static str> =
        changes.iter().filter(|change| change.changed).map(|change| change.id.directive().name).collect();
    let apply = engine.server.apply_config;
    if let Err((name, why)) = apply(&next, &changed) {
        // What was applied before the one at fault is taken back: all are set, or none.
        let _ = apply(&engine.config, &changed);
        return Err(Error::text(format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
        )));
    }
    engine.config = next;
    engine.reload_settings();
    for change in changes {
        engine.actions.push(Action::ConfigChanged(change.id.directive().name));
    }
    out.ok();
    Ok(())
}

/// The system may have no descriptors for so many.
fn refuse_too_many_clients(engine: &Engine, next: &Config) -> Outcome {
    let asked = next.int(names::MAXCLIENTS) as usize;
    let room =
        if asked > engine.settings.maxclients { (engine.server.room_for_clients)(asked) } else { asked };
    if room >= asked {
        return Ok(());
    }
    Err(Error::text(format!(
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to \
         handle the specified number of clients, try with {room}"
    )))
}

/// Whether there is a journal is decided at the start: a node that only says so would promise what it does not keep.
fn refuse_another_journal(engine: &Engine, pairs: &[(&[u8], &[u8])]) -> Outcome {
    let present = engine.config.bool(names::APPENDONLY);
    let changes = |value: &[u8]| is(value, "yes") && !present || is(value, "no") && present;
    if pairs.iter().any(|(name, value)| is(name, "appendonly") && changes(value)) {
        return Err(Error::new(
            "ERR CONFIG SET failed (possibly related to argument 'appendonly') - whether there is a journal is decided at \
             the start: restart the node with another `appendonly`",
        ));
    }
    Ok(())
}

fn rewrite(engine: &mut Engine, _: ConnId, _: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    if engine.server.config_file.is_empty() {
        return Err(Error::new("ERR The server is running without a config file"));
    }
    let rewrite = engine.server.rewrite_config;
    rewrite(&engine.server.config_file, &engine.config)
        .map_err(|why| Error::text(format!("ERR Rewriting config file: {why}")))?;
    out.ok();
    Ok(())
}
