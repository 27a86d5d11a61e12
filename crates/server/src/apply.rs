//! What CONFIG SET changes beyond the engine: the log's level, the working directory, the listening sockets.

use sessile_config::{Config, Standing, find, table as names};

use crate::{listener, logging};

/// Applies the directives of these names. An error names the directive and says why; the caller then applies the old
/// values again.
pub(crate) fn check_and_apply(
    config: &Config,
    changed: &[&'static str],
) -> Result<(), (&'static str, String)> {
    let mut listens_anew = None;
    for &name in changed {
        let Some(id) = find(name.as_bytes()) else { continue };
        if let Standing::Accepted(reason) = id.directive().standing {
            tracing::warn!("`{name}` has no effect: {reason}");
        }
        match id {
            names::LOGLEVEL => logging::set_level(config),
            names::DIR => std::env::set_current_dir(&*config.text(names::DIR))
                .map_err(|error| (name, in_words(&error)))?,
            names::PORT | names::BIND => listens_anew = Some(name),
            _ => {}
        }
    }
    if let Some(name) = listens_anew {
        listener::listen_anew(config).map_err(|why| {
            tracing::error!("{why}");
            let text = if name == "port" {
                "Unable to listen on this port. Check server logs."
            } else {
                "Failed to bind to specified addresses."
            };
            (name, text.to_owned())
        })?;
    }
    Ok(())
}

/// The system's words alone, as Redis gives them.
fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
