//! From the command line to a serving node: configuration, log, data directory, recovery.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use sessile_config::args::{Action, Run};
use sessile_config::file::Document;
use sessile_config::{Config, Notice, Persona, Sources, table as names};

use crate::{logging, shard};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs `redis-server`'s command line.
pub(crate) fn serve(persona: Persona, args: &[Vec<u8>]) -> ExitCode {
    let action = match sessile_config::args::parse(args) {
        Ok(action) => action,
        Err(error) => return fail(&error.to_string()),
    };
    match action {
        Action::Version => {
            println!(
                "Redis server v={} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0 sessile={VERSION}",
                sessile_engine::REDIS_VERSION
            );
            ExitCode::SUCCESS
        }
        Action::Help => {
            println!(
                "Usage: sessile [server] [FILE|-] [--directive value ...]\nEvery directive of redis.conf is a flag."
            );
            ExitCode::SUCCESS
        }
        Action::TestMemory { .. } => {
            fail("--test-memory is not offered; use memtester or the firmware's test")
        }
        Action::CheckSystem => {
            println!("Nothing to check: no fork, no overcommit, no transparent huge pages are needed.");
            ExitCode::SUCCESS
        }
        Action::Run(run) => start(persona, &run),
    }
}

/// One sentence on standard error, and the exit code of a refused start.
fn fail(why: &str) -> ExitCode {
    // Standard error may be a file on the very disk that is full: the exit code has to do then.
    let _ = writeln!(std::io::stderr(), "sessile: {why}");
    ExitCode::FAILURE
}

fn start(persona: Persona, run: &Run) -> ExitCode {
    let (config, notices) = match configuration(persona, run) {
        Ok(loaded) => loaded,
        Err(why) => return fail(&why),
    };
    // Taken before the data directory becomes the working directory.
    let config_file = run.file.as_deref().map_or(String::new(), |file| {
        let path = String::from_utf8_lossy(file).into_owned();
        std::path::absolute(&path).map_or(path, |whole| whole.display().to_string())
    });
    if let Err(why) = enter_dir(&config).and_then(|()| logging::start(&config)) {
        return fail(&why);
    }
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let pidfile = config.text(names::PIDFILE).into_owned();
    let outcome = write_pidfile(&pidfile).and_then(|()| shard::run(config, config_file));
    if !pidfile.is_empty() {
        let _ = std::fs::remove_file(&pidfile);
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            fail(&why)
        }
    }
}

fn configuration(persona: Persona, run: &Run) -> Result<(Config, Vec<Notice>), String> {
    let mut documents = Vec::new();
    if let Some(file) = &run.file {
        let path = String::from_utf8_lossy(file).into_owned();
        documents.push(document(&path, &read(&path)?)?);
    }
    if run.stdin {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut text)
            .map_err(|error| format!("cannot read the configuration from standard input: {error}"))?;
        documents.push(document("standard input", &text)?);
    }
    let environment: Vec<(String, Vec<u8>)> = std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((name.into_string().ok()?, std::os::unix::ffi::OsStringExt::into_vec(value)))
        })
        .collect();
    let sources = Sources { persona, environment: &environment, documents: &documents, flags: &run.flags };
    let (mut config, notices) = sessile_config::load(sources).map_err(|error| error.to_string())?;
    read_password_file(&mut config)?;
    Ok((config, notices))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read the configuration file {path}: {error}"))
}

/// Parses a file and puts its includes in place.
fn document(name: &str, text: &[u8]) -> Result<Document, String> {
    let mut document = Document::parse(name, text).map_err(|error| error.to_string())?;
    while let Some(include) = document.next_include() {
        let path = String::from_utf8_lossy(include).into_owned();
        let text = read(&path)?;
        document.splice(&[(&path, &text)]).map_err(|error| error.to_string())?;
    }
    Ok(document)
}

/// A password kept in a file of its own stays out of process lists and configuration files.
fn read_password_file(config: &mut Config) -> Result<(), String> {
    let path = config.text(names::REQUIREPASS_FILE).into_owned();
    if path.is_empty() {
        return Ok(());
    }
    let text =
        std::fs::read(&path).map_err(|error| format!("cannot read requirepass-file {path}: {error}"))?;
    let password = text.strip_suffix(b"\n").unwrap_or(&text);
    let asker = sessile_config::Asker { local: true, loading: false };
    config
        .set(b"requirepass", password, asker)
        .map(|_| ())
        .map_err(|error| format!("requirepass-file {path}: {error}"))
}

/// The data directory is the working directory, as in Redis: relative paths in the configuration are below it.
fn enter_dir(config: &Config) -> Result<(), String> {
    let dir = config.text(names::DIR).into_owned();
    let hint = "check `dir` and its permissions";
    std::fs::create_dir_all(&dir)
        .map_err(|error| format!("cannot create the data directory {dir}: {error}; {hint}"))?;
    std::env::set_current_dir(Path::new(&dir))
        .map_err(|error| format!("cannot enter the data directory {dir}: {error}; {hint}"))
}

fn write_pidfile(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    std::fs::write(path, format!("{}\n", std::process::id()))
        .map_err(|error| format!("cannot write the pid file {path}: {error}"))
}

/// CONFIG REWRITE: the old file keeps its comments; the new one takes its place whole or not at all.
pub(crate) fn rewrite_config(path: &str, config: &Config) -> Result<(), String> {
    let old = std::fs::read(path).unwrap_or_default();
    let new = sessile_config::rewrite(&old, config);
    let beside = format!("{path}.new");
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&beside)?;
        Write::write_all(&mut file, &new)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| error.to_string())
}
