//! Directives that are set at the start; and that no directive which is said to be honoured lacks a row.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sessile_config::{Standing, directives};
use sessile_crash::client::{Conn, words};
use sessile_crash::server::until;

use crate::config_run::{self, Row};
use crate::support::{LIMIT, Node, Said, SlowDisk, Start, each};

/// Honoured directives whose effect is tested elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("save", "beside the writer of dump.rdb"),
    ("dbfilename", "beside the writer of dump.rdb"),
    ("rdbcompression", "beside the writer of dump.rdb"),
    ("rdbchecksum", "beside the writer of dump.rdb"),
    ("stop-writes-on-bgsave-error", "beside the writer of dump.rdb"),
    ("appendonly", "beside the writer of dump.rdb"),
    ("metrics-port", "tests/metrics.rs"),
    ("metrics-bind", "tests/metrics.rs"),
    ("lfu-decay-time", "a minute at least has to go by: the engine's own test lets it"),
];

/// How long a start that is refused may take.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

fn refused(start: &Start<'_>) -> String {
    let (_temp, launch) = start.prepare();
    let ended = launch.start_refused(REFUSAL_LIMIT).expect("it does not serve");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    ended.stderr
}

/// Connections that a stopped node's socket takes.
fn taken_in(backlog: &str) -> usize {
    let node = Node::start(&["--tcp-backlog", backlog]);
    node.signal("STOP");
    let address = SocketAddr::from(([127, 0, 0, 1], node.server.port));
    let taken: Vec<TcpStream> =
        (0..6).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()).collect();
    node.signal("CONT");
    taken.len()
}

/// With the disk held, and more waiting for it than one megabyte: whether a write is refused within `limit`, unexecuted.
fn is_refused_with_much_waiting(flags: &[&str], limit: Duration) -> bool {
    let disk = SlowDisk::build();
    let mut node = disk.node(flags);
    node.all(&["SET a 1"]);
    disk.switch("stuck", true);
    let value = "x".repeat(10_000);
    (0..300).for_each(|i| node.conn.push(&words(&format!("SET k{i} {value}"))));
    node.conn.flush().expect("it takes requests");
    // Held back, nothing is read; refused, a write is told so; otherwise it waits for the disk like everything. Each
    // asks on a connection of its own: one that waits for the disk hears of nothing else.
    let refused = until(limit, || {
        let mut other = Conn::open(node.server.port, Duration::from_millis(300)).ok()?;
        let reply = other.ask_line("INCR other").ok()?.text();
        assert!(
            reply.starts_with("-MISCONF Errors writing to the journal: more than `journal-pending-max`"),
            "{reply}"
        );
        Some(())
    });
    disk.switch("stuck", false);
    refused.is_some()
}

fn segment_bytes(size: &str) -> u64 {
    let node = Node::start(&["--journal-segment-size", size]);
    let folder = std::fs::read_dir(node.launch.dir.join("sessile-journal")).expect("the journal");
    let sizes = folder.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.max().unwrap_or(0)
}

const ROWS: &[Row] = &[
    ("unixsocket", |node, _| {
        let path = node.temp.0.join("a.socket").display().to_string();
        let _node = Node::start(&["--unixsocket", &path]);
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        std::io::Write::write_all(&mut stream, b"PING\r\n").expect("it reads");
        let mut reply = [0; 7];
        std::io::Read::read_exact(&mut stream, &mut reply).expect("an answer");
        assert_eq!(&reply, b"+PONG\r\n");
    }),
    ("unixsocket", |_, _| {
        // As Redis does, a stop takes the file away: also where it was, once the directory is another one.
        for stop in ["TERM", "INT"] {
            let mut node = Node::start(&["--unixsocket", "c.socket", "--enable-protected-configs", "yes"]);
            let path = node.launch.dir.join("c.socket");
            assert!(path.exists());
            node.set("dir", "/");
            node.signal(stop);
            let _folder = node.ends();
            assert!(!path.exists(), "the socket's file is still there after SIG{stop}");
        }
        // A file that another server has made there since is that one's.
        let node = Node::start(&["--unixsocket", "d.socket"]);
        let path = node.launch.dir.join("d.socket");
        std::fs::remove_file(&path).expect("the socket");
        let _other = std::os::unix::net::UnixListener::bind(&path).expect("a socket of another's");
        node.signal("TERM");
        let _folder = node.ends();
        assert!(path.exists(), "another server's socket was removed");
    }),
    ("unixsocketperm", |node, _| {
        for mode in ["700", "770"] {
            let path = node.temp.0.join("b.socket").display().to_string();
            let _node = Node::start(&["--unixsocket", &path, "--unixsocketperm", mode]);
            let found = std::fs::metadata(&path).expect("the socket").permissions().mode() & 0o777;
            assert_eq!(format!("{found:o}"), mode);
        }
    }),
    ("tcp-backlog", |_, _| {
        let (few, many) = (taken_in("1"), taken_in("511"));
        assert!(few < 6 && many == 6, "{few}, {many}");
    }),
    ("pidfile", |node, _| {
        let path = node.temp.0.join("node.pid");
        let other = Node::start(&["--pidfile", &path.display().to_string()]);
        let text = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(text, format!("{}\n", other.server.pid()));
        other.signal("TERM");
        let _folder = other.ends();
        assert!(!path.exists());
    }),
    ("logfile", |node, _| {
        let path = node.temp.0.join("node.log");
        let other = Node::start(&["--logfile", &path.display().to_string()]);
        let text = std::fs::read_to_string(&path).expect("the file");
        assert!(text.contains("ready to accept connections") && !other.log().contains("ready"), "{text}");
    }),
    ("log-format", |node, _| {
        let other = Node::start(&["--log-format", "json"]);
        assert!(
            other.log().lines().all(|line| line.starts_with('{') && line.ends_with('}')),
            "{}",
            other.log()
        );
        assert!(!node.log().contains('{'));
    }),
    ("databases", |_, _| {
        let mut node = Node::start(&["--databases", "3"]);
        assert_eq!([node.ask("SELECT 2"), node.ask("SELECT 3")], ["\"OK\"", "-ERR DB index is out of range"]);
        let most = Node::start(&["--databases", "65536"]).ask("SELECT 65535");
        assert_eq!(most, "\"OK\"");
        let said = "`databases`: argument must be between 1 and 65536 inclusive";
        let flags: &[&str] = &["--databases", "20000000"];
        let environment: &[(&str, &str)] = &[("SESSILE_DATABASES", "20000000")];
        for (flags, environment) in [(flags, &[] as &[_]), (&[], environment)] {
            let (_temp, launch) = Start { flags, environment, ..Start::default() }.prepare();
            let refused = launch.start_refused(LIMIT).expect("it does not start");
            assert!(refused.stderr.contains(said), "{}", refused.stderr);
        }
    }),
    ("requirepass-file", |node, _| {
        let path = node.temp.0.join("password");
        std::fs::write(&path, "secret\n").expect("a file");
        // The harness asks without a password, and is answered that it needs one.
        let (_temp, launch) =
            Start { flags: &["--requirepass-file", &path.display().to_string()], ..Start::default() }
                .prepare();
        let (mut child, port) = launch.spawn().expect("it starts");
        let mut conn = until(LIMIT, || Conn::open(port, LIMIT).ok()).expect("it listens");
        let mut said = |line: &str| conn.ask_line(line).expect("an answer").text();
        let replies = [said("GET a"), said("AUTH wrong"), said("AUTH secret"), said("GET a")];
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert_eq!(replies[0], "-NOAUTH Authentication required.");
        assert!(replies[1].starts_with("-WRONGPASS"), "{}", replies[1]);
        assert_eq!(replies[2..], ["\"OK\"", "Null"]);
        let missing = node.temp.0.join("none").display().to_string();
        let why = refused(&Start { flags: &["--requirepass-file", &missing], ..Start::default() });
        assert!(why.contains("cannot read requirepass-file"), "{why}");
    }),
    ("journal-segment-size", |_, _| {
        let (small, large) = (segment_bytes("1mb"), segment_bytes("3mb"));
        assert_eq!([small, large], [1 << 20, 3 << 20]);
    }),
    ("journal-pending-max", |_, _| {
        let flags = |size| ["--journal-pending-max", size, "--journal-wait-max", "100"];
        assert!(is_refused_with_much_waiting(&flags("1mb"), LIMIT));
        assert!(!is_refused_with_much_waiting(&flags("64mb"), Duration::from_secs(2)));
    }),
    ("journal-wait-max", |_, _| {
        let flags = ["--journal-pending-max", "1mb", "--journal-wait-max", "1000000"];
        assert!(!is_refused_with_much_waiting(&flags, Duration::from_secs(2)));
    }),
    ("include", |node, _| {
        let path = node.temp.0.join("included.conf");
        std::fs::write(&path, "maxclients 321\n").expect("a file");
        let file = format!("include {}\n", path.display());
        let mut other = Start { file: Some(&file), ..Start::default() }.node();
        assert_eq!(other.info("maxclients"), "321");
        let why = refused(&Start { file: Some("include /nowhere/at.all\n"), ..Start::default() });
        assert!(why.contains("/nowhere/at.all"), "{why}");
    }),
    ("rename-command", |_, _| {
        let file = "rename-command FLUSHALL \"\"\nrename-command GET fetch\n";
        let mut node = Start { file: Some(file), ..Start::default() }.node();
        node.all(&["SET a 1"]);
        assert_eq!(node.ask("FETCH a"), "\"1\"");
        for gone in ["GET a", "FLUSHALL"] {
            assert!(node.ask(gone).starts_with("-ERR unknown command"), "{gone}");
        }
    }),
    ("appenddirname", |_, _| {
        let start = Start { flags: &["--appenddirname", "other"], ..Start::default() };
        let (temp, launch) = start.prepare();
        std::fs::create_dir(launch.dir.join("other")).expect("a folder");
        let ended = launch.start_refused(REFUSAL_LIMIT).expect("it does not serve");
        assert!(ended.code == Some(1) && ended.stderr.contains("holds an `other`"), "{}", ended.stderr);
        drop(temp);
        // Under another name it is nothing of Redis'.
        let (_temp, launch) = Start::default().prepare();
        std::fs::create_dir(launch.dir.join("other")).expect("a folder");
        launch.start().map(drop).expect("it starts");
    }),
    ("enable-protected-configs", |node, _| {
        let reply = node.args(&["CONFIG", "SET", "dbfilename", "other.rdb"]);
        assert!(reply.contains("can't set protected config"), "{reply}");
        for who in ["yes", "local"] {
            Node::start(&["--enable-protected-configs", who]).set("dbfilename", "other.rdb");
        }
    }),
    ("enable-debug-command", |node, _| {
        let lines = [
            "SET-ACTIVE-EXPIRE 1",
            "SLEEP 0",
            "DIGEST",
            "DIGEST-VALUE a",
            "OBJECT a",
            "RELOAD",
            "JMAP",
            "LOG a",
            "CHANGE-REPL-ID",
            "QUICKLIST-PACKED-THRESHOLD 1",
            "SET-DISABLE-DENY-SCRIPTS 1",
            "STRINGMATCH-LEN 10 a",
        ];
        for line in lines {
            let reply = node.ask(&format!("DEBUG {line}"));
            assert!(reply.starts_with("-ERR DEBUG command not allowed."), "{line}: {reply}");
        }
        for who in ["yes", "local"] {
            Node::start(&["--enable-debug-command", who]).all(&["DEBUG SET-ACTIVE-EXPIRE 1"]);
        }
    }),
];

/// Rows, each on a node of its own.
fn check(rows: &[Row]) {
    each(rows.iter().map(|(name, act)| (*name, act)), |name, act| act(&mut Node::start(&[]), name));
}

#[test]
fn at_the_start() {
    check(ROWS);
}

#[test]
fn while_running() {
    check(&config_run::ROWS[..config_run::ROWS.len() / 2]);
}

#[test]
fn while_running_too() {
    check(&config_run::ROWS[config_run::ROWS.len() / 2..]);
}

#[test]
fn every_honoured_directive_has_a_row_and_every_row_is_of_one() {
    let honoured: BTreeSet<&str> = directives()
        .filter(|(_, directive)| directive.standing == Standing::Honoured)
        .map(|(_, directive)| directive.name)
        .collect();
    let rows = config_run::ROWS.iter().chain(ROWS).map(|(name, _)| *name);
    let known: BTreeSet<&str> = rows.chain(ELSEWHERE.iter().map(|(name, _)| *name)).collect();
    let difference: Vec<_> = honoured.symmetric_difference(&known).collect();
    assert!(difference.is_empty(), "said to be honoured without a row, or a row of another: {difference:?}");
}

/// What has no meaning here says so, at the start and when it is set.
#[test]
fn what_is_only_accepted_is_said_to_have_no_effect() {
    let mut node = Node::start(&["--hz", "50"]);
    assert!(node.log().contains("`hz`"), "{}", node.log());
    node.set("active-expire-effort", "5");
    let told = until(LIMIT, || node.log().contains("`active-expire-effort` has no effect").then_some(()));
    assert!(told.is_some(), "{}", node.log());
}

/// What would protect and cannot is refused, at the start and when it is set.
#[test]
fn what_would_protect_and_cannot_stops_the_start() {
    let given = |directive: &str| match directive {
        "aclfile" => "users.acl",
        "replicaof" => "127.0.0.1 1",
        "metrics-port" | "tls-port" => "1234",
        "min-replicas-to-write" => "1",
        "user" => "alice on >secret ~* +@all",
        "loadmodule" => "module.so",
        "sentinel" => "monitor a 127.0.0.1 1 1",
        _ => "yes",
    };
    let stops: Vec<&str> = directives()
        .filter(|(_, directive)| matches!(directive.standing, Standing::StopsStart { .. }))
        .map(|(_, directive)| directive.name)
        .collect();
    each(stops.into_iter().map(|name| (name, given(name))), |name, value| {
        let file = format!("{name} {value}\n");
        let why = refused(&Start { file: Some(&file), ..Start::default() });
        assert!(why.contains(name), "{why}");
    });
}
