//! Files of the real server are read as it means them, and it reads ours.

use std::collections::BTreeMap;

use sessile_oracle::{Connection, Oracle, Random, fresh_dir};
use sessile_rdb::{Access, Facts, Reason, Record, Summary, Writer, read};
use sessile_values::dump::{self, BadPayload, Encoder, Loaded};
use sessile_values::{HashKey, Limits};

const KEY: HashKey = HashKey(5, 6);
const LIBRARY: &str = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";

/// A record that outlives its file.
struct Owned {
    expire_ms: Option<u64>,
    access: Access,
    payload: Vec<u8>,
}

type Records = BTreeMap<(u32, Vec<u8>), Owned>;

/// A server and a connection to it.
struct Server {
    oracle: Oracle,
    link: Connection,
}

impl Server {
    /// Starts with `file` as its `dump.rdb`, or with none.
    fn start(file: Option<&[u8]>) -> Self {
        let dir = fresh_dir();
        if let Some(file) = file {
            std::fs::write(dir.join("dump.rdb"), file).expect("the temporary directory can be written");
        }
        let oracle = Oracle::start_on(dir, &["--sanitize-dump-payload", "yes"]);
        let link = oracle.connect();
        Self { oracle, link }
    }

    fn call<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> Vec<u8> {
        self.link.call(words)
    }
}

fn element(random: &mut Random) -> Vec<u8> {
    match random.below(7) {
        0 => (random.next() as i64 >> random.below(64)).to_string().into_bytes(),
        1 => (0..random.below(70)).map(|_| random.next() as u8).collect(),
        2 => vec![b'a' + random.below(3) as u8; random.below(100)],
        3 if random.below(20) == 0 => b"long ".repeat(random.below(3000)),
        _ => format!("member-{}", random.below(1000)).into_bytes(),
    }
}

/// Every type in every encoding and in several sizes, over three dbs, some with an expiry.
fn fill(server: &mut Server, random: &mut Random) {
    let commands = ["SET", "RPUSH", "SADD", "SADD ints", "HSET", "ZADD", "XADD"];
    for number in 0..120 {
        let key = if random.below(4) == 0 { number.to_string() } else { format!("key:{number}") };
        server.call(["SELECT", ["0", "3", "15"][random.below(3)]]);
        let command = commands[number % commands.len()];
        for _ in 0..[1, 3, 20, 150, 700][random.below(5)] {
            let mut words =
                vec![command.split(' ').next().unwrap_or(command).into(), key.clone().into_bytes()];
            words.extend(match command {
                "HSET" => vec![element(random), element(random)],
                "ZADD" => {
                    let score = random.below(100_000) as f64 / [1.0, 7.0, -1e-9][random.below(3)];
                    vec![score.to_string().into_bytes(), element(random)]
                }
                "XADD" => vec![b"*".to_vec(), element(random), element(random)],
                "SADD ints" => {
                    vec![(random.next() as i64 >> (8 + random.below(3) * 24)).to_string().into_bytes()]
                }
                _ => vec![element(random)],
            });
            server.call(words);
        }
        if command == "XADD" {
            server.call(["XGROUP", "CREATE", &key, "group", "0"]);
            server.call(["XREADGROUP", "GROUP", "group", "me", "COUNT", "5", "STREAMS", &key, ">"]);
        }
        if random.below(3) == 0 {
            server.call(["PEXPIRE", &key, &(3_600_000 + random.below(1 << 40)).to_string()]);
        }
    }
    assert_eq!(server.call(["FUNCTION", "LOAD", LIBRARY]), b"lib");
}

fn save(server: &mut Server) -> Vec<u8> {
    assert_eq!(server.call(["SAVE"]), b"OK");
    std::fs::read(server.oracle.dir().join("dump.rdb")).expect("just saved")
}

fn read_all(file: &[u8]) -> (Records, Summary) {
    let mut records = Records::new();
    let summary = read(file, |record: Record<'_>| {
        let owned =
            Owned { expire_ms: record.expire_ms, access: record.access, payload: record.payload.to_vec() };
        let old = records.insert((record.db, record.key.to_vec()), owned);
        if old.is_none() { Ok(()) } else { Err("the key came twice") }
    })
    .unwrap_or_else(|error| panic!("{error}"));
    (records, summary)
}

/// Writes what was read, each value through our types.
fn write_all(records: &Records, functions: &[Vec<u8>], compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Facts::default()).expect("vectors take everything");
    functions.iter().for_each(|code| writer.function(code).expect("vectors take everything"));
    let mut selected = None;
    for ((db, key), owned) in records {
        if selected != Some(*db) {
            selected = Some(*db);
            let of_db = || records.iter().filter(|((it, _), _)| it == db);
            let expiring = of_db().filter(|(_, owned)| owned.expire_ms.is_some()).count();
            writer.select_db(*db).expect("vectors take everything");
            writer.resize_db(of_db().count() as u64, expiring as u64).expect("vectors take everything");
        }
        let mut payload = Vec::new();
        let mut encoder = Encoder::new(&mut payload, compress);
        match dump::decode(&owned.payload, &KEY, &Limits::default()) {
            Ok(Loaded::Text(text)) => encoder.text(&text),
            Ok(Loaded::Value(value)) => encoder.value(&value),
            Err(bad) => panic!("{}: {bad}", key.escape_ascii()),
        }
        writer.access(owned.access).expect("vectors take everything");
        writer.entry(key, owned.expire_ms, &payload).expect("vectors take everything");
    }
    writer.finish().expect("vectors take everything")
}

/// A record holds what the server says of its key.
fn check_record(server: &mut Server, (db, key): &(u32, Vec<u8>), owned: &Owned, context: &str) {
    let context = format!("{context} key {}", key.escape_ascii());
    server.call(["SELECT", &db.to_string()]);
    let dump = server.call([&b"DUMP"[..], key]);
    assert!(dump::open(&dump) == Ok(&owned.payload[..]), "{context}");
    let expire: i64 = String::from_utf8(server.call([&b"PEXPIRETIME"[..], key]))
        .expect("ASCII")
        .parse()
        .expect("PEXPIRETIME gives a number");
    assert_eq!(owned.expire_ms.map_or(-1, |ms| ms as i64), expire, "{context}");
}

#[test]
fn files_come_and_go() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let compress = seed % 2 == 0;
        let mut server = Server::start(None);
        server.call(["CONFIG", "SET", "rdbcompression", if compress { "yes" } else { "no" }]);
        server.call(["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        fill(&mut server, &mut random);
        let context = format!("seed {seed}");
        let file = save(&mut server);
        let (records, summary) = read_all(&file);
        assert_eq!((summary.version, summary.bytes), (10, file.len() as u64), "{context}");
        assert_eq!(summary.records, records.len() as u64, "{context}");
        assert_eq!(summary.fact("redis-ver"), Some(&b"7.0.15"[..]), "{context}");
        assert_eq!(summary.fact("redis-bits"), Some(&b"64"[..]), "{context}");
        assert_eq!(summary.functions, [LIBRARY.as_bytes()], "{context}");
        let digest = server.call(["DEBUG", "DIGEST"]);
        for (place, owned) in &records {
            check_record(&mut server, place, owned, &context);
        }
        let ours = write_all(&records, &summary.functions, compress);
        let mut other = Server::start(Some(&ours));
        assert_eq!(other.call(["DEBUG", "DIGEST"]), digest, "{context}");
        assert_eq!(other.call(["FUNCTION", "DUMP"]), server.call(["FUNCTION", "DUMP"]), "{context}");
        for ((db, key), owned) in &records {
            other.call(["SELECT", &db.to_string()]);
            let expire = other.call([&b"PEXPIRETIME"[..], key]);
            let expected = owned.expire_ms.map_or("-1".to_owned(), |ms| ms.to_string());
            assert_eq!(expire, expected.as_bytes(), "{context}");
        }
        let (again, _) = read_all(&save(&mut other));
        assert!(again.keys().eq(records.keys()), "{context}");
    }
}

#[test]
fn last_uses_come_and_go() {
    for (policy, word) in [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")] {
        let mut server = Server::start(None);
        server.call(["CONFIG", "SET", "maxmemory-policy", policy]);
        server.call(["SET", "k", "v"]);
        let dump = server.call(["DUMP", "k"]);
        server.call([&b"RESTORE"[..], b"k", b"0", &dump, b"REPLACE", word.as_bytes(), b"77"]);
        let file = save(&mut server);
        let (records, summary) = read_all(&file);
        let access = records[&(0, b"k".to_vec())].access;
        match access {
            Access::IdleSeconds(seconds) => assert!(word == "IDLETIME" && (77..100).contains(&seconds)),
            Access::Frequency(frequency) => assert_eq!((word, frequency), ("FREQ", 77)),
            Access::Unknown => panic!("{policy} was saved without it"),
        }
        let (again, _) = read_all(&write_all(&records, &summary.functions, false));
        assert_eq!(again[&(0, b"k".to_vec())].access, access, "{policy}");
        let mut other = Server::start(Some(&write_all(&records, &[], false)));
        other.call(["CONFIG", "SET", "maxmemory-policy", policy]);
        assert_eq!(other.call(["GET", "k"]), b"v");
    }
}

/// Takes every record and builds its value; true if the whole file was good.
fn load(file: &[u8]) -> Result<(), Reason> {
    let take = |record: Record<'_>| record.load(&KEY, &Limits::default()).map(drop);
    read(file, take).map(drop).map_err(|error| {
        assert!(error.offset <= file.len() as u64);
        assert!(error.to_string().starts_with("the RDB file cannot be loaded, at byte "), "{error}");
        error.reason
    })
}

#[test]
fn damage_is_refused() {
    let mut server = Server::start(None);
    let mut random = Random::new(99);
    fill(&mut server, &mut random);
    let (mut records, summary) = read_all(&save(&mut server));
    records.retain(|_, owned| owned.payload.len() < 600);
    let file = write_all(&records, &summary.functions, true);
    assert!(matches!(load(&file), Ok(())));
    for len in 0..file.len() {
        assert!(matches!(load(&file[..len]), Err(Reason::Truncated)), "{len} bytes");
    }
    let mut unsummed = file.clone();
    let end = unsummed.len() - 8;
    unsummed[end..].fill(0);
    assert!(matches!(load(&unsummed), Ok(())));
    let mut taken = 0;
    for step in 0..20_000 {
        let (at, byte) = (random.below(end), random.next() as u8);
        let old = file[at];
        if byte == old {
            continue;
        }
        let mut damaged = if step % 2 == 0 { file.clone() } else { unsummed.clone() };
        damaged[at] = byte;
        let result = load(&damaged);
        assert!(step % 2 == 1 || result.is_err(), "step {step}: byte {at} as {byte}");
        taken += usize::from(result.is_ok());
    }
    assert!(taken > 1000, "without a checksum a changed text is just another text");
}

#[test]
fn a_refused_record_is_named() {
    let mut writer = Writer::new(Vec::new(), Facts::default()).expect("vectors take everything");
    writer.entry(b"good", None, b"\x00\x01x").expect("vectors take everything");
    writer.entry(b"bad\n", None, b"\x02\x00").expect("vectors take everything");
    let file = writer.finish().expect("vectors take everything");
    let error = read(&file[..], |record: Record<'_>| record.load(&KEY, &Limits::default()).map(drop))
        .expect_err("the set is empty");
    let why = BadPayload::Empty.to_string();
    assert!(matches!(&error.reason, Reason::Refused { key, why: found } if key == b"bad\n" && *found == why));
    assert_eq!(error.offset, file.len() as u64 - 9 - 2 - 5);
}
