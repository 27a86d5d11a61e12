//! The log: one readable line an event, or one JSON object.

use std::fs::OpenOptions;
use std::sync::Mutex;

use sessile_config::{Config, LogFormat, LogLevel, table as names};
use tracing::Level;

/// Starts the log as configured.
pub(crate) fn start(config: &Config) -> Result<(), String> {
    let level = match config.choice(names::LOGLEVEL) {
        LogLevel::Debug => Level::TRACE,
        LogLevel::Verbose => Level::DEBUG,
        LogLevel::Notice => Level::INFO,
        LogLevel::Warning => Level::WARN,
    };
    let file = config.text(names::LOGFILE);
    // A log on a full disk loses lines; complaining about them on a standard error that is full too would panic.
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_target(false).log_internal_errors(false);
    let json = config.choice::<LogFormat>(names::LOG_FORMAT) == LogFormat::Json;
    if file.is_empty() {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        // A progress bar may stand on the terminal: lines go above it.
        let builder = builder.with_writer(|| crate::progress::AboveBar);
        if json {
            builder.json().init();
        } else {
            builder.with_ansi(terminal).init();
        }
        return Ok(());
    }
    let out = OpenOptions::new().create(true).append(true).open(&*file).map_err(|error| {
        format!("cannot open the log file {file}: {error}; check `logfile` and its permissions")
    })?;
    let builder = builder.with_writer(Mutex::new(out)).with_ansi(false);
    if json {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}
