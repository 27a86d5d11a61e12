//! Number texts, with exactly Redis' rules: which bytes are an integer, a double or a long double, and how integers
//! and long doubles are written.
//!
//! Doubles follow `strtod` and INCRBYFLOAT follows the 80-bit arithmetic of x87, because replies carry the digits.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::{Double, X87DoubleExtended};

/// The longest text of an `i64`, plus one byte of slack that keeps the buffer equal to Redis' own.
pub const I64_TEXT_MAX: usize = 21;

/// Longer texts are no long doubles for Redis, whose buffer they do not fit.
const LONG_DOUBLE_TEXT_MAX: usize = 5 * 1024;

/// Exponents are capped here: with at most [`LONG_DOUBLE_TEXT_MAX`] digits the value is long since infinite or zero.
const EXPONENT_MAX: i32 = 50_000;

/// Reads the one canonical text of an `i64`: no sign but a minus, no leading zeros, no spaces, no "-0".
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = canonical_u64(digits)?;
    match (negative, magnitude) {
        (false, _) => i64::try_from(magnitude).ok(),
        (true, 0) => None,
        (true, _) => 0i64.checked_sub_unsigned(magnitude),
    }
}

fn canonical_u64(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 20 => {}
        _ => return None,
    }
    let (safe, rest) = digits.split_at(digits.len().min(19));
    let mut value = 0u64;
    for &byte in safe {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits always fit.
        value = value * 10 + u64::from(digit);
    }
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Reads an unsigned number as the parts of stream ids are read: canonical texts, and beyond them whatever `strtoull`
/// takes (leading spaces, a sign, leading zeros; a minus wraps around).
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let text = &text[text.iter().take_while(|&&byte| is_space(byte)).count()..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0u64, |value, byte| value.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?;
    Some(if negative { value.wrapping_neg() } else { value })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Writes the digits of `rest` into the end of `scratch`; where they start.
fn put_digits(mut rest: u64, scratch: &mut [u8; I64_TEXT_MAX]) -> usize {
    let mut start = scratch.len();
    loop {
        start -= 1;
        scratch[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return start;
        }
    }
}

/// Writes `value` into the end of `scratch` and returns its text.
pub fn format_u64(value: u64, scratch: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let start = put_digits(value, scratch);
    &scratch[start..]
}

/// As [`format_u64`], with a sign where there is one.
pub fn format_i64(value: i64, scratch: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let mut start = put_digits(value.unsigned_abs(), scratch);
    if value < 0 {
        start -= 1;
        scratch[start] = b'-';
    }
    &scratch[start..]
}

/// Bytes that [`format_i64`] writes for `value`.
pub fn i64_text_len(value: i64) -> usize {
    usize::from(value < 0) + value.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Reads a double as `strtod` does, if all of `text` is one: decimal, hexadecimal, or an infinity; not NaN, no space
/// before it, and neither too large for a double nor so small that only zero is left.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let number = Scan::new(text)?;
    let value = match number.kind {
        Kind::Infinity => return Some(number.signed(f64::INFINITY)),
        Kind::Decimal => str::from_utf8(text).ok()?.parse::<f64>().ok()?,
        Kind::Hexadecimal => f64::from_bits(number.round::<Double>()?.to_bits() as u64),
    };
    (value.is_finite() && (value != 0.0 || number.is_zero)).then_some(value)
}

enum Kind {
    Infinity,
    Decimal,
    Hexadecimal,
}

/// A number text taken apart by the grammar of `strtod`; NaN is not in it, since every caller refuses it.
struct Scan<'a> {
    negative: bool,
    kind: Kind,
    /// Digits with at most one point among them, without prefix and exponent.
    mantissa: &'a [u8],
    exponent: i32,
    is_zero: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8]) -> Option<Self> {
        let (negative, body) = match text {
            [b'-', body @ ..] => (true, body),
            [b'+', body @ ..] | body => (false, body),
        };
        if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, kind: Kind::Infinity, mantissa: b"", exponent: 0, is_zero: false });
        }
        let (kind, body, marker) = match body {
            [b'0', b'x' | b'X', body @ ..] => (Kind::Hexadecimal, body, b'p'),
            body => (Kind::Decimal, body, b'e'),
        };
        let is_digit =
            if matches!(kind, Kind::Hexadecimal) { u8::is_ascii_hexdigit } else { u8::is_ascii_digit };
        let (mut digits, mut points, mut is_zero) = (0, 0, true);
        let is_mantissa = |byte: &&u8| {
            if is_digit(byte) {
                digits += 1;
                is_zero &= **byte == b'0';
            } else if **byte == b'.' && points == 0 {
                points = 1;
            } else {
                return false;
            }
            true
        };
        let (mantissa, tail) = body.split_at(body.iter().take_while(is_mantissa).count());
        if digits == 0 {
            return None;
        }
        let exponent = match tail {
            [] => 0,
            [first, exponent @ ..] if first.to_ascii_lowercase() == marker => scan_exponent(exponent)?,
            _ => return None,
        };
        Some(Self { negative, kind, mantissa, exponent, is_zero })
    }

    fn signed<T: std::ops::Neg<Output = T>>(&self, value: T) -> T {
        if self.negative { -value } else { value }
    }

    /// The nearest value of a finite number, ties to even; infinite when too large.
    fn round<F: Float>(&self) -> Option<F> {
        let (prefix, marker) = if matches!(self.kind, Kind::Hexadecimal) { ("0x", 'p') } else { ("", 'e') };
        let mantissa = str::from_utf8(self.mantissa).ok()?;
        let text = format!("{prefix}{mantissa}{marker}{}", self.exponent);
        Some(self.signed(text.parse::<F>().ok()?))
    }
}

fn scan_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, byte| (value * 10 + i32::from(byte - b'0')).min(EXPONENT_MAX));
    Some(if negative { -value } else { value })
}

/// An x87 extended double: the `long double` in which INCRBYFLOAT and HINCRBYFLOAT count.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads a number as [`parse_f64`] does, with the range and precision of a long double.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= LONG_DOUBLE_TEXT_MAX {
            return None;
        }
        let number = Scan::new(text)?;
        if matches!(number.kind, Kind::Infinity) {
            return Some(Self(number.signed(X87DoubleExtended::INFINITY)));
        }
        let value = number.round::<X87DoubleExtended>()?;
        (value.is_finite() && (!value.is_zero() || number.is_zero)).then_some(Self(value))
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// Writes `%.17Lf` without trailing zeros, as the replies of INCRBYFLOAT and HINCRBYFLOAT do.
    pub fn write_to(self, out: &mut Vec<u8>) {
        if self.0.is_nan() {
            return out.extend(b"nan");
        }
        let start = out.len();
        if self.0.is_negative() {
            out.push(b'-');
        }
        if self.0.is_infinite() {
            return out.extend(b"inf");
        }
        let (mantissa, exponent) = self.parts();
        if exponent >= 0 {
            write_shifted(mantissa, exponent as u32, out);
        } else {
            write_fraction(mantissa, exponent.unsigned_abs(), out);
        }
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }

    /// The text of [`LongDouble::write_to`].
    pub fn to_vec(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    /// The magnitude of a finite value is `mantissa * 2^exponent`.
    fn parts(self) -> (u64, i32) {
        let bits = self.0.to_bits();
        let biased = (bits >> 64) as i32 & 0x7FFF;
        // Subnormals share the smallest exponent; the leading bit is explicit in this format.
        (bits as u64, biased.max(1) - 16_383 - 63)
    }
}

impl std::ops::Add for LongDouble {
    type Output = Self;

    /// The sum, rounded to nearest, ties to even.
    fn add(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        Self(X87DoubleExtended::from_i128(value.into()).value)
    }
}

/// Writes `mantissa * 2^shift` in decimal.
fn write_shifted(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    const CHUNK: u128 = 10u128.pow(19);
    let wide = u128::from(mantissa) << (shift % 64);
    let mut limbs = vec![0u64; (shift / 64) as usize];
    limbs.extend([wide as u64, (wide >> 64) as u64]);
    let mut chunks = Vec::new();
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    while !limbs.is_empty() {
        let mut remainder = 0u128;
        for limb in limbs.iter_mut().rev() {
            let wide = (remainder << 64) | u128::from(*limb);
            *limb = (wide / CHUNK) as u64;
            remainder = wide % CHUNK;
        }
        chunks.push(remainder as u64);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    out.extend(chunks.pop().unwrap_or(0).to_string().bytes());
    for chunk in chunks.iter().rev() {
        out.extend(format!("{chunk:019}").bytes());
    }
}

/// Writes `mantissa / 2^shift`, rounded to 17 decimals (ties to even), without trailing zeros.
fn write_fraction(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    const SCALE: u128 = 10u128.pow(17);
    let scaled = u128::from(mantissa) * SCALE;
    // A scaled mantissa has at most 121 bits: from there on less than half a unit is left.
    let rounded = if shift > 122 {
        0
    } else {
        let (whole, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1));
        whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
    };
    out.extend((rounded / SCALE).to_string().bytes());
    let decimals = format!("{:017}", rounded % SCALE);
    let decimals = decimals.trim_end_matches('0');
    if !decimals.is_empty() {
        out.push(b'.');
        out.extend(decimals.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{I64_TEXT_MAX, LongDouble, format_i64, i64_text_len, parse_f64, parse_i64, parse_u64};
    use sessile_oracle::{Oracle, Random};

    #[test]
    fn integers_have_one_text() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
        for bad in ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "1a", "0x1", "00", "--1", "\u{661}"]
        {
            check(bad, None);
        }
        for bad in
            ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "100000000000000000000"]
        {
            check(bad, None);
        }
        let mut random = Random::new(1);
        let edges = [0, 1, -1, 9, 10, 99, 100, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1];
        let wide = (0..10_000).map(|_| random.integer() >> (random.next() % 64));
        for value in edges.into_iter().chain(wide) {
            let text = value.to_string();
            check(&text, Some(value));
            assert_eq!(format_i64(value, &mut [0; I64_TEXT_MAX]), text.as_bytes());
            assert_eq!(i64_text_len(value), text.len());
        }
    }

    /// Texts around the edge of what is a number.
    fn number_text(random: &mut Random) -> Vec<u8> {
        const NAMED: [&str; 24] = [
            "inf",
            "+inf",
            "-INF",
            "Infinity",
            "-infinity",
            "nan",
            "NaN",
            "-nan",
            "nan(1)",
            "infinit",
            "0x",
            "0x.",
            "0x1p",
            "0x1.8p3",
            "-0X.8P-2",
            "1e400",
            "1e-400",
            "5e-324",
            "2e-324",
            "1e4932",
            "2e4932",
            "1e-4951",
            "1e-4960",
            "",
        ];
        const ALPHABET: &[u8] = b"0123456789012345678901234567890123456789..++--eeExXpPinfaNTY \0\n(_";
        let digits = |random: &mut Random, most: usize| -> String {
            (0..random.below(most)).map(|_| char::from(b'0' + random.below(10) as u8)).collect()
        };
        let mut text = match random.below(8) {
            0 => NAMED[random.below(NAMED.len())].to_owned(),
            1 => random.integer().to_string(),
            2 => format!("{:e}", f64::from_bits(random.next())),
            3 => format!("{}", random.integer() as f64 / 10f64.powi(random.below(20) as i32)),
            4 => {
                format!("0x{:x}.{:x}p{}", random.next() >> random.below(64), random.next(), random.below(200))
            }
            5 => format!("{}e{}", digits(random, 22), random.below(9900) as i32 - 4950),
            6 => format!("0.{}{}", "0".repeat(random.below(20)), digits(random, 25)),
            _ => format!("{}.{}", digits(random, 25), digits(random, 25)),
        }
        .into_bytes();
        if random.below(6) == 0 {
            let at = random.below(text.len() + 1);
            let byte = ALPHABET[random.below(ALPHABET.len())];
            if random.below(2) == 0 || at == text.len() {
                text.insert(at, byte);
            } else {
                text[at] = byte;
            }
        }
        text
    }

    #[test]
    fn increments_equal_the_real_server() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        let mut sums = 0;
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let pairs: Vec<_> =
                (0..600).map(|_| (number_text(&mut random), number_text(&mut random))).collect();
            let commands: Vec<Vec<&[u8]>> = pairs
                .iter()
                .flat_map(|(a, b)| [vec![&b"SET"[..], b"k", a], vec![&b"INCRBYFLOAT"[..], b"k", b]])
                .collect();
            let replies = server.pipeline(&commands);
            for ((a, b), reply) in pairs.iter().zip(replies.iter().skip(1).step_by(2)) {
                let ours = match (LongDouble::parse(a), LongDouble::parse(b)) {
                    (Some(x), Some(y)) if (x + y).is_finite() => {
                        sums += 1;
                        (x + y).to_vec()
                    }
                    (Some(_), Some(_)) => b"-ERR increment would produce NaN or Infinity".to_vec(),
                    _ => b"-ERR value is not a valid float".to_vec(),
                };
                let (a, b) = (a.escape_ascii(), b.escape_ascii());
                assert_eq!(
                    ours.escape_ascii().to_string(),
                    reply.escape_ascii().to_string(),
                    "seed {seed}: {a} + {b}"
                );
            }
        }
        assert!(sums > 20_000, "only {sums} of the texts were numbers");
    }

    #[test]
    fn chained_increments_equal_the_real_server() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        let mut random = Random::new(7);
        let steps: Vec<String> = (0..2000)
            .map(|_| {
                let divisor = 10f64.powi(random.below(18) as i32);
                format!("{}", (random.integer() >> (20 + random.below(43))) as f64 / divisor)
            })
            .collect();
        let commands: Vec<Vec<&[u8]>> =
            steps.iter().map(|step| vec![&b"HINCRBYFLOAT"[..], b"h", b"f", step.as_bytes()]).collect();
        let mut text = b"0".to_vec();
        for (step, reply) in steps.iter().zip(server.pipeline(&commands)) {
            let own = parse_i64(&text).map(LongDouble::from).or_else(|| LongDouble::parse(&text));
            let before = text.escape_ascii().to_string();
            text = (own.unwrap() + LongDouble::parse(step.as_bytes()).unwrap()).to_vec();
            assert_eq!(text, reply, "{before} + {step}");
        }
    }

    #[test]
    fn long_texts_end_at_the_real_buffer() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        for len in [5000, 5118, 5119, 5120, 5121, 20_000] {
            for filler in [b'0', b'9'] {
                let mut text = vec![filler; len];
                text[..2].copy_from_slice(b"0.");
                server.text(&[b"SET", b"k", &text]);
                let real = server.text(&[b"INCRBYFLOAT", b"k", b"1"]);
                let ours = LongDouble::parse(&text).map_or_else(
                    || b"-ERR value is not a valid float".to_vec(),
                    |value| (value + LongDouble::from(1)).to_vec(),
                );
                assert_eq!(ours, real, "{len} bytes of {}", char::from(filler));
            }
        }
    }

    #[test]
    fn doubles_equal_the_real_server() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        for seed in 100..140 {
            let mut random = Random::new(seed);
            let texts: Vec<_> = (0..500).map(|_| number_text(&mut random)).collect();
            let commands: Vec<Vec<&[u8]>> = texts
                .iter()
                .flat_map(|text| [vec![&b"ZADD"[..], b"z", text, b"m"], vec![&b"ZSCORE"[..], b"z", b"m"]])
                .collect();
            let replies = server.pipeline(&commands);
            for (text, reply) in texts.iter().zip(replies.chunks(2)) {
                let ours = parse_f64(text);
                let real = (!reply[0].starts_with(b"-"))
                    .then(|| str::from_utf8(&reply[1]).unwrap().parse::<f64>().unwrap());
                assert_eq!(ours, real, "seed {seed}: {}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn unsigned_texts_equal_the_real_server() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        server.text(&[b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"]);
        let mut texts: Vec<Vec<u8>> = [
            "",
            "0",
            "00",
            "007",
            "+7",
            "-7",
            "-07",
            "-0",
            " 7",
            "\t\x0b7",
            "7 ",
            "- 7",
            "+",
            "-",
            "--7",
            "7a",
            "18446744073709551615",
            "18446744073709551616",
            "-18446744073709551615",
            "018446744073709551615",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec();
        let mut random = Random::new(3);
        texts.extend((0..500).map(|_| (random.next() >> random.below(64)).to_string().into_bytes()));
        for text in texts {
            let id = [b"0-", &text[..]].concat();
            let reply = server.text(&[b"XGROUP", b"SETID", b"s", b"g", &id]);
            let real = (reply == b"OK").then(|| {
                let info = String::from_utf8(server.text(&[b"XINFO", b"GROUPS", b"s"])).unwrap();
                let id = info.split(' ').skip_while(|word| *word != "last-delivered-id").nth(1).unwrap();
                id.strip_prefix("0-").unwrap().parse::<u64>().unwrap()
            });
            assert_eq!(parse_u64(&text), real, "{}", text.escape_ascii());
        }
    }
}
