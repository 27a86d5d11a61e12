//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET use them.
//!
//! Redis' own rules: `*`, `?`, `[a-c]`, `[^a]`, `\` before a literal; an unclosed bracket ends with the pattern. The
//! matcher goes back to the last `*` only, so its work is bounded by pattern times text, whatever a client sends.

/// Whether `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: one byte further in the text.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if t == text.len() {
            if p == pattern.len() {
                return true;
            }
        } else if p < pattern.len()
            && let Some(next) = matches_one(pattern, p, text[t], ignore_case)
        {
            p = next;
            t += 1;
            continue;
        }
        match star {
            Some((after, from)) if from < text.len() => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// Whether the pattern's element at `p` matches `byte`; the place behind the element.
fn matches_one(pattern: &[u8], p: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| if ignore_case { b.to_ascii_lowercase() } else { b };
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => {
            let (found, next) = matches_class(pattern, p + 1, fold(byte), fold);
            found.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => (fold(pattern[p + 1]) == fold(byte)).then_some(p + 2),
        literal => (fold(literal) == fold(byte)).then_some(p + 1),
    }
}

/// A bracket class from behind its `[`: whether it holds `byte`, and the place behind it.
fn matches_class(pattern: &[u8], mut p: usize, byte: u8, fold: impl Fn(u8) -> u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(p) {
            None => break,
            Some(b'\\') if p + 1 < pattern.len() => {
                p += 1;
                found |= fold(pattern[p]) == byte;
            }
            Some(b']') => {
                p += 1;
                break;
            }
            Some(&low) if pattern.len() >= p + 3 && pattern[p + 1] == b'-' => {
                let (low, high) = (fold(low), fold(pattern[p + 2]));
                let (low, high) = if low > high { (high, low) } else { (low, high) };
                p += 2;
                found |= (low..=high).contains(&byte);
            }
            Some(&literal) => found |= fold(literal) == byte,
        }
        p += 1;
    }
    (found != negated, p.min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn follows_redis_rules() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} {text}");
        };
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a[", "a", false),
            ("a[b", "ab", true),
            ("[\\]]", "]", true),
            ("*.*.*", "a.b", false),
            ("**a", "bba", true),
            ("a\\", "a\\", true),
        ] {
            check(pattern, text, expected);
        }
        assert!(matches(b"HeL*", b"hello", true));
        // Exponential in a matcher that tries every star.
        let stars = "a*".repeat(50) + "b";
        check(&stars, &"a".repeat(5000), false);
    }
}
