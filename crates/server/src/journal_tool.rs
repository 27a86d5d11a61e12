//! `sessile journal check|dump|repair|render [DIR]`: looking at a journal that no server has open.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use sessile_journal::tool::{self, Consent};
use sessile_journal::{DiskOptions, JOURNAL_DIR_NAME, Log, LogOptions, RECORD_HEADER_LEN, RealDisk};
use sessile_keyspace::codec::Reader;
use sessile_keyspace::snapshot::END_OF_TRANSACTION;
use sessile_keyspace::{Effect, Keyspace, render};
use sessile_values::HashKey;

use crate::journal_link;
use crate::progress::Lines;

const USAGE: &str = "\
sessile journal check [DIR]               say whether the journal is sound, and what it holds
sessile journal dump [DIR]                show every record, a line each
sessile journal render [DIR]              write its effects as Redis commands, for `redis-cli --pipe`
sessile journal repair --lose-what-follows [DIR]
                                          cut the journal where it is damaged; what follows is lost
DIR is the server's data directory (default: ./sessile-data). Stop the server first.
";

/// Runs the words behind `sessile journal`.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let consent = args.iter().any(|a| a == "--lose-what-follows");
    let mut words = args.iter().filter(|a| !a.starts_with("--"));
    let verb = words.next().map_or("", String::as_str);
    let dir = Path::new(words.next().map_or("sessile-data", String::as_str));
    // A refused start names the journal's own directory.
    let dir = if dir.ends_with(JOURNAL_DIR_NAME) { dir.to_owned() } else { dir.join(JOURNAL_DIR_NAME) };
    let outcome = match verb {
        "check" => check(&dir),
        "dump" => dump(&dir),
        "render" => render_commands(&dir),
        "repair" if consent => repair(&dir),
        "repair" => Err("repair loses what follows the damage: say --lose-what-follows to consent".into()),
        _ => {
            print!("{USAGE}");
            return if verb.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match outcome {
        Ok(sound) if sound => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("sessile: {why}");
            ExitCode::FAILURE
        }
    }
}

fn open(dir: &Path) -> Result<RealDisk, String> {
    if !dir.is_dir() {
        return Err(format!("there is no journal in {}", dir.display()));
    }
    RealDisk::open(dir).map_err(|error| format!("cannot open {}: {error}", dir.display()))
}

fn check(dir: &Path) -> Result<bool, String> {
    let disk = open(dir)?;
    let mut progress = journal_link::reading(dir, "checking the journal", Lines::Error);
    let report = tool::check_watched(&disk, 0, &mut |batch| {
        progress.add((batch.bytes.len() + RECORD_HEADER_LEN) as u64);
    })
    .map_err(|error| error.to_string())?;
    drop(progress);
    println!(
        "{:?}: {} records in {} segments, last LSN {}, proven durable up to {}, snapshot {}",
        report.label,
        report.records,
        report.segments,
        report.last_lsn,
        report.proven_lsn,
        report.snapshot_lsn.map_or("none".into(), |lsn| format!("at LSN {lsn}")),
    );
    match report.refusal {
        Some(refusal) => {
            println!("{refusal}");
            Ok(false)
        }
        None => Ok(true),
    }
}

/// The effects in a payload, or that it is a part of a larger run.
fn describe(payload: &[u8]) -> String {
    let mut reader = Reader::new(payload);
    let mut shown = Vec::new();
    // Nothing is looked up, so any seed will do.
    let seed = HashKey(0, 0);
    while let Some(&next) = reader.rest().first() {
        if next == END_OF_TRANSACTION {
            shown.push(";".to_owned());
            if reader.u8().is_err() {
                break;
            }
            continue;
        }
        match Effect::decode(&mut reader, &seed) {
            Ok((db, effect)) => shown.push(render::summary(&effect, db)),
            Err(error) => {
                shown.push(format!("({error})"));
                break;
            }
        }
    }
    shown.join(" ")
}

fn dump(dir: &Path) -> Result<bool, String> {
    let mut out = std::io::stdout().lock();
    tool::dump(&open(dir)?, 0, &mut |payload| describe(payload), &mut |line| {
        // A reader that hung up (`| head`) is no error of ours.
        let _ = writeln!(out, "{line}");
    })
    .map_err(|error| error.to_string())?;
    Ok(true)
}

fn repair(dir: &Path) -> Result<bool, String> {
    let options = DiskOptions::default().log;
    let repaired =
        tool::repair(open(dir)?, options, Consent::LoseWhatFollows).map_err(|error| error.to_string())?;
    println!("{:?}: the journal now ends at LSN {}", repaired.label, repaired.last_lsn);
    repaired.backups.iter().for_each(|name| println!("kept as it was: {name}"));
    Ok(true)
}

/// Writes the journal as Redis commands. Recovery itself rewrites the last segment, so it works on a copy in memory
/// of what it reads and leaves the files as a start of the server would.
fn render_commands(dir: &Path) -> Result<bool, String> {
    let mut keyspace = Keyspace::new(16 * 1024, HashKey(0, 0));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut selected = 0;
    let mut failed = None;
    let entropy = DiskOptions::default().log.entropy;
    Log::open(open(dir)?, LogOptions::new(entropy), |batch| {
        if failed.is_none()
            && let Err(why) = render_run(&mut keyspace, batch.bytes, &mut selected, &mut out)
        {
            failed = Some(why);
        }
        Ok::<(), Infallible>(())
    })
    .map_err(|error| error.to_string())?;
    out.flush().map_err(|error| error.to_string())?;
    failed.map_or(Ok(true), Err)
}

fn render_run(
    keyspace: &mut Keyspace,
    run: &[u8],
    selected: &mut u32,
    out: &mut impl Write,
) -> Result<(), String> {
    let mut reader = Reader::new(run);
    while let Some(&next) = reader.rest().first() {
        if next == END_OF_TRANSACTION {
            reader.u8().map_err(|error| error.to_string())?;
            continue;
        }
        let hash_key = keyspace.hash_key();
        let before = reader.rest();
        let (db, effect) = Effect::decode(&mut reader, &hash_key).map_err(|error| error.to_string())?;
        let one = &before[..before.len() - reader.rest().len()];
        keyspace.replay(one, |_, _| {}).map_err(|error| error.to_string())?;
        if db != *selected {
            write_command(out, &[b"SELECT".to_vec(), db.to_string().into_bytes()])?;
            *selected = db;
        }
        for command in render::commands(&effect, db, keyspace) {
            write_command(out, &command)?;
        }
    }
    Ok(())
}

fn write_command(out: &mut impl Write, words: &[Vec<u8>]) -> Result<(), String> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    out.write_all(&bytes).map_err(|error| error.to_string())
}
