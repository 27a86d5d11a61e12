//! `dump.rdb`: loading what Redis left.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use sessile_config::{Config, table as names};
use sessile_engine::Engine;

use crate::journal_link::{self, JournalLink};
use crate::progress::{Counted, Lines, Progress, Unit};
use crate::reactor::Reactor;

/// At the start: loads the file where nothing was ever journaled, and journals what it holds.
pub(crate) fn start_from(
    engine: &mut Engine,
    journal: Option<&JournalLink>,
    reactor: &mut Reactor,
) -> Result<(), String> {
    if journal.is_some_and(|journal| !journal.fresh) {
        note_unused(engine.config());
        return Ok(());
    }
    match journal {
        Some(journal) if load(engine)? => journal_link::keep_import(engine, journal, reactor),
        Some(_) => Ok(()),
        None => load(engine).map(drop),
    }
}

/// Loads the file into an empty engine, if there is one; true if it did. Nothing of it is in the journal yet.
fn load(engine: &mut Engine) -> Result<bool, String> {
    let path = path(engine.config());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("cannot read {path}: {error}")),
    };
    let began = std::time::Instant::now();
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::new(&format!("loading {path}"), Unit::Bytes, total, Lines::Log);
    let file = Counted::new(file, progress);
    let mut loaded = 0u64;
    let summary = sessile_rdb::read(BufReader::with_capacity(1 << 20, file), |record| {
        let imported = engine.import(record.db, record.key, record.payload, record.expire_ms)?;
        loaded += u64::from(imported);
        Ok::<(), String>(())
    })
    .map_err(|error| format!("{path} cannot be loaded: {error}; move it away to start without it"))?;
    if !summary.functions.is_empty() {
        return Err(format!(
            "{path} holds libraries of functions, which are not offered yet; FUNCTION FLUSH and SAVE first"
        ));
    }
    tracing::info!(
        "loaded {loaded} of {} keys from {path} (RDB version {}), in {:.3} s",
        summary.records,
        summary.version,
        began.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Says that the file is there and not used, because the journal is newer.
fn note_unused(config: &Config) {
    let path = path(config);
    if Path::new(&path).exists() {
        tracing::warn!("{path} is not loaded: the journal wins; remove the journal to start from the file");
    }
}

/// Where it is.
pub(crate) fn path(config: &Config) -> String {
    config.text(names::DBFILENAME).into_owned()
}
