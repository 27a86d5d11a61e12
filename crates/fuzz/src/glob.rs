//! Glob: the matcher, which goes back to the last star only, agrees with one that tries everything.

use sessile_values::glob;

use crate::input::split_at_byte;

/// A pattern and a text, with a zero byte between; the first byte says whether case counts.
pub(crate) fn pattern(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let (pattern, text) = split_at_byte(data, 0);
    let fold = how & 1 == 1;
    let found = glob::matches(pattern, text, fold);
    assert!(glob::matches(b"*", text, fold));
    let literal: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
    assert!(glob::matches(&literal, text, fold));
    if pattern.len() * text.len() <= 1 << 16 {
        assert_eq!(found, reference(pattern, text, fold), "{pattern:?} {text:?}");
    }
}

/// By a table over all places in the text, an element of the pattern after the other.
fn reference(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    // Whether the pattern so far matches the text up to here.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while let Some(&first) = rest.first() {
        if first == b'*' {
            let from = reached.iter().position(|&is| is).unwrap_or(reached.len());
            reached[from..].fill(true);
            rest = &rest[1..];
            continue;
        }
        let (admits, len) = element(rest, fold);
        for at in (0..text.len()).rev() {
            reached[at + 1] = reached[at] && admits[usize::from(text[at])];
        }
        reached[0] = false;
        rest = &rest[len..];
    }
    reached[text.len()]
}

/// The bytes that the pattern's first element admits, and its length.
fn element(pattern: &[u8], fold: bool) -> ([bool; 256], usize) {
    let lower = |byte: u8| if fold { byte.to_ascii_lowercase() } else { byte };
    let mut admits = [false; 256];
    let mut admit = |low: u8, high: u8| {
        let (low, high) = (lower(low).min(lower(high)), lower(low).max(lower(high)));
        for byte in 0..=255u8 {
            admits[usize::from(byte)] |= (low..=high).contains(&lower(byte));
        }
    };
    match pattern {
        [b'?', ..] => ([true; 256], 1),
        [b'\\', literal, ..] => {
            admit(*literal, *literal);
            (admits, 2)
        }
        [b'[', class @ ..] => {
            let negated = class.first() == Some(&b'^');
            let mut at = usize::from(negated);
            loop {
                match &class[at.min(class.len())..] {
                    [] => break,
                    [b'\\', literal, ..] => {
                        admit(*literal, *literal);
                        at += 2;
                    }
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [low, b'-', high, ..] => {
                        admit(*low, *high);
                        at += 3;
                    }
                    [literal, ..] => {
                        admit(*literal, *literal);
                        at += 1;
                    }
                }
            }
            (admits.map(|is| is != negated), 1 + at)
        }
        [literal, ..] => {
            admit(*literal, *literal);
            (admits, 1)
        }
        [] => (admits, 0),
    }
}
