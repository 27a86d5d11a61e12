//! `sessile status` of a server that runs, and the command table at the prompt.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The binary.
const SESSILE: &str = env!("CARGO_BIN_EXE_sessile");

/// A server; stopped when dropped.
struct Server {
    child: Child,
    port: String,
    dir: PathBuf,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let dir = std::env::temp_dir().join(format!("sessile-status-{port}"));
        fs::create_dir_all(&dir).unwrap();
        let child = Command::new(SESSILE)
            .args(["--port", &port, "--bind", "127.0.0.1", "--dir"])
            .arg(&dir)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, dir };
        let started = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{}", server.port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the server does not start");
            thread::yield_now();
        }
        server
    }

    /// Runs the binary as this client of the server; gives the exit code and what it says.
    fn client(&self, name: &str, args: &[&str]) -> (i32, String) {
        run(&[&[name, "-p", &self.port], args].concat())
    }
}

fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(SESSILE).args(args).env_remove("REDISCLI_AUTH").output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn check_worth(args: &[&str], worth: &str, name: &str) {
    let server = Server::start(args);
    let (code, text) = server.client("status", &[]);
    assert!(text.contains(&format!("\nacknowledgement  {worth}\n")), "{args:?}: {text}");
    let (json_code, json) = server.client("status", &["--json"]);
    assert!(json.contains(&format!(r#""acknowledgement":"{name}","acknowledges_writes":true"#)), "{json}");
    assert_eq!((code, json_code), (0, 0));
}

#[test]
fn an_acknowledgement_has_the_worth_that_the_configuration_gives_it() {
    check_worth(&[], "survives kill -9 and a power cut", "durable");
    check_worth(&["--appendonly", "yes"], "survives kill -9 and a power cut", "durable");
    check_worth(
        &["--appendfsync", "everysec"],
        "survives kill -9; a power cut may take the last second",
        "everysec",
    );
    check_worth(
        &["--appendfsync", "no"],
        "survives kill -9; a power cut may take what the system had not written",
        "written",
    );
    check_worth(&["--appendonly", "no"], "held in memory only: a restart finds the last dump.rdb", "memory");
}

#[test]
fn what_is_there_is_shown() {
    let server = Server::start(&["--maxmemory", "100mb"]);
    for command in
        [&["set", "a", "1"][..], &["set", "b", "2", "ex", "100"], &["-n", "3", "set", "c", "3"], &["save"]]
    {
        assert_eq!(server.client("cli", command).1, "OK\n");
    }
    let (_, text) = server.client("status", &[]);
    for line in [
        &format!("server           Sessile {} at 127.0.0.1:{}, ", env!("CARGO_PKG_VERSION"), server.port),
        "\njournal          ok\n",
        ", all of them durable\n",
        "\nsnapshot         none yet: the whole journal is read at a start\n",
        "\ndump.rdb         written ",
        " ago; 0 changes since\n",
        " % of 100.0 MiB, then noeviction\n",
        "\nclients          1 of ",
        "\nkeys             db0: 2 keys, 1 of them with an expiry\n                 db3: 1 key, 0 of them with an expiry\n",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    let (_, json) = server.client("status", &["--json"]);
    assert!(json.contains(r#""databases":[{"number":0,"keys":2,"expiring_keys":1},{"number":3,"#), "{json}");
    drop(server);
    assert_eq!(run(&["status", "-p", "1"]), (1, String::new()));
}

/// Without a server the table of the binary itself helps.
#[test]
fn help_comes_from_the_command_table() {
    let (code, text) = run(&["cli", "-p", "1", "help", "config", "get"]);
    assert_eq!(code, 0);
    assert!(text.contains("CONFIG GET\u{1b}[0m \u{1b}[90mparameter [parameter ...]\u{1b}[0m\r\n"), "{text}");
    let (_, text) = run(&["cli", "-p", "1", "help", "set"]);
    assert!(text.contains("key value [NX|XX] "), "{text}");
}
