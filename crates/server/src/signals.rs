//! Signals, and telling the service manager.

use std::os::unix::net::UnixDatagram;
use std::rc::Rc;

use tokio::signal::unix::{SignalKind, signal};

use crate::shard::Shard;

/// Stops the node on SIGTERM and SIGINT.
pub(crate) fn watch(shard: &Rc<Shard>) -> Result<(), String> {
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut stream = signal(kind).map_err(|error| format!("cannot watch for {name}: {error}"))?;
        let shard = Rc::clone(shard);
        tokio::task::spawn_local(async move {
            stream.recv().await;
            tracing::info!("received {name}, stopping");
            crate::background::shutdown(&shard, None, true);
        });
    }
    // A log reader that hung up must not end the server.
    Ok(())
}

/// Says READY=1 to systemd, where it asked for that.
pub(crate) fn tell_ready() {
    if let Ok(path) = std::env::var("NOTIFY_SOCKET")
        && let Ok(socket) = UnixDatagram::unbound()
    {
        let _ = socket.send_to(b"READY=1\n", path);
    }
}
