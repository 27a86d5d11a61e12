//! The argument trees of COMMAND DOCS, read from the notation of [`Docs::syntax`](crate::Docs::syntax).
//!
//! Words in capitals (and signs such as `=`) are tokens, others are values. A token takes the plain values and
//! `<…>` groups behind it. `[…]` may be left out, `<… | …>` is one of several, `[x ...]` behind `x` repeats it.
//! What a value is follows from its name; where the name says too little, `name:kind` does.

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any string.
    String,
    /// An integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A key's name.
    Key,
    /// A glob pattern.
    Pattern,
    /// A Unix time, in the unit that its name says.
    UnixTime,
    /// Only its token.
    PureToken,
    /// One of its children.
    OneOf,
    /// All of its children, in order.
    Block,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Lower case; of a group, made from its children.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// The word before it.
    pub token: Option<String>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
    /// Children of a group.
    pub children: Vec<Argument>,
}

/// The notation is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSyntax;

/// Deeper groups than any command has are refused, so that reading needs little stack.
const DEPTH_MAX: usize = 16;

/// Names and kinds of values; others are strings.
const KINDS: &[(ArgumentKind, &[&str])] = &[
    (
        ArgumentKind::Key,
        &["key", "key1", "key2", "source", "destination", "destkey", "sourcekey", "newkey", "src", "dst"],
    ),
    (
        ArgumentKind::Integer,
        &[
            "count",
            "numkeys",
            "seconds",
            "milliseconds",
            "index",
            "offset",
            "start",
            "stop",
            "end",
            "increment",
            "decrement",
            "cursor",
            "db",
            "destination-db",
            "rank",
            "num-matches",
            "len",
            "limit",
            "numreplicas",
            "numlocal",
            "bit",
            "min-match-len",
            "protover",
            "entries-added",
            "entries-read",
            "ms",
            "client-id",
            "port",
            "version",
            "weight",
            "frequency",
            "ttl",
            "bits",
            "index1",
            "index2",
        ],
    ),
    (
        ArgumentKind::Double,
        &["score", "longitude", "latitude", "radius", "width", "height", "min", "max", "timeout"],
    ),
    (ArgumentKind::Pattern, &["pattern"]),
    (ArgumentKind::UnixTime, &["unix-time-seconds", "unix-time-milliseconds"]),
];

/// Names of signs, and of groups by the name of their first child.
const SIGNS: &[(&str, &str)] = &[("*", "auto_id"), ("=", "equal"), ("~", "approximately"), ("$", "new_id")];
const GROUPS: &[(&str, &str)] = &[
    ("nx", "condition"),
    ("gt", "comparison"),
    ("m", "unit"),
    ("byte", "unit"),
    ("asc", "order"),
    ("left", "where"),
    ("before", "where"),
    ("min", "where"),
    ("sum", "aggregate"),
    ("byscore", "sortby"),
    ("seconds", "expiration"),
    ("maxlen", "strategy"),
    ("equal", "operator"),
    ("and", "operation"),
    ("auto_id", "id_or_auto"),
];

/// A piece of the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item<'a> {
    Word(&'a str),
    Group { optional: bool, choices: Vec<Vec<Item<'a>>> },
    Dots,
}

/// Reads the arguments behind a command's name.
pub fn parse(syntax: &str) -> Result<Vec<Argument>, BadSyntax> {
    let mut reader = Reader { text: syntax, at: 0 };
    let items = reader.items(0)?;
    if reader.at < syntax.len() {
        return Err(BadSyntax);
    }
    sequence(&items)
}

impl ArgumentKind {
    /// As COMMAND DOCS spells it.
    pub fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }

    fn of(name: &str) -> Self {
        KINDS.iter().find(|(_, names)| names.contains(&name)).map_or(ArgumentKind::String, |(kind, _)| *kind)
    }

    fn named(name: &str) -> Option<Self> {
        use ArgumentKind::{Double, Integer, Key, Pattern, String, UnixTime};
        [String, Integer, Double, Key, Pattern, UnixTime].into_iter().find(|kind| kind.name() == name)
    }
}

impl Argument {
    fn value(word: &str) -> Self {
        let (name, kind) = annotated(word).unwrap_or_else(|| (word, ArgumentKind::of(word)));
        Self::new(name.to_owned(), kind, Vec::new())
    }

    fn new(name: String, kind: ArgumentKind, children: Vec<Argument>) -> Self {
        Self { name, kind, token: None, optional: false, multiple: false, multiple_token: false, children }
    }

    /// One argument for a whole sequence.
    fn of_all(mut arguments: Vec<Argument>) -> Option<Self> {
        if arguments.len() == 1 {
            return arguments.pop();
        }
        let names: Vec<&str> = arguments.iter().map(|a| a.name.as_str()).collect();
        let name = names.join("-");
        (!arguments.is_empty()).then(|| Self::new(name, ArgumentKind::Block, arguments))
    }
}

/// The parts of `name:kind`. Other words may have a colon as well, such as `ip:port`.
fn annotated(word: &str) -> Option<(&str, ArgumentKind)> {
    let (name, kind) = word.split_once(':')?;
    Some((name, ArgumentKind::named(kind)?))
}

/// The notation for readers: without the kinds.
pub fn plain(syntax: &str) -> String {
    let ends = |c: char| matches!(c, ' ' | '|' | '[' | ']' | '<' | '>');
    syntax
        .split_inclusive(ends)
        .map(|word| {
            let name = word.trim_end_matches(ends);
            annotated(name)
                .map_or_else(|| word.to_owned(), |(plain, _)| format!("{plain}{}", &word[name.len()..]))
        })
        .collect()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Items up to the end of the choice, the group or the text.
    fn items(&mut self, depth: usize) -> Result<Vec<Item<'a>>, BadSyntax> {
        if depth > DEPTH_MAX {
            return Err(BadSyntax);
        }
        let mut items = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(next) = rest.bytes().next() else { return Ok(items) };
            match next {
                b' ' => self.at += 1,
                b'|' | b']' | b'>' => return Ok(items),
                b'[' | b'<' => {
                    self.at += 1;
                    items.push(self.group(next == b'[', depth)?);
                }
                _ => {
                    let end = rest.find([' ', '|', '[', ']', '<', '>']).unwrap_or(rest.len());
                    self.at += end;
                    items.push(if &rest[..end] == "..." { Item::Dots } else { Item::Word(&rest[..end]) });
                }
            }
        }
    }

    fn group(&mut self, optional: bool, depth: usize) -> Result<Item<'a>, BadSyntax> {
        let mut choices = Vec::new();
        loop {
            choices.push(self.items(depth + 1)?);
            let end = self.text.as_bytes().get(self.at).copied();
            if end != Some(b'|') && end != Some(if optional { b']' } else { b'>' }) {
                return Err(BadSyntax);
            }
            self.at += 1;
            if end != Some(b'|') {
                return Ok(Item::Group { optional, choices });
            }
        }
    }
}

fn is_token(word: &str) -> bool {
    !word.bytes().any(|b| b.is_ascii_lowercase())
}

/// What a `[x ...]` repeats.
fn repeated<'i, 'a>(item: Option<&'i Item<'a>>) -> Option<&'i [Item<'a>]> {
    match item? {
        Item::Group { optional: true, choices } if choices.len() == 1 => match choices[0].split_last()? {
            (Item::Dots, what) => Some(what),
            _ => None,
        },
        _ => None,
    }
}

fn sequence(items: &[Item<'_>]) -> Result<Vec<Argument>, BadSyntax> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < items.len() {
        let (argument, used) = one(&items[at..])?;
        out.push(argument);
        at += used;
    }
    Ok(out)
}

/// The argument at the front, and how many items it took.
fn one(items: &[Item<'_>]) -> Result<(Argument, usize), BadSyntax> {
    let run = (1..items.len()).find(|&n| repeated(items.get(n)) == Some(&items[..n]));
    if let Some(n) = run {
        return Ok((repeat(&items[..n])?, n + 1));
    }
    match &items[0] {
        Item::Word(word) if is_token(word) => token(word, &items[1..]),
        Item::Word(word) => Ok((Argument::value(word), 1)),
        Item::Dots => Err(BadSyntax),
        group @ Item::Group { optional, choices } => match repeated(Some(group)) {
            Some(what) => Ok((Argument { optional: true, ..repeat(what)? }, 1)),
            None => Ok((choice(*optional, choices)?, 1)),
        },
    }
}

fn repeat(items: &[Item<'_>]) -> Result<Argument, BadSyntax> {
    let it = Argument::of_all(sequence(items)?).ok_or(BadSyntax)?;
    let multiple_token = it.token.is_some() && it.kind != ArgumentKind::PureToken;
    Ok(Argument { multiple: true, multiple_token, ..it })
}

fn choice(optional: bool, choices: &[Vec<Item<'_>>]) -> Result<Argument, BadSyntax> {
    let mut children = Vec::new();
    for items in choices {
        children.push(Argument::of_all(sequence(items)?).ok_or(BadSyntax)?);
    }
    let it = match children.len() {
        1 => children.remove(0),
        _ => {
            let first = children[0].name.as_str();
            let name = GROUPS.iter().find(|(child, _)| *child == first).map_or(first, |(_, name)| *name);
            Argument::new(name.to_owned(), ArgumentKind::OneOf, children)
        }
    };
    Ok(Argument { optional: optional || it.optional, ..it })
}

/// A token with the values behind it.
fn token(word: &str, rest: &[Item<'_>]) -> Result<(Argument, usize), BadSyntax> {
    let mut values = Vec::new();
    let mut used = 0;
    while let Some(Item::Word(_) | Item::Group { optional: false, .. }) = rest.get(used) {
        if matches!(&rest[used], Item::Word(word) if is_token(word)) {
            break;
        }
        let (value, items) = one(&rest[used..])?;
        values.push(value);
        used += items;
    }
    let lower = SIGNS
        .iter()
        .find(|(sign, _)| *sign == word)
        .map_or_else(|| word.to_ascii_lowercase(), |s| s.1.to_owned());
    let it = match values.len() {
        0 => Argument::new(lower, ArgumentKind::PureToken, Vec::new()),
        1 => values.remove(0),
        _ => Argument::new(lower, ArgumentKind::Block, values),
    };
    // A value that has a token of its own stands inside a block.
    let it =
        if it.token.is_some() { Argument::new(it.name.clone(), ArgumentKind::Block, vec![it]) } else { it };
    Ok((Argument { token: Some(word.to_owned()), ..it }, used + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line: `kind`, `TOKEN kind`, `?` optional, `+` repeated, `++` repeated with its token.
    fn shown(arguments: &[Argument]) -> String {
        let one = |it: &Argument| {
            let token = it.token.as_ref().map_or_else(String::new, |token| format!("{token} "));
            let children =
                if it.children.is_empty() { String::new() } else { format!("({})", shown(&it.children)) };
            let repeated = ["", "+", "++"][usize::from(it.multiple) + usize::from(it.multiple_token)];
            let optional = if it.optional { "?" } else { "" };
            format!("{}={token}{}{children}{repeated}{optional}", it.name, it.kind.name())
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn check(syntax: &str, expected: Option<&str>) {
        let tree = parse(syntax).ok().map(|arguments| shown(&arguments));
        assert_eq!(tree.as_deref(), expected, "`{syntax}`");
    }

    #[test]
    fn reads_the_notation() {
        check("", Some(""));
        check("key value", Some("key=key value=string"));
        check("start stop:string ip:port", Some("start=integer stop=string ip:port=string"));
        check("member [member ...]", Some("member=string+"));
        check("[member [member ...]]", Some("member=string+?"));
        check("[member ...]", Some("member=string+?"));
        check("score member [score member ...]", Some("score-member=block(score=double member=string)+"));
        check(
            "[NX | XX] [CH]",
            Some("condition=oneof(nx=NX pure-token xx=XX pure-token)? ch=CH pure-token?"),
        );
        check("[COUNT count [ANY]]", Some("count-any=block(count=COUNT integer any=ANY pure-token?)?"));
        check("[LIMIT offset count]", Some("limit=LIMIT block(offset=integer count=integer)?"));
        check("[WEIGHTS weight [weight ...]]", Some("weight=WEIGHTS integer+?"));
        check("[GET pattern [GET pattern ...]]", Some("pattern=GET pattern++?"));
        check(
            "[AGGREGATE <SUM | MIN>]",
            Some("aggregate=AGGREGATE oneof(sum=SUM pure-token min=MIN pure-token)?"),
        );
        check("STREAMS key [key ...] id [id ...]", Some("streams=STREAMS block(key=key+ id=string+)"));
        check("<* | id>", Some("id_or_auto=oneof(auto_id=* pure-token id=string)"));
        check(
            "<BYRADIUS radius <M | KM> | BYBOX width height <M | KM>>",
            Some(
                "byradius=oneof(byradius=BYRADIUS block(radius=double unit=oneof(m=M pure-token km=KM pure-token)) \
                 bybox=BYBOX block(width=double height=double unit=oneof(m=M pure-token km=KM pure-token)))",
            ),
        );
    }

    #[test]
    fn refuses_what_is_no_notation() {
        check("[", None);
        check("key]", None);
        check("[a>", None);
        check("<a | >", None);
        check("...", None);
        check("[...]", None);
        check(&"[".repeat(100_000), None);
    }

    #[test]
    fn hides_the_kinds() {
        assert_eq!(plain("key [start:string ip:port|x:integer]"), "key [start ip:port|x]");
    }
}
