//! What a lane's keys must hold: an interpreter for the few commands that lanes send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sessile_resp::Value;

use crate::client::{Cmd, bytes, items, number};

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// A string.
    Text(Vec<u8>),
    /// A list.
    List(VecDeque<Vec<u8>>),
    /// A hash.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// A sorted set with whole scores.
    Zset(BTreeMap<Vec<u8>, i64>),
    /// A set.
    Set(BTreeSet<Vec<u8>>),
    /// A stream: ids, each with its one field's value.
    Stream(VecDeque<(Vec<u8>, Vec<u8>)>),
}

/// Keys with their values, and the expiry of those that have one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Values by key.
    pub keys: BTreeMap<Vec<u8>, Held>,
    /// Milliseconds since the epoch, by key.
    pub expires_ms: BTreeMap<Vec<u8>, i64>,
}

/// Gives the collection under a key, made if absent.
macro_rules! collection {
    ($model:expr, $key:expr, $kind:ident) => {
        match $model.keys.entry($key.to_vec()).or_insert_with(|| Held::$kind(Default::default())) {
            Held::$kind(it) => it,
            other => panic!("a lane's key never changes its type: {other:?}"),
        }
    };
}

impl Model {
    /// Applies one command and gives the reply that it must get.
    ///
    /// # Panics
    /// If the command is none of those that lanes send.
    pub fn apply(&mut self, cmd: &Cmd) -> Value {
        let [name, key, rest @ ..] = cmd.as_slice() else { panic!("a command with a key") };
        let int =
            |text: &[u8]| std::str::from_utf8(text).ok().and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
        let reply = match (name.as_slice(), rest) {
            (b"SET", [value]) => {
                self.expires_ms.remove(key);
                self.keys.insert(key.clone(), Held::Text(value.clone()));
                return ok();
            }
            (b"SET", [value, _pxat, at_ms]) => {
                self.expires_ms.insert(key.clone(), int(at_ms));
                self.keys.insert(key.clone(), Held::Text(value.clone()));
                return ok();
            }
            (b"RENAME", [to]) => {
                let value = self.keys.remove(key).expect("lanes rename what they have just set");
                self.expires_ms.remove(to);
                self.keys.insert(to.clone(), value);
                return ok();
            }
            (b"LTRIM", [start, _]) => {
                let list = collection!(self, key, List);
                let keep = usize::try_from(-int(start)).unwrap_or(0);
                list.drain(..list.len().saturating_sub(keep));
                self.drop_if_empty(key);
                return ok();
            }
            (b"LPOP", []) => {
                let value = collection!(self, key, List).pop_front();
                self.drop_if_empty(key);
                return value.map_or(Value::Null, Value::Bulk);
            }
            (b"XADD", [id, _field, value]) => {
                collection!(self, key, Stream).push_back((id.clone(), value.clone()));
                return Value::Bulk(id.clone());
            }
            (b"DEL", []) => i64::from(self.keys.remove(key).is_some()),
            _ => self.count(name, key, rest),
        };
        Value::Int(reply)
    }

    fn count(&mut self, name: &[u8], key: &[u8], rest: &[Vec<u8>]) -> i64 {
        let int =
            |text: &[u8]| std::str::from_utf8(text).ok().and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
        let reply = match (name, rest) {
            (b"INCR", []) => self.add(key, 1),
            (b"INCRBY", [by]) => self.add(key, int(by)),
            (b"APPEND", [value]) => {
                let text = collection!(self, key, Text);
                text.extend_from_slice(value);
                text.len() as i64
            }
            (b"RPUSH", values) => {
                let list = collection!(self, key, List);
                list.extend(values.iter().cloned());
                list.len() as i64
            }
            (b"LPUSH", [value]) => {
                let list = collection!(self, key, List);
                list.push_front(value.clone());
                list.len() as i64
            }
            (b"HSET", pairs) => {
                let hash = collection!(self, key, Hash);
                pairs.chunks(2).filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none()).count()
                    as i64
            }
            (b"HDEL", [field]) => i64::from(collection!(self, key, Hash).remove(field).is_some()),
            (b"ZADD", [score, member]) => {
                i64::from(collection!(self, key, Zset).insert(member.clone(), int(score)).is_none())
            }
            (b"ZREM", [member]) => i64::from(collection!(self, key, Zset).remove(member).is_some()),
            (b"SADD", [member]) => i64::from(collection!(self, key, Set).insert(member.clone())),
            (b"SREM", [member]) => i64::from(collection!(self, key, Set).remove(member)),
            (b"XTRIM", [_maxlen, keep]) => {
                let stream = collection!(self, key, Stream);
                let gone = stream.len().saturating_sub(usize::try_from(int(keep)).unwrap_or(0));
                stream.drain(..gone);
                return gone as i64;
            }
            _ => panic!("no lane sends {}", String::from_utf8_lossy(name)),
        };
        self.drop_if_empty(key);
        reply
    }

    fn add(&mut self, key: &[u8], by: i64) -> i64 {
        let now = self.integer(key) + by;
        self.keys.insert(key.to_vec(), Held::Text(now.to_string().into_bytes()));
        now
    }

    /// The integer that a string holds; 0 if the key is absent.
    pub fn integer(&self, key: &[u8]) -> i64 {
        match self.keys.get(key) {
            Some(Held::Text(text)) => {
                std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn drop_if_empty(&mut self, key: &[u8]) {
        let is_empty = match self.keys.get(key) {
            Some(Held::List(it)) => it.is_empty(),
            Some(Held::Hash(it)) => it.is_empty(),
            Some(Held::Zset(it)) => it.is_empty(),
            Some(Held::Set(it)) => it.is_empty(),
            _ => false,
        };
        if is_empty {
            self.keys.remove(key);
        }
    }

    /// The first key on which the two differ, in a sentence.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let all: BTreeSet<_> = self.keys.keys().chain(other.keys.keys()).collect();
        for key in all {
            let (a, b) = (self.keys.get(key), other.keys.get(key));
            if a != b {
                return Some(format!(
                    "{}: {} instead of {}",
                    String::from_utf8_lossy(key),
                    brief(b),
                    brief(a)
                ));
            }
        }
        (self.expires_ms != other.expires_ms)
            .then(|| format!("expiry {:?} instead of {:?}", other.expires_ms, self.expires_ms))
    }
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn brief(held: Option<&Held>) -> String {
    let text = match held {
        None => "nothing".into(),
        Some(Held::Text(text)) => {
            format!("{} bytes \"{}\"", text.len(), String::from_utf8_lossy(&text[..text.len().min(40)]))
        }
        Some(Held::List(it)) => {
            let show =
                |e: Option<&Vec<u8>>| e.map_or(String::new(), |e| String::from_utf8_lossy(e).into_owned());
            format!("a list of {} ({}..{})", it.len(), show(it.front()), show(it.back()))
        }
        Some(other) => format!("{other:?}"),
    };
    text.chars().take(400).collect()
}

/// The command that reads a key whole; its name's first letter says its type.
pub fn read_command(name: &str, key: &str) -> Cmd {
    let line = match name.as_bytes()[0] {
        b's' => format!("GET {key}"),
        b'l' => format!("LRANGE {key} 0 -1"),
        b'h' => format!("HGETALL {key}"),
        b'z' => format!("ZRANGE {key} 0 -1 WITHSCORES"),
        b'e' => format!("SMEMBERS {key}"),
        _ => format!("XRANGE {key} - +"),
    };
    crate::client::words(&line)
}

/// What the reply to [`read_command`] says that the key holds.
pub fn read_reply(name: &str, reply: &Value) -> Result<Option<Held>, String> {
    if let Value::Error(_) = reply {
        return Err(format!("reading {name}: {}", crate::client::show(reply)));
    }
    let texts = || items(reply).iter().filter_map(|item| bytes(item).map(<[u8]>::to_vec));
    let pairs = || items(reply).chunks_exact(2).filter_map(|p| Some((bytes(&p[0])?.to_vec(), &p[1])));
    let held = match name.as_bytes()[0] {
        b's' => return Ok(bytes(reply).map(|text| Held::Text(text.to_vec()))),
        b'l' => Held::List(texts().collect()),
        b'h' => Held::Hash(pairs().filter_map(|(f, v)| Some((f, bytes(v)?.to_vec()))).collect()),
        b'z' => Held::Zset(pairs().filter_map(|(m, s)| Some((m, number(s)?))).collect()),
        b'e' => Held::Set(texts().collect()),
        _ => Held::Stream(
            items(reply)
                .iter()
                .filter_map(|entry| {
                    let [id, fields] = items(entry) else { return None };
                    Some((bytes(id)?.to_vec(), bytes(items(fields).get(1)?)?.to_vec()))
                })
                .collect(),
        ),
    };
    // A stream stays when it is empty; nothing else does, and lanes never leave one empty.
    Ok(if items(reply).is_empty() { None } else { Some(held) })
}
