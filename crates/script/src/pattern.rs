//! Lua 5.1's patterns. Lua's own matcher, in C, cannot be interrupted, and there are patterns for which it runs for years;
//! this one has the same results and errors, and asks the host now and then.
//!
//! It raises Lua's errors, so it owns nothing (see `bridge`).

use memchr::memchr;
use sessile_resp::c_text;

use crate::bridge::Lua;

/// Captures that a pattern may have.
const CAPTURES_MAX: usize = 32;

const ESCAPE: u8 = b'%';

/// Bytes that one item of a pattern is compared with before the work is counted.
const RUN_BYTES: usize = 1 << 10;

/// A pattern, the text that it is matched with, and what the last match captured.
pub(crate) struct Matcher<'a> {
    lua: Lua<'a>,
    subject: &'a [u8],
    /// Without the anchor. A zero byte in it would end it.
    pattern: &'a [u8],
    level: usize,
    captures: [Capture; CAPTURES_MAX],
}

#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    /// In bytes, or one of the two values below: all captures are cleared for each search, so they are small.
    len: usize,
}

/// The length of a capture that is not closed.
const UNFINISHED: usize = usize::MAX;
/// The length of a capture that is a position: `()`.
const POSITION: usize = usize::MAX - 1;

/// A set of bytes: `[…]`.
struct Set<'a> {
    is_negated: bool,
    /// Bytes, ranges and classes.
    items: &'a [u8],
}

/// Splits the anchor off a pattern.
pub(crate) fn anchor(pattern: &[u8]) -> (bool, &[u8]) {
    let pattern = c_text(pattern);
    match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    }
}

impl<'a> Matcher<'a> {
    /// A matcher for a pattern without its anchor.
    pub(crate) fn new(lua: Lua<'a>, subject: &'a [u8], pattern: &'a [u8]) -> Self {
        let captures = [Capture { start: 0, len: 0 }; CAPTURES_MAX];
        Self { lua, subject, pattern: c_text(pattern), level: 0, captures }
    }

    /// The end of the match that starts at `start`, if there is one.
    pub(crate) fn match_at(&mut self, start: usize) -> Option<usize> {
        self.level = 0;
        self.run(start, 0)
    }

    /// The first match that starts at `start` or behind it: its start and its end.
    pub(crate) fn search(&mut self, start: usize) -> Option<(usize, usize)> {
        let first = self.first_byte(0);
        let mut start = start;
        loop {
            if let Some(first) = first {
                let rest = self.subject.get(start..)?;
                start += memchr(first, rest)?;
            }
            if let Some(end) = self.match_at(start) {
                return Some((start, end));
            }
            if start >= self.subject.len() {
                return None;
            }
            start += 1;
        }
    }

    /// Pushes all captures, or the whole match if it is given and the pattern has none, and returns how many.
    pub(crate) fn push_captures(&self, whole: Option<(usize, usize)>) -> i32 {
        let count = if self.level == 0 && whole.is_some() { 1 } else { self.level };
        self.lua.require_stack(count as i32, "too many captures");
        let (start, end) = whole.unwrap_or_default();
        for index in 0..count {
            self.push_capture(index, start, end);
        }
        count as i32
    }

    /// Pushes one capture; the first one of a pattern without captures is the whole match.
    pub(crate) fn push_capture(&self, index: usize, start: usize, end: usize) {
        if index >= self.level {
            if index > 0 {
                self.lua.raise(format_args!("invalid capture index"));
            }
            return self.lua.push_bytes(&self.subject[start..end]);
        }
        let capture = self.captures[index];
        match capture.len {
            UNFINISHED => self.lua.raise(format_args!("unfinished capture")),
            POSITION => self.lua.push_number((capture.start + 1) as f64),
            len => self.lua.push_bytes(&self.subject[capture.start..capture.start + len]),
        }
    }

    /// A part of the subject.
    pub(crate) fn text(&self, start: usize, end: usize) -> &'a [u8] {
        &self.subject[start..end]
    }

    /// The byte of the pattern at `p`, or 0 behind its end.
    fn at(&self, p: usize) -> u8 {
        self.pattern.get(p).copied().unwrap_or(0)
    }

    /// Matches the pattern from `p` on with the subject from `s` on, and returns where it ends.
    fn run(&mut self, mut s: usize, mut p: usize) -> Option<usize> {
        if self.lua.stack_is_low() {
            self.lua.raise(format_args!("pattern too complex"));
        }
        loop {
            self.lua.spend(1);
            match self.at(p) {
                0 => return Some(s),
                b'(' if self.at(p + 1) == b')' => return self.start_capture(s, p + 2, POSITION),
                b'(' => return self.start_capture(s, p + 1, UNFINISHED),
                b')' => return self.end_capture(s, p + 1),
                b'$' if self.at(p + 1) == 0 => return (s == self.subject.len()).then_some(s),
                ESCAPE => match self.at(p + 1) {
                    b'b' => {
                        s = self.balanced(s, p + 2)?;
                        p += 4;
                        continue;
                    }
                    b'f' => {
                        p = self.frontier(s, p + 2)?;
                        continue;
                    }
                    digit @ b'0'..=b'9' => {
                        s = self.captured_again(s, digit)?;
                        p += 2;
                        continue;
                    }
                    _ => {}
                },
                _ => {}
            }
            let end = self.class_end(p);
            let is_match = self.subject.get(s).is_some_and(|byte| self.is_single(*byte, p, end));
            match self.at(end) {
                b'?' => {
                    if is_match && let Some(found) = self.run(s + 1, end + 1) {
                        return Some(found);
                    }
                    p = end + 1;
                }
                b'*' => return self.longest(s, p, end),
                b'+' if is_match => return self.longest(s + 1, p, end),
                b'-' => return self.shortest(s, p, end),
                b'+' => return None,
                _ if !is_match => return None,
                _ => {
                    s += 1;
                    p = end;
                }
            }
        }
    }

    /// As many repetitions of the item at `p..end` as leave a match of the rest.
    fn longest(&mut self, s: usize, p: usize, end: usize) -> Option<usize> {
        let mut last = s + self.repetitions(s, p, end);
        let next = self.first_byte(end + 1);
        loop {
            if self.may_match(last, next)
                && let Some(found) = self.run(last, end + 1)
            {
                return Some(found);
            }
            if last == s {
                return None;
            }
            last -= 1;
        }
    }

    /// As few repetitions as that.
    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Option<usize> {
        let next = self.first_byte(end + 1);
        loop {
            if self.may_match(s, next)
                && let Some(found) = self.run(s, end + 1)
            {
                return Some(found);
            }
            if !self.subject.get(s).is_some_and(|byte| self.is_single(*byte, p, end)) {
                return None;
            }
            s += 1;
        }
    }

    /// How often the item at `p..end` matches in a row.
    fn repetitions(&self, s: usize, p: usize, end: usize) -> usize {
        let mut count = 0;
        for part in self.subject[s..].chunks(RUN_BYTES) {
            let first_other = match self.at(p) {
                b'.' => None,
                ESCAPE => {
                    let class = self.at(p + 1);
                    part.iter().position(|byte| !is_in_class(*byte, class))
                }
                b'[' => {
                    let set = Set::new(&self.pattern[p + 1..end - 1]);
                    part.iter().position(|byte| !set.has(*byte))
                }
                literal => part.iter().position(|byte| *byte != literal),
            };
            let len = first_other.unwrap_or(part.len());
            self.lua.spend(len / 8);
            count += len;
            if first_other.is_some() {
                break;
            }
        }
        count
    }

    /// The byte that every match of the pattern from `p` on begins with, where that is easily seen.
    fn first_byte(&self, p: usize) -> Option<u8> {
        let is_literal = !matches!(self.at(p), 0 | b'(' | b')' | b'%' | b'.' | b'[' | b'$');
        let is_needed = !matches!(self.at(p + 1), b'*' | b'?' | b'-');
        (is_literal && is_needed).then(|| self.at(p))
    }

    /// Whether a match that begins with `next`, if that is known, can start at `s`.
    #[inline]
    fn may_match(&self, s: usize, next: Option<u8>) -> bool {
        self.lua.spend(1);
        next.is_none_or(|next| self.subject.get(s) == Some(&next))
    }

    fn start_capture(&mut self, s: usize, p: usize, len: usize) -> Option<usize> {
        let level = self.level;
        if level >= CAPTURES_MAX {
            self.lua.raise(format_args!("too many captures"));
        }
        self.captures[level] = Capture { start: s, len };
        self.level = level + 1;
        let found = self.run(s, p);
        if found.is_none() {
            self.level -= 1;
        }
        found
    }

    fn end_capture(&mut self, s: usize, p: usize) -> Option<usize> {
        let is_open = |capture: &Capture| capture.len == UNFINISHED;
        let Some(index) = self.captures[..self.level].iter().rposition(is_open) else {
            self.lua.raise(format_args!("invalid pattern capture"));
        };
        self.captures[index].len = s - self.captures[index].start;
        let found = self.run(s, p);
        if found.is_none() {
            self.captures[index].len = UNFINISHED;
        }
        found
    }

    /// `%1`: the text of a capture once more.
    fn captured_again(&self, s: usize, digit: u8) -> Option<usize> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let Capture { start, len } = match self.captures[..self.level].get(index) {
            None | Some(Capture { len: UNFINISHED, .. }) => {
                self.lua.raise(format_args!("invalid capture index"))
            }
            Some(Capture { len: POSITION, .. }) => return None,
            Some(capture) => *capture,
        };
        self.lua.spend(len / 16);
        self.subject[s..].starts_with(&self.subject[start..start + len]).then_some(s + len)
    }

    /// `%bxy`, with `x` at `p`: a text in which as many `x` as `y` are.
    fn balanced(&self, s: usize, p: usize) -> Option<usize> {
        let (open, close) = (self.at(p), self.at(p + 1));
        if open == 0 || close == 0 {
            self.lua.raise(format_args!("unbalanced pattern"));
        }
        if self.subject.get(s) != Some(&open) {
            return None;
        }
        let mut depth = 1;
        let mut start = s + 1;
        for part in self.subject[start..].chunks(RUN_BYTES) {
            self.lua.spend(part.len());
            for (index, byte) in part.iter().enumerate() {
                if *byte == close {
                    depth -= 1;
                    if depth == 0 {
                        return Some(start + index + 1);
                    }
                } else if *byte == open {
                    depth += 1;
                }
            }
            start += part.len();
        }
        None
    }

    /// `%f[set]`, with the bracket at `p`: the pattern's next item if `s` is where the set begins.
    fn frontier(&self, s: usize, p: usize) -> Option<usize> {
        if self.at(p) != b'[' {
            self.lua.raise(format_args!("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p);
        let previous = if s == 0 { 0 } else { self.subject[s - 1] };
        let next = self.subject.get(s).copied().unwrap_or(0);
        let set = Set::new(&self.pattern[p + 1..end - 1]);
        (!set.has(previous) && set.has(next)).then_some(end)
    }

    /// Where the item that starts at `p` ends, without its quantifier.
    fn class_end(&self, mut p: usize) -> usize {
        let first = self.at(p);
        p += 1;
        if first == ESCAPE {
            if self.at(p) == 0 {
                self.lua.raise(format_args!("malformed pattern (ends with '%')"));
            }
            return p + 1;
        }
        if first != b'[' {
            return p;
        }
        if self.at(p) == b'^' {
            p += 1;
        }
        // The first byte belongs to the set even if it is a bracket.
        loop {
            let byte = self.at(p);
            if byte == 0 {
                self.lua.raise(format_args!("malformed pattern (missing ']')"));
            }
            p += 1;
            if byte == ESCAPE && self.at(p) != 0 {
                p += 1;
            }
            if self.at(p) == b']' {
                return p + 1;
            }
        }
    }

    /// Whether the item at `p..end` matches a byte.
    #[inline]
    fn is_single(&self, byte: u8, p: usize, end: usize) -> bool {
        match self.at(p) {
            b'.' => true,
            ESCAPE => is_in_class(byte, self.at(p + 1)),
            b'[' => Set::new(&self.pattern[p + 1..end - 1]).has(byte),
            literal => literal == byte,
        }
    }
}

impl<'a> Set<'a> {
    /// The set whose text stands between the brackets of `[…]`.
    fn new(text: &'a [u8]) -> Self {
        match text.strip_prefix(b"^") {
            Some(items) => Self { is_negated: true, items },
            None => Self { is_negated: false, items: text },
        }
    }

    #[inline]
    fn has(&self, byte: u8) -> bool {
        if let [only] = self.items {
            return (byte == *only) != self.is_negated;
        }
        self.is_listed(byte) != self.is_negated
    }

    fn is_listed(&self, byte: u8) -> bool {
        let mut rest = self.items;
        loop {
            let is_found;
            (is_found, rest) = match rest {
                [] => return false,
                [ESCAPE, class, rest @ ..] => (is_in_class(byte, *class), rest),
                // The second half of an escape that ended a range: Lua takes the closing bracket for the class.
                [ESCAPE] => return byte == b']',
                [first, b'-', last, rest @ ..] => ((*first..=*last).contains(&byte), rest),
                [other, rest @ ..] => (*other == byte, rest),
            };
            if is_found {
                return true;
            }
        }
    }
}

/// Whether a byte is in the class `%class`; an upper-case letter stands for all that are not.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_member = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 0x09..=0x0d),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == class,
    };
    is_member == class.is_ascii_lowercase()
}
