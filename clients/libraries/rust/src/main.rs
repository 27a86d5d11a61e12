//! redis-rs, the connection that blocks and tokio's, each in RESP2 and RESP3, through everything that `../covered` lists.

mod cases_flow;
mod cases_types;
mod client;
mod server;

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, process::ExitCode, time::Duration};

use futures_util::FutureExt;
use redis::{ProtocolVersion, RedisResult};

use client::{Context, Kind, is_chosen, words};
use server::Server;

pub type Run = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = RedisResult<()>> + 'a>>;

const COVERED: &str = include_str!("../../covered");
/// Where a name ends in that list.
const NAME_COLUMNS: usize = 17;
const CASE_LIMIT: Duration = Duration::from_secs(60);
/// A connection that blocks takes a thread for as long as its call.
const THREADS: usize = 8;

fn main() -> ExitCode {
    // The place and the difference are enough of a failed assertion.
    std::panic::set_hook(Box::new(|assertion| println!("       {assertion}")));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.expect("a runtime").block_on(run_all())
}

async fn run_all() -> ExitCode {
    let names: Vec<&str> = COVERED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line[..NAME_COLUMNS].trim())
        .collect();
    let cases: Vec<(&str, Run)> = [cases_types::CASES, cases_flow::CASES].concat();
    let mut known: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let mut covered = names.clone();
    known.sort_unstable();
    covered.sort_unstable();
    assert_eq!(known, covered, "the cases are those of ../covered");

    let mut failed = 0;
    for (kind, kind_name) in [(Kind::Sync, "sync"), (Kind::Tokio, "tokio")] {
        for (protocol, protocol_name) in
            [(ProtocolVersion::RESP2, "resp2"), (ProtocolVersion::RESP3, "resp3")]
        {
            println!("libraries/redis-rs-{kind_name}-{protocol_name}");
            let (mut passed, mut failed_here) = (0, 0);
            let mut server = Server::start_new();
            for name in names.iter().filter(|name| is_chosen(name)) {
                let (_, run) = cases.iter().find(|(known, _)| known == name).expect("a known case");
                let context = Context::new(server, kind, protocol);
                match run_case(&context, *run).await {
                    Ok(()) => {
                        println!("  ok   {name}");
                        passed += 1;
                    }
                    Err(reason) => {
                        println!("  FAIL {name}\n       {reason}");
                        failed_here += 1;
                    }
                }
                server = context.into_server();
                // The case may have failed between a kill and a restart.
                server.start();
            }
            println!("{passed} passed, {failed_here} failed\n");
            failed += failed_here;
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case on an empty server; a panic of an assertion is its failure.
async fn run_case(context: &Context, run: Run) -> Result<(), String> {
    let case = async {
        context.connect().await?.run::<()>(words("FLUSHALL")).await?;
        run(context).await
    };
    match tokio::time::timeout(CASE_LIMIT, AssertUnwindSafe(case).catch_unwind()).await {
        Err(_) => Err(format!("took longer than {CASE_LIMIT:?}")),
        Ok(Err(_)) => Err("the assertion is printed above".to_owned()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Ok(Ok(()))) => Ok(()),
    }
}
