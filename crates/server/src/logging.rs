//! The log: one readable line an event, or one JSON object.

use std::fs::OpenOptions;
use std::sync::{Mutex, OnceLock};

use sessile_config::{Config, LogFormat, LogLevel, table as names};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// The way to another `loglevel`.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts the log as configured.
pub(crate) fn start(config: &Config) -> Result<(), String> {
    let file = config.text(names::LOGFILE);
    if file.is_empty() {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        // A progress bar may stand on the terminal: lines go above it.
        init(config, || crate::progress::AboveBar, terminal);
        return Ok(());
    }
    let out = OpenOptions::new().create(true).append(true).open(&*file).map_err(|error| {
        format!("cannot open the log file {file}: {error}; check `logfile` and its permissions")
    })?;
    init(config, Mutex::new(out), false);
    Ok(())
}

/// CONFIG SET loglevel.
pub(crate) fn set_level(config: &Config) {
    if let Some(handle) = LEVEL.get() {
        let _ = handle.reload(level(config));
    }
}

fn level(config: &Config) -> LevelFilter {
    match config.choice(names::LOGLEVEL) {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    }
}

fn init<W>(config: &Config, writer: W, colours: bool)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(level(config));
    let _ = LEVEL.set(handle);
    // A log on a full disk loses lines; complaining about them on a standard error that is full too would panic.
    let layer = fmt::layer().with_target(false).log_internal_errors(false).with_writer(writer);
    let all = tracing_subscriber::registry().with(filter);
    if config.choice::<LogFormat>(names::LOG_FORMAT) == LogFormat::Json {
        all.with(layer.json()).init();
    } else {
        all.with(layer.with_ansi(colours)).init();
    }
}
