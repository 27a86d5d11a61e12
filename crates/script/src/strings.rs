//! The functions of `string` that search, and `string.rep`: as in Lua 5.1, but interruptible where they can take long.

use std::ffi::c_int;

use memchr::{memchr, memmem};
use sessile_resp::c_text;

use crate::{
    bridge::{Buffer, Kind, Lua, trim, upvalue},
    pattern::{Matcher, anchor},
};

/// What makes a text a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// What fits into Lua's buffer.
const SHORT_BYTES: usize = 8 << 10;

/// Puts the functions into the table `string` on top.
pub(crate) fn replace(lua: Lua<'_>) {
    lua.push_function(|lua| find(lua, true));
    lua.set_field("find");
    lua.push_function(|lua| find(lua, false));
    lua.set_field("match");
    lua.push_function(global_match);
    lua.set_field("gmatch");
    lua.push_function(global_match);
    lua.set_field("gfind");
    lua.push_function(substitute);
    lua.set_field("gsub");
    lua.push_function(repeat);
    lua.set_field("rep");
}

/// `string.find`, or `string.match`.
fn find(lua: Lua<'_>, is_find: bool) -> c_int {
    let (subject, pattern) = (lua.check_bytes(1), lua.check_bytes(2));
    let len = subject.len() as i64;
    let position = lua.optional_integer(3, 1);
    let position = if position < 0 { position + len + 1 } else { position };
    let start = (position - 1).clamp(0, len) as usize;
    if is_find && (lua.boolean(4) || !c_text(pattern).iter().any(|byte| SPECIALS.contains(byte))) {
        match find_plain(&subject[start..], pattern) {
            Some(found) => {
                lua.push_number((start + found + 1) as f64);
                lua.push_number((start + found + pattern.len()) as f64);
                return 2;
            }
            None => lua.push_nil(),
        }
        return 1;
    }
    let (is_anchored, pattern) = anchor(pattern);
    let mut matcher = Matcher::new(lua, subject, pattern);
    let found =
        if is_anchored { matcher.match_at(start).map(|end| (start, end)) } else { matcher.search(start) };
    match found {
        Some(found) if !is_find => matcher.push_captures(Some(found)),
        Some((start, end)) => {
            lua.push_number((start + 1) as f64);
            lua.push_number(end as f64);
            matcher.push_captures(None) + 2
        }
        None => {
            lua.push_nil();
            1
        }
    }
}

/// The first place of `needle`. Most often the first byte leads to it; where it does not, a method that is never
/// quadratic takes over.
fn find_plain(text: &[u8], needle: &[u8]) -> Option<usize> {
    const TRIES: usize = 32;
    let Some(first) = needle.first() else { return Some(0) };
    let mut start = 0;
    for _ in 0..TRIES {
        start += memchr(*first, &text[start..])?;
        if text[start..].starts_with(needle) {
            return Some(start);
        }
        start += 1;
    }
    memmem::find(&text[start..], needle).map(|found| start + found)
}

/// `string.gmatch`. Its function has the subject, the pattern and the next start bound to it.
fn global_match(lua: Lua<'_>) -> c_int {
    lua.check_bytes(1);
    lua.check_bytes(2);
    lua.set_top(2);
    lua.push_number(0.0);
    lua.push_closure(next_match, 3);
    1
}

fn next_match(lua: Lua<'_>) -> c_int {
    let subject = lua.bytes(upvalue(1)).unwrap_or_default();
    let pattern = lua.bytes(upvalue(2)).unwrap_or_default();
    let first = lua.number(upvalue(3)) as usize;
    // No anchor here: a `^` stands for itself.
    let mut matcher = Matcher::new(lua, subject, pattern);
    if first > subject.len() {
        return 0;
    }
    let Some((start, end)) = matcher.search(first) else { return 0 };
    // An empty match goes on by one, so that there is an end.
    lua.push_number((end + usize::from(end == start)) as f64);
    lua.replace(upvalue(3));
    matcher.push_captures(Some((start, end)))
}

/// `string.gsub`.
fn substitute(lua: Lua<'_>) -> c_int {
    let (subject, pattern) = (lua.check_bytes(1), lua.check_bytes(2));
    let kind = lua.kind(3);
    let count_max = lua.optional_integer(4, subject.len() as i64 + 1) as i32;
    if !matches!(kind, Kind::Number | Kind::String | Kind::Function | Kind::Table) {
        lua.raise_argument(3, format_args!("string/function/table expected"));
    }
    let (is_anchored, pattern) = anchor(pattern);
    let mut matcher = Matcher::new(lua, subject, pattern);
    let mut count = 0;
    lua.push_filled(|out| {
        let mut start = 0;
        while count < count_max {
            let found = matcher.match_at(start);
            if let Some(end) = found {
                count += 1;
                add_replacement(lua, &matcher, kind, (start, end), out);
            }
            match found {
                Some(end) if end > start => start = end,
                _ if start < subject.len() => {
                    out.push(subject[start]);
                    start += 1;
                }
                _ => break,
            }
            if is_anchored {
                break;
            }
        }
        out.extend(&subject[start..]);
    });
    lua.push_number(count.into());
    2
}

/// Adds what the third argument, of the kind `kind`, puts in place of a match.
fn add_replacement(lua: Lua<'_>, matcher: &Matcher<'_>, kind: Kind, at: (usize, usize), out: &mut Buffer) {
    let (start, end) = at;
    match kind {
        Kind::Function => {
            lua.push_value(3);
            let count = matcher.push_captures(Some(at));
            lua.call(count, 1);
        }
        Kind::Table => {
            matcher.push_capture(0, start, end);
            lua.get(3);
        }
        _ => return add_template(lua, matcher, at, out),
    }
    if !lua.boolean(-1) {
        lua.pop(1);
        lua.push_bytes(matcher.text(start, end));
    } else if !matches!(lua.kind(-1), Kind::String | Kind::Number) {
        lua.raise(format_args!("invalid replacement value (a {})", lua.type_name(-1)));
    }
    out.extend_from_top();
}

/// Adds the third argument with captures in place of `%0` to `%9`.
fn add_template(lua: Lua<'_>, matcher: &Matcher<'_>, (start, end): (usize, usize), out: &mut Buffer) {
    let mut rest = lua.bytes(3).unwrap_or_default();
    while let Some(position) = rest.iter().position(|byte| *byte == b'%') {
        out.extend(&rest[..position]);
        // Lua reads the zero byte behind a text that ends with the escape.
        let escaped = rest.get(position + 1).copied().unwrap_or(0);
        match escaped {
            b'0' => out.extend(matcher.text(start, end)),
            b'1'..=b'9' => {
                matcher.push_capture(usize::from(escaped - b'1'), start, end);
                out.extend_from_top();
            }
            other => out.push(other),
        }
        rest = rest.get(position + 2..).unwrap_or_default();
    }
    out.extend(rest);
}

/// `string.rep`. Lua's own adds byte by byte, and two thousand million times nothing if the text is empty.
fn repeat(lua: Lua<'_>) -> c_int {
    let text = lua.check_bytes(1);
    let count = lua.check_integer(2) as i32;
    if text.is_empty() || count <= 0 {
        lua.push_bytes(b"");
        return 1;
    }
    let len = text.len().saturating_mul(count as usize);
    if len <= SHORT_BYTES {
        lua.push_filled(|out| (0..count).for_each(|_| out.extend(text)));
        return 1;
    }
    lua.require_memory(len);
    let out = lua.state().scratch.get();
    out.clear();
    out.reserve_exact(len);
    out.extend_from_slice(text);
    while out.len() < len {
        out.extend_from_within(..out.len().min(len - out.len()));
    }
    lua.push_bytes(out);
    trim(out);
    1
}

#[cfg(test)]
mod tests {
    use sessile_oracle::Random;

    use super::*;
    use crate::bridge::{Library, Vm};

    /// Calls one function of both libraries and says where they differ.
    const COMPARE: &str = r"
        local function all(...) return {n = select('#', ...), ...} end
        local function texts(list)
            local out = {}
            for i = 1, list.n do out[i] = type(list[i]) .. ' ' .. tostring(list[i]) end
            return table.concat(out, ', ')
        end
        local function matches(library, s, p)
            local out = {}
            for a, b, c in library.gmatch(s, p) do
                out[#out + 1] = texts {n = 3, a, b, c}
                if #out > 100 then break end
            end
            return table.concat(out, '; ')
        end
        local replacements = {
            {a = 'x', b = false, c = 7, ab = {}},
            function(a, b)
                if a == 'a' then return nil elseif a == 'b' then return 7 elseif a == 'c' then return {} end
                return tostring(b) .. string.upper(a)
            end,
        }
        function compare(name, s, p, x, y)
            local results = {}
            for i, library in ipairs {string, ours} do
                if name == 'gmatch' then
                    results[i] = texts(all(pcall(matches, library, s, p)))
                else
                    results[i] = texts(all(pcall(library[name], s, p, replacements[x] or x, y)))
                end
            end
            if results[1] ~= results[2] then return 'Lua ' .. results[1] .. ' ours ' .. results[2] end
        end";

    const ITEMS: &[&str] = &[
        "a", "b", "c", "ab", ".", "%a", "%d", "%s", "%w", "%x", "%z", "%p", "%c", "%l", "%u", "%A", "%W",
        "%S", "%%", "%.", "%k", "[ab]", "[^a]", "[a-c]", "[%a-]", "[]]", "[^]b]", "[a-%%]", "[%d(]", "[",
        "%b()", "%bab", "%baa", "%b", "%f[a]", "%f[^b]", "%f[%w]", "%fa", "%", "(", "(", ")", ")", "()",
        "%1", "%2", "%0", "^", "$", "]", "-", "\0", "\u{e9}",
    ];
    const QUANTIFIERS: &[&str] = &["", "", "", "*", "+", "-", "?"];
    const TEXTS: &[&str] =
        &["a", "a", "b", "b", "c", "ab", "(", ")", "%", " ", "\n", "7", "_", "\0", "\u{e9}", "Q"];
    const TEMPLATES: &[&str] = &["", "x", "%0", "%1", "<%1%2>", "%%", "%", "%9", "a%0%", "%x\0", "\u{e9}%0"];

    fn text(dice: &mut Random, parts: &[&str], count_max: usize) -> String {
        (0..dice.below(count_max + 1)).map(|_| dice.pick(parts)).collect()
    }

    fn vm_with_both() -> Vm {
        let vm = Vm::new();
        let lua = vm.lua();
        for library in [Library::Base, Library::Table, Library::String] {
            lua.open(library);
        }
        lua.set_top(0);
        lua.push_globals();
        lua.create_table(0, 8);
        replace(lua);
        lua.set_field("ours");
        assert_eq!(lua.load_script(COMPARE.as_bytes()), 0);
        lua.call(0, 0);
        vm
    }

    #[test]
    fn searching_agrees_with_lua_itself() {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5e55_11e0);
        println!("SEED={seed}");
        let mut dice = Random::new(seed);
        let vm = vm_with_both();
        let lua = vm.lua();
        for _ in 0..60_000 {
            let name = dice.pick(&["find", "match", "gmatch", "gsub", "gsub"]);
            let subject = text(&mut dice, TEXTS, 14);
            let start = if dice.below(4) == 0 { "^" } else { "" };
            let items: String =
                (0..=dice.below(6)).map(|_| [dice.pick(ITEMS), dice.pick(QUANTIFIERS)].concat()).collect();
            let pattern = format!("{start}{items}");
            lua.set_top(1);
            lua.raw_get_field(-1, "compare");
            [name, &subject, &pattern].iter().for_each(|text| lua.push_bytes(text.as_bytes()));
            match (name, dice.below(4)) {
                ("gsub", choice @ (1 | 2)) => lua.push_number(choice as f64),
                ("gsub", _) => lua.push_bytes(dice.pick(TEMPLATES).as_bytes()),
                (_, 0) => lua.push_number(dice.below(40) as f64 - 20.0),
                _ => lua.push_nil(),
            }
            match (name, dice.below(4)) {
                ("gsub", 0) => lua.push_number(dice.below(5) as f64 - 1.0),
                ("find", 0) => lua.push_boolean(true),
                _ => lua.push_nil(),
            }
            assert_eq!(lua.protected_call(5, 1, 0), 0);
            let found = lua.bytes(-1).map(|text| text.escape_ascii().to_string());
            assert_eq!(found, None, "{name} of {subject:?} with {pattern:?}, SEED={seed}");
        }
    }

    #[test]
    fn repeating_agrees_with_lua_itself() {
        let vm = vm_with_both();
        let lua = vm.lua();
        for text in ["", "a", "abc", "\0\n", &"xyz".repeat(2000)] {
            for count in [-1.0, 0.0, 1.0, 2.0, 3.5, 64.0, 1000.0, 2730.0, 2731.0, 8192.0, 8193.0, 20_000.0] {
                lua.set_top(1);
                lua.raw_get_field(-1, "compare");
                ["rep", text].iter().for_each(|text| lua.push_bytes(text.as_bytes()));
                lua.push_number(count);
                assert_eq!(lua.protected_call(3, 1, 0), 0);
                assert_eq!(lua.bytes(-1).map(<[u8]>::len), None, "{count} times {text:?}");
            }
        }
    }
}
