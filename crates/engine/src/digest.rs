//! DEBUG DIGEST: a digest of all data that does not depend on order, as Redis computes it, so that two servers can be
//! compared. SHA-1 over parts, combined by XOR where order has no meaning and by hashing again where it has.

use sessile_keyspace::{Content, Entry, Keyspace};
use sessile_values::Value;
use sha1::{Digest as _, Sha1};

/// Twenty bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest([u8; 20]);

impl Digest {
    /// Forty hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Adds a part whose place has no meaning.
    fn xor(&mut self, part: &[u8]) {
        let hash = Sha1::digest(part);
        self.0.iter_mut().zip(hash).for_each(|(a, b)| *a ^= b);
    }

    /// Adds a part whose place has a meaning.
    fn mix(&mut self, part: &[u8]) {
        self.xor(part);
        self.0 = Sha1::digest(self.0).into();
    }
}

/// The digest of every key of every db, but for those that are due.
pub(crate) fn of_all(keyspace: &Keyspace, now_ms: u64) -> Digest {
    let mut all = Digest::default();
    for db in 0..keyspace.db_count() as u32 {
        let is_live = |entry: &&Entry| entry.expire_ms().is_none_or(|at_ms| at_ms > now_ms);
        let mut entries = keyspace.db(db).table().iter().filter(is_live).peekable();
        if entries.peek().is_none() {
            continue;
        }
        all.mix(&db.to_be_bytes());
        for entry in entries {
            let mut one = Digest::default();
            one.mix(entry.key());
            add_value(&mut one, entry);
            all.xor(&one.0);
        }
    }
    all
}

/// The digest of one value.
pub(crate) fn of_entry(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    add_value(&mut digest, entry);
    digest
}

fn add_value(digest: &mut Digest, entry: &Entry) {
    // Redis' numbers of the types.
    let kind: u32 = match entry.value() {
        None | Some(Value::Text(_)) => 0,
        Some(Value::List(_)) => 1,
        Some(Value::Set(_)) => 2,
        Some(Value::Zset(_)) => 3,
        Some(Value::Hash(_)) => 4,
        Some(Value::Stream(_)) => 6,
    };
    digest.mix(&kind.to_be_bytes());
    match entry.content() {
        Content::Short(text) => digest.mix(text),
        Content::Value(Value::Text(rope)) => digest.mix(&rope.to_vec()),
        Content::Value(Value::List(list)) => list.each_from(0, |item| {
            digest.mix(item);
            true
        }),
        Content::Value(Value::Set(set)) => set.each(|member| digest.xor(member)),
        Content::Value(Value::Hash(hash)) => hash.each(|field, value| {
            let mut pair = Digest::default();
            pair.mix(field);
            pair.mix(value);
            digest.xor(&pair.0);
        }),
        Content::Value(Value::Zset(zset)) => zset.each(|score, member| {
            let mut pair = Digest::default();
            pair.mix(member);
            pair.mix(score_text(score).as_bytes());
            digest.xor(&pair.0);
        }),
        Content::Value(Value::Stream(stream)) => {
            for item in
                stream.range(sessile_values::stream::StreamId::MIN, sessile_values::stream::StreamId::MAX)
            {
                digest.mix(format!("{}.{}", item.id.ms, item.id.seq).as_bytes());
                for (field, value) in item.fields() {
                    digest.mix(&field.to_vec());
                    digest.mix(&value.to_vec());
                }
            }
        }
    }
    if entry.expire_ms().is_some() {
        digest.xor(b"!!expire!!");
    }
}

/// A score as C's `%.17g` prints it, which is what Redis digests.
fn score_text(score: f64) -> String {
    if score.is_infinite() {
        return if score > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if score == 0.0 {
        return "0".into();
    }
    let scientific = format!("{score:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the format's exponent is a number");
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        trim(&format!("{score:.*}", (16 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}
