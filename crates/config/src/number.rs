//! Numbers as Redis reads them, and the distance between two names.

/// A whole number in its one canonical form: no sign `+`, no leading zero, no spaces.
pub(crate) fn strict_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A whole number as C's `strtoll` reads it when all of the text must be used up: leading spaces
/// and a sign are fine, empty text is 0, and what is too large becomes the nearest value.
pub(crate) fn loose_int(text: &[u8], radix: u32) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let trimmed = text.trim_ascii_start();
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, trimmed),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for &byte in digits {
        let digit = char::from(byte).to_digit(radix)?;
        value = (value * i128::from(radix) + i128::from(digit)).min(i128::from(i64::MAX) + 1);
    }
    let signed = if negative { -value } else { value };
    Some(i64::try_from(signed).unwrap_or(i64::MAX))
}

/// A number of bytes with an optional unit: `b`, `k` and `kb`, `m` and `mb`, `g` and `gb`, where
/// the short ones count in thousands. A value past 64 bits is refused.
pub(crate) fn memory(text: &[u8]) -> Option<u64> {
    let unit_at = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let mut value: u64 = 0;
    for &byte in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    value.checked_mul(factor)
}

/// Bytes in the largest unit that divides them, as `CONFIG REWRITE` writes them.
pub(crate) fn memory_text(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// How many bytes must be inserted, deleted, replaced or swapped with their neighbour to turn one
/// name into the other.
pub(crate) fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let mut best =
                (last[column] + usize::from(a != b)).min(last[column + 1] + 1).min(next[column] + 1);
            let swapped = row > 0 && column > 0 && a == right[column - 1] && left[row - 1] == b;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[right.len()]
}
