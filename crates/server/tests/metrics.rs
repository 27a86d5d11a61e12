//! The metrics page of the real program: every family moves when what it names moves, health tells the truth while the
//! disk is stuck or fails, and what is no HTTP is refused.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sessile_crash::client::{Conn, show};
use sessile_crash::saves::Shimmed;
use sessile_crash::server::{Launch, Server, Temp};
use sessile_resp::Value;

const BIN: &str = env!("CARGO_BIN_EXE_sessile");
const LIMIT: Duration = Duration::from_secs(30);

/// A server whose fsync follows orders, and its page.
struct Node {
    shimmed: Shimmed,
    server: Server,
    page: Page,
}

/// Where the page is.
#[derive(Clone, Copy)]
struct Page(u16);

/// The samples of a page: `name{label="value"}` to value.
type Samples = BTreeMap<String, f64>;

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    probe.local_addr().expect("it is bound").port()
}

impl Node {
    fn start(name: &str, flags: &str) -> Self {
        let port = free_port();
        let flags = format!("--metrics-port {port} {flags}");
        let shimmed = Shimmed::new(Path::new(BIN), &std::env::temp_dir(), name, &flags).expect("a shim");
        let server = shimmed.launch.start().expect("it starts");
        Self { shimmed, server, page: Page(port) }
    }

    fn order(&self, what: &str) {
        self.shimmed.order(what).expect("orders can be given");
    }

    fn connect(&self) -> Conn {
        self.server.connect().expect("it accepts")
    }
}

impl Page {
    /// Sends bytes as they are; gives all that comes until the other side closes.
    fn send(self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0)).expect("the page is there");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(bytes).expect("it reads");
        let mut answer = Vec::new();
        // A refusal may come before everything was read, and then end the connection the hard way.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    /// Status and body.
    fn get(self, path: &str) -> (u16, String) {
        split(&self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()))
    }

    fn samples(self) -> Samples {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        parse(&text)
    }

    /// Looks at the page until a sample is as wanted.
    fn until(self, sample: &str, wanted: impl Fn(f64) -> bool) -> Samples {
        until(sample, || Some(self.samples()).filter(|it| it.get(sample).is_some_and(|value| wanted(*value))))
    }

    fn until_status(self, path: &str, status: u16) -> String {
        until(path, || Some(self.get(path)).filter(|it| it.0 == status)).1
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
    }
}

fn split(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}

/// A strict reading of the text format: each sample follows the HELP and TYPE of its family, and no line is anything else.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(name == family && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            let bare = name.split('{').next().unwrap_or_default();
            let ending = bare.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is under {family}"));
            assert!(["", "_bucket", "_sum", "_count"].contains(&ending), "{line} is under {family}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn ask(conn: &mut Conn, line: &str) -> String {
    match conn.ask_line(line).expect("it answers") {
        Value::Error(text) => String::from_utf8_lossy(&text).into_owned(),
        value => show(&value),
    }
}

/// Asserts that samples grew by exactly so much.
fn grew(before: &Samples, after: &Samples, by: &[(&str, f64)]) {
    let of = |samples: &Samples, name: &str| samples.get(name).copied().unwrap_or(0.0);
    for (name, by) in by {
        let (from, to) = (of(before, name), of(after, name));
        assert!((to - from - by).abs() < 1e-9, "{name} went from {from} to {to}, not by {by}");
    }
}

#[test]
fn commands_keys_and_memory() {
    let node = Node::start("metrics-keys", "--appendfsync always");
    let mut conn = node.connect();
    let before = node.page.samples();
    for line in [
        "SET text 1",
        "GET text",
        "GET absent",
        "LPUSH list a",
        "SADD set a",
        "HSET hash a 1",
        "ZADD zset 1 a",
        "XADD stream * a 1",
        "EXPIRE list 1000",
        "LPUSH text a",
        "NOSUCH",
        "CONFIG GET port",
    ] {
        ask(&mut conn, line);
    }
    let after = node.page.samples();
    let keys = ["string", "list", "set", "hash", "zset", "stream"]
        .map(|kind| format!("sessile_keys{{db=\"0\",type=\"{kind}\"}}"));
    keys.iter().for_each(|name| grew(&before, &after, &[(name, 1.0)]));
    grew(
        &before,
        &after,
        &[
            // What is refused, as a command that does not exist, is not processed.
            ("sessile_commands_processed_total", 11.0),
            ("sessile_command_calls_total{command=\"lpush\"}", 2.0),
            ("sessile_command_calls_total{command=\"config|get\"}", 1.0),
            ("sessile_command_failed_total{command=\"lpush\"}", 1.0),
            ("sessile_command_duration_seconds_count{command=\"get\"}", 2.0),
            ("sessile_command_duration_seconds_bucket{command=\"get\",le=\"+Inf\"}", 2.0),
            ("sessile_errors_total{code=\"WRONGTYPE\"}", 1.0),
            ("sessile_errors_total{code=\"ERR\"}", 1.0),
            ("sessile_keys_expiring{db=\"0\"}", 1.0),
        ],
    );
    assert!(after["sessile_memory_entries_bytes"] > before["sessile_memory_entries_bytes"]);
    assert_eq!(
        after["sessile_command_seconds_total{command=\"get\"}"],
        after["sessile_command_duration_seconds_sum{command=\"get\"}"]
    );

    ask(&mut conn, "GET text");
    ask(&mut conn, "GET absent");
    let looked_up = [("sessile_keyspace_hits_total", 1.0), ("sessile_keyspace_misses_total", 1.0)];
    grew(&after, &node.page.samples(), &looked_up);

    ask(&mut conn, "SELECT 3");
    ask(&mut conn, "SET brief 1 PX 1");
    node.page.until("sessile_expired_keys_total", |count| count == 1.0);
    ask(&mut conn, "SET lasting 1");
    node.page.until("sessile_keys{db=\"3\",type=\"string\"}", |count| count == 1.0);
    ask(&mut conn, "EVAL return(1) 0");
    node.page.until("sessile_memory_scripts_bytes", |bytes| bytes > before["sessile_memory_scripts_bytes"]);

    ask(&mut conn, "CONFIG SET maxmemory 1");
    assert!(ask(&mut conn, "SET more 1").starts_with("OOM"));
    let short = node.page.samples();
    grew(&after, &short, &[("sessile_command_rejected_total{command=\"set\"}", 1.0)]);
    assert_eq!(short["sessile_memory_limit_bytes"], 1.0);
    ask(&mut conn, "CONFIG SET maxmemory-policy allkeys-random");
    ask(&mut conn, "SET more 1");
    node.page.until("sessile_evicted_keys_total", |count| count > 0.0);
}

#[test]
fn clients() {
    let node = Node::start("metrics-clients", "--client-query-buffer-limit 1mb");
    let (mut conn, mut blocked, mut listening) = (node.connect(), node.connect(), node.connect());
    // A connection is open before the node has taken it in.
    let before = node.page.until("sessile_clients", |count| count == 3.0);
    blocked.push(&["BLPOP", "none", "0"]);
    blocked.flush().expect("sent");
    ask(&mut listening, "SUBSCRIBE a");
    ask(&mut listening, "PSUBSCRIBE b*");
    let after = node.page.until("sessile_clients_blocked", |count| count == 1.0);
    grew(
        &before,
        &after,
        &[
            ("sessile_clients_subscribed", 1.0),
            ("sessile_pubsub_channels", 1.0),
            ("sessile_pubsub_patterns", 1.0),
        ],
    );
    assert!(after["sessile_net_input_bytes_total"] > before["sessile_net_input_bytes_total"]);
    assert!(after["sessile_net_output_bytes_total"] > before["sessile_net_output_bytes_total"]);
    assert!(after["sessile_memory_clients_bytes"] > 0.0);

    let mut raw = TcpStream::connect((Ipv4Addr::LOCALHOST, node.server.port)).expect("it accepts");
    raw.write_all(b"*1\r\n$3\r\nab").expect("sent");
    node.page.until("sessile_clients_input_bytes", |bytes| bytes >= 10.0);
    raw.write_all(b"c\r\n*1\r\nmalformed\r\n").expect("sent");
    node.page.until("sessile_connections_cut_total{reason=\"protocol\"}", |count| count == 1.0);
    let mut raw = TcpStream::connect((Ipv4Addr::LOCALHOST, node.server.port)).expect("it accepts");
    let _ = raw.write_all(&[b"*1\r\n$3000000\r\n", &[b'x'; 2_000_000][..]].concat());
    node.page.until("sessile_connections_cut_total{reason=\"input\"}", |count| count == 1.0);
    conn.ask(&["SET", "large", &"x".repeat(100_000)]).expect("it answers");
    ask(&mut conn, "CONFIG SET requirepass secret");
    ask(&mut conn, "AUTH wrong");
    node.page.until("sessile_auth_refused_total", |count| count == 1.0);
    conn.ask(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1000 0 0"]).expect("it answers");
    let _ = conn.ask_line("GET large");
    let cut = node.page.until("sessile_connections_cut_total{reason=\"output\"}", |count| count == 1.0);

    let mut conn = node.connect();
    ask(&mut conn, "AUTH secret");
    let connected = node.page.samples()["sessile_clients"];
    ask(&mut conn, &format!("CONFIG SET maxclients {connected}"));
    let _refused = node.connect();
    let refused = node.page.until("sessile_connections_rejected_total", |count| count == 1.0);
    assert_eq!(refused["sessile_clients_max"], connected);
    grew(&cut, &refused, &[("sessile_connections_total", 2.0)]);
}

#[test]
fn the_journal_and_its_files() {
    let node = Node::start("metrics-journal", "--appendfsync always");
    let mut conn = node.connect();
    // A new journal begins with the seed of the table's hash.
    let before = node.page.until("sessile_journal_durable_lsn", |lsn| lsn == 1.0);
    for n in 0..20 {
        ask(&mut conn, &format!("SET key:{n} {n}"));
    }
    let after = node.page.samples();
    grew(
        &before,
        &after,
        &[
            ("sessile_journal_commits_total", 20.0),
            ("sessile_journal_commit_transactions_sum", 20.0),
            ("sessile_journal_commit_transactions_bucket{le=\"1\"}", 20.0),
            ("sessile_gate_wait_seconds_count", 20.0),
            ("sessile_journal_last_lsn", 20.0),
            ("sessile_journal_written_lsn", 20.0),
            ("sessile_journal_durable_lsn", 20.0),
            ("sessile_dump_unsaved_changes", 20.0),
        ],
    );
    for name in [
        "sessile_journal_records_total",
        "sessile_journal_bytes_total",
        "sessile_journal_size_bytes",
        "sessile_journal_fsync_seconds_count",
        "sessile_journal_fsync_seconds_sum",
        "sessile_gate_wait_seconds_sum",
    ] {
        assert!(after[name] > before[name], "{name}");
    }
    assert_eq!(after["sessile_journal_state{state=\"ok\"}"], 1.0);
    assert!(after["sessile_journal_segments{state=\"ready\"}"] >= 1.0);
    node.page.until("sessile_journal_last_commit_age_seconds", |age| age > 0.1);

    ask(&mut conn, "BGREWRITEAOF");
    let saved = node.page.until("sessile_saves_total{file=\"snapshot\"}", |count| count == 1.0);
    assert!(saved["sessile_journal_snapshot_bytes"] > 0.0);
    assert!(saved["sessile_save_last_timestamp_seconds{file=\"snapshot\"}"] > 0.0);
    node.order("stuck");
    conn.push(&["SET", "late", "1"]);
    conn.flush().expect("sent");
    let stuck = node.page.until("sessile_journal_fsync_running_seconds", |age| age > 0.05);
    node.page.until("sessile_clients_output_bytes", |bytes| bytes >= 5.0);
    assert_eq!((stuck["sessile_clients_gated"], stuck["sessile_ready"]), (1.0, 1.0));
    assert!(stuck["sessile_journal_durable_lsn"] < stuck["sessile_journal_last_lsn"]);
    let mut other = node.connect();
    ask(&mut other, "BGSAVE");
    node.page.until("sessile_save_running{file=\"dump\"}", |running| running == 1.0);
    node.order("");
    conn.receive().expect("the reply leaves");
    let released = node.page.until("sessile_saves_total{file=\"dump\"}", |count| count == 1.0);
    assert_eq!((released["sessile_dump_unsaved_changes"], released["sessile_clients_gated"]), (0.0, 0.0));
    grew(&after, &released, &[("sessile_gate_wait_seconds_count", 1.0)]);
    let slow = released["sessile_gate_wait_seconds_sum"] - after["sessile_gate_wait_seconds_sum"];
    assert!(slow > 0.05, "the reply that was held back for long: {slow} s");
    every_documented_family_is_there(&released);
}

fn every_documented_family_is_there(samples: &Samples) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    let document = std::fs::read_to_string(path).expect("the document is there");
    let names: Vec<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(names.len() > 60, "the document names {} families", names.len());
    for name in names.into_iter().filter(|name| *name != "sessile_errors_total") {
        let is_of = |sample: &String| {
            let bare = sample.split('{').next().unwrap_or_default();
            bare == name || bare == format!("{name}_count")
        };
        assert!(samples.keys().any(is_of), "{name} is not on the page");
    }
}

#[test]
fn health_while_fsync_is_stuck_and_while_it_fails() {
    let node = Node::start("metrics-health", "--appendfsync always --journal-wait-max 100");
    let mut conn = node.connect();
    assert_eq!(node.page.get("/health/ready"), (200, "ready\n".into()));
    assert_eq!(node.page.get("/health/live"), (200, "live\n".into()));
    node.order("stuck");
    conn.push(&["SET", "a", "1"]);
    conn.flush().expect("sent");
    let why = node.page.until_status("/health/ready", 503);
    assert!(why.starts_with("an fsync of the journal has taken "), "{why}");
    assert_eq!(node.page.get("/health/live").0, 200);
    node.order("");
    conn.receive().expect("the reply leaves");
    node.page.until_status("/health/ready", 200);

    node.order("fail");
    assert!(ask(&mut conn, "SET b 1").contains("outcome unknown"));
    let why = node.page.until_status("/health/ready", 503);
    assert!(
        why.starts_with("writes are refused: the journal has failed: ") && why.lines().count() == 1,
        "{why}"
    );
    assert_eq!(node.page.get("/health/live").0, 200);
    let samples = node.page.samples();
    assert_eq!(samples["sessile_journal_state{state=\"failed\"}"], 1.0);
    assert_eq!((samples["sessile_journal_state{state=\"ok\"}"], samples["sessile_ready"]), (0.0, 0.0));
}

#[test]
fn health_while_the_directory_is_not_ours_yet() {
    let temp = Temp::new(&std::env::temp_dir(), "metrics-wait").expect("a folder");
    let launch = |flags: &[String]| Launch {
        bin: BIN.into(),
        dir: temp.0.join("data"),
        flags: flags.to_vec(),
        env: Vec::new(),
    };
    let first = launch(&[]).start().expect("it starts");
    ask(&mut first.connect().expect("it accepts"), "SET kept 1");
    let page = Page(free_port());
    let (mut second, port) =
        launch(&["--metrics-port".into(), page.0.to_string()]).spawn().expect("it starts");
    until("the page", || TcpStream::connect((Ipv4Addr::LOCALHOST, page.0)).ok());
    let recovers =
        || Some(page.get("/health/ready")).filter(|(_, why)| why.starts_with("recovering the journal"));
    assert_eq!(until("a recovery", recovers).0, 503);
    assert_eq!(page.get("/health/live").0, 200);
    let samples = page.samples();
    assert_eq!(samples["sessile_loading"], 1.0);
    assert!(samples["process_resident_memory_bytes"] > 0.0 && !samples.contains_key("sessile_clients"));
    first.kill();
    page.until_status("/health/ready", 200);
    let samples = page.samples();
    assert_eq!((samples["sessile_loading"], samples["sessile_keys{db=\"0\",type=\"string\"}"]), (0.0, 1.0));
    let mut conn = Conn::open(port, LIMIT).expect("it accepts");
    assert!(ask(&mut conn, "GET kept").contains('1'));
    second.kill().and_then(|()| second.wait()).expect("it ends");
}

#[test]
fn without_a_journal_there_is_none_to_show() {
    let node = Node::start("metrics-off", "--appendonly no");
    let samples = node.page.samples();
    assert_eq!(samples["sessile_journal_state{state=\"off\"}"], 1.0);
    assert!(!samples.contains_key("sessile_journal_commits_total"));
    assert_eq!(node.page.get("/health/ready").0, 200);
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    let node = Node::start("metrics-http", "");
    let check = |request: &str, status: u16| {
        let answer = node.page.send(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} gave {answer:?}");
    };
    // Somebody who says nothing keeps nobody else waiting.
    let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, node.page.0)).expect("the page is there");
    check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    check("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405);
    check("*1\r\n$4\r\nPING\r\n", 400);
    check("GET\r\n\r\n", 400);
    check("GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400);
    check(&format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)), 431);
    let (status, body) = split(&node.page.send(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!((status, body.as_str()), (200, ""));
    check("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

#[test]
fn a_port_that_is_taken_stops_the_start() {
    let temp = Temp::new(&std::env::temp_dir(), "metrics-taken").expect("a folder");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let port = taken.local_addr().expect("it is bound").port();
    let run = Command::new(BIN)
        .args(["server", "--port", &free_port().to_string(), "--metrics-port", &port.to_string(), "--dir"])
        .arg(temp.0.join("data"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success());
    assert!(said.contains(&format!("cannot serve metrics on 127.0.0.1:{port}: ")), "{said}");
}
