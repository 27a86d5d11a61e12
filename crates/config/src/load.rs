//! From the sources of a configuration to the configuration: environment, then files, then flags;
//! the last one wins.

use crate::{
    config::Config,
    directive::{Directive, Flags, Id, Kind, Persona, Standing, directives, find, nearest},
    error::{Notice, Place, Problem, StartError},
    file::{Document, Line},
    table,
    words::{self, Words},
};

/// Variables of the environment that are defaults begin with this.
const ENVIRONMENT_PREFIX: &str = "SESSILE_";

/// Where a configuration comes from. All of it is text that the caller has read.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The name that the program was started under.
    pub persona: Persona,
    /// The variables of the environment, by name and value; those of others are passed over.
    pub environment: &'a [(String, Vec<u8>)],
    /// The file, then standard input, with their includes resolved.
    pub documents: &'a [Document],
    /// The flags; see [`crate::args::parse`].
    pub flags: &'a [Line],
}

/// Reads all sources.
///
/// # Errors
/// For the first line that is wrong; then for what Sessile does not have but is asked to have.
pub fn load(sources: Sources<'_>) -> Result<(Config, Vec<Notice>), StartError> {
    let mut loading = Loading {
        config: Config::new(sources.persona),
        notices: Vec::new(),
        places: vec![None; directives().len()],
        saves_given: false,
    };
    for (name, value) in sources.environment {
        loading.variable(name, value)?;
    }
    // A file's first save point replaces those of the environment, as it replaces the defaults.
    loading.saves_given = false;
    for line in sources.documents.iter().flat_map(Document::lines).chain(sources.flags) {
        loading.line(line)?;
    }
    loading.finish()
}

struct Loading {
    config: Config,
    notices: Vec<Notice>,
    /// Where each directive was set last.
    places: Vec<Option<Place>>,
    /// Whether save points were given, so that further ones add to them.
    saves_given: bool,
}

impl Loading {
    fn variable(&mut self, variable: &str, value: &[u8]) -> Result<(), StartError> {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { return Ok(()) };
        if is_foreign(name, value) {
            self.notices.push(Notice::ForeignVariable { name: variable.to_owned() });
            return Ok(());
        }
        let place = Place::Environment { name: variable.to_owned() };
        let plain = name.to_ascii_lowercase();
        // Names with an underscore of their own come first, then those with hyphens.
        let id = find(plain.as_bytes()).or_else(|| find(plain.replace('_', "-").as_bytes()));
        let Some(id) = id else { return Err(unknown(place, plain.replace('_', "-").as_bytes())) };
        let several = id.directive().flags.has(Flags::MULTI_ARG) || is_row(id.directive());
        let words = words::split(value);
        if several && !words.balanced {
            return Err(StartError { place, problem: Problem::UnbalancedQuotes });
        }
        let args = if several && !value.is_empty() { words.words } else { vec![value.to_vec()] };
        self.assign(id, &place, &args)
    }

    fn line(&mut self, line: &Line) -> Result<(), StartError> {
        let Words { words, hashes, balanced } = &line.words;
        let refuse = |problem| StartError { place: line.place(), problem };
        let Some((name, args)) = words.split_first() else {
            return Err(refuse(Problem::UnbalancedQuotes));
        };
        let Some(id) = find(name) else { return Err(unknown(line.place(), name)) };
        let comment = comment_from(id, hashes);
        if comment.is_none() && !balanced {
            return Err(refuse(Problem::UnbalancedQuotes));
        }
        if comment.is_some() {
            self.notices.push(Notice::TrailingComment { place: line.place() });
        }
        let end = comment.map_or(args.len(), |word| word - 1);
        self.assign(id, &line.place(), &args[..end])
    }

    fn assign(&mut self, id: Id, place: &Place, args: &[Vec<u8>]) -> Result<(), StartError> {
        let directive = id.directive();
        let refuse = |problem| StartError { place: place.clone(), problem };
        if id == table::INCLUDE {
            return Err(refuse(Problem::IncludeHere));
        }
        let wrong = |reason| refuse(Problem::Argument { name: directive.name, reason });
        // One quoted argument may hold several: `save "900 1 300 10"`.
        let split = match args {
            [only] if directive.flags.has(Flags::MULTI_ARG) && !only.is_empty() => {
                let words = words::split(only);
                if !words.balanced {
                    return Err(refuse(Problem::UnbalancedQuotes));
                }
                words.words
            }
            _ => args.to_vec(),
        };
        let args: Vec<&[u8]> = split.iter().map(Vec::as_slice).collect();
        let append = self.saves_given;
        self.config.assign_at_start(id, &args, append).map_err(wrong)?;
        self.saves_given |= id == table::SAVE;
        self.places[id.index()] = Some(place.clone());
        Ok(())
    }

    fn finish(mut self) -> Result<(Config, Vec<Notice>), StartError> {
        for (id, directive) in directives() {
            let place = self.places[id.index()].clone();
            if let Some(reason) = self.config.refused(id) {
                let problem = Problem::Argument { name: directive.name, reason };
                return Err(StartError { place: place.unwrap_or(Place::Whole), problem });
            }
            if let (Standing::Accepted(reason), false) = (directive.standing, self.config.is_default(id)) {
                self.notices.push(Notice::NoEffect { name: directive.name, reason });
            }
        }
        self.config.default_save_points();
        let password = |id| !self.config.bytes(id).is_empty();
        if password(table::REQUIREPASS) && password(table::REQUIREPASS_FILE) {
            let problem = Problem::Contradiction { left: "requirepass", right: "requirepass-file" };
            return Err(StartError { place: Place::Whole, problem });
        }
        Ok((self.config, self.notices))
    }
}

/// The place of the word with which a trailing comment begins. A value may begin with `#` itself,
/// so only a word past the directive's arguments counts; in a user's rules it is a password hash.
fn comment_from(id: Id, hashes: &[usize]) -> Option<usize> {
    let first = match id.directive().kind {
        Kind::Row { min, max } if min == max => max + 1,
        Kind::Row { .. } => return None,
        _ => 2,
    };
    hashes.iter().copied().find(|&word| word >= first)
}

/// Whether a container platform set this for a service that is named `sessile`.
fn is_foreign(name: &str, value: &[u8]) -> bool {
    let link = name == "PORT" && value.windows(3).any(|three| three == b"://");
    link || name.starts_with("SERVICE_") || name.starts_with("PORT_")
}

fn is_row(directive: &Directive) -> bool {
    matches!(directive.kind, Kind::Row { .. })
}

fn unknown(place: Place, name: &[u8]) -> StartError {
    let shown = String::from_utf8_lossy(name).into_owned();
    StartError { place, problem: Problem::Unknown { name: shown, nearest: nearest(name) } }
}
