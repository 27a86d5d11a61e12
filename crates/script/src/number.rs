//! Numbers as C reads, prints and converts them: what scripts see of `strtod`, `printf` and casts.

use std::io::Write;

use sessile_resp::format_double;

/// 2^63, the first double that a signed 64-bit integer cannot hold.
const I64_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// The integer that a number becomes, as x86-64 casts: everything out of range is the lowest.
pub(crate) fn to_i64(value: f64) -> i64 {
    if (-I64_LIMIT..I64_LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// The unsigned integer of the same bits; from 2^63 on as an unsigned cast gives it.
pub(crate) fn to_u64(value: f64) -> u64 {
    if value >= I64_LIMIT {
        (to_i64(value - I64_LIMIT) ^ i64::MIN).cast_unsigned()
    } else {
        to_i64(value).cast_unsigned()
    }
}

/// Appends a number as an argument of a command: whole ones in full, others as the shortest digits.
pub(crate) fn format_argument(value: f64, out: &mut Vec<u8>) {
    // Redis converts to an integer first, which has no negative zero.
    format_double(if value == 0.0 { 0.0 } else { value }, out);
}

/// Appends a number as `printf("%.*g")` does with a `precision` of at least 1.
pub(crate) fn format_general(value: f64, precision: usize, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    }
    const ALWAYS_IN_FULL: f64 = 1e9;
    if value.trunc() == value
        && value.abs() < ALWAYS_IN_FULL
        && precision >= 9
        && !(value == 0.0 && value.is_sign_negative())
    {
        return out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    }
    let start = out.len();
    // Writing to memory cannot fail.
    let _ = write!(out, "{value:.*e}", precision - 1);
    let mark = start + out[start..].iter().rposition(|byte| *byte == b'e').unwrap_or(0);
    let exponent =
        str::from_utf8(&out[mark + 1..]).ok().and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        out.truncate(mark);
        strip_zeros(out, start);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else {
        out.truncate(start);
        let _ = write!(out, "{value:.*}", (precision as i32 - 1 - exponent) as usize);
        strip_zeros(out, start);
    }
}

/// Removes the zeros at the end of a fraction, and its point if nothing is left.
fn strip_zeros(out: &mut Vec<u8>, start: usize) {
    if out[start..].contains(&b'.') {
        let kept = out.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
        out.truncate(kept);
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
}

/// Reads the longest number that `text` begins with, as `strtod` does without its leading spaces: decimal,
/// hexadecimal, `inf`, `infinity` and `nan`. The number and its length in bytes.
pub(crate) fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let (negative, sign_len) = match text.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let body = &text[sign_len..];
    let begins =
        |word: &str| body.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
    let (value, len) = if begins("infinity") {
        (f64::INFINITY, 8)
    } else if begins("inf") {
        (f64::INFINITY, 3)
    } else if begins("nan") {
        (f64::NAN, 3)
    } else if begins("0x")
        && let Some(found) = parse_hexadecimal(&body[2..])
    {
        (found.0, found.1 + 2)
    } else {
        parse_decimal(body)?
    };
    Some((if negative { -value } else { value }, len + sign_len))
}

fn digits_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The length of an exponent such as `e-5` at the start of `text`; 0 if there is none.
fn exponent_len(text: &[u8], letter: u8) -> usize {
    if text.first().is_none_or(|byte| byte.to_ascii_lowercase() != letter) {
        return 0;
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match digits_len(&text[1 + sign_len..]) {
        0 => 0,
        digits => 1 + sign_len + digits,
    }
}

fn parse_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits_len(text);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(whole) == Some(&b'.') {
        fraction = digits_len(&text[whole + 1..]);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    len += exponent_len(&text[len..], b'e');
    if len == whole && whole <= 15 {
        let value = text[..len].iter().fold(0_u64, |value, byte| value * 10 + u64::from(byte - b'0'));
        return Some((value as f64, len));
    }
    let value = str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((value, len))
}

/// The digits after `0x`.
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    /// Digits beyond these cannot change a double, except by rounding.
    const DIGITS_MAX: u32 = 15;
    let (mut mantissa, mut taken, mut scale, mut seen, mut sticky) = (0_u64, 0, 0_i64, 0_usize, false);
    let mut len = 0;
    let mut in_fraction = false;
    while let Some(byte) = text.get(len) {
        match (*byte as char).to_digit(16) {
            Some(digit) => {
                seen += 1;
                if taken < DIGITS_MAX {
                    mantissa = mantissa * 16 + u64::from(digit);
                    taken += u32::from(mantissa != 0);
                    scale -= 4 * i64::from(in_fraction);
                } else {
                    sticky |= digit != 0;
                    scale += 4 * i64::from(!in_fraction);
                }
            }
            None if *byte == b'.' && !in_fraction => in_fraction = true,
            None => break,
        }
        len += 1;
    }
    if seen == 0 {
        return None;
    }
    let exponent_bytes = exponent_len(&text[len..], b'p');
    if exponent_bytes > 0 {
        let digits = str::from_utf8(&text[len + 1..len + exponent_bytes]).ok()?;
        let limit = if digits.starts_with('-') { -100_000 } else { 100_000 };
        scale += digits.parse::<i64>().unwrap_or(limit).clamp(-100_000, 100_000);
        len += exponent_bytes;
    }
    // 60 bits and a sticky one round once in the conversion; the scaling is exact but for subnormal results.
    let value = ((mantissa << 2) | u64::from(sticky)) as f64;
    Some((scale_by_power(value, scale - 2), len))
}

fn scale_by_power(mut value: f64, mut power: i64) -> f64 {
    const STEP: i64 = 1000;
    if value == 0.0 {
        return value;
    }
    while power > STEP && value.is_finite() {
        value *= 2_f64.powi(STEP as i32);
        power -= STEP;
    }
    while power < -STEP && value != 0.0 {
        value *= 2_f64.powi(-STEP as i32);
        power += STEP;
    }
    value * 2_f64.powi(power.clamp(-STEP, STEP) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_format_is_that_of_c() {
        let check = |value: f64, precision: usize, expected: &str| {
            let mut out = Vec::new();
            format_general(value, precision, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{value:?} with {precision}");
        };
        check(0.1, 14, "0.1");
        check(0.1, 17, "0.10000000000000001");
        check(100.0, 2, "1e+02");
        check(-0.0, 14, "-0");
        check(1e15, 14, "1e+15");
        check(123_456_789_012_345.0, 14, "1.2345678901234e+14");
        check(0.00001234, 14, "1.234e-05");
        check(0.0001234, 3, "0.000123");
        check(9.5, 1, "1e+01");
        check(99999.5, 5, "1e+05");
        check(f64::MAX, 14, "1.7976931348623e+308");
        check(5e-324, 14, "4.9406564584125e-324");
    }

    #[test]
    fn prefixes_are_read_as_strtod_reads_them() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            assert_eq!(parse_prefix(text.as_bytes()), expected, "{text}");
        };
        check("12,", Some((12.0, 2)));
        check("-1.5e3x", Some((-1500.0, 6)));
        check("1e", Some((1.0, 1)));
        check("1e+", Some((1.0, 1)));
        check(".5", Some((0.5, 2)));
        check("5.", Some((5.0, 2)));
        check(".", None);
        check("-", None);
        check("0x10", Some((16.0, 4)));
        check("0x1.8p1", Some((3.0, 7)));
        check("0x", Some((0.0, 1)));
        check("-Infinity!", Some((f64::NEG_INFINITY, 9)));
        check("1e999", Some((f64::INFINITY, 5)));
    }
}
