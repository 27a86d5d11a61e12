//! `dump.rdb` beside running commands, and disks whose fsync is stuck or fails: with the real program, and a shim
//! (`shim/fsync.c`) that stands between it and the system's fsync.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sessile_resp::Value;

use crate::client::{Conn, number, show};
use crate::disk::{Scenario, io, need};
use crate::server::{Launch, Server, Temp, info};

/// How long what must happen may take.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
/// How long what must not happen is watched for: many turns of the server's background work.
const WATCH: Duration = Duration::from_millis(600);

/// All scenarios by name.
pub const SCENARIOS: [(&str, Scenario); 10] = [
    ("SAVE beside commands", save_beside_commands),
    ("dump.rdb waits for the journal", dump_waits_for_the_journal),
    ("failing fsync", failing_fsync),
    ("diagnostics while too much waits", diagnostics_while_too_much_waits),
    ("save points on a failing disk", save_points_on_a_failing_disk),
    ("SHUTDOWN on a failing disk", shutdown_on_a_failing_disk),
    ("writers beside a snapshot on a stuck disk", writers_beside_a_stuck_snapshot),
    ("writers beside a dump.rdb on a stuck disk", writers_beside_a_stuck_dump),
    ("killed while dump.rdb is loaded", killed_while_loading),
    ("compression and checksum of dump.rdb", compression_and_checksum),
];

/// The shim, built.
pub struct Shim {
    library: PathBuf,
    orders: PathBuf,
}

impl Shim {
    /// Builds it in a folder.
    ///
    /// # Errors
    /// In a sentence.
    pub fn build(dir: &Path) -> Result<Self, String> {
        let (source, library) = (dir.join("fsync.c"), dir.join("fsync.so"));
        std::fs::write(&source, include_str!("../shim/fsync.c")).map_err(io("the shim"))?;
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let built = cc.output().map_err(io("cc"))?;
        need(built.status.success(), format!("cc: {}", String::from_utf8_lossy(&built.stderr)))?;
        Ok(Self { library, orders: dir.join("orders") })
    }

    /// What a program that it is to stand in front of has in its environment.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        [("LD_PRELOAD", path(&self.library)), ("FSYNC_SHIM", path(&self.orders))]
    }

    /// Gives an order: see `shim/fsync.c`.
    ///
    /// # Errors
    /// In a sentence.
    pub fn order(&self, what: &str) -> Result<(), String> {
        // Renamed into place, so that nobody reads half of it.
        let beside = self.orders.with_extension("new");
        std::fs::write(&beside, what)
            .and_then(|()| std::fs::rename(&beside, &self.orders))
            .map_err(io("orders"))
    }
}

/// A server under the shim.
pub struct Shimmed {
    /// How it is started.
    pub launch: Launch,
    shim: Shim,
    _temp: Temp,
}

impl Shimmed {
    /// Builds the shim for a server in a temporary folder below `base`; nothing is started yet.
    ///
    /// # Errors
    /// In a sentence.
    pub fn new(bin: &Path, base: &Path, name: &str, flags: &str) -> Result<Self, String> {
        let temp = Temp::new(base, name).map_err(io("temporary directory"))?;
        let shim = Shim::build(&temp.0)?;
        let env = shim.environment().into();
        let flags = flags.split_whitespace().map(str::to_owned).collect();
        let launch = Launch { bin: bin.to_owned(), dir: temp.0.join("data"), flags, env };
        std::fs::create_dir_all(&launch.dir).map_err(io("data directory"))?;
        Ok(Self { launch, shim, _temp: temp })
    }

    /// Gives an order: see `shim/fsync.c`.
    ///
    /// # Errors
    /// In a sentence.
    pub fn order(&self, what: &str) -> Result<(), String> {
        self.shim.order(what)
    }

    fn dump(&self) -> PathBuf {
        self.launch.dir.join("dump.rdb")
    }
}

/// Asks until the answer pleases.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if began.elapsed() > LIMIT {
            return Err(format!("not within {LIMIT:?}: {what}"));
        }
        std::thread::sleep(POLL);
    }
}

fn until_info(conn: &mut Conn, field: &str, wanted: &str) -> Result<(), String> {
    until(&format!("{field}:{wanted}"), || (info(conn, field) == wanted).then_some(()))
}

fn ask(conn: &mut Conn, line: &str) -> Result<String, String> {
    match conn.ask_line(line).map_err(|e| format!("{line}: {e:?}"))? {
        Value::Error(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        value => Ok(show(&value)),
    }
}

fn expect(conn: &mut Conn, line: &str, wanted: &str) -> Result<(), String> {
    let got = ask(conn, line)?;
    need(got.contains(wanted), format!("{line} gave {got}, not {wanted}"))
}

fn fill(conn: &mut Conn, keys: u32) -> Result<(), String> {
    let script = format!("for i = 1, {keys} do redis.call('SET', 'key:' .. i, ('v'):rep(100)) end");
    let reply = conn.ask(&[b"EVAL", script.as_bytes(), b"0"]);
    need(reply.is_ok_and(|it| !matches!(it, Value::Error(_))), "the keys could not be set")
}

/// What another server finds in a copy of the file.
fn load(shimmed: &Shimmed, bin: &Path) -> Result<(Server, Launch), String> {
    let dir = shimmed.launch.dir.with_extension("copy");
    std::fs::create_dir_all(&dir).map_err(io("directory for the copy"))?;
    std::fs::copy(shimmed.dump(), dir.join("dump.rdb")).map_err(io("copy of dump.rdb"))?;
    let launch = Launch { bin: bin.to_owned(), dir, flags: Vec::new(), env: Vec::new() };
    Ok((launch.start()?, launch))
}

fn save_beside_commands(bin: &Path, base: &Path) -> Result<String, String> {
    const KEYS: u32 = 200_000;
    let shimmed = Shimmed::new(bin, base, "save", "")?;
    let server = shimmed.launch.start()?;
    let (mut saver, mut other) = (server.connect()?, server.connect()?);
    fill(&mut other, KEYS)?;
    saver.push(&["SAVE"]);
    saver.flush().map_err(|e| format!("SAVE: {e:?}"))?;
    until_info(&mut other, "current_save_keys_total", &KEYS.to_string())?;
    expect(&mut other, "SET later yes", "OK")?;
    expect(&mut other, "SET key:1 changed", "OK")?;
    expect(&mut other, "BGSAVE", "ERR Background save already in progress")?;
    expect(&mut other, "BGREWRITEAOF", "Background append only file rewriting scheduled")?;
    let still = info(&mut other, "rdb_bgsave_in_progress");
    need(still == "1", "SAVE had ended before others were served: this saw nothing")?;
    let reply = saver.receive().map_err(|e| format!("SAVE: {e:?}"))?;
    need(reply == Value::Simple(b"OK".to_vec()), format!("SAVE gave {reply:?}"))?;
    until_info(&mut other, "aof_rewrites", "1")?;
    let (copy, _) = load(&shimmed, bin)?;
    let mut conn = copy.connect()?;
    let size = conn.ask_line("DBSIZE").ok().and_then(|n| number(&n));
    need(size == Some(i64::from(KEYS)), format!("the file has {size:?} keys"))?;
    expect(&mut conn, "GET key:1", "vvv")?;
    Ok(format!("{KEYS} keys as they were when SAVE began, others served meanwhile"))
}

fn dump_waits_for_the_journal(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed = Shimmed::new(bin, base, "dump-gate", "")?;
    let server = shimmed.launch.start()?;
    let (mut writer, mut other) = (server.connect()?, server.connect()?);
    expect(&mut writer, "SET known yes", "OK")?;
    shimmed.order("stuck")?;
    writer.push(&["SET", "unknown", "yes"]);
    writer.flush().map_err(|e| format!("SET: {e:?}"))?;
    until("the write ran", || (info(&mut other, "rdb_changes_since_last_save") == "2").then_some(()))?;
    expect(&mut other, "BGSAVE", "Background saving started")?;
    let began = Instant::now();
    while began.elapsed() < WATCH {
        need(!shimmed.dump().exists(), "dump.rdb is there before the journal holds what is in it")?;
        need(info(&mut other, "rdb_bgsave_in_progress") == "1", "BGSAVE ended while the journal was stuck")?;
    }
    shimmed.order("")?;
    let reply = writer.receive().map_err(|e| format!("SET: {e:?}"))?;
    need(reply == Value::Simple(b"OK".to_vec()), format!("SET gave {reply:?}"))?;
    until_info(&mut other, "rdb_bgsave_in_progress", "0")?;
    let (copy, _) = load(&shimmed, bin)?;
    expect(&mut copy.connect()?, "GET unknown", "yes")?;
    Ok("held back while the journal was stuck, there afterwards".into())
}

/// Keys of a kilobyte each that a file holds, several times what may wait for the disk.
const KILOBYTES: usize = 120_000;
/// Keys that one command changes.
const A_CHANGE: usize = 100;

/// Changes every key while what that saves finds no way to the disk: writers wait, readers do not, and memory has its
/// bound. `release` sets the disk free; gives what waited, in bytes.
fn change_all_while_stuck(
    server: &Server,
    begin: &str,
    stick: impl FnOnce() -> Result<(), String>,
    release: impl FnOnce() -> Result<(), String>,
) -> Result<u64, String> {
    // What the cursor may hold, and one command's changes.
    const BOUND_BYTES: u64 = (32 << 20) + 2 * 1024 * A_CHANGE as u64;
    let (mut writer, mut other) = (server.connect()?, server.connect()?);
    let script = format!("for i = 0, {KILOBYTES} - 1 do redis.call('SET', 'key:' .. i, ('v'):rep(1000)) end");
    let filled = other.ask(&[b"EVAL", script.as_bytes(), b"0"]).map_err(|e| format!("EVAL: {e:?}"))?;
    need(filled == Value::Null, format!("EVAL gave {filled:?}"))?;
    stick()?;
    ask(&mut other, begin)?;
    until_info(&mut other, "current_save_keys_total", &KILOBYTES.to_string())?;
    for first in (0..KILOBYTES).step_by(A_CHANGE) {
        let keys = (first..first + A_CHANGE).map(|n| format!("key:{n}"));
        writer.push(&std::iter::once("DEL".to_owned()).chain(keys).collect::<Vec<_>>());
    }
    let mut flushing = std::thread::spawn(move || writer.flush().map(|()| writer));
    until_info(&mut other, "snapshot_holds_writers", "1")?;
    let waits: u64 = info(&mut other, "snapshot_queued_bytes").parse().map_err(|e| format!("INFO: {e}"))?;
    need(waits <= BOUND_BYTES, format!("{waits} bytes wait for the disk, more than {BOUND_BYTES}"))?;
    let last = format!("GET key:{}", KILOBYTES - 1);
    expect(&mut other, &last, "vvv")?;
    other.push(&["SET", "held", "yes"]);
    other.flush().map_err(|e| format!("SET: {e:?}"))?;
    let mut third = server.connect()?;
    let began = Instant::now();
    while began.elapsed() < WATCH {
        need(info(&mut third, "snapshot_holds_writers") == "1", "writers went on while the disk was stuck")?;
        expect(&mut third, "EXISTS held", "Int(0)")?;
    }
    release()?;
    let set = other.receive().map_err(|e| format!("SET: {e:?}"))?;
    need(set == Value::Simple(b"OK".to_vec()), format!("SET gave {set:?}"))?;
    flushing = std::thread::spawn(move || {
        let mut writer = flushing.join().map_err(|_| crate::client::Lost::Ended)??;
        for _ in 0..KILOBYTES / A_CHANGE {
            writer.receive()?;
        }
        Ok(writer)
    });
    flushing.join().map_err(|_| "a thread panicked")?.map_err(|e| format!("DEL: {e:?}"))?;
    until_info(&mut other, "snapshot_queued_bytes", "0")?;
    need(info(&mut other, "snapshot_holds_writers") == "0", "INFO says that writers wait for no snapshot")?;
    Ok(waits)
}

fn writers_beside_a_stuck_snapshot(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed =
        Shimmed::new(bin, base, "stuck-snapshot", "--appendfsync no --auto-aof-rewrite-percentage 0")?;
    let server = shimmed.launch.start()?;
    let waits =
        change_all_while_stuck(&server, "BGREWRITEAOF", || shimmed.order("stuck"), || shimmed.order(""))?;
    until_info(&mut server.connect()?, "aof_rewrites", "1")?;
    until_info(&mut server.connect()?, "aof_rewrite_in_progress", "0")?;
    server.kill();
    let server = shimmed.launch.start()?;
    let mut conn = server.connect()?;
    expect(&mut conn, "GET held", "yes")?;
    expect(&mut conn, "DBSIZE", "Int(1)")?;
    Ok(format!("held with {waits} bytes, and readers were not; all there after a restart"))
}

fn writers_beside_a_stuck_dump(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed = Shimmed::new(bin, base, "stuck-dump", "--appendonly no --rdbcompression no")?;
    let server = shimmed.launch.start()?;
    // A pipe in the place of the file that is written: nothing leaves before somebody reads.
    let pipe = shimmed.launch.dir.join(format!("temp-{}.rdb", server.pid()));
    let make = || {
        let made = Command::new("mkfifo").arg(&pipe).status();
        need(made.is_ok_and(|status| status.success()), "mkfifo fails")
    };
    let read = || {
        let mut file = std::fs::File::open(&pipe).map_err(io("pipe"))?;
        std::thread::spawn(move || std::io::copy(&mut file, &mut std::io::sink()));
        Ok(())
    };
    let waits = change_all_while_stuck(&server, "BGSAVE", make, read)?;
    // A pipe cannot be synced: how it ends is for others to see.
    until_info(&mut server.connect()?, "rdb_bgsave_in_progress", "0")?;
    Ok(format!("held with {waits} bytes, and readers were not"))
}

fn killed_while_loading(bin: &Path, base: &Path) -> Result<String, String> {
    const KEYS: i64 = 100_000;
    const VALUE_BYTES: u64 = 1500;
    const ROUNDS: usize = 12;
    let shimmed = Shimmed::new(bin, base, "load", "--appendonly no --save")?;
    let mut launch = shimmed.launch.clone();
    launch.flags.push(String::new());
    let server = launch.start()?;
    let mut conn = server.connect()?;
    // Random text: it takes as much in the file as in memory.
    let script = format!(
        "for i = 1, {KEYS} do local t = {{}} for j = 1, {VALUE_BYTES} / 50 do \
         t[j] = redis.sha1hex(i .. ':' .. j) .. '0123456789' end redis.call('SET', 'key:' .. i, table.concat(t)) end"
    );
    let filled = conn.ask(&[b"EVAL", script.as_bytes(), b"0"]).map_err(|e| format!("EVAL: {e:?}"))?;
    need(filled == Value::Null, format!("EVAL gave {}", show(&filled)))?;
    expect(&mut conn, "SAVE", "OK")?;
    drop(server);
    let data_bytes = KEYS as u64 * VALUE_BYTES;
    let journaled = Launch { flags: Vec::new(), ..launch };
    let server = journaled.start()?;
    let peak_bytes = server.peak_rss_bytes();
    // Keys and their entries, the queue, and no second copy of the data.
    let bound_bytes = data_bytes * 3 / 2;
    need(peak_bytes < bound_bytes, format!("loading {data_bytes} bytes took {peak_bytes} of memory"))?;
    drop(server);
    let journal = journaled.dir.join("sessile-journal");
    let is_there = |wanted: fn(&str) -> bool| {
        let files = std::fs::read_dir(&journal).into_iter().flatten().flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned()).any(|name| wanted(&name))
    };
    let is_complete = |name: &str| name.starts_with("snapshot-") && !name.ends_with(".tmp");
    let moments: [fn(&str) -> bool; 3] =
        [|name| name.starts_with("segment-"), |name| name.starts_with("snapshot-"), is_complete];
    let mut again = 0;
    for moment in moments.into_iter().cycle().take(ROUNDS) {
        std::fs::remove_dir_all(&journal).map_err(io("the journal"))?;
        let (mut child, _) = journaled.spawn().map_err(io("start"))?;
        let came = until("the journal gets that far", || is_there(moment).then_some(()));
        let _ = child.kill();
        let _ = child.wait();
        came?;
        again += u32::from(!is_there(is_complete));
        let server = journaled.start()?;
        let mut conn = server.connect()?;
        expect(&mut conn, "DBSIZE", &format!("Int({KEYS})"))?;
        expect(&mut conn, "SET more yes", "OK")?;
        server.kill();
        let server = journaled.start()?;
        expect(&mut server.connect()?, "DBSIZE", &format!("Int({})", KEYS + 1))?;
        drop(server);
    }
    need(again > 0, "no kill came before all of it was journaled")?;
    Ok(format!(
        "{ROUNDS} kills, {again} of them before all was journaled: all {KEYS} keys each time; peak memory {} MB for {} MB",
        peak_bytes >> 20,
        data_bytes >> 20
    ))
}

fn failing_fsync(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed = Shimmed::new(bin, base, "fsync", "")?;
    let server = shimmed.launch.start()?;
    let (mut writer, mut other) = (server.connect()?, server.connect()?);
    expect(&mut writer, "SET known yes", "OK")?;
    shimmed.order("fail")?;
    let refused = ask(&mut writer, "SET unknown yes")?;
    need(refused.contains("outcome unknown") && refused.contains("check before you retry"), refused.clone())?;
    need(writer.ask_line("PING").is_err(), "the connection of a write with unknown outcome goes on")?;
    expect(&mut other, "GET known", "yes")?;
    shimmed.order("")?;
    // The disk is sound again, but the failed sync may have dropped what it was to write: nothing more is acknowledged.
    expect(&mut other, "SET another yes", "MISCONF Errors writing to the journal")?;
    need(info(&mut other, "aof_last_write_status") == "err", "INFO says that all is well")?;
    server.kill();
    let server = shimmed.launch.start()?;
    expect(&mut server.connect()?, "GET known", "yes")?;
    expect(&mut server.connect()?, "SET another yes", "OK")?;
    Ok(refused)
}

fn diagnostics_while_too_much_waits(bin: &Path, base: &Path) -> Result<String, String> {
    const WRITES: usize = 60;
    let flags = "--journal-pending-max 1mb --journal-wait-max 1000000";
    let shimmed = Shimmed::new(bin, base, "held", flags)?;
    let server = shimmed.launch.start()?;
    let mut writer = server.connect()?;
    expect(&mut writer, "SET known yes", "OK")?;
    shimmed.order("stuck")?;
    let value = vec![b'v'; 50_000];
    for number in 0..WRITES {
        writer.push(&[b"SET".to_vec(), format!("key:{number}").into_bytes(), value.clone()]);
    }
    writer.flush().map_err(|e| format!("SET: {e:?}"))?;
    // A connection of its own, made while nothing moves.
    let mut other = server.connect()?;
    let held = |conn: &mut Conn| {
        info(conn, "gated_clients") == "1" && info(conn, "rdb_changes_since_last_save") != "1"
    };
    until("INFO tells of writes that wait", || held(&mut other).then_some(()))?;
    ask(&mut other, "CONFIG GET journal-pending-max")?;
    ask(&mut other, "CLIENT LIST")?;
    let ran = info(&mut other, "rdb_changes_since_last_save").parse::<usize>().unwrap_or(WRITES);
    need(ran < WRITES, format!("{ran} writes ran: nothing was held back"))?;
    shimmed.order("")?;
    for number in 0..WRITES {
        let reply = writer.receive().map_err(|e| format!("SET {number}: {e:?}"))?;
        need(reply == Value::Simple(b"OK".to_vec()), format!("SET {number} gave {reply:?}"))?;
    }
    expect(&mut other, "GET known", "yes")?;
    Ok(format!("{ran} of {WRITES} writes ran, the others waited; INFO, CONFIG and CLIENT answered meanwhile"))
}

fn save_points_on_a_failing_disk(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed = Shimmed::new(bin, base, "points", "--appendonly no --save 1 1")?;
    let server = shimmed.launch.start()?;
    let mut conn = server.connect()?;
    shimmed.order("fail")?;
    expect(&mut conn, "SET first yes", "OK")?;
    until_info(&mut conn, "rdb_last_bgsave_status", "err")?;
    expect(&mut conn, "SET second yes", "MISCONF Redis is configured to save RDB snapshots")?;
    expect(&mut conn, "GET first", "yes")?;
    expect(&mut conn, "CONFIG SET stop-writes-on-bgsave-error no", "OK")?;
    expect(&mut conn, "SET second yes", "OK")?;
    expect(&mut conn, "CONFIG SET stop-writes-on-bgsave-error yes", "OK")?;
    shimmed.order("")?;
    until_info(&mut conn, "rdb_last_bgsave_status", "ok")?;
    expect(&mut conn, "SET third yes", "OK")?;
    server.kill();
    let server = shimmed.launch.start()?;
    expect(&mut server.connect()?, "GET second", "yes")?;
    Ok("writes refused while the file could not be written, accepted afterwards".into())
}

/// Nothing is read while the node stops; what came then is read once it does not stop after all.
fn answered_after_a_stop_that_fails(server: &Server) -> Result<(), String> {
    let mut stopping = server.connect()?;
    let mut others = [server.connect()?, server.connect()?, server.connect()?];
    // While it is halted, all requests come to lie side by side.
    need(server.signal("STOP"), "SIGSTOP cannot be sent")?;
    stopping.push(&["SHUTDOWN"]);
    others.iter_mut().for_each(|other| other.push(&["PING"]));
    for conn in [&mut stopping].into_iter().chain(&mut others) {
        conn.flush().map_err(|lost| format!("{lost:?}"))?;
    }
    need(server.signal("CONT"), "SIGCONT cannot be sent")?;
    for conn in others.iter_mut().chain([&mut stopping]) {
        let reply = conn.receive();
        need(reply.is_ok(), format!("a request beside a stop that failed: {reply:?}"))?;
    }
    Ok(())
}

fn shutdown_on_a_failing_disk(bin: &Path, base: &Path) -> Result<String, String> {
    let shimmed = Shimmed::new(bin, base, "shutdown", "--appendonly no --save 3600 1")?;
    let mut server = shimmed.launch.start()?;
    let mut conn = server.connect()?;
    expect(&mut conn, "SET key yes", "OK")?;
    shimmed.order("fail")?;
    expect(&mut conn, "SHUTDOWN", "ERR Errors trying to SHUTDOWN. Check logs.")?;
    expect(&mut conn, "GET key", "yes")?;
    need(server.is_running(), "the node stopped without its data")?;
    answered_after_a_stop_that_fails(&server)?;
    shimmed.order("")?;
    let ended = conn.ask_line("SHUTDOWN");
    need(ended.is_err(), format!("SHUTDOWN gave a reply: {ended:?}"))?;
    until("the node stops", || (!server.is_running()).then_some(()))?;
    let server = shimmed.launch.start()?;
    expect(&mut server.connect()?, "GET key", "yes")?;
    shimmed.order("fail")?;
    expect(&mut server.connect()?, "SET key again", "OK")?;
    need(server.connect()?.ask_line("SHUTDOWN FORCE").is_err(), "SHUTDOWN FORCE gave a reply")?;
    Ok("refused with the data still there, then done; FORCE goes on without".into())
}

fn compression_and_checksum(bin: &Path, base: &Path) -> Result<String, String> {
    let bytes = |flags: &str| -> Result<Vec<u8>, String> {
        let shimmed = Shimmed::new(bin, base, "form", flags)?;
        let server = shimmed.launch.start()?;
        let mut conn = server.connect()?;
        fill(&mut conn, 100)?;
        expect(&mut conn, "SAVE", "OK")?;
        let (copy, _) = load(&shimmed, bin)?;
        expect(&mut copy.connect()?, "GET key:100", "vvv")?;
        std::fs::read(shimmed.dump()).map_err(io("dump.rdb"))
    };
    let (packed, plain) = (bytes("")?, bytes("--rdbcompression no --rdbchecksum no")?);
    need(packed.len() * 2 < plain.len(), format!("{} bytes packed, {} plain", packed.len(), plain.len()))?;
    need(packed[packed.len() - 8..] != [0; 8], "no checksum")?;
    need(plain[plain.len() - 8..] == [0; 8], "a checksum that was not wanted")?;
    Ok(format!("{} bytes packed, {} plain", packed.len(), plain.len()))
}
