//! The fields of `INFO`.

use std::collections::HashMap;

/// Fields by name. One that the server does not have reads as empty, or as 0.
#[derive(Default)]
pub(crate) struct Info {
    fields: HashMap<String, String>,
}

/// A database that has keys.
pub(crate) struct Database {
    pub(crate) number: u32,
    pub(crate) keys: u64,
    pub(crate) expires: u64,
}

impl Info {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Self { fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// By number.
    pub(crate) fn databases(&self) -> impl Iterator<Item = Database> {
        let mut databases: Vec<Database> = self
            .fields
            .iter()
            .filter_map(|(name, value)| {
                let number = name.strip_prefix("db")?.parse().ok()?;
                let field = |name: &str| {
                    let mut parts = value.split(',').filter_map(|part| part.split_once('='));
                    parts.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
                };
                Some(Database { number, keys: field("keys")?, expires: field("expires").unwrap_or(0) })
            })
            .collect();
        databases.sort_by_key(|db| db.number);
        databases.into_iter()
    }
}
