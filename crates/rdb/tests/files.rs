//! Small files by hand: what each part means, what is refused and how it is said, and the bytes that are written.

use std::convert::Infallible;
use std::io::Read;

use sessile_rdb::{Access, Facts, Writer, read};

/// The records of a file: db, key, expiry, access, payload.
type Found = Vec<(u32, &'static str, Option<u64>, Access, &'static [u8])>;

fn file(version: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut file = [b"REDIS", version.as_bytes(), &parts.concat(), &[0xFF]].concat();
    if version >= "0005" {
        file.extend(sessile_values::crc64::crc64(&file).to_le_bytes());
    }
    file
}

fn check(file: &[u8], expected: &Found) {
    let mut found = Vec::new();
    read(file, |record| {
        let key = String::from_utf8(record.key.to_vec()).expect("ASCII");
        found.push((record.db, key, record.expire_ms, record.access, record.payload.to_vec()));
        Ok::<(), Infallible>(())
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let expected: Vec<_> = expected
        .iter()
        .map(|(db, key, expire_ms, access, payload)| {
            (*db, (*key).to_owned(), *expire_ms, *access, payload.to_vec())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn parts_mean_what_they_say() {
    let value = b"\x00\x01k\x01v";
    let record = (0, "k", None, Access::Unknown, &b"\x00\x01v"[..]);
    for version in ["0001", "0004", "0005", "0011"] {
        check(&file(version, &[value]), &vec![record]);
    }
    check(&file("0010", &[]), &vec![]);
    check(
        &file("0010", &[b"\xfe\x40\x80\xfb\x01\x00", value]),
        &vec![(128, record.1, None, record.3, record.4)],
    );
    let seconds = (0, "k", Some(5000), Access::Unknown, record.4);
    check(&file("0010", &[b"\xfd\x05\0\0\0", value, value]), &vec![seconds, record]);
    let past = (0, "k", Some(0), Access::Unknown, record.4);
    check(&file("0010", &[b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff", value]), &vec![past]);
    let idle = (0, "k", Some(7), Access::IdleSeconds(100), record.4);
    check(&file("0010", &[b"\xfc\x07\0\0\0\0\0\0\0\xf8\x40\x64", value, value]), &vec![idle, record]);
    let frequency = (0, "k", None, Access::Frequency(200), record.4);
    check(&file("0010", &[b"\xf9\xc8", value]), &vec![frequency]);
    check(
        &file("0010", &[b"\x00\xc0\x05\xc1\x01\x02"]),
        &vec![(0, "5", None, record.3, b"\x00\xc1\x01\x02")],
    );
}

fn check_refused(file: &[u8], expected: &str) {
    let error = read(file, |_| Ok::<(), Infallible>(())).expect_err("the file is bad");
    assert_eq!(error.to_string(), format!("the RDB file cannot be loaded, at byte {expected}"));
}

#[test]
fn refusals_name_the_place_and_the_reason() {
    check_refused(b"", "0: the file ends early");
    check_refused(b"GARBAGE!!", "0: the file does not start with REDIS and four digits");
    check_refused(b"REDIS00x0", "0: the file does not start with REDIS and four digits");
    check_refused(b"REDIS0000\xff", "0: the format's version is 0, but only 1 to 11 are known");
    check_refused(b"REDIS0012\xff", "0: the format's version is 12, but only 1 to 11 are known");
    check_refused(b"REDIS0010", "9: the file ends early");
    let module = "9: the file holds data of a Redis module, and modules are not supported";
    check_refused(&file("0010", &[b"\xf7\x01"]), module);
    check_refused(&file("0010", &[b"\x07\x01k\x01"]), module);
    check_refused(&file("0010", &[b"\xf4\x01"]), "9: parts of type 244 are unknown");
    check_refused(&file("0010", &[b"\x16\x01k\x01v"]), "9: values of type 22 are unknown");
    check_refused(&file("0010", &[b"\x00\x82"]), "11: a length has an unknown form");
    check_refused(&file("0010", &[b"\xfa\xc3\x01\x09\x00\x00"]), "10: a compressed string is damaged");
    check_refused(&file("0010", &[b"\xfe\x81\0\0\0\x01\0\0\0\0"]), "9: there is no db number 4294967296");
    check_refused(
        &file("0010", &[b"\xf6\x01"]),
        "9: the file holds functions as a release candidate of Redis 7.0 saved them; save it with a later Redis",
    );
    let mut damaged = file("0010", &[]);
    damaged.truncate(10);
    damaged.extend(1u64.to_le_bytes());
    let computed = sessile_values::crc64::crc64(b"REDIS0010\xff");
    check_refused(
        &damaged,
        &format!(
            "10: the checksum is 0000000000000001, but the bytes give {computed:016x}: the file is damaged"
        ),
    );
    let error = read(&file("0010", &[b"\x00\x01k\x01v"])[..], |_| Err("no room")).expect_err("refused");
    assert_eq!(error.to_string(), "the RDB file cannot be loaded, at byte 9: the key \"k\": no room");
}

/// Lengths that nothing stands behind take no memory.
#[test]
fn claims_take_no_memory() {
    let huge = b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff";
    for number in [0, 1, 2, 3, 4, 5, 9, 14, 15, 16, 18, 21] {
        let mut bytes = b"REDIS0010".to_vec();
        bytes.extend([number, 1, b'k']);
        bytes.extend(huge);
        let end = bytes.len();
        check_refused(&bytes, &format!("{end}: the file ends early"));
    }
}

#[test]
fn what_follows_is_left_in_the_reader() {
    let whole = [&file("0010", &[b"\xfa\x08aof-base\xc0\x01\xf5\x04code"])[..], b"*1\r\n"].concat();
    let mut reader = &whole[..];
    let summary = read(&mut reader, |_| Ok::<(), Infallible>(())).unwrap_or_else(|error| panic!("{error}"));
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("slices are read");
    assert_eq!((rest, summary.bytes), (b"*1\r\n".to_vec(), whole.len() as u64 - 4));
    assert_eq!(summary.fact("aof-base"), Some(&b"1"[..]));
    assert_eq!(summary.fact("ctime"), None);
    assert_eq!(summary.functions, [b"code"]);
}

#[test]
fn frozen_bytes() {
    let facts = Facts { ctime_s: 1_700_000_000, used_memory: 70_000, aof_base: true, checksum: true };
    let mut writer = Writer::new(Vec::new(), facts).expect("vectors take everything");
    writer.function(b"code").expect("vectors take everything");
    writer.select_db(2).expect("vectors take everything");
    writer.resize_db(2, 1).expect("vectors take everything");
    writer.access(Access::IdleSeconds(70)).expect("vectors take everything");
    writer.entry(b"k", Some(258), b"\x00\x01v").expect("vectors take everything");
    writer.access(Access::Frequency(9)).expect("vectors take everything");
    writer.entry(b"12", None, b"\x02\x01\x01m").expect("vectors take everything");
    let found = writer.finish().expect("vectors take everything");
    let expected = [
        &b"REDIS0010"[..],
        b"\xfa\x09redis-ver\x057.2.4",
        b"\xfa\x0aredis-bits\xc0\x40",
        b"\xfa\x05ctime\xc2\x00\xf1\x53\x65",
        b"\xfa\x08used-mem\xc2\x70\x11\x01\x00",
        b"\xfa\x08aof-base\xc0\x01",
        b"\xf5\x04code\xfe\x02\xfb\x02\x01",
        b"\xf8\x40\x46\xfc\x02\x01\0\0\0\0\0\0\x00\x01k\x01v",
        b"\xf9\x09\x02\xc0\x0c\x01\x01m\xff",
    ]
    .concat();
    let (bytes, sum) = found.split_at(found.len() - 8);
    assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(sum, sessile_values::crc64::crc64(&expected).to_le_bytes());
}
