//! COMMAND DOCS and COMMAND INFO against the installed `redis-server` (7.0.15): the same grammar, keys and flags for
//! every command that both have, apart from the differences named here.

use std::collections::BTreeMap;

use sessile_config::{Config, Persona};
use sessile_engine::{Engine, Now, Options, Peer};
use sessile_oracle::{Connection, Oracle};
use sessile_resp::{Value, decode, encode_request};

/// Commands whose arguments differ, under the reason. A command that does not differ any more fails the test as well.
const DOCS_DIFFER: &[(&str, &[&str])] = &[
    ("the words of BITOP are choices, as in 7.2", &["bitop"]),
    ("the old word SLAVE is not there, and each filter is a choice of its own", &["client|kill"]),
    ("it cannot be switched on", &["client|tracking"]),
    ("the request is shown, as in 7.2", &["command|getkeys", "command|getkeysandflags"]),
    ("members and sources may be left out, as in 7.2", &["geohash", "geopos", "pfmerge"]),
    ("STORE and STOREDIST exclude each other, as in 7.2", &["georadius", "georadiusbymember"]),
    ("WITHSCORE came with 7.2", &["zrank", "zrevrank"]),
];

/// Commands whose COMMAND INFO differs, under the reason.
const INFO_DIFFERS: &[(&str, &[&str])] = &[
    (
        "scripts may call blocking commands, as in 7.2",
        &["blmove", "blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin"],
    ),
    ("a container, whose subcommands are the ones for operators", &["debug"]),
    ("WITHSCORE came with 7.2", &["zrank", "zrevrank"]),
];

/// The server with one connection.
struct Theirs {
    link: Connection,
    _server: Oracle,
}

impl Theirs {
    fn new() -> Self {
        let server = Oracle::start(&[]);
        Self { link: server.connect(), _server: server }
    }

    fn call(&mut self, words: &[&str]) -> Value {
        let reply = self.link.raw(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        decode(&reply).expect("redis-server speaks RESP").expect("a whole reply").0
    }
}

/// One connection to an engine.
struct Ours {
    engine: Engine,
    conn: usize,
}

impl Ours {
    fn new() -> Self {
        let config = Config::new(Persona::RedisServer);
        let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 0 };
        let mut engine = Engine::new(Options { config, seed: 1, now, stopwatch_us: || 0 });
        let peer = Peer { loopback: true, ..Peer::default() };
        let conn = engine.connect(peer).expect("the first connection is taken");
        Self { engine, conn }
    }

    fn call(&mut self, words: &[&str]) -> Value {
        let mut request = Vec::new();
        encode_request(&mut request, words);
        self.engine.feed(self.conn, &request);
        let reply = self.engine.released(self.conn).to_vec();
        self.engine.sent(self.conn, reply.len());
        let (value, len) = decode(&reply).expect("a reply").expect("a whole reply");
        assert_eq!(len, reply.len(), "one reply to one request");
        value
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) | Value::Simple(bytes) | Value::Error(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

fn pairs(value: &Value) -> &[(Value, Value)] {
    match value {
        Value::Map(pairs) => pairs,
        _ => &[],
    }
}

fn field<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    pairs(map).iter().find(|(key, _)| text(key) == name).map(|(_, value)| value)
}

/// The grammar of an argument tree in a normal form, in which names, the order of choices and blocks that group
/// without need make no difference.
fn grammar(list: &Value) -> String {
    items(list).iter().map(term).collect::<Vec<_>>().join(" ")
}

fn term(argument: &Value) -> String {
    let kind = field(argument, "type").map(text).expect("an argument has a type");
    let children = field(argument, "arguments");
    let token = field(argument, "token").map(text);
    let flags: Vec<String> =
        field(argument, "flags").map(items).unwrap_or_default().iter().map(text).collect();
    let has = |flag: &str| flags.iter().any(|f| f == flag);
    let base = match kind.as_str() {
        "pure-token" => token.clone().expect("a pure token has a token"),
        "oneof" => {
            let mut choices: Vec<String> = children.map(items).unwrap_or_default().iter().map(term).collect();
            choices.sort();
            format!("<{}>", choices.join(" | "))
        }
        "block" => children.map(grammar).unwrap_or_default(),
        "key" | "pattern" => {
            format!("{kind}{}", field(argument, "key_spec_index").map_or_else(String::new, text))
        }
        leaf => leaf.to_owned(),
    };
    let token = token.filter(|_| kind != "pure-token").map_or_else(String::new, |token| format!("{token} "));
    let repeated = match (has("multiple"), has("multiple_token")) {
        (true, true) => format!("({token}{base})+"),
        (true, false) => format!("{token}({base})+"),
        (false, _) => format!("{token}{base}"),
    };
    if has("optional") { format!("[{repeated}]") } else { repeated }
}

/// The grammar of every command and subcommand in a reply to COMMAND DOCS.
fn grammars(docs: &Value, out: &mut BTreeMap<String, String>) {
    for (name, doc) in pairs(docs) {
        match field(doc, "subcommands") {
            Some(subs) => grammars(subs, out),
            None => {
                out.insert(text(name), field(doc, "arguments").map(grammar).unwrap_or_default());
            }
        }
    }
}

/// Arity, flags, keys, categories and key specs of every command and subcommand in a reply to COMMAND.
fn infos(list: &Value, out: &mut BTreeMap<String, String>) {
    for entry in items(list) {
        let it = items(entry);
        let sorted = |value: &Value| {
            let mut words: Vec<String> = items(value).iter().map(text).collect();
            words.sort();
            words.join(" ")
        };
        let specs: Vec<String> = items(&it[8]).iter().map(spec).collect();
        let line = format!(
            "{} | {} | {} {} {} | {} | {}",
            text(&it[1]),
            sorted(&it[2]),
            text(&it[3]),
            text(&it[4]),
            text(&it[5]),
            sorted(&it[6]),
            specs.join("; ")
        );
        out.insert(text(&it[0]), line);
        infos(&it[9], out);
    }
}

fn spec(value: &Value) -> String {
    let flags: Vec<String> = field(value, "flags").map(items).unwrap_or_default().iter().map(text).collect();
    let part = |name: &str| {
        let step = field(value, name).expect("a key spec has two steps");
        let fields: Vec<String> = pairs(field(step, "spec").expect("a step has a spec"))
            .iter()
            .map(|(_, value)| text(value))
            .collect();
        format!("{}({})", field(step, "type").map(text).expect("a step has a type"), fields.join(","))
    };
    format!("{} {} {}", flags.join(" "), part("begin_search"), part("find_keys"))
}

/// Compares what both have; differences must be exactly the `explained` ones.
fn check(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>, explained: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (name, expected) in theirs {
        let Some(actual) = ours.get(name) else { continue };
        let is_explained = explained.iter().any(|(_, names)| names.contains(&name.as_str()));
        match (actual == expected, is_explained) {
            (false, false) => wrong.push(format!("{name}\n  ours   {actual}\n  theirs {expected}")),
            (true, true) => wrong.push(format!("{name} does not differ any more")),
            _ => {}
        }
    }
    let both = ours.keys().filter(|name| theirs.contains_key(*name)).count();
    assert!(both > 150, "only {both} commands to compare");
    assert!(wrong.is_empty(), "{} of {both} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn arguments_are_redis_own() {
    let mut oracle = Theirs::new();
    let mut engine = Ours::new();
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    oracle.call(&["HELLO", "3"]);
    engine.call(&["HELLO", "3"]);
    grammars(&engine.call(&["COMMAND", "DOCS"]), &mut ours);
    grammars(&oracle.call(&["COMMAND", "DOCS"]), &mut theirs);
    check(&ours, &theirs, DOCS_DIFFER);
}

#[test]
fn flags_and_keys_are_redis_own() {
    let mut oracle = Theirs::new();
    let mut engine = Ours::new();
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    oracle.call(&["HELLO", "3"]);
    engine.call(&["HELLO", "3"]);
    infos(&engine.call(&["COMMAND"]), &mut ours);
    infos(&oracle.call(&["COMMAND"]), &mut theirs);
    check(&ours, &theirs, INFO_DIFFERS);
}

/// Requests whose whole reply is Redis' own, in both protocols.
const SAME: &[&str] = &[
    "COMMAND COUNT x",
    "COMMAND FOO",
    "COMMAND HELP",
    "COMMAND HELP x",
    "COMMAND LIST x",
    "COMMAND LIST FILTERBY",
    "COMMAND LIST FILTERBY X y",
    "COMMAND LIST FILTERBY MODULE nope",
    "COMMAND LIST FILTERBY ACLCAT nope",
    "COMMAND LIST FILTERBY PATTERN GETD*",
    "COMMAND INFO nosuch",
    "COMMAND INFO nosuch|get",
    "COMMAND INFO get nosuch get",
    "COMMAND INFO lmove",
    "COMMAND INFO zunionstore",
    "COMMAND DOCS nosuch",
    "COMMAND GETKEYS",
    "COMMAND GETKEYS get",
    "COMMAND GETKEYS foo bar",
    "COMMAND GETKEYS ping x",
    "COMMAND GETKEYS get a b c",
    "COMMAND GETKEYS mset a",
    "COMMAND GETKEYS mset a b c d",
    "COMMAND GETKEYS object foo bar",
    "COMMAND GETKEYS object encoding",
    "COMMAND GETKEYS object encoding a",
    "COMMAND GETKEYS memory usage a",
    "COMMAND GETKEYS config get x",
    "COMMAND GETKEYS eval x 0",
    "COMMAND GETKEYS eval x 5 a",
    "COMMAND GETKEYS eval x y",
    "COMMAND GETKEYS eval x 2 a b c",
    "COMMAND GETKEYS zunionstore a 2 b c",
    "COMMAND GETKEYS zunionstore a 5 b c",
    "COMMAND GETKEYS zunion 0 a",
    "COMMAND GETKEYS zunion x a",
    "COMMAND GETKEYS xread count 1 b c",
    "COMMAND GETKEYS xread count 1 streams b c 0 0",
    "COMMAND GETKEYS sort a",
    "COMMAND GETKEYS sort a store",
    "COMMAND GETKEYS sort a store b",
    "COMMAND GETKEYS georadius a 1 1 1 m store",
    "COMMAND GETKEYSANDFLAGS georadius a 1 1 1 m store x",
    "COMMAND GETKEYSANDFLAGS sort a store b",
    "COMMAND GETKEYSANDFLAGS set a b",
    "COMMAND GETKEYSANDFLAGS set a b get",
    "COMMAND GETKEYSANDFLAGS bitfield a get u8 0",
    "COMMAND GETKEYSANDFLAGS bitfield a set u8 0 1",
    "COMMAND GETKEYSANDFLAGS lmove a b left left",
    "COMMAND GETKEYSANDFLAGS zunionstore a 2 b c",
    "COMMAND GETKEYSANDFLAGS bitop and a b c",
    "COMMAND GETKEYSANDFLAGS pfmerge a b c",
    "COMMAND GETKEYSANDFLAGS sdiffstore a b c",
    "COMMAND GETKEYSANDFLAGS xread streams a b 0 0",
    "COMMAND GETKEYSANDFLAGS del a b",
    "COMMAND GETKEYSANDFLAGS eval x 0",
];

#[test]
fn replies_are_redis_own() {
    let mut oracle = Theirs::new();
    let mut engine = Ours::new();
    let mut wrong = Vec::new();
    for proto in ["2", "3"] {
        oracle.call(&["HELLO", proto]);
        engine.call(&["HELLO", proto]);
        for line in SAME {
            let words: Vec<&str> = line.split(' ').collect();
            let (actual, expected) = (engine.call(&words), oracle.call(&words));
            if actual != expected {
                wrong.push(format!("RESP{proto} {line}\n  ours   {actual:?}\n  theirs {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} replies differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_syntax_can_be_read() {
    for entry in sessile_engine::Table::get().iter() {
        let subs = entry.subs.values();
        for entry in subs.chain([entry]) {
            let syntax = entry.command.docs.syntax;
            assert!(sessile_command::syntax::parse(syntax).is_ok(), "{}: `{syntax}`", entry.full_name);
        }
    }
}
