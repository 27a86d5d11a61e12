//! `--stat`: the server's figures, a line each time.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use sessile_resp::Value;

use crate::{info::Info, session::Session};

/// Lines between two headings.
const LINES_PER_HEADING: u32 = 20;

impl Session<'_> {
    pub(crate) fn stat(&mut self) -> io::Result<u8> {
        let interval = self.interval_or(Duration::from_secs(1));
        let mut requests_before = None;
        for line in 0.. {
            let info = match self.poll(&["INFO"])? {
                Some(Value::Bulk(text) | Value::Verbatim(_, text)) => Info::parse(&text),
                Some(Value::Error(text)) => {
                    writeln!(self.console.stderr, "ERROR: {}", String::from_utf8_lossy(&text))?;
                    return Ok(1);
                }
                Some(_) => Info::default(),
                None => return Ok(1),
            };
            if line % LINES_PER_HEADING == 0 {
                write!(
                    self.console.stdout,
                    "------- data ------ --------------------- load -------------------- - child -\n\
                     keys       mem      clients blocked requests            connections          \n"
                )?;
            }
            let requests = info.number("total_commands_processed");
            let more = requests - requests_before.unwrap_or(requests);
            requests_before = Some(requests);
            writeln!(
                self.console.stdout,
                "{:<11}{:<8} {:<8}{:<8}{:<19} {:<12}{}",
                info.databases().map(|db| db.keys).sum::<u64>(),
                human(info.number("used_memory")),
                info.number("connected_clients"),
                info.number("blocked_clients"),
                format!("{requests} (+{more})"),
                info.number("total_connections_received"),
                background(&info),
            )?;
            self.console.stdout.flush()?;
            thread::sleep(interval);
        }
        Ok(0)
    }
}

/// What the server does beside serving.
fn background(info: &Info) -> &'static str {
    let is = |name| info.number(name) != 0;
    match (is("loading"), is("rdb_bgsave_in_progress"), is("aof_rewrite_in_progress")) {
        (true, ..) => "LOAD",
        (_, true, true) => "SAVE+AOF",
        (_, true, _) => "SAVE",
        (_, _, true) => "AOF",
        _ => "",
    }
}

fn human(bytes: i64) -> String {
    let scaled = |unit: u32| bytes as f64 / f64::from(1 << (unit * 10));
    match bytes {
        ..1024 => format!("{bytes}B"),
        1024..0x10_0000 => format!("{:.2}K", scaled(1)),
        0x10_0000..0x4000_0000 => format!("{:.2}M", scaled(2)),
        _ => format!("{:.2}G", scaled(3)),
    }
}
