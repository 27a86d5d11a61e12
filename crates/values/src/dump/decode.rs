//! Payloads as values. A compact encoding whose content is in order is taken over as it stands; what exceeds the
//! limits is built anew, element by element.

use super::source::Source;
use super::ziplist::{read_ziplist, read_zipmap};
use super::{BadPayload, Loaded, NODE_PACKED, NODE_PLAIN, kind};
use crate::digits;
use crate::intset::Intset;
use crate::listpack::{Item, Listpack};
use crate::thin::ThinBox;
use crate::value::{HashKey, Limits, Value};
use crate::{Hash, List, Set, Zset};

/// Nodes of a foreign list beyond this are cut up, so that a command's work on one node stays small.
const NODE_BYTES_MAX: usize = 8192;
const NODE_ELEMENTS_MAX: usize = 2048;
/// What an element's entry takes beside its text, at most.
const ENTRY_BYTES_MAX: usize = 11;
/// A longer element would not fit a listpack.
const ELEMENT_BYTES_MAX: usize = 1 << 31;
/// The length bytes of [`kind::ZSET`] that stand for a score.
const SCORE_NAN: u8 = 253;
const SCORE_INFINITE: u8 = 254;
const SCORE_MINUS_INFINITE: u8 = 255;

/// Reads a payload, all of it.
pub fn decode(payload: &[u8], key: &HashKey, limits: &Limits) -> Result<Loaded, BadPayload> {
    match decode_prefix(payload, key, limits)? {
        (loaded, used) if used == payload.len() => Ok(loaded),
        _ => Err(BadPayload::Trailing),
    }
}

/// Reads a value from the front of `bytes`; gives how many bytes it took.
pub fn decode_prefix(bytes: &[u8], key: &HashKey, limits: &Limits) -> Result<(Loaded, usize), BadPayload> {
    let mut source = Source::new(bytes);
    let number = source.u8()?;
    let mut reader = Reader { source: &mut source, key, limits };
    let value = match number {
        kind::STRING => {
            let text = reader.source.string()?;
            return Ok((Loaded::Text(text), bytes.len() - source.left()));
        }
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            Value::List(reader.list(number)?)
        }
        kind::SET => Value::Set(reader.set()?),
        kind::SET_INTSET => Value::Set(reader.intset()?),
        kind::SET_LISTPACK => Value::Set(reader.packed_set()?),
        kind::HASH => Value::Hash(reader.hash()?),
        kind::HASH_ZIPMAP => Value::Hash(reader.zipmap()?),
        kind::HASH_ZIPLIST | kind::HASH_LISTPACK => Value::Hash(reader.packed_hash(number)?),
        kind::ZSET | kind::ZSET_2 => Value::Zset(reader.zset(number)?),
        kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => Value::Zset(reader.packed_zset(number)?),
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            Value::Stream(ThinBox::new(reader.source.stream(number)?))
        }
        6 | 7 => return Err(BadPayload::Module),
        unknown => return Err(BadPayload::Kind(unknown)),
    };
    if value.is_empty() {
        return Err(BadPayload::Empty);
    }
    Ok((Loaded::Value(value), bytes.len() - source.left()))
}

struct Reader<'s, 'a> {
    source: &'s mut Source<'a>,
    key: &'s HashKey,
    limits: &'s Limits,
}

impl Reader<'_, '_> {
    fn ziplist(&mut self) -> Result<Listpack, BadPayload> {
        read_ziplist(&self.source.string()?).map_err(BadPayload::Ziplist)
    }

    fn list(&mut self, number: u8) -> Result<List, BadPayload> {
        let mut nodes = ListNodes::default();
        if number == kind::LIST_ZIPLIST {
            nodes.push_node(self.ziplist()?)?;
            return Ok(nodes.finish(self.limits));
        }
        for _ in 0..self.source.count(1)? {
            match number {
                kind::LIST => nodes.push(&self.source.string()?)?,
                kind::LIST_QUICKLIST => nodes.push_node(self.ziplist()?)?,
                _ => match self.source.len()? {
                    NODE_PLAIN => nodes.push(&self.source.string()?)?,
                    NODE_PACKED => nodes.push_node(self.source.listpack()?)?,
                    _ => return Err(BadPayload::ListNode),
                },
            }
        }
        Ok(nodes.finish(self.limits))
    }

    fn set(&mut self) -> Result<Set, BadPayload> {
        let mut set = Set::new();
        for _ in 0..self.source.count(1)? {
            if !set.add(self.key, self.limits, &self.source.string()?) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(set)
    }

    fn intset(&mut self) -> Result<Set, BadPayload> {
        let ints = Intset::from_bytes(&self.source.string()?).map_err(BadPayload::Intset)?;
        if ints.len() <= self.limits.set_intset_entries {
            return Ok(Set::from_intset(ints));
        }
        let mut set = Set::new();
        ints.iter().for_each(|n| {
            set.add(self.key, self.limits, digits::format_i64(n, &mut [0; 21]));
        });
        Ok(set)
    }

    fn packed_set(&mut self) -> Result<Set, BadPayload> {
        let packed = self.source.listpack()?;
        if packed.len() <= self.limits.set_entries
            && packed.iter().all(|item| item.len() <= self.limits.set_value)
            && !self.may_repeat(packed.iter())
        {
            return Ok(Set::from_listpack(packed));
        }
        let mut set = Set::new();
        for item in &packed {
            if !set.add(self.key, self.limits, item.as_slice(&mut [0; 21])) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(set)
    }

    fn hash(&mut self) -> Result<Hash, BadPayload> {
        let mut hash = Hash::new();
        for _ in 0..self.source.count(2)? {
            let (name, value) = (self.source.string()?, self.source.string()?);
            if !hash.set(self.key, self.limits, &name, &value) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(hash)
    }

    fn zipmap(&mut self) -> Result<Hash, BadPayload> {
        let bytes = self.source.string()?;
        let mut hash = Hash::new();
        for (name, value) in read_zipmap(&bytes).map_err(BadPayload::Zipmap)? {
            if !hash.set(self.key, self.limits, name, value) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(hash)
    }

    fn packed_hash(&mut self, number: u8) -> Result<Hash, BadPayload> {
        let packed = if number == kind::HASH_ZIPLIST { self.ziplist()? } else { self.source.listpack()? };
        let len = pair_count(&packed)?;
        if len <= self.limits.hash_entries
            && packed.iter().all(|item| item.len() <= self.limits.hash_value)
            && !self.may_repeat(packed.iter().step_by(2))
        {
            return Ok(Hash::from_listpack(packed));
        }
        let mut hash = Hash::new();
        let mut items = packed.iter();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            let (name, value) = (name.to_vec(), value.to_vec());
            if !hash.set(self.key, self.limits, &name, &value) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(hash)
    }

    fn zset(&mut self, number: u8) -> Result<Zset, BadPayload> {
        let mut zset = Zset::new();
        let count = self.source.count(if number == kind::ZSET { 2 } else { 9 })?;
        if count > self.limits.zset_entries {
            // It does not start out compact, where a score of -0 would become 0.
            zset.make_trees(self.key);
        }
        for _ in 0..count {
            let member = self.source.string()?;
            let score = if number == kind::ZSET {
                self.text_score()?
            } else {
                f64::from_le_bytes(self.source.array()?)
            };
            if score.is_nan() {
                return Err(BadPayload::Score);
            }
            if !zset.add(self.key, self.limits, score, &member) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(zset)
    }

    fn text_score(&mut self) -> Result<f64, BadPayload> {
        match self.source.u8()? {
            SCORE_NAN => Err(BadPayload::Score),
            SCORE_INFINITE => Ok(f64::INFINITY),
            SCORE_MINUS_INFINITE => Ok(f64::NEG_INFINITY),
            len => digits::parse_f64(self.source.take(usize::from(len))?).ok_or(BadPayload::Score),
        }
    }

    fn packed_zset(&mut self, number: u8) -> Result<Zset, BadPayload> {
        let packed = if number == kind::ZSET_ZIPLIST { self.ziplist()? } else { self.source.listpack()? };
        let len = pair_count(&packed)?;
        check_scores(&packed)?;
        if len <= self.limits.zset_entries
            && packed.iter().step_by(2).all(|member| member.len() <= self.limits.zset_value)
            && !self.may_repeat(packed.iter().step_by(2))
        {
            return Ok(Zset::from_listpack(packed));
        }
        let mut zset = Zset::new();
        let mut items = packed.iter();
        while let (Some(member), Some(score)) = (items.next(), items.next()) {
            if !zset.add(self.key, self.limits, score_of(score)?, member.as_slice(&mut [0; 21])) {
                return Err(BadPayload::Duplicate);
            }
        }
        Ok(zset)
    }

    /// Whether two texts are equal, or at least their hashes.
    fn may_repeat<'i>(&self, items: impl Iterator<Item = Item<'i>>) -> bool {
        let mut hashes: Vec<u64> = items.map(|item| self.key.hash(item.as_slice(&mut [0; 21]))).collect();
        hashes.sort_unstable();
        hashes.windows(2).any(|two| two[0] == two[1])
    }
}

fn pair_count(packed: &Listpack) -> Result<usize, BadPayload> {
    let len = packed.len();
    if len.is_multiple_of(2) { Ok(len / 2) } else { Err(BadPayload::Odd) }
}

fn score_of(item: Item<'_>) -> Result<f64, BadPayload> {
    match item {
        Item::Int(n) => Ok(n as f64),
        Item::Str(text) => digits::parse_f64(text).ok_or(BadPayload::Score),
    }
}

/// Every score is a number, and members rise by score and then by text.
fn check_scores(packed: &Listpack) -> Result<(), BadPayload> {
    let mut items = packed.iter();
    let mut before: Option<(f64, Item<'_>)> = None;
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = score_of(score)?;
        if let Some((score_before, member_before)) = before {
            let (mut a, mut b) = ([0; 21], [0; 21]);
            if (score_before, member_before.as_slice(&mut a)) > (score, member.as_slice(&mut b)) {
                return Err(BadPayload::Order);
            }
        }
        before = Some((score, member));
    }
    Ok(())
}

/// The nodes of a list as they come in: those of a good size are kept, others are cut up or put together.
#[derive(Default)]
struct ListNodes {
    whole: Vec<Listpack>,
    growing: Listpack,
}

impl ListNodes {
    fn push(&mut self, text: &[u8]) -> Result<(), BadPayload> {
        if text.len() > ELEMENT_BYTES_MAX {
            return Err(BadPayload::ListNode);
        }
        let bytes = self.growing.byte_len() + text.len() + ENTRY_BYTES_MAX;
        if bytes > NODE_BYTES_MAX || self.growing.len() >= NODE_ELEMENTS_MAX {
            self.close();
        }
        self.growing.push_back(text);
        Ok(())
    }

    fn push_node(&mut self, node: Listpack) -> Result<(), BadPayload> {
        let good = node.byte_len() <= NODE_BYTES_MAX && node.len() <= NODE_ELEMENTS_MAX;
        if good || node.len() == 1 {
            self.close();
            self.growing = node;
            self.close();
            return Ok(());
        }
        node.iter().try_for_each(|item| self.push(item.as_slice(&mut [0; 21])))
    }

    /// Puts the growing node behind the others; an empty one, which old versions of Redis left, is dropped.
    fn close(&mut self) {
        let node = std::mem::take(&mut self.growing);
        if !node.is_empty() {
            self.whole.push(node);
        }
    }

    fn finish(mut self, limits: &Limits) -> List {
        self.close();
        List::from_nodes(limits, self.whole)
    }
}
