//! Directives that CONFIG SET changes: each is set, and its effect is seen.

use std::time::Duration;

use sessile_crash::client::Conn;
use sessile_crash::server::until;

use crate::support::{LIMIT, Node, Said, SlowDisk, Start, offer, send};

/// What sets a directive and sees its effect.
pub(crate) type Row = (&'static str, fn(&mut Node, &str));

/// A value built from `lines` has one encoding at the default, and the other at `value`.
fn encodes(node: &mut Node, directive: &str, value: &str, lines: &[&str], expected: [&str; 2]) {
    for (set, encoding) in [(None, expected[0]), (Some(value), expected[1])] {
        if let Some(value) = set {
            node.set(directive, value);
        }
        node.all(&["DEL k"]);
        node.all(lines);
        assert_eq!(node.ask("OBJECT ENCODING k"), format!("\"{encoding}\""), "{directive} {set:?}");
    }
}

/// Entries that stay when a stream of six is trimmed to about one.
fn trimmed(node: &mut Node) -> String {
    node.all(&["DEL k"]);
    (0..6).for_each(|_| node.all(&["XADD k * field 0123456789012345678901234567890123456789"]));
    node.all(&["XTRIM k MAXLEN ~ 1"]);
    node.ask("XLEN k")
}

fn trims(node: &mut Node, directive: &str, value: &str) {
    assert_eq!(trimmed(node), "Int(6)");
    node.set(directive, value);
    assert_ne!(trimmed(node), "Int(6)", "{directive} {value}");
}

fn evicts_or_refuses(node: &mut Node, directive: &str) {
    node.fill("e", 50, 100);
    node.set("maxmemory", "1");
    assert_eq!(node.ask("SET a 1"), "-OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(node.ask("DBSIZE"), "Int(50)");
    if directive == "maxmemory-policy" {
        for (policy, left) in [("volatile-lru", "Int(50)"), ("allkeys-lru", "Int(0)")] {
            node.set(directive, policy);
            let _ = node.ask("SET a 1");
            assert_eq!(node.ask("DBSIZE"), left, "{policy}");
        }
    } else {
        node.set("maxmemory", "0");
        assert_eq!(node.ask("SET a 1"), "\"OK\"");
    }
}

/// How many of some evictions took the key that was due next.
fn best_evicted(node: &mut Node) -> usize {
    let mut best = 0;
    for _ in 0..20 {
        node.all(&["FLUSHALL"]);
        (1..=10).for_each(|i| node.all(&[&format!("SET k{i} v EX {i}000")]));
        node.becomes("lazyfree_pending_objects", |it| it == "0");
        // One write evicts until there is room, and there is room with one key less.
        let used = node.number("used_memory") - node.number("mem_clients_normal");
        node.set("maxmemory", &format!("{}", used as u64 - 1));
        let _ = node.ask("SETNX none v");
        node.set("maxmemory", "0");
        best += usize::from(node.ask("EXISTS k1") == "Int(0)" && node.ask("EXISTS k10") == "Int(1)");
    }
    best
}

fn frequency(node: &mut Node, factor: &str) -> i64 {
    node.set("lfu-log-factor", factor);
    node.all(&["DEL f", "SET f 1"]);
    (0..100).for_each(|_| node.all(&["GET f"]));
    let reply = node.value("OBJECT FREQ f");
    sessile_crash::client::number(&reply).expect("a number")
}

/// Whether the kernel has a keepalive timer running for the node's side of a connection.
fn is_kept_alive(node: &Node, conn: &std::net::TcpStream) -> bool {
    let peer = format!("{:04X}", conn.local_addr().expect("an address").port());
    let local = format!("{:04X}", node.server.port);
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let line = table.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ends =
            |word: Option<&str>, port: &str| word.is_some_and(|word| word.ends_with(&format!(":{port}")));
        ends(words.next(), &local) && ends(words.next(), &peer)
    });
    let timer = line.and_then(|line| line.split_whitespace().nth(5)).expect("the connection is in the table");
    timer.starts_with("02:")
}

fn is_closed(conn: &mut Conn) -> bool {
    until(LIMIT, || conn.ask_line("PING").is_err().then_some(())).is_some()
}

fn connects(port: u16, address: &str) -> bool {
    std::net::TcpStream::connect((address, port)).is_ok()
}

fn ends_by(node: Node, signal: &str) -> bool {
    let dump = node.launch.dir.join("dump.rdb");
    node.signal(signal);
    let _folder = node.ends();
    dump.exists()
}

/// `shutdown-on-sigterm` and `shutdown-on-sigint`, without a journal, where stopping may save.
fn stops(directive: &str, signal: &str) {
    let start = |points: &str| {
        let mut node = Node::start(&["--appendonly", "no", "--save", points]);
        node.all(&["SET a 1"]);
        node
    };
    for (points, how, saved) in
        [("", "default", false), ("", "save", true), ("3600 1", "default", true), ("3600 1", "nosave", false)]
    {
        let mut node = start(points);
        node.set(directive, how);
        assert_eq!(ends_by(node, signal), saved, "{directive} {how} with save \"{points}\"");
    }
    // A folder stands where the file would: what cannot be saved is only given up by force.
    let mut node = start("3600 1");
    std::fs::create_dir_all(node.launch.dir.join("dump.rdb/in-the-way")).expect("a folder");
    node.signal(signal);
    let told = until(LIMIT, || node.log().contains("cannot write dump.rdb").then_some(()));
    assert!(told.is_some(), "{}", node.log());
    node.all(&["PING"]);
    node.set(directive, "force");
    ends_by(node, signal);
}

pub(crate) const ROWS: &[Row] = &[
    ("hash-max-listpack-entries", |n, d| {
        encodes(n, d, "2", &["HSET k a 1 b 2 c 3"], ["listpack", "hashtable"]);
    }),
    ("hash-max-listpack-value", |n, d| encodes(n, d, "4", &["HSET k a 12345"], ["listpack", "hashtable"])),
    ("list-max-listpack-size", |n, d| encodes(n, d, "2", &["RPUSH k 1 2 3"], ["listpack", "quicklist"])),
    ("set-max-intset-entries", |n, d| encodes(n, d, "2", &["SADD k 1 2 3"], ["intset", "listpack"])),
    ("set-max-listpack-entries", |n, d| encodes(n, d, "2", &["SADD k a b c"], ["listpack", "hashtable"])),
    ("set-max-listpack-value", |n, d| encodes(n, d, "4", &["SADD k abcde"], ["listpack", "hashtable"])),
    ("zset-max-listpack-entries", |n, d| {
        encodes(n, d, "2", &["ZADD k 1 a 2 b 3 c"], ["listpack", "skiplist"]);
    }),
    ("zset-max-listpack-value", |n, d| encodes(n, d, "4", &["ZADD k 1 abcde"], ["listpack", "skiplist"])),
    ("hll-sparse-max-bytes", |node, directive| {
        node.all(&["PFADD k a"]);
        let sparse = node.ask("STRLEN k");
        node.set(directive, "0");
        node.all(&["DEL k", "PFADD k a"]);
        assert_eq!(node.ask("STRLEN k"), "Int(12304)");
        assert_ne!(sparse, "Int(12304)");
    }),
    ("stream-node-max-bytes", |node, directive| trims(node, directive, "100")),
    ("stream-node-max-entries", |node, directive| trims(node, directive, "2")),
    ("loglevel", |node, directive| {
        node.set(directive, "warning");
        node.set("slowlog-max-len", "100");
        node.set(directive, "notice");
        node.set("maxclients", "5000");
        let line = until(LIMIT, || node.log().contains("maxclients was changed").then_some(()));
        assert!(line.is_some() && !node.log().contains("slowlog-max-len was changed"), "{}", node.log());
    }),
    ("notify-keyspace-events", |node, directive| {
        let mut listener = node.connect();
        listener.ask_line("PSUBSCRIBE __key*").expect("an answer");
        node.all(&["SET a 1"]);
        node.set(directive, "KEA");
        node.all(&["SET b 1"]);
        let push = format!("{:?}", listener.receive().expect("an event"));
        assert_eq!(push.matches(&format!("{:?}", b"__keyspace@0__:b".to_vec())).count(), 1, "{push}");
    }),
    ("slowlog-log-slower-than", |node, directive| {
        node.set(directive, "-1");
        node.all(&["SLOWLOG RESET", "SET a 1"]);
        assert_eq!(node.ask("SLOWLOG LEN"), "Int(0)");
        node.set(directive, "0");
        node.all(&["SET a 1"]);
        assert_ne!(node.ask("SLOWLOG LEN"), "Int(0)");
    }),
    ("slowlog-max-len", |node, directive| {
        node.set("slowlog-log-slower-than", "0");
        (0..9).for_each(|_| node.all(&["SET a 1"]));
        node.set(directive, "3");
        node.all(&["SET a 1"]);
        assert_eq!(node.ask("SLOWLOG LEN"), "Int(3)");
    }),
    ("latency-monitor-threshold", |node, directive| {
        let slow = ["EVAL", "for i = 1, 3000000 do local x = i end", "0"];
        node.args(&slow);
        assert_eq!(node.ask("LATENCY LATEST"), "Array([])");
        node.set(directive, "1");
        node.args(&slow);
        assert_ne!(node.ask("LATENCY LATEST"), "Array([])");
    }),
    ("latency-tracking", |node, directive| {
        node.all(&["ECHO a"]);
        assert_ne!(node.info("latency_percentiles_usec_echo"), "");
        node.set(directive, "no");
        assert_eq!(node.info("latency_percentiles_usec_echo"), "");
        node.all(&["CONFIG RESETSTAT", "ECHO a"]);
        node.set(directive, "yes");
        assert_eq!(node.info("latency_percentiles_usec_echo"), "", "nothing was tracked");
    }),
    ("latency-tracking-info-percentiles", |node, directive| {
        node.set(directive, "25 99.99");
        let text = node.info("latency_percentiles_usec_config|set");
        assert!(text.starts_with("p25=") && text.contains(",p99.99=") && !text.contains("p50="), "{text}");
    }),
    ("busy-reply-threshold", |node, directive| {
        node.set(directive, "1");
        let mut other = node.connect();
        other.push(&["EVAL", "while true do end", "0"]);
        other.flush().expect("it takes requests");
        let busy = until(LIMIT, || node.ask("GET a").starts_with("-BUSY").then_some(()));
        assert!(busy.is_some(), "nobody is told BUSY");
        node.all(&["SCRIPT KILL"]);
        assert!(other.receive().expect("an answer").text().contains("killed by user"));
    }),
    ("maxmemory", evicts_or_refuses),
    ("maxmemory-policy", evicts_or_refuses),
    ("maxmemory-samples", |node, directive| {
        node.set("maxmemory-policy", "volatile-ttl");
        node.set(directive, "64");
        let many = best_evicted(node);
        node.set(directive, "1");
        let few = best_evicted(node);
        assert!(many >= 18 && few <= 10, "the best of 64: {many} of 20; of 1: {few} of 20");
    }),
    ("maxmemory-clients", |node, directive| {
        node.fill("long", 1, 1 << 20);
        let mut other = node.connect();
        (0..32).for_each(|_| send(&mut other, "GET long0"));
        node.set(directive, "4mb");
        node.becomes("evicted_clients", |count| count == "1");
        // A share of maxmemory means the same.
        node.set("maxmemory", "400mb");
        node.set(directive, "1%");
        let mut other = node.connect();
        (0..32).for_each(|_| send(&mut other, "GET long0"));
        node.becomes("evicted_clients", |count| count == "2");
    }),
    ("lfu-log-factor", |node, _| {
        node.set("maxmemory-policy", "allkeys-lfu");
        let (steep, flat) = (frequency(node, "0"), frequency(node, "10000"));
        assert!(steep >= 100 && flat <= 10, "{steep}, {flat}");
    }),
    ("tcp-keepalive", |node, directive| {
        let kept =
            std::net::TcpStream::connect(("127.0.0.1", node.server.port)).expect("it takes connections");
        let with = until(LIMIT, || is_kept_alive(node, &kept).then_some(()));
        assert!(with.is_some(), "no keepalive by default");
        node.set(directive, "0");
        let connections = node.number("total_connections_received");
        let other =
            std::net::TcpStream::connect(("127.0.0.1", node.server.port)).expect("it takes connections");
        node.comes_to("total_connections_received", |now| now > connections);
        assert!(!is_kept_alive(node, &other), "keepalive though it is off");
    }),
    ("timeout", |node, directive| {
        let (mut idle, mut busy) = (node.connect(), node.connect());
        idle.ask_line("PING").expect("an answer");
        let clients = node.number("connected_clients");
        node.set(directive, "1");
        let closed = until(LIMIT, || {
            busy.ask_line("PING").expect("it is not idle");
            (node.number("connected_clients") < clients).then_some(())
        });
        assert!(closed.is_some() && idle.ask_line("PING").is_err());
    }),
    ("maxclients", |node, directive| {
        node.set(directive, "1");
        let reply = node.connect().receive().expect("a refusal").text();
        assert_eq!(reply, "-ERR max number of clients reached");
        node.set(directive, "2");
        assert_eq!(node.connect().ask_line("PING").expect("an answer").text(), "\"PONG\"");
    }),
    ("client-output-buffer-limit", |node, directive| {
        node.fill("long", 1, 1 << 20);
        node.set(directive, "normal 0 1mb 1");
        let mut other = node.connect();
        (0..32).for_each(|_| send(&mut other, "GET long0"));
        node.becomes("client_output_buffer_limit_disconnections", |count| count == "1");
        node.set(directive, "normal 0 0 0 pubsub 1mb 0 0");
        let mut listener = node.connect();
        listener.ask_line("SUBSCRIBE c").expect("an answer");
        let message = "x".repeat(1 << 20);
        (0..16).for_each(|_| {
            node.args(&["PUBLISH", "c", &message]);
        });
        node.becomes("client_output_buffer_limit_disconnections", |count| count == "2");
    }),
    ("client-query-buffer-limit", |node, directive| {
        node.set(directive, "1mb");
        let mut other = node.connect();
        offer(&mut other, &format!("ECHO {}", "x".repeat(4 << 20)));
        assert!(is_closed(&mut other));
    }),
    ("proto-max-bulk-len", |node, directive| {
        let long = "x".repeat(2 << 20);
        assert_eq!(node.args(&["SET", "a", &long]), "\"OK\"");
        node.set(directive, "1mb");
        assert_eq!(
            node.ask("SETRANGE a 2000000 b"),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        );
        let mut other = node.connect();
        other.push(&["SET", "a", &long]);
        let _ = other.flush();
        assert_eq!(other.receive().expect("a refusal").text(), "-ERR Protocol error: invalid bulk length");
    }),
    ("appendfsync", |_, directive| {
        let disk = SlowDisk::build();
        let mut node = disk.node(&["--appendfsync", "always"]);
        for (value, waits) in [("everysec", false), ("always", true), ("no", false)] {
            node.set(directive, value);
            node.all(&["SET a 1"]);
            disk.switch("stuck", true);
            let mut other = Conn::open(node.server.port, Duration::from_millis(300)).expect("a connection");
            // A sync that was due already may hold one of them up.
            let answered = (0..3).any(|_| other.ask_line("SET a 2").is_ok());
            assert_eq!(answered, !waits, "{value}");
            disk.switch("stuck", false);
            node.all(&["SET a 3"]);
        }
    }),
    ("auto-aof-rewrite-min-size", |node, directive| {
        node.set("auto-aof-rewrite-percentage", "1");
        node.fill("grow", 100, 1000);
        assert_eq!(node.info("aof_rewrites"), "0");
        node.set(directive, "1kb");
        node.comes_to("aof_rewrites", |count| count > 0.0);
    }),
    ("auto-aof-rewrite-percentage", |node, directive| {
        node.set(directive, "0");
        node.set("auto-aof-rewrite-min-size", "1kb");
        node.fill("grow", 100, 1000);
        assert_eq!(node.info("aof_rewrites"), "0");
        node.set(directive, "100");
        node.comes_to("aof_rewrites", |count| count > 0.0);
    }),
    ("requirepass", |node, directive| {
        node.set(directive, "secret");
        let mut other = node.connect();
        let mut said = |line: &str| other.ask_line(line).expect("an answer").text();
        assert_eq!(said("GET a"), "-NOAUTH Authentication required.");
        assert_eq!(said("AUTH wrong"), "-WRONGPASS invalid username-password pair or user is disabled.");
        assert_eq!([said("AUTH secret"), said("GET a")], ["\"OK\"", "Null"]);
    }),
    ("protected-mode", |_, directive| {
        let mut node = Start { flags: &["--bind", "*"], ..Start::default() }.node();
        let own = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
            // Nothing is sent: the system only chooses the address that it would send from.
            socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr())
        });
        let own = own.expect("this test needs an address besides loopback").ip().to_string();
        let ask = || {
            let mut stream =
                std::net::TcpStream::connect((&*own, node.server.port)).expect("it listens there");
            std::io::Write::write_all(&mut stream, b"PING\r\n").expect("it reads");
            let mut reply = [0; 64];
            let len = std::io::Read::read(&mut stream, &mut reply).unwrap_or(0);
            String::from_utf8_lossy(&reply[..len]).into_owned()
        };
        assert!(ask().starts_with("-DENIED "), "{}", ask());
        node.set(directive, "no");
        let mut stream = std::net::TcpStream::connect((&*own, node.server.port)).expect("it listens there");
        std::io::Write::write_all(&mut stream, b"PING\r\n").expect("it reads");
        let mut reply = [0; 7];
        std::io::Read::read_exact(&mut stream, &mut reply).expect("an answer");
        assert_eq!(&reply, b"+PONG\r\n");
    }),
    ("port", |node, directive| {
        let old = node.server.port;
        let free = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let new = free().local_addr().expect("an address").port();
        node.set(directive, &new.to_string());
        assert!(connects(new, "127.0.0.1") && !connects(old, "127.0.0.1"));
        // One that is taken is refused, and the node goes on where it was.
        let taken = free();
        let port = taken.local_addr().expect("an address").port().to_string();
        let reply = node.args(&["CONFIG", "SET", directive, &port]);
        assert_eq!(
            reply,
            "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server \
             logs."
        );
        assert!(connects(new, "127.0.0.1") && node.info("tcp_port") == new.to_string());
        node.set(directive, "0");
        assert!(!connects(new, "127.0.0.1"));
        node.set(directive, &old.to_string());
        assert!(connects(old, "127.0.0.1"));
    }),
    ("bind", |node, directive| {
        let port = node.server.port;
        assert!(!connects(port, "127.0.0.2"));
        node.set(directive, "127.0.0.1 127.0.0.2");
        assert!(connects(port, "127.0.0.1") && connects(port, "127.0.0.2"));
        node.set(directive, "127.0.0.2");
        assert!(!connects(port, "127.0.0.1") && connects(port, "127.0.0.2"));
        node.set(directive, "*");
        assert!(connects(port, "127.0.0.1") && connects(port, "127.0.0.3"));
        let reply = node.args(&["CONFIG", "SET", directive, "192.0.2.1"]);
        assert!(reply.starts_with("-ERR CONFIG SET failed (possibly related to argument 'bind')"), "{reply}");
        assert!(connects(port, "127.0.0.3"));
        // The connection that asked stays.
        node.all(&["PING"]);
    }),
    ("dir", |_, directive| {
        let mut node = Node::start(&["--enable-protected-configs", "yes"]);
        let other = node.temp.0.join("other").display().to_string();
        let reply = node.args(&["CONFIG", "SET", directive, &other]);
        assert_eq!(
            reply,
            "-ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or directory"
        );
        std::fs::create_dir(&other).expect("a folder");
        node.set(directive, &other);
        node.all(&["SET a 1", "SAVE"]);
        assert!(std::path::Path::new(&other).join("dump.rdb").exists());
        // The journal stays where it is.
        let mut node = node.restart();
        assert_eq!(node.ask("GET a"), "\"1\"");
        assert!(node.launch.dir.join("sessile-journal").exists());
    }),
    ("shutdown-on-sigterm", |_, directive| stops(directive, "TERM")),
    ("shutdown-on-sigint", |_, directive| stops(directive, "INT")),
];
