//! CLIENT LIST and CLIENT INFO: each field and each flag is changed and seen to change.

use std::collections::BTreeSet;

use sessile_crash::client::{Conn, bytes, number as whole};
use sessile_crash::server::{Temp, until};

use crate::support::{Fields, LIMIT, Node, Said, Start, each, number, send};

/// A connection that is looked at, and its id.
struct Watched {
    conn: Conn,
    id: i64,
}

fn watched(node: &Node) -> Watched {
    let mut conn = node.connect();
    let id = whole(&conn.ask_line("CLIENT ID").expect("an answer")).expect("a number");
    Watched { conn, id }
}

/// The fields of a line.
fn parse(line: &str) -> Fields {
    let pairs = line.trim_end().split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// How CLIENT LIST shows a connection; `None` where it does not.
pub(crate) fn seen(node: &mut Node, id: i64) -> Option<Fields> {
    let list = node.value(&format!("CLIENT LIST ID {id}"));
    let text = String::from_utf8_lossy(bytes(&list).expect("a list")).into_owned();
    (!text.is_empty()).then(|| parse(&text))
}

fn field(node: &mut Node, it: &Watched, name: &str) -> String {
    seen(node, it.id).map_or_else(String::new, |mut all| all.remove(name).unwrap_or_default())
}

/// Waits until a field of the connection is as wanted.
fn comes(node: &mut Node, it: &Watched, name: &str, wanted: impl Fn(&str) -> bool) {
    let mut last = String::new();
    let found = until(LIMIT, || {
        last = field(node, it, name);
        wanted(&last).then_some(())
    });
    assert!(found.is_some(), "{name} stays {last}");
}

/// What is known of a field.
enum Row {
    /// It has this value, for this reason.
    Stays(&'static str, &'static str),
    /// It has this value, and the other once the connection has sent these lines.
    Turns(&'static str, &'static [&'static str], &'static str),
    /// What it names is changed, and the field is looked at.
    Seen(fn(&mut Node, &mut Watched, &str)),
}

use Row::{Seen, Stays, Turns};

/// The reply to the request is long and is not read.
fn unread(node: &mut Node, it: &mut Watched) {
    node.fill("long", 1, 1 << 20);
    (0..16).for_each(|_| send(&mut it.conn, "GET long0"));
}

fn with_unread(node: &mut Node, it: &mut Watched, name: &str) {
    assert_eq!(number(&field(node, it, name)) as usize & !0xffff, 0, "{name} before");
    unread(node, it);
    comes(node, it, name, |bytes| number(bytes) > f64::from(1 << 20));
}

/// Half of a long request is sent.
fn with_half(node: &mut Node, it: &mut Watched, name: &str) {
    let half = format!("*2\r\n$3\r\nGET\r\n$900000\r\n{}", "x".repeat(300_000));
    let mut stream =
        std::net::TcpStream::connect(("127.0.0.1", node.server.port)).expect("it takes connections");
    std::io::Write::write_all(&mut stream, half.as_bytes()).expect("it reads");
    let addr = stream.local_addr().expect("an address").to_string();
    let text = until(LIMIT, || {
        let list = node.value("CLIENT LIST");
        let text = String::from_utf8_lossy(bytes(&list).expect("a list")).into_owned();
        let line = parse(text.lines().find(|line| line.contains(&format!("addr={addr} ")))?);
        (number(&line[name]) > 1.0).then_some(())
    });
    assert!(text.is_some(), "{name} shows no half request");
    assert!(number(&field(node, it, name)) < 100_000.0, "{name} of another connection");
}

fn seconds(node: &mut Node, it: &mut Watched, name: &str) {
    let before = number(&field(node, it, name));
    assert!(before < 2.0, "{before}");
    comes(node, it, name, |now| number(now) > before);
}

const FIELDS: &[(&str, Row)] = &[
    (
        "id",
        Seen(|node, it, name| {
            assert_eq!(field(node, it, name), it.id.to_string());
            assert!(watched(node).id > it.id);
        }),
    ),
    (
        "addr",
        Seen(|node, it, name| {
            let text = bytes(&it.conn.ask_line("CLIENT INFO").expect("an answer")).map(<[u8]>::to_vec);
            let own = parse(&String::from_utf8_lossy(&text.unwrap_or_default()));
            assert_eq!(own[name], field(node, it, name));
            assert!(own[name].starts_with("127.0.0.1:") && own[name] != own["laddr"]);
        }),
    ),
    (
        "laddr",
        Seen(|node, it, name| {
            assert_eq!(field(node, it, name), format!("127.0.0.1:{}", node.server.port));
        }),
    ),
    (
        "fd",
        Seen(|node, it, name| {
            let path = format!("/proc/{}/fd/{}", node.server.pid(), field(node, it, name));
            let link = std::fs::read_link(path).expect("an open descriptor");
            assert!(link.to_string_lossy().starts_with("socket:"), "{link:?}");
        }),
    ),
    ("name", Turns("", &["CLIENT SETNAME me"], "me")),
    ("age", Seen(seconds)),
    (
        "idle",
        Seen(|node, it, name| {
            seconds(node, it, name);
            it.conn.ask_line("PING").expect("an answer");
            assert!(number(&field(node, it, name)) < 1.0);
        }),
    ),
    ("flags", Turns("N", &["MULTI"], "x")),
    ("db", Turns("0", &["SELECT 5"], "5")),
    ("sub", Turns("0", &["SUBSCRIBE a", "SUBSCRIBE b"], "2")),
    ("psub", Turns("0", &["PSUBSCRIBE a*"], "1")),
    ("ssub", Turns("0", &["SSUBSCRIBE a"], "1")),
    ("multi", Turns("-1", &["MULTI", "GET a", "GET b"], "2")),
    ("qbuf", Seen(with_half)),
    ("qbuf-free", Seen(with_half)),
    ("argv-mem", Turns("0", &["BLPOP waits 0"], "11")),
    ("multi-mem", Turns("0", &["MULTI", "GET abcdefg"], "10")),
    ("rbs", Seen(with_unread)),
    ("rbp", Seen(with_unread)),
    ("obl", Seen(with_unread)),
    ("oll", Stays("0", "output is one buffer, not a list of them")),
    ("omem", Seen(with_unread)),
    ("tot-mem", Seen(with_unread)),
    (
        "events",
        Seen(|node, it, name| {
            assert_eq!(field(node, it, name), "r");
            unread(node, it);
            comes(node, it, name, |events| events == "rw");
        }),
    ),
    ("cmd", Turns("client|id", &["GET a"], "get")),
    ("user", Stays("default", "there is one user")),
    ("redir", Stays("-1", "CLIENT TRACKING is not offered")),
    ("resp", Turns("2", &["HELLO 3"], "3")),
    ("lib-name", Turns("", &["CLIENT SETINFO LIB-NAME jedis"], "jedis")),
    ("lib-ver", Turns("", &["CLIENT SETINFO LIB-VER 1.2.3"], "1.2.3")),
];

#[test]
fn every_field() {
    let mut node = Node::start(&[]);
    each(FIELDS.iter().map(|(name, row)| (*name, row)), |name, row| {
        let mut it = watched(&node);
        match row {
            Stays(value, why) => assert_eq!(field(&mut node, &it, name), *value, "{name}: {why}"),
            Turns(before, lines, after) => {
                assert_eq!(field(&mut node, &it, name), *before, "{name}");
                lines.iter().for_each(|line| send(&mut it.conn, line));
                comes(&mut node, &it, name, |now| now == *after);
            }
            Seen(act) => act(&mut node, &mut it, name),
        }
    });
    let known: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let it = watched(&node);
    let line = seen(&mut node, it.id).expect("it is connected");
    let shown: BTreeSet<&str> = line.keys().map(String::as_str).collect();
    let difference: Vec<_> = shown.symmetric_difference(&known).collect();
    assert!(difference.is_empty(), "without a row, or without a field: {difference:?}");
}

/// The flags while the connection does this; `N` before.
const FLAGS: &[(&str, &[&str])] = &[
    ("P", &["SUBSCRIBE a"]),
    ("x", &["MULTI"]),
    ("b", &["BLPOP waits 0"]),
    ("b", &["WAITAOF 0 1 0"]),
    ("O", &["MONITOR"]),
    ("e", &["CLIENT NO-EVICT ON"]),
    ("T", &["CLIENT NO-TOUCH ON"]),
    ("eT", &["CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON"]),
    ("N", &["CLIENT NO-EVICT ON", "CLIENT NO-EVICT OFF", "CLIENT NO-TOUCH ON", "CLIENT NO-TOUCH OFF"]),
    ("N", &["MULTI", "DISCARD"]),
    ("N", &["SUBSCRIBE a", "UNSUBSCRIBE a"]),
    ("N", &["MONITOR", "RESET"]),
];

#[test]
fn every_flag() {
    let mut node = Node::start(&[]);
    each(FLAGS.iter().map(|(flag, lines)| (*flag, lines)), |flag, lines| {
        let mut it = watched(&node);
        assert_eq!(field(&mut node, &it, "flags"), "N");
        lines.iter().for_each(|line| send(&mut it.conn, line));
        comes(&mut node, &it, "flags", |now| now == flag);
    });
}

#[test]
fn flags_that_others_bring_about() {
    let folder = Temp::new(&std::env::temp_dir(), "truth-socket").expect("a temporary folder");
    let path = folder.0.join("socket").display().to_string();
    let mut node = Start { flags: &["--unixsocket", &path], ..Start::default() }.node();

    // d: a watched key was changed.
    let mut it = watched(&node);
    it.conn.ask_line("WATCH a").expect("an answer");
    node.all(&["SET a 1"]);
    comes(&mut node, &it, "flags", |now| now == "d");
    it.conn.ask_line("UNWATCH").expect("an answer");
    comes(&mut node, &it, "flags", |now| now == "N");

    // c: it is closed once its output is sent.
    let mut it = watched(&node);
    unread(&mut node, &mut it);
    send(&mut it.conn, "QUIT");
    comes(&mut node, &it, "flags", |now| now == "c");

    // b: CLIENT PAUSE holds its request up.
    let mut it = watched(&node);
    node.all(&["CLIENT PAUSE 100000 WRITE"]);
    send(&mut it.conn, "SET a 1");
    comes(&mut node, &it, "flags", |now| now == "b");
    node.all(&["CLIENT UNPAUSE"]);
    comes(&mut node, &it, "flags", |now| now == "N");
    assert_eq!(it.conn.receive().expect("an answer").text(), "\"OK\"");

    // U: it came over the unix socket.
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("the socket");
    std::io::Write::write_all(&mut stream, b"CLIENT INFO\r\n").expect("it reads");
    let mut reply = [0; 512];
    let len = std::io::Read::read(&mut stream, &mut reply).expect("an answer");
    let text = String::from_utf8_lossy(&reply[..len]).into_owned();
    assert!(text.contains(" flags=U ") && text.contains(&format!(" addr={path}:0 ")), "{text}");
}
