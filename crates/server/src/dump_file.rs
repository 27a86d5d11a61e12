//! `dump.rdb`: loading what Redis left, writing what Redis can load.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use sessile_config::{Config, table as names};
use sessile_engine::Engine;
use sessile_keyspace::{Content, Keyspace};
use sessile_rdb::{Facts, Writer};
use sessile_values::dump;

/// Loads the file into an empty engine, if there is one; all of it or nothing is journaled.
pub(crate) fn load(engine: &mut Engine) -> Result<(), String> {
    let path = path(engine.config());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read {path}: {error}")),
    };
    let began = std::time::Instant::now();
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
    engine.finish_import();
    tracing::info!(
        "loaded {loaded} of {} keys from {path} (RDB version {}), in {:.3} s",
        summary.records,
        summary.version,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Says that the file is there and not used, because the journal is newer.
pub(crate) fn note_unused(config: &Config) {
    let path = path(config);
    if Path::new(&path).exists() {
        tracing::warn!("{path} is not loaded: the journal wins; remove the journal to start from the file");
    }
}

fn path(config: &Config) -> String {
    config.text(names::DBFILENAME).into_owned()
}

/// Writes all data; the new file takes the old one's place once it is whole and durable.
pub(crate) fn write(config: &Config, keyspace: &Keyspace, now_ms: u64) -> Result<(), String> {
    let path = path(config);
    let beside = format!("temp-{}.rdb", std::process::id());
    let outcome = write_to(&beside, keyspace, now_ms)
        .and_then(|()| std::fs::rename(&beside, &path))
        .and_then(|()| File::open(".")?.sync_all());
    outcome.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        format!("cannot write {path}: {error}")
    })
}

fn write_to(path: &str, keyspace: &Keyspace, now_ms: u64) -> std::io::Result<()> {
    let facts =
        Facts { ctime_s: now_ms / 1000, used_memory: keyspace.memory_bytes() as u64, aof_base: false };
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, File::create(path)?), facts)?;
    let mut payload = Vec::new();
    for db in 0..keyspace.db_count() as u32 {
        let it = keyspace.db(db);
        if it.is_empty() {
            continue;
        }
        writer.select_db(db)?;
        writer.resize_db(it.len() as u64, it.expiring() as u64)?;
        for entry in it.table().iter() {
            payload.clear();
            match entry.content() {
                Content::Short(text) => dump::encode_text(text, &mut payload),
                Content::Value(value) => dump::encode_value(value, &mut payload),
            }
            writer.entry(entry.key(), entry.expire_ms(), &payload)?;
        }
    }
    let mut out = writer.finish()?;
    out.flush()?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}
