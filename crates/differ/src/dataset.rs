//! Compares what both servers hold: every key's type, encoding, expiry and value, `DEBUG DIGEST`, and
//! payloads of the server under test restored into the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::execute::{Executor, Failure, FailureKind, Side, scan_all};
use crate::reply::Reply;
use crate::rules;
use crate::server::{Conn, LinkError};
use crate::step::{Words, quote, render_words, words};

/// Databases of a default configuration.
const DATABASES: usize = 16;
/// Longer than the short time-outs that the generator sets.
const EXPIRING: Duration = Duration::from_millis(20);
/// Payloads checked per comparison and database.
const RESTORES_MAX: usize = 8;
/// The newest payload version that Redis 7.0 restores.
const RESTORABLE_VERSION: u16 = 10;

/// Everything that is read of one database: the replies in a fixed order per key.
pub type Image = BTreeMap<Vec<u8>, Vec<(Words, Reply)>>;

/// Compares all databases; the first difference is returned as a failure after the last step.
pub fn compare(executor: &mut Executor<'_>, steps: usize, newer: bool) -> Result<u64, Failure> {
    let failed = |side: Side, e: &LinkError| Failure {
        step: steps,
        command: "dataset".to_owned(),
        kind: match e {
            LinkError::Broken(_) => FailureKind::Broken(side),
            LinkError::Silent => FailureKind::Silent(side),
        },
        detail: format!("  while reading the dataset: {e}"),
    };
    // What is about to expire would be there on one server only.
    std::thread::sleep(EXPIRING);
    let mut keys = 0;
    for db in 0..DATABASES {
        let [oracle, tested] = &mut executor.helper.sides;
        let a = image(oracle, db).map_err(|e| failed(Side::Oracle, &e))?;
        let b = image(tested, db).map_err(|e| failed(Side::Tested, &e))?;
        if let Some(detail) = difference(db, &a, &b, newer) {
            return Err(Failure {
                step: steps,
                command: "dataset".to_owned(),
                kind: FailureKind::Dataset,
                detail,
            });
        }
        keys += a.len() as u64;
        let detail = cross_restore(oracle, tested, &a, newer).map_err(|e| failed(Side::Tested, &e))?;
        if let Some(detail) = detail {
            return Err(Failure {
                step: steps,
                command: "dump".to_owned(),
                kind: FailureKind::Dataset,
                detail,
            });
        }
    }
    let mut digests = Vec::new();
    for side in [Side::Oracle, Side::Tested] {
        let reply = executor.helper.sides[side as usize].call(&words(&["DEBUG", "DIGEST"]));
        digests.push(reply.map_err(|e| failed(side, &e))?);
    }
    // A server without the command is not at fault.
    if !digests[0].is_error()
        && !digests[1].is_error()
        && digests[0] != digests[1]
        && !only_zeros_differ(executor).map_err(|e| failed(Side::Tested, &e))?
    {
        let detail = format!("  DEBUG DIGEST\n  oracle:  {}\n  tested:  {}", digests[0], digests[1]);
        return Err(Failure {
            step: steps,
            command: "dataset".to_owned(),
            kind: FailureKind::Dataset,
            detail,
        });
    }
    Ok(keys)
}

/// Whether the values whose digests differ are sorted sets with a negative zero: values are equal that forget its sign.
fn only_zeros_differ(executor: &mut Executor<'_>) -> Result<bool, LinkError> {
    for db in 0..DATABASES {
        let [oracle, tested] = &mut executor.helper.sides;
        for (key, replies) in image(oracle, db)? {
            tested.call(&words(&["SELECT", &db.to_string()]))?;
            let ask = [words(&["DEBUG", "DIGEST-VALUE"]), vec![key]].concat();
            let (mine, theirs) = (oracle.call(&ask)?, tested.call(&ask)?);
            if mine != theirs && !replies[1].1.to_string().contains("-0") {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Everything that one server holds, database by database.
pub fn snapshot(conn: &mut Conn) -> Result<Vec<Image>, LinkError> {
    (0..DATABASES).map(|db| image(conn, db)).collect()
}

/// The first difference in values between two snapshots, the oracle's first; encodings are ignored.
#[must_use]
pub fn snapshot_difference(before: &[Image], after: &[Image], newer: bool) -> Option<String> {
    let is_encoding = |command: &Words| command[0] == b"OBJECT";
    let values = |images: &[Image]| -> Vec<Image> {
        let mut images = images.to_vec();
        images
            .iter_mut()
            .flat_map(BTreeMap::values_mut)
            .for_each(|replies| replies.retain(|r| !is_encoding(&r.0)));
        images
    };
    let (before, after) = (values(before), values(after));
    before.iter().zip(&after).enumerate().find_map(|(db, (a, b))| difference(db, a, b, newer))
}

fn image(conn: &mut Conn, db: usize) -> Result<Image, LinkError> {
    conn.call(&words(&["SELECT", &db.to_string()]))?;
    let scan = scan_all(conn, &words(&["SCAN", "0", "COUNT", "10000"]), 1)?;
    let keys: Vec<Vec<u8>> = scan.items().iter().filter_map(|k| k.bytes().map(<[u8]>::to_vec)).collect();
    let of_all = |parts: &[&str]| -> Vec<Words> {
        keys.iter().map(|k| words(parts).into_iter().chain([k.clone()]).collect()).collect()
    };
    let (types, encodings) = (of_all(&["TYPE"]), of_all(&["OBJECT", "ENCODING"]));
    let expiries = of_all(&["PEXPIRETIME"]);
    let type_replies = conn.call_many(&types)?;
    let values: Vec<Words> =
        keys.iter().zip(&type_replies).map(|(k, t)| read_command(k, &t.text())).collect();
    let value_replies = conn.call_many(&values)?;
    let encoding_replies = conn.call_many(&encodings)?;
    let expiry_replies = conn.call_many(&expiries)?;
    let mut image = Image::new();
    for (i, key) in keys.into_iter().enumerate() {
        let all = [
            (types[i].clone(), type_replies[i].clone()),
            (values[i].clone(), value_replies[i].clone()),
            (encodings[i].clone(), encoding_replies[i].clone()),
            (expiries[i].clone(), expiry_replies[i].clone()),
        ];
        image.insert(key, all.to_vec());
    }
    Ok(image)
}

fn read_command(key: &[u8], type_name: &str) -> Words {
    let (before, after): (&[&str], &[&str]) = match type_name {
        "list" => (&["LRANGE"], &["0", "-1"]),
        "set" => (&["SMEMBERS"], &[]),
        "zset" => (&["ZRANGE"], &["0", "-1", "WITHSCORES"]),
        "hash" => (&["HGETALL"], &[]),
        "stream" => (&["XINFO", "STREAM"], &["FULL", "COUNT", "0"]),
        _ => (&["GET"], &[]),
    };
    words(before).into_iter().chain([key.to_vec()]).chain(words(after)).collect()
}

fn difference(db: usize, a: &Image, b: &Image, newer: bool) -> Option<String> {
    for key in a.keys().chain(b.keys()) {
        let (x, y) = match (a.get(key), b.get(key)) {
            (Some(x), Some(y)) => (x, y),
            (x, _) => {
                let (has, lacks) = if x.is_some() { ("oracle", "tested") } else { ("tested", "oracle") };
                let (command, value) = &x.or_else(|| b.get(key))?[1];
                let read = render_words(command);
                return Some(format!(
                    "  db {db}, key {}: {has} has it, {lacks} does not\n  {read}: {value}",
                    quote(key)
                ));
            }
        };
        for ((command, left), (other, right)) in x.iter().zip(y) {
            if command != other || !rules::equal_plain(command, left, right, newer) {
                let read = render_words(command);
                return Some(format!("  db {db}: {read}\n  oracle:  {left}\n  tested:  {right}"));
            }
        }
    }
    None
}

/// DUMP on the server under test, RESTORE on the oracle, and the value must be the same.
fn cross_restore(
    oracle: &mut Conn,
    tested: &mut Conn,
    image: &Image,
    newer: bool,
) -> Result<Option<String>, LinkError> {
    let temporary = b"differ:restored".to_vec();
    let stride = (image.len() / RESTORES_MAX).max(1);
    for (key, replies) in image.iter().step_by(stride) {
        let (type_name, original) = (replies[0].1.text(), &replies[1].1);
        let Reply::Bulk(payload) = tested.call(&[b"DUMP".to_vec(), key.clone()])? else { continue };
        if version_of(&payload).is_none_or(|v| v > RESTORABLE_VERSION) {
            continue;
        }
        let restore =
            [b"RESTORE".to_vec(), temporary.clone(), b"0".to_vec(), payload.clone(), b"REPLACE".to_vec()];
        let restored = oracle.call(&restore)?;
        let reread = read_command(&temporary, &type_name);
        let value = oracle.call(&reread)?;
        oracle.call(&[b"DEL".to_vec(), temporary.clone()])?;
        if restored.is_error() || !rules::equal_plain(&reread, original, &value, newer) {
            return Ok(Some(format!(
                "  the oracle cannot restore the tested server's DUMP of {} ({restored}): {}\n  oracle:  {original}\n  restored: {value}",
                quote(key),
                quote(&payload)
            )));
        }
    }
    Ok(None)
}

/// The version in a payload's footer: two bytes before the eight of the checksum.
fn version_of(payload: &[u8]) -> Option<u16> {
    let at = payload.len().checked_sub(10)?;
    Some(u16::from_le_bytes([payload[at], payload[at + 1]]))
}
