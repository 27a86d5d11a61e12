//! Full, locked, read-only and damaged disks, with the real program on a real file system.
//!
//! Full and read-only disks are small tmpfs mounts; without the right to mount, those scenarios fail rather than pass
//! unseen.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sessile_resp::Value;

use crate::client::{Conn, bytes, show};
use crate::rng::Rng;
use crate::server::{Launch, Refused, Server, Temp, info};

/// How long a refused start may take; a second process waits for the first one's lock for ten seconds of it.
const REFUSAL_LIMIT: Duration = Duration::from_secs(20);
/// How soon writes go on once there is space again.
const RESUME_LIMIT: Duration = Duration::from_secs(15);
const VALUE_BYTES: usize = 50_000;
/// Where records begin in a segment.
const RECORDS_OFFSET: u64 = 4096;

/// A scenario: gives what it has seen, or what was wrong.
pub type Scenario = fn(&Path, &Path) -> Result<String, String>;

/// All scenarios by name.
pub const SCENARIOS: [(&str, Scenario); 9] = [
    ("full disk", full_disk),
    ("killed while the disk is full", killed_while_full),
    ("request too large for the disk", too_large_a_request),
    ("effects too large for the disk", too_large_effects),
    ("second process", second_process),
    ("read-only directory", read_only),
    ("damaged byte", damaged_byte),
    ("garbage tail", garbage_tail),
    ("no journal", no_journal),
];

/// Runs every one of the scenarios of the program `bin` below `base`, prints a line each, and gives how many passed and failed.
pub fn run(scenarios: &[(&str, Scenario)], bin: &Path, base: &Path) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in scenarios {
        match scenario(bin, base) {
            Ok(seen) => {
                passed += 1;
                println!("passed  {name}: {seen}");
            }
            Err(why) => {
                failed += 1;
                println!("FAILED  {name}: {why}");
            }
        }
    }
    (passed, failed)
}

/// A mounted tmpfs, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, size: &str) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|e| format!("no mount point: {e}"))?;
        system("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &at.to_string_lossy()])?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whatever still has it open is about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn system(program: &str, args: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(args).output().map_err(|e| format!("cannot run {program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

pub(crate) fn io(what: &'static str) -> impl Fn(std::io::Error) -> String {
    move |e| format!("{what}: {e}")
}

pub(crate) fn need(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn launch(bin: &Path, dir: PathBuf, flags: &str) -> Launch {
    let flags = flags.split_whitespace().map(str::to_owned).collect();
    Launch { bin: bin.to_owned(), dir, flags, env: Vec::new() }
}

/// Keys with the values that were acknowledged.
type Acked = BTreeMap<String, Vec<u8>>;

/// Writes large values until one is refused; gives the refusal.
fn fill(conn: &mut Conn, acked: &mut Acked, rng: &mut Rng) -> Result<String, String> {
    for _ in 0..20_000 {
        let (key, value) = (format!("key:{}", acked.len()), value(rng));
        match conn.ask(&[b"SET", key.as_bytes(), &value]) {
            Ok(Value::Simple(_)) => drop(acked.insert(key, value)),
            Ok(Value::Error(text)) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            other => return Err(format!("SET on a filling disk got {other:?}")),
        }
    }
    Err("the disk never filled".into())
}

fn value(rng: &mut Rng) -> Vec<u8> {
    (0..VALUE_BYTES / 8).flat_map(|_| rng.next().to_le_bytes()).collect()
}

fn all_there(conn: &mut Conn, acked: &Acked) -> Result<(), String> {
    for (key, value) in acked {
        let reply = conn.ask(&["GET", key]).map_err(|e| format!("GET {key}: {e:?}"))?;
        need(
            bytes(&reply) == Some(value),
            format!("{key} was acknowledged and is not there: {}", show(&reply)),
        )?;
    }
    Ok(())
}

/// Writes one value as soon as the server takes it again.
fn resume(conn: &mut Conn, acked: &mut Acked, rng: &mut Rng) -> Result<Duration, String> {
    let began = Instant::now();
    while began.elapsed() < RESUME_LIMIT {
        let (key, value) = (format!("key:{}", acked.len()), value(rng));
        match conn.ask(&[b"SET", key.as_bytes(), &value]) {
            Ok(Value::Simple(_)) => {
                acked.insert(key, value);
                return Ok(began.elapsed());
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            Err(e) => return Err(format!("the connection ended while the disk was full: {e:?}")),
        }
    }
    let (state, reason) = (info(conn, "journal_state"), info(conn, "journal_reason"));
    Err(format!("no write within {RESUME_LIMIT:?} of space coming back (journal_state {state}: {reason})"))
}

/// Another name of the data directory, so that log and errors, which stand beside it, are not on its disk.
fn elsewhere(launch: &Launch, temp: &Temp) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&launch.dir).map_err(io("data directory"))?;
    let link = temp.0.join("link");
    std::os::unix::fs::symlink(&launch.dir, &link).map_err(io("link"))?;
    Ok(link)
}

/// A server on a small disk that has a ballast file to remove.
fn on_small_disk(bin: &Path, temp: &Temp) -> Result<(Mount, Launch, PathBuf), String> {
    let mount = Mount::new(&temp.0.join("small"), "24m")?;
    let ballast = mount.0.join("ballast");
    File::create(&ballast).and_then(|file| file.write_all_at(&vec![1; 8 << 20], 0)).map_err(io("ballast"))?;
    let flags = "--journal-segment-size 1mb --auto-aof-rewrite-percentage 0";
    let dir = mount.0.join("data");
    Ok((mount, launch(bin, dir, flags), ballast))
}

/// Takes the last bytes of the disk that a server stands on; gives the file that has them.
fn fill_up(launch: &Launch) -> Result<PathBuf, String> {
    let path = launch.dir.with_extension("filler");
    let file = File::create(&path).map_err(io("filler"))?;
    for at in (0..).step_by(512) {
        if file.write_all_at(&[1; 512], at).is_err() {
            break;
        }
    }
    Ok(path)
}

fn full_disk(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "full").map_err(io("temporary directory"))?;
    let mut rng = Rng::new(1);
    let (_mount, launch, ballast) = on_small_disk(bin, &temp)?;
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let mut acked = Acked::new();
    let refusal = fill(&mut conn, &mut acked, &mut rng)?;
    let says_why = |text: &str| text.contains("full") || text.contains("space");
    need(says_why(&refusal), format!("the refusal does not say why: {refusal}"))?;
    all_there(&mut conn, &acked)?;
    let refused = format!("key:{}", acked.len());
    // The log stands on the same disk: not a byte is left for what the server has to say about it.
    let filler = fill_up(&launch)?;
    let rewrite = conn.ask_line("BGREWRITEAOF").map_err(|e| format!("BGREWRITEAOF: {e:?}"))?;
    let again = conn.ask_line("SET one more").map_err(|e| format!("SET on a full disk: {e:?}"))?;
    need(
        matches!(again, Value::Error(_)),
        format!("SET on a full disk got {again:?} (rewrite: {rewrite:?})"),
    )?;
    all_there(&mut conn, &acked)?;
    let absent = conn.ask(&["EXISTS", &refused]).map_err(|e| format!("EXISTS: {e:?}"))?;
    need(absent == Value::Int(0), "the refused write was executed")?;
    let (state, reason) = (info(&mut conn, "journal_state"), info(&mut conn, "journal_reason"));
    need(state == "refusing" && says_why(&reason), format!("INFO says {state}: {reason}"))?;
    std::fs::remove_file(&filler).map_err(io("removing the filler"))?;
    std::fs::remove_file(&ballast).map_err(io("removing the ballast"))?;
    let took = resume(&mut conn, &mut acked, &mut rng)?;
    need(info(&mut conn, "journal_state") == "ok", "INFO does not say that writes go on")?;
    server.kill();
    let server = launch.start()?;
    all_there(&mut server.connect()?, &acked)?;
    Ok(format!(
        "refused after {} values ({refusal}); wrote again {took:.1?} after space came",
        acked.len() - 1
    ))
}

fn killed_while_full(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "fullkill").map_err(io("temporary directory"))?;
    let mut rng = Rng::new(2);
    let (_mount, launch, ballast) = on_small_disk(bin, &temp)?;
    let launch = Launch { dir: elsewhere(&launch, &temp)?, ..launch };
    let server = launch.start()?;
    let mut acked = Acked::new();
    fill(&mut server.connect()?, &mut acked, &mut rng)?;
    server.kill();
    // Nothing is left for the copy that recovery makes, so a refusal is right; it has to say so.
    let seen = match launch.start() {
        Ok(server) => {
            all_there(&mut server.connect()?, &acked)?;
            server.kill();
            "started on the full disk".to_owned()
        }
        Err(why) => {
            need(
                why.contains("No space") || why.contains("full"),
                format!("the refusal does not say why: {why}"),
            )?;
            "refused to start on the full disk".to_owned()
        }
    };
    std::fs::remove_file(&ballast).map_err(io("removing the ballast"))?;
    let server = launch.start()?;
    let mut conn = server.connect()?;
    all_there(&mut conn, &acked)?;
    resume(&mut conn, &mut acked, &mut rng)?;
    Ok(format!("{seen}; with space all {} values are there", acked.len() - 1))
}

/// A small disk on which this much is free after the journal has what it keeps ready.
fn leave_free(mount: &Mount, bytes: u64) -> Result<PathBuf, String> {
    let path = mount.0.join("filler");
    let file = File::create(&path).map_err(io("filler"))?;
    let mut at = 0;
    while file.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    file.set_len(at.saturating_sub(bytes)).map_err(io("filler"))?;
    Ok(path)
}

/// A request that is larger than what is free is refused before it runs, and smaller ones go on.
fn too_large_a_request(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "largerequest").map_err(io("temporary directory"))?;
    let mut rng = Rng::new(4);
    let (mount, launch, ballast) = on_small_disk(bin, &temp)?;
    let launch = Launch { dir: elsewhere(&launch, &temp)?, ..launch };
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let filler = leave_free(&mount, 4 << 20)?;
    let large = vec![b'x'; 12 << 20];
    let refusal = conn.ask(&[b"SET".as_slice(), b"large", &large]).map_err(|e| format!("SET: {e:?}"))?;
    let says_why = matches!(&refusal, Value::Error(text) if text.starts_with(b"MISCONF"));
    need(says_why, format!("a SET of 12 MiB with 4 MiB free got {}", show(&refusal)))?;
    let mut acked = Acked::new();
    let small = conn.ask(&["SET", "small", "x"]).map_err(|e| format!("SET: {e:?}"))?;
    need(small == Value::Simple(b"OK".to_vec()), format!("the next small write got {}", show(&small)))?;
    resume(&mut conn, &mut acked, &mut rng)?;
    let absent = conn.ask(&["EXISTS", "large"]).map_err(|e| format!("EXISTS: {e:?}"))?;
    need(absent == Value::Int(0), "the refused write was executed")?;
    std::fs::remove_file(&filler).and_then(|()| std::fs::remove_file(&ballast)).map_err(io("making room"))?;
    // The disk is looked at again each second.
    let (began, mut reply) = (Instant::now(), refusal.clone());
    while matches!(&reply, Value::Error(text) if text.starts_with(b"MISCONF"))
        && began.elapsed() < RESUME_LIMIT
    {
        reply = conn.ask(&[b"SET".as_slice(), b"large", &large]).map_err(|e| format!("SET: {e:?}"))?;
    }
    need(reply == Value::Simple(b"OK".to_vec()), format!("with space it got {}", show(&reply)))?;
    server.kill();
    let server = launch.start()?;
    let mut conn = server.connect()?;
    all_there(&mut conn, &acked)?;
    let there = conn.ask(&["STRLEN", "large"]).map_err(|e| format!("STRLEN: {e:?}"))?;
    need(there == Value::Int(large.len() as i64), "the large value is not there after a restart")?;
    Ok(format!("{}; smaller ones went on", show(&refusal)))
}

/// What a few bytes of request make of much more data than the disk takes: it waits, unacknowledged, and is there once
/// there is room, or never was.
fn too_large_effects(bin: &Path, base: &Path) -> Result<String, String> {
    let mut seen = Vec::new();
    let script = "for i = 1, 10 do redis.call('SET', 'copy:' .. i, redis.call('GET', 'source')) end";
    let commands: [(&str, &[&str]); 2] =
        [("SUNIONSTORE", &["SUNIONSTORE", "copy:1", "set"]), ("a script", &["EVAL", script, "0"])];
    for (name, command) in commands {
        for kill in [false, true] {
            let took = stuck_effects(bin, base, command, kill).map_err(|why| format!("{name}: {why}"))?;
            if !kill {
                seen.push(format!("{name} was answered {took:.1?} after space came"));
            }
        }
    }
    Ok(seen.join(", "))
}

fn stuck_effects(bin: &Path, base: &Path, command: &[&str], kill: bool) -> Result<Duration, String> {
    let temp = Temp::new(base, "largeeffects").map_err(io("temporary directory"))?;
    let mut rng = Rng::new(5);
    let (mount, launch, ballast) = on_small_disk(bin, &temp)?;
    let launch = Launch { dir: elsewhere(&launch, &temp)?, ..launch };
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let mut acked = Acked::new();
    let (source, member) = (vec![b's'; 1 << 20], "m".repeat(10_000));
    conn.ask(&[b"SET".as_slice(), b"source", &source]).map_err(|e| format!("SET: {e:?}"))?;
    for n in 0..600 {
        let added = conn.ask(&["SADD", "set", &format!("{n}{member}")]);
        need(added == Ok(Value::Int(1)), format!("SADD: {added:?}"))?;
    }
    resume(&mut conn, &mut acked, &mut rng)?;
    let filler = leave_free(&mount, 2 << 20)?;
    let mut writer = server.connect()?;
    writer.push(command);
    writer.flush().map_err(|e| format!("{command:?}: {e:?}"))?;
    let began = Instant::now();
    while info(&mut conn, "journal_state") == "ok" && began.elapsed() < RESUME_LIMIT {
        std::thread::sleep(Duration::from_millis(5));
    }
    let state = info(&mut conn, "journal_state");
    need(state == "refusing", format!("INFO says {state}: {}", info(&mut conn, "journal_reason")))?;
    all_there(&mut conn, &acked)?;
    let refusal = conn.ask_line("SET one more").map_err(|e| format!("SET on a full disk: {e:?}"))?;
    let says_why = matches!(&refusal, Value::Error(text) if text.starts_with(b"MISCONF"));
    need(says_why, format!("SET on a full disk got {}", show(&refusal)))?;
    if kill {
        server.kill();
        std::fs::remove_file(&filler).and_then(|()| std::fs::remove_file(&ballast)).map_err(io("room"))?;
        let server = launch.start()?;
        let mut conn = server.connect()?;
        let absent = conn.ask(&["EXISTS", "copy:1"]).map_err(|e| format!("EXISTS: {e:?}"))?;
        need(absent == Value::Int(0), "what never fitted is half there")?;
        all_there(&mut conn, &acked)?;
        return Ok(Duration::ZERO);
    }
    let began = Instant::now();
    std::fs::remove_file(&filler).and_then(|()| std::fs::remove_file(&ballast)).map_err(io("room"))?;
    let reply = writer.receive().map_err(|e| format!("no reply after space came: {e:?}"))?;
    need(!matches!(reply, Value::Error(_)), format!("it got {}", show(&reply)))?;
    let took = began.elapsed();
    resume(&mut conn, &mut acked, &mut rng)?;
    need(info(&mut conn, "journal_state") == "ok", "INFO does not say that writes go on")?;
    server.kill();
    let server = launch.start()?;
    let mut conn = server.connect()?;
    all_there(&mut conn, &acked)?;
    let there = conn.ask(&["EXISTS", "copy:1"]).map_err(|e| format!("EXISTS: {e:?}"))?;
    need(there == Value::Int(1), "what was acknowledged is not there after a restart")?;
    Ok(took)
}

/// One sentence on standard error and an exit code that is no success.
fn one_sentence(refused: &Refused) -> Result<String, String> {
    let lines: Vec<&str> = refused.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    need(refused.code.is_some_and(|code| code != 0), format!("exit code {:?}", refused.code))?;
    need(lines.len() == 1, format!("{} lines instead of one: {}", lines.len(), lines.join(" | ")))?;
    Ok(lines[0].to_owned())
}

fn second_process(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "second").map_err(io("temporary directory"))?;
    let first = launch(bin, temp.0.join("data"), "");
    let server = first.start()?;
    let mut second = first.clone();
    second.dir = elsewhere(&first, &temp)?;
    let refused = second.start_refused(REFUSAL_LIMIT)?;
    let sentence = one_sentence(&refused)?;
    need(sentence.contains("in use"), format!("it does not say why: {sentence}"))?;
    let reply = server.connect()?.ask_line("SET still here");
    need(reply == Ok(Value::Simple(b"OK".to_vec())), format!("the first process was disturbed: {reply:?}"))?;
    Ok(format!("after {:.1?}: {sentence}", refused.took))
}

fn read_only(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "readonly").map_err(io("temporary directory"))?;
    let mount = Mount::new(&temp.0.join("small"), "8m")?;
    let launch = launch(bin, mount.0.join("data"), "");
    let dir = elsewhere(&launch, &temp)?;
    system("mount", &["-o", "remount,ro", &mount.0.to_string_lossy()])?;
    let refused = Launch { dir, ..launch }.start_refused(REFUSAL_LIMIT)?;
    let sentence = one_sentence(&refused)?;
    need(sentence.contains("Read-only"), format!("it does not say why: {sentence}"))?;
    Ok(sentence)
}

/// A server that has acknowledged some writes and was killed; the segment that holds them, and its last byte that is
/// not zero.
fn written(bin: &Path, temp: &Temp) -> Result<(Launch, Acked, File, u64), String> {
    let launch = launch(bin, temp.0.join("data"), "--journal-segment-size 1mb");
    let server: Server = launch.start()?;
    let mut conn = server.connect()?;
    let mut acked = Acked::new();
    for n in 0..200 {
        let (key, value) = (format!("key:{n}"), format!("value {n}").into_bytes());
        let reply = conn.ask(&[b"SET", key.as_bytes(), &value]).map_err(|e| format!("SET: {e:?}"))?;
        need(reply == Value::Simple(b"OK".to_vec()), show(&reply))?;
        acked.insert(key, value);
    }
    server.kill();
    let mut newest = None;
    for entry in
        std::fs::read_dir(launch.dir.join("sessile-journal")).map_err(io("journal directory"))?.flatten()
    {
        let data = std::fs::read(entry.path()).map_err(io("segment"))?;
        if !entry.file_name().to_string_lossy().starts_with("segment-") {
            continue;
        }
        let end = data.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
        if end > RECORDS_OFFSET {
            newest = newest.max(Some((entry.path(), end)));
        }
    }
    let (path, end) = newest.ok_or("no segment holds a record")?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("segment"))?;
    Ok((launch, acked, file, end))
}

fn damaged_byte(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "damaged").map_err(io("temporary directory"))?;
    let (launch, acked, file, end) = written(bin, &temp)?;
    let at = (RECORDS_OFFSET + end) / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(io("segment"))?;
    file.write_all_at(&[byte[0] ^ 0x10], at).map_err(io("segment"))?;
    let refused = launch.start_refused(REFUSAL_LIMIT)?;
    let sentence = one_sentence(&refused)?;
    for part in ["segment-", "at byte", "sessile journal repair"] {
        need(sentence.contains(part), format!("{part:?} is missing in: {sentence}"))?;
    }
    // The command that the sentence names, as it stands there. It asks for consent before it cuts anything.
    let named = sentence.split("sessile journal repair").nth(1).unwrap_or_default();
    let repair = |consent: &[&str]| -> Result<(bool, String), String> {
        let mut command = Command::new(bin);
        command.args(["journal", "repair"]).args(named.split_whitespace()).args(consent);
        let output = command.output().map_err(io("repair"))?;
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        Ok((output.status.success(), said.trim().to_owned()))
    };
    let consent = "--lose-what-follows";
    let (mut done, mut said) = repair(&[])?;
    if !done && said.contains(consent) {
        (done, said) = repair(&[consent])?;
    }
    need(done, format!("the repair that it names fails ({said}): {sentence}"))?;
    let server = launch.start()?;
    let mut conn = server.connect()?;
    let left = conn.ask_line("DBSIZE").ok().and_then(|n| crate::client::number(&n)).unwrap_or(0);
    need(left > 0 && left < acked.len() as i64, format!("{left} keys after the repair"))?;
    Ok(format!("{sentence}; repaired, {left} keys of {} are left", acked.len()))
}

fn garbage_tail(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "tail").map_err(io("temporary directory"))?;
    let mut rng = Rng::new(3);
    for round in 0..10 {
        let round_temp = Temp(temp.0.join(format!("{round}")));
        std::fs::create_dir_all(&round_temp.0).map_err(io("temporary directory"))?;
        let (launch, acked, file, end) = written(bin, &round_temp)?;
        let garbage: Vec<u8> = (0..1 + rng.below(400)).map(|_| rng.below(256) as u8).collect();
        file.write_all_at(&garbage, (end + 1).next_multiple_of(8)).map_err(io("segment"))?;
        let server = launch.start()?;
        all_there(&mut server.connect()?, &acked)?;
    }
    Ok("started ten times, nothing lost".into())
}

fn no_journal(bin: &Path, base: &Path) -> Result<String, String> {
    let temp = Temp::new(base, "nojournal").map_err(io("temporary directory"))?;
    let launch = launch(bin, temp.0.join("data"), "--appendonly no");
    let server = launch.start()?;
    let mut conn = server.connect()?;
    conn.ask_line("SET kept yes").map_err(|e| format!("SET: {e:?}"))?;
    let ended = conn.ask_line("SHUTDOWN SAVE");
    need(ended.is_err(), format!("SHUTDOWN SAVE gave a reply: {ended:?}"))?;
    drop(server);
    need(!launch.dir.join("sessile-journal").exists(), "there is a journal in spite of appendonly no")?;
    need(launch.dir.join("dump.rdb").exists(), "SHUTDOWN SAVE left no dump.rdb")?;
    let reply = launch.start()?.connect()?.ask_line("GET kept");
    need(reply == Ok(Value::Bulk(b"yes".to_vec())), format!("dump.rdb was not loaded: {reply:?}"))?;
    Ok("dump.rdb written by SHUTDOWN SAVE and loaded".into())
}
