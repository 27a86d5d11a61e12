//! Effects as Redis commands: for replicas, for export, and for the test that a real server comes to the same data.

use std::fmt::Display;

use sessile_values::{Value, dump};

use crate::effect::{Effect, End, Expire, Items, Key};
use crate::entry::Entry;
use crate::keyspace::Keyspace;

/// A command: its words.
pub type Words = Vec<Vec<u8>>;

/// Takes the place of list elements that are about to go; a user's element is never equal to it in earnest.
const GONE: &[u8] = b"\x00sessile:removed:5b0c2f6e-2f4d-4f4e-9f0e-3a8f1d7c6b21";
/// LINSERT finds its place by value, not by index; a script finds it by index.
const INSERT: &[u8] = b"local rest = redis.call('LRANGE', KEYS[1], ARGV[1], -1) \
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1) redis.call('RPUSH', KEYS[1], ARGV[2]) \
for i = 1, #rest do redis.call('RPUSH', KEYS[1], rest[i]) end";

/// Starts a command.
fn words(parts: &[&[u8]]) -> Words {
    parts.iter().map(|part| part.to_vec()).collect()
}

fn number(n: impl Display) -> Vec<u8> {
    format!("{n}").into_bytes()
}

fn with_items(parts: &[&[u8]], items: Items<'_>) -> Words {
    let mut command = words(parts);
    command.extend(items.iter().map(<[u8]>::to_vec));
    command
}

/// The commands that do to a real server what `effect` did here. `after` is the state with the effect applied; the
/// commands belong into the effect's db and, if they are several, into one MULTI.
pub fn commands(effect: &Effect<'_>, db: u32, after: &Keyspace) -> Vec<Words> {
    match *effect {
        Effect::StringSet { key, value, expire } => {
            let mut command = words(&[b"SET", key.bytes, value]);
            match expire {
                Expire::Keep => command.push(b"KEEPTTL".to_vec()),
                Expire::Never => {}
                Expire::At(at_ms) => command.extend([b"PXAT".to_vec(), number(at_ms.max(1))]),
            }
            vec![command]
        }
        Effect::StringAppend { key, value } => vec![words(&[b"APPEND", key.bytes, value])],
        Effect::StringSetRange { key, offset, value } => {
            vec![words(&[b"SETRANGE", key.bytes, &number(offset), value])]
        }
        Effect::Delete { key, .. } => vec![words(&[b"DEL", key.bytes])],
        Effect::Expiry { key, expire: Expire::At(at_ms) } => {
            vec![words(&[b"PEXPIREAT", key.bytes, &number(at_ms)])]
        }
        Effect::Expiry { key, .. } => vec![words(&[b"PERSIST", key.bytes])],
        Effect::Rename { key, to } => vec![words(&[b"RENAME", key.bytes, to.bytes])],
        Effect::Restore { key, payload, .. } => {
            let at_ms = after.entry(db, key).and_then(Entry::expire_ms).unwrap_or(0);
            let mut sealed = readable(payload, after.entry(db, key).and_then(Entry::value));
            dump::seal(&mut sealed);
            vec![words(&[b"RESTORE", key.bytes, &number(at_ms), &sealed, b"REPLACE", b"ABSTTL"])]
        }
        Effect::HashSet { key, pairs } => vec![with_items(&[b"HSET", key.bytes], pairs)],
        Effect::HashDelete { key, fields } => vec![with_items(&[b"HDEL", key.bytes], fields)],
        Effect::SetAdd { key, members } => vec![with_items(&[b"SADD", key.bytes], members)],
        Effect::SetRemove { key, members } => vec![with_items(&[b"SREM", key.bytes], members)],
        Effect::ZsetAdd { key, scores } => {
            let mut command = words(&[b"ZADD", key.bytes]);
            for (score, member) in scores.iter() {
                command.extend([number(format_args!("{score:?}")), member.to_vec()]);
            }
            vec![command]
        }
        Effect::ZsetRemove { key, members } => vec![with_items(&[b"ZREM", key.bytes], members)],
        Effect::FlushDb {} => vec![words(&[b"FLUSHDB"])],
        Effect::FlushAll {} => vec![words(&[b"FLUSHALL"])],
        Effect::SwapDb { other } => vec![words(&[b"SWAPDB", &number(db), &number(other)])],
        Effect::HashSeed { .. } | Effect::Note { .. } => Vec::new(),
        Effect::ListPush { .. }
        | Effect::ListPop { .. }
        | Effect::ListSet { .. }
        | Effect::ListInsert { .. }
        | Effect::ListRemove { .. }
        | Effect::ListTrim { .. } => of_list(effect),
        _ => of_stream(effect, db, after),
    }
}

/// The payload as Redis 7.0 reads it: it knows no stream that tells when consumers were active.
fn readable(payload: &[u8], made: Option<&Value>) -> Vec<u8> {
    let Some(value) = made.filter(|_| payload.first() == Some(&dump::kind::STREAM_LISTPACKS_3)) else {
        return payload.to_vec();
    };
    let mut readable = Vec::new();
    dump::encode_value(value, &mut readable);
    readable
}

fn of_list(effect: &Effect<'_>) -> Vec<Words> {
    match *effect {
        Effect::ListPush { key, end: End::Left, values } => vec![with_items(&[b"LPUSH", key.bytes], values)],
        Effect::ListPush { key, end: End::Right, values } => vec![with_items(&[b"RPUSH", key.bytes], values)],
        Effect::ListPop { key, end, count } => {
            let name: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
            vec![words(&[name, key.bytes, &number(count)])]
        }
        Effect::ListSet { key, index, value } => vec![words(&[b"LSET", key.bytes, &number(index), value])],
        Effect::ListInsert { key, index: 0, value } => vec![words(&[b"LPUSH", key.bytes, value])],
        Effect::ListInsert { key, index, value } => {
            vec![words(&[b"EVAL", INSERT, b"1", key.bytes, &number(index), value])]
        }
        Effect::ListRemove { key, indexes } => {
            let mut commands: Vec<Words> =
                indexes.iter().map(|index| words(&[b"LSET", key.bytes, &number(index), GONE])).collect();
            commands.push(words(&[b"LREM", key.bytes, b"0", GONE]));
            commands
        }
        Effect::ListTrim { key, len: 0, .. } => vec![words(&[b"DEL", key.bytes])],
        Effect::ListTrim { key, start, len } => {
            vec![words(&[b"LTRIM", key.bytes, &number(start), &number(start + len - 1)])]
        }
        _ => unreachable!("only called for lists"),
    }
}

fn of_stream(effect: &Effect<'_>, db: u32, after: &Keyspace) -> Vec<Words> {
    match *effect {
        Effect::StreamAdd { key, id, pairs } => {
            vec![with_items(&[b"XADD", key.bytes, id.to_string().as_bytes()], pairs)]
        }
        Effect::StreamDelete { key, ids } => {
            let mut command = words(&[b"XDEL", key.bytes]);
            command.extend(ids.iter().map(number));
            vec![command]
        }
        Effect::StreamTrim { key, .. } => {
            let left = match after.entry(db, key).and_then(Entry::value) {
                Some(Value::Stream(stream)) => stream.len(),
                _ => 0,
            };
            vec![words(&[b"XTRIM", key.bytes, b"MAXLEN", &number(left)])]
        }
        Effect::StreamSetId { key, last, added, max_deleted } => {
            let create = |name: &[u8]| words(&[b"XGROUP", name, key.bytes, b"\x00sessile"]);
            // XSETID wants a stream; making a group and removing it makes an empty one.
            let mut made = create(b"CREATE");
            made.extend([b"0".to_vec(), b"MKSTREAM".to_vec()]);
            let set = words(&[
                b"XSETID",
                key.bytes,
                &number(last),
                b"ENTRIESADDED",
                &number(added),
                b"MAXDELETEDID",
                &number(max_deleted),
            ]);
            vec![made, create(b"DESTROY"), set]
        }
        Effect::StreamGroup { key, group, last, read } => {
            let id = number(last);
            let head = |name: &[u8]| words(&[b"XGROUP", name, key.bytes, group, &id]);
            let mut create = head(b"CREATE");
            create.push(b"MKSTREAM".to_vec());
            let mut set = head(b"SETID");
            set.extend([b"ENTRIESREAD".to_vec(), number(read)]);
            vec![create, set]
        }
        Effect::StreamGroupDestroy { key, group } => vec![words(&[b"XGROUP", b"DESTROY", key.bytes, group])],
        Effect::StreamConsumer { key, group, consumer, .. } => {
            vec![words(&[b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer])]
        }
        Effect::StreamConsumerDelete { key, group, consumer } => {
            vec![words(&[b"XGROUP", b"DELCONSUMER", key.bytes, group, consumer])]
        }
        Effect::StreamPending { key, group, consumer, ids, delivered_ms, deliveries } => {
            let mut command = words(&[b"XCLAIM", key.bytes, group, consumer, b"0"]);
            command.extend(ids.iter().map(number));
            command.extend(words(&[
                b"TIME",
                &number(delivered_ms),
                b"RETRYCOUNT",
                &number(deliveries),
                b"FORCE",
                b"JUSTID",
            ]));
            vec![command]
        }
        Effect::StreamAck { key, group, ids } => {
            let mut command = words(&[b"XACK", key.bytes, group]);
            command.extend(ids.iter().map(number));
            vec![command]
        }
        _ => unreachable!("only called for streams"),
    }
}

/// One line for people: the effect's kind and its key.
pub fn summary(effect: &Effect<'_>, db: u32) -> String {
    let kind = crate::effect::KINDS.iter().find(|(id, _)| *id == effect.kind()).map_or("?", |(_, name)| name);
    match effect.keys()[0] {
        Some(Key { bytes, .. }) => format!("{kind} db {db} {:?}", String::from_utf8_lossy(bytes)),
        None => format!("{kind} db {db}"),
    }
}
