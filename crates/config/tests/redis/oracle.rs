//! A real `redis-server`, asked for its configuration.

use std::path::PathBuf;

use sessile_oracle::Connection;
pub(crate) use sessile_oracle::fresh_dir;

/// A running server with a connection; it ends with this value.
pub(crate) struct Oracle {
    _server: sessile_oracle::Oracle,
    link: Connection,
}

impl Oracle {
    /// Starts it with these arguments and this directory; its words when it refuses to start.
    pub(crate) fn start(args: &[&str], dir: PathBuf) -> Result<Self, String> {
        let server = sessile_oracle::Oracle::start_in(dir, args)?;
        let link = server.connect();
        Ok(Self { _server: server, link })
    }

    /// The strings of a reply; an error is one string with its `-`.
    pub(crate) fn call(&mut self, args: &[&[u8]]) -> Vec<Vec<u8>> {
        self.link.strings(args)
    }

    /// `CONFIG GET` of one name.
    pub(crate) fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        self.call(&[b"CONFIG", b"GET", name.as_bytes()]).into_iter().nth(1)
    }
}

/// Whether a directive that nothing set has another default here, on purpose.
pub(crate) fn has_own_default(config: &sessile_config::Config, name: &str) -> bool {
    name.eq_ignore_ascii_case("save") && !config.is_explicit(sessile_config::table::SAVE)
}
