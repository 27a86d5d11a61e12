//! Configuration: a file gives a configuration or an error, and a value that was taken is taken again as it is shown.

use sessile_config::file::Document;
use sessile_config::{Asker, Config, Persona, Sources, directives};

use crate::input::split_at_byte;

/// A file; what `CONFIG REWRITE` makes of it gives the same configuration.
pub(crate) fn file(data: &[u8]) {
    let Ok(document) = resolved(data) else { return };
    let Ok(config) = load(document) else { return };
    let text = sessile_config::rewrite(data, &config);
    let again = resolved(&text).and_then(load);
    let again = again.unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&text)));
    for (id, directive) in directives() {
        assert_eq!(
            String::from_utf8_lossy(&config.show(id)),
            String::from_utf8_lossy(&again.show(id)),
            "{} in {:?}",
            directive.name,
            String::from_utf8_lossy(&text)
        );
    }
}

/// Parses a file; what it includes holds nothing.
fn resolved(text: &[u8]) -> Result<Document, sessile_config::StartError> {
    let mut document = Document::parse("fuzz.conf", text)?;
    while document.next_include().is_some() {
        document.splice(&[("included.conf", b"# nothing\n")])?;
    }
    Ok(document)
}

fn load(document: Document) -> Result<Config, sessile_config::StartError> {
    let documents = [document];
    let sources =
        Sources { persona: Persona::RedisServer, environment: &[], documents: &documents, flags: &[] };
    sessile_config::load(sources).map(|(config, _)| config)
}

/// A `CONFIG SET`: the directive by its number, then its value; or by its name, up to a space.
pub(crate) fn set(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else { return };
    let mut config = Config::new(Persona::Sessile);
    let asker = Asker { local: true, loading: false };
    let known: Vec<&str> = directives().map(|(_, directive)| directive.name).collect();
    let (name, value) = match known.get(usize::from(which)) {
        Some(name) => (name.as_bytes(), rest),
        None => split_at_byte(rest, b' '),
    };
    if config.set(name, value, asker).is_err() {
        return;
    }
    let Some(shown) = config.get(name) else { return };
    config
        .set(name, &shown, asker)
        .unwrap_or_else(|error| panic!("{error}: {} as it is shown", String::from_utf8_lossy(&shown)));
    assert_eq!(config.get(name), Some(shown));
}
