//! Compared with Redis' own listpacks through DUMP, and with a vector.

use super::{BadListpack, Item, Listpack, Pos, backlen_size};
use sessile_oracle::{Connection, Oracle, Random};

/// Texts and integers around every edge of the encodings.
fn element(random: &mut Random) -> Vec<u8> {
    const LENGTHS: [usize; 10] = [0, 1, 62, 63, 64, 65, 125, 126, 127, 300];
    match random.below(8) {
        0 => {
            let len = LENGTHS[random.below(LENGTHS.len())];
            (0..len).map(|_| random.next() as u8).collect()
        }
        1 if random.below(20) == 0 => vec![b'x'; 4090 + random.below(10)],
        2 if random.below(60) == 0 => vec![b'y'; 16_370 + random.below(20)],
        3 => format!("0{}", random.below(100)).into_bytes(),
        4 | 5 => (random.integer() >> random.below(64)).to_string().into_bytes(),
        6 => {
            let edge = 1i64 << [7, 12, 15, 23, 31, 62][random.below(6)];
            let value = edge - 2 + random.below(5) as i64;
            if random.below(2) == 0 { value.to_string() } else { (-value).to_string() }.into_bytes()
        }
        _ => format!("member{}", random.below(50)).into_bytes(),
    }
}

fn check(pack: &Listpack, model: &[Vec<u8>], context: &str) {
    assert_eq!(super::validate(pack.as_bytes()), Ok(()), "{context}");
    assert_eq!(pack.len(), model.len(), "{context}");
    assert_eq!(pack.is_empty(), model.is_empty());
    assert!(pack.iter().zip(model).all(|(item, text)| item.to_vec() == *text), "{context}");
    assert!(pack.iter().rev().zip(model.iter().rev()).all(|(item, text)| item.eq_bytes(text)), "{context}");
    assert_eq!(pack.iter().count(), model.len(), "{context}");
    assert!(pack.heap_bytes() <= crate::size::allocated(pack.byte_len()), "{context}");
}

/// One random change to both; positions come from walking, seeking and finding in turn.
fn change(pack: &mut Listpack, model: &mut Vec<Vec<u8>>, random: &mut Random) {
    let text = element(random);
    let index = random.below(model.len());
    let pos = pack.seek(index);
    match (random.below(12), pos) {
        (0..4, _) | (_, None) => {
            pack.push_back(&text);
            model.push(text);
        }
        (4, _) => {
            pack.push_front(&text);
            model.insert(0, text);
        }
        (5, Some(pos)) => {
            let new = pack.insert_before(pos, &text);
            assert!(pack.at(new).eq_bytes(&text));
            model.insert(index, text);
        }
        (6, Some(pos)) => {
            let new = pack.clone().insert_after(pos, &text);
            assert_eq!(pack.insert_after(pos, &text), new);
            assert!(pack.at(new).eq_bytes(&text));
            model.insert(index + 1, text);
        }
        (7 | 8, Some(pos)) => {
            pack.replace(pos, &text);
            model[index] = text;
        }
        (9, Some(pos)) => {
            let next = pack.remove(pos);
            model.remove(index);
            assert_eq!(next, pack.seek(index));
        }
        (10, Some(pos)) => {
            let count = random.below(5);
            let removed = pack.remove_range(pos, count);
            assert_eq!(model.drain(index..(index + count).min(model.len())).count(), removed);
        }
        (_, Some(_)) => {
            let mut tail = pack.split_off(index);
            let rest = model.split_off(index);
            check(&tail, &rest, "the part split off");
            tail.append_listpack(pack);
            *pack = tail;
            *model = [rest, std::mem::take(model)].concat();
        }
    }
}

fn check_searches(pack: &Listpack, model: &[Vec<u8>], random: &mut Random) {
    let needle =
        if random.below(3) == 0 { element(random) } else { model[random.below(model.len())].clone() };
    for skip in 0..3 {
        let expected =
            model.iter().step_by(skip + 1).position(|text| *text == needle).map(|i| i * (skip + 1));
        assert_eq!(pack.find(&needle, skip), expected.and_then(|index| pack.seek(index)));
    }
    let index = random.below(model.len());
    let pos = pack.seek(index).expect("in range");
    assert!(pack.get(index).expect("in range").eq_bytes(&model[index]));
    assert_eq!(pack.get(index).expect("in range").len(), model[index].len());
    assert_eq!(pack.next(pos), pack.seek(index + 1));
    assert_eq!(pack.prev(pos), index.checked_sub(1).and_then(|index| pack.seek(index)));
    assert_eq!(pack.iter_from(pos).count(), model.len() - index);
    assert_eq!((pack.first(), pack.last()), (pack.seek(0), pack.seek(model.len() - 1)));
    assert_eq!(pack.seek(model.len()), None);
}

#[test]
fn equals_a_model() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut pack, mut model) = (Listpack::new(), Vec::new());
        for step in 0..200 {
            change(&mut pack, &mut model, &mut random);
            check(&pack, &model, &format!("seed {seed} step {step}"));
            if !model.is_empty() {
                check_searches(&pack, &model, &mut random);
            }
        }
    }
}

#[test]
fn counts_past_sixteen_bits() {
    let mut pack = Listpack::new();
    let mut model = Vec::new();
    for number in 0..65_540i64 {
        pack.push_back_int(number);
        model.push(number.to_string().into_bytes());
        if number >= 65_532 {
            check(&pack, &model, "while it grows");
        }
    }
    let tail = pack.split_off(65_000);
    check(&pack, &model[..65_000], "the first part");
    check(&tail, &model[65_000..], "the rest");
    pack.append_listpack(&tail);
    check(&pack, &model, "joined again");
    let start = pack.seek(10).expect("in range");
    assert_eq!(pack.remove_range(start, 1000), 1000);
    model.drain(10..1010);
    check(&pack, &model, "after the removal");
}

#[test]
fn frozen_bytes() {
    let pack: Listpack = ["a", "127", "-1", "4096", "-32769", ""].into_iter().collect();
    let mut expected = vec![30, 0, 0, 0, 6, 0];
    expected.extend([0x81, b'a', 2]);
    expected.extend([127, 1]);
    expected.extend([0xDF, 0xFF, 2]);
    expected.extend([0xF1, 0x00, 0x10, 3]);
    expected.extend([0xF2, 0xFF, 0x7F, 0xFF, 4]);
    expected.extend([0x80, 1, 0xFF]);
    expected[0] = expected.len() as u8;
    assert_eq!(pack.as_bytes(), expected);
    assert_eq!(pack.get(4), Some(Item::Int(-32_769)));
}

/// The listpack in the real server's payload of a small value; `head` is what stands between type and length.
fn real_bytes(server: &mut Connection, kind: u8, head: &[u8]) -> Vec<u8> {
    let payload = server.text(&[b"DUMP", b"k"]);
    assert_eq!((payload[0], &payload[1..=head.len()]), (kind, head));
    let rest = &payload[1 + head.len()..payload.len() - 10];
    let len_size = match rest[0] {
        0..0x40 => 1,
        0x40..0x80 => 2,
        _ => 5,
    };
    rest[len_size..].to_vec()
}

fn start_server() -> (Oracle, Connection) {
    let limits = ["--hash-max-listpack-value", "1000000", "--zset-max-listpack-value", "1000000"];
    let others = ["--rdbcompression", "no", "--list-max-listpack-size", "-5"];
    let oracle = Oracle::start(&[limits, others].concat());
    let server = oracle.connect();
    (oracle, server)
}

#[test]
fn hashes_equal_the_real_bytes() {
    let (_oracle, mut server) = start_server();
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut pack = Listpack::new();
        server.text(&[b"DEL", b"k"]);
        for step in 0..60 {
            let (name, value) = (element(&mut random), element(&mut random));
            match pack.find(&name, 1) {
                Some(found) if random.below(2) == 0 => {
                    server.text(&[b"HDEL", b"k", &name]);
                    pack.remove_range(found, 2);
                }
                Some(found) => {
                    server.text(&[b"HSET", b"k", &name, &value]);
                    let at = pack.next(found).expect("fields have values");
                    pack.replace(at, &value);
                }
                None => {
                    server.text(&[b"HSET", b"k", &name, &value]);
                    pack.push_back(&name);
                    pack.push_back(&value);
                }
            }
            if !pack.is_empty() {
                assert_eq!(pack.as_bytes(), real_bytes(&mut server, 16, &[]), "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn lists_equal_the_real_bytes() {
    let (_oracle, mut server) = start_server();
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut pack = Listpack::new();
        server.text(&[b"DEL", b"k"]);
        for step in 0..60 {
            let text = element(&mut random);
            let index = random.below(pack.len());
            let number = index.to_string();
            match (random.below(6), pack.seek(index)) {
                (0, Some(pos)) => {
                    server.text(&[b"LSET", b"k", number.as_bytes(), &text]);
                    pack.replace(pos, &text);
                }
                (1, _) => {
                    server.text(&[b"LPUSH", b"k", &text]);
                    pack.push_front(&text);
                }
                (2, Some(pos)) => {
                    let old = pack.at(pos).to_vec();
                    server.text(&[b"LINSERT", b"k", b"BEFORE", &old, &text]);
                    let first = pack.find(&old, 0).expect("taken from there");
                    pack.insert_before(first, &text);
                }
                (3, Some(pos)) => {
                    let old = pack.at(pos).to_vec();
                    server.text(&[b"LREM", b"k", b"1", &old]);
                    pack.find(&old, 0).and_then(|first| pack.remove(first));
                }
                _ => {
                    server.text(&[b"RPUSH", b"k", &text]);
                    pack.push_back(&text);
                }
            }
            if !pack.is_empty() {
                // One node, in the packed form.
                assert_eq!(pack.as_bytes(), real_bytes(&mut server, 18, &[1, 2]), "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn sorted_sets_equal_the_real_bytes() {
    let (_oracle, mut server) = start_server();
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut pack = Listpack::new();
        server.text(&[b"DEL", b"k"]);
        for step in 0..60 {
            let score = (random.integer() >> (12 + random.below(52))).to_string();
            let member = [b"m", &element(&mut random)[..]].concat();
            if let Some(found) = pack.find(&member, 1) {
                pack.remove_range(found, 2);
            }
            server.text(&[b"ZADD", b"k", score.as_bytes(), &member]);
            insert_scored(&mut pack, &member, &score);
            assert_eq!(pack.as_bytes(), real_bytes(&mut server, 17, &[]), "seed {seed} step {step}");
        }
    }
}

fn insert_scored(pack: &mut Listpack, member: &[u8], score: &str) {
    let key = (score.parse::<i64>().expect("made here"), member.to_vec());
    let mut place = pack.first();
    while let Some(pos) = place {
        let at = pack.next(pos).expect("members have scores");
        if (pack.at(at).as_i64().expect("all are integers"), pack.at(pos).to_vec()) > key {
            let pos = pack.insert_before(pos, score.as_bytes());
            pack.insert_before(pos, member);
            return;
        }
        place = pack.next(at);
    }
    pack.push_back(member);
    pack.push_back(score.as_bytes());
}

#[test]
fn damage_is_refused_or_harmless() {
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let pack: Listpack = (0..random.below(12)).map(|_| element(&mut random)).collect();
        let mut bytes = pack.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] =
                if random.below(2) == 0 { random.next() as u8 } else { bytes[at] ^ (1 << random.below(8)) };
        }
        if random.below(3) == 0 {
            bytes.truncate(random.below(bytes.len() + 1));
        }
        if random.below(2) == 0 && bytes.len() >= 4 {
            // The right length lets the checks further in be reached.
            let len = bytes.len() as u32;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
        }
        let Ok(mut pack) = Listpack::from_bytes(&bytes) else { continue };
        let mut model: Vec<Vec<u8>> = pack.iter().map(|item| item.to_vec()).collect();
        for step in 0..10 {
            check(&pack, &model, &format!("seed {seed} step {step}"));
            change(&mut pack, &mut model, &mut random);
        }
    }
}

#[test]
fn damage_is_named() {
    let check = |bytes: &[u8], expected: BadListpack| {
        assert_eq!(Listpack::from_bytes(bytes), Err(expected), "{bytes:?}");
    };
    check(&[], BadListpack::Length);
    check(&[7, 0, 0, 0, 0, 0], BadListpack::Length);
    check(&[8, 0, 0, 0, 0, 0, 0xFF], BadListpack::Length);
    check(&[7, 0, 0, 0, 0, 0, 0], BadListpack::End);
    check(&[8, 0, 0, 0, 0, 0, 0xFF, 0xFF], BadListpack::End);
    check(&[9, 0, 0, 0, 1, 0, 0xF5, 1, 0xFF], BadListpack::Entry);
    check(&[9, 0, 0, 0, 1, 0, 0x85, 1, 0xFF], BadListpack::Entry);
    check(&[9, 0, 0, 0, 1, 0, 5, 2, 0xFF], BadListpack::Backlen);
    check(&[8, 0, 0, 0, 1, 0, 5, 0xFF], BadListpack::Backlen);
    check(&[9, 0, 0, 0, 2, 0, 5, 1, 0xFF], BadListpack::Count);
}

#[test]
fn backlens_change_where_redis_changes_them() {
    for (size, expected) in
        [(127, 1), (128, 2), (16_382, 2), (16_383, 3), (2_097_150, 3), (2_097_151, 4), (268_435_455, 5)]
    {
        assert_eq!(backlen_size(size), expected, "{size}");
    }
    let long: Listpack = [vec![b'a'; 3_000_000], b"z".to_vec()].into_iter().collect();
    assert_eq!(long.prev(long.last().expect("two")), Some(Pos(6)));
}
