//! The status for programs.

use super::Status;
use crate::{format::json_string, info::Info};

pub(super) fn of(status: &Status) -> String {
    let info = &status.info;
    object(&[
        ("address", string(&status.address)),
        ("sessile_version", text(info, "sessile_version")),
        ("redis_version", text(info, "redis_version")),
        ("uptime_s", number(info, "uptime_in_seconds")),
        ("acknowledgement", string(status.worth().name())),
        ("acknowledges_writes", status.acknowledges_writes().to_string()),
        ("journal", journal(info)),
        ("snapshot", snapshot(info)),
        ("dump", dump(status)),
        ("memory", memory(info)),
        ("clients", clients(info)),
        ("databases", databases(info)),
    ]) + "\n"
}

fn journal(info: &Info) -> String {
    object(&[
        ("state", text(info, "journal_state")),
        ("reason", text(info, "journal_reason")),
        ("last_lsn", number(info, "journal_last_lsn")),
        ("written_lsn", number(info, "journal_written_lsn")),
        ("durable_lsn", number(info, "journal_durable_lsn")),
        ("bytes_since_snapshot", number(info, "journal_bytes_since_snapshot")),
    ])
}

fn snapshot(info: &Info) -> String {
    object(&[
        ("bytes", number(info, "journal_snapshot_bytes")),
        ("in_progress", (info.number("aof_rewrite_in_progress") != 0).to_string()),
        ("keys_so_far", number(info, "current_save_keys_processed")),
        ("last_ok", (info.text("aof_last_bgrewrite_status") != "err").to_string()),
    ])
}

fn dump(status: &Status) -> String {
    object(&[
        ("age_s", status.dump_age_s().map_or("null".to_owned(), |age_s| age_s.to_string())),
        ("changes_since", number(&status.info, "rdb_changes_since_last_save")),
        ("last_ok", (status.info.text("rdb_last_bgsave_status") != "err").to_string()),
    ])
}

fn memory(info: &Info) -> String {
    object(&[
        ("used_bytes", number(info, "used_memory")),
        ("peak_bytes", number(info, "used_memory_peak")),
        ("resident_bytes", number(info, "used_memory_rss")),
        ("max_bytes", number(info, "maxmemory")),
        ("policy", text(info, "maxmemory_policy")),
    ])
}

fn clients(info: &Info) -> String {
    object(&[
        ("connected", number(info, "connected_clients")),
        ("max", number(info, "maxclients")),
        ("blocked", number(info, "blocked_clients")),
        ("pubsub", number(info, "pubsub_clients")),
        ("waiting_for_journal", number(info, "gated_clients")),
    ])
}

fn databases(info: &Info) -> String {
    let databases: Vec<String> = info
        .databases()
        .map(|db| {
            object(&[
                ("number", db.number.to_string()),
                ("keys", db.keys.to_string()),
                ("expiring_keys", db.expires.to_string()),
            ])
        })
        .collect();
    format!("[{}]", databases.join(","))
}

fn number(info: &Info, name: &str) -> String {
    info.number(name).to_string()
}

fn text(info: &Info, name: &str) -> String {
    string(info.text(name))
}

fn string(text: &str) -> String {
    let mut out = Vec::new();
    json_string(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
