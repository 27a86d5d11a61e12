//! Payloads beside the real server: what it writes is read, what is written here it reads, old encodings included;
//! and damaged bytes, which must be refused or harmless.

use super::{
    BadDump, BadPayload, Encoder, Loaded, Portions, decode, decode_prefix, encode_text, kind, open, put_len,
    put_string, seal, take_string,
};
use crate::intset::BadIntset;
use crate::listpack::{BadListpack, Listpack};
use crate::value::{HashKey, Limits, Value};
use sessile_oracle::{Connection, Oracle, Random};

const KEY: HashKey = HashKey(3, 4);

/// What a portion may exceed its size by: an element of these tests, or a node of a stream.
const PORTION_EXCESS_MAX: usize = 200_000;

/// Everything that a value says, in an order that does not depend on its encoding.
const VIEW: &str = r"
local function sorted(flat, width)
    local groups = {}
    for i = 1, #flat, width do
        local group = {}
        for j = i, i + width - 1 do group[#group + 1] = #flat[j] .. ':' .. flat[j] end
        groups[#groups + 1] = table.concat(group, ' ')
    end
    table.sort(groups)
    return groups
end
local key = KEYS[1]
local type = redis.call('TYPE', key).ok
if type == 'string' then return {type, redis.call('GET', key)} end
if type == 'list' then return {type, redis.call('LRANGE', key, 0, -1)} end
if type == 'set' then return {type, sorted(redis.call('SMEMBERS', key), 1)} end
if type == 'hash' then return {type, sorted(redis.call('HGETALL', key), 2)} end
if type == 'zset' then return {type, redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')} end
if type ~= 'stream' then return {type} end
local info = redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0)
local kept = {}
for i = 1, #info, 2 do
    if not string.find(info[i], 'radix') then kept[#kept + 1] = {info[i], info[i + 1]} end
end
return {type, kept}
";

fn view(server: &mut Connection, key: &str) -> Vec<u8> {
    let view = server.text(&[b"EVAL", VIEW.as_bytes(), b"1", key.as_bytes()]);
    assert!(!view.starts_with(b"-"), "{}", String::from_utf8_lossy(&view));
    view
}

fn restore(server: &mut Connection, key: &str, payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    seal(&mut sealed);
    server.text(&[b"RESTORE", key.as_bytes(), b"0", &sealed, b"REPLACE"])
}

fn encode(loaded: &Loaded, compress: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, compress);
    match loaded {
        Loaded::Text(text) => encoder.text(text),
        Loaded::Value(value) => encoder.value(value),
    }
    out
}

/// The payload written in portions of about so many bytes.
fn encode_in_portions(value: &Value, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut portions = Portions::new(bytes == 100);
    loop {
        let before = out.len();
        let more = portions.encode(value, bytes, &mut out);
        assert!(out.len() - before < bytes + PORTION_EXCESS_MAX, "a portion is bounded");
        if !more {
            return out;
        }
    }
}

/// The limits of the real server as it starts.
fn server_limits() -> Limits {
    Limits { hash_entries: 512, ..Limits::default() }
}

/// The value under `k` in the real server says the same after a way through our types and back. True if the bytes
/// were the same too.
fn check_round_trip(server: &mut Connection, limits: &Limits, context: &str) -> bool {
    let dump = server.text(&[b"DUMP", b"k"]);
    let payload = open(&dump).expect("the server's footer is good");
    let loaded = decode(payload, &KEY, limits).unwrap_or_else(|bad| panic!("{context}: {bad}"));
    let expected = view(server, "k");
    for compress in [false, true] {
        assert_eq!(restore(server, "back", &encode(&loaded, compress)), b"OK", "{context}");
        let found = view(server, "back");
        assert!(found == expected, "{context}: the value changed on its way");
    }
    if let Loaded::Value(value) = &loaded {
        for bytes in [1, 100, 10_000] {
            assert_eq!(restore(server, "back", &encode_in_portions(value, bytes)), b"OK", "{context}");
            let found = view(server, "back");
            assert!(found == expected, "{context}: the value changed on its way in portions of {bytes}");
        }
    }
    encode(&loaded, false) == payload
}

fn small_limits() -> Limits {
    Limits {
        hash_entries: 4,
        hash_value: 8,
        set_intset_entries: 4,
        set_entries: 4,
        set_value: 8,
        zset_entries: 4,
        zset_value: 8,
        list_size: 3,
        stream_node_bytes: 200,
        stream_node_entries: 5,
        hll_sparse_bytes: 3000,
    }
}

fn element(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => (random.integer() >> random.below(64)).to_string().into_bytes(),
        1 => (0..random.below(70)).map(|_| random.next() as u8).collect(),
        2 => vec![b'a' + random.below(3) as u8; random.below(100)],
        3 if random.below(10) == 0 => b"long ".repeat(random.below(3000)),
        _ => format!("member-{}", random.below(1000)).into_bytes(),
    }
}

fn fill(server: &mut Connection, random: &mut Random, command: &[&[u8]], count: usize, width: usize) {
    for _ in 0..count {
        let mut words: Vec<Vec<u8>> = command.iter().map(|word| word.to_vec()).collect();
        words.extend((0..width).map(|_| element(random)));
        let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        server.call(&words);
    }
}

fn fill_stream(server: &mut Connection, random: &mut Random, count: usize) {
    for n in 1..=count {
        let id = format!("{}-{}", n / 3 + 1, n % 3);
        let (name, value) = (element(random), element(random));
        match random.below(3) {
            0 => server.text(&[b"XADD", b"k", id.as_bytes(), b"same", &value]),
            1 => server.text(&[b"XADD", b"k", id.as_bytes(), b"same", &value, &name, b"v"]),
            _ => server.text(&[b"XADD", b"k", id.as_bytes(), &name, &value]),
        };
        if random.below(5) == 0 {
            let gone = format!("{}-{}", random.below(n / 3 + 1) + 1, random.below(3));
            server.text(&[b"XDEL", b"k", gone.as_bytes()]);
        }
    }
    for group in ["g1", "g2", "a"].iter().take(random.below(4)) {
        let group = group.as_bytes();
        server.text(&[b"XGROUP", b"CREATE", b"k", group, b"0"]);
        server.text(&[b"XGROUP", b"CREATECONSUMER", b"k", group, b"idle"]);
        for consumer in [&b"c1"[..], b"c2", b"12"] {
            let some = random.below(20).to_string();
            server.text(&[
                b"XREADGROUP",
                b"GROUP",
                group,
                consumer,
                b"COUNT",
                some.as_bytes(),
                b"STREAMS",
                b"k",
                b">",
            ]);
        }
        server.text(&[b"XACK", b"k", group, b"1-1", b"2-0", b"3-1"]);
    }
}

/// Makes a random value under `k`; true if there is one.
fn make(server: &mut Connection, random: &mut Random) -> bool {
    server.text(&[b"DEL", b"k"]);
    let count = [1, 3, 20, 130, 600][random.below(5)];
    match random.below(7) {
        0 => {
            let text = element(random);
            server.text(&[b"SET", b"k", &text]);
        }
        1 => fill(server, random, &[b"RPUSH", b"k"], count, 1),
        2 => fill(server, random, &[b"SADD", b"k"], count, 1),
        3 => {
            for _ in 0..count {
                let n = (random.integer() >> (random.below(3) * 24)).to_string();
                server.text(&[b"SADD", b"k", n.as_bytes()]);
            }
        }
        4 => fill(server, random, &[b"HSET", b"k"], count, 2),
        5 => {
            for _ in 0..count {
                let score = match random.below(5) {
                    0 => "inf".to_owned(),
                    1 => "-1e300".to_owned(),
                    2 => (random.integer() >> random.below(64)).to_string(),
                    _ => format!("{}", random.below(100_000) as f64 / 7.0),
                };
                let member = element(random);
                server.text(&[b"ZADD", b"k", score.as_bytes(), &member]);
            }
        }
        _ => fill_stream(server, random, count),
    }
    server.text(&[b"EXISTS", b"k"]) == b"1"
}

#[test]
fn the_real_servers_dumps_come_and_go() {
    let oracle = Oracle::start(&[]);
    let mut server = oracle.connect();
    server.text(&[b"CONFIG", b"SET", b"sanitize-dump-payload", b"yes"]);
    for seed in 0..120 {
        let mut random = Random::new(seed);
        let compress = seed % 3 == 0;
        let setting: &[u8] = if compress { b"yes" } else { b"no" };
        server.text(&[b"CONFIG", b"SET", b"rdbcompression", setting]);
        if make(&mut server, &mut random) {
            let context = format!("seed {seed}");
            let same = check_round_trip(&mut server, &server_limits(), &context);
            let encoding = server.text(&[b"OBJECT", b"ENCODING", b"k"]);
            // Only these have an order of their own; all others come back byte for byte.
            assert!(same || compress || encoding == b"hashtable", "{context}: {}", encoding.escape_ascii());
            check_round_trip(&mut server, &small_limits(), &context);
        }
    }
}

fn ziplist(texts: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let (mut body, mut before, mut last) = (Vec::new(), 0usize, 0);
    for text in texts {
        last = body.len();
        match u8::try_from(before) {
            Ok(len @ 0..254) if random.below(8) > 0 => body.push(len),
            // The long form is allowed for a short length too.
            _ => {
                body.push(254);
                body.extend((before as u32).to_le_bytes());
            }
        }
        match (str::from_utf8(text).ok().and_then(|t| t.parse::<i64>().ok()), text.len()) {
            (Some(n), _) if n.to_string().as_bytes() == &text[..] => match n {
                0..=12 => body.push(0xF1 + n as u8),
                -128..=127 => body.extend([0xFE, n as u8]),
                -32768..=32767 => body.extend([&[0xC0], &n.to_le_bytes()[..2]].concat()),
                -8_388_608..=8_388_607 => body.extend([&[0xF0], &n.to_le_bytes()[..3]].concat()),
                -2_147_483_648..=2_147_483_647 => body.extend([&[0xD0], &n.to_le_bytes()[..4]].concat()),
                _ => body.extend([&[0xE0], &n.to_le_bytes()[..]].concat()),
            },
            (_, len @ 0..64) => body.push(len as u8),
            (_, len @ 64..16384) => body.extend([0x40 | (len >> 8) as u8, len as u8]),
            (_, len) => body.extend([&[0x80], &(len as u32).to_be_bytes()[..]].concat()),
        }
        if !is_canonical(text) {
            body.extend(text);
        }
        before = body.len() - last;
    }
    let mut bytes = (body.len() as u32 + 11).to_le_bytes().to_vec();
    bytes.extend((last as u32 + 10).to_le_bytes());
    bytes.extend((texts.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(0xFF);
    bytes
}

fn is_canonical(text: &[u8]) -> bool {
    crate::digits::parse_i64(text).is_some()
}

fn zipmap(pairs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![(pairs.len() / 2).min(254) as u8];
    let put_size = |bytes: &mut Vec<u8>, len: usize| match len {
        0..254 => bytes.push(len as u8),
        _ => bytes.extend([&[254], &(len as u32).to_le_bytes()[..]].concat()),
    };
    for pair in pairs.chunks(2) {
        put_size(&mut bytes, pair[0].len());
        bytes.extend(&pair[0]);
        put_size(&mut bytes, pair[1].len());
        bytes.push(2);
        bytes.extend(&pair[1]);
        bytes.extend(b"??");
    }
    bytes.push(0xFF);
    bytes
}

/// Distinct texts: fields, members.
fn distinct(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = (0..count).map(|_| element(random)).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn strings(number: u8, count: usize, texts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![number];
    put_len(&mut out, count as u64);
    texts.iter().for_each(|text| put_string(&mut out, text));
    out
}

fn one_string(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number];
    put_string(&mut out, bytes);
    out
}

/// Payloads as older servers wrote them, one of each type.
fn old_payloads(random: &mut Random) -> Vec<Vec<u8>> {
    let count = [1, 5, 40, 200][random.below(4)];
    let texts: Vec<Vec<u8>> = (0..count).map(|_| element(random)).collect();
    let names = distinct(random, count);
    let pairs: Vec<Vec<u8>> = names.iter().flat_map(|name| [name.clone(), element(random)]).collect();
    let scored: Vec<Vec<u8>> = (0i64..)
        .zip(&names)
        .flat_map(|(n, name)| {
            let score = if n % 3 == 0 { n.to_string() } else { format!("{}", n as f64 + 0.5) };
            [name.clone(), score.into_bytes()]
        })
        .collect();
    let mut zset = vec![kind::ZSET];
    put_len(&mut zset, names.len() as u64 + 2);
    for pair in scored.chunks(2) {
        put_string(&mut zset, &pair[0]);
        zset.push(pair[1].len() as u8);
        zset.extend(&pair[1]);
    }
    put_string(&mut zset, b"the last");
    zset.push(254);
    put_string(&mut zset, b"the first");
    zset.push(255);
    let nodes: Vec<Vec<u8>> = texts.chunks(7).map(|part| ziplist(part, random)).collect();
    let empty = ziplist(&[], random);
    let nodes = [&nodes[..], &[empty]].concat();
    let plain = {
        let mut out = vec![kind::LIST_QUICKLIST_2, 2, 1];
        put_string(&mut out, &texts[0]);
        put_len(&mut out, 2);
        put_string(&mut out, texts.iter().collect::<Listpack>().as_bytes());
        out
    };
    vec![
        strings(kind::LIST, texts.len(), &texts),
        strings(kind::SET, names.len(), &names),
        strings(kind::HASH, names.len(), &pairs),
        zset,
        one_string(kind::HASH_ZIPMAP, &zipmap(&pairs)),
        one_string(kind::LIST_ZIPLIST, &ziplist(&texts, random)),
        one_string(kind::ZSET_ZIPLIST, &ziplist(&scored, random)),
        one_string(kind::HASH_ZIPLIST, &ziplist(&pairs, random)),
        strings(kind::LIST_QUICKLIST, nodes.len(), &nodes),
        plain,
    ]
}

#[test]
fn old_encodings_are_read_as_the_real_server_reads_them() {
    let oracle = Oracle::start(&[]);
    let mut server = oracle.connect();
    server.text(&[b"CONFIG", b"SET", b"sanitize-dump-payload", b"yes"]);
    for seed in 0..60 {
        let mut random = Random::new(seed);
        for payload in old_payloads(&mut random) {
            let context = format!("seed {seed} type {}", payload[0]);
            assert_eq!(restore(&mut server, "k", &payload), b"OK", "{context}");
            let expected = view(&mut server, "k");
            for limits in [Limits::default(), small_limits()] {
                let loaded = decode(&payload, &KEY, &limits).unwrap_or_else(|bad| panic!("{context}: {bad}"));
                assert_eq!(restore(&mut server, "back", &encode(&loaded, false)), b"OK", "{context}");
                assert!(view(&mut server, "back") == expected, "{context}");
            }
        }
    }
}

/// A stream with the one entry 5-0; `tail` is what follows the nodes.
fn stream_payload(number: u8, tail: &[u8]) -> Vec<u8> {
    let mut pack = Listpack::new();
    for n in [1, 0, 1] {
        pack.push_back_int(n);
    }
    pack.push_back(b"f");
    for n in [0, 2, 0, 0] {
        pack.push_back_int(n);
    }
    pack.push_back(b"v");
    pack.push_back_int(4);
    let mut out = vec![number, 1, 16];
    out.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
    put_string(&mut out, pack.as_bytes());
    out.extend(tail);
    out
}

/// Length 1, last id 5-0; the group `g` at 5-0 with 5-0 pending for `c`, as each type has it.
fn stream_tail(number: u8) -> Vec<u8> {
    let pending: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut out = vec![1, 5, 0];
    if number != kind::STREAM_LISTPACKS {
        out.extend([5, 0, 0, 0, 1]);
    }
    out.extend(b"\x01\x01g\x05\x00");
    if number != kind::STREAM_LISTPACKS {
        out.push(1);
    }
    out.push(1);
    out.extend(pending);
    out.extend(1000u64.to_le_bytes());
    out.push(3);
    out.extend(b"\x01\x01c");
    out.extend(2000u64.to_le_bytes());
    if number == kind::STREAM_LISTPACKS_3 {
        out.extend((-1i64).to_le_bytes());
    }
    out.push(1);
    out.extend(pending);
    out
}

#[test]
fn every_version_of_streams_is_read() {
    let oracle = Oracle::start(&[]);
    let mut server = oracle.connect();
    for number in [kind::STREAM_LISTPACKS, kind::STREAM_LISTPACKS_2, kind::STREAM_LISTPACKS_3] {
        let payload = stream_payload(number, &stream_tail(number));
        let loaded = decode(&payload, &KEY, &Limits::default()).unwrap_or_else(|bad| panic!("{bad}"));
        let Loaded::Value(Value::Stream(stream)) = &loaded else { panic!("a stream was written") };
        let group = stream.group(b"g").expect("written");
        let consumer = group.consumer(b"c").expect("written");
        assert_eq!((stream.len(), stream.added(), group.read()), (1, 1, 1));
        assert_eq!((group.pending_len(), consumer.pending_len(), consumer.seen_ms()), (1, 1, 2000));
        let active_ms = if number == kind::STREAM_LISTPACKS_3 { 0 } else { 2000 };
        assert_eq!(consumer.active_ms(), active_ms, "type {number}");
        let ours = encode(&loaded, false);
        assert_eq!(ours, stream_payload(19, &stream_tail(19)), "type {number}");
        if number != kind::STREAM_LISTPACKS_3 {
            assert_eq!(restore(&mut server, "k", &payload), b"OK");
            assert_eq!(restore(&mut server, "back", &ours), b"OK");
            assert_eq!(view(&mut server, "k"), view(&mut server, "back"));
        }
    }
}

#[test]
fn packed_sets_of_redis_7_2_are_read() {
    let pack: Listpack = ["a", "7", "b"].into_iter().collect();
    let payload = one_string(kind::SET_LISTPACK, pack.as_bytes());
    for (limits, encoding) in
        [(Limits::default(), "listpack"), (Limits { set_entries: 2, ..Limits::default() }, "hashtable")]
    {
        let Ok(Loaded::Value(value)) = decode(&payload, &KEY, &limits) else { panic!("a set was written") };
        assert_eq!((value.type_name(), value.encoding()), ("set", encoding));
    }
}

fn check_refused(payload: &[u8], expected: BadPayload) {
    match decode(payload, &KEY, &Limits::default()) {
        Ok(_) => panic!("taken: {payload:?}"),
        Err(found) => assert_eq!(found, expected, "{payload:?}"),
    }
}

#[test]
fn refusals_say_why() {
    let pack = |texts: &[&str]| texts.iter().collect::<Listpack>().as_bytes().to_vec();
    check_refused(&[], BadPayload::Truncated);
    check_refused(b"\x00\x01aa", BadPayload::Trailing);
    check_refused(b"\x16", BadPayload::Kind(22));
    check_refused(b"\x07\x00", BadPayload::Module);
    check_refused(b"\x00\x82", BadPayload::Length);
    check_refused(b"\x00\xc4", BadPayload::Length);
    check_refused(b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", BadPayload::Truncated);
    check_refused(b"\x04\x81\x7f\xff\xff\xff\xff\xff\xff\xff", BadPayload::Truncated);
    check_refused(b"\x00\xc3\x01\x80\x7f\xff\xff\xff\x00", BadPayload::Lzf);
    check_refused(&one_string(16, b"????????"), BadPayload::Listpack(BadListpack::End));
    check_refused(&one_string(11, b"\x03\0\0\0\0\0\0\0"), BadPayload::Intset(BadIntset::Width));
    check_refused(b"\x12\x01\x03\x01a", BadPayload::ListNode);
    check_refused(b"\x02\x02\x01a\x01a", BadPayload::Duplicate);
    check_refused(b"\x04\x02\x01a\x01x\x01a\x01y", BadPayload::Duplicate);
    check_refused(&one_string(16, &pack(&["a", "x", "a", "y"])), BadPayload::Duplicate);
    check_refused(&one_string(17, &pack(&["a", "1", "a", "2"])), BadPayload::Duplicate);
    check_refused(&one_string(20, &pack(&["7", "a", "7"])), BadPayload::Duplicate);
    check_refused(&one_string(16, &pack(&["a", "x", "b"])), BadPayload::Odd);
    check_refused(&one_string(17, &pack(&["a", "1", "b"])), BadPayload::Odd);
    check_refused(&one_string(17, &pack(&["a", "one"])), BadPayload::Score);
    check_refused(&one_string(17, &pack(&["a", "2", "b", "1"])), BadPayload::Order);
    check_refused(&one_string(17, &pack(&["b", "1", "a", "1"])), BadPayload::Order);
    check_refused(b"\x03\x01\x01a\xfd", BadPayload::Score);
    check_refused(&[&b"\x05\x01\x01a"[..], &f64::NAN.to_le_bytes()].concat(), BadPayload::Score);
    for number in [1, 2, 3, 4, 5, 14, 18] {
        check_refused(&[number, 0], BadPayload::Empty);
    }
    for number in [16, 17, 20] {
        check_refused(&one_string(number, &pack(&[])), BadPayload::Empty);
    }
    check_refused(&one_string(11, b"\x02\0\0\0\0\0\0\0"), BadPayload::Empty);
    check_refused(&one_string(9, b"\x00\xff"), BadPayload::Empty);
    check_refused(&one_string(10, &ziplist(&[], &mut Random::new(0))), BadPayload::Empty);
    let stream = |at: usize, byte: u8| {
        let mut tail = stream_tail(19);
        tail[at] = byte;
        stream_payload(19, &tail)
    };
    check_refused(&stream(0, 2), BadPayload::StreamCounts);
    check_refused(&stream(1, 4), BadPayload::StreamCounts);
    let ends = stream_tail(19).len() - 1;
    check_refused(&stream(ends, 1), BadPayload::Pending);
    let twice = [&stream_tail(19)[..8], b"\x02", &stream_tail(19)[9..], &stream_tail(19)[9..]].concat();
    check_refused(&stream_payload(19, &twice), BadPayload::DuplicateGroup);
}

#[test]
fn dump_footers() {
    let mut dump = Vec::new();
    encode_text(b"hello", &mut dump);
    let payload = dump.clone();
    seal(&mut dump);
    assert_eq!(open(&dump), Ok(&payload[..]));
    let sealed_as = |version: u16| {
        let mut dump = [&payload[..], &version.to_le_bytes()].concat();
        let sum = crate::crc64::crc64(&dump);
        dump.extend(sum.to_le_bytes());
        dump
    };
    assert_eq!(open(&sealed_as(1)), Ok(&payload[..]));
    assert_eq!(open(&sealed_as(11)), Ok(&payload[..]));
    assert_eq!(open(&sealed_as(12)), Err(BadDump));
    let unsummed = [&payload[..], &[10, 0], &[0; 8]].concat();
    assert_eq!(open(&unsummed), Ok(&payload[..]));
    for at in 0..dump.len() {
        let mut damaged = dump.clone();
        damaged[at] ^= 0x10;
        assert_eq!(open(&damaged), Err(BadDump), "byte {at}");
        assert!(open(&dump[..at]).is_err(), "{at} bytes");
    }
}

#[test]
fn prefixes_say_how_long_they_are() {
    let mut bytes = Vec::new();
    encode_text(b"one", &mut bytes);
    let first = bytes.len();
    encode_text(&b"two".repeat(20), &mut bytes);
    let Ok((Loaded::Text(text), used)) = decode_prefix(&bytes, &KEY, &Limits::default()) else {
        panic!("a string was written");
    };
    assert_eq!((&text[..], used), (&b"one"[..], first));
    assert_eq!(take_string(&bytes[1..]), Ok((b"one".to_vec(), first - 1)));
}

/// Damaged payloads are refused, or they are values that the real server takes in turn, after its deepest checks.
#[test]
fn damage_is_refused_or_harmless() {
    let oracle = Oracle::start(&[]);
    let mut server = oracle.connect();
    server.text(&[b"CONFIG", b"SET", b"sanitize-dump-payload", b"yes"]);
    let mut payloads = vec![stream_payload(21, &stream_tail(21)), stream_payload(15, &stream_tail(15))];
    for seed in 0..30 {
        let mut random = Random::new(seed);
        payloads.extend(old_payloads(&mut random));
        for _ in 0..3 {
            if make(&mut server, &mut random) {
                let dump = server.text(&[b"DUMP", b"k"]);
                payloads.push(open(&dump).expect("the server's footer is good").to_vec());
            }
        }
    }
    payloads.retain(|payload| payload.len() < 5000);
    for (number, payload) in payloads.iter().enumerate() {
        let mut random = Random::new(number as u64);
        for len in 0..payload.len() {
            assert!(
                decode(&payload[..len], &KEY, &Limits::default()).is_err(),
                "payload {number}, {len} bytes"
            );
        }
        for step in 0..100 {
            let mut damaged = payload.clone();
            for _ in 0..=random.below(2) {
                let at = random.below(damaged.len());
                damaged[at] = if random.below(2) == 0 {
                    random.next() as u8
                } else {
                    damaged[at] ^ 1 << random.below(8)
                };
            }
            let limits = if step % 2 == 0 { Limits::default() } else { small_limits() };
            let Ok(loaded) = decode(&damaged, &KEY, &limits) else { continue };
            let ours = encode(&loaded, step % 3 == 0);
            let context = format!("payload {number} step {step}: {damaged:?}");
            assert!(decode(&ours, &KEY, &limits).is_ok(), "{context}");
            assert_eq!(restore(&mut server, "back", &ours), b"OK", "{context}");
        }
    }
}

#[test]
fn the_sign_of_zero_is_forgotten_whatever_the_order_and_form() {
    let limits = Limits::default();
    let long = vec![b'l'; limits.zset_value + 1];
    let score = |payload: &[u8]| match decode(payload, &KEY, &limits) {
        Ok(Loaded::Value(Value::Zset(read))) => read.score(&KEY, b"zero").expect("it is there").to_bits(),
        _ => panic!("a sorted set"),
    };
    // As Redis writes a skip list: type, count, then members and scores, here not in their order.
    let pair = |member: &[u8], score: f64| {
        let mut bytes = Vec::new();
        put_string(&mut bytes, member);
        bytes.extend(score.to_le_bytes());
        bytes
    };
    for members in [[pair(&long, 1.0), pair(b"zero", -0.0)], [pair(b"zero", -0.0), pair(&long, 1.0)]] {
        assert_eq!(score(&[vec![5, 2], members.concat()].concat()), 0.0f64.to_bits());
    }
    let mut packed = Listpack::new();
    packed.push_back(b"zero");
    packed.push_back(b"-0");
    let mut zset = crate::Zset::from_listpack(packed);
    assert_eq!(zset.score(&KEY, b"zero").map(f64::to_bits), Some(0));
    zset.add(&KEY, &limits, -0.0, &long);
    assert_eq!(zset.score(&KEY, &long).map(f64::to_bits), Some(0));
}
