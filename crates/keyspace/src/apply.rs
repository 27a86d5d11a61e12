//! How each effect changes the state. Nothing else does.

use sessile_values::dump::{self, Loaded};
use sessile_values::{Hash, List, Set, Stream, Text, ThinBox, Value, Zset};

use crate::codec::BadEffect;
use crate::effect::{Effect, End, Expire, Key};
use crate::entry::{Content, Entry, INLINE_MAX, STRING};
use crate::keyspace::{Applied, Keyspace};

const SAME: Applied = Applied { created: false, removed: false };

impl Keyspace {
    /// Applies one effect. An error means that the effect does not fit the state: a journal of another dataset, or
    /// a bug.
    pub fn apply(&mut self, db: u32, effect: &Effect<'_>) -> Result<Applied, BadEffect> {
        match *effect {
            Effect::StringSet { key, value, expire } => Ok(self.set_string(db, key, value, expire)),
            Effect::StringAppend { key, value } => self.append(db, key, value),
            Effect::StringSetRange { key, offset, value } => self.set_range(db, key, offset as usize, value),
            Effect::Delete { key, .. } => {
                self.remove(db, key);
                Ok(Applied { created: false, removed: true })
            }
            Effect::Expiry { key, expire } => {
                if self.entry(db, key).is_none() {
                    return Err(BadEffect::Mismatch("expiry of an absent key"));
                }
                self.before_change(db, key);
                self.set_expire(db, key, expire);
                Ok(SAME)
            }
            Effect::Rename { key, to } => self.rename(db, key, to),
            Effect::Restore { key, payload, expire, access } => {
                self.restore(db, key, payload, expire, access)
            }
            Effect::FlushDb {} => {
                self.flush(db);
                Ok(SAME)
            }
            Effect::FlushAll {} => {
                (0..self.dbs.len()).for_each(|db| self.flush(db as u32));
                Ok(SAME)
            }
            Effect::SwapDb { other } => {
                if other as usize >= self.dbs.len() {
                    return Err(BadEffect::Mismatch("db is beyond `databases`"));
                }
                self.dbs.swap(db as usize, other as usize);
                self.used_dbs = self.used_dbs.max(db.max(other) as usize + 1);
                Ok(SAME)
            }
            Effect::HashSeed { .. } | Effect::Note { .. } => Ok(SAME),
            _ => self.apply_to_collection(db, effect),
        }
    }

    fn apply_to_collection(&mut self, db: u32, effect: &Effect<'_>) -> Result<Applied, BadEffect> {
        let hk = self.hash_key;
        let limits = self.limits.clone();
        match *effect {
            Effect::HashSet { key, pairs } => self.hash(db, key, |hash| {
                for (field, value) in pairs.pairs() {
                    hash.set(&hk, &limits, field, value);
                }
            }),
            Effect::HashDelete { key, fields } => self.hash(db, key, |hash| {
                for field in fields.iter() {
                    hash.remove(&hk, field);
                }
            }),
            Effect::SetAdd { key, members } => self.set(db, key, |set| {
                for member in members.iter() {
                    set.add(&hk, &limits, member);
                }
            }),
            Effect::SetRemove { key, members } => self.set(db, key, |set| {
                for member in members.iter() {
                    set.remove(&hk, member);
                }
            }),
            Effect::ZsetAdd { key, scores } => self.zset(db, key, |zset| {
                for (score, member) in scores.iter() {
                    zset.add(&hk, &limits, score, member);
                }
            }),
            Effect::ZsetRemove { key, members } => self.zset(db, key, |zset| {
                for member in members.iter() {
                    zset.remove(&hk, member);
                }
            }),
            Effect::ListPush { key, end, values } => self.list(db, key, |list| {
                for value in values.iter() {
                    list.push(&limits, end == End::Left, value);
                }
            }),
            Effect::ListPop { key, end, count } => {
                self.list(db, key, |list| list.pop(end == End::Left, count as usize))
            }
            Effect::ListSet { key, index, value } => {
                self.list(db, key, |list| list.set(&limits, index as usize, value))
            }
            Effect::ListInsert { key, index, value } => {
                self.list(db, key, |list| list.insert(&limits, index as usize, value))
            }
            Effect::ListRemove { key, indexes } => self.list(db, key, |list| {
                for (gone, index) in indexes.iter().enumerate() {
                    list.remove((index as usize).saturating_sub(gone));
                }
            }),
            Effect::ListTrim { key, start, len } => {
                self.list(db, key, |list| list.trim(start as usize, len as usize))
            }
            _ => self.apply_to_stream(db, effect),
        }
    }

    fn apply_to_stream(&mut self, db: u32, effect: &Effect<'_>) -> Result<Applied, BadEffect> {
        let limits = self.limits.clone();
        match *effect {
            Effect::StreamAdd { key, id, pairs } => {
                if !pairs.len().is_multiple_of(2) {
                    return Err(BadEffect::Mismatch("a field of a stream's entry without a value"));
                }
                let mut is_newest = false;
                let append = |stream: &mut Stream| {
                    is_newest = stream.append(&limits, id, pairs.len() / 2, pairs.iter());
                };
                let applied = self.stream(db, key, append)?;
                if !is_newest {
                    return Err(BadEffect::Mismatch("an entry of a stream before its last"));
                }
                Ok(applied)
            }
            Effect::StreamDelete { key, ids } => self.stream(db, key, |stream| {
                for id in ids.iter() {
                    stream.delete(id);
                }
            }),
            Effect::StreamTrim { key, count } => self.stream(db, key, |stream| stream.trim(count as usize)),
            Effect::StreamSetId { key, last, added, max_deleted } => {
                self.stream(db, key, |stream| stream.set_counters(last, added, max_deleted))
            }
            Effect::StreamGroup { key, group, last, read } => {
                self.stream(db, key, |stream| stream.set_group(group, last, read))
            }
            Effect::StreamGroupDestroy { key, group } => self.stream(db, key, |stream| {
                stream.destroy_group(group);
            }),
            Effect::StreamConsumer { key, group, consumer, seen_ms, active_ms } => {
                self.stream(db, key, |stream| stream.set_consumer(group, consumer, seen_ms, active_ms))
            }
            Effect::StreamConsumerDelete { key, group, consumer } => self.stream(db, key, |stream| {
                stream.delete_consumer(group, consumer);
            }),
            Effect::StreamPending { key, group, consumer, ids, delivered_ms, deliveries } => {
                self.stream(db, key, |stream| {
                    for id in ids.iter() {
                        stream.set_pending(group, consumer, id, delivered_ms, deliveries);
                    }
                })
            }
            Effect::StreamAck { key, group, ids } => self.stream(db, key, |stream| {
                for id in ids.iter() {
                    stream.acknowledge(group, id);
                }
            }),
            _ => unreachable!("every other effect is applied by its own arm"),
        }
    }

    fn hash(&mut self, db: u32, key: Key<'_>, edit: impl FnOnce(&mut Hash)) -> Result<Applied, BadEffect> {
        self.edit(
            db,
            key,
            || Value::Hash(Hash::new()),
            |value| match value {
                Value::Hash(hash) => {
                    edit(hash);
                    Ok(())
                }
                _ => Err(BadEffect::Mismatch("not a hash")),
            },
        )
    }

    fn set(&mut self, db: u32, key: Key<'_>, edit: impl FnOnce(&mut Set)) -> Result<Applied, BadEffect> {
        self.edit(
            db,
            key,
            || Value::Set(Set::new()),
            |value| match value {
                Value::Set(set) => {
                    edit(set);
                    Ok(())
                }
                _ => Err(BadEffect::Mismatch("not a set")),
            },
        )
    }

    fn zset(&mut self, db: u32, key: Key<'_>, edit: impl FnOnce(&mut Zset)) -> Result<Applied, BadEffect> {
        self.edit(
            db,
            key,
            || Value::Zset(Zset::new()),
            |value| match value {
                Value::Zset(zset) => {
                    edit(zset);
                    Ok(())
                }
                _ => Err(BadEffect::Mismatch("not a sorted set")),
            },
        )
    }

    fn list(&mut self, db: u32, key: Key<'_>, edit: impl FnOnce(&mut List)) -> Result<Applied, BadEffect> {
        self.edit(
            db,
            key,
            || Value::List(List::new()),
            |value| match value {
                Value::List(list) => {
                    edit(list);
                    Ok(())
                }
                _ => Err(BadEffect::Mismatch("not a list")),
            },
        )
    }

    fn stream(
        &mut self,
        db: u32,
        key: Key<'_>,
        edit: impl FnOnce(&mut Stream),
    ) -> Result<Applied, BadEffect> {
        self.edit(
            db,
            key,
            || Value::Stream(ThinBox::default()),
            |value| match value {
                Value::Stream(stream) => {
                    edit(stream);
                    Ok(())
                }
                _ => Err(BadEffect::Mismatch("not a stream")),
            },
        )
    }

    /// Changes the value under a key, which is created if absent and removed if left empty.
    fn edit(
        &mut self,
        db: u32,
        key: Key<'_>,
        new: impl FnOnce() -> Value,
        edit: impl FnOnce(&mut Value) -> Result<(), BadEffect>,
    ) -> Result<Applied, BadEffect> {
        self.before_change(db, key);
        let (entry, created) = match self.dbs[db as usize].table.get_mut(key.hash, key.bytes) {
            Some(entry) => (entry, false),
            None => {
                let entry = Entry::with_value(key.bytes, new());
                entry.set_access(self.clock.of_new());
                (self.put_in(db, key, entry), true)
            }
        };
        let before = entry.heap_bytes();
        let value = entry.value_mut().ok_or(BadEffect::Mismatch("a string where a collection is meant"))?;
        edit(value)?;
        let removed = value.is_empty();
        let after = entry.heap_bytes();
        let it = &mut self.dbs[db as usize];
        it.bytes = it.bytes - before + after;
        if removed {
            self.take_out(db, key);
        }
        Ok(Applied { created, removed })
    }

    fn set_string(&mut self, db: u32, key: Key<'_>, text: &[u8], expire: Expire) -> Applied {
        self.before_change(db, key);
        let it = &mut self.dbs[db as usize];
        let created = match it.table.get_mut(key.hash, key.bytes) {
            Some(entry) => {
                let before = entry.heap_bytes();
                if let Some(old) = entry.take_value() {
                    it.by_type[old.type_number()] -= 1;
                    it.by_type[STRING] += 1;
                    self.graveyard.bury(old);
                }
                put_text(entry, text);
                entry.set_appended(false);
                it.bytes = it.bytes - before + entry.heap_bytes();
                if expire == Expire::Never && entry.expire_ms().is_none() {
                    return Applied { created: false, removed: false };
                }
                false
            }
            None => {
                let entry = new_text(key.bytes, text);
                entry.set_access(self.clock.of_new());
                self.put_in(db, key, entry);
                true
            }
        };
        // What was just made never expires unless it is told to.
        if !(created && expire == Expire::Never) {
            self.set_expire(db, key, expire);
        }
        Applied { created, removed: false }
    }

    fn append(&mut self, db: u32, key: Key<'_>, text: &[u8]) -> Result<Applied, BadEffect> {
        let offset = match self.entry(db, key).map(Entry::content) {
            None => return Ok(self.set_string(db, key, text, Expire::Never)),
            Some(Content::Short(old)) => old.len(),
            Some(Content::Value(Value::Text(old))) => old.len(),
            Some(Content::Value(_)) => return Err(BadEffect::Mismatch("not a string")),
        };
        self.set_range(db, key, offset, text)
    }

    fn set_range(&mut self, db: u32, key: Key<'_>, offset: usize, text: &[u8]) -> Result<Applied, BadEffect> {
        let end = offset.checked_add(text.len()).ok_or(BadEffect::Number)?;
        let created = self.entry(db, key).is_none();
        if created {
            self.set_string(db, key, &[], Expire::Never);
        }
        self.before_change(db, key);
        let it = &mut self.dbs[db as usize];
        let entry = it.table.get_mut(key.hash, key.bytes).expect("created above if absent");
        let before = entry.heap_bytes();
        match entry.content() {
            Content::Short(old) if end.max(old.len()) <= INLINE_MAX => {
                let len = end.max(old.len());
                entry.resize_short(len)[offset..end].copy_from_slice(text);
            }
            Content::Short(old) => {
                let mut rope = Text::new(old);
                rope.write_at(offset, text);
                entry.set_value(Value::Text(rope));
            }
            Content::Value(_) => match entry.value_mut() {
                Some(Value::Text(rope)) => rope.write_at(offset, text),
                _ => return Err(BadEffect::Mismatch("not a string")),
            },
        }
        entry.set_appended(true);
        it.bytes = it.bytes - before + entry.heap_bytes();
        Ok(Applied { created, removed: false })
    }

    fn set_expire(&mut self, db: u32, key: Key<'_>, expire: Expire) {
        let at_ms = match expire {
            Expire::Keep => return,
            Expire::Never => None,
            Expire::At(at_ms) => Some(at_ms),
        };
        let db = &mut self.dbs[db as usize];
        let Some(entry) = db.table.get_mut(key.hash, key.bytes) else { return };
        let before_ms = entry.expire_ms();
        entry.set_expire(at_ms);
        let at_ms = entry.expire_ms();
        if let Some(at_ms) = at_ms {
            db.table.note_expire(key.hash, at_ms);
        }
        db.move_expire(before_ms, at_ms);
    }

    /// Removes a key, saving it for a running snapshot first; the value is freed bit by bit where it is large.
    fn remove(&mut self, db: u32, key: Key<'_>) {
        self.before_change(db, key);
        if let Some(mut entry) = self.take_out(db, key)
            && let Some(value) = entry.take_value()
        {
            self.graveyard.bury(value);
        }
    }

    fn take_out(&mut self, db: u32, key: Key<'_>) -> Option<Entry> {
        let db = &mut self.dbs[db as usize];
        let entry = db.table.remove(key.hash, key.bytes)?;
        db.move_expire(entry.expire_ms(), None);
        db.bytes -= entry.heap_bytes();
        db.by_type[entry.type_number()] -= 1;
        Some(entry)
    }

    /// Adds an entry whose key is not there.
    fn put_in(&mut self, db: u32, key: Key<'_>, entry: Entry) -> &mut Entry {
        entry.set_epoch(self.epoch);
        self.used_dbs = self.used_dbs.max(db as usize + 1);
        let db = &mut self.dbs[db as usize];
        db.bytes += entry.heap_bytes();
        db.by_type[entry.type_number()] += 1;
        db.move_expire(None, entry.expire_ms());
        db.table.insert(key.hash, entry)
    }

    fn rename(&mut self, db: u32, key: Key<'_>, to: Key<'_>) -> Result<Applied, BadEffect> {
        self.before_change(db, key);
        let mut old = self.take_out(db, key).ok_or(BadEffect::Mismatch("rename of an absent key"))?;
        self.remove(db, to);
        let mut new = match old.take_value() {
            Some(value) => Entry::with_value(to.bytes, value),
            None => match old.content() {
                Content::Short(text) => Entry::short(to.bytes, text),
                Content::Value(_) => unreachable!("the value was taken"),
            },
        };
        new.set_expire(old.expire_ms());
        new.set_access(old.access());
        new.set_appended(old.is_appended());
        self.put_in(db, to, new);
        Ok(SAME)
    }

    fn restore(
        &mut self,
        db: u32,
        key: Key<'_>,
        payload: &[u8],
        expire: Expire,
        access: u32,
    ) -> Result<Applied, BadEffect> {
        let loaded = dump::decode(payload, &self.hash_key, &self.limits).map_err(|_| BadEffect::Payload)?;
        let old_expire = self.entry(db, key).and_then(Entry::expire_ms);
        let created = self.entry(db, key).is_none();
        self.remove(db, key);
        let mut entry = match loaded {
            Loaded::Text(text) => new_text(key.bytes, &text),
            Loaded::Value(value) if value.is_empty() => return Err(BadEffect::Payload),
            Loaded::Value(value) => Entry::with_value(key.bytes, value),
        };
        entry.set_expire(match expire {
            Expire::Keep => old_expire,
            Expire::Never => None,
            Expire::At(at_ms) => Some(at_ms),
        });
        entry.set_access(if access == 0 { self.clock.of_new() } else { access });
        self.put_in(db, key, entry);
        Ok(Applied { created, removed: false })
    }

    fn flush(&mut self, db: u32) {
        let fresh = self.new_db();
        let old = std::mem::replace(&mut self.dbs[db as usize], fresh);
        match &mut self.snapshot {
            Some(snapshot) if !snapshot.has_passed(old.table_id) => snapshot.keep(old),
            _ => self.graveyard.bury_table(old.table),
        }
    }

    /// A running snapshot gets the old value before the entry changes.
    fn before_change(&mut self, db: u32, key: Key<'_>) {
        let Some(snapshot) = &mut self.snapshot else { return };
        let db = &self.dbs[db as usize];
        if let Some(entry) = db.table.get(key.hash, key.bytes) {
            snapshot.save_before_change(db.table_id, entry);
        }
    }
}

fn new_text(key: &[u8], text: &[u8]) -> Entry {
    if text.len() <= INLINE_MAX {
        Entry::short(key, text)
    } else {
        Entry::with_value(key, Value::Text(Text::new(text)))
    }
}

fn put_text(entry: &mut Entry, text: &[u8]) {
    if text.len() <= INLINE_MAX {
        entry.set_short(text);
    } else {
        entry.set_value(Value::Text(Text::new(text)));
    }
}
