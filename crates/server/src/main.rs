//! The binary `sessile`: a server, and the client beside it. It answers to the names `redis-server` and
//! `redis-cli`, so that a compose file or a health check needs no edit.
#![forbid(unsafe_code)]

mod apply;
mod background;
mod clock;
mod command_docs;
mod connection;
mod descriptors;
mod dump_file;
mod dump_writer;
mod facts;
mod journal_link;
mod journal_tool;
mod listener;
mod logging;
mod machine;
mod metrics;
mod progress;
mod reactor;
mod shard;
mod signals;
mod snapshots;
mod startup;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use sessile_config::Persona;

/// The allocator whose size classes memory accounting follows.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: &str = "\
Sessile: a Redis-compatible state store that acknowledges a write only once it is durable.

  sessile [server] [FILE] [--directive value ...]   serve; takes redis.conf and redis-server's flags
  sessile cli [redis-cli's options] [command]       talk to a server
  sessile status [-h HOST] [-p PORT] [--json]       what an acknowledgement is worth, journal, memory, clients
  sessile journal check|dump|render|repair [DIR]    look at a journal, or mend it
  sessile --version | --help

Called as redis-server or redis-cli it is that program.
";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let mut args: Vec<OsString> = args.collect();
    let name = Path::new(&program).file_name().and_then(|n| n.to_str()).unwrap_or("sessile").to_owned();
    if name == "redis-cli" {
        return sessile_cli::run("redis-cli", args, command_docs::all);
    }
    if name == "redis-server" {
        return startup::serve(Persona::RedisServer, &bytes(args));
    }
    match args.first().and_then(|a| a.to_str()) {
        Some("--version" | "-v") => {
            println!(
                "sessile {} (compatible with Redis {})",
                env!("CARGO_PKG_VERSION"),
                sessile_engine::REDIS_VERSION
            );
            ExitCode::SUCCESS
        }
        Some("--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some("cli") => {
            args.remove(0);
            sessile_cli::run("sessile cli", args, command_docs::all)
        }
        Some("status") => {
            args.remove(0);
            sessile_cli::run_status(args)
        }
        Some("journal") => {
            let words: Vec<String> = args[1..].iter().map(|a| a.to_string_lossy().into_owned()).collect();
            journal_tool::run(&words)
        }
        Some("server") => {
            args.remove(0);
            startup::serve(Persona::Sessile, &bytes(args))
        }
        _ => startup::serve(Persona::Sessile, &bytes(args)),
    }
}

fn bytes(args: Vec<OsString>) -> Vec<Vec<u8>> {
    args.into_iter().map(OsStringExt::into_vec).collect()
}
