//! Numbers as text, by Redis' rules.

/// The longest text [`format_double`] writes, in bytes: sign, 17 digits, 7 zeros.
const DOUBLE_MAX_LEN: usize = 25;

/// Reads a decimal integer in its one canonical form: no sign but `-`, no leading zeros, no spaces, no `-0`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // 19 digits stay below 10^19, which a u64 holds, so only the end needs a check.
    let mut value = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Appends `value` as Redis 7.2 and later write a double.
///
/// `nan`, `inf`, `-inf`, `0` and `-0` by name; whole numbers up to 2^62 in full; everything else as the
/// shortest digits that read back as the same double. Those stand in plain decimals if there are at most 6
/// of them behind the point, or at most 7 zeros before it, or if the number is at least 10^-3 and below 10^4;
/// otherwise with an exponent (`1e+21`, `5e-324`, `1.2345678901234567e+4`).
pub fn format_double(value: f64, out: &mut Vec<u8>) {
    /// 2^62: Redis leaves a bit of room below the limits of a signed 64-bit integer.
    const WHOLE_LIMIT: f64 = 4_611_686_018_427_387_904.0;

    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= WHOLE_LIMIT && value.trunc() == value {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        format_shortest(value, out);
    }
}

fn format_shortest(value: f64, out: &mut Vec<u8>) {
    let (digits, len, exponent) = shortest_digits(value.abs());
    let digits = &digits[..len];
    // The position of the first digit: the exponent of the scientific form.
    let magnitude = exponent + len as i32 - 1;
    out.reserve(DOUBLE_MAX_LEN);
    if value < 0.0 {
        out.push(b'-');
    }
    if (0..8).contains(&exponent) {
        out.extend_from_slice(digits);
        out.resize(out.len() + exponent as usize, b'0');
    } else if exponent < 0 && (exponent > -7 || magnitude.abs() < 4) {
        let whole = len as i32 + exponent;
        if whole > 0 {
            let (before, behind) = digits.split_at(whole as usize);
            out.extend_from_slice(before);
            out.push(b'.');
            out.extend_from_slice(behind);
        } else {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + whole.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        }
    } else {
        out.push(digits[0]);
        if len > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if magnitude < 0 { b"e-" } else { b"e+" });
        out.extend_from_slice(itoa::Buffer::new().format(magnitude.unsigned_abs()).as_bytes());
    }
}

/// The digits of a positive finite number without zeros at either end, their count, and the power of ten
/// of the last one.
fn shortest_digits(value: f64) -> ([u8; 32], usize, i32) {
    let mut digits = [0; 32];
    let (mut len, mut exponent, mut behind_point) = (0, 0, false);
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, scale) = text.split_once('e').unwrap_or((text, "0"));
    for byte in mantissa.bytes() {
        if byte == b'.' {
            behind_point = true;
            continue;
        }
        exponent -= i32::from(behind_point);
        if byte != b'0' || len > 0 {
            digits[len] = byte;
            len += 1;
        }
    }
    while len > 1 && digits[len - 1] == b'0' {
        len -= 1;
        exponent += 1;
    }
    let scale: i32 = scale.parse().expect("the formatter writes a number behind its e");
    (digits, len, exponent + scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: &str) {
        for (value, expected) in [(value, expected.to_owned()), (-value, format!("-{expected}"))] {
            let mut out = Vec::new();
            format_double(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value:e}");
        }
    }

    #[test]
    fn doubles_have_the_form_of_redis() {
        check(0.0, "0");
        check(f64::INFINITY, "inf");
        check(3.0, "3");
        check(0.1, "0.1");
        check(3.5, "3.5");
        check(1e-6, "0.000001");
        check(1e-7, "1e-7");
        check(1.2345e-7, "1.2345e-7");
        check(0.000_123_45, "1.2345e-4");
        check(0.001_234_567_89, "0.00123456789");
        check(1_234.567_890_123_456_7, "1234.5678901234567");
        check(12_345.678_901_234_567, "1.2345678901234567e+4");
        check(123_456.789, "123456.789");
        check(4_611_686_018_427_387_904.0, "4611686018427387904");
        check(9_223_372_036_854_775_808.0, "9223372036854776000");
        check(1e17, "100000000000000000");
        check(1e19, "1e+19");
        check(1e21, "1e+21");
        check(1.5e300, "1.5e+300");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        let mut out = Vec::new();
        format_double(f64::NAN, &mut out);
        assert_eq!(out, b"nan");
    }

    #[test]
    fn doubles_read_back_as_themselves() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits ^ (bits >> 29));
            let mut out = Vec::new();
            format_double(value, &mut out);
            assert!(out.len() <= DOUBLE_MAX_LEN);
            let back: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
            assert!(back == value || (back.is_nan() && value.is_nan()), "{value:e}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for valid in [0, 1, -1, 10, 1_234_567_890_123, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            assert_eq!(parse_i64(valid.to_string().as_bytes()), Some(valid));
        }
        for invalid in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            "1 ",
            " 1",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
            "9999999999999999999",
            "10000000000000000000",
            "99999999999999999999999",
        ] {
            assert_eq!(parse_i64(invalid.as_bytes()), None, "{invalid}");
        }
    }
}
