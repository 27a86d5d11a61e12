//! Random values of each meaning that an argument can have.
//!
//! Values that would make the two servers depend on their clocks (a time-out of seconds), or take
//! gigabytes (`SETBIT k 4294967295 1`), are not in the pools; values that are refused are.

use crate::kinds::Kind;
use crate::rng::Rng;

const STRINGS: &[&[u8]] = &[
    b"",
    b"a",
    b"hello world",
    b"0",
    b"1",
    b"10",
    b"-1",
    b"3.5",
    b"-0",
    b"1e3",
    b"0x10",
    b" 1",
    b"1 ",
    b"+1",
    b"01",
    b"inf",
    b"-inf",
    b"nan",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551615",
    b"1.7976931348623157e308",
    b"\x00",
    b"\xff\xfe",
    b"line\r\nend",
    b"\"quoted\"",
    b"*",
    b"$",
    b"-",
    b"+",
    b"(1",
    b"[a",
];
const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "127",
    "128",
    "255",
    "256",
    "32767",
    "32768",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "-0",
    "+1",
    "01",
    " 1",
    "1 ",
    "",
    "abc",
    "1.5",
    "1e3",
    "0x10",
    "inf",
];
const DOUBLES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "1.5",
    "-2.25",
    "3.14159265358979",
    "1e10",
    "1e-7",
    "123456789.123",
    "1e300",
    "-1e300",
    "1.7976931348623157e308",
    "5e-324",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "",
    "abc",
    "1e400",
    "0x1p3",
    " 1",
    "1 ",
    "9007199254740993",
    "4503599627370497.5",
    "17179869184",
    "1e21",
    "1e17",
];

/// Random values of every meaning.
#[derive(Clone, Debug)]
pub struct Values {
    next_id: i64,
    recent: Vec<String>,
    now_ms: i64,
}

impl Values {
    /// `now_ms` is the time around which absolute times lie.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self { next_id: 1, recent: vec!["1-1".to_owned()], now_ms }
    }

    /// A value that the command should accept, or any (`valid` false) at the edges of its kind.
    pub fn of(&mut self, kind: Kind, valid: bool, rng: &mut Rng) -> Vec<u8> {
        let edge = !valid && rng.chance(35);
        match kind {
            Kind::Value => value(rng, edge),
            Kind::Member => member(rng),
            Kind::Field if rng.chance(90) => format!("f{}", rng.below(10)).into_bytes(),
            Kind::Field => value(rng, true),
            Kind::Pattern => {
                pick(rng, &["*", "s*", "?1", "[a-h]*", "f[^0-5]", "\\*", "m1*", "", "[", "*\\", "h?"])
            }
            Kind::SortPattern => {
                pick(rng, &["#", "s*", "h*->f1", "nosort", "h*->f2", "w_*", "nostar", "h*->", "*"])
            }
            Kind::Group if edge => b"nogroup".to_vec(),
            Kind::Group => pick(rng, &["g1", "g1", "g2"]),
            Kind::Consumer => pick(rng, &["c1", "c2", "c3"]),
            Kind::User => pick(rng, &["u1", "u2", "u3"]),
            Kind::OneOf(list) => pick(rng, list),
            Kind::Double
            | Kind::ScoreBound
            | Kind::LexBound
            | Kind::Longitude
            | Kind::Latitude
            | Kind::Radius => real(kind, edge, rng),
            Kind::NewId
            | Kind::RecentId
            | Kind::RangeId
            | Kind::ReadId
            | Kind::GroupReadId
            | Kind::Threshold => self.stream_id(kind, edge, rng),
            Kind::TtlSeconds
            | Kind::TtlMs
            | Kind::UnixSeconds
            | Kind::UnixMs
            | Kind::RestoreTtl
            | Kind::BlockSeconds
            | Kind::BlockMs
            | Kind::MinIdle
            | Kind::IdleMs
            | Kind::DeliveryMs => self.time(kind, edge, rng),
            _ => integer(kind, edge, rng),
        }
    }

    /// The next id that no stream has seen yet.
    pub fn fresh_id(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.next_id += i64::from(rng.chance(70));
        let id = match rng.below(12) {
            0 => format!("{}", self.next_id + 1),
            1 => format!("{}-*", self.next_id + 1),
            _ => format!("{}-{}", self.next_id, rng.between(1, 9)),
        };
        if !id.ends_with('*') {
            if self.recent.len() >= 24 {
                self.recent.remove(0);
            }
            self.recent.push(id.clone());
        }
        id.into_bytes()
    }

    fn stream_id(&mut self, kind: Kind, edge: bool, rng: &mut Rng) -> Vec<u8> {
        if edge {
            return pick(
                rng,
                &[
                    "0",
                    "0-0",
                    "-",
                    "+",
                    "$",
                    ">",
                    "*",
                    "abc",
                    "1-",
                    "-1",
                    "18446744073709551615-18446744073709551615",
                    "18446744073709551616",
                    "1-1-1",
                    "",
                    "(1-1",
                    "(+",
                ],
            );
        }
        match (kind, rng.below(10)) {
            (Kind::NewId, _) => self.fresh_id(rng),
            (Kind::RangeId, 0..=3) => pick(rng, &["-", "+"]),
            (Kind::RangeId, 4) => format!("({}", rng.pick(&self.recent)).into_bytes(),
            (Kind::ReadId, 0..=2) | (Kind::GroupReadId, 0..=1) => b"0".to_vec(),
            (Kind::ReadId, 3) => b"$".to_vec(),
            (Kind::GroupReadId, 2..=8) => b">".to_vec(),
            (Kind::Threshold, 0..=6) => rng.between(0, 30).to_string().into_bytes(),
            _ => rng.pick(&self.recent).clone().into_bytes(),
        }
    }

    fn time(&self, kind: Kind, edge: bool, rng: &mut Rng) -> Vec<u8> {
        if edge {
            // None of these is a small positive time: it would pass at different moments on the two servers.
            let pool: &[&str] = match kind {
                Kind::BlockSeconds => {
                    &["-1", "abc", "", "1e300", "nan", "inf", "-0.5", "9223372036854775807"]
                }
                Kind::BlockMs => &["-1", "abc", "", "9223372036854775808", "1.5"],
                Kind::MinIdle | Kind::IdleMs | Kind::DeliveryMs => {
                    &["-1", "abc", "", "0", "9223372036854775808", "1.5"]
                }
                _ => &[
                    "0",
                    "-1",
                    "-9223372036854775808",
                    "9223372036854775807",
                    "9223372036854775808",
                    "abc",
                    "",
                    "1.5",
                    "9223372036854775",
                    "-9223372036854775",
                ],
            };
            return pick(rng, pool);
        }
        let far_seconds = rng.between(10_000, 100_000_000);
        let far_ms = rng.between(10_000_000, 100_000_000_000);
        let number = match kind {
            Kind::TtlSeconds => far_seconds,
            Kind::TtlMs => far_ms,
            Kind::UnixSeconds if rng.chance(10) => rng.between(0, 1000),
            Kind::UnixSeconds => self.now_ms / 1000 + far_seconds,
            Kind::UnixMs if rng.chance(10) => rng.between(0, 1000),
            Kind::UnixMs => self.now_ms + far_ms,
            Kind::RestoreTtl => *rng.pick(&[0, 0, 10_000_000_000_000]),
            Kind::MinIdle => *rng.pick(&[0, 0, 1_000_000_000]),
            Kind::IdleMs => *rng.pick(&[0, 10_000_000_000]),
            Kind::DeliveryMs => *rng.pick(&[0, 1, 1_000_000_000_000_000]),
            Kind::BlockMs => 1,
            _ => return pick(rng, &["0.001", "0.002", "1e-3"]),
        };
        number.to_string().into_bytes()
    }
}

fn pick(rng: &mut Rng, pool: &[&str]) -> Vec<u8> {
    rng.pick(pool).as_bytes().to_vec()
}

/// Any string: lengths around the limits of the compact encodings (44, 64), binary bytes, numbers.
pub fn value(rng: &mut Rng, edge: bool) -> Vec<u8> {
    match if edge { rng.below(5) } else { rng.below(14) } {
        0 | 1 => rng.pick(STRINGS).to_vec(),
        2 => pick(rng, INTS),
        3 => {
            let len = *rng.pick(&[0, 1, 11, 12, 20, 43, 44, 45, 63, 64, 65, 100, 255, 256, 700]);
            (0..len).map(|_| if edge { rng.next_u64() as u8 } else { b'a' + (rng.below(26) as u8) }).collect()
        }
        4 if rng.chance(4) => vec![b'x'; *rng.pick(&[4095, 4096, 8192, 9000])],
        4..=7 => rng.between(-20, 1000).to_string().into_bytes(),
        _ => member(rng),
    }
}

fn member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(20) {
        0..=8 => vec![b'a' + rng.below(8) as u8],
        9..=12 => format!("m{}", rng.below(40)).into_bytes(),
        13..=17 => rng.between(-3, 30).to_string().into_bytes(),
        18 => pick(rng, DOUBLES),
        _ => value(rng, true),
    }
}

fn real(kind: Kind, edge: bool, rng: &mut Rng) -> Vec<u8> {
    if edge {
        return pick(rng, DOUBLES);
    }
    let fraction = |rng: &mut Rng, low: i64, high: i64| {
        let number = rng.between(low * 10_000, high * 10_000);
        format!("{}{}.{:04}", if number < 0 { "-" } else { "" }, number.abs() / 10_000, number.abs() % 10_000)
    };
    let text = match (kind, rng.below(8)) {
        (Kind::Longitude, _) => fraction(rng, -180, 180),
        (Kind::Latitude, _) => fraction(rng, -85, 85),
        (Kind::Radius, _) => fraction(rng, 0, 9000),
        (Kind::LexBound, 0) => "-".to_owned(),
        (Kind::LexBound, 1) => "+".to_owned(),
        (Kind::LexBound, n) => {
            return [if n % 2 == 0 { b"[" } else { b"(" }.to_vec(), member(rng)].concat();
        }
        (Kind::ScoreBound, 0) => "-inf".to_owned(),
        (Kind::ScoreBound, 1) => "+inf".to_owned(),
        (Kind::ScoreBound, 2) => format!("({}", rng.between(-10, 30)),
        (_, 3) => fraction(rng, -100, 100),
        (Kind::Double, 4) => {
            (*rng.pick(&["1e10", "-1e-5", "inf", "-inf", "0.1", "3.3", "1e17", "123456789012"])).to_owned()
        }
        _ => rng.between(-10, 30).to_string(),
    };
    text.into_bytes()
}

fn integer(kind: Kind, edge: bool, rng: &mut Rng) -> Vec<u8> {
    let text = match (kind, edge) {
        (Kind::Index, false) => rng.between(-12, 12).to_string(),
        (Kind::Count, false) => rng.between(0, 12).to_string(),
        (Kind::RandomCount, false) => rng.between(-12, 12).to_string(),
        (Kind::RandomCount, true) => {
            (*rng.pick(&["abc", "", "9223372036854775807", "9223372036854775808", "0"])).to_owned()
        }
        (Kind::SmallCount, false) => rng.between(1, 20).to_string(),
        (Kind::SmallCount, true) => (*rng.pick(&["abc", "", "0", "-1", "9223372036854775807"])).to_owned(),
        (Kind::BitOffset, false) if rng.chance(15) => format!("#{}", rng.below(40)),
        (Kind::BitOffset, false) => rng.between(0, 800).to_string(),
        (Kind::BitOffset, true) => {
            (*rng.pick(&["-1", "4294967296", "abc", "", "#-1", "#", "9223372036854775807"])).to_owned()
        }
        (Kind::ByteOffset, false) => rng.between(0, 200).to_string(),
        (Kind::ByteOffset, true) => {
            (*rng.pick(&["-1", "536870912", "9223372036854775807", "abc", ""])).to_owned()
        }
        (Kind::Bit, false) => rng.below(2).to_string(),
        (Kind::BitType, false) => {
            (*rng.pick(&["u1", "u8", "i8", "i5", "u16", "i64", "u63", "u31", "i1"])).to_owned()
        }
        (Kind::BitType, true) => (*rng.pick(&["u64", "i65", "u0", "i0", "x8", "", "u", "8"])).to_owned(),
        (Kind::BitOperation, false) => (*rng.pick(&["AND", "OR", "XOR", "NOT", "and"])).to_owned(),
        (Kind::BitOperation, true) => "NAND".to_owned(),
        (Kind::Cursor, false) => "0".to_owned(),
        (Kind::Cursor, true) => (*rng.pick(&["abc", "-1", "18446744073709551616", "", "0"])).to_owned(),
        (Kind::Db, false) if rng.chance(55) => "0".to_owned(),
        (Kind::Db, false) => rng.below(4).to_string(),
        (Kind::Db, true) => (*rng.pick(&["16", "-1", "abc", "15", "9223372036854775808"])).to_owned(),
        (_, false) if rng.chance(80) => rng.between(-10, 50).to_string(),
        _ => (*rng.pick(INTS)).to_owned(),
    };
    text.into_bytes()
}
