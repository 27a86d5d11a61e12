//! Signals, and telling the service manager.

use std::os::unix::net::UnixDatagram;
use std::rc::Rc;

use sessile_config::table as names;
use tokio::signal::unix::{SignalKind, signal};

use crate::shard::Shard;

/// Stops the node on SIGTERM and SIGINT, as `shutdown-on-sigterm` and `shutdown-on-sigint` say.
pub(crate) fn watch(shard: &Rc<Shard>) -> Result<(), String> {
    let signals = [
        (SignalKind::terminate(), "SIGTERM", names::SHUTDOWN_ON_SIGTERM),
        (SignalKind::interrupt(), "SIGINT", names::SHUTDOWN_ON_SIGINT),
    ];
    for (kind, name, directive) in signals {
        let mut stream = signal(kind).map_err(|error| format!("cannot watch for {name}: {error}"))?;
        let shard = Rc::clone(shard);
        tokio::task::spawn_local(async move {
            // A stop that cannot save does not happen, and may be asked for again.
            while stream.recv().await.is_some() {
                tracing::info!("received {name}, stopping");
                let options = shard.engine.borrow().config().shutdown_options(directive);
                let save = (options.save || options.nosave).then_some(options.save);
                crate::background::shutdown(&shard, save, options.force);
            }
        });
    }
    // A log reader that hung up must not end the server.
    Ok(())
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
