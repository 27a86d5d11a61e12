//! The status for people: aligned lines, with units.

use super::{Status, Worth};

/// Columns of a heading.
const HEADING_COLUMNS: usize = 17;

pub(super) fn of(status: &Status) -> String {
    let mut out = String::new();
    for (heading, lines) in [
        ("server", vec![server(status)]),
        ("acknowledgement", vec![worth(status).to_owned()]),
        ("journal", journal(status)),
        ("snapshot", snapshot(status)),
        ("dump.rdb", vec![dump(status)]),
        ("memory", memory(status)),
        ("clients", clients(status)),
        ("keys", keys(status)),
    ] {
        let mut heading = heading;
        for line in lines {
            out.push_str(format!("{heading:<HEADING_COLUMNS$}{line}").trim_end());
            out.push('\n');
            heading = "";
        }
    }
    out
}

fn server(status: &Status) -> String {
    let info = &status.info;
    let name = match status.is_sessile() {
        true => format!("Sessile {}", info.text("sessile_version")),
        false => format!("no Sessile: Redis {}", info.text("redis_version")),
    };
    let up = duration(info.number("uptime_in_seconds"));
    format!("{name} at {}, process {}, up {up}", status.address, info.text("process_id"))
}

fn worth(status: &Status) -> &'static str {
    match status.worth() {
        _ if !status.acknowledges_writes() => "no write is acknowledged now",
        Worth::Durable => "survives kill -9 and a power cut",
        Worth::EverySecond => "survives kill -9; a power cut may take the last second",
        Worth::Written => "survives kill -9; a power cut may take what the system had not written",
        Worth::Memory => "held in memory only: a restart finds the last dump.rdb",
        Worth::Unknown => "the server does not say what it is worth",
    }
}

fn journal(status: &Status) -> Vec<String> {
    let info = &status.info;
    let reason = info.text("journal_reason");
    let state = match info.text("journal_state") {
        "" => return vec!["none".to_owned()],
        "off" => return vec!["off (appendonly no)".to_owned()],
        "ok" => "ok".to_owned(),
        "refusing" => format!("REFUSES WRITES: {reason}; it goes on by itself once the cause is gone"),
        "failed" => format!("FAILED: {reason}; nothing is acknowledged until a restart"),
        other => format!("{other} {reason}"),
    };
    let (last, durable) = (info.number("journal_last_lsn"), info.number("journal_durable_lsn"));
    let behind = match last - durable {
        ..=0 => "all of them durable".to_owned(),
        behind => format!("the last {} not durable yet", counted(behind, "transaction")),
    };
    vec![
        state,
        format!("{}, {behind}", counted(last, "transaction")),
        format!("{} since the last snapshot", bytes(info.number("journal_bytes_since_snapshot"))),
    ]
}

fn snapshot(status: &Status) -> Vec<String> {
    let info = &status.info;
    if matches!(info.text("journal_state"), "" | "off") {
        return vec!["none: there is no journal to shorten".to_owned()];
    }
    let size = info.number("journal_snapshot_bytes");
    let mut lines = vec![match size {
        0 => "none yet: the whole journal is read at a start".to_owned(),
        size => bytes(size),
    }];
    if info.number("aof_rewrite_in_progress") != 0 {
        let keys = info.number("current_save_keys_processed");
        lines.push(format!("one is being written: {} so far", counted(keys, "key")));
    }
    if info.text("aof_last_bgrewrite_status") == "err" {
        lines.push("THE LAST ONE FAILED: the log says why".to_owned());
    }
    lines
}

fn dump(status: &Status) -> String {
    let info = &status.info;
    let changes = counted(info.number("rdb_changes_since_last_save"), "change");
    let failed = if info.text("rdb_last_bgsave_status") == "err" { "; THE LAST SAVE FAILED" } else { "" };
    match status.dump_age_s() {
        None => format!("none written since the start; {changes}{failed}"),
        Some(age_s) => format!("written {} ago; {changes} since{failed}", duration(age_s)),
    }
}

fn memory(status: &Status) -> Vec<String> {
    let info = &status.info;
    let used = info.number("used_memory");
    let limit = match info.number("maxmemory") {
        0 => "no maxmemory set".to_owned(),
        limit => {
            let percent = used as f64 * 100.0 / limit as f64;
            format!("{percent:.1} % of {}, then {}", bytes(limit), info.text("maxmemory_policy"))
        }
    };
    vec![
        format!("{} used, {limit}", bytes(used)),
        format!(
            "{} at most so far; {} resident",
            bytes(info.number("used_memory_peak")),
            bytes(info.number("used_memory_rss"))
        ),
    ]
}

fn clients(status: &Status) -> Vec<String> {
    let info = &status.info;
    let mut lines = vec![format!(
        "{} of {} connected, {} blocked, {} in pub/sub",
        info.number("connected_clients"),
        info.number("maxclients"),
        info.number("blocked_clients"),
        info.number("pubsub_clients"),
    )];
    let gated = info.number("gated_clients");
    if gated > 0 {
        lines.push(format!(
            "{} for the journal",
            if gated == 1 { "1 waits".to_owned() } else { format!("{gated} wait") }
        ));
    }
    lines
}

fn keys(status: &Status) -> Vec<String> {
    let lines: Vec<String> = status
        .info
        .databases()
        .map(|db| {
            format!(
                "db{}: {}, {} of them with an expiry",
                db.number,
                counted(db.keys as i64, "key"),
                db.expires
            )
        })
        .collect();
    if lines.is_empty() { vec!["none".to_owned()] } else { lines }
}

fn counted(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

fn duration(seconds: i64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Info;
    use super::*;

    fn check(info: &str, expected: &[&str]) {
        let status = Status { address: "a:1".to_owned(), info: Info::parse(info.as_bytes()) };
        let text = of(&status);
        for line in expected {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn trouble_stands_out() {
        check(
            "sessile_version:1\njournal_state:refusing\njournal_reason:no space left\nacknowledgement:durable\n\
             journal_last_lsn:9\njournal_durable_lsn:7\ngated_clients:1\n",
            &[
                "acknowledgement  no write is acknowledged now\n",
                "journal          REFUSES WRITES: no space left; it goes on by itself",
                "                 9 transactions, the last 2 transactions not durable yet\n",
                "                 1 waits for the journal\n",
            ],
        );
        check(
            "sessile_version:1\njournal_state:failed\njournal_reason:EIO\n",
            &["journal          FAILED: EIO; "],
        );
        check(
            "redis_version:7.0.15\n",
            &["no Sessile: Redis 7.0.15", "does not say", "journal          none\n"],
        );
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(
            [0, 1023, 1024, 5 << 20, 3 << 40].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]
        );
        assert_eq!([0, 61, 3700, 90_000].map(duration), ["0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
