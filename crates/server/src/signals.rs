//! Signals, and telling the service manager.

use std::io::{self, Read};
use std::os::unix::net::{UnixDatagram, UnixStream};

use mio::{Interest, Registry, Token};
use sessile_config::{Id, table as names};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::reactor::SIGNAL;
use crate::shard::Shard;

/// A signal that stops the node.
pub(crate) struct Watched {
    name: &'static str,
    /// How it stops.
    directive: Id,
    /// A byte for each that came.
    came: mio::net::UnixStream,
}

/// Watches for SIGTERM and SIGINT.
pub(crate) fn watch(registry: &Registry) -> Result<Vec<Watched>, String> {
    let signals =
        [(SIGTERM, "SIGTERM", names::SHUTDOWN_ON_SIGTERM), (SIGINT, "SIGINT", names::SHUTDOWN_ON_SIGINT)];
    let watch = |at: usize, signal, name, directive| -> io::Result<Watched> {
        let (came, tell) = UnixStream::pair()?;
        came.set_nonblocking(true)?;
        pipe::register(signal, tell)?;
        let mut came = mio::net::UnixStream::from_std(came);
        registry.register(&mut came, Token(SIGNAL.0 - at), Interest::READABLE)?;
        Ok(Watched { name, directive, came })
    };
    let signals = signals.into_iter().enumerate().map(|(at, (signal, name, directive))| {
        watch(at, signal, name, directive).map_err(|error| format!("cannot watch for {name}: {error}"))
    });
    signals.collect()
}

/// Stops the node as `shutdown-on-sigterm` and `shutdown-on-sigint` say. A stop that cannot save does not happen, and may
/// be asked for again.
pub(crate) fn answer(shard: &mut Shard, token: Token) {
    let Some(watched) = shard.signals.get_mut(SIGNAL.0 - token.0) else { return };
    while watched.came.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    tracing::info!("received {}, stopping", watched.name);
    let options = shard.engine.config().shutdown_options(watched.directive);
    let save = (options.save || options.nosave).then_some(options.save);
    crate::background::shutdown(shard, save, options.force);
}

/// Where systemd wants to be told.
pub(crate) fn notify_socket() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok()
}

/// Says READY=1 to systemd, where it asked for that.
pub(crate) fn tell_ready() {
    if let Some(path) = notify_socket()
        && let Ok(socket) = UnixDatagram::unbound()
    {
        let _ = socket.send_to(b"READY=1\n", path);
    }
}
